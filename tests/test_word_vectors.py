"""Word vectors from files of every format, bad ones too, and what is made of them."""

from __future__ import annotations

import gzip
import math
import os
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from places import scaled

from classifier import DocumentClassifier
from classifier.datamodels import EncoderOptions
from classifier.embedding import words
from classifier.embedding.contract import Embedder, HasState, MeasuresCoverage, State
from classifier.embedding.embedders import EmbedderName
from classifier.embedding.word_vectors import (
    WordVectors,
    WordVectorsEmbedder,
    load_word_vectors,
    read_word_vectors,
    restore_word_vectors,
)
from classifier.errors import CacheWarning, EmbedderError, FileMissingError, FileProblemError, UnfittedEmbedderError

N_HUGE, N_WORDS = scaled(1_000_000, 10_000_000), scaled(4_000, 20_000)
ROWS = {
    "sun": [1.0, 0.0, 0.25],
    "Rain": [0.0, 1.0, 0.0],
    "rain": [0.0, -1.0, 0.5],
    "don't": [0.5, 0.5, 0.5],
    "3.14": [3.0, 1.0, 4.0],
    "don": [0.0, 0.0, 1.0],
    "हिन्दी": [-1.0, 0.0, 0.0],
    "über": [0.0, -2.0, 0.0],
    "2024": [1.0, 1.0, 1.0],
}


def lines_of(rows: dict[str, list[float]]) -> list[str]:
    """Write a line for each word."""
    return [" ".join([word, *map(str, numbers)]) for word, numbers in rows.items()]


def written(path: Path, *lines: str) -> Path:
    """Write a file line by line."""
    path.write_bytes("".join(f"{line}\n" for line in lines).encode())
    return path


GLOVE = "\n".join(lines_of(ROWS)) + "\n"
HEADER = f"{len(ROWS)} 3\n"
FORMATS: dict[str, bytes] = {
    "GloVe": GLOVE.encode(),
    "word2vec": (HEADER + GLOVE).encode(),
    "fastText, with a space at each end": (HEADER + GLOVE.replace("\n", " \n")).encode(),
    "compressed": gzip.compress(GLOVE.encode()),
    "compressed with header": gzip.compress((HEADER + GLOVE).encode()),
    "tabs": (HEADER + GLOVE).replace(" ", "\t").encode(),
    "Windows lines": (HEADER + GLOVE).replace("\n", "\r\n").encode(),
    "a byte order mark": b"\xef\xbb\xbf" + (HEADER + GLOVE).encode(),
    "no last line feed": GLOVE.encode().rstrip(),
    "blank lines": ("\n" + GLOVE + "\n \n").encode(),
    "exponents": GLOVE.replace("-2.0", "-2e+0").replace("0.25", "2.5E-1").encode(),
}


@pytest.fixture
def options(tmp_path: Path) -> EncoderOptions:
    """Keep what is converted in the test's own folder."""
    return EncoderOptions(cache_dir=tmp_path / "cache", download=False)


@pytest.fixture(scope="module")
def words_read(tmp_path_factory: pytest.TempPathFactory) -> WordVectors:
    """Read the small file."""
    folder = tmp_path_factory.mktemp("words")
    return read_word_vectors(str(written(folder / "small.txt", *lines_of(ROWS))), folder / "cache")


def embedder_of(found: WordVectors, weights: dict[str, float] | None = None) -> WordVectorsEmbedder:
    """Make an embedder with given weights."""
    weighted = sorted((found.index[word], weight) for word, weight in (weights or {}).items())
    rows = np.array([row for row, _ in weighted], dtype=np.int32)
    return WordVectorsEmbedder(found, rows, np.array([weight for _, weight in weighted], dtype=np.float32))


def named(file: Path | str) -> EmbedderName:
    """Name a file as the user does behind the family's colon."""
    return EmbedderName("word-vectors", str(file))


def kept_folder(options: EncoderOptions) -> Path:
    """Return the only converted file of a cache; nothing else may lie beside it."""
    (folder,) = (options.cache_dir / "word-vectors").iterdir()
    return folder


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_holds_the_same(tmp_path: Path, options: EncoderOptions, kind: str) -> None:
    """Words and numbers come out of each format alike, at first and from what is kept."""
    file = tmp_path / "vectors"
    file.write_bytes(FORMATS[kind])
    for _ in range(2):
        found = read_word_vectors(str(file), options.cache_dir)
        assert list(found.index) == list(ROWS)
        assert found.vectors.dtype == np.float32
        assert found.vectors.tolist() == list(ROWS.values())
        assert isinstance(found.vectors, np.memmap)


