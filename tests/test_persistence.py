"""Between a classifier and its bundle: what is loaded answers as what was saved, and trusts no stranger's encoder."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import seal
from fakes import FakeEmbedder

from classifier import DocumentClassifier
from classifier.embedding.contract import Embedder
from classifier.errors import (
    BundleRefusedError,
    ContractMismatchError,
    EmbedderError,
    EmbedderNotFoundError,
    NotFittedError,
    OutputError,
    TrainingDataWarning,
    UntrustedEmbedderError,
)
from classifier.modeling.persistence import LIBRARIES
from classifier.storage.arrays import write_array

QUESTIONS = ["where is the rake?", "two knives", "the glue has dried", "ein Löffel", "🔨", "x" * 5000]


def reopened(model: DocumentClassifier, folder: Path, embedder: Embedder) -> DocumentClassifier:
    """Save and load a classifier, and give it an embedder that is loaded already."""
    loaded = DocumentClassifier.load(model.save(folder))
    loaded.embedder = embedder
    return loaded


def test_a_loaded_model_answers_bit_for_bit(small_model: DocumentClassifier, tmp_path: Path) -> None:
    """Probabilities, labels, answers and neighbours are identical after saving and loading."""
    loaded = reopened(small_model, tmp_path / "m" / "1", FakeEmbedder())
    assert loaded.predict_proba(QUESTIONS).tobytes() == small_model.predict_proba(QUESTIONS).tobytes()
    assert loaded.predict(QUESTIONS).tolist() == small_model.predict(QUESTIONS).tolist()
    assert loaded.classify([*QUESTIONS, " "]) == small_model.classify([*QUESTIONS, " "])
    assert loaded.similar("a rake", 5, exclude_self=True) == small_model.similar("a rake", 5, exclude_self=True)
    assert loaded.similar("a rake", 5, label="kitchen") == small_model.similar("a rake", 5, label="kitchen")


def test_the_real_encoder_is_found_again(
    real_model: DocumentClassifier, ticket_rows: list[dict[str, str]], tmp_path: Path
) -> None:
    """A model on the default encoder, loaded with nothing given, answers bit for bit as before."""
    texts = [row["text"] for row in ticket_rows[200:230]]
    loaded = DocumentClassifier.load(real_model.save(tmp_path / "tickets" / "1"))
    assert isinstance(loaded.embedder, str)
    assert loaded.predict_proba(texts).tobytes() == real_model.predict_proba(texts).tobytes()
    assert loaded.contract_ == real_model.contract_
    assert [document.id for document in loaded.documents_] == [row["id"] for row in ticket_rows[:120]]


def test_everything_about_a_model_comes_back(tiny_model: DocumentClassifier, tmp_path: Path) -> None:
    """Head, vectors, labels, documents, warnings, seed and facts survive."""
    loaded = DocumentClassifier.load(tiny_model.save(tmp_path / "m" / "1"))
    assert loaded.head_.coef.tobytes() == tiny_model.head_.coef.tobytes()
    assert loaded.head_.intercept.tobytes() == tiny_model.head_.intercept.tobytes()
    assert loaded.head_.temperature == tiny_model.head_.temperature
    assert loaded.embeddings_.tobytes() == tiny_model.embeddings_.tobytes()
    assert loaded.document_labels_.tolist() == tiny_model.document_labels_.tolist() == [0, 0, 1, 1]
    assert list(loaded.documents_) == list(tiny_model.documents_)
    assert loaded.warnings_ == tiny_model.warnings_
    assert (loaded.head, loaded.seed) == (tiny_model.head, tiny_model.seed)
    assert loaded.contract_ == tiny_model.contract_
    assert loaded.evaluation_ is None
    assert loaded.majority_label() == tiny_model.majority_label()
    assert {key: loaded.facts_[key] for key in tiny_model.facts_} == json.loads(json.dumps(tiny_model.facts_))
    assert set(loaded.facts_["libraries"]) == {*LIBRARIES, "python"}
    assert [label["name"] for label in loaded.facts_["labels"]] == ["dry", "wet"]


def test_saving_changes_nothing_about_the_model(tmp_path: Path) -> None:
    """A model that was saved has the facts it had, and can be saved again elsewhere."""
    model = DocumentClassifier(FakeEmbedder(4)).fit(["bread", "roll", "milk", "tea"], ["dry", "dry", "wet", "wet"])
    before = json.dumps(model.facts_, sort_keys=True)
    model.save(tmp_path / "m" / "1")
    assert json.dumps(model.facts_, sort_keys=True) == before
    with pytest.raises(OutputError, match="never overwritten"):
        model.save(str(tmp_path / "m" / "1"))
    assert model.save(str(tmp_path / "m" / "2")) == tmp_path / "m" / "2"


def test_a_copy_of_a_copy_is_the_same(small_model: DocumentClassifier, tmp_path: Path) -> None:
    """Saving a loaded model again gives equal arrays and documents, file by file."""
    first = small_model.save(tmp_path / "m" / "1")
    second = DocumentClassifier.load(first).save(tmp_path / "m" / "2")
    for path in first.iterdir():
        if path.name not in {"manifest.json", "model_card.md"}:
            assert (second / path.name).read_bytes() == path.read_bytes(), path.name
    again = DocumentClassifier.load(second)
    assert {**again.facts_, "created": ""} == {**DocumentClassifier.load(first).facts_, "created": ""}


def test_training_is_reproducible_down_to_the_files(tmp_path: Path) -> None:
    """Two trainings on the same documents with the same seed write the same arrays."""
    texts, labels = [f"text {number}" for number in range(30)], ["a", "b", "c"] * 10
    folders = [
        DocumentClassifier(FakeEmbedder(), seed=5).fit(texts, labels).save(tmp_path / "m" / str(version))
        for version in (1, 2)
    ]
    for name in ("coef.npy", "intercept.npy", "embeddings.npy", "documents.jsonl"):
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes(), name


@pytest.mark.parametrize("label", ["ärger", 'a, "b"\n', "模型", "🖊", "half \ud800", "x" * 3000, "NaN", "<b>|"])
def test_labels_of_any_kind_come_back(tmp_path: Path, label: str) -> None:
    """A label may be any string."""
    model = DocumentClassifier(FakeEmbedder(4)).fit(["1", "2", "3", "4"], [label, "other", label, "other"])
    loaded = DocumentClassifier.load(model.save(tmp_path / "m" / "1"))
    assert loaded.classes_.tolist() == model.classes_.tolist() == sorted([label, "other"])
    assert (tmp_path / "m" / "1" / "model_card.md").read_text(encoding="utf-8").startswith("# Model card: m, version 1")


def test_a_training_file_whose_name_is_no_utf8_can_be_stored(tmp_path: Path) -> None:
    """The name of the training file may be any that the system allows."""
    model = DocumentClassifier(FakeEmbedder(4)).fit(["1", "2", "3", "4"], ["a", "b", "a", "b"])
    name = os.fsdecode(b"caf\xe9.csv")
    model.facts_["data"] |= {"file": name, "sha256": "0" * 64}
    assert DocumentClassifier.load(model.save(tmp_path / "m" / "1")).facts_["data"]["file"] == name


def test_a_model_that_could_not_be_measured_can_be_stored(tmp_path: Path) -> None:
    """Labels with a single document each leave nothing to measure, and the model is stored all the same."""
    with pytest.warns(TrainingDataWarning, match="single document"):
        model = DocumentClassifier(FakeEmbedder(4)).fit(["1", "2", "3"], ["a", "b", "c"])
    loaded = reopened(model, tmp_path / "m" / "1", FakeEmbedder(4))
    assert loaded.facts_["metrics"] is None
    assert loaded.warnings_ == model.warnings_ != ()
    assert loaded.predict_proba(["4"]).tobytes() == model.predict_proba(["4"]).tobytes()


def test_a_lonely_label_among_others_can_be_stored(tmp_path: Path) -> None:
    """A label that could not be measured puts no number into the manifest that JSON does not know."""
    with pytest.warns(TrainingDataWarning, match="single document"):
        model = DocumentClassifier(FakeEmbedder(4)).fit(["1", "2", "3", "4", "5"], ["a", "a", "b", "b", "c"])
    assert DocumentClassifier.load(model.save(tmp_path / "m" / "1")).classes_.tolist() == ["a", "b", "c"]


SETS = [["dry"], ["dry", "cold"], [], ["cold"]] * 3
RULE = {"thresholds": [0.5, 0.5], "factor": 1.0, "offset": 0.0}


@pytest.fixture(scope="module")
def model_of_sets() -> DocumentClassifier:
    """Train a classifier of two labels that documents have in any number."""
    return DocumentClassifier(FakeEmbedder(4), multi_label=True).fit([f"meal {row}" for row in range(12)], SETS)


@pytest.fixture
def bundle_of_sets(model_of_sets: DocumentClassifier, tmp_path: Path) -> Path:
    """Save it; the folder is the test's own."""
    return model_of_sets.save(tmp_path / "sets" / "1")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"label_rule": None}, "thresholds for its labels"),
        ({"task": "single-label"}, "thresholds for its labels"),
        ({"label_rule": []}, "no numbers"),
        ({"label_rule": "none"}, "no numbers"),
        ({"label_rule": {}}, "no numbers"),
        ({"label_rule": RULE | {"thresholds": None}}, "no numbers"),
        ({"label_rule": RULE | {"thresholds": [10**400, 0.5]}}, "no numbers"),
        ({"label_rule": RULE | {"factor": -(10**400)}}, "no numbers"),
        ({"label_rule": RULE | {"offset": "0"}}, "not finite numbers"),
        ({"label_rule": RULE | {"thresholds": [True, 0.5]}}, "not finite numbers"),
        ({"label_rule": RULE | {"thresholds": [[0.5], [0.5]]}}, "not finite numbers"),
        ({"label_rule": RULE | {"thresholds": [0.5]}}, "do not belong to its labels"),
        ({"label_rule": RULE | {"thresholds": [0.5] * 3}}, "do not belong to its labels"),
        ({"label_rule": RULE | {"thresholds": [0, 0.5]}}, "do not belong to its labels"),
        ({"label_rule": RULE | {"thresholds": [0.5, 1.5]}}, "do not belong to its labels"),
        ({"label_rule": RULE | {"factor": 1e300}}, "beyond all bounds"),
        ({"label_rule": RULE | {"offset": -1e300}}, "beyond all bounds"),
    ],
)
def test_damaged_thresholds_are_refused(bundle_of_sets: Path, changes: dict[str, Any], says: str) -> None:
    """Whatever stands there in place of thresholds, one sentence refuses the model before it answers wrongly."""
    seal(bundle_of_sets, **changes)
    with pytest.raises(BundleRefusedError, match=says) as caught:
        DocumentClassifier.load(bundle_of_sets)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "matrix",
    [
        np.zeros((0, 2), dtype=np.uint8),
        np.zeros((11, 2), dtype=np.uint8),
        np.zeros((12, 3), dtype=np.uint8),
        np.full((12, 2), 2, dtype=np.uint8),
        np.zeros((12, 2), dtype=np.int8),
        np.zeros((12, 2), dtype=np.float32),
        np.zeros(24, dtype=np.uint8),
        None,
    ],
    ids=["none", "a row less", "a column more", "twos", "signed", "floats", "flat", "no file"],
)
def test_a_damaged_label_matrix_is_refused(bundle_of_sets: Path, matrix: np.ndarray | None) -> None:
    """The labels of documents must be zeros and ones, one row for each document and one column for each label."""
    path = bundle_of_sets / "label_matrix.npy"
    path.unlink()
    if matrix is not None:
        write_array(path, matrix)
        seal(bundle_of_sets)
    with pytest.raises(BundleRefusedError) as caught:
        DocumentClassifier.load(bundle_of_sets)
    assert "\n" not in str(caught.value)


