"""Tables of one vector for each word or token: read from files, kept between runs, averaged over texts.

A kept table is a folder of three files under the cache folder: the vectors as plain numbers, the vocabulary as plain
bytes, and a description with the checksums of both and of itself. What is missing or damaged is made again; several
processes may make the same table at once, and all use the one that was finished first.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
import shutil
import tempfile
import warnings
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from classifier.embedding.contract import Embeddings
from classifier.errors import CacheWarning, ClassifierError, FileProblemError
from classifier.files import file_sha256
from classifier.progress import progress_bar

Block = tuple[NDArray[Any], bytes]

VECTORS_FILE, VOCABULARY_FILE, DESCRIPTION_FILE = "vectors.bin", "vocabulary.bin", "table.json"
DTYPES = frozenset({"<f2", "<f4"})
WINDOW_TEXTS = 4096
WINDOW_CHARACTERS = 4_000_000
LARGEST_NUMBER = 1e15
MAX_LINE_BYTES = 1 << 20
ROWS_PER_BLOCK = 2048
TEXT_FORMATS = "give the text format of GloVe, word2vec or fastText, plain or as .gz: a word and its numbers a line"
_HEADER = re.compile(rb"([0-9]{1,12})[ \t]+([0-9]{1,6})\s*")
_NUMBER_BYTES = b"0123456789+-.eE"
_GZIP_START = b"\x1f\x8b"
_UTF8_MARK = b"\xef\xbb\xbf"
_UNUSABLE = (OSError, ValueError, KeyError, TypeError, RecursionError)


@dataclass(frozen=True, slots=True, eq=False)
class VectorTable:
    """One vector for each entry of a vocabulary.

    Attributes
    ----------
    vectors : ndarray of float16 or float32, shape (n_rows, n_dims)
        Memory-mapped and read-only where it comes from the cache folder.
    vocabulary : bytes
        What tells which row is whose; its form is the affair of who made it.
    """

    vectors: NDArray[Any]
    vocabulary: bytes


def kept_table(folder: Path, blocks: Callable[[], Iterator[Block]]) -> VectorTable:
    """Open a table, making it first where it is not there or damaged.

    Parameters
    ----------
    folder : Path
        Where it is kept; its name should stand for everything the table depends on.
    blocks : callable
        Makes the table: yields rows of vectors, all float16 or all float32 and of equal width, each time with the
        next part of the vocabulary. At least one block.

    Returns
    -------
    VectorTable
        From the folder; from memory where that cannot be written, with a warning.
    """
    with suppress(*_UNUSABLE):
        return _open(folder)
    try:
        _write(folder, blocks())
        return _open(folder)
    except ClassifierError:
        raise
    except _UNUSABLE as error:
        reason = getattr(error, "strerror", None) or error
        warnings.warn(
            f"The vectors cannot be kept in {folder.parent} ({reason}): they are made anew by every command. "
            "Make the folder writable, or name another one with CLASSIFIER_CACHE_DIR.",
            CacheWarning,
            stacklevel=2,
        )
    return _in_memory(blocks())


def mean_rows(
    vectors: NDArray[Any], rows: NDArray[np.int32], weights: NDArray[np.float32], lengths: NDArray[np.intp]
) -> Embeddings:
    """Average rows of a table for each text.

    Parameters
    ----------
    vectors : ndarray of float32, shape (n_rows, n_dims)
    rows : ndarray of int32, shape (n_tokens,)
        Indices into `vectors` of the words or tokens of all texts, text after text.
    weights : ndarray of float32, shape (n_tokens,)
        What each counts; overwritten.
    lengths : ndarray of int, shape (n_documents,)
        How many of `rows` belong to each text.

    Returns
    -------
    ndarray of float32, shape (n_documents, n_dims)
        Of unit length, or zeros for a text without rows. The same rows give the same vector bit for bit, whatever
        their order and whatever other texts are in the call.
    """
    from scipy.sparse import csr_array

    ends = np.concatenate([[0], np.cumsum(lengths)])
    counts = csr_array((weights, rows, ends), shape=(len(lengths), len(vectors)))
    counts.sum_duplicates()
    sums: Embeddings = counts @ np.asarray(vectors)
    norms = np.sqrt(np.einsum("ij,ij->i", sums, sums, dtype=np.float64))[:, np.newaxis]
    np.divide(sums, norms, out=sums, where=norms > 0, casting="same_kind")
    return sums


def embed_in_windows(
    texts: Sequence[str], n_dims: int, embed: Callable[[Sequence[str]], Embeddings], *, progress: bool
) -> Embeddings:
    """Embed texts some thousands at a time, so that memory stays flat.

    Parameters
    ----------
    texts : sequence of str
    n_dims : int
        Length of a vector.
    embed : callable
        Embeds one window of texts.
    progress : bool
        Show a bar on stderr.

    Returns
    -------
    ndarray of float32, shape (n_documents, n_dims)
        Rows follow `texts`.
    """
    embeddings = np.zeros((len(texts), n_dims), dtype=np.float32)
    with progress_bar("embedding", "doc", total=len(texts), shown=progress) as bar:
        for start, end in _windows(texts):
            embeddings[start:end] = embed(texts[start:end])
            bar.update(end - start)
    return embeddings


def _windows(texts: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yield ``(start, end)`` of runs bounded in texts and in characters."""
    start = characters = 0
    for index, text in enumerate(texts):
        if index > start and (index - start >= WINDOW_TEXTS or characters + len(text) > WINDOW_CHARACTERS):
            yield start, index
            start, characters = index, 0
        characters += len(text)
    if start < len(texts):
        yield start, len(texts)


