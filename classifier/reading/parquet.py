"""Read Parquet as a stream, values untouched."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

from classifier.datamodels import Rejection
from classifier.errors import FileProblemError, listing
from classifier.reading.signatures import is_parquet
from classifier.reading.table import Row, Table, scan_rows

BATCH_ROWS = 1000


def read_parquet(path: Path, encoding: str | None = None) -> Table:
    """Scan a Parquet file.

    Parameters
    ----------
    path : Path
        The file.
    encoding : str or None
        Must be None: Parquet knows no encodings.

    Returns
    -------
    Table
        Its `schema` holds the exact types. Strings, booleans, integers and floats come as Python values, everything
        else as Arrow scalars, which lose nothing.

    Raises
    ------
    FileProblemError
        When the file is not Parquet, is damaged, has no rows or repeats a column name.
    """
    if encoding is not None:
        raise FileProblemError(path, "a Parquet file has no text encoding", "leave out --encoding")
    if not is_parquet(path):
        raise FileProblemError(
            path, "it is not a whole Parquet file", "export it again, or rename it to end as what it is, such as .csv"
        )
    try:
        import pyarrow.parquet as pq  # type: ignore[import-untyped]

        schema = pq.read_schema(path)
        repeated = [name for name, count in Counter(schema.names).items() if count > 1]
        if repeated:
            raise FileProblemError(path, f"several columns are called {listing(repeated)}", "give each its own name")
        read_rows = partial(_rows, path)
        return Table(
            source=str(path),
            format="parquet",
            columns=tuple(schema.names),
            n_rows=scan_rows(path, read_rows()),
            read_rows=read_rows,
            schema=schema,
        )
    except (ValueError, OSError, NotImplementedError) as error:
        if isinstance(error, FileProblemError):
            raise
        raise FileProblemError(path, "the Parquet file is damaged", "export it again") from error


def _rows(path: Path) -> Iterator[Row | Rejection]:
    """Stream the rows, a batch in memory at a time."""
    import pyarrow.parquet as pq

    number = 0
    with pq.ParquetFile(path, pre_buffer=False) as file:
        for batch in file.iter_batches(batch_size=BATCH_ROWS):
            columns = [_values(column) for column in batch.columns]
            for cells in zip(*columns, strict=True):
                number += 1
                yield Row(number, cells)


def _values(column: Any) -> list[Any]:
    """Turn a column into cells."""
    import pyarrow.types as kinds  # type: ignore[import-untyped]

    faithful = (
        kinds.is_null,
        kinds.is_boolean,
        kinds.is_integer,
        kinds.is_float32,
        kinds.is_float64,
        kinds.is_string,
        kinds.is_large_string,
    )
    if any(is_kind(column.type) for is_kind in faithful):
        return list(column.to_pylist())
    return [scalar if scalar.is_valid else None for scalar in column]
