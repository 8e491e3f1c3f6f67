"""The command line: exact keys, exit codes, and what goes to stdout and to stderr."""

from __future__ import annotations

import contextlib
import csv
import gzip
import io
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from conftest import LIBRARY_EMBEDDER, N_REAL_ROWS, wait_until
from fakes import FakeEmbedder
from places import DATA

import classifier
from classifier import DocumentClassifier, terminal
from classifier.analysis.evaluation import evaluate
from classifier.cli import main
from classifier.cli.main import STOPPED
from classifier.datamodels import Neighbor, Prediction
from classifier.embedding.embedders import EMBEDDERS, Family
from classifier.errors import EmptyTextWarning, TrainingDataWarning
from classifier.interrupts import interruptible
from classifier.prediction.batch import BLOCK_ROWS
from classifier.storage.registry import Registry

N_TEST_ROWS = 25
LONGEST_TEXT = 300
SHARE_READ = 0.877  # of the question below; the other words are in no training document
QUESTION = "My card was charged twice for one order, please correct the payment."
ANSWER_KEYS = {"label", "confidence", "status", "probabilities", "used_fraction", "similarity", "labels", "candidates"}
EVALUATION_KEYS = {
    *("n_documents", "accuracy", "accuracy_interval", "macro_f1", "macro_f1_interval", "log_loss", "brier", "ece"),
    *("majority_accuracy", "majority_macro_f1", "per_class", "labels", "confusion", "reliability", "unknown_labels"),
}
LEFT_OUT_KEYS = {"n_unlabelled", "n_empty", "n_rejected", "rejected_file", "n_leaked", "without_leaked"}
TRAINING_KEYS = {
    *(
        "model",
        "n_documents",
        "n_labels",
        "n_unlabelled",
        "n_rejected",
        "n_sent_to_review",
        "measured_on",
        "evaluation",
    ),
    *("label_names", "notes", "warnings", "rejected_file", "replaced", "seconds"),
}
BATCH_KEYS = {
    *("source", "output", "model", "counts", "rejected_file", "notes", "min_confidence", "expected", "seconds"),
    *("n_rows_before", "agreement", "peak_memory_bytes", "summary_file"),
}
COUNT_KEYS = {"n_rows", "n_predicted", "n_rejected", "n_cheap", "statuses", "labels"}
ADDED = ["predicted_label", "confidence", "status"]
PETS = "".join(
    f"{number:03},{text},{label}\n"
    for number, (text, label) in enumerate(
        [
            ("barks at the postman", "dog"),
            ("fetches sticks", "dog"),
            ("wags its tail", "dog"),
            ("needs two walks", "dog"),
            ("sleeps on the oven", "cat"),
            ("scratches the sofa", "cat"),
            ("brings home mice", "cat"),
            ("ignores its name", "cat"),
        ],
        start=1,
    )
)
PETS_FILE = f"id,text,label\n{PETS}"


class Ran(NamedTuple):
    """What a command left behind."""

    code: int
    raw: bytes
    err: str

    @property
    def out(self) -> str:
        """Standard output as text, line ends untouched."""
        return self.raw.decode("utf-8")

    @property
    def json(self) -> Any:
        """The one JSON object on standard output."""
        assert self.out.endswith("\n")
        assert self.out.count("\n") == 1
        return json.loads(self.out)


def stream(content: bytes = b"") -> io.TextIOWrapper:
    """Return a text stream over bytes, as standard streams are."""
    return io.TextIOWrapper(io.BytesIO(content), encoding="utf-8", newline="", write_through=True)


def command(*arguments: object, stdin: bytes = b"") -> Ran:
    """Run the command line in this process."""
    out, err = stream(), stream()
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        for category in (TrainingDataWarning, EmptyTextWarning):
            warnings.filterwarnings("always", category=category)
        patch.setattr(sys, "argv", ["classifier", *map(str, arguments)])
        for name, replacement in {"stdin": stream(stdin), "stdout": out, "stderr": err}.items():
            patch.setattr(sys, name, replacement)
        with pytest.raises(SystemExit) as stop:
            main()
    return Ran(int(stop.value.code or 0), out.buffer.getvalue(), err.buffer.getvalue().decode())  # type: ignore[attr-defined]


def command_line(*arguments: object, stdin: bytes = b"", **environment: str) -> Ran:
    """Run the command line as a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "classifier", *map(str, arguments)],
        input=stdin,
        capture_output=True,
        env=os.environ | environment,
        timeout=300,
    )
    return Ran(done.returncode, done.stdout, done.stderr.decode())


def refusal(ran: Ran) -> str:
    """Return the one sentence of a mistake, having made sure that it is one and the only thing said."""
    assert ran.code == 1, ran
    assert ran.raw == b""
    assert ran.err.startswith("error: ")
    assert ran.err.endswith("\n")
    assert ran.err.count("\n") == 1
    assert "Traceback" not in ran.err
    return ran.err.removeprefix("error: ").rstrip("\n")


def csv_rows(text: str) -> list[list[str]]:
    """Read CSV by the standard library alone."""
    return list(csv.reader(io.StringIO(text, newline=""), strict=True))


@pytest.fixture(autouse=True)
def own_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Work in an empty folder, with one more family of embedders: the fake ones."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    monkeypatch.setitem(EMBEDDERS, "fake", Family(lambda name, options: FakeEmbedder(name=name.source)))  # noqa: ARG005


def short_rows(source: str, target: Path, n_rows: int) -> Path:
    """Copy the first rows of a sample file whose texts are short, to be quick."""
    with (DATA / source).open(encoding="utf-8", newline="") as stream:
        header, *rows = csv.reader(stream)
    with target.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([header, *[row for row in rows if len(row[1]) < LONGEST_TEXT][:n_rows]])
    return target


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Let a real process train on a part of the sample data; tests only read the folder of models."""
    folder = tmp_path_factory.mktemp("cli")
    short_rows("support_tickets_test.csv", folder / "test.csv", N_TEST_ROWS)
    source = short_rows("support_tickets.csv", folder / "support part.csv", N_REAL_ROWS)
    ran = command_line("train", source, "--embedder", LIBRARY_EMBEDDER, "--models-dir", folder / "models", "--json")
    assert ran.code == 0, ran.err
    (folder / "trained.json").write_bytes(ran.raw)
    (folder / "trained.err").write_text(ran.err)
    return folder / "models"


