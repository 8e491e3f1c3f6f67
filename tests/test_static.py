"""Encoders distilled to one vector per token: a tiny one, and, slowly, the default one."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from places import scaled
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from classifier import DocumentClassifier
from classifier.datamodels import EncoderOptions
from classifier.embedding import words
from classifier.embedding.chunking import Chunker
from classifier.embedding.contract import HasState, MeasuresCoverage, State
from classifier.embedding.embedders import EmbedderName
from classifier.embedding.static import StaticEmbedder, load_static, restore_static
from classifier.embedding.words import Block, kept_table, mean_rows
from classifier.errors import CacheWarning, EmbedderError, EmbedderNotFoundError, UntrustedEmbedderError

UNKNOWN = "[UNK]"
SPECIAL = ["[PAD]", UNKNOWN, "[CLS]", "[SEP]", "[MASK]"]
PIECES = [*SPECIAL, *"abcdefghijklmnopqrstuvwxyz!", "sun", "rain", "wind", "##s", "##y", "##shine", "letter", "bank"]
VARIED = [
    "sun",
    "Rain and WIND, rain!",
    "sunshine in a windy bank " * 300,
    "a letter from the bank",
    "sun ☃ rain",
    "☃",
    "",
    " \t\n",
    "\0sun\0",
    "ünïcödé and 漢字",
]


def build_encoder(folder: Path, *, n_embeddings: int = len(PIECES), seed: int = 0) -> Path:
    """Write a transformer of random weights and few tokens as a plain folder."""
    import torch
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordPiece({piece: row for row, piece in enumerate(PIECES)}, unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), SPECIAL, strict=True))
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)
    torch.manual_seed(seed)
    config = BertConfig(
        vocab_size=n_embeddings,
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        max_position_embeddings=32,
    )
    BertModel(config).save_pretrained(folder)
    return folder


def options(cache_dir: Path) -> EncoderOptions:
    """Keep what is distilled in a folder of the test's own, and ask nobody."""
    return EncoderOptions(cache_dir=cache_dir, download=False)


@pytest.fixture(scope="module")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the tiny encoder."""
    return build_encoder(tmp_path_factory.mktemp("encoders") / "tiny")


@pytest.fixture(scope="module")
def tiny_name(tiny_folder: Path) -> EmbedderName:
    """Name the tiny encoder."""
    return EmbedderName("static", str(tiny_folder))


@pytest.fixture(scope="module")
def tiny_cache(tmp_path_factory: pytest.TempPathFactory, tiny_name: EmbedderName) -> Path:
    """Keep the distilled tiny encoder; tests must not change it."""
    cache_dir = tmp_path_factory.mktemp("cache")
    load_static(tiny_name, options(cache_dir))
    return cache_dir


@pytest.fixture(scope="module")
def tiny(tiny_cache: Path, tiny_name: EmbedderName) -> StaticEmbedder:
    """Open the distilled tiny encoder."""
    return load_static(tiny_name, options(tiny_cache))


@pytest.fixture(scope="session")
def real() -> StaticEmbedder:
    """Distil the default encoder, once."""
    return load_static(EmbedderName("static", ""), EncoderOptions(download=False))


def kept_folder(cache_dir: Path) -> Path:
    """Return the only folder of a cache; nothing else may lie beside it."""
    (folder,) = (cache_dir / "static").iterdir()
    return folder


def picture(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Return number and content of each file of a folder."""
    return {path.name: (path.stat().st_ino, path.read_bytes()) for path in sorted(folder.iterdir())}


def static_model(embedder: StaticEmbedder) -> Any:
    """Hand the stored vectors to model2vec itself."""
    from model2vec import StaticModel

    state = embedder.state()
    return StaticModel(
        state["vectors"], Tokenizer.from_buffer(state["tokenizer"].tobytes()), normalize=True, max_length=None
    )


