"""Converted encoders in the cache folder: made once, checked, shared; a small transformer of random weights."""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import shutil
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from places import scaled
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from classifier import load_embedder
from classifier.datamodels import EncoderOptions
from classifier.embedding.contract import Embeddings
from classifier.embedding.engine import import_openvino
from classifier.embedding.openvino_runtime import MAX_QUANTIZATION_GROUP, OpenVinoRuntime, compress_weights
from classifier.errors import CacheWarning, ClassifierError, EmbedderError

ROOT = Path(__file__).parents[1]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
LETTERS = "abcdefghijklmnopqrstuvwxyz"
PIECES = [*SPECIAL, *LETTERS, *(f"##{letter}" for letter in LETTERS), *"0123456789!?.,", "letter", "bank", "sun"]
TEXTS = [
    "a letter from the bank",
    "",
    "Sunshine, in 1984?",
    "x",
    "the quick brown fox jumps over the lazy dog. " * 20,
    "☃",
    "naïve\0café \ud800",
]
FILES = ["encoder.json", "model.xml", "model.bin", "tokenizer.json"]
HEAVY = {"pandas", "pyarrow", "scipy", "sentence_transformers", "sklearn", "torch", "transformers"}
N_RACERS = scaled(2, 3)
N_EXITS = scaled(4, 20)
N_EXITS_AT_ONCE = 4

needs_fork = pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")


def tiny_encoder(
    folder: Path,
    *,
    hidden: int = 32,
    intermediate: int = 64,
    n_positions: int = 64,
    n_layers: int = 1,
    spread: float = 0.3,
    dtype: str = "float32",
    pieces: list[str] = PIECES,
    seed: int = 0,
) -> Path:
    """Save a small transformer of random weights in the format of sentence-transformers."""
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Normalize, Transformer
    from sentence_transformers.sentence_transformer.modules import Pooling
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordPiece({piece: row for row, piece in enumerate(pieces)}, unk_token=SPECIAL[1]))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.enable_truncation(n_positions)
    tokenizer.enable_padding(pad_token=SPECIAL[0])
    names = dict(zip(("pad_token", "unk_token", "cls_token", "sep_token", "mask_token"), SPECIAL, strict=True))
    config = BertConfig(
        vocab_size=len(pieces),
        hidden_size=hidden,
        intermediate_size=intermediate,
        num_hidden_layers=n_layers,
        num_attention_heads=2,
        max_position_embeddings=n_positions,
        initializer_range=spread,
    )
    plain = folder.with_suffix(".plain")
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, model_max_length=n_positions, **names).save_pretrained(plain)
    torch.manual_seed(seed)
    BertModel(config).to(getattr(torch, dtype)).save_pretrained(plain)
    stack = [Transformer(str(plain)), Pooling(hidden), Normalize()]
    SentenceTransformer(modules=stack, device="cpu").save(str(folder), create_model_card=False)
    shutil.rmtree(plain)
    return folder


def options(cache_dir: Path, precision: str = "f32", backend: str = "openvino") -> EncoderOptions:
    """Keep what is converted in a folder of the test's own, and no vectors; ask nobody."""
    return EncoderOptions(cache_dir=cache_dir, precision=precision, backend=backend, use_cache=False, download=False)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save the small transformer."""
    return tiny_encoder(tmp_path_factory.mktemp("encoders") / "tiny")


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory, tiny: Path) -> Path:
    """Keep its converted form; tests must not change it."""
    cache_dir = tmp_path_factory.mktemp("cache")
    load_embedder(str(tiny), options(cache_dir))
    return cache_dir


@pytest.fixture(scope="module")
def expected(tiny: Path, kept: Path) -> Embeddings:
    """Embed the texts by the converted encoder."""
    return load_embedder(str(tiny), options(kept)).encode(TEXTS)


@pytest.fixture
def cache_dir(tmp_path: Path, kept: Path) -> Path:
    """Copy the cache folder; the copy is the test's own."""
    return Path(shutil.copytree(kept, tmp_path / "cache"))


