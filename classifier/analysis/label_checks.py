"""What can be said of labelled texts before anything is trained: how many of each label, copies and contradictions."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from classifier.analysis.wording import normalised, same_words

FEW_DOCUMENTS = 5
SHOWN_EXAMPLES = 5


@dataclass(frozen=True, slots=True)
class Conflict:
    """Documents of the same words under different labels; `rows` from 0, with `labels` in the same order."""

    rows: tuple[int, ...]
    labels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class LabelChecks:
    """What was found.

    Attributes
    ----------
    n_documents : int
    counts : dict of str to int
        Documents of each label, most frequent first.
    few : tuple of str
        Labels with fewer than `FEW_DOCUMENTS` different texts, which can hardly be learned or measured.
    n_copies : int
        Documents with the words and the label of an earlier one.
    copies : tuple of tuple of int
        The largest groups of them, by rows from 0.
    n_conflicting : int
        Documents whose words another document has under another label.
    conflicts : tuple of Conflict
        The largest ones of them.
    alike : tuple of tuple of str
        Labels that differ only by case or spaces.
    """

    n_documents: int
    counts: dict[str, int]
    few: tuple[str, ...]
    n_copies: int
    copies: tuple[tuple[int, ...], ...]
    n_conflicting: int
    conflicts: tuple[Conflict, ...]
    alike: tuple[tuple[str, ...], ...]


def check_labels(texts: Sequence[str], labels: Sequence[tuple[str, ...]]) -> LabelChecks:
    """Look at labelled texts.

    Parameters
    ----------
    texts : sequence of str
    labels : sequence of tuple of str
        One label of each text, or several, or none.

    Examples
    --------
    >>> found = check_labels(["Hi!", "hi", "bye"], [("a",), ("b",), ("b",)])
    >>> found.counts, found.n_conflicting, found.conflicts[0].rows
    ({'b': 2, 'a': 1}, 2, (0, 1))
    """
    words = same_words(texts).tolist()
    counts = Counter(label for given in labels for label in given)
    distinct = Counter(
        label for _, given in {(word, given) for word, given in zip(words, labels, strict=True)} for label in given
    )
    by_words: defaultdict[int, list[int]] = defaultdict(list)
    by_both: defaultdict[tuple[int, tuple[str, ...]], list[int]] = defaultdict(list)
    for row, (word, given) in enumerate(zip(words, labels, strict=True)):
        by_words[word].append(row)
        by_both[word, given].append(row)
    copies = [tuple(rows) for rows in by_both.values() if len(rows) > 1]
    conflicts = [
        Conflict(tuple(rows), tuple("|".join(labels[row]) for row in rows))
        for rows in by_words.values()
        if len({labels[row] for row in rows}) > 1
    ]
    spellings: defaultdict[str, list[str]] = defaultdict(list)
    for label in sorted(counts):
        spellings[normalised(label)].append(label)
    return LabelChecks(
        n_documents=len(texts),
        counts=dict(counts.most_common()),
        few=tuple(sorted(label for label, n in distinct.items() if n < FEW_DOCUMENTS)),
        n_copies=sum(len(rows) - 1 for rows in copies),
        copies=tuple(sorted(copies, key=len, reverse=True)[:SHOWN_EXAMPLES]),
        n_conflicting=sum(len(one.rows) for one in conflicts),
        conflicts=tuple(sorted(conflicts, key=lambda one: -len(one.rows))[:SHOWN_EXAMPLES]),
        alike=tuple(tuple(names) for names in spellings.values() if len(names) > 1),
    )
