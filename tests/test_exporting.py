"""Exports answer as the model does: a zip file that opens elsewhere, a pipeline that needs little of ours."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import zipfile
from itertools import islice
from pathlib import Path

import joblib
import numpy as np
import pytest
from typer.testing import CliRunner

from classifier import DocumentClassifier, workflows
from classifier.cli import app
from classifier.datamodels import Settings
from classifier.errors import BundleRefusedError, OptionError, OutputError, UnknownModelError
from classifier.modeling.portable import needs_package, to_pipeline
from classifier.storage.registry import Registry
from classifier.workflows.exporting import JOBLIB_WARNING, NOTE_NAME, export_model

DATA = Path(__file__).parents[1] / "data"
HARD_TEXTS = [
    "My parcel is late, order no. 4411-A!",
    "",
    "CAFE\u0301 déjà vu, \u0130stanbul; ﬁne",
    "退款 还没有到账 refund",
    "a b c ab abc abcd abcde abcdef",
    "  spaces\tand\nlines  everywhere  ",
    "word " * 3000,
]


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Train one model of each kind of label on the example data, without a transformer."""
    folder = tmp_path_factory.mktemp("exports")
    settings = Settings(folder / "models")
    for name, source in (("tickets", "support_tickets.csv"), ("posts", "community_posts.csv")):
        with (DATA / source).open(encoding="utf-8", newline="") as stream:
            rows = list(islice(csv.reader(stream), 121))
        with (folder / source).open("w", encoding="utf-8", newline="") as stream:
            csv.writer(stream).writerows(rows)
        workflows.train(folder / source, settings, name=name, embedder="lsa", multi_label=name == "posts")
    return settings


def ticket_texts() -> list[str]:
    """Return texts that no model was trained on, and hard ones."""
    with (DATA / "support_tickets_test.csv").open(encoding="utf-8", newline="") as stream:
        return [*(row["text"] for row in islice(csv.DictReader(stream), 50)), *HARD_TEXTS]


@pytest.mark.filterwarnings("ignore::classifier.errors.EmptyTextWarning")
@pytest.mark.parametrize("head", ["hybrid", "logistic"])
@pytest.mark.parametrize("n_labels", [2, 3])
def test_the_pipeline_answers_as_the_model(n_labels: int, head: str, ticket_rows: list[dict[str, str]]) -> None:
    """Two labels and more, with words and without: labels equal, probabilities within 0.00001."""
    kept = sorted({row["label"] for row in ticket_rows})[:n_labels]
    rows = [row for row in ticket_rows if row["label"] in kept][:90]
    model = DocumentClassifier("lsa:8", head=head).fit([row["text"] for row in rows], [row["label"] for row in rows])
    texts = ticket_texts()
    pipeline = to_pipeline(model)
    assert np.abs(pipeline.predict_proba(texts) - model.predict_proba(texts)).max() < 1e-5
    assert pipeline.predict(texts).tolist() == model.predict(texts).tolist()
    assert pipeline.classes_.tolist() == model.classes_.tolist()


@pytest.mark.filterwarnings("ignore::classifier.errors.EmptyTextWarning")
def test_the_real_model_needs_the_package_and_answers_the_same(real_model: DocumentClassifier, tmp_path: Path) -> None:
    """The vectors come from the product's own encoder, chunks of long texts included."""
    assert needs_package(real_model)
    joblib.dump(to_pipeline(real_model), tmp_path / "pipeline.joblib")
    pipeline = joblib.load(tmp_path / "pipeline.joblib")
    texts = ticket_texts()[-20:]
    assert np.abs(pipeline.predict_proba(texts) - real_model.predict_proba(texts)).max() < 1e-5
    assert pipeline.predict(texts).tolist() == real_model.predict(texts).tolist()
    assert (tmp_path / "pipeline.joblib").stat().st_size < 20_000_000


ELSEWHERE = """
import json, sys
sys.modules["classifier"] = None
import joblib
pipeline = joblib.load(sys.argv[1])
texts = json.load(sys.stdin)
proba = pipeline.predict_proba(texts)
head = pipeline["head"]
proba = [one[:, 1].tolist() for one in proba] if hasattr(head, "label_names") else proba.tolist()
print(json.dumps([pipeline.predict(texts).tolist(), proba, list(getattr(head, "label_names", head.classes_))]))
"""