def test_models_of_one_label_store_no_label_matrix(tiny_bundle: Path, bundle_of_sets: Path) -> None:
    """What is not needed takes no room, and a model knows of which kind it is."""
    assert len(np.load(tiny_bundle / "label_matrix.npy")) == 0
    assert not DocumentClassifier.load(tiny_bundle).multi_label
    assert np.load(bundle_of_sets / "label_matrix.npy").tolist() == [[0, 1], [1, 1], [0, 0], [1, 0]] * 3
    assert DocumentClassifier.load(bundle_of_sets).multi_label


def test_the_card_of_a_model_of_sets_names_its_metrics(bundle_of_sets: Path) -> None:
    """Exact matches and F1 stand in the card, beside always giving the most frequent set."""
    card = (bundle_of_sets / "model_card.md").read_text(encoding="utf-8")
    assert "gives each document any number of 2 labels" in card
    assert "| exact match |" in card
    assert "always the most frequent set of labels" in card


def test_an_untrained_model_is_not_saved(tmp_path: Path) -> None:
    """There is nothing to save before training."""
    with pytest.raises(NotFittedError):
        DocumentClassifier(FakeEmbedder()).save(tmp_path / "m" / "1")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("other", [FakeEmbedder(5), FakeEmbedder(8)])
def test_another_embedder_is_refused(tiny_bundle: Path, other: FakeEmbedder) -> None:
    """A loaded model refuses vectors that its own cannot be compared with, and names the field."""
    model = DocumentClassifier.load(tiny_bundle)
    model.embedder = other
    with pytest.raises(ContractMismatchError, match="dimension: 4 here") as caught:
        model.predict(["x"])
    assert caught.value.fields == ("dimension",)


