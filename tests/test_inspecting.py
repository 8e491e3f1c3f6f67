"""Looking into stored models: numbers, the documents behind them, and the commands that print both."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from classifier import DocumentClassifier, workflows
from classifier.analysis.issues import ISSUE_KINDS
from classifier.cli import app
from classifier.datamodels import ReviewPolicy, Settings
from classifier.errors import (
    ClassifierError,
    MultiLabelError,
    OptionError,
    StorageError,
    TrainingDataWarning,
    UnknownNameError,
)
from classifier.modeling.predictor import Predictor
from classifier.storage.registry import Registry
from classifier.workflows import inspecting

DATA = Path(__file__).parents[1] / "data"
BUNDLES = Path(__file__).parent / "bundles"


@pytest.fixture(scope="module")
def settings(
    tmp_path_factory: pytest.TempPathFactory, real_model: DocumentClassifier, forum: DocumentClassifier
) -> Settings:
    """Store a model of one label and one of any number."""
    settings = Settings(tmp_path_factory.mktemp("inspecting") / "models")
    Registry(settings.models_dir).add("tickets", real_model.save)
    Registry(settings.models_dir).add("forum", forum.save)
    return settings


@pytest.fixture(scope="module")
def tickets(settings: Settings) -> Predictor:
    """Open the model of one label."""
    return workflows.open_predictor("tickets", settings)


@pytest.fixture(scope="module")
def older() -> Predictor:
    """Open a model of a version that kept no held-out answers."""
    return Predictor.load(BUNDLES / "format-3")


def run(settings: Settings, *arguments: str) -> str:
    """Run a command, which must succeed."""
    command = [*arguments, "--models-dir", str(settings.models_dir)]
    result = CliRunner().invoke(app, command, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.stdout


def test_every_pair_opens_as_many_documents_as_it_counts(tickets: Predictor) -> None:
    """Cells of the matrix and their documents agree, and together they are all documents that were measured."""
    table = inspecting.confusion_table(tickets)
    assert table is not None
    assert table.has_documents
    labels, ids = table.confusion.labels, set()
    for (true, answered), n in table.confusion.counts.items():
        found = inspecting.documents_of_pair(tickets, labels[true], labels[answered])
        assert len(found) == n
        assert {(one.label, one.answer, one.document.label) for one in found} == {
            (labels[true], labels[answered], labels[true])
        }
        ids |= {one.document.id for one in found}
    assert len(ids) == int(tickets.held_out_.measured.sum())


def test_confusion_and_scores_are_the_stored_ones(tickets: Predictor) -> None:
    """Where the metrics are of cross-validation, the page counts what training counted."""
    table, metrics = inspecting.confusion_table(tickets), tickets.facts_["metrics"]
    assert table is not None
    assert table.confusion.among(metrics["labels"]) == metrics["confusion"]
    for row in inspecting.label_table(tickets).rows:
        stored = metrics["per_class"][row.label]
        assert (row.n_documents, row.n_given) == (stored["n_documents"], stored["n_predicted"])
        assert row.f1 == pytest.approx(stored["f1"])


def test_errors_come_surest_first_and_right_answers_least_sure_first(tickets: Predictor) -> None:
    """What is most worth reading stands at the top; a limit cuts the rest."""
    table = inspecting.confusion_table(tickets)
    assert table is not None
    worst = table.confusion.errors()[0]
    wrong = [one.confidence for one in inspecting.documents_of_pair(tickets, worst.true, worst.answered)]
    right = [one.confidence for one in inspecting.documents_of_pair(tickets, "delivery", "delivery")]
    assert len(wrong) == worst.n_documents > 1
    assert wrong == sorted(wrong, reverse=True)
    assert right == sorted(right)
    limited = inspecting.documents_of_pair(tickets, "delivery", "delivery", limit=3)
    assert [one.confidence for one in limited] == right[:3]


@pytest.mark.parametrize("name", ["tickets", "forum"])
def test_missed_and_wrongly_given_documents_make_up_the_scores(name: str, settings: Settings) -> None:
    """Recall and precision of every label follow from the documents that are listed."""
    model = workflows.open_predictor(name, settings)
    rows = inspecting.label_table(model).rows
    assert rows
    for row in rows:
        missed = inspecting.missed_documents(model, row.label)
        wrong = inspecting.wrongly_given_documents(model, row.label)
        n_hits = row.n_documents - len(missed)
        assert n_hits == row.n_given - len(wrong)
        assert row.recall == pytest.approx(n_hits / row.n_documents)
        assert all(row.label in one.label.split("|") and row.label not in one.answer.split("|") for one in missed)
        assert all(row.label in one.answer.split("|") and row.label not in one.label.split("|") for one in wrong)


def test_sets_of_labels_are_not_taken_for_one_another(forum: Predictor) -> None:
    with pytest.raises(MultiLabelError, match="how each label fares"):
        inspecting.confusion_table(forum)
    with pytest.raises(MultiLabelError):
        inspecting.documents_of_pair(forum, "beans", "events")


def test_unknown_labels_are_named(tickets: Predictor) -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'delivery'"):
        inspecting.documents_of_pair(tickets, "delivry", "delivery")
    with pytest.raises(UnknownNameError):
        inspecting.missed_documents(tickets, "")


def test_an_older_model_counts_but_has_no_documents(older: Predictor) -> None:
    """The stored figures are shown; asking for documents says what to do."""
    table, labels = inspecting.confusion_table(older), inspecting.label_table(older)
    assert table is not None
    assert (table.has_documents, labels.has_documents) == (False, False)
    assert sum(table.confusion.counts.values()) == older.facts_["metrics"]["n_documents"]
    assert table.measured_on == labels.measured_on == "4-fold cross-validation of the training documents"
    label = labels.rows[0].label
    with pytest.raises(StorageError, match="Train it again"):
        inspecting.documents_of_pair(older, label, label)
    assert inspecting.n_suspected_once(older.facts_) == sum(older.facts_["audit"]["n_issues"].values())


def test_a_model_of_labels_alone_has_numbers_but_no_documents(settings: Settings) -> None:
    """Measured on a test file, it has a matrix; why there are no documents is said rightly."""
    workflows.train_on_labels(
        DATA / "ticket_labels.csv", settings, name="names", test_file=DATA / "support_tickets_test.csv"
    )
    model = workflows.open_predictor("names", settings)
    table = inspecting.confusion_table(model)
    assert table is not None
    assert (table.measured_on, table.has_documents) == ("the test file support_tickets_test.csv", False)
    assert sum(table.confusion.counts.values()) == model.facts_["metrics"]["n_documents"]
    with pytest.raises(StorageError, match="trained without documents"):
        inspecting.missed_documents(model, "delivery")
    assert inspecting.review_choice(model, ReviewPolicy(review_budget=10)) is None


def test_a_budget_is_kept_and_buys_right_answers(tickets: Predictor) -> None:
    """More reading never exceeds its budget, and what is left alone is right more often than all."""
    choices = [inspecting.review_choice(tickets, ReviewPolicy(review_budget=n)) for n in (0, 100, 400)]
    nothing, some, many = choices
    assert nothing is not None
    assert some is not None
    assert many is not None
    assert (nothing.review_fraction, nothing.accuracy) == (0.0, nothing.accuracy_of_all)
    assert 0.05 < some.review_fraction <= 0.1
    assert 0.3 < many.review_fraction <= 0.4
    assert some.accuracy is not None
    assert many.accuracy is not None
    assert nothing.accuracy_of_all < some.accuracy < many.accuracy
    assert many.accuracy_interval is not None
    assert many.accuracy_interval[0] < many.accuracy < many.accuracy_interval[1]


@pytest.mark.parametrize("policy", [ReviewPolicy(review_budget=250), ReviewPolicy(target_accuracy=0.9)])
def test_a_threshold_that_is_typed_in_gives_the_same(tickets: Predictor, policy: ReviewPolicy) -> None:
    """Six digits on the page are the whole threshold."""
    choice = inspecting.review_choice(tickets, policy)
    assert choice is not None
    typed = inspecting.review_choice(tickets, ReviewPolicy(min_confidence=float(f"{choice.threshold:.6g}")))
    assert typed == choice
    measured = tickets.held_out_.measured
    n_below = int((tickets.held_out_.confidence[measured] < np.float32(choice.threshold)).sum())
    assert choice.review_fraction == pytest.approx(n_below / choice.n_documents)


def test_what_cannot_be_had_is_refused_or_all_is_read(tickets: Predictor) -> None:
    everything = inspecting.review_choice(tickets, ReviewPolicy(review_budget=1000))
    assert everything is not None
    assert (everything.review_fraction, everything.accuracy, everything.n_answered) == (1.0, None, 0)
    for budget in (-1, 1001):
        with pytest.raises(OptionError, match="a number from 0 to 1,000"):
            inspecting.review_choice(tickets, ReviewPolicy(review_budget=budget))


def test_suspects_are_filtered_by_kind_and_label(tickets: Predictor, forum: Predictor) -> None:
    """Every issue is of exactly one kind; a label filter looks at what is given and at what is suggested."""
    everything = inspecting.suspected_documents(tickets)
    assert len(everything) == len(tickets.issues_) > 5
    assert all(document.id == tickets.documents_[issue.row].id for issue, document in everything)
    by_kind = [inspecting.suspected_documents(tickets, kind=kind) for kind in ISSUE_KINDS]
    assert sum(map(len, by_kind)) == len(everything)
    of_label = inspecting.suspected_documents(tickets, label="delivery")
    assert 0 < len(of_label) < len(everything)
    assert all("delivery" in {issue.label, issue.suggested} for issue, _ in of_label)
    several = inspecting.suspected_documents(forum, label="events")
    assert all("events" in f"{issue.label}|{issue.suggested}".split("|") for issue, _ in several)
    with pytest.raises(UnknownNameError, match="kind of issue"):
        inspecting.suspected_documents(tickets, kind="ugly")


def test_a_model_that_was_never_measured_has_nothing_to_show(tmp_path: Path, settings: Settings) -> None:
    """One document of each label: no answer, no threshold, and the command says what to do."""
    file = tmp_path / "few.csv"
    file.write_text("text,label\nbread,dry\nmilk,wet\n", encoding="utf-8")
    with pytest.warns(TrainingDataWarning):
        workflows.train(file, settings, name="few", embedder="lsa")
    model = workflows.open_predictor("few", settings)
    assert inspecting.confusion_table(model) is None
    assert inspecting.label_table(model).rows == ()
    assert inspecting.review_choice(model, ReviewPolicy(review_budget=10)) is None
    result = CliRunner().invoke(app, ["threshold", "few", "--models-dir", str(settings.models_dir)])
    assert isinstance(result.exception, ClassifierError)
    assert "never measured" in str(result.exception)


def test_errors_are_printed(settings: Settings, tickets: Predictor) -> None:
    """Labels, pairs, the documents of a pair and of a label; JSON holds all of them."""
    table = inspecting.confusion_table(tickets)
    assert table is not None
    worst = table.confusion.errors()[0]
    told = run(settings, "errors", "tickets")
    assert "Measured on its training documents, each while it was held out:" in told
    assert f"{worst.true} taken for {worst.answered}" in told
    values = json.loads(run(settings, "errors", "tickets", "--json"))
    assert values["pairs"][0] == {
        "true": worst.true,
        "answered": worst.answered,
        "n_documents": worst.n_documents,
        "share": worst.share,
    }
    assert len(values["labels"]) == len(tickets.classes_)
    of_pair = ("errors", "tickets", "--true", worst.true, "--answered", worst.answered)
    found = json.loads(run(settings, *of_pair, "--json"))["documents"]
    assert len(found) == worst.n_documents
    assert found[0]["id"] in run(settings, *of_pair)
    missed = json.loads(run(settings, "errors", "forum", "--label", "events", "--json"))
    assert {"missed", "wrongly_given"} == set(missed)
    assert f"{len(missed['missed'])} missed:" in run(settings, "errors", "forum", "--label", "events")
    assert json.loads(run(settings, "errors", "forum", "--json"))["pairs"] is None


def test_half_a_pair_is_wrong_usage(settings: Settings) -> None:
    command = ["errors", "tickets", "--true", "delivery", "--models-dir", str(settings.models_dir)]
    assert CliRunner().invoke(app, command).exit_code == 2


def test_thresholds_and_suspects_are_printed(settings: Settings, tickets: Predictor) -> None:
    choice = inspecting.review_choice(tickets, ReviewPolicy(review_budget=200))
    assert choice is not None
    values = json.loads(run(settings, "threshold", "tickets", "--review-budget", "200", "--json"))
    assert values["threshold"] == choice.threshold
    assert values["accuracy"] == choice.accuracy
    assert f"{choice.threshold:.6g}" in run(settings, "threshold", "tickets", "--review-budget", "200")
    assert "A person reads everything" in run(settings, "threshold", "tickets", "--review-budget", "1000")
    found = json.loads(run(settings, "suspects", "tickets", "--kind", "doubtful", "--json"))["documents"]
    assert {one["kind"] for one in found} == {"doubtful"}
    assert f"{len(tickets.issues_)} training documents deserve a look" in run(settings, "suspects", "tickets")


def test_labels_cannot_command_a_terminal(tmp_path: Path) -> None:
    """An escape sequence in a label is shown, not obeyed."""
    texts = [f"{word} {number}" for number in range(6) for word in ("bread", "milk")]
    model = DocumentClassifier("lsa").fit(texts, ["dry\x1b[31m", "wet\x1b[2J"] * 6)
    model.save(tmp_path / "models" / "escape" / "1")
    assert "\x1b" not in run(Settings(tmp_path / "models"), "errors", "escape")