def assert_same_directions(ours: np.ndarray, theirs: np.ndarray) -> None:
    """Compare vectors by cosine, theirs being rounded to half precision; zeros belong to zeros."""
    assert (ours.any(axis=1) == theirs.any(axis=1)).all()
    ours, theirs = ours[ours.any(axis=1)], theirs[theirs.any(axis=1)]
    norms = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    assert ((ours * theirs).sum(axis=1) / norms).min() >= 0.9999


def test_it_is_what_model2vec_distils(tiny: StaticEmbedder, tiny_folder: Path) -> None:
    """Vectors agree with those of model2vec, from distillation to mean, where it is told to cut nothing off."""
    from model2vec.distill import distill

    theirs = distill(str(tiny_folder)).encode(VARIED, max_length=None).astype(np.float32)
    assert_same_directions(tiny.encode(VARIED), theirs)


@pytest.mark.slow
def test_the_real_one_agrees_with_model2vec(real: StaticEmbedder, ticket_rows: list[dict[str, str]]) -> None:
    """The mean of the default encoder's tokens is that of model2vec, also for long and odd texts."""
    texts = [*VARIED, *(row["text"] for row in ticket_rows), " ".join(row["text"] for row in ticket_rows)]
    theirs = static_model(real).encode(texts).astype(np.float32)
    assert_same_directions(real.encode(texts), theirs)


@pytest.mark.slow
def test_the_real_one_knows_what_is_alike(real: StaticEmbedder) -> None:
    """Texts about one matter are closer than texts about two."""
    money, cash, cat = real.encode(["send money to my account", "a transfer of cash to my bank", "the cat sleeps"])
    assert money @ cash > money @ cat + 0.2


@pytest.mark.slow
def test_a_classifier_learns_on_it(real: StaticEmbedder, ticket_rows: list[dict[str, str]]) -> None:
    """Training and predicting go the way of every embedder."""
    train, test = ticket_rows[:-100], ticket_rows[-100:]
    model = DocumentClassifier(real).fit([row["text"] for row in train], [row["label"] for row in train])
    predicted = model.predict([row["text"] for row in test])
    assert np.mean([label == row["label"] for label, row in zip(predicted, test, strict=True)]) > 0.6


@pytest.mark.slow
def test_the_contract_names_the_default_encoder(real: StaticEmbedder) -> None:
    """Its revision is known, as it is a package."""
    assert real.contract.model_id == "static:sentence-transformers/all-MiniLM-L6-v2"
    assert real.contract.revision == "1110a243fdf4706b3f48f1d95db1a4f5529b4d41"
    assert real.contract.dimension == 256


def test_its_contract_is_complete(tiny: StaticEmbedder, tiny_folder: Path) -> None:
    """The contract names the encoder, and holds checksums of what is used."""
    state = tiny.state()
    assert tiny.contract.model_id == f"static:{tiny_folder}"
    assert tiny.contract.weights_sha256 == hashlib.sha256(state["vectors"].tobytes()).hexdigest()
    assert tiny.contract.tokenizer_sha256 == hashlib.sha256(state["tokenizer"].tobytes()).hexdigest()
    assert (tiny.contract.pooling, tiny.contract.normalize, tiny.contract.backend) == ("mean", True, "numpy")
    assert (tiny.contract.max_tokens, tiny.contract.chunking) == (0, "none")
    assert tiny.contract.dimension == 16
    assert isinstance(tiny, HasState)
    assert isinstance(tiny, MeasuresCoverage)


def test_distilling_twice_gives_the_same_bytes(tmp_path: Path, tiny_name: EmbedderName, tiny_cache: Path) -> None:
    """The same encoder becomes the same files, bit for bit."""
    load_static(tiny_name, options(tmp_path))
    ours, first = kept_folder(tmp_path), kept_folder(tiny_cache)
    assert ours.name == first.name
    assert {name: content for name, (_, content) in picture(ours).items()} == {
        name: content for name, (_, content) in picture(first).items()
    }