def test_a_renamed_embedder_with_the_same_weights_is_accepted(
    tiny_model: DocumentClassifier, tiny_bundle: Path
) -> None:
    """Where the checksums agree, the name does not matter."""
    model = DocumentClassifier.load(tiny_bundle)
    model.embedder = FakeEmbedder(4, name="/somewhere/else")
    assert model.predict_proba(["x"]).tobytes() == tiny_model.predict_proba(["x"]).tobytes()


def test_another_default_encoder_is_refused_at_first_use(tiny_bundle: Path) -> None:
    """A manifest that names the default encoder for vectors of another is refused when a text comes."""
    seal(tiny_bundle, embedder="default")
    model = DocumentClassifier.load(tiny_bundle)
    with pytest.raises(ContractMismatchError, match="weights_sha256"):
        model.predict(["x"])


EVIL_CODE = "import os\nos.mkdir(os.environ['CANARY_FOLDER'])\n"
BERT = {"model_type": "bert", "hidden_size": 4, "num_attention_heads": 1, "num_hidden_layers": 1, "vocab_size": 8}
STACK = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}]


def encoder_folder(folder: Path, **files: object) -> Path:
    """Make a folder that looks like an encoder, with code beside it; None leaves a file out."""
    contents: dict[str, Any] = {
        "modules": STACK,
        "config": BERT,
        "tokenizer": {},
        "sentence_bert_config": {"max_seq_length": 8},
        **files,
    }
    folder.mkdir()
    for name, content in contents.items():
        if content is not None:
            (folder / f"{name}.json").write_text(content if isinstance(content, str) else json.dumps(content))
    (folder / "model.safetensors").write_bytes(b"\2\0\0\0\0\0\0\0{}")
    (folder / "evil.py").write_text(EVIL_CODE + "class Evil: ...\n")
    return folder