def _open(folder: Path) -> VectorTable:
    """Check a table's files and map them; one of `_UNUSABLE` says that it is not there or damaged."""
    description = json.loads((folder / DESCRIPTION_FILE).read_text(encoding="utf-8"))
    content = description["content"]
    if description["sha256"] != _checksum(content) or content["dtype"] not in DTYPES:
        raise ValueError("its description was altered")
    vocabulary = (folder / VOCABULARY_FILE).read_bytes()
    if hashlib.sha256(vocabulary).hexdigest() != content["vocabulary_sha256"]:
        raise ValueError("its vocabulary was altered")
    if file_sha256(folder / VECTORS_FILE) != content["vectors_sha256"]:
        raise ValueError("its vectors were altered")
    shape = (content["n_rows"], content["n_dims"])
    return VectorTable(np.memmap(folder / VECTORS_FILE, content["dtype"], mode="r", shape=shape), vocabulary)


def _write(folder: Path, blocks: Iterator[Block]) -> None:
    """Write a table beside its place, then move it there."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=".incoming-", dir=folder.parent))
    try:
        new = temporary / "new"
        new.mkdir()
        _write_files(new, blocks)
        _move(new, folder, temporary / "old")
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _write_files(folder: Path, blocks: Iterator[Block]) -> None:
    """Write the files of a table, never holding more than one block."""
    n_rows = n_dims = 0
    dtype = ""
    vocabulary_digest, vectors_digest = hashlib.sha256(), hashlib.sha256()
    with (folder / VECTORS_FILE).open("wb") as vectors_file, (folder / VOCABULARY_FILE).open("wb") as vocabulary_file:
        for vectors, vocabulary in blocks:
            dtype, n_dims = vectors.dtype.newbyteorder("<").str, vectors.shape[1]
            n_rows += len(vectors)
            content = np.ascontiguousarray(vectors, dtype).tobytes()
            vectors_file.write(content)
            vectors_digest.update(content)
            vocabulary_file.write(vocabulary)
            vocabulary_digest.update(vocabulary)
    facts = {
        "dtype": dtype,
        "n_rows": n_rows,
        "n_dims": n_dims,
        "vectors_sha256": vectors_digest.hexdigest(),
        "vocabulary_sha256": vocabulary_digest.hexdigest(),
    }
    description = {"content": facts, "sha256": _checksum(facts)}
    (folder / DESCRIPTION_FILE).write_text(json.dumps(description, indent=1), encoding="utf-8")


def _move(new: Path, folder: Path, old: Path) -> None:
    """Put a finished table in its place, unless a sound one of another process is there by now."""
    with suppress(OSError):
        new.rename(folder)
        return
    with suppress(*_UNUSABLE):
        _open(folder)
        return
    with suppress(FileNotFoundError):
        folder.rename(old)
    with suppress(OSError):
        new.rename(folder)


def _in_memory(blocks: Iterator[Block]) -> VectorTable:
    """Make a table without any file."""
    content, vocabulary = bytearray(), bytearray()
    dtype, n_dims = "<f4", 1
    for vectors, part in blocks:
        dtype, n_dims = vectors.dtype.str, vectors.shape[1]
        content += vectors.tobytes()
        vocabulary += part
    return VectorTable(np.frombuffer(content, dtype).reshape(-1, n_dims), bytes(vocabulary))


def _checksum(content: dict[str, Any]) -> str:
    """Hash a description in canonical form."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def read_vectors(file: Path) -> Iterator[Block]:
    """Stream a file of word vectors in the text format of GloVe, word2vec or fastText, plain or compressed.

    Parameters
    ----------
    file : Path
        On each line a word and its numbers; the latter two formats begin with a line of two counts.

    Yields
    ------
    vectors : ndarray of float32, shape (n_rows, n_dims)
        Some thousand rows; of a word that comes twice, the first.
    vocabulary : bytes
        The words in UTF-8, each with a line feed behind it.

    Raises
    ------
    FileProblemError
        When it is anything else; a bad line is named by its number.
    """
    known: set[bytes] = set()
    words: list[bytes] = []
    rows: list[NDArray[np.float64]] = []
    for word, numbers in _entries(file):
        if word in known:
            continue
        known.add(word)
        words.append(word + b"\n")
        rows.append(numbers)
        if len(rows) == ROWS_PER_BLOCK:
            yield np.array(rows, dtype=np.float32), b"".join(words)
            words, rows = [], []
    if rows:
        yield np.array(rows, dtype=np.float32), b"".join(words)