def test_another_encoder_is_kept_apart(tmp_path: Path, tiny_name: EmbedderName, tiny: StaticEmbedder) -> None:
    """Other weights give other vectors under another contract, in a folder of their own."""
    other = build_encoder(tmp_path / "other", seed=1)
    load_static(tiny_name, options(tmp_path / "cache"))
    found = load_static(replace(tiny_name, source=str(other)), options(tmp_path / "cache"))
    assert len(list((tmp_path / "cache" / "static").iterdir())) == 2
    assert "weights_sha256" in tiny.contract.differences(found.contract)


def test_what_is_kept_is_not_made_again(tiny_cache: Path, tiny_name: EmbedderName, tiny: StaticEmbedder) -> None:
    """A second loading leaves the files alone and gives the same vectors."""
    before = picture(kept_folder(tiny_cache))
    assert (load_static(tiny_name, options(tiny_cache)).encode(VARIED) == tiny.encode(VARIED)).all()
    assert picture(kept_folder(tiny_cache)) == before


def test_opening_what_is_kept_loads_no_model_library(tiny_cache: Path, tiny_folder: Path) -> None:
    """Neither torch nor model2vec is needed once it is distilled."""
    code = (
        "import sys\n"
        "from pathlib import Path\n"
        "from classifier.datamodels import EncoderOptions\n"
        "from classifier.embedding.embedders import EmbedderName\n"
        "from classifier.embedding.static import load_static\n"
        "options = EncoderOptions(cache_dir=Path(sys.argv[2]), download=False)\n"
        "embedder = load_static(EmbedderName('static', sys.argv[1]), options)\n"
        "assert embedder.encode(['sun']).any()\n"
        "print(sorted({'torch', 'transformers', 'model2vec', 'sentence_transformers'} & set(sys.modules)))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(tiny_folder), str(tiny_cache)], capture_output=True, text=True, timeout=120
    )
    assert (done.stdout, done.stderr) == ("[]\n", "")