def only_folder(cache_dir: Path) -> Path:
    """Return the only converted encoder of a cache; nothing else may lie beside it."""
    (folder,) = (cache_dir / "encoders").iterdir()
    return folder


def picture(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Return number and content of each file of a folder."""
    return {path.name: (path.stat().st_ino, path.read_bytes()) for path in sorted(folder.iterdir())}


def cosines(ours: Embeddings, theirs: Embeddings) -> np.ndarray:
    """Compare vectors of unit length; zeros belong to zeros."""
    assert (ours.any(axis=1) == theirs.any(axis=1)).all()
    return (ours * theirs).sum(axis=1)[ours.any(axis=1)]


def script(code: str, cache_dir: Path, *arguments: object) -> subprocess.Popen[str]:
    """Start a fresh interpreter, where every warning is an error."""
    environment = {**os.environ, "CLASSIFIER_CACHE_DIR": str(cache_dir)}
    command = [sys.executable, "-W", "error", "-c", code, *map(str, arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, cwd=ROOT, env=environment)


def output_of(process: subprocess.Popen[str]) -> str:
    """Wait for a fresh interpreter that must end well and complain of nothing."""
    with process:
        try:
            printed, complaints = process.communicate(timeout=60)
        finally:
            process.kill()
    assert complaints == ""
    assert process.returncode == 0
    return printed


def test_the_kept_form_gives_the_vectors_of_torch(tiny: Path, expected: Embeddings) -> None:
    """Converting changes no vector by more than rounding, odd and long texts included."""
    theirs = load_embedder(str(tiny), options(Path("unused"), backend="torch")).encode(TEXTS)
    assert cosines(expected, theirs).min() >= 0.99999
    assert expected.any(axis=1).tolist() == [bool(text) and text != "☃" for text in TEXTS]


def test_what_is_kept_is_opened_again(tiny: Path, cache_dir: Path, expected: Embeddings) -> None:
    """A second use touches no file, and gives the same vectors bit for bit."""
    before = picture(only_folder(cache_dir))
    assert sorted(before) == sorted(FILES)
    assert np.array_equal(load_embedder(str(tiny), options(cache_dir)).encode(TEXTS), expected)
    assert picture(only_folder(cache_dir)) == before


def test_f32_and_bf16_share_one_folder_as_do_names_of_one_pooling(tiny: Path, cache_dir: Path) -> None:
    """The same weights are kept once, whichever way they are asked for; int8 has others."""
    load_embedder(str(tiny), options(cache_dir, "bf16"))
    load_embedder(f"{tiny}+pooling:mean", options(cache_dir))
    only_folder(cache_dir)
    load_embedder(str(tiny), options(cache_dir, "int8"))
    assert len(list((cache_dir / "encoders").iterdir())) == 2


def flip(path: Path) -> None:
    """Change one bit in the middle of a file."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def truncate(path: Path) -> None:
    """Lose the last byte of a file."""
    path.write_bytes(path.read_bytes()[:-1])


def replace_by_folder(path: Path) -> None:
    """Put a folder where a file was."""
    path.unlink()
    (path / "strange").mkdir(parents=True)


def replace_by_file(path: Path) -> None:
    """Put a file where the folder was."""
    shutil.rmtree(path)
    path.write_text("strange")


def rewrite(content: str) -> Callable[[Path], None]:
    """Return what writes something else into a file."""
    return lambda path: path.write_text(content)  # type: ignore[return-value] # the number of characters is not needed


DAMAGES: dict[str, tuple[str, Callable[[Path], None]]] = {
    **{f"{file} with another bit": (file, flip) for file in FILES},
    "encoder.json deleted": ("encoder.json", Path.unlink),
    "model.bin deleted": ("model.bin", Path.unlink),
    "model.bin cut short": ("model.bin", truncate),
    "tokenizer.json is a folder": ("tokenizer.json", replace_by_folder),
    "encoder.json holds a list": ("encoder.json", rewrite("[]")),
    "encoder.json nests deeply": ("encoder.json", rewrite("[" * 100_000)),
    "all files gone": ("", lambda folder: [path.unlink() for path in folder.iterdir()] and None),
    "a file in its place": ("", replace_by_file),
}


RARE = {"deleted", "cut short", "nests deeply", "all files gone"}  # each is a way of one that is always tried


@pytest.mark.parametrize(
    "damage",
    [pytest.param(one, marks=[pytest.mark.slow] if any(map(one.endswith, RARE)) else []) for one in DAMAGES],
)
def test_what_is_damaged_is_made_again(damage: str, tiny: Path, cache_dir: Path, expected: Embeddings) -> None:
    """Damage is noticed, mended without a word, and does not show in the vectors."""
    folder = only_folder(cache_dir)
    name, spoil = DAMAGES[damage]
    spoil(folder / name)
    assert np.array_equal(load_embedder(str(tiny), options(cache_dir)).encode(TEXTS), expected)
    mended = picture(only_folder(cache_dir))
    assert sorted(mended) == sorted(FILES)
    assert np.array_equal(load_embedder(str(tiny), options(cache_dir)).encode(TEXTS), expected)
    assert picture(only_folder(cache_dir)) == mended


def test_a_changed_number_is_noticed(tiny: Path, cache_dir: Path, expected: Embeddings) -> None:
    """A description that is good JSON, but not the one that was written, is not believed."""
    path = only_folder(cache_dir) / "encoder.json"
    description = json.loads(path.read_text(encoding="utf-8"))
    description["content"]["facts"]["max_tokens"] = 5
    path.write_text(json.dumps(description), encoding="utf-8")
    embedder = load_embedder(str(tiny), options(cache_dir))
    assert embedder.contract.max_tokens == 64
    assert np.array_equal(embedder.encode(TEXTS), expected)


def test_an_impossible_cache_folder_costs_one_warning(tmp_path: Path, tiny: Path, expected: Embeddings) -> None:
    """Where nothing can be kept the vectors are right all the same."""
    (tmp_path / "file").write_text("not a folder")
    with pytest.warns(CacheWarning, match="cannot be kept in .*CLASSIFIER_CACHE_DIR") as caught:
        embedder = load_embedder(str(tiny), options(tmp_path / "file"))
    assert len(caught) == 1
    assert cosines(embedder.encode(TEXTS), expected).min() >= 0.99999
    assert (tmp_path / "file").read_text() == "not a folder"


@contextlib.contextmanager
def files_of_at_most(n_bytes: int) -> Iterator[None]:
    """Let no file grow beyond a size, as on a full disk."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (n_bytes, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture(scope="module")
def wordy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Save a transformer whose tokenizer is larger than its model."""
    pieces = [*PIECES, *(f"{number:04}" * 500 for number in range(200))]
    return tiny_encoder(tmp_path_factory.mktemp("encoders") / "wordy", hidden=16, intermediate=16, pieces=pieces)


@pytest.mark.parametrize("n_bytes", [10_000, 50_000, 250_000])
def test_a_full_disk_costs_one_warning(tmp_path: Path, wordy: Path, n_bytes: int) -> None:
    """Whichever file does not fit, nothing is left, and the encoder works."""
    with warnings.catch_warnings(record=True) as caught, files_of_at_most(n_bytes):
        warnings.simplefilter("always", CacheWarning)
        embedder = load_embedder(str(wordy), options(tmp_path))
    assert [warning.category for warning in caught] == [CacheWarning]
    assert "\n" not in str(caught[0].message)
    assert embedder.encode(TEXTS).any(axis=1).sum() == 5
    assert list((tmp_path / "encoders").iterdir()) == []


def test_the_sizes_on_which_a_full_disk_is_tried(tmp_path: Path, wordy: Path) -> None:
    """They lie between those of the files, so that each file is the first that does not fit."""
    load_embedder(str(wordy), options(tmp_path))
    sizes = [(only_folder(tmp_path) / file).stat().st_size for file in ("model.bin", "model.xml", "tokenizer.json")]
    assert 10_000 < sizes[0] < 50_000 < sizes[1] < 250_000 < sizes[2]


SECOND_USE = """
import sys
from classifier import load_embedder
from classifier.datamodels import EncoderOptions, Settings
def loaded():
    return sorted({name.partition(".")[0] for name, module in sys.modules.items() if module is not None})
load_embedder(sys.argv[1], EncoderOptions(precision="f32")).encode(["a letter", "from the bank " * 50])
print(*loaded())
from classifier import workflows
print(workflows.predict_text(sys.argv[2], "a letter", Settings.from_environment()).status)
print(*loaded())
"""


def test_a_second_use_loads_no_heavy_library(tmp_path: Path, tiny: Path, cache_dir: Path) -> None:
    """Neither embedding nor predicting imports what only converting or training needs."""
    from classifier import DocumentClassifier

    model = DocumentClassifier(str(tiny), options=options(cache_dir))
    model.fit(["a letter", "two letters", "the sun", "some sun"], ["post", "post", "sky", "sky"])
    saved = model.save(tmp_path / "model" / "1")
    embedding, status, predicting = output_of(script(SECOND_USE, cache_dir, tiny, saved)).splitlines()
    assert status == "ok"
    assert {"openvino", "tokenizers"} <= set(embedding.split()) <= set(predicting.split())
    assert set(predicting.split()) & HEAVY == set()


CONVERSIONS = """
import os, signal, sys
import sentence_transformers  # once, for all children
from pathlib import Path
from classifier import load_embedder
from classifier.datamodels import EncoderOptions

def vectors(cache_dir):
    options = EncoderOptions(cache_dir=Path(cache_dir), precision="f32", use_cache=False, download=False)
    return load_embedder(sys.argv[1], options).encode(["a letter", "from the bank " * 50])

def kill(event, arguments):
    if event == "os.rename" and ".incoming-" in str(arguments[0]):
        os.kill(os.getpid(), signal.SIGKILL)

victim = os.fork()
if not victim:
    sys.addaudithook(kill)
    vectors(sys.argv[2])
    os._exit(0)
print(os.waitstatus_to_exitcode(os.waitpid(victim, 0)[1]), flush=True)
racers = []
for _ in range(int(sys.argv[4])):
    racers.append(os.fork())
    if not racers[-1]:
        os.write(1, f"{vectors(sys.argv[3]).tobytes().hex()}\\n".encode())  # whole, beside those of the others
        os._exit(0)
assert {os.waitpid(racer, 0)[1] for racer in racers} == {0}
"""


@pytest.fixture(scope="module")
def conversions(tmp_path_factory: pytest.TempPathFactory, tiny: Path) -> tuple[Path, Path, list[str]]:
    """Kill one process while it converts, and let several convert at once, in another folder."""
    killed, raced = tmp_path_factory.mktemp("killed"), tmp_path_factory.mktemp("raced")
    printed = output_of(script(CONVERSIONS, killed, tiny, killed, raced, N_RACERS))
    return killed, raced, printed.splitlines()


@needs_fork
def test_processes_may_convert_at_once(conversions: tuple[Path, Path, list[str]], tiny: Path, kept: Path) -> None:
    """Each of them gets the same vectors, one folder is kept, and nothing is left beside it."""
    _, raced, (_, *printed) = conversions
    alone = load_embedder(str(tiny), options(kept)).encode(["a letter", "from the bank " * 50])
    assert printed == [alone.tobytes().hex()] * N_RACERS
    assert sorted(picture(only_folder(raced))) == sorted(FILES)


@needs_fork
def test_a_killed_conversion_is_not_mistaken_for_a_result(
    conversions: tuple[Path, Path, list[str]], tiny: Path, expected: Embeddings
) -> None:
    """Killed at the last moment, with every file written, it has not happened."""
    killed, _, (code, *_) = conversions
    assert code == "-9"
    (left,) = (killed / "encoders").iterdir()
    assert left.name.startswith(".incoming-")
    assert {path.name for path in left.rglob("*.*")} == set(FILES)
    assert np.array_equal(load_embedder(str(tiny), options(killed)).encode(TEXTS), expected)
    assert len(list((killed / "encoders").iterdir())) == 2


@pytest.fixture(scope="module")
def varied(ticket_rows: list[dict[str, str]]) -> list[str]:
    """Choose tickets, odd texts and other scripts."""
    return [*(row["text"] for row in ticket_rows[:20]), *TEXTS, "Straße, 東京 and 👩‍👩‍👧", "e = mc²", "0" * 300]


@pytest.fixture(scope="module")
def reference(varied: list[str]) -> Embeddings:
    """Embed them by torch and the default encoder, in full precision."""
    return load_embedder("default", EncoderOptions(backend="torch", precision="f32", use_cache=False)).encode(varied)


@pytest.mark.parametrize(("precision", "lowest"), [("f32", 0.99999), ("bf16", 0.9999), ("int8", 0.99)])
def test_the_default_encoder_gives_the_vectors_of_torch(
    precision: str, lowest: float, varied: list[str], reference: Embeddings
) -> None:
    """Every precision is as close as it is promised to be."""
    embedder = load_embedder("default", EncoderOptions(backend="openvino", precision=precision, use_cache=False))
    assert (embedder.contract.backend, embedder.contract.precision) == ("openvino", precision)
    assert cosines(embedder.encode(varied), reference).min() >= lowest


@pytest.mark.parametrize(
    ("lengths", "group"),
    [
        ((384, 1536), 384),
        ((768, 3072), 384),
        ((1024, 4096), 512),
        ((1536, 1536), 512),
        ((30, 50), 10),
        ((36, 1030), 2),
        ((7, 11), 1),
        ((1042,), 2),
        ((1566,), 261),
    ],
)
def test_activations_share_scales_in_groups_that_fit(lengths: tuple[int, ...], group: int) -> None:
    """A group divides every product, and is as long as it may be."""
    assert compress_weights(products(lengths)) == group
    assert group <= MAX_QUANTIZATION_GROUP
    assert all(length % group == 0 for length in lengths)


def products(lengths: tuple[int, ...]) -> object:
    """Build a model that is a chain of matrix products of these lengths."""
    ov = import_openvino()
    from openvino import opset13 as ops

    rng = np.random.default_rng(0)
    node = start = ops.parameter([-1, lengths[0]], np.float32)
    for length, following in zip(lengths, (*lengths[1:], 8), strict=True):
        weights = ops.constant(rng.standard_normal((following, length)).astype(np.float32))
        node = ops.matmul(node, weights, transpose_a=False, transpose_b=True)
    return ov.Model([node], [start])


def test_a_model_without_weights_cannot_be_compressed() -> None:
    """The message says what to do."""
    ov = import_openvino()
    from openvino import opset13 as ops

    start = ops.parameter([-1, 3], np.float32)
    with pytest.raises(EmbedderError, match="no weights that int8 could compress; use another precision"):
        compress_weights(ov.Model([ops.relu(start)], [start]))


DROPPED_ELSEWHERE = """
import signal, threading
from classifier.embedding.engine import import_openvino
from classifier.embedding.openvino_runtime import OpenVinoRuntime
ov = import_openvino()
from openvino import opset13 as ops
start = ops.parameter([-1, 3], ov.Type.f32)
opened = [OpenVinoRuntime(ov.Model([ops.relu(start)], [start]), "f32")]
dropping = threading.Thread(target=opened.clear)
dropping.start()
dropping.join()
signal.signal(signal.SIGINT, signal.default_int_handler)  # a background process of a shell ignores it
try:
    signal.raise_signal(signal.SIGINT)
except KeyboardInterrupt:
    print("interrupted")
"""


def test_an_encoder_that_another_thread_dropped_leaves_signals_alone() -> None:
    """OpenVINO gives the thread that opens its plugin a stack for signals, and takes it away with the plugin."""
    done = subprocess.run([sys.executable, "-c", DROPPED_ELSEWHERE], capture_output=True, text=True, check=True)
    assert done.stdout == "interrupted\n"


def test_int8_works_for_odd_sizes(tmp_path: Path) -> None:
    """Sizes that are no powers of two lose no more than others."""
    folder = str(tiny_encoder(tmp_path / "odd", hidden=30, intermediate=50))
    theirs = load_embedder(folder, options(tmp_path, backend="torch")).encode(TEXTS)
    assert cosines(load_embedder(folder, options(tmp_path, "int8")).encode(TEXTS), theirs).min() >= 0.99


def test_weights_in_half_precision_run_in_full(tmp_path: Path) -> None:
    """What a file rounds its weights to is not what they are multiplied in."""
    half, full = (tiny_encoder(tmp_path / dtype, dtype=dtype) for dtype in ("float16", "float32"))
    write_weights(full, read_weights(half))
    by_torch = [load_embedder(str(folder), options(tmp_path, backend="torch")).encode(TEXTS) for folder in (half, full)]
    assert np.array_equal(*by_torch)
    rounded = load_embedder(str(half), options(tmp_path, "int8")).encode(TEXTS)
    assert cosines(rounded, by_torch[0]).min() >= 0.99


def read_weights(folder: Path) -> dict[str, np.ndarray]:
    """Read the weights of a saved transformer, in full precision."""
    from safetensors.numpy import load_file

    return {name: array.astype(np.float32) for name, array in load_file(folder / "model.safetensors").items()}


def write_weights(folder: Path, arrays: dict[str, np.ndarray]) -> None:
    """Give a saved transformer other weights."""
    from safetensors.numpy import save_file

    save_file(arrays, folder / "model.safetensors", metadata={"format": "pt"})


def test_what_cannot_be_converted_says_what_to_do(tmp_path: Path) -> None:
    """An encoder that OpenVINO does not take is one sentence, leaves nothing, and runs by torch as advised."""
    folder = str(tiny_encoder(tmp_path / "short", n_positions=4))
    with pytest.raises(
        EmbedderError, match=r"could not be converted for OpenVINO .*; use it with --backend torch"
    ) as got:
        load_embedder(folder, options(tmp_path / "cache"))
    assert "\n" not in str(got.value)
    assert not (tmp_path / "cache").exists()
    assert load_embedder(folder, options(tmp_path, backend="torch")).encode(["a letter"]).any()


def test_a_conversion_with_other_vectors_is_refused(tmp_path: Path) -> None:
    """Vectors that are compared and found to differ, or to be no numbers, are never used."""
    folder = tiny_encoder(tmp_path / "broken")
    write_weights(folder, {name: np.full_like(array, np.nan) for name, array in read_weights(folder).items()})
    with pytest.raises(EmbedderError, match=r"gives other vectors by OpenVINO in f32 than by torch \(cosine nan\)"):
        load_embedder(str(folder), options(tmp_path / "cache"))
    assert not (tmp_path / "cache").exists()


def test_threads_may_embed_at_once(tiny: Path, kept: Path) -> None:
    """Each gets what it would get alone, bit for bit."""
    embedder = load_embedder(str(tiny), options(kept))
    parts = [[f"letter {number} to bank {part}" * (number % 5 + 1) for number in range(150)] for part in range(4)]
    alone = [embedder.encode(part) for part in parts]
    start = threading.Barrier(len(parts))

    def encode(part: list[str]) -> list[Embeddings]:
        start.wait(timeout=60)
        return [embedder.encode(part) for _ in range(3)]

    with ThreadPoolExecutor(len(parts)) as pool:
        together = list(pool.map(encode, parts))
    for vectors, repeated in zip(alone, together, strict=True):
        assert all(np.array_equal(vectors, again) for again in repeated)


FIRST_USE = """
import sys, threading
from pathlib import Path
import numpy as np
from classifier.embedding.openvino_runtime import OpenVinoRuntime
runtime = OpenVinoRuntime(Path(sys.argv[1]), "f32")
waiting = []
def batches():
    waiting.append(None)
    while len(waiting) < len(threads):
        pass
    yield np.full((2, 5), 7)
threads = [threading.Thread(target=lambda: list(runtime.run(batches()))) for _ in range(32)]
sys.setswitchinterval(1e-6)
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print("done")
"""


def test_the_first_use_may_be_by_threads(kept: Path) -> None:
    """Nothing that the engine prepares on first use makes threads wait for each other for ever."""
    assert output_of(script(FIRST_USE, kept, only_folder(kept) / "model.xml")) == "done\n"


def test_an_abandoned_run_does_no_harm(kept: Path) -> None:
    """Requests still in flight when somebody stops asking are waited for, and used again."""
    runtime = OpenVinoRuntime(only_folder(kept) / "model.xml", "f32")
    batches = [np.full((2, length), 7) for length in range(3, 60)]
    expected = list(runtime.run(batches))
    for n_taken in range(1, 12):
        run = runtime.run(batches)
        for vectors in expected[:n_taken]:
            assert np.array_equal(next(run), vectors)
        run.close()
        assert all(map(np.array_equal, runtime.run(batches), expected))


FORKED = """
import os, sys
from classifier import load_embedder
from classifier.datamodels import EncoderOptions
from classifier.errors import EmbedderError
embedder = load_embedder(sys.argv[1], EncoderOptions(precision="f32", use_cache=False, download=False))
before = embedder.encode(["a letter"] * 3)
child = os.fork()
if not child:
    try:
        embedder.encode(["a letter", "another"])
    except EmbedderError as error:
        print(error, flush=True)
    os._exit(7)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print((embedder.encode(["a letter"] * 3) == before).all())
"""


@needs_fork
def test_a_forked_child_is_refused(tiny: Path, kept: Path) -> None:
    """It gets one sentence instead of hanging for ever, and its parent goes on."""
    refusal, code, unharmed = output_of(script(FORKED, kept, tiny)).splitlines()
    assert refusal == (
        "The encoder was opened before this process was forked; open it anew here, "
        "or start processes with the method 'spawn'."
    )
    assert (code, unharmed) == ("7", "True")


def encode_anew(folder: str, cache_dir: Path) -> Embeddings:
    """Load and embed in another process."""
    return load_embedder(folder, options(cache_dir)).encode(TEXTS)


def test_a_spawned_child_works(tiny: Path, kept: Path, expected: Embeddings) -> None:
    """It opens the encoder for itself, and gets the same vectors bit for bit."""
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        assert np.array_equal(pool.submit(encode_anew, str(tiny), kept).result(timeout=120), expected)


EXIT = """
import sys
from classifier import load_embedder
from classifier.datamodels import EncoderOptions
embedder = load_embedder(sys.argv[1], EncoderOptions(precision="f32", use_cache=False, download=False))
print(embedder.encode([f"letter {number}" * (number % 9 + 1) for number in range(200)]).shape)
"""


def test_processes_end_well_on_a_busy_machine(tiny: Path, kept: Path) -> None:
    """The engine's threads never outlive the interpreter: every exit code is 0, and nothing is complained of."""
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        for _ in range(0, N_EXITS, N_EXITS_AT_ONCE):
            processes = [script(EXIT, kept, tiny) for _ in range(N_EXITS_AT_ONCE)]
            assert [output_of(process) for process in processes] == ["(200, 32)\n"] * N_EXITS_AT_ONCE
    finally:
        busy.kill()
        busy.wait()


def test_a_damaged_original_is_refused_though_it_was_converted(tmp_path: Path, tiny: Path, cache_dir: Path) -> None:
    """The converted form stands for the original's checksums: it is not used for other files."""
    folder = Path(shutil.copytree(tiny, tmp_path / "copy"))
    truncate(folder / "model.safetensors")
    with pytest.raises(ClassifierError) as caught:
        load_embedder(str(folder), options(cache_dir))
    assert "\n" not in str(caught.value)
    only_folder(cache_dir)
