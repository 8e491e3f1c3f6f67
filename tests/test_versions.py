"""Two versions on the same documents: paired figures, fallen labels, and one honest sentence."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.stats import binomtest
from sklearn.metrics import f1_score, precision_score, recall_score
from typer.testing import CliRunner

from classifier import workflows
from classifier.analysis.paired import compare_answers, sign_test
from classifier.cli import app
from classifier.datamodels import Settings
from classifier.errors import TrainingDataError
from classifier.workflows.versions import VersionComparison

Rows = list[tuple[str, str]]
WORDS = {
    "refund": "money back refund return paid invoice",
    "delivery": "parcel late courier tracking delivery arrived",
    "technical": "broken noise grinder display error repair",
}


def tickets(n_each: int = 20, start: int = 0) -> Rows:
    """Make documents of three labels, each with a text of its own."""
    rng = np.random.default_rng(start)
    return [
        (f"{' '.join(rng.choice(words.split(), 4))} no {start + number} of {label[0]}", label)
        for label, words in WORDS.items()
        for number in range(n_each)
    ]


def write(path: Path, rows: Rows) -> Path:
    """Write documents as CSV."""
    path.write_text("text,label\n" + "".join(f'"{text}","{label}"\n' for text, label in rows), encoding="utf-8")
    return path


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Give a folder of models, and run there."""
    monkeypatch.chdir(tmp_path)
    return Settings(tmp_path / "models")


def trained(settings: Settings, rows: Rows, **options: bool) -> str:
    """Train the next version of ``tickets``."""
    file = write(settings.models_dir.parent / "tickets.csv", rows)
    report = workflows.train(file, settings, name="tickets", embedder="lsa", promote=False, **options)
    return report.model.reference


def compared(settings: Settings, old: Rows, new: Rows, test: Rows | None = None, **options: bool) -> VersionComparison:
    """Train two versions, and compare them."""
    names = [trained(settings, rows, **options) for rows in (old, new)]
    file = None if test is None else write(settings.models_dir.parent / "test.csv", test)
    return workflows.compare_versions(*names, settings, test_file=file)


@given(arrays.arrays(np.bool_, (3, 12, 4)))
def test_figures_are_those_of_scikit_learn_and_scipy(drawn: np.ndarray) -> None:
    """Recall, precision, macro-F1 and both exact tests are what others compute."""
    truth, old, new = drawn
    found = compare_answers(truth, old, new, list("abcd"))
    occurring = (truth | new).any(axis=0)
    expected = f1_score(truth, new, average=None, zero_division=0)[occurring].mean() if occurring.any() else 1.0
    assert found.new.macro_f1 == pytest.approx(expected)
    for change in found.labels:
        column = "abcd".index(change.label)
        if change.old_recall is not None:
            assert change.old_recall == recall_score(truth[:, column], old[:, column])
        if change.new_precision is not None:
            assert change.new_precision == precision_score(truth[:, column], new[:, column])
    n_old, n_new = found.n_only_old_right, found.n_only_new_right
    assert found.new.n_correct - found.old.n_correct == n_new - n_old
    if n_old + n_new:
        assert found.p_value == pytest.approx(binomtest(n_old, n_old + n_new).pvalue)
    low, high = found.difference_interval
    assert low <= found.difference * len(truth) / (len(truth) + 2) <= high


@given(st.integers(0, 30), st.integers(0, 30))
def test_the_sign_test_does_not_care_which_is_first(first: int, second: int) -> None:
    """It is a probability, the same both ways."""
    assert sign_test(first, second) == sign_test(second, first)
    assert 0 < sign_test(first, second) <= 1


