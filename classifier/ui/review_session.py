"""Where one visitor is in a queue of documents. Plain Python, so that it can be tested without a page."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field

from classifier.storage.feedback import text_digest
from classifier.workflows.reviewing import ReviewItem, ReviewQueue

MOST_NUMBERED = 10


@dataclass(slots=True)
class ReviewSession:
    """A visitor's way through one queue.

    Attributes
    ----------
    subject : tuple
        Model and strategy; another subject begins another way.
    queue : ReviewQueue
        As it was found.
    items : list of ReviewItem
        What is still ahead, the current one first.
    chosen : str
        The label that Enter would accept.
    n_done, n_skipped : int
        Decisions and skips since the way began.
    skipped : set of bytes
        Digests of the texts that were skipped: they do not come again.
    history : list of (int, ReviewItem)
        Number and document of each decision of this visitor, the last one last.
    again : set of bytes
        Digests of the texts that the visitor came back to: their decisions may be replaced.
    problem : str
        Why the last decision could not be kept; empty where it was.
    turn : int
        Counts what was pressed without going on. A button that was clicked gets another key by it, so that it lets go
        of the keyboard and Enter accepts again.
    accepted : (str, int) or None
        Text of the document that was accepted last, and how many labels were pressed for it since the screen was
        drawn on which it was accepted.

    Notes
    -----
    What is pressed while the page is still being drawn reaches it in one go, and in no order that could be relied on.
    A press therefore says for which document and in which turn its button was drawn: a label that comes when its
    document has just been accepted is meant for that document, whichever of the two was pressed first. Of several
    labels pressed since one screen was drawn nobody knows which was the last: none of them is kept.
    """

    subject: tuple[Hashable, str]
    queue: ReviewQueue
    items: list[ReviewItem] = field(default_factory=list)
    chosen: str = ""
    n_done: int = 0
    n_skipped: int = 0
    skipped: set[bytes] = field(default_factory=set)
    history: list[tuple[int, ReviewItem]] = field(default_factory=list)
    again: set[bytes] = field(default_factory=set)
    problem: str = ""
    turn: int = 0
    accepted: tuple[str, int] | None = None

    def follow(self, before: ReviewSession) -> None:
        """Go on counting where another queue of the same model was left."""
        self.n_done, self.n_skipped = before.n_done, before.n_skipped
        self.skipped, self.history = before.skipped, before.history

    def refill(self, queue: ReviewQueue) -> None:
        """Take a fresh queue, without what was skipped."""
        self.queue = queue
        self.items = [item for item in queue.items if text_digest(item.text) not in self.skipped]
        self._pre_fill()

    @property
    def current(self) -> ReviewItem | None:
        """The document to decide about; None at the end."""
        return self.items[0] if self.items else None

    @property
    def wants_more(self) -> bool:
        """Whether the list is at its end, and there may be more than it held."""
        return not self.items and len(self.queue.items) < self.queue.n_candidates and bool(self.n_done + self.n_skipped)

    def forget_skipped(self) -> None:
        """Let what was skipped come again."""
        self.skipped.clear()
        self.refill(self.queue)

    def is_current(self, item: ReviewItem) -> bool:
        """Tell whether a document is the one to decide about; a press may be about one that is gone."""
        return self.current is not None and self.current.text == item.text

    def choose(self, label: str) -> None:
        """Let Enter accept this label."""
        self.chosen = label
        self.turn += 1

    def n_pressed_since(self, turn: int) -> int:
        """Count the labels that were pressed since the screen of a turn was drawn."""
        return self.turn - turn

    def n_pressed_for(self, item: ReviewItem) -> int | None:
        """Count the labels that were pressed for the document that was accepted last; None for any other one."""
        return self.accepted[1] if self.accepted is not None and self.accepted[0] == item.text else None

    def done(self, item: ReviewItem, number: int, n_pressed: int = 0) -> None:
        """Go on after a decision about a document, and remember its number; twice is once."""
        self.accepted = (item.text, n_pressed)
        if self._drop(item):
            self.n_done += 1
            self.history.append((number, item))

    def undo(self) -> None:
        """Go back to the document of the last decision, where there is one."""
        self.accepted = None
        if self.history:
            _, item = self.history.pop()
            self.n_done -= 1
            self.bring_back(item)

    def skip(self, item: ReviewItem) -> None:
        """Go on without a decision; twice is once."""
        self.accepted = None
        self.skipped.add(text_digest(item.text))
        if self._drop(item):
            self.n_skipped += 1

    def is_again(self, item: ReviewItem) -> bool:
        """Tell whether a visitor came back to a document that is decided."""
        return text_digest(item.text) in self.again

    def bring_back(self, item: ReviewItem) -> None:
        """Decide about a document again, now."""
        self._drop(item)
        self.items.insert(0, item)
        self.again.add(text_digest(item.text))
        self.turn += 1
        self._pre_fill()

    def pass_over(self, is_decided: Callable[[str], bool]) -> None:
        """Leave out what others have decided meanwhile, up to the first document that is open."""
        while self.items and is_decided(self.items[0].text):
            self.items.pop(0)
        self._pre_fill()

    def _drop(self, item: ReviewItem) -> bool:
        """Take a document off the list; tell whether it was there."""
        before = len(self.items)
        self.items = [one for one in self.items if one.text != item.text]
        self._pre_fill()
        return len(self.items) < before

    def _pre_fill(self) -> None:
        """Begin with the model's suggestion, else with the label that is there."""
        item = self.current
        self.chosen = "" if item is None else item.suggestion or item.label


def numbered_labels(item: ReviewItem, labels: Sequence[str]) -> list[str]:
    """Return the labels that have a number key: all in their order where there are keys enough.

    Otherwise the suggestion, the given label, the probable ones, then the others.

    Examples
    --------
    >>> item = ReviewItem("1", "t", "b", "c", 0.5, (("c", 0.5), ("d", 0.2)), None, "", "")
    >>> numbered_labels(item, ["a", "b", "c", "d"])
    ['a', 'b', 'c', 'd']
    >>> numbered_labels(item, [*"abcd", *map(str, range(20))])[:4]
    ['c', 'b', 'd', 'a']
    """
    if len(labels) <= MOST_NUMBERED:
        return list(labels)
    probable = [label for label, _ in item.ranking]
    wanted = [item.suggestion, item.label, *probable, *labels]
    known = dict.fromkeys(label for label in wanted if label)
    return list(known)[:MOST_NUMBERED]
