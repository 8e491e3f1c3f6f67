"""Compressed files: read as what they hold, or refused; never cut short in silence, and no bomb goes off."""

from __future__ import annotations

import base64
import csv
import gzip
import io
import json
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from places import scaled

from classifier.errors import ClassifierError, FileProblemError
from classifier.reading.compression import BOMB_BYTES, BOMB_RATIO, LONGEST_LINE_BYTES, open_bytes
from classifier.reading.documents import READERS, Row, Table, open_table, read_documents
from classifier.reading.signatures import refuse_binary
from classifier.workflows.labelled import name_from


def zstandard(content: bytes) -> bytes:
    """Compress as one frame, which has no checksum."""
    compressed: bytes = pa.compress(content, codec="zstd", asbytes=True)
    return compressed


COMPRESS: dict[str, Callable[[bytes], bytes]] = {".gz": partial(gzip.compress, compresslevel=6), ".zst": zstandard}
TEXT_READERS = sorted(set(READERS) - {".parquet"})
CSV = b"text,label\n" + b"".join(b"drink number %d,%s\n" % (n, (b"warm", b"cold")[n % 2]) for n in range(20))
CHECKED_CSV = (
    "text,label\ncafé au lait,warm\nlemonade,cold\n" + '"tea, black",warm\niced tea,cold\ncocoa with cream,warm\n'
) + "".join(f"drink number {n}{n},cold\n" for n in range(1, 9))
CHECKED_ZST = base64.b64decode(  # made of CHECKED_CSV by the zstd command, hence with a checksum
    "KLUv/WQKAA0EAAJHGB2wNR3MYUkyZ2ErhtzbfDuslPJM8pqIiG61RXDPCUe5E5dFUZIEQY7DMIqCII4tUs06ZiWm6svyAi0J7p2dp5tpYPKMDr"
    "9tOMqduPrVavkodgG2dL7mRygAnocXnbENtgUMACDBIMEgwSDBIMEgQZwncGpURw2AszmtxjEoKF+IhX0="
)
SKIPPED_FRAME = b"\x50\x2a\x4d\x18\x05\x00\x00\x00hello"
MEBIBYTE = 1 << 20
HIGH_WATER = 'next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmHWM")) / 1024'


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder for all examples of this module."""
    return tmp_path_factory.mktemp("compression")


def write(folder: Path, name: str, content: bytes) -> Path:
    """Write a file byte for byte."""
    path = folder / name
    path.write_bytes(content)
    return path


def held(table: Table) -> tuple[object, ...]:
    """Return all that a table says, but for its name."""
    rows = [row if isinstance(row, Row) else (row.row, row.reason) for row in table.rows()]
    return table.format, table.columns, table.n_rows, table.delimiter, table.notes, rows


def outcome(path: Path, **options: str) -> object:
    """Return what a file holds, or what is wrong with it."""
    try:
        return held(open_table(path, **options))
    except FileProblemError as error:
        return error.problem, error.remedy


def refusal(path: Path, **options: str) -> str:
    """Return the one sentence with which a file is refused, without its name."""
    with pytest.raises(FileProblemError) as caught:
        open_table(path, **options)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert message.endswith(".")
    assert "\n" not in message
    return message.removeprefix(f"{path}: ")


@pytest.mark.parametrize("packed", COMPRESS)
@pytest.mark.parametrize("suffix", TEXT_READERS)
def test_every_kind_of_text_is_read_through_every_compression(tmp_path: Path, suffix: str, packed: str) -> None:
    """Only the name of the source tells the compressed file from the other."""
    content = b'{"text": "a", "n": 1.10}\n{"n": 1e5}\n' if "j" in suffix else b"text\tlabel\na, b\tx\n\nragged\n"
    plain = open_table(write(tmp_path, f"a{suffix}", content))
    for name in (f"a{suffix}{packed}", f"A.B{suffix}{packed}".upper()):
        path = write(tmp_path, name, COMPRESS[packed](content))
        assert held(open_table(path)) == held(plain)
        assert open_table(path).source == str(path)


@pytest.mark.parametrize("packed", COMPRESS)
@pytest.mark.parametrize("codec", ["utf-8-sig", "utf-16", "utf-16-le", "cp1252", "cp1251", "shift_jis", "iso2022_jp"])
def test_encodings_are_found_through_every_compression(tmp_path: Path, codec: str, packed: str) -> None:
    """What was guessed is told as for any file."""
    word = {"cp1251": "Спасибо большое", "cp1252": "Très déçu, 25 €"}.get(codec, "荷物はどこですか" * ("jp" in codec))
    content = f"text,label\n{word},x\nplain words,y\n".encode(codec)
    plain = write(tmp_path, "a.csv", content)
    path = write(tmp_path, f"a.csv{packed}", COMPRESS[packed](content))
    assert held(open_table(path)) == held(open_table(plain))
    assert outcome(path, encoding="latin-1") == outcome(plain, encoding="latin-1")


CELLS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(
    rows=st.lists(st.tuples(CELLS, CELLS), min_size=1, max_size=8),
    packed=st.sampled_from(sorted(COMPRESS)),
    codec=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
)
@settings(max_examples=scaled(20, 100), deadline=None)
def test_tables_are_read_as_if_they_were_not_compressed(
    folder: Path, rows: list[tuple[str, str]], packed: str, codec: str
) -> None:
    """CSV and JSON lines of any texts come back equal, compressed or not."""
    buffer = io.StringIO(newline="")
    csv.writer(buffer, quoting=csv.QUOTE_ALL).writerows([("text", "label"), *rows])
    lines = "".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in rows)
    for suffix, content in ((".csv", buffer.getvalue()), (".jsonl", lines)):
        plain = open_table(write(folder, f"a{suffix}", content.encode(codec)))
        compressed = open_table(write(folder, f"a{suffix}{packed}", COMPRESS[packed](content.encode(codec))))
        assert held(compressed) == held(plain)
        assert [row.cells for row in compressed.rows() if isinstance(row, Row)] == rows


@given(
    content=st.binary(min_size=1, max_size=200)
    | st.text('ab""\',;\t\n\r é{}[]:1\x00', min_size=1, max_size=200).map(str.encode)
)
@example(content=b"text,label\na\n")
@settings(max_examples=scaled(30, 150), deadline=None)
@pytest.mark.parametrize("packed", COMPRESS)
@pytest.mark.parametrize("suffix", TEXT_READERS)
def test_any_bytes_mean_the_same_compressed(folder: Path, suffix: str, packed: str, content: bytes) -> None:
    """The same rows come out, or the same sentence does, but that it names what is inside where that is no text."""
    assume(not content.startswith(b"PAR1"))  # without its end, which comes last, nothing in an archive is Parquet
    plain = outcome(write(folder, f"b{suffix}", content))
    compressed = outcome(write(folder, f"b{suffix}{packed}", COMPRESS[packed](content)))
    is_binary = "not a table of documents" in str(plain) and len(compressed) == len(plain) == 2  # type: ignore[arg-type]
    assert compressed == plain or is_binary


@pytest.mark.parametrize(
    ("packed", "layers"),
    [
        (".gz", [gzip.compress(CSV[:100]), gzip.compress(CSV[100:])]),
        (".gz", [gzip.compress(bytes([byte])) for byte in CSV]),
        (".gz", [gzip.compress(b""), gzip.compress(CSV), gzip.compress(b""), bytes(512)]),
        (".zst", [zstandard(CSV[:100]), zstandard(CSV[100:])]),
        (".zst", [zstandard(bytes([byte])) for byte in CSV]),
        (".zst", [SKIPPED_FRAME, zstandard(CSV[:1]), zstandard(b""), SKIPPED_FRAME, zstandard(CSV[1:]), SKIPPED_FRAME]),
    ],
)
def test_archives_behind_one_another_are_read_to_the_end(tmp_path: Path, packed: str, layers: list[bytes]) -> None:
    """Parallel compressors write many small ones; some are empty, are to be skipped, or are followed by padding."""
    path = write(tmp_path, f"a.csv{packed}", b"".join(layers))
    with open_bytes(path) as file:
        assert file.read() == CSV
    assert held(open_table(path)) == held(open_table(write(tmp_path, "a.csv", CSV)))


PARQUET = b"PAR1\x15\x04\x15 PAR1"
REFUSED = {
    "plain": ("a.csv.gz", CSV, "its name ends in .gz, but it is no gzip archive; take .gz off its name"),
    "plain zst": ("a.jsonl.zst", b'{"text": "a"}', "its name ends in .zst, but it is no Zstandard archive; take .zst"),
    "other": ("a.csv.gz", zstandard(CSV), "its name ends in .gz, but it is no gzip archive; rename it to end in .zst"),
    "nameless gzip": ("a.csv", gzip.compress(CSV), "it is a gzip archive, not a table of documents; rename it to end"),
    "nameless zst": ("a.tsv", zstandard(CSV), "it is a Zstandard archive, not a table of documents; rename it to end"),
    "twice": ("a.csv.gz", gzip.compress(zstandard(CSV)), "it is compressed twice; unpack it once"),
    "Parquet": ("a.parquet.gz", gzip.compress(PARQUET), "a Parquet file is not read from an archive; unpack it first"),
    "not packed": ("a.PARQUET.zst", PARQUET, "a Parquet file is not read from an archive; unpack it first"),
    "disguised": ("a.csv.gz", gzip.compress(PARQUET), "what is compressed in it is a Parquet file, not a table"),
    "a PDF": ("a.csv.zst", zstandard(b"%PDF-1.7"), "what is compressed in it is a PDF document, not a table"),
    "a web page": ("a.csv.gz", gzip.compress(b"<html>"), "what is compressed in it is a web page, not a table"),
    "a tar": ("a.tar.gz", gzip.compress(b"x"), "files ending in '.tar.gz' are not read; use one of '.csv', "),
    "one text": ("a.txt.zst", zstandard(b"x"), "files ending in '.txt.zst' are not read; use one of '.csv', "),
    "no ending": ("a.gz", gzip.compress(CSV), "its name has no ending before .gz; use one of '.csv', "),
    "nothing": ("a.csv.gz", b"", "it is empty; give a file"),
    "nothing in it": ("a.csv.gz", gzip.compress(b""), "it is empty; give a file"),
    "rubbish behind": ("a.csv.gz", gzip.compress(CSV) + b"rubbish", "the gzip archive is damaged or cut short; copy"),
    "rubbish": ("a.csv.zst", zstandard(CSV) + b"rubbish", "the Zstandard archive is damaged or cut short; copy"),
    "wide window": (
        "a.csv.zst",
        b"\x28\xb5\x2f\xfd\x00\xa8" + bytes(9),
        "the Zstandard archive needs more than 128 MiB",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_not_as_its_name_says_is_refused_in_one_sentence(tmp_path: Path, case: str) -> None:
    """The sentence says what the file is, and what to do."""
    name, content, expected = REFUSED[case]
    message = refusal(write(tmp_path, name, content))
    assert message[: len(expected)] == expected


def test_allowed_endings_are_listed_with_compressions(tmp_path: Path) -> None:
    """Whoever gave another kind of file reads that .gz and .zst may follow."""
    message = refusal(write(tmp_path, "a.json", b"{}"))
    assert "'.parquet' (all but Parquet also with .gz or .zst behind), a document ('.txt', " in message
    assert message.endswith("'.eml'), or a folder of them.")


@pytest.mark.parametrize("encoding", [None, "utf-8", "latin-1"])
@pytest.mark.parametrize(
    ("name", "whole"),
    [("a.csv.gz", gzip.compress(CHECKED_CSV.encode())), ("a.csv.zst", CHECKED_ZST)],
)
def test_damage_is_refused_or_harmless(tmp_path: Path, name: str, whole: bytes, encoding: str | None) -> None:
    """Change every tenth byte, and the last nine one by one, which are the checksum: no other rows ever come out.

    What is harmless are the time and the system of a gzip header.
    """
    options = {} if encoding is None else {"encoding": encoding}
    expected = outcome(write(tmp_path, name, whole), **options)
    assert expected[1:3] == (("text", "label"), 13)  # type: ignore[index]
    places = [*range(0, len(whole), 10), *range(len(whole) - 9, len(whole))]
    for place in places:
        damaged = bytearray(whole)
        damaged[place] ^= 0x15
        found = outcome(write(tmp_path, name, damaged), **options)
        assert len(found) == 2 or (place < 10 and found == expected), place  # type: ignore[arg-type]
        if place >= 10:
            assert "is damaged or cut short" in str(found)


@pytest.mark.parametrize("n_archives", [1, 2])
@pytest.mark.parametrize(
    ("name", "archive"),
    [("a.csv.gz", gzip.compress(CSV)), ("a.csv.zst", CHECKED_ZST), ("b.csv.zst", zstandard(CSV))],
)
def test_what_is_cut_short_is_refused(tmp_path: Path, name: str, archive: bytes, n_archives: int) -> None:
    """Cut at every tenth byte, in the first archive or in the last, with a checksum or without."""
    before = archive * (n_archives - 1)
    for kept in (*range(3, len(archive), 10), len(archive) - 1):
        message = refusal(write(tmp_path, name, before + archive[:kept]))
        assert "damaged or cut short" in message or (n_archives == 1 and kept < 4), kept


def test_a_change_after_the_scan_is_noticed(tmp_path: Path) -> None:
    """A pass over another archive does not end in silence."""
    path = write(tmp_path, "a.csv.gz", gzip.compress(CSV))
    table = open_table(path)
    path.write_bytes(gzip.compress(CSV[:100]))
    with pytest.raises(FileProblemError, match="changed while it was read"):
        list(table.rows())
    path.write_bytes(gzip.compress(CSV)[:-9])
    with pytest.raises(FileProblemError, match="damaged or cut short"):
        list(table.rows())


def test_rows_can_be_streamed_at_once(tmp_path: Path) -> None:
    """Every pass has its own place in the archive, and one that is given up lets go of the file."""
    for packed, compress in COMPRESS.items():
        table = open_table(write(tmp_path, f"a.csv{packed}", compress(CSV)))
        assert list(zip(table.rows(), table.rows(), strict=True)) == [(row, row) for row in table.rows()]
        assert next(table.rows()) == Row(1, ("drink number 0", "warm"))


def test_folders_are_not_searched_for_archives(tmp_path: Path) -> None:
    """Only what is called .txt is a document, and an archive that is called so is rejected."""
    write(tmp_path, "1.txt", b"one")
    write(tmp_path, "2.txt.gz", gzip.compress(b"two"))
    write(tmp_path, "3.txt", gzip.compress(b"three"))
    [record, rejection] = read_documents(tmp_path)
    assert record.document.id == "1.txt"  # type: ignore[union-attr]
    assert rejection.reason == "cannot be read: it is a gzip archive, not a table of documents"  # type: ignore[union-attr]


@pytest.mark.parametrize("name", ["tickets.csv.gz", "tickets.jsonl.zst", "tickets.CSV.GZ", "tickets.csv", "tickets.gz"])
def test_models_are_named_without_endings(name: str) -> None:
    assert name_from(Path("folder") / name) == "tickets"


ROWS = b"text,label\n" + b"some words,x\n" * (MEBIBYTE // 13)
BOMB_ARCHIVES = BOMB_BYTES // len(ROWS) + 2
LINE = b"a" * MEBIBYTE


def honest(n_rows: int) -> bytes:
    """Return rows that compress as text does."""
    return b"text,label\n" + b"".join(b"%d words %d,x\n" % (n, n * 7919 % 100_003) for n in range(n_rows))


BOMBS: dict[str, tuple[str, Callable[[], bytes], str]] = {
    "gzip": ("a.csv.gz", lambda: gzip.compress(ROWS) * BOMB_ARCHIVES, "over 128 MiB of it come from less than a 200th"),
    "zst": ("a.jsonl.zst", lambda: zstandard(ROWS) * BOMB_ARCHIVES, "over 128 MiB of it come from less than a 200th"),
    "a bomb behind honest rows": (
        "a.csv.gz",
        lambda: gzip.compress(honest(200_000), 1) + gzip.compress(ROWS) * 2 * BOMB_ARCHIVES,
        "over 128 MiB of it come from less than a 200th",
    ),
    "UTF-16": (
        "a.csv.gz",
        lambda: (
            gzip.compress(ROWS.decode().encode("utf-16")) + gzip.compress("words\n".encode("utf-16-le") * MEBIBYTE) * 20
        ),
        "over 128 MiB of it come from less than a 200th",
    ),
    "one line": ("a.csv.gz", lambda: gzip.compress(LINE) * 100, "it unpacks to a line of over 64 MiB"),
    "one line of zst": ("a.jsonl.zst", lambda: zstandard(LINE) * 100_000, "it unpacks to a line of over 64 MiB"),
    "NUL": ("a.tsv.gz", lambda: gzip.compress(bytes(MEBIBYTE)) * 100, "it unpacks to a line of over 64 MiB"),
}


@pytest.mark.parametrize("case", BOMBS)
@pytest.mark.parametrize("encoding", [None, "utf-8"])
def test_bombs_do_not_go_off(tmp_path: Path, case: str, encoding: str | None) -> None:
    """They are refused before anything is made of them, soon and in a memory that stays flat."""
    name, make, expected = BOMBS[case]
    path = write(tmp_path, name, make())
    code = f"""