def unreadable(file: Path, error: OSError) -> FileProblemError:
    """Say why a file cannot be read."""
    return FileProblemError(file, f"it cannot be read ({error.strerror or error})", "check its path and permissions")


def _entries(file: Path) -> Iterator[tuple[bytes, NDArray[np.float64]]]:
    """Yield each word with its numbers; they must be as many as the first line promises."""
    n_dims = n_entries = 0
    promised: int | None = None
    for number, line in _lines(file):
        if not n_dims:
            header = _HEADER.fullmatch(line)
            n_dims = int(header[2]) if header else len(line.split()) - 1
            if not n_dims:
                raise _bad_line(file, number, "has no numbers")
            if header:
                promised = int(header[1])
                continue
        n_entries += 1
        yield _entry(file, number, line, n_dims)
    if promised is not None and promised != n_entries:
        problem = f"its first line promises {promised:,} words, and it has {n_entries:,}"
        raise FileProblemError(file, problem, "fetch the file again")
    if not n_entries:
        raise FileProblemError(file, "it holds no words", TEXT_FORMATS)


def _entry(file: Path, number: int, line: bytes, n_dims: int) -> tuple[bytes, NDArray[np.float64]]:
    """Take a line apart; a word may contain spaces, but not end in a number."""
    try:
        line.decode("utf-8")
    except UnicodeDecodeError as error:
        raise FileProblemError(file, f"line {number:,} is not UTF-8 text", TEXT_FORMATS) from error
    fields = line.rsplit(None, n_dims)
    word, numbers = fields[0].strip(), fields[1:]
    if len(numbers) < n_dims or (len(word.split()) > 1 and _parsed(word.split()[-1:]) is not None):
        raise _bad_line(file, number, f"has {len(line.split()):,} fields instead of a word and {n_dims:,} numbers")
    values = _parsed(numbers)
    if values is None:
        raise _bad_line(file, number, "has a field that is no plain number")
    return word, values


def _parsed(numbers: Sequence[bytes]) -> NDArray[np.float64] | None:
    """Read plain decimal numbers; None where one is something else, not finite or absurdly large."""
    if b"".join(numbers).translate(None, _NUMBER_BYTES):
        return None
    try:
        values = np.array(numbers, dtype=np.float64)
    except ValueError:
        return None
    return values if (np.abs(values) < LARGEST_NUMBER).all() else None


def _lines(file: Path) -> Iterator[tuple[int, bytes]]:
    """Yield number and content of each line that is not blank; what takes long shows a bar on a terminal."""
    try:
        with (
            file.open("rb") as raw,
            tqdm(desc=f"reading {file.name}", unit="B", unit_scale=True, disable=None, delay=1) as bar,
        ):
            bar.total = file.stat().st_size
            stream = gzip.GzipFile(fileobj=raw) if raw.peek(2).startswith(_GZIP_START) else raw
            if b"\0" in stream.peek(4096):
                raise FileProblemError(file, "it is in a binary format", TEXT_FORMATS)
            number = 0
            while line := stream.readline(MAX_LINE_BYTES):
                number += 1
                bar.update(raw.tell() - bar.n)
                if len(line) == MAX_LINE_BYTES:
                    raise FileProblemError(file, f"line {number:,} is too long for word vectors", TEXT_FORMATS)
                if line.strip():
                    yield number, line.removeprefix(_UTF8_MARK) if number == 1 else line
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise FileProblemError(file, "its compressed content is damaged", "fetch the file again") from error
    except OSError as error:
        raise unreadable(file, error) from error


def _bad_line(file: Path, number: int, problem: str) -> FileProblemError:
    """Name a line that is no word with its numbers."""
    return FileProblemError(file, f"line {number:,} {problem}", "mend or remove the line, or fetch the file again")