@settings(deadline=None, max_examples=scaled(10, 50))
@given(
    rows=st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs", "Cc", "Zs", "Zl", "Zp"]), min_size=1, max_size=8),
        st.lists(st.floats(-1e6, 1e6, width=32), min_size=2, max_size=2),
        min_size=1,
        max_size=9,
    ),
    per_block=st.integers(1, 4),
)
def test_any_words_round_trip(
    tmp_path_factory: pytest.TempPathFactory, rows: dict[str, list[float]], per_block: int
) -> None:
    """What was written is read, bit for bit, however many rows are held at once."""
    folder = tmp_path_factory.mktemp("words")
    file = written(folder / "v.txt", f"{len(rows)} 2", *lines_of(rows))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(words, "ROWS_PER_BLOCK", per_block)
        found = read_word_vectors(str(file), folder / "cache")
    assert {word: found.vectors[row].tolist() for word, row in found.index.items()} == rows


def test_words_may_contain_spaces_and_come_twice(tmp_path: Path, options: EncoderOptions) -> None:
    """The last numbers of a line are the vector, and the first line of a word counts."""
    file = written(tmp_path / "v.txt", "a 1 2", ". . . 3 4", "a 5 6", "b c 7 8", "\u00a0 9 9")
    found = read_word_vectors(str(file), options.cache_dir)
    assert list(found.index) == ["a", ". . .", "b c", "\u00a0"]
    assert found.vectors.tolist() == [[1, 2], [3, 4], [7, 8], [9, 9]]


BAD_LINES: dict[str, tuple[bytes, str]] = {
    "too few": (b"a 1 2\nb 1\nc 1 2\n", r"line 2 has 2 fields instead of a word and 2 numbers"),
    "too many": (b"a 1 2\nb 1 2 3\n", r"line 2 has 4 fields instead of a word and 2 numbers"),
    "fewer than promised": (b"2 3\na 1 2 3\nb 1 2\n", r"line 3 has 3 fields instead of a word and 3 numbers"),
    "no word": (b"a 1 2\n 1 2\n", r"line 2 has 2 fields"),
    "a letter": (b"a 1 2\nb 1 x\n", r"line 2 has a field that is no plain number"),
    "an underscore": (b"a 1 2\nb 1 1_0\n", r"line 2 has a field that is no plain number"),
    "two points": (b"a 1 2\nb 1 1.2.3\n", r"line 2 has a field that is no plain number"),
    "not a number": (b"a 1 2\nb nan 1\n", r"line 2 has a field that is no plain number"),
    "infinite": (b"a 1 2\nb 1 -inf\n", r"line 2 has a field that is no plain number"),
    "infinite when read": (b"a 1 2\nb 1 1e999\n", r"line 2 has a field that is no plain number"),
    "absurdly large": (b"a 1 2\nb 1 1e39\n", r"line 2 has a field that is no plain number"),
    "hexadecimal": (b"a 1 2\nb 1 0x1\n", r"line 2 has a field that is no plain number"),
    "other digits": ("a 1 2\nb 1 ٣\n".encode(), r"line 2 has a field that is no plain number"),
    "bad UTF-8": (b"a 1 2\n\xff\xfe 1 2\n", r"line 2 is not UTF-8 text"),
    "a half character": (b"a 1 2\n\xed\xa0\x80 1 2\n", r"line 2 is not UTF-8 text"),
    "prose": (b"a 1 2\nThe sun is shining\n", r"line 2 has a field that is no plain number"),
    "in the first line": (b"\nThe sun is shining\n", r"line 2 has a field that is no plain number"),
    "no numbers": (b"sun\nrain\n", r"line 1 has no numbers"),
    "no dimensions": (b"3 0\na\nb\nc\n", r"line 1 has no numbers"),
    "a long line": (b"a 1 2\nb " + b"1 " * 600_000 + b"\n", r"line 2 is too long"),
    "fewer lines": (b"3 2\na 1 2\nb 1 2\n", r"its first line promises 3 words, and it has 2"),
    "more lines": (b"1 2\na 1 2\nb 1 2\n", r"its first line promises 1 words, and it has 2"),
    "empty": (b"", r"it holds no words"),
    "blank": (b" \n\n", r"it holds no words"),
    "a header alone": (b"0 3\n", r"it holds no words"),
    "word2vec's binary format": (b"1 3\na " + struct.pack("<3f", 0.1, 1.0, -2.0) + b"\n", r"it is in a binary format"),
    "fastText's binary format": (struct.pack("<iii", 793712314, 12, 100), r"it is in a binary format"),
    "numbers in binary without a zero": (b"1 2\na " + struct.pack("<2f", 0.1, -0.3) + b"\n", r"line 2 is not UTF-8"),
    "an archive": (b"PK\x03\x04\x14\x00\x00\x00", r"it is in a binary format"),
    "UTF-16": ("a 1 2\n".encode("utf-16"), r"it is in a binary format"),
    "cut off in compression": (gzip.compress(GLOVE.encode() * 99)[:-12], r"its compressed content is damaged"),
    "compressed noise": (b"\x1f\x8b" + b"noise" * 9, r"its compressed content is damaged"),
    "altered in compression": (gzip.compress(GLOVE.encode())[:-8] + b"\0" * 8, r"its compressed content is damaged"),
    "a bad line in compression": (gzip.compress(b"a 1 2\nb 1\n"), r"line 2 has 2 fields"),
}