def flip(path: Path) -> None:
    """Change one bit in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def make_folder(path: Path) -> None:
    """Put a folder in the place of a file."""
    path.unlink()
    path.mkdir()


DAMAGES: dict[str, Callable[[Path], object]] = {
    "a flipped bit": flip,
    "cut off": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "longer": lambda path: path.write_bytes(path.read_bytes() + b"\0"),
    "empty": lambda path: path.write_bytes(b""),
    "gone": Path.unlink,
    "a folder": make_folder,
    "not text": lambda path: path.write_bytes(b"\xff\xfe"),
    "nested without end": lambda path: path.write_text("[" * 100_000),
    "a list": lambda path: path.write_text("[]"),
}


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("file", [words.VECTORS_FILE, words.VOCABULARY_FILE, words.DESCRIPTION_FILE])
def test_what_is_damaged_is_made_again(
    tmp_path: Path, tiny_cache: Path, tiny_name: EmbedderName, tiny: StaticEmbedder, file: str, damage: str
) -> None:
    """Any damage to any file is noticed and mended, silently."""
    shutil.copytree(tiny_cache, tmp_path, dirs_exist_ok=True)
    sound = {name: content for name, (_, content) in picture(kept_folder(tmp_path)).items()}
    DAMAGES[damage](kept_folder(tmp_path) / file)
    found = load_static(tiny_name, options(tmp_path))
    assert (found.encode(VARIED) == tiny.encode(VARIED)).all()
    assert {name: content for name, (_, content) in picture(kept_folder(tmp_path)).items()} == sound


@pytest.mark.parametrize("in_the_way", ["the cache", "the family's folder"])
def test_a_cache_that_cannot_be_written_costs_a_warning(
    tmp_path: Path, tiny_name: EmbedderName, tiny: StaticEmbedder, in_the_way: str
) -> None:
    """Without a place to keep it, it is distilled in memory, and said so once."""
    path = tmp_path / "cache" if in_the_way == "the cache" else tmp_path / "cache" / "static"
    path.parent.mkdir(exist_ok=True)
    path.write_text("mine")
    with pytest.warns(CacheWarning, match="CLASSIFIER_CACHE_DIR") as caught:
        found = load_static(tiny_name, options(tmp_path / "cache"))
    assert len(caught) == 1
    assert found.contract == tiny.contract
    assert (found.encode(VARIED) == tiny.encode(VARIED)).all()
    assert path.read_text() == "mine"


def blocks_of(*rows: float) -> Iterator[Block]:
    """Make a table row by row."""
    for row in rows:
        yield np.full((1, 2), row, dtype=np.float32), b"%d\n" % row


def test_makers_at_once_all_use_the_first_that_was_finished(tmp_path: Path) -> None:
    """Several makers of one table end with one folder, the same for all, and leave nothing beside it."""
    barrier = threading.Barrier(4)

    def make(_: int) -> tuple[bytes, bytes]:
        def blocks() -> Iterator[Block]:
            barrier.wait()
            yield from blocks_of(1, 2, 3)

        table = kept_table(tmp_path / "tables" / "one", blocks)
        return table.vectors.tobytes(), table.vocabulary

    with ThreadPoolExecutor(4) as pool:
        found = set(pool.map(make, range(4)))
    assert found == {(np.repeat(np.array([1, 2, 3], "<f4"), 2).tobytes(), b"1\n2\n3\n")}
    assert [path.name for path in (tmp_path / "tables").iterdir()] == ["one"]


def test_a_sound_table_of_another_process_is_left_in_its_place(tmp_path: Path) -> None:
    """Whoever comes second takes the table that is there, instead of its own."""

    def blocks() -> Iterator[Block]:
        kept_table(tmp_path / "tables" / "one", lambda: blocks_of(1, 2))
        yield from blocks_of(7)

    table = kept_table(tmp_path / "tables" / "one", blocks)
    assert table.vocabulary == b"1\n2\n"


@pytest.mark.parametrize("problem", [KeyboardInterrupt(), EmbedderError("no")], ids=["Ctrl-C", "a bad source"])
def test_a_table_that_is_not_finished_leaves_nothing(tmp_path: Path, problem: BaseException) -> None:
    """What was half-written is removed, and the reason comes through."""

    def blocks() -> Iterator[Block]:
        yield from blocks_of(1)
        raise problem

    with pytest.raises(type(problem)):
        kept_table(tmp_path / "tables" / "one", blocks)
    assert list((tmp_path / "tables").iterdir()) == []


def test_a_full_disk_costs_a_warning(tmp_path: Path) -> None:
    """Where the table does not fit on the disk, it stays in memory, and nothing is left."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8, hard))
    try:
        with pytest.warns(CacheWarning, match="File too large"):
            table = kept_table(tmp_path / "tables" / "one", lambda: blocks_of(1, 2, 3))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert table.vectors.tolist() == [[1, 1], [2, 2], [3, 3]]
    assert list((tmp_path / "tables").iterdir()) == []


@settings(deadline=None)
@given(st.lists(st.lists(st.tuples(st.integers(0, 4), st.floats(0.25, 8, width=32)), max_size=6), max_size=5))
def test_means_are_those_of_the_formula(texts: list[list[tuple[int, float]]]) -> None:
    """The weighted mean of each text's rows, to unit length, however many texts there are."""
    vectors = np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32)
    rows = np.array([row for text in texts for row, _ in text], dtype=np.int32)
    weights = np.array([weight for text in texts for _, weight in text], dtype=np.float32)
    found = mean_rows(vectors, rows, weights, np.array([len(text) for text in texts], dtype=np.intp))
    assert (found.shape, found.dtype) == ((len(texts), 3), np.float32)
    for text, vector in zip(texts, found, strict=True):
        total = sum((weight * vectors[row].astype(np.float64) for row, weight in text), np.zeros(3))
        assert vector == pytest.approx(total / (np.linalg.norm(total) or 1), abs=1e-5)