@pytest.fixture(scope="module")
def trained_pets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Train a model of pets on the fake embedder; tests must not change it."""
    folder = tmp_path_factory.mktemp("pets")
    (folder / "pets.csv").write_text(PETS_FILE)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setitem(EMBEDDERS, "fake", Family(lambda name, options: FakeEmbedder(name=name.source)))  # noqa: ARG005
        ran = command("train", "pets.csv", "--embedder", "fake:a", "--models-dir", "models")
    assert ran.code == 0, ran.err
    return folder / "models"


@pytest.fixture
def pets(tmp_path: Path, trained_pets: Path) -> Path:
    """Copy the model of pets into the test's own folder of models."""
    Path("pets.csv").write_text(PETS_FILE)
    return Path(shutil.copytree(trained_pets, tmp_path / "models"))


def test_train_reports_as_json(shelf: Path) -> None:
    """A real process prints one object with the promised keys, nothing else, and the name comes from the file's."""
    report = json.loads((shelf.parent / "trained.json").read_text(encoding="utf-8"))
    assert set(report) == TRAINING_KEYS
    assert report["model"] == {
        "name": "support-part",
        "version": "1",
        "folder": str(shelf / "support-part" / "1"),
    }
    assert (report["n_documents"], report["n_labels"], report["n_rejected"]) == (N_REAL_ROWS, 10, 0)
    assert set(report["evaluation"]) == EVALUATION_KEYS
    assert report["evaluation"]["accuracy"] > report["evaluation"]["majority_accuracy"]
    assert (shelf.parent / "trained.err").read_text() == ""


def test_evaluate_as_json(shelf: Path) -> None:
    """The metrics carry exactly the promised keys, agree with each other, and with what people are shown."""
    arguments = ["evaluate", "support-part@1", shelf.parent / "test.csv", "--models-dir", shelf]
    ran = command(*arguments, "--json")
    assert (ran.code, ran.err) == (0, "")
    found = ran.json
    assert set(found) == EVALUATION_KEYS | LEFT_OUT_KEYS
    n_documents = sum(score["n_documents"] for score in found["per_class"].values())
    assert found["n_documents"] == n_documents == N_TEST_ROWS
    assert set(found["per_class"]["billing"]) == {"n_documents", "n_predicted", "precision", "recall", "f1"}
    assert 0.4 < found["accuracy"] <= 1
    assert 0.2 < found["macro_f1"] <= 1
    assert found["log_loss"] > 0
    assert 0 <= found["ece"] <= 1
    assert 0 <= found["brier"] <= 2
    n_correct = sum(row[index] for index, row in enumerate(found["confusion"]))
    assert found["accuracy"] == pytest.approx(n_correct / N_TEST_ROWS)
    shown = command(*arguments)
    assert (shown.code, shown.err) == (0, "")
    accuracy = f"{100 * found['accuracy']:.1f} %"
    assert shown.out.startswith(f"  documents    {N_TEST_ROWS}\n  accuracy     {accuracy}  (95 % int")
    assert f"always the most frequent label: {100 * found['majority_accuracy']:.1f} %" in shown.out
    assert f"calibration error (ECE) {found['ece']:.3f}\n" in shown.out


def test_predict_text_as_json(shelf: Path) -> None:
    """One answer with exactly the promised keys, probabilities of every label falling and adding up to one."""
    ran = command("predict", "support-part", "--text", QUESTION, "--models-dir", shelf, "--json")
    assert (ran.code, ran.err) == (0, "")
    answer = ran.json
    assert set(answer) == ANSWER_KEYS
    assert (answer["label"], answer["used_fraction"]) == ("billing", pytest.approx(SHARE_READ, abs=0.001))
    assert answer["status"] == ("ok" if answer["confidence"] >= 0.5 else "unsure")
    shares = list(answer["probabilities"].values())
    assert len(shares) == 10
    assert shares == sorted(shares, reverse=True)
    assert sum(shares) == pytest.approx(1, abs=1e-6)
    assert answer["confidence"] == shares[0] == answer["probabilities"]["billing"]
    assert answer["candidates"] == list(answer["probabilities"])[: len(answer["candidates"])]