def one_label(n_right_old: int, n_right_new: int, n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return documents of label 0, of which the first ones are answered rightly, the others with label 1."""
    both = np.eye(2, dtype=np.bool_)
    return tuple(both[(np.arange(n) >= n_right).astype(int)] for n_right in (n, n_right_old, n_right_new))


@pytest.mark.parametrize(
    ("n_right_old", "n_right_new", "n", "fell"),
    [(25, 22, 25, True), (25, 24, 25, False), (100, 97, 100, False), (1000, 990, 1000, True), (22, 25, 25, False)],
)
def test_a_label_falls_clearly_or_not(n_right_old: int, n_right_new: int, n: int, fell: bool) -> None:
    """One document is no fall, nor are 3 points that chance explains; 12 points are, and 1 beyond chance."""
    labels = {
        change.label: change for change in compare_answers(*one_label(n_right_old, n_right_new, n), ["a", "b"]).labels
    }
    assert labels["a"].fell is fell


def test_a_label_that_is_given_too_often_falls_by_its_f1() -> None:
    """Recall stays, precision does not."""
    truth = np.array([[True, False]] * 10 + [[False, True]] * 10)
    new = truth.copy()
    new[10:15, 0] = True
    found = compare_answers(truth, truth, new, ["greedy", "other"])
    assert [change.label for change in found.labels if change.fell] == ["greedy"]


def test_the_same_model_twice_shows_no_difference(settings: Settings) -> None:
    """Held-out answers are those of training, so that accuracy is the one of the model."""
    rows = tickets()
    found = compared(settings, rows, rows)
    assert found.scores.n_documents == len(rows)
    assert found.scores.difference == 0
    assert found.verdict.startswith("No difference can be shown: on 60 documents")
    metrics = workflows.show_model("tickets@1", settings)[1]["metrics"]
    assert found.scores.old.accuracy == metrics["accuracy"]
    assert found.scores.old.macro_f1 == pytest.approx(metrics["macro_f1"])
    assert not found.warnings


def test_a_version_that_learned_wrong_labels_is_worse_and_its_label_falls(settings: Settings) -> None:
    """Half of one label's documents are turned into another one; a test file tells, and so do the corrected labels."""
    right = tickets(30)
    wrong = [(text, "delivery" if label == "refund" and row % 5 else label) for row, (text, label) in enumerate(right)]
    found = compared(settings, right, wrong, tickets(30, start=1000))
    assert found.verdict.startswith("tickets@2 is worse than tickets@1")
    assert found.scores.labels[0].label == "refund"
    assert found.scores.labels[0].fell
    assert "Label 'refund' fell from" in found.warnings[0]
    back = workflows.compare_versions("tickets@2", "tickets@1", settings)
    assert back.verdict.startswith("tickets@1 is better than tickets@2")
    assert back.scores.n_only_new_right > back.scores.n_only_old_right


def test_test_documents_that_were_trained_on_are_left_out(settings: Settings) -> None:
    """Rows known to either, copies and rows without a label do not count."""
    old, new = tickets(15), tickets(15) + tickets(1, start=500)
    fresh = tickets(2, start=1000)
    test = [*fresh, fresh[0], *tickets(1, start=500), old[3], ("nobody knows", "")]
    found = compared(settings, old, new, test)
    assert found.scores.n_documents == 6
    assert found.notes[-1] == (
        "Rows left out: 1 repeated, 4 known to one of them from training, or nearly so, 1 without a label."
    )
    with pytest.raises(TrainingDataError, match="give documents that neither was trained on"):
        workflows.compare_versions("tickets@1", "tickets@2", settings, test_file=write(Path("known.csv"), old))


def test_only_shared_documents_count_and_new_labels_are_named(settings: Settings) -> None:
    """The newer version's label is the right one, and one that the older does not know counts against it."""
    old = tickets(20)
    new = [(text, "money" if label == "refund" else label) for text, label in old[:50]] + tickets(2, start=500)
    found = compared(settings, old, new)
    assert found.scores.n_documents == 50
    assert found.only_new_labels == ("money",)
    assert found.only_old_labels == ()
    assert any("Only tickets@2 has the label 'money'; tickets@1 cannot be right on" in line for line in found.warnings)
    assert any("10 of tickets@1 and 6 of tickets@2" in note for note in found.notes)


def test_a_model_without_held_out_answers_needs_a_test_file(settings: Settings) -> None:
    """Older formats kept none."""
    old = Path(__file__).parent / "bundles" / "format-3"
    with pytest.raises(TrainingDataError, match=r"bundles@format-3 kept no answers.*give a labelled test file"):
        workflows.compare_versions(old, old, settings)


def test_two_kinds_of_models_are_refused(settings: Settings) -> None:
    """One label and any number cannot be compared, nor can labels that have nothing in common."""
    trained(settings, tickets())
    trained(settings, tickets(), multi_label=True)
    trained(settings, [(text, f"{label}!") for text, label in tickets()])
    with pytest.raises(TrainingDataError, match="compare versions of one kind"):
        workflows.compare_versions("tickets@1", "tickets@2", settings)
    with pytest.raises(TrainingDataError, match="no label in common"):
        workflows.compare_versions("tickets@1", "tickets@3", settings)


def test_sets_of_labels_are_right_where_all_are(settings: Settings) -> None:
    """The figure is the exact match of training; a test file works, too."""
    rows = [(f"{one[0]} {two[0]}", f"{one[1]}|{two[1]}") for one, two in zip(tickets(), tickets()[::-1], strict=True)]
    found = compared(settings, rows, rows, multi_label=True)
    metrics = workflows.show_model("tickets@1", settings)[1]["metrics"]
    assert found.multi_label
    assert found.scores.new.accuracy == metrics["exact_match"]
    test = write(Path("test.csv"), [("a late parcel by courier", "delivery"), ("money paid back", "")])
    assert workflows.compare_versions("tickets@1", "tickets@2", settings, test_file=test).scores.n_documents == 2


def test_the_command_prints_the_same_for_people_and_machines(settings: Settings) -> None:
    """The verdict comes first; JSON holds everything."""
    rows = tickets()
    trained(settings, rows)
    trained(settings, [(text, rows[row - row % 2][1]) for row, (text, _) in enumerate(rows)])
    arguments = ["compare-versions", "tickets@1", "tickets@2", "--models-dir", str(settings.models_dir)]
    shown = CliRunner().invoke(app, arguments)
    assert shown.exit_code == 0
    values = json.loads(CliRunner().invoke(app, [*arguments, "--json"]).stdout)
    assert shown.stdout.splitlines()[0] == values["verdict"]
    assert f"{100 * values['scores']['new']['accuracy']:.1f} %" in shown.stdout
    assert {one["label"] for one in values["scores"]["labels"]} == set(WORDS)
    refused = CliRunner().invoke(app, ["compare-versions", "tickets@1", "tickets@9", *arguments[3:]])
    assert isinstance(refused.exception, LookupError)