def test_state_gives_the_embedder_back(tmp_path: Path) -> None:
    """A stored model needs neither the encoder nor the cache, and its vectors are the same bit for bit."""
    folder = build_encoder(tmp_path / "encoder")
    name = EmbedderName("static", str(folder))
    embedder = load_static(name, options(tmp_path / "cache"))
    expected = embedder.encode(VARIED)
    state = {key: array.copy() for key, array in embedder.state().items()}
    shutil.rmtree(folder)
    shutil.rmtree(tmp_path / "cache")
    restored = restore_static(name, options(tmp_path / "cache"), state)
    assert restored.contract == embedder.contract
    assert (restored.encode(VARIED) == expected).all()
    assert (restored.coverage(VARIED) == embedder.coverage(VARIED)).all()
    assert not (tmp_path / "cache").exists()
    for key, array in restored.state().items():
        assert array.dtype == state[key].dtype
        assert array.tobytes() == state[key].tobytes()


def text_array(content: str | bytes) -> np.ndarray:
    """Store a text as an array."""
    return np.frombuffer(content if isinstance(content, bytes) else content.encode(), dtype=np.uint8)


def with_specials(state: State) -> np.ndarray:
    """Return the tokenizer of a state with special tokens that have no vector."""
    tokenizer = Tokenizer.from_buffer(state["tokenizer"].tobytes())
    tokenizer.post_processor = processors.TemplateProcessing(single="[CLS] $A", special_tokens=[("[CLS]", 10_000)])
    return text_array(tokenizer.to_str())


DAMAGED_STATES: dict[str, Callable[[State], State]] = {
    "empty": lambda _: {},
    "no tokenizer": lambda state: {key: state[key] for key in ("vectors", "origin")},
    "one array more": lambda state: {**state, "more": np.zeros(3)},
    "vectors in float32": lambda state: {**state, "vectors": state["vectors"].astype(np.float32)},
    "a flat table": lambda state: {**state, "vectors": state["vectors"].ravel()},
    "no columns": lambda state: {**state, "vectors": state["vectors"][:, :0]},
    "no rows": lambda state: {**state, "vectors": state["vectors"][:0]},
    "too few rows": lambda state: {**state, "vectors": state["vectors"][:-1]},
    "not a number": lambda state: {**state, "vectors": np.full_like(state["vectors"], np.nan)},
    "infinite": lambda state: {**state, "vectors": np.full_like(state["vectors"], np.inf)},
    "a tokenizer of another type": lambda state: {**state, "tokenizer": state["tokenizer"].astype(np.int32)},
    "no JSON": lambda state: {**state, "tokenizer": text_array("tokens")},
    "no tokens": lambda state: {**state, "tokenizer": text_array("{}")},
    "tokens without a vector": lambda state: {**state, "tokenizer": with_specials(state)},
    "an origin of two dimensions": lambda state: {**state, "origin": state["origin"].reshape(1, -1)},
    "an origin that is no text": lambda state: {**state, "origin": text_array(b"\xff")},
    "an origin that is no object": lambda state: {**state, "origin": text_array("[]")},
    "an origin without revision": lambda state: {**state, "origin": text_array('{"model_id": "a"}')},
    "an origin of numbers": lambda state: {**state, "origin": text_array('{"model_id": 1, "revision": 2}')},
}


@pytest.mark.parametrize("damage", DAMAGED_STATES)
def test_a_damaged_state_is_refused(tmp_path: Path, tiny: StaticEmbedder, tiny_name: EmbedderName, damage: str) -> None:
    """Whatever is wrong with a stored state is one sentence."""
    with pytest.raises(EmbedderError, match=r"stored state of the embedder static:.* is damaged") as caught:
        restore_static(tiny_name, options(tmp_path), DAMAGED_STATES[damage](tiny.state()))
    assert "\n" not in str(caught.value)


TEXTS = st.lists(
    st.lists(st.sampled_from(["sun", "Rain", "windy", "letters", "☃", "!", "ab"])).map(" ".join)
    | st.text(st.characters(), max_size=30),
    max_size=6,
)


