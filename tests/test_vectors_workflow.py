"""The interface between teams: vectors made here, used there, and refused where they do not belong."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from conftest import SMALL_TEXTS
from fakes import FakeEmbedder
from typer.testing import CliRunner, Result

from classifier import load_embedder
from classifier.cli import app
from classifier.embedding.contract import EmbeddingContract
from classifier.embedding.embedders import EMBEDDERS, Family
from classifier.embedding.quantization import rounded
from classifier.embedding.vectors_file import VectorsFile, read_contract
from classifier.errors import ClassifierError
from classifier.storage.registry import Registry


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a folder with a labelled file and an unlabelled one, and the fake embedder as a family."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(EMBEDDERS, "fake", Family(lambda name, options: FakeEmbedder(name=name.source)))  # noqa: ARG005
    rows = [(text, label) for label, texts in SMALL_TEXTS.items() for text in texts]
    lines = [f"{number},{text},{label}" for number, (text, label) in enumerate(rows, start=1)]
    (tmp_path / "train.csv").write_text("\n".join(["id,text,label", *lines]) + "\n", encoding="utf-8")
    (tmp_path / "new.csv").write_text("id,text\na,tulips\nb,\nc,glue\n", encoding="utf-8")
    return tmp_path


def run(*arguments: str) -> Result:
    """Run a command that must succeed."""
    result = CliRunner().invoke(app, list(arguments), catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result


def refusal(*arguments: str) -> str:
    """Return the one sentence with which a command is refused."""
    result = CliRunner().invoke(app, list(arguments))
    assert isinstance(result.exception, ClassifierError), result.output
    assert "\n" not in str(result.exception)
    return str(result.exception)


@pytest.mark.parametrize(
    ("asked", "dtype"), [("fp32", "float32"), ("fp16", "float16"), ("int8", "int8"), ("binary",) * 2]
)
def test_vectors_are_written_with_ids_checksums_and_contract(asked: str, dtype: str) -> None:
    """What is written is what the embedder gives, rounded as asked."""
    report = json.loads(
        run("embed", "new.csv", "-o", "v.parquet", "--embedder", "fake:x", "--dtype", asked, "--json").stdout
    )
    assert (report["n_documents"], report["n_empty"], report["contract"]["dtype"]) == (3, 1, dtype)
    assert pq.read_table("v.parquet")["id"].to_pylist() == ["a", "b", "c"]
    assert read_contract(Path("v.parquet")) == EmbeddingContract.from_dict(report["contract"])
    texts = ["tulips", "", "glue"]
    with VectorsFile(Path("v.parquet")) as vectors:
        assert np.array_equal(vectors.encode(texts), rounded(FakeEmbedder().encode(texts), dtype))


@pytest.mark.parametrize("dtype", ["fp32", "fp16", "int8", "binary"])
def test_a_model_of_vectors_answers_like_one_that_embeds(dtype: str) -> None:
    """Training and predicting from vectors gives what embedding on the spot gives, where names of labels are idle."""
    rows = [f"{text} {number},{label}" for label, texts in SMALL_TEXTS.items() for text in texts for number in range(7)]
    Path("train.csv").write_text("\n".join(["text,label", *rows]) + "\n", encoding="utf-8")
    run("embed", "train.csv", "-o", "t.parquet", "--embedder", "fake:x", "--dtype", dtype)
    run("embed", "new.csv", "-o", "n.parquet", "--embedder", "fake:x", "--dtype", dtype)
    run("train", "train.csv", "--embeddings", "t.parquet", "--name", "shared")
    run("train", "train.csv", "--embedder", "fake:x", "--name", "own")
    run("predict", "shared", "new.csv", "--embeddings", "n.parquet", "-o", "shared.csv")
    run("predict", "own", "new.csv", "-o", "own.csv")
    if dtype == "fp32":
        assert Path("shared.csv").read_bytes() == Path("own.csv").read_bytes()
    rows = Path("shared.csv").read_text(encoding="utf-8").splitlines()
    assert [row.split(",")[0] for row in rows] == ['"id"', '"a"', '"b"', '"c"']
    assert '"empty"' in rows[2]


def test_a_model_nobody_here_can_run_is_fine_at_both_ends() -> None:
    """Vectors of an embedder this machine has never heard of train and predict, as long as contracts agree."""
    run("embed", "train.csv", "-o", "t.parquet", "--embedder", "fake:elsewhere/secret-model")
    run("embed", "new.csv", "-o", "n.parquet", "--embedder", "fake:elsewhere/secret-model")
    del EMBEDDERS["fake"]
    run("train", "train.csv", "--embeddings", "t.parquet", "--name", "m")
    run("predict", "m", "new.csv", "--embeddings", "n.parquet", "-o", "out.csv")
    run("evaluate", "m", "train.csv", "--embeddings", "t.parquet")
    assert "elsewhere/secret-model" in refusal("predict", "m", "new.csv", "-o", "out.csv")


def test_another_contract_is_refused_naming_the_fields() -> None:
    """Vectors of another dtype or embedder never meet a model's."""
    run("embed", "train.csv", "-o", "t.parquet", "--embedder", "fake:x")
    run("embed", "new.csv", "-o", "n.parquet", "--embedder", "fake:x", "--dtype", "int8")
    run("train", "train.csv", "--embeddings", "t.parquet", "--name", "m")
    assert "dtype: 'float32' here, 'int8' there" in refusal("predict", "m", "new.csv", "--embeddings", "n.parquet")
    run("embed", "new.csv", "-o", "lsa.parquet", "--embedder", "default")
    message = refusal("predict", "m", "new.csv", "--embeddings", "lsa.parquet")
    assert "dimension: 16 here, 384 there" in message
    assert not Path("out.csv").exists()


