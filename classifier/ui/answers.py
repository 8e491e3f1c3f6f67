"""One answer in full: the label with its doubts, what a person says about it, the words, and similar documents."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from streamlit.delta_generator import DeltaGenerator

from classifier.datamodels import STATUS_EMPTY, Prediction, Settings
from classifier.modeling.explain import explain
from classifier.ui import correcting, state, widgets
from classifier.ui.state import OpenModel, Question, remembered


@dataclass(frozen=True, slots=True)
class Asked:
    """What is answered.

    Attributes
    ----------
    subject : hashable
        What is looked at; the parts of its answer are remembered until another one is.
    question : Question
    name : str
        The file it came from, if any.
    document : str
        Its id, if it has one.
    prediction : Prediction or None
        The answer where it is known already.
    """

    subject: Hashable
    question: Question
    name: str = ""
    document: str = ""
    prediction: Prediction | None = None


def answer(opened: OpenModel, settings: Settings, asked: Asked, left: DeltaGenerator, right: DeltaGenerator) -> None:
    """Show the answer to one text on the left, similar training documents on the right.

    Parameters
    ----------
    opened : OpenModel
    settings : Settings
        Where decisions of people are kept.
    asked : Asked
    left, right : DeltaGenerator
        Where to draw.
    """
    model, question, subject = opened.classifier, asked.question, asked.subject
    with left:
        found = asked.prediction or remembered(subject, question, lambda: model.classify([question.text])[0])
        widgets.result(opened, found, question.text, asked.name)
        if found.status == STATUS_EMPTY:
            return
        correcting.correction(opened, settings, found, question.text, document=asked.document)
        if widgets.wants_words(question.text):
            label = widgets.words_label(opened, found, question.text)
            why = remembered(
                subject,
                (question, "why", label),
                lambda: state.after_the_others(lambda: explain(model, question.text, label=label, k=0)),
            )
            widgets.words(why)
    with right:
        among, k = widgets.neighbor_filter(opened)
        near = remembered(
            subject,
            (question, among, k),
            lambda: model.similar(question.text, k, label=among, exclude_self=question.is_example),
        )
        widgets.neighbors(opened, near)