@settings(deadline=None)
@given(texts=TEXTS, window=st.integers(1, 3))
def test_company_and_order_change_no_vector(tiny: StaticEmbedder, texts: list[str], window: int) -> None:
    """A text's vector is its own, bit for bit; windows and the order of its words do not show."""
    together = tiny.encode(texts)
    assert (together.shape, together.dtype) == ((len(texts), 16), np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(words, "WINDOW_TEXTS", window)
        assert (tiny.encode(texts) == together).all()
    for text, vector in zip(texts, together, strict=True):
        assert (tiny.encode([text])[0] == vector).all()
        assert (tiny.encode([" ".join(text.split(" ")[::-1])])[0] == vector).all()


@settings(deadline=None)
@given(texts=TEXTS)
def test_vectors_have_unit_length_or_are_zeros(tiny: StaticEmbedder, texts: list[str]) -> None:
    """Zeros belong to texts of which nothing was read, and to no others."""
    lengths = np.linalg.norm(tiny.encode(texts), axis=1)
    assert lengths == pytest.approx((tiny.coverage(texts) > 0).astype(float), abs=1e-5)


def test_unknown_tokens_are_left_out(tiny: StaticEmbedder) -> None:
    """What the encoder does not know changes no vector, and is missing from the coverage."""
    known, mixed, unknown = tiny.encode(["sun rain", "sun ☃☃ rain", "☃☃"])
    assert (known == mixed).all()
    assert not unknown.any()
    assert tiny.coverage(["sun rain", "sun ☃☃☃ rain", "☃☃", ""]).tolist() == [1.0, 0.7, 0.0, 0.0]


def test_coverage_is_that_of_the_windows_of_transformers(tiny: StaticEmbedder) -> None:
    """It is measured in the same way for every tokenizer."""
    tokenizer = Tokenizer.from_buffer(tiny.state()["tokenizer"].tobytes())
    assert (tiny.coverage(VARIED) == Chunker(tokenizer, 8).coverage(VARIED)).all()


@pytest.mark.parametrize("text", ["", " \n", "\0", "\ud800", "\udfff\ud800", "\u200b"])
def test_nothing_to_read_is_zeros(tiny: StaticEmbedder, text: str) -> None:
    """Empty and invisible texts, NUL and half characters get zeros."""
    assert not tiny.encode([text]).any()


@pytest.mark.parametrize("text", ["sun\0 rain", "sun \ud800 rain", "\u202esun rain", "sun\u2028rain"])
def test_no_string_is_too_strange(tiny: StaticEmbedder, text: str) -> None:
    """Odd characters are read around."""
    assert np.linalg.norm(tiny.encode([text])) == pytest.approx(1)


def test_megabytes_are_read_to_the_end(tiny: StaticEmbedder) -> None:
    """A very long text has the vector of all its words."""
    n_times = scaled(50_000, 500_000)
    long = "rain wind " * n_times + "sun " * (3 * n_times)
    expected = tiny.encode(["rain wind sun sun sun"])[0]
    assert tiny.encode([long])[0] == pytest.approx(expected, abs=1e-5)


def test_a_plain_table_is_no_encoder(tmp_path: Path) -> None:
    """An encoder that cannot be found or trusted is refused before anything is distilled."""
    with pytest.raises(EmbedderNotFoundError):
        load_static(EmbedderName("static", "somebody/no-such-model"), options(tmp_path))
    (tmp_path / "hostile").mkdir()
    (tmp_path / "hostile" / "config.json").write_text(json.dumps({"auto_map": {"AutoModel": "evil.Model"}}))
    with pytest.raises(UntrustedEmbedderError):
        load_static(EmbedderName("static", str(tmp_path / "hostile")), options(tmp_path))
    assert not (tmp_path / "static").exists()


def test_an_encoder_that_cannot_be_distilled_is_refused(tmp_path: Path) -> None:
    """An encoder with fewer embeddings than tokens is one sentence, and leaves nothing behind."""
    folder = build_encoder(tmp_path / "short", n_embeddings=20)
    with pytest.raises(EmbedderError, match="cannot be distilled") as caught:
        load_static(EmbedderName("static", str(folder)), options(tmp_path))
    assert "\n" not in str(caught.value)
    assert list((tmp_path / "static").iterdir()) == []
