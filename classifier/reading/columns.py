"""Find the columns that hold the text, the label and the id."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any

from classifier.errors import ColumnError, FileProblemError, excerpt
from classifier.reading.table import Row, Table
from classifier.reading.values import to_label, to_text

TEXT_NAMES = (
    "text", "document", "body", "message", "content", "contents", "description", "review", "review_text", "comment",
    "abstract", "sentence", "utterance", "query", "question", "ticket", "tweet", "post", "article", "email", "summary",
    "headline", "title", "subject",
)  # fmt: skip
LABEL_NAMES = (
    "label", "category", "class", "target", "intent", "topic", "tag", "sentiment", "labels", "categories", "classes",
    "topics", "tags", "label_text", "label_name",
)  # fmt: skip
ID_NAMES = (
    "id", "doc_id", "document_id", "ticket_id", "message_id", "case_id", "review_id", "comment_id", "record_id",
    "row_id", "text_id", "uid", "uuid", "guid",
)  # fmt: skip
SAMPLE_ROWS = 200
LONGEST_LABEL = 60
WORD = re.compile(r"[^\W\d_]{2,}")


@dataclass(frozen=True)
class Choice:
    """Which column plays which part, and what to tell the user about it."""

    text: str
    label: str | None
    id: str | None
    notes: tuple[str, ...]


def choose_columns(
    table: Table,
    *,
    text_column: str | None = None,
    label_column: str | None = None,
    id_column: str | None = None,
    need_labels: bool = False,
) -> Choice:
    """Take the columns that were named; find the others by their names, then by what they hold.

    Parameters
    ----------
    table : Table
        Its first 200 rows are looked at where names do not help.
    text_column, label_column, id_column : str or None
        Exact names; None to find one.
    need_labels : bool, default False
        Whether a file without a column of labels is refused.

    Returns
    -------
    Choice
        `notes` says which columns were found, unless they are called text, label and id.

    Raises
    ------
    ColumnError
        When a named column does not exist, or none can be found.
    FileProblemError
        When the text and the label would come from one column.
    """
    named = {"text": text_column, "label": label_column, "id": id_column}
    for role, name in named.items():
        if name is not None and name not in table.columns:
            raise ColumnError(table.source, name, role, table.columns)
    if text_column is not None and text_column == label_column:
        problem = f"the text and the label cannot both come from column {excerpt(text_column)}"
        raise FileProblemError(table.source, problem, "name two columns")
    taken = {name for name in named.values() if name is not None}
    free = [column for column in table.columns if column not in taken]
    label = usual_column(free, LABEL_NAMES) if label_column is None else label_column
    identifier = usual_column(free, ID_NAMES) if id_column is None else id_column
    text = usual_column(free, TEXT_NAMES) if text_column is None else text_column
    if text is None:
        text = _wordiest(table, _without(free, label, identifier))
    if text is None:
        raise ColumnError(table.source, None, "text", table.columns)
    if label is None and need_labels:
        label = _most_repeating(table, _without(free, text, identifier))
        if label is None:
            raise ColumnError(table.source, None, "label", table.columns)
    chosen = {"text": text, "label": label, "id": identifier}
    return Choice(text, label, identifier, _notes(chosen, named))


def _without(columns: Iterable[str], *taken: str | None) -> list[str]:
    """Leave out columns that already play a part."""
    return [column for column in columns if column not in taken]


def usual_column(columns: Sequence[str], names: Sequence[str]) -> str | None:
    """Return the column with the first of the usual names, preferring the exact spelling."""
    folded = {column.strip().casefold(): column for column in reversed(columns)}
    exact = next((name for name in names if name in columns), None)
    return exact or next((folded[name] for name in names if name in folded), None)


def _samples(
    table: Table, columns: Iterable[str], convert: Callable[[Any], str | None]
) -> Iterator[tuple[str, list[str]]]:
    """Yield the first cells of some columns as text, empty ones and bytes that are no text left out."""
    rows = [row for row in islice(table.rows(), SAMPLE_ROWS) if isinstance(row, Row)]
    for column in columns:
        texts = []
        for row in rows:
            with suppress(UnicodeDecodeError):
                texts.append(convert(row.cells[table.columns.index(column)]))
        yield column, list(filter(None, texts))


def _wordiest(table: Table, columns: Sequence[str]) -> str | None:
    """Return the column with the longest texts; a file of one column has no other choice."""
    if len(table.columns) == 1:
        return table.columns[0]
    lengths = {
        column: sum(map(len, texts))
        for column, texts in _samples(table, columns, to_text)
        if texts and sum(map(_looks_like_words, texts)) >= len(texts) / 2
    }
    return max(lengths, key=lengths.__getitem__, default=None)


def _looks_like_words(text: str) -> bool:
    """Tell prose from codes, numbers, dates and addresses."""
    words = WORD.findall(text)
    n_letters = sum(map(len, words))
    several = len(words) > 1 and any(character.isspace() for character in text)
    return n_letters > 0.6 * len("".join(text.split())) and (several or (n_letters > 3 and not text.isascii()))


def _most_repeating(table: Table, columns: Sequence[str]) -> str | None:
    """Return the one column that repeats a few short values; words count before numbers."""
    candidates, in_words = [], []
    for column, labels in _samples(table, columns, to_label):
        distinct = set(labels)
        if 2 <= len(distinct) <= len(labels) / 2 and max(map(len, distinct)) <= LONGEST_LABEL:
            candidates.append(column)
            in_words += [column] if all(map(WORD.search, distinct)) else []
    found = in_words or candidates
    return found[0] if len(found) == 1 else None


def _notes(chosen: dict[str, str | None], named: dict[str, str | None]) -> tuple[str, ...]:
    """Say which columns were found rather than named, unless their names leave no doubt."""
    found = {role: column for role, column in chosen.items() if column not in (None, named[role], role)}
    if not found:
        return ()
    parts = [f"the {role} from column {excerpt(column)}" for role, column in found.items()]
    flags = [f"--{role}-column" for role in found]
    return (f"Taking {_and(parts)}; name {'another' if len(found) == 1 else 'others'} with {_and(flags)}.",)


def _and(parts: Sequence[str]) -> str:
    """Join parts as in a sentence."""
    return " and ".join([", ".join(parts[:-1]), parts[-1]]) if len(parts) > 1 else parts[0]