def test_missing_vectors_are_counted() -> None:
    """A text without a vector is a mistake with its remedy, and no output appears."""
    run("embed", "new.csv", "-o", "n.parquet", "--embedder", "fake:x")
    assert "have no vector in n.parquet" in refusal("train", "train.csv", "--embeddings", "n.parquet", "--name", "m")
    assert Registry(Path("models")).models() == []


def test_what_a_model_learned_embeds_for_it(folder: Path) -> None:
    """An embedder that learns from texts is taken from its model; alone it cannot embed."""
    assert "learns from the training texts" in refusal("embed", "new.csv", "-o", "v.parquet", "--embedder", "lsa")
    assert not Path("v.parquet").exists()
    run("train", "train.csv", "--embedder", "lsa:8", "--name", "m")
    run("embed", "new.csv", "-o", "v.parquet", "--model", "m")
    run("predict", "m", "new.csv", "--embeddings", "v.parquet", "-o", "given.csv")
    run("predict", "m", "new.csv", "-o", "own.csv")
    assert (folder / "given.csv").read_bytes() == (folder / "own.csv").read_bytes()


def test_vectors_of_the_default_encoder_predict_texts_too() -> None:
    """A model trained on vectors embeds a text itself where it can, rounded as its vectors were."""
    run("embed", "train.csv", "-o", "t.parquet", "--dtype", "fp16")
    run("train", "train.csv", "--embeddings", "t.parquet", "--name", "m")
    answer = json.loads(run("predict", "m", "--text", "rose bed", "--json").stdout)
    assert answer["label"] in SMALL_TEXTS
    with VectorsFile(Path("t.parquet")) as vectors:
        assert np.array_equal(vectors.encode(["rose bed"]), load_embedder(dtype="float16").encode(["rose bed"]))


def test_a_file_is_not_written_over_itself() -> None:
    """The file that is read may not be the one that is written, nor the list of its rejected rows."""
    assert "over the file that is read" in refusal("embed", "new.csv", "-o", "new.csv", "--embedder", "fake:x")


@pytest.mark.parametrize(
    "arguments",
    [
        ("train", "train.csv", "--embedder", "lsa", "--embeddings", "t.parquet"),
        ("predict", "m", "--text", "a", "--embeddings", "t.parquet"),
        ("embed", "new.csv", "-o", "v.parquet", "--embedder", "lsa", "--model", "m"),
    ],
)
def test_contradictions_are_wrong_usage(arguments: tuple[str, ...]) -> None:
    """Two sources of vectors at once are refused before anything is done."""
    assert CliRunner().invoke(app, list(arguments)).exit_code == 2