import pyarrow, sys, time
from classifier.errors import FileProblemError
from classifier.reading.documents import open_table
before, started = {HIGH_WATER}, time.process_time()
try:
    open_table(sys.argv[1], encoding={encoding!r})
except FileProblemError as error:
    print(error.problem)
print({HIGH_WATER} - before, time.process_time() - started)
"""
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True)
    problem, figures = done.stdout.splitlines()
    grown, seconds = map(float, figures.split())
    assert problem[: len(expected)] == expected
    assert grown < 32
    assert seconds < 4


@pytest.mark.parametrize("packed", COMPRESS)
def test_a_long_file_takes_no_more_memory_than_a_short_one(tmp_path: Path, packed: str) -> None:
    """Nothing is unpacked as a whole."""
    short, long = honest(200_000), honest(1_500_000)
    assert len(short) > 3 * MEBIBYTE
    assert len(long) > 30 * MEBIBYTE
    code = f"""
import sys
from pathlib import Path
from classifier.reading.compression import require_whole
from classifier.reading.encodings import find_encoding, text_lines
for path in map(Path, sys.argv[1:]):
    require_whole(path)
    print(sum(1 for _ in text_lines(path, find_encoding(path).codec)), {HIGH_WATER})
"""
    paths = [
        write(tmp_path, f"{number}.csv{packed}", COMPRESS[packed](rows)) for number, rows in enumerate((short, long))
    ]
    done = subprocess.run([sys.executable, "-c", code, *map(str, paths)], capture_output=True, text=True, check=True)
    (n_short, before), (n_long, after) = (line.split() for line in done.stdout.splitlines())
    assert (n_short, n_long) == ("200001", "1500001")
    assert float(after) - float(before) < 4


def test_repetitive_tables_are_no_bombs(tmp_path: Path) -> None:
    """The same row many times is above the ratio of a bomb, but far below its size; a long text is read whole."""
    for packed, compress in COMPRESS.items():
        path = write(tmp_path, f"a.csv{packed}", compress(ROWS))
        assert len(ROWS) > BOMB_RATIO * path.stat().st_size
        assert open_table(path).n_rows == MEBIBYTE // 13
    long = b"words " * (2 * MEBIBYTE)
    assert len(long) < LONGEST_LINE_BYTES
    [row] = open_table(write(tmp_path, "b.csv.gz", gzip.compress(b"text,label\n" + long + b",x\n"))).rows()
    assert isinstance(row, Row)
    assert row.cells == (long.decode(), "x")


def test_what_is_wrong_with_the_disk_is_not_blamed_on_the_archive(tmp_path: Path) -> None:
    """A folder cannot be read, whatever its name."""
    (tmp_path / "a.csv.gz").mkdir()
    with pytest.raises(IsADirectoryError):
        refuse_binary(tmp_path / "a.csv.gz")
    with pytest.raises(ClassifierError, match=r"no \.txt file in this folder"):
        open_table(tmp_path / "a.csv.gz")