def module(kind: str, path: str = "") -> list[dict[str, object]]:
    """Describe a stack of one module."""
    return [{"idx": 0, "name": "0", "path": path, "type": kind}]


def without_safetensors(folder: Path) -> Path:
    """Make an encoder whose weights must be unpickled."""
    encoder_folder(folder)
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(os.mkdir))
    return folder


HOSTILE: dict[str, tuple[Callable[[Path], Path], str]] = {
    "a module of its own": (
        lambda f: encoder_folder(f, modules=module("evil.Evil")),
        "asks for the module 'evil.Evil'",
    ),
    "a module of the system": (lambda f: encoder_folder(f, modules=module("os.system")), "the module 'os.system'"),
    "a name that only begins well": (
        lambda f: encoder_folder(f, modules=module("sentence_transformers_evil.Transformer")),
        "the module 'sentence_transformers_evil.Transformer'",
    ),
    "another class of the library": (
        lambda f: encoder_folder(f, modules=module("sentence_transformers.models.Router")),
        "the module 'sentence_transformers.models.Router'",
    ),
    "a module further down": (
        lambda f: encoder_folder(f, modules=[*STACK, *module("evil.Evil")]),
        "the module 'evil.Evil'",
    ),
    "a path upwards": (
        lambda f: encoder_folder(f, modules=module("sentence_transformers.models.Transformer", "../other")),
        "points outside the folder",
    ),
    "code of its own": (
        lambda f: encoder_folder(f, config=BERT | {"auto_map": {"AutoModel": "evil.Evil"}}),
        "asks for code of its own (auto_map)",
    ),
    "weights that need unpickling": (without_safetensors, "no weights in safetensors"),
    "modules that are no list": (
        lambda f: encoder_folder(f, modules={"type": "evil.Evil"}),
        "is not a list of modules",
    ),
    "modules that are no JSON": (lambda f: encoder_folder(f, modules="]"), "cannot be read as JSON"),
    "modules nested deep": (lambda f: encoder_folder(f, modules="[" * 100_000), "cannot be read as JSON"),
    "no tokenizer": (lambda f: encoder_folder(f, tokenizer=None), "it has no tokenizer.json"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_encoder_is_refused_at_first_use(
    tiny_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """A bundle may name any folder as its encoder: nothing of it runs, and the reason is named."""
    make, reason = HOSTILE[name]
    monkeypatch.setenv("CANARY_FOLDER", str(tmp_path / "canary"))
    seal(tiny_bundle, embedder=str(make(tmp_path / "encoder")))
    model = DocumentClassifier.load(tiny_bundle)
    with pytest.raises(UntrustedEmbedderError) as caught:
        model.predict(["x"])
    assert reason in str(caught.value)
    assert not (tmp_path / "canary").exists()
    assert "evil" not in sys.modules


@pytest.mark.parametrize(
    "name",
    [
        "nobody/has-this",
        "no-such-model",
        "/no/such/folder",
        "../x",
        "a/b/c",
        "~nobody-here/x",
        "",
        "x" * 5000,
        "nul\0",
        "a b?",
    ],
)
def test_an_encoder_that_is_not_here_is_refused_at_first_use(tiny_bundle: Path, name: str) -> None:
    """A name or path that leads nowhere is one sentence, whatever it is made of."""
    seal(tiny_bundle, embedder=name)
    model = DocumentClassifier.load(tiny_bundle)
    with pytest.raises(EmbedderError) as caught:
        model.predict(["x"])
    assert isinstance(caught.value, EmbedderNotFoundError)
    assert len(str(caught.value)) < 400
    assert "\n" not in str(caught.value)


WATCHER = """
import json, os, sys
from pathlib import Path

ASKS = ("socket.", "urllib.", "http.", "subprocess.", "os.posix_spawn", "os.fork", "os.exec", "os.system")
events = []

def watch(event, args):
    if event.startswith(ASKS) or event in {"compile", "exec", "import", "open"}:
        events.append((event, repr(args)))

sys.addaudithook(watch)

from classifier.errors import EmbedderError
from classifier.modeling.model import DocumentClassifier

bundles, hostile = map(Path, sys.argv[1:])
canary = Path(os.environ["CANARY_FOLDER"])
reasons = {}
for folder in sorted(bundles.iterdir()):
    model = DocumentClassifier.load(folder)
    try:
        model.predict(["x"])
    except EmbedderError as error:
        reasons[folder.name] = str(error)
found = [(event, args[:200]) for event, args in events if event.startswith(ASKS) or "evil" in args]
report = {"reasons": reasons, "found": found, "canary": canary.exists()}

from sentence_transformers import SentenceTransformer

events.clear()
try:
    SentenceTransformer(str(hostile), trust_remote_code=True, local_files_only=True)
except Exception as error:
    print(repr(error), file=sys.stderr)
report["control"] = [event for event, args in events if "evil" in args]
report["fired"] = canary.exists()
print(json.dumps(report))
"""


def test_first_use_asks_nobody_and_runs_nothing(tiny_bundle: Path, tmp_path: Path) -> None:
    """With the network allowed, no unknown name opens a socket, and no code of a folder runs that would with trust."""
    bundles = tmp_path / "bundles"
    embedders = {
        "hub": "nobody/has-this-model",
        "short": "no-such-model",
        "own": str(encoder_folder(tmp_path / "own", modules=module("evil.Evil"))),
        "map": str(encoder_folder(tmp_path / "map", config=BERT | {"auto_map": {"AutoModel": "evil.Evil"}})),
    }
    for name, embedder in embedders.items():
        shutil.copytree(tiny_bundle, bundles / name)
        seal(bundles / name, embedder=embedder)
    environment = {name: value for name, value in os.environ.items() if not name.endswith("_OFFLINE")}
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", WATCHER, str(bundles), str(tmp_path / "own")],
        env=environment | {"CANARY_FOLDER": str(tmp_path / "canary"), "HF_HOME": str(tmp_path / "hub")},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert run.returncode == 0, run.stderr
    report = json.loads(run.stdout.splitlines()[-1])
    assert sorted(report["reasons"]) == ["hub", "map", "own", "short"]
    assert "it is not in the local hub cache" in report["reasons"]["hub"]
    assert "it is not in the local hub cache" in report["reasons"]["short"]
    assert report["found"] == []
    assert not report["canary"]
    assert report["fired"], "the control, in which the folder is trusted, ran nothing: " + run.stderr
    assert "exec" in report["control"]


def test_a_loaded_model_can_be_pickled_for_worker_processes(small_model: DocumentClassifier, tmp_path: Path) -> None:
    """A trained model travels to another process as scikit-learn expects, without its embedder's cache."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        copy = pickle.loads(pickle.dumps(reopened(small_model, tmp_path / "m" / "1", FakeEmbedder())))  # noqa: S301 # our own
    np.testing.assert_array_equal(copy.predict_proba(QUESTIONS), small_model.predict_proba(QUESTIONS))