@pytest.mark.parametrize("kind", BAD_LINES)
def test_a_bad_file_is_named_with_its_line(tmp_path: Path, options: EncoderOptions, kind: str) -> None:
    """The message gives file, line and what is wrong with it, and nothing half-converted stays."""
    content, says = BAD_LINES[kind]
    file = tmp_path / "vectors.txt"
    file.write_bytes(content)
    with pytest.raises(FileProblemError, match=rf"vectors\.txt: {says}") as caught:
        load_word_vectors(named(file), options)
    assert "\n" not in str(caught.value)
    assert list((options.cache_dir / "word-vectors").iterdir()) == []


@pytest.mark.parametrize("name", ["nowhere.txt", "a\0b", "x/" * 9 + "y", "~nobody-by-this-name/vectors.txt"])
def test_a_missing_file_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, options: EncoderOptions, name: str
) -> None:
    """What is not there, or cannot be, is said so."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileMissingError):
        load_word_vectors(named(name), options)


def test_what_is_no_file_is_one_sentence(tmp_path: Path, options: EncoderOptions) -> None:
    """A folder, a pipe, an impossible name and no name are refused, not waited for."""
    os.mkfifo(tmp_path / "pipe")
    for source, says in (
        (tmp_path, "folder or a device"),
        (tmp_path / "pipe", "device"),
        ("x" * 300, "cannot be read"),
    ):
        with pytest.raises(FileProblemError, match=says):
            load_word_vectors(named(source), options)
    with pytest.raises(EmbedderError, match="word-vectors:FILE"):
        load_word_vectors(named(""), options)


def test_what_is_kept_is_not_converted_again(tmp_path: Path, options: EncoderOptions) -> None:
    """A second reading leaves the files alone; a changed file is converted on its own."""
    file = written(tmp_path / "v.txt", "a 1 2")
    read_word_vectors(str(file), options.cache_dir)
    before = {path: path.stat().st_ino for path in kept_folder(options).iterdir()}
    read_word_vectors(str(file), options.cache_dir)
    assert {path: path.stat().st_ino for path in kept_folder(options).iterdir()} == before
    written(file, "a 1 3")
    assert read_word_vectors(str(file), options.cache_dir).vectors.tolist() == [[1, 3]]
    assert len(list((options.cache_dir / "word-vectors").iterdir())) == 2


@pytest.mark.parametrize("file", [words.VECTORS_FILE, words.VOCABULARY_FILE, words.DESCRIPTION_FILE])
def test_what_is_damaged_is_converted_again(tmp_path: Path, options: EncoderOptions, file: str) -> None:
    """One flipped bit in what is kept is noticed and mended."""
    source = written(tmp_path / "v.txt", *lines_of(ROWS))
    read_word_vectors(str(source), options.cache_dir)
    damaged = kept_folder(options) / file
    sound = damaged.read_bytes()
    damaged.write_bytes(sound[:9] + bytes([sound[9] ^ 1]) + sound[10:])
    found = read_word_vectors(str(source), options.cache_dir)
    assert found.vectors.tolist() == list(ROWS.values())
    assert list(found.index) == list(ROWS)
    assert (kept_folder(options) / file).read_bytes() == sound


def test_a_cache_that_cannot_be_written_costs_a_warning(tmp_path: Path, options: EncoderOptions) -> None:
    """The vectors stay in memory, and it is said once."""
    options.cache_dir.write_text("mine")
    with pytest.warns(CacheWarning, match="CLASSIFIER_CACHE_DIR") as caught:
        found = read_word_vectors(str(written(tmp_path / "v.txt", *lines_of(ROWS))), options.cache_dir)
    assert len(caught) == 1
    assert found.vectors.tolist() == list(ROWS.values())
    assert list(found.index) == list(ROWS)


def test_a_large_file_is_streamed(tmp_path: Path, options: EncoderOptions) -> None:
    """Converting needs memory for the words, not for their numbers."""
    numbers = " ".join(["0.125"] * 200)
    file = tmp_path / "v.txt"
    with file.open("w") as stream:
        stream.writelines(f"w{row} {numbers}\n" for row in range(N_WORDS))
    tracemalloc.start()
    found = read_word_vectors(str(file), options.cache_dir)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found.vectors.shape == (N_WORDS, 200)
    assert peak < file.stat().st_size / 2 + 8_000_000  # what any conversion needs


@pytest.mark.parametrize(
    ("text", "found", "n_unknown"),
    [
        ("sun", ["sun"], 0),
        ("SUN, sun!", ["sun", "sun"], 0),
        ("Rain rain RAIN", ["Rain", "rain", "rain"], 0),
        ("I don't", ["don't"], 1),
        ("don\u2019t", ["don"], 1),
        ("3.14 and 3,14", ["3.14"], 6),
        ("In 2024.", ["2024"], 2),
        ("sun-rain_Sun", ["sun", "rain", "sun"], 0),
        ("sunrain", [], 7),
        ("हिन्दी भाषा", ["हिन्दी"], 4),
        ("ÜBER", ["über"], 0),
        ("-sun- 'rain' ...", ["sun", "rain"], 0),
        ("sun--rain", ["sun", "rain"], 0),
        ("\ud800sun\0rain\udfff", ["sun", "rain"], 0),
        ("sun\u200drain", ["sun", "rain"], 0),
        ("我们", [], 2),
        ("!?.", [], 0),
        ("", [], 0),
    ],
)
def test_words_by_hand(words_read: WordVectors, text: str, found: list[str], n_unknown: int) -> None:
    """Words are tried as they are, then in lower case; joined ones whole, then in parts."""
    assert words_read.find(text) == ([words_read.index[word] for word in found], n_unknown)


def test_weights_are_learned_from_the_texts(tmp_path: Path, options: EncoderOptions) -> None:
    """Words of many texts weigh less; words of none weigh as much as the rarest."""
    recipe = load_word_vectors(named(written(tmp_path / "v.txt", "a 1 0 0", "b 0 1 0", "c 0 0 1")), options)
    texts = ["a a b", "a", "A!", "", "nothing"]
    embedder, embeddings = recipe.fit(texts)
    assert isinstance(embedder, HasState)
    state = embedder.state()
    assert state["rows"].tolist() == [0, 1]
    assert state["weights"] == pytest.approx([math.log(6 / 4) + 1, math.log(6 / 2) + 1])
    a, b = state["weights"]
    assert embeddings[0] == pytest.approx(np.array([2 * a, b, 0]) / math.hypot(2 * a, b))
    assert embedder.encode(["b c"])[0] == pytest.approx([0, math.sqrt(0.5), math.sqrt(0.5)])
    assert (embedder.encode(texts) == embeddings).all()
    assert (recipe.fit(texts, seed=5)[1] == embeddings).all()


def test_texts_without_known_words_teach_nothing(words_read: WordVectors, options: EncoderOptions) -> None:
    """Where no word is known, every word weighs the same."""
    embedder, embeddings = load_word_vectors(named(words_read.file), options).fit(["zzz", ""])
    assert not embeddings.any()
    assert [len(array) for array in embedder.state().values()] == [0, 0]
    assert embedder.encode(["sun"])[0] == pytest.approx(np.array(ROWS["sun"]) / np.linalg.norm(ROWS["sun"]))


def test_a_recipe_must_learn_first(words_read: WordVectors, options: EncoderOptions) -> None:
    """Before it has seen texts it refuses to embed, and has no contract."""
    recipe = load_word_vectors(named(words_read.file), options)
    with pytest.raises(UnfittedEmbedderError, match=r"word-vectors:.*small\.txt"):
        recipe.encode(["sun"])
    with pytest.raises(UnfittedEmbedderError):
        _ = recipe.contract


def test_state_gives_the_embedder_back(words_read: WordVectors, options: EncoderOptions) -> None:
    """File and weights make the same embedder, bit for bit."""
    texts = ["sun rain", "Rain in 2024", "don't"]
    embedder, embeddings = load_word_vectors(named(words_read.file), options).fit(texts)
    state = {key: array.copy() for key, array in embedder.state().items()}
    restored = restore_word_vectors(named(words_read.file), options, state)
    assert restored.contract == embedder.contract
    assert (restored.encode(texts) == embeddings).all()


def test_other_weights_or_another_file_are_another_contract(tmp_path: Path, words_read: WordVectors) -> None:
    """Vectors with different weights, or of different files, never meet; a file may be moved."""
    first = embedder_of(words_read, {"sun": 1.5})
    assert "weights_sha256" in first.contract.differences(embedder_of(words_read, {"sun": 2.0}).contract)
    assert "weights_sha256" in first.contract.differences(embedder_of(words_read, {"rain": 1.5}).contract)
    other = read_word_vectors(str(written(tmp_path / "v.txt", *lines_of(ROWS), "a 0 0 0")), tmp_path / "cache")
    assert {"weights_sha256", "revision"} <= set(first.contract.differences(embedder_of(other, {"sun": 1.5}).contract))
    moved = read_word_vectors(str(written(tmp_path / "moved", *lines_of(ROWS))), tmp_path / "cache")
    assert first.contract.differences(embedder_of(moved, {"sun": 1.5}).contract) == {}


def test_its_contract_is_complete(words_read: WordVectors) -> None:
    """Every field says what is so."""
    contract = embedder_of(words_read).contract
    assert contract.model_id == "word-vectors:small.txt"
    assert contract.revision == words_read.file_sha256
    assert (contract.pooling, contract.normalize, contract.prompt) == ("idf-weighted mean", True, "")
    assert (contract.max_tokens, contract.chunking, contract.dimension) == (0, "none", 3)
    assert (contract.dtype, contract.precision, contract.backend) == ("float32", "f32", "numpy")
    assert len(contract.weights_sha256) == len(contract.tokenizer_sha256) == 64


def state_of(rows: list[int], weights: list[float]) -> State:
    """Make a state of plain numbers."""
    return {"rows": np.array(rows, dtype=np.int32), "weights": np.array(weights, dtype=np.float32)}


BAD_STATES: dict[str, State] = {
    "empty": {},
    "no weights": {"rows": np.zeros(1, dtype=np.int32)},
    "one array more": {**state_of([0], [1]), "more": np.zeros(1)},
    "rows in int64": {**state_of([0], [1]), "rows": np.zeros(1, dtype=np.int64)},
    "weights in float64": {**state_of([0], [1]), "weights": np.ones(1)},
    "two dimensions": {key: array.reshape(1, -1) for key, array in state_of([0], [1]).items()},
    "fewer weights": state_of([0, 1], [1]),
    "not a number": state_of([0], [math.nan]),
    "infinite": state_of([0], [math.inf]),
    "a weight of nothing": state_of([0], [0]),
    "a row before the first": state_of([-1], [1]),
    "a row behind the last": state_of([len(ROWS)], [1]),
    "rows that fall": state_of([2, 1], [1, 1]),
    "a row twice": state_of([1, 1], [1, 1]),
}


@pytest.mark.parametrize("kind", BAD_STATES)
def test_a_damaged_state_is_refused(words_read: WordVectors, options: EncoderOptions, kind: str) -> None:
    """Weights that do not belong to the file are one sentence that names it."""
    with pytest.raises(EmbedderError, match=r"word weights do not fit .*small\.txt") as caught:
        restore_word_vectors(named(words_read.file), options, BAD_STATES[kind])
    assert "\n" not in str(caught.value)


TEXTS = st.lists(
    st.lists(st.sampled_from([*ROWS, "zzz", "☃", "SUN", "sun-rain", "!"])).map(" ".join)
    | st.text(st.characters(), max_size=30),
    max_size=6,
)


@settings(deadline=None)
@given(texts=TEXTS, window=st.integers(1, 3))
def test_company_and_order_change_no_vector(words_read: WordVectors, texts: list[str], window: int) -> None:
    """A text's vector is its own, bit for bit; windows and the order of its words do not show."""
    embedder: Embedder = embedder_of(words_read, {"sun": 1.25, "rain": 3.0})
    together = embedder.encode(texts)
    assert (together.shape, together.dtype) == ((len(texts), 3), np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(words, "WINDOW_TEXTS", window)
        assert (embedder.encode(texts) == together).all()
    for text, vector in zip(texts, together, strict=True):
        assert (embedder.encode([text])[0] == vector).all()
        assert (embedder.encode([" ".join(text.split()[::-1])])[0] == vector).all()


@settings(deadline=None)
@given(texts=TEXTS)
def test_vectors_have_unit_length_or_are_zeros(words_read: WordVectors, texts: list[str]) -> None:
    """Zeros belong to texts without a known word, and coverage is a share."""
    embedder = embedder_of(words_read)
    lengths, shares = np.linalg.norm(embedder.encode(texts), axis=1), embedder.coverage(texts)
    assert ((shares >= 0) & (shares <= 1)).all()
    for text, length, share in zip(texts, lengths, shares, strict=True):
        if words_read.find(text)[0]:
            assert length == pytest.approx(1, abs=1e-5) or length == 0
        else:
            assert (length, share) == (0, 0)


@pytest.mark.parametrize(
    ("text", "share"),
    [
        ("sun rain", 1.0),
        ("sun, rain!", 1.0),
        ("sun zzz", 0.5),
        ("sun ☃ zz\n\t z", 4 / 7),
        ("zzz!", 0.0),
        ("☃", 0.0),
        ("", 0.0),
        (" \n", 0.0),
        ("sun \ud800\0", 1.0),
    ],
)
def test_coverage_by_hand(words_read: WordVectors, text: str, share: float) -> None:
    """Characters of unknown words were not read; what lies between words was."""
    embedder = embedder_of(words_read)
    assert isinstance(embedder, MeasuresCoverage)
    assert embedder.coverage([text]).tolist() == pytest.approx([share])


@pytest.mark.parametrize(
    "text", ["sun rain " * (N_HUGE // 9), "sun-" * (N_HUGE // 4), "s" * N_HUGE], ids=["words", "joined", "one"]
)
def test_megabytes_are_read_whole_in_bounded_memory(words_read: WordVectors, text: str) -> None:
    """Many words, one endless joined word and one endless unknown word need little more than they are."""
    embedder = embedder_of(words_read)
    tracemalloc.start()
    vector = embedder.encode([text])[0]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    expected = embedder.encode([text[:9]])[0] if "-" not in text else embedder.encode(["sun"])[0]
    assert vector == pytest.approx(expected, abs=1e-5)
    assert embedder.coverage([text])[0] == float(vector.any())
    assert peak < 30 * N_HUGE


def test_huge_and_tiny_numbers_still_give_unit_length(tmp_path: Path) -> None:
    """Neither overflow nor underflow turns a vector into zeros or worse."""
    file = written(tmp_path / "v.txt", "huge 9e14 -9e14", "tiny 1e-30 1e-30")
    embedder = embedder_of(read_word_vectors(str(file), tmp_path / "cache"))
    found = embedder.encode(["huge " * 1000, "tiny", "huge tiny"])
    assert np.linalg.norm(found, axis=1) == pytest.approx([1, 1, 1])


def test_a_classifier_learns_on_it(words_read: WordVectors, options: EncoderOptions) -> None:
    """Training and predicting go the way of every embedder."""
    texts = ["sun", "sun zzz", "the sun", "sun sun", "rain", "rain zzz", "the rain", "rain rain"]
    labels = ["dry"] * 4 + ["wet"] * 4
    embedder, _ = load_word_vectors(named(words_read.file), options).fit(texts)
    model = DocumentClassifier(embedder).fit(texts, labels)
    assert model.predict(["sun, sun", "rain, rain"]).tolist() == ["dry", "wet"]
