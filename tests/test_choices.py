"""What a race chose is taken as it is where a model is trained again on nearly the same documents."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest
from fakes import FakeEmbedder
from places import DATA

from classifier.modeling.choices import DENSE, KINDS, Choices
from classifier.modeling.race import fit_hybrid, fit_logistic
from classifier.reading.documents import read_documents


@pytest.fixture(scope="module")
def tickets() -> tuple[list[str], np.ndarray, np.ndarray]:
    """Give some texts, vectors that know their labels a little, and labels."""
    rows = [item.document for item in read_documents(DATA / "support_tickets.csv", need_labels=True)][:240]
    _, y = np.unique([row.label for row in rows], return_inverse=True)
    vectors = FakeEmbedder(16).encode([row.text for row in rows])
    vectors[np.arange(len(y)), y] += 1
    return [row.text for row in rows], vectors / np.linalg.norm(vectors, axis=1, keepdims=True), y


def test_the_winner_is_trained_without_a_race(tickets: tuple[list[str], np.ndarray, np.ndarray]) -> None:
    """One candidate for each half, the chosen one; held-out answers stay what they were."""
    texts, vectors, y = tickets
    raced = fit_hybrid(vectors, y, texts=texts)
    choices = Choices.of({"race": [asdict(entrant) for entrant in raced.race]})
    assert choices is not None
    again = fit_hybrid(vectors, y, texts=texts, choices=choices)
    assert len(raced.race) > 3
    assert [entrant.features for entrant in again.race] == [DENSE, choices.terms, "embedding and words"]
    assert again.inverse_regularisation == raced.inverse_regularisation == choices.c
    assert again.learning_curve == ()
    same = again.held_out_proba.argmax(axis=1) == raced.held_out_proba.argmax(axis=1)
    assert same.mean() > 0.98
    assert Choices.of({"race": [asdict(entrant) for entrant in again.race]}) == choices


def test_a_head_of_embeddings_alone_has_choices_too(tickets: tuple[list[str], np.ndarray, np.ndarray]) -> None:
    """It has no terms."""
    _, vectors, y = tickets
    raced = fit_logistic(vectors, y)
    choices = Choices.of({"race": [asdict(entrant) for entrant in raced.race]})
    assert choices is not None
    assert (choices.c, choices.terms) == (raced.inverse_regularisation, "")
    assert len(fit_logistic(vectors, y, choices=choices).race) == 1


def test_terms_that_are_not_there_are_not_asked_for(tickets: tuple[list[str], np.ndarray, np.ndarray]) -> None:
    """A choice of another kind of terms falls back to what there is."""
    texts, vectors, y = tickets
    found = fit_hybrid(vectors, y, texts=texts, choices=Choices(3.0, "logistic"))
    assert found.inverse_regularisation == 3.0
    assert found.race[1].features in KINDS


def test_no_race_no_choices() -> None:
    """A model that was trained on next to nothing chose nothing."""
    assert Choices.of({"race": []}) is None