def test_predict_text_for_people(shelf: Path) -> None:
    """The label comes first; an empty text is called empty instead of being guessed at."""
    ran = command("predict", "support-part", "--text", QUESTION, "--models-dir", shelf)
    assert ran.code == 0
    assert "\nbilling  " in f"\n{ran.out}"
    assert ran.out.endswith(f"  {100 * SHARE_READ} % of the text was read\n")
    sure = command("predict", "support-part", "--text", QUESTION, "--models-dir", shelf, "--min-confidence", 0)
    doubtful = command("predict", "support-part", "--text", QUESTION, "--models-dir", shelf, "--min-confidence", 1)
    assert sure.out.startswith("billing  ")
    assert doubtful.out.startswith("unsure: a person should look; the most likely labels are billing and ")
    empty = command("predict", "support-part", "--text", " \n", "--models-dir", shelf)
    assert (empty.code, empty.out) == (0, "empty: there is nothing to read in this text\n")
    assert command("predict", "support-part", "--text", " ", "--models-dir", shelf, "--json").json == {
        "label": "",
        "confidence": 0.0,
        "status": "empty",
        "probabilities": {},
        "used_fraction": 0.0,
        "similarity": None,
        "labels": [],
        "candidates": [],
    }


def test_similar_as_json(shelf: Path) -> None:
    """Results carry id, text, label and falling similarity; they can be narrowed to a label and to other texts."""
    ran = command("similar", "support-part", "--text", QUESTION, "-k", 3, "--models-dir", shelf, "--json")
    assert (ran.code, ran.err) == (0, "")
    assert set(ran.json) == {"results"}
    found = ran.json["results"]
    assert [set(item) for item in found] == [{"id", "text", "label", "similarity"}] * 3
    similarities = [item["similarity"] for item in found]
    assert similarities == sorted(similarities, reverse=True)
    same = ["similar", "support-part", "--text", found[0]["text"], "-k", 1, "--models-dir", shelf, "--json"]
    [itself] = command(*same).json["results"]
    assert itself["id"] == found[0]["id"]
    assert itself["similarity"] == pytest.approx(1, abs=1e-3)
    [other] = command(*same, "--exclude-self").json["results"]
    assert other["id"] != itself["id"]
    narrowed = command(*same[:4], "--label", "wholesale", "--models-dir", shelf, "--json").json["results"]
    assert {item["label"] for item in narrowed} == {"wholesale"}


@pytest.mark.parametrize("text", ["a 👩\u200d🚀 purrs", "no\u00a0break", "e\u0301\u2028line", "\x1b[31mred", "\x9b31m"])
def test_json_never_alters_a_text(pets: Path, text: str) -> None:  # noqa: ARG001 # it makes the folder of models
    """What a terminal would obey is replaced for people only; machines get every character."""
    Path("odd.csv").write_text(f'{PETS_FILE}"009","{text}",cat\n', encoding="utf-8", newline="")
    assert command("train", "odd.csv", "--embedder", "fake:a").code == 0
    asked = ["similar", "odd", "--text", text, "-k", 1]
    [found] = command(*asked, "--json").json["results"]
    assert (found["id"], found["text"]) == ("009", text)
    shown = command(*asked).out
    assert "[009]" in shown
    assert "\x1b" not in shown
    assert "\x9b" not in shown


def test_similar_for_people(shelf: Path) -> None:
    """One line for each document; a text with nothing to read has none."""
    ran = command("similar", "support-part", "--text", QUESTION, "-k", 2, "--models-dir", shelf)
    assert (ran.code, ran.err, ran.out.count("\n")) == (0, "", 2)
    nothing = command("similar", "support-part", "--text", "", "--models-dir", shelf)
    assert (nothing.code, nothing.out) == (0, "no similar documents\n")


@pytest.mark.parametrize("label", ["cat\n  accuracy     100.0 %", "\rcat\u2028dog\x1b[2J", "long " * 2000])
def test_a_label_is_one_short_piece(label: str) -> None:
    """Whatever stands in a label, it forges no line and fills no screen."""
    proba = np.array([[0.4, 0.6], [0.7, 0.3], [0.6, 0.4]])
    prediction = Prediction(label, 0.6, "unsure", {label: 0.6, "b": 0.4})
    alone = Prediction(label, 0.6, "unsure", {label: 0.6})
    shown = [
        terminal.evaluation_lines(evaluate(proba, [label, "b"], [label, "b", f"{label}?"], majority="b")),
        terminal.prediction_lines(prediction),
        terminal.prediction_lines(alone),
        terminal.neighbor_lines([Neighbor(f"1{label}", label, label, 0.9)]),
    ]
    for line in (line for lines in shown for line in lines):
        assert line.isprintable()
        assert len(line) < 300
    assert "  most often confused:" in shown[0]


def test_a_process_predicts_from_stdin_to_stdout(shelf: Path) -> None:
    """A dash reads standard input; nothing but rows goes out, and every cell of the input is in them."""
    content = f'id;text\r\n007;"{QUESTION}"\r\n008;"two\r\nlines; and ""quotes"""\r\n009;\r\n'.encode()
    ran = command_line("predict", "support-part", "-", stdin=content, CLASSIFIER_MODELS_DIR=str(shelf))
    assert ran.code == 0, ran.err
    header, *rows = csv.reader(io.StringIO(ran.out, newline=""), delimiter=";", strict=True)
    assert header == ["id", "text", *ADDED]
    assert [row[:2] for row in rows] == [["007", QUESTION], ["008", 'two\r\nlines; and "quotes"'], ["009", ""]]
    assert rows[0][2] == "billing"
    assert rows[2][2:] == ["", "", "empty"]
    assert [row[4] == "empty" for row in rows] == [False, False, True]
    assert "3 rows: 3 predicted (" in ran.err
    assert "1 empty), 0 rejected" in ran.err