@pytest.mark.filterwarnings("ignore::classifier.errors.EmptyTextWarning")
@pytest.mark.parametrize("name", ["tickets", "posts"])
def test_a_pipeline_of_lsa_works_where_the_product_is_not(models: Settings, name: str, tmp_path: Path) -> None:
    """In a process that cannot import the product: labels, sets of labels and probabilities are the model's."""
    report = export_model(name, tmp_path / "pipeline.joblib", models)
    assert not any("document-classifier" in need for need in report.needs)
    texts = ticket_texts()
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, report.output], input=json.dumps(texts), capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    answers, proba, labels = json.loads(done.stdout)
    model = workflows.open_predictor(name, models)
    expected = model.predict_proba(texts)
    assert labels == model.classes_.tolist()
    if model.multi_label:
        assert np.abs(np.array(proba).T - expected).max() < 1e-5
        assert np.array_equal(np.array(answers) == 1, model.given_labels(expected))
    else:
        assert np.abs(np.array(proba) - expected).max() < 1e-5
        assert answers == model.predict(texts).tolist()


def test_a_zip_file_opens_in_another_folder(models: Settings, tmp_path: Path) -> None:
    """Unpacked into another folder of models it is the same model, byte by byte; two exports are the same file."""
    report = export_model("tickets", tmp_path / "tickets.zip", models)
    export_model("tickets@1", tmp_path / "again.ZIP", models)
    assert (tmp_path / "again.ZIP").read_bytes() == (tmp_path / "tickets.zip").read_bytes()
    with zipfile.ZipFile(report.output) as archive:
        assert archive.read(NOTE_NAME).decode() == report.note
        archive.extractall(tmp_path / "other")
    text = "Where is my parcel?"
    other = Settings(tmp_path / "other")
    assert workflows.predict_text("tickets", text, other) == workflows.predict_text("tickets", text, models)
    assert report.n_bytes == (tmp_path / "tickets.zip").stat().st_size


def test_what_cannot_be_exported_is_said_in_one_sentence(models: Settings, tmp_path: Path) -> None:
    """Unknown models, other endings, too large, no folder, damaged: nothing is left behind."""
    with pytest.raises(UnknownModelError):
        export_model("nothing", tmp_path / "x.zip", models)
    with pytest.raises(OptionError, match=r"ends with \.zip or \.joblib"):
        export_model("tickets", tmp_path / "x.pkl", models)
    with pytest.raises(OptionError, match="at most 1 MB here, or use the command line"):
        export_model("tickets", tmp_path / "x.zip", models, max_bytes=1 << 20)
    with pytest.raises(OutputError, match="it cannot be written"):
        export_model("tickets", tmp_path / "no" / "x.zip", models)
    damaged = Settings(tmp_path / "models")
    folder = Registry(models.models_dir).find("tickets").folder
    Registry(damaged.models_dir).add(
        "tickets", lambda target: target.parent.mkdir(parents=True) or _copy(folder, target)
    )
    (damaged.models_dir / "tickets" / "1" / "coef.npy").write_bytes(b"nothing")
    for name in ("x.zip", "x.joblib"):
        with pytest.raises(BundleRefusedError):
            export_model("tickets", tmp_path / name, damaged)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["models"]


def _copy(source: Path, target: Path) -> None:
    """Copy a folder."""
    target.mkdir()
    for entry in source.iterdir():
        (target / entry.name).write_bytes(entry.read_bytes())


def test_the_command_writes_the_file_and_says_what_to_beware_of(models: Settings, tmp_path: Path) -> None:
    """The warning stands in the output, in the JSON, and beside the file."""
    target = tmp_path / "tickets.joblib"
    arguments = ["export", "tickets", "-o", str(target), "--models-dir", str(models.models_dir)]
    shown = CliRunner().invoke(app, arguments)
    assert shown.exit_code == 0
    assert JOBLIB_WARNING in shown.stdout
    values = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).stdout)
    assert values["model"] == "tickets@1"
    assert values["n_bytes"] == target.stat().st_size
    assert JOBLIB_WARNING in values["note"]
    assert (tmp_path / "tickets.joblib.txt").read_text(encoding="utf-8") == values["note"]
