"""What is refused and what is noticed before training."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from classifier.errors import TrainingDataError
from classifier.modeling.training_data import check_training_data, normalise_labels

TEXTS = ["a brown horse", "a grey goose", "a spotted hen", "a black sheep"]
LABELS = ["field", "yard", "yard", "field"]


def test_rows_stay_together() -> None:
    """Texts, labels and ids come back as given; classes are sorted."""
    data = check_training_data(TEXTS, LABELS, ["h", "g", "e", "s"])
    assert (data.texts, data.labels, data.ids) == (TEXTS, LABELS, ["h", "g", "e", "s"])
    assert data.classes == ["field", "yard"]
    assert data.y.tolist() == [0, 1, 1, 0]
    assert data.warnings == ()
    first = data.documents()[0]
    assert (first.id, first.text, first.label, first.row) == ("h", "a brown horse", "field", 1)


def test_ids_default_to_row_numbers() -> None:
    """Without ids, rows are numbered from 1."""
    assert check_training_data(TEXTS, LABELS).ids == ["1", "2", "3", "4"]


@pytest.mark.parametrize("kind", [tuple, np.array, pd.Series, lambda values: pd.Series(values, index=[9, 8, 7, 6])])
def test_any_sequence_of_strings_will_do(kind: Any) -> None:
    """Tuples, arrays and columns of a data frame are taken as they are, whatever their index."""
    data = check_training_data(kind(TEXTS), kind(LABELS))
    assert (data.texts, data.labels) == (TEXTS, LABELS)
    assert {type(value) for value in (*data.texts, *data.labels)} == {str}


def test_majority_is_the_most_frequent_label() -> None:
    """The most frequent label wins; among equals the first in order."""
    assert check_training_data(["a", "b", "c"], ["x", "y", "y"]).majority == "y"
    assert check_training_data(["a", "b"], ["y", "x"]).majority == "x"


@pytest.mark.parametrize(
    ("texts", "labels", "ids", "says"),
    [
        ([], [], None, "no labelled documents"),
        (["a", "b"], ["x", "x"], None, "only the label 'x'"),
        (["a", "b"], ["x"], None, "2 texts, 1 labels and 2 ids"),
        (["a", "b"], ["x", "y"], ["1"], "2 texts, 2 labels and 1 ids"),
        (["a", None], ["x", "y"], None, "text of document 2 is of type NoneType"),
        (["a", "b"], [1, 2], None, "label of document 1 is of type int"),
        (["a", "b"], ["x", float("nan")], None, "label of document 2 is of type float"),
        ([b"a", "b"], ["x", "y"], None, "text of document 1 is of type bytes"),
        ("ab", "xy", None, "A single string"),
        (["a", "b"], "xy", None, "A single string"),
    ],
)
def test_what_nothing_can_be_learned_from_is_refused(texts: Any, labels: Any, ids: Any, says: str) -> None:
    """One sentence says what was wrong with the value and what to give."""
    with pytest.raises(TrainingDataError) as caught:
        check_training_data(texts, labels, ids)
    message = str(caught.value)
    assert says in message
    assert message.endswith(".")
    assert "\n" not in message


def test_labels_of_one_document_are_named() -> None:
    """Labels that cannot be measured are counted and named, the others are not."""
    data = check_training_data(["a", "b", "c", "d"], ["x", "x", "lonely", "forlorn"])
    (warning,) = data.warnings
    assert warning.startswith("2 labels with a single document")
    assert "'forlorn', 'lonely'" in warning
    assert "'x'" not in warning


def test_equal_texts_under_different_labels_are_named() -> None:
    """The text and its labels are named; equal texts under one label are no conflict."""
    texts = ["same", "same", "fine", "fine", "other", "else"]
    _, warning = check_training_data(texts, ["x", "y", "x", "x", "y", "y"]).warnings
    assert warning == "1 text with conflicting labels: 'same' is 'x' and 'y'."


def test_many_conflicts_are_cut_with_a_count() -> None:
    """Three conflicts are shown, each text cut short, the rest is counted."""
    texts = [f"{number} " + "long " * 100 for number in range(5)]
    (warning,) = check_training_data(texts * 2, ["x"] * 5 + ["y"] * 5).warnings
    assert warning.startswith("5 texts with conflicting labels")
    assert warning.endswith("; and 2 more.")
    assert len(warning) < 300


def test_blank_rows_are_left_out_by_name() -> None:
    """Rows of zeros go, with the same rows of vectors, and their ids are named."""
    data = check_training_data([*TEXTS, ""], [*LABELS, "yard"], ["h", "g", "e", "s", "blank one"])
    vectors = np.eye(5, dtype=np.float32)
    vectors[4] = 0
    kept, embeddings = data.without_blank(vectors)
    assert kept.texts == TEXTS
    assert kept.ids == ["h", "g", "e", "s"]
    assert np.array_equal(embeddings, vectors[:4])
    assert kept.warnings == ("1 document with nothing to read left out: id 'blank one'.",)


def test_nothing_blank_changes_nothing() -> None:
    """Without rows of zeros the very same data come back."""
    data = check_training_data(TEXTS, LABELS)
    vectors = np.eye(4, dtype=np.float32)
    kept, embeddings = data.without_blank(vectors)
    assert kept is data
    assert embeddings is vectors


def test_blank_rows_may_take_a_label_with_them() -> None:
    """Classes and warnings are those of what is left; one label left is too few."""
    data = check_training_data(["a", "b", "", "c"], ["x", "y", "z", "y"])
    kept, _ = data.without_blank(np.array([[1], [1], [0], [1]], dtype=np.float32))
    assert kept.classes == ["x", "y"]
    assert kept.y.tolist() == [0, 1, 1]
    assert len(kept.warnings) == 2
    with pytest.raises(TrainingDataError, match="only the label 'y'"):
        data.without_blank(np.array([[0], [1], [0], [1]], dtype=np.float32))


def test_spellings_and_repetitions_are_named() -> None:
    """Labels that differ by case or spaces, and repeated texts, are worth a warning."""
    data = check_training_data(["a", "b", "c", "c"], ["Billing", "billing ", "other", "other"])
    assert any("'Billing' and 'billing '" in warning for warning in data.warnings)
    assert any("1 document with the words and label of another" in warning for warning in data.warnings)
    assert data.groups.tolist() == [0, 1, 2, 2]


def test_a_blank_label_is_refused() -> None:
    """A label of spaces is no label."""
    with pytest.raises(TrainingDataError, match="label of document 2 is empty"):
        check_training_data(["a", "b"], ["x", "  "])


@pytest.mark.parametrize(
    ("labels", "n_combined"),
    [
        (["a|b", "a", "b", "a"], 1),
        (["a|b", "a|c", "d", "d"], 2),
        (["a | b", "b", "c", "c"], 1),
        (["a|b", "a|b", "c", "c"], 0),
        (["a|b", "c|d", "e", "e"], 0),
        (["|", "||", " | ", "a"], 0),
        (["a|a", "b", "b", "c"], 0),
    ],
)
def test_labels_that_look_like_several_are_named(labels: list[str], n_combined: int) -> None:
    """Only where a part is a label too, or a part of another one; a sign within a label alone is nobody's business."""
    data = check_training_data(TEXTS, labels)
    said = [warning for warning in data.warnings if "--multi-label" in warning]
    counted = f"{n_combined} label" + ("s" if n_combined > 1 else "") + " with the sign '|'"
    assert [warning.startswith(counted) for warning in said] == [True] * bool(n_combined)
    assert data.classes == sorted(set(labels))


def test_labels_that_join_several_are_none_of_their_own() -> None:
    """Where documents have any number of labels, there is nothing to warn of."""
    data = check_training_data(TEXTS, ["a|b", "a", "b", "a"], multi_label=True)
    assert (data.classes, data.warnings) == (["a", "b"], ())
    assert data.label_matrix.astype(int).tolist() == [[1, 1], [1, 0], [0, 1], [1, 0]]


def test_labels_of_several_are_written_alike_one_by_one() -> None:
    """Each part is written as it is written most often in any set; a set that says one label twice has it once."""
    labels = ["Late|Lost", "late", "lost | late", "LOST", "", "Late |late", "very  late"]
    assert normalise_labels(labels, multi_label=True) == [
        "Lost|late", "late", "Lost|late", "Lost", "", "late", "very late",
    ]  # fmt: skip
    assert normalise_labels(["A|b", "a|B"]) == ["A|b", "A|b"]