@contextlib.contextmanager
def running(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    """Run the command line in the background; what is left of it is ended."""
    process = subprocess.Popen(
        [sys.executable, "-m", "classifier", *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        try:
            yield process
        finally:
            process.kill()


def write_parcels(n_rows: int) -> None:
    """Write many rows to ``long.csv``."""
    with Path("long.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["text"])
        writer.writerows([f"parcel {number}"] for number in range(n_rows))


@pytest.fixture
def gated_shelf(gated_model: DocumentClassifier, tmp_path: Path) -> Path:
    """Store a model whose embedder waits at a gate."""
    Registry(tmp_path / "gated").add("gated", gated_model.save)
    return tmp_path / "gated"


def test_ctrl_c_finishes_the_block_in_hand_and_says_how_to_go_on(gated_shelf: Path, gate: Path) -> None:
    """SIGINT ends a run with 130, keeps what is finished and an earlier output; the same command does the rest."""
    write_parcels(6 * BLOCK_ROWS)
    Path("out.csv").write_text("of last week")
    arguments = ["predict", "gated", "long.csv", "-o", "out.csv", "--models-dir", str(gated_shelf), "--no-cache"]
    journal = Path("out.csv.unfinished/journal")
    with running(*arguments) as process:
        wait_until(
            lambda: process.poll() is not None or (journal.exists() and b'"kind": "block"' in journal.read_bytes())
        )
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        said = process.stderr.readline()
        gate.write_text("4")
        out, err = process.communicate(timeout=120)
    assert (process.returncode, out) == (130, "")
    assert [said, *err.splitlines(keepends=True)] == [
        "stopping after the block in hand; once more stops at once\n",
        "stopped; what is finished is kept in out.csv.unfinished. To go on:\n",
        f"  classifier {shlex.join(arguments)}\n",
    ]
    assert Path("out.csv").read_text() == "of last week"
    assert sorted(path.name for path in Path().iterdir()) == ["long.csv", "out.csv", "out.csv.unfinished"]
    gate.unlink()
    report = command_line(*arguments, "--json").json
    assert 0 < report["n_rows_before"] < report["counts"]["n_rows"] == 6 * BLOCK_ROWS
    assert [row[0] for row in csv_rows(Path("out.csv").read_text())] == [
        row[0] for row in csv_rows(Path("long.csv").read_text())
    ]
    assert sorted(path.name for path in Path().iterdir()) == ["long.csv", "out.csv", "out.csv.summary.json"]


def test_a_second_ctrl_c_stops_at_once(gated_shelf: Path, gate: Path) -> None:
    """Nobody has to wait for a block; an earlier output stays as it was."""
    gate.write_text("0")
    write_parcels(BLOCK_ROWS)
    Path("out.csv").write_text("of last week")
    with running("predict", "gated", "long.csv", "-o", "out.csv", "--models-dir", gated_shelf) as process:
        wait_until(lambda: process.poll() is not None or Path(f"{gate}.reached").exists())
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        said = process.stderr.readline()
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=120)
    code = process.returncode if process.returncode >= 0 else 128 - process.returncode  # as a shell counts
    told = "stopping after the block in hand; once more stops at once\n"
    assert (code, out, said, err) == (130, "", told, f"{STOPPED}\n")
    assert Path("out.csv").read_text() == "of last week"
    assert {path.name for path in Path().iterdir()} <= {"long.csv", "out.csv", "out.csv.unfinished"}


def test_a_library_that_fails_when_interrupted_is_no_bug(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Compiled code may turn an interrupt into an error of its own; the command still says that it was stopped."""

    def interrupted() -> None:
        with contextlib.suppress(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        raise RuntimeError("inference request failed")

    monkeypatch.setattr(sys.modules["classifier.cli.main"], "app", interrupted)
    with pytest.raises(SystemExit) as stopped:
        main()
    assert (stopped.value.code, capsys.readouterr().err) == (130, f"{STOPPED}\n")


def test_tidying_up_does_not_take_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits too long after an interrupt leaves; who is done in time does not."""
    monkeypatch.setattr("classifier.interrupts.TIDYING_SECONDS", 0.2)
    left = threading.Event()
    with contextlib.suppress(KeyboardInterrupt), interruptible(left.set):
        try:
            signal.raise_signal(signal.SIGINT)
        finally:
            assert left.wait(10)
    in_time = threading.Event()
    with contextlib.suppress(KeyboardInterrupt), interruptible(in_time.set):
        signal.raise_signal(signal.SIGINT)
    assert not in_time.wait(0.5)


def test_bugs_stay_visible(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without an interrupt, the same error is a bug, and is shown as one."""

    def broken() -> None:
        raise RuntimeError("inference request failed")

    monkeypatch.setattr(sys.modules["classifier.cli.main"], "app", broken)
    with pytest.raises(RuntimeError, match="inference request failed"):
        main()


def test_ctrl_c_within_a_finaliser_is_not_lost() -> None:
    """Python swallows exceptions there, so that an interrupt must come again right after."""
    finished: list[bool] = []

    class Finalised:
        def __del__(self) -> None:
            signal.raise_signal(signal.SIGINT)
            finished.append(True)

    def work() -> None:
        Finalised()
        for _ in range(1000):
            time.sleep(0.01)

    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt), interruptible():
        work()
    assert finished == [True]
    assert signal.getsignal(signal.SIGINT) == before


def test_a_process_refuses_in_one_sentence() -> None:
    """A mistake ends a real process with 1, one sentence on stderr and nothing on stdout."""
    assert refusal(command_line("predict", "nobody", "missing.csv")).startswith("missing.csv: there is no such file")


def test_version_of_a_process() -> None:
    """The version is printed and nothing heavy is needed for it."""
    assert command_line("--version") == (0, f"{classifier.__version__}\n".encode(), "")


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("arguments", [["models", "list"], ["predict", "gated", "-", "-o", "-"]])
def test_a_full_disk_behind_stdout_is_one_sentence(
    gated_shelf: Path, gate: Path, arguments: list[str], unbuffered: str
) -> None:
    """What cannot be printed is an error, not a traceback and not a success, whether or not Python keeps it first."""
    gate.unlink()
    with Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            [sys.executable, "-m", "classifier", *arguments, "--models-dir", str(gated_shelf)],
            input=b"text\na parcel\n",
            stdout=full,
            stderr=subprocess.PIPE,
            env=os.environ | {"PYTHONUNBUFFERED": unbuffered},
            timeout=120,
        )
    assert done.returncode == 1
    assert done.stderr.startswith(b"error: standard output: it cannot be written (No space left on device)")
    assert done.stderr.count(b"\n") == 1


def test_train_for_people(pets: Path) -> None:
    """Lines say what was learned, how it was measured and where it is; warnings go to stderr."""
    Path("more.csv").write_text(PETS_FILE + "009,sings at dawn,bird\n010,,cat\n011,is new,\n")
    ran = command("train", "more.csv", "--embedder", "fake:a", "--name", "pets")
    assert ran.code == 0
    assert ran.out.startswith("Trained pets@2 on 9 documents with 3 labels; left out: 1 without a label.\n")
    assert "-fold cross-validation of the training documents:\n" in ran.out
    assert f"Saved in {pets / 'pets' / '2'}\npets now means pets@2; to go back" in ran.out
    assert ran.err.splitlines() == [
        "warning: 1 document with nothing to read left out: id '010'.",
        "warning: 1 label with a single document, which cannot be measured: 'bird'; add documents or merge labels.",
    ]


@pytest.mark.parametrize("way", ["flag", "environment", "default", "flag over environment"])
def test_models_live_where_they_are_told_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    """--models-dir comes before CLASSIFIER_MODELS_DIR, which comes before ``models``."""
    Path("pets.csv").write_text(PETS_FILE)
    monkeypatch.delenv("CLASSIFIER_MODELS_DIR")
    expected = {"default": Path("models"), "environment": tmp_path / "noted"}.get(way, tmp_path / "named")
    if "environment" in way:
        monkeypatch.setenv("CLASSIFIER_MODELS_DIR", str(tmp_path / "noted"))
    flag = ["--models-dir", expected] if "flag" in way else []
    assert command("train", "pets.csv", "--embedder", "fake:a", *flag).code == 0
    assert (expected / "pets" / "1" / "manifest.json").is_file()
    assert [model["name"] for model in command("models", "list", *flag, "--json").json["models"]] == ["pets"]
    others = {tmp_path / "noted", tmp_path / "named", Path("models")} - {expected}
    assert not any(other.exists() for other in others)


def test_models_are_listed_shown_promoted_and_deleted(pets: Path) -> None:
    """Each command tells people one thing in a line, and machines the same in one object."""
    assert command("train", "pets.csv", "--embedder", "fake:a", "--no-promote").code == 0
    folders = [pets / "pets" / version for version in "12"]
    assert command("models", "list").out == f"* pets@1  {folders[0]}\n  pets@2  {folders[1]}\n"
    assert command("models", "list", "--json").json == {
        "models": [
            {"name": "pets", "version": "1", "promoted": True, "folder": str(folders[0])},
            {"name": "pets", "version": "2", "promoted": False, "folder": str(folders[1])},
        ]
    }
    shown = command("models", "show", "pets", "--json").json
    assert {"name", "version", "promoted", "folder", "labels", "data", "metrics", "contract"} <= set(shown)
    assert (shown["version"], shown["data"]["n_documents"]) == ("1", 8)
    assert command("models", "show", "pets@2").out.startswith("pets@2\n  trained ")
    assert command("models", "promote", "pets@2", "--json").json == {"promoted": "pets@2"}
    assert command("models", "promote", "pets@2").out == "pets now means pets@2\n"
    assert "promoted version; promote another one before deleting it." in refusal(command("models", "delete", "pets@2"))
    assert command("models", "delete", "pets@1", "--json").json == {"deleted": "pets@1"}
    assert command("models", "delete", "pets@2") == (0, b"deleted pets@2\n", "")
    assert command("models", "list", "--json").json == {"models": []}
    assert command("models", "list").out == "no models yet; train one with: classifier train FILE --name NAME\n"


@pytest.mark.usefixtures("pets")
def test_formats_of_the_output(tmp_path: Path) -> None:
    """The format is the one asked for, else the ending's, else the input's; each holds the same answers."""
    Path("in.csv").write_text("id,text\n007,barks at the postman\n1e5,\n")
    assert command("predict", "pets", "in.csv", "-o", "a.jsonl").code == 0
    assert command("predict", "pets", "in.csv", "-o", "a.parquet").code == 0
    assert command("predict", "pets", "in.csv", "-o", "a").code == 0
    assert command("predict", "pets", "in.csv", "-o", "a.tsv").code == 0
    unknown = command("predict", "pets", "in.csv", "-o", "a.out")
    assert (unknown.code, unknown.raw, Path("a.out").exists()) == (2, b"", False)
    assert "files ending in .out are not written" in unknown.err
    assert command("predict", "pets", "in.csv", "-o", "b.out", "--format", "parquet").code == 0
    printed = command("predict", "pets", "in.csv", "--format", "jsonl")
    assert printed.out == Path("a.jsonl").read_text(encoding="utf-8")
    lines = [json.loads(line) for line in printed.out.splitlines()]
    assert [list(line) for line in lines] == [["id", "text", *ADDED]] * 2
    assert [line["id"] for line in lines] == ["007", "1e5"]
    assert [(line["status"], line["confidence"] is None) for line in lines] == [("ok", False), ("empty", True)]
    assert pq.read_table("a.parquet").to_pylist() == lines
    assert pq.read_table("b.out").to_pylist() == lines
    header, first, _ = csv_rows(Path("a").read_text())
    assert Path("a.tsv").read_text() == Path("a").read_text().replace('","', '"\t"')
    assert dict(zip(header, first, strict=True)) == {key: str(value) for key, value in lines[0].items()}
    ran = command("predict", "pets", "in.csv", "-o", tmp_path / "x.csv")
    assert ran.out == ""
    assert f"written to {tmp_path / 'x.csv'}" in ran.err


@pytest.mark.usefixtures("pets")
def test_standard_input_of_every_kind() -> None:
    """JSON lines and Parquet are recognised by how they begin; so is everything else, as CSV."""
    buffer = io.BytesIO()
    pq.write_table(pa.table({"text": ["wags its tail", "purrs"]}), buffer)
    json_lines = b'{"text": "wags its tail"}\n{"text": "purrs"}\n'
    for content in (buffer.getvalue(), json_lines, b"\xef\xbb\xbf" + json_lines, b"text\nwags its tail\npurrs\n"):
        ran = command("predict", "pets", "-", "--format", "csv", "-o", "-", stdin=content)
        assert ran.code == 0, ran.err
        assert [row[0] for row in csv_rows(ran.out)] == ["text", "wags its tail", "purrs"]
    for content in (json_lines, b"\xef\xbb\xbf" + json_lines, b"text\nwags its tail\npurrs\n"):
        for packed in (gzip.compress(content), pa.compress(content, codec="zstd", asbytes=True)):
            assert command("predict", "pets", "-", "--format", "csv", stdin=packed).raw == ran.raw
    ran = command("train", "-", "--embedder", "fake:a", "--json", stdin=PETS_FILE.encode())
    assert ran.json["model"]["name"] == "stdin"
    assert refusal(command("predict", "pets", "-")).endswith(
        "stdin.csv: it is empty; give a file with at least one document."
    )
    assert refusal(command("predict", "pets", "-", stdin=gzip.compress(json_lines)[:-3])).endswith(
        "stdin.gz: the gzip archive is damaged or cut short; copy or download it again."
    )
    assert refusal(command("predict", "pets", "-", stdin=gzip.compress(buffer.getvalue()))).endswith(
        "stdin.parquet.gz: a Parquet file is not read from an archive; unpack it first, as Parquet has its own "
        "compression."
    )


@pytest.mark.usefixtures("pets")
def test_compressed_files_go_through_every_command(tmp_path: Path) -> None:
    """A model is named after what is compressed, a list of rejected rows after the file; answers keep the kind."""
    Path("zoo.csv.gz").write_bytes(gzip.compress(f"{PETS_FILE}ragged\n".encode()))
    ran = command("train", "zoo.csv.gz", "--embedder", "fake:a", "--json")
    assert (ran.code, ran.json["model"]["name"], ran.json["rejected_file"]) == (3, "zoo", "zoo.csv.gz.rejected.csv")
    for arguments in (
        ("evaluate", "zoo", "zoo.csv.gz"),
        ("audit", "zoo.csv.gz", "--embedder", "fake:a"),
        ("embed", "zoo.csv.gz", "-o", tmp_path / "zoo.parquet", "--embedder", "fake:a"),
        ("predict", "zoo", "zoo.csv.gz"),
    ):
        ran = command(*arguments)
        assert ran.code == 3, ran.err
        assert "1 rejected row listed in" in ran.err
    assert [row[:2] for row in csv_rows(ran.out)] == [row[:2] for row in csv_rows(PETS_FILE)]
    Path("new.jsonl.zst").write_bytes(pa.compress(b'{"text": "purrs", "n": 1.10}\n', codec="zstd", asbytes=True))
    assert command("predict", "zoo", "new.jsonl.zst").out.startswith('{"text": "purrs", "n": 1.10, "predicted_label":')


@pytest.mark.usefixtures("pets")
def test_top_k_is_a_cell_of_json() -> None:
    """The K most probable labels stand in one more column, the answer first."""
    Path("in.csv").write_text("id,text\n1,barks at the postman\n2,\n")
    ran = command("predict", "pets", "in.csv", "--top-k", 2)
    header, first, second = csv_rows(ran.out)
    assert header == ["id", "text", *ADDED, "top_k"]
    best = json.loads(first[-1])
    assert [set(item) for item in best] == [{"label", "confidence"}] * 2
    assert {item["label"] for item in best} == {"cat", "dog"}
    assert (best[0]["label"], best[0]["confidence"]) == (first[2], float(first[3]))
    assert second[-1] == "[]"


@pytest.mark.usefixtures("pets")
@pytest.mark.parametrize(
    ("option", "number", "is_said"),
    [("--target-accuracy", 0.999, True), ("--review-budget", 2, True), ("--min-confidence", 1, False)],
)
def test_nothing_answered_alone_is_explained(option: str, number: float, is_said: bool) -> None:
    """Where everything goes to a person, one sentence says why; not where that was asked for."""
    Path("in.csv").write_text("id,text\n1,barks at the postman\n2,purrs\n")
    ran = command("predict", "pets", "in.csv", option, number, "-o", "out.csv")
    assert ran.code == 0
    assert ("Every answer is for a person: no confidence reached the target" in ran.err) is is_said


@pytest.mark.usefixtures("pets")
def test_predict_file_as_json() -> None:
    """The report is one object: with the rows where they go to stdout, without where they go to a file."""
    Path("in.csv").write_text("id,text\n007,barks\u2028at night\n2,\n", encoding="utf-8")
    printed = command("predict", "pets", "in.csv", "--json")
    assert (printed.code, printed.err) == (0, "")
    assert set(printed.json) == BATCH_KEYS | {"predictions"}
    assert set(printed.json["counts"]) == COUNT_KEYS
    assert [list(row) for row in printed.json["predictions"]] == [["id", "text", *ADDED]] * 2
    assert printed.json["predictions"][0]["text"] == "barks\u2028at night"
    told = command("predict", "pets", "in.csv", "--min-confidence", "0.1").err
    assert "unsure below a confidence of 0.1: 0.0 % of the held-out training documents were; of the others" in told
    saved = command("predict", "pets", "in.csv", "-o", "out.csv", "--json")
    assert set(saved.json) == BATCH_KEYS
    assert (saved.json["output"], saved.json["counts"]["n_rows"]) == ("out.csv", 2)
    assert len(csv_rows(Path("out.csv").read_text(encoding="utf-8"))) == 3


@pytest.mark.usefixtures("pets")
def test_rejected_rows_end_with_three() -> None:
    """The answers are written all the same; the count and the list of rejected rows are named last."""
    Path("in.csv").write_text("id,text\n1,barks\n2,too,many\n3\n4,purrs\n")
    ran = command("predict", "pets", "in.csv", "-o", "out.csv")
    assert (ran.code, ran.out) == (3, "")
    assert ran.err.splitlines()[-1] == "2 rejected rows listed in out.csv.rejected.csv"
    assert [row[:2] for row in csv_rows(Path("out.csv").read_text())[1:]] == [["1", "barks"], ["4", "purrs"]]
    assert [row[0] for row in csv_rows(Path("out.csv.rejected.csv").read_text())] == ["row", "2", "3"]
    printed = command("predict", "pets", "in.csv", "--json")
    assert printed.code == 3
    assert printed.json["rejected_file"] == "in.csv.rejected.csv"
    assert printed.json["counts"]["n_rejected"] == 2
    Path("labelled.csv").write_text(PETS_FILE + "9,one more\n")
    trained = command("train", "labelled.csv", "--embedder", "fake:a")
    assert (trained.code, trained.err) == (3, "1 rejected row listed in labelled.csv.rejected.csv\n")
    measured = command("evaluate", "labelled", "labelled.csv", "--json")
    assert (measured.code, measured.json["n_rejected"]) == (3, 1)
    assert measured.err == (
        "8 of 8 documents are, or nearly are, training documents, which flatters the figures.\n"
        "Left out of the metrics: 1 rejected.\n1 rejected row listed in labelled.csv.rejected.csv\n"
    )


MISTAKES = {
    "unknown model": ("predict petz in.csv", "There is no model 'petz' in ", "Did you mean 'pets'?"),
    "unknown version": ("predict pets@7 in.csv", "There is no model 'pets@7' in ", "it has 'pets@1'"),
    "folder without a model": ("predict ./nothing in.csv", "The model in nothing was refused: ", ""),
    "missing file": ("predict pets no.csv", "no.csv: there is no such file or folder", "check the path."),
    "missing training file": ("train no.csv", "no.csv: there is no such file or folder", "check the path."),
    "missing test file": ("train pets.csv --test-file no.csv", "no.csv: there is no such file", "check the path."),
    "unknown column": ("predict pets in.csv --text-column txt", "in.csv: there is no column 'txt'", "'text'?"),
    "unknown label column": ("train pets.csv --label-column lable", "pets.csv: there is no column 'lable'", "'label'?"),
    "no label column": ("evaluate pets in.csv", "in.csv: no column looks like the label", "--label-column."),
    "unknown encoding": (
        "predict pets in.csv --encoding klingon",
        "in.csv: there is no encoding 'klingon'",
        "gb18030.",
    ),
    "wrong encoding": ("predict pets in.csv --encoding ascii", "in.csv: line 2 is not valid ascii", "--encoding."),
    "unknown format": ("predict pets in.csv --format xlsx", "There is no output format 'xlsx'", "'parquet'."),
    "output is the input": ("predict pets in.csv -o in.csv", "in.csv: it is the file that is being read", "file."),
    "output in no folder": ("predict pets in.csv -o no/out.csv", "no/out.csv: it cannot be written (No such", "."),
    "output is a folder": ("predict pets in.csv -o .", ".: it is not a regular file", "name a file to write."),
    "column is taken": ("predict pets answered.csv", "standard output: the input already has the column 'status'", "."),
    "one label": ("train one.csv", "There is only the label 'x' to learn from", "two labels or more."),
    "no labels": ("train unlabelled.csv", "No row of unlabelled.csv has a label", "--label-column."),
    "name of a model": (
        "train pets.csv --name a/b",
        "'a/b' cannot be a model's name",
        "beginning with a letter or digit.",
    ),
    "unknown embedder": ("train pets.csv --embedder ./no", "The embedder './no' could not be found", "'default'"),
    "unknown label": ("similar pets --text a --label bird", "There is no label 'bird'; allowed: 'cat', 'dog'.", ""),
    "no version": ("models promote pets", "'pets' does not name one version", "such as tickets@2."),
    "no such version": ("models delete pets@4", "There is no model 'pets@4'", "it has 'pets@1'"),
    "show nobody": ("models show nobody", "There is no model 'nobody'", "it has 'pets'."),
}


@pytest.mark.usefixtures("pets")
@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_sentence_and_code_1(mistake: str) -> None:
    """It says what was wrong and what to do, without a traceback, and leaves no file behind."""
    Path("in.csv").write_text("id,text\n1,bärks\n", encoding="utf-8")
    Path("one.csv").write_text("text,label\na b,x\nc d,x\n")
    Path("unlabelled.csv").write_text("text,label\na b,\nc d,\n")
    Path("answered.csv").write_text("text,status\na b,ok\n")
    before = sorted(Path().rglob("*"))
    line, beginning, remedy = MISTAKES[mistake]
    said = refusal(
        command(*line.split(), *(["--embedder", "fake:a"] if "train" in line and "./no" not in line else []))
    )
    assert said.startswith(beginning)
    assert remedy in said
    assert said.endswith((".", "?"))
    assert sorted(Path().rglob("*")) == before
    assert Path("in.csv").read_text(encoding="utf-8") == "id,text\n1,bärks\n"


WRONG_USAGE = (
    "frobnicate",
    "train",
    "predict",
    "predict pets",
    "predict pets in.csv --text both",
    "predict pets in.csv --top-k 0",
    "predict pets in.csv --format parquet",
    "predict pets --text a --top-k 2",
    "train pets.csv --seed -1",
    "predict pets in.csv --no-such-option",
    "evaluate pets",
    "similar pets",
    "similar pets --text a -k 0",
    "similar pets --text a -k many",
    "train pets.csv --seed x",
    "models frobnicate",
    "models promote",
)


@pytest.mark.parametrize("line", WRONG_USAGE)
def test_wrong_usage_is_code_2(line: str) -> None:
    """The usage goes to stderr, and nothing is done."""
    ran = command(*line.split())
    assert (ran.code, ran.raw) == (2, b"")
    assert "Usage: " in ran.err
    assert "Traceback" not in ran.err
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize("line", ["--help", "train --help", "predict --help", "models --help", "models show --help"])
def test_help_is_data(line: str) -> None:
    """Help that was asked for goes to stdout."""
    ran = command(*line.split())
    assert (ran.code, ran.err) == (0, "")
    assert ran.out.lstrip().startswith("Usage: ")


def test_a_folder_may_be_the_one_we_are_in(pets: Path) -> None:  # noqa: ARG001 # it trains the model
    """``.`` and ``..`` are folders like any other, and their lists of rejected rows have a name."""
    for name, content in {
        "dog/1.txt": b"barks",
        "dog/2.txt": b"wags",
        "cat/1.txt": b"purrs",
        "cat/2.txt": b"%PDF-1",
    }.items():
        Path("here", name).parent.mkdir(parents=True, exist_ok=True)
        Path("here", name).write_bytes(content)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir("here")
        ran = command("predict", "pets", ".")
        assert (ran.code, ran.err.splitlines()[-1]) == (3, "1 rejected row listed in here.rejected.csv")
        assert [row[0] for row in csv_rows(ran.out)] == ["id", "cat/1.txt", "dog/1.txt", "dog/2.txt"]
        trained = command("train", ".", "--embedder", "fake:a", "--json")
        assert (trained.code, trained.json["rejected_file"]) == (3, "here.rejected.csv")
        patch.chdir("dog")
        assert command("predict", "pets", "..").err.endswith(" listed in here.rejected.csv\n")


def test_a_damaged_model_is_refused(pets: Path) -> None:
    """One flipped byte in the weights of a model is an error, and never an answer."""
    [weights] = (pets / "pets" / "1").rglob("coef*")
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    said = refusal(command("predict", "pets", "--text", "barks"))
    assert said.startswith(f"The model in {pets / 'pets' / '1'} was refused: ")
    assert said.endswith("restore it from a backup or train again.")
