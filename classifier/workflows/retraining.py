"""Train the next version of a model with what people corrected."""

from __future__ import annotations

import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace

from classifier.analysis.evaluation import Evaluation
from classifier.analysis.label_words import is_labels_only
from classifier.analysis.multilabel import MultiLabelEvaluation
from classifier.datamodels import Document, Settings
from classifier.errors import TrainingDataError, TrainingDataWarning
from classifier.modeling.choices import Choices
from classifier.modeling.label_sets import join_labels
from classifier.modeling.model import DocumentClassifier
from classifier.storage.feedback import Decision, text_digest
from classifier.storage.registry import ModelVersion, Registry
from classifier.workflows.corrections import feedback_of

MOST_GROWN = 0.2


@dataclass(frozen=True, slots=True)
class Applied:
    """What decisions make of the documents of a model.

    Attributes
    ----------
    documents : list of Document
        Those the model was trained on, each with the label that was decided, and behind them the new ones.
    n_relabelled, n_added, n_confirmed : int
        Documents that have another label now, new ones, and those of which the label was decided to be right.
    """

    documents: list[Document]
    n_relabelled: int
    n_added: int
    n_confirmed: int


@dataclass(frozen=True, slots=True)
class RetrainingReport:
    """What came of training with corrections.

    Attributes
    ----------
    model : ModelVersion
        The new version.
    before : str
        The version whose documents were corrected, as ``NAME@VERSION``.
    n_decisions, n_relabelled, n_added, n_confirmed : int
        Decisions that were learned from; documents that have another label now, new ones, and confirmed ones.
    raced : bool
        Whether everything was tried again; otherwise the choices of the version before were taken.
    n_documents : int
        Documents learned from.
    measured_on : str
        What `evaluation` was measured on.
    evaluation : Evaluation, MultiLabelEvaluation or None
        None where nothing could be held out.
    warnings : tuple of str
        What was noticed in the data.
    seconds : float
        Wall time.
    """

    model: ModelVersion
    before: str
    n_decisions: int
    n_relabelled: int
    n_added: int
    n_confirmed: int
    raced: bool
    n_documents: int
    measured_on: str
    evaluation: Evaluation | MultiLabelEvaluation | None
    warnings: tuple[str, ...]
    seconds: float


def retrain(name: str, settings: Settings, *, promote: bool = False, progress: bool = False) -> RetrainingReport:
    """Train the next version of a model on its own documents, with what people decided about them and about others.

    Where few documents came in and the labels are the same, the regularisation and the kinds of features of the
    version before are taken; otherwise they are chosen again.

    Parameters
    ----------
    name : str
        The model; its promoted version is the one that is corrected.
    settings : Settings
        Where models live.
    promote : bool, default=False
        Whether the name means the new version from now on.
    progress : bool, default=False
        Show bars on stderr.

    Raises
    ------
    UnknownModelError
        When there is no such model.
    TrainingDataError
        When nobody decided anything about it.
    ClassifierError
        When the model cannot be read, trained or stored.
    """
    started = time.perf_counter()
    registry = Registry(settings.models_dir)
    base, feedback = registry.find(name), feedback_of(settings)
    decisions, taken_back = feedback.standing(base.name), feedback.taken_back(base.name)
    if not decisions and not taken_back:
        problem = f"There are no corrections of {base.name!r}"
        raise TrainingDataError(problem, "correct documents on the page, or with classifier correct")
    old = DocumentClassifier.load(base.folder, settings.encoder)
    known = [] if is_labels_only(old.facts_) else old.documents_
    known = without_decisions(known, taken_back, multi_label=old.multi_label)
    applied = apply_decisions(known, decisions, multi_label=old.multi_label)
    choices = _kept_choices(old, applied)
    model = _fit(old, applied.documents, choices, base, settings, n_decisions=len(decisions), progress=progress)
    stored = registry.add(base.name, model.save, promote=promote)
    feedback.mark_trained([decision.number for decision in decisions], stored.version)
    feedback.mark_unlearned([decision.number for decision in taken_back])
    return RetrainingReport(
        model=stored,
        before=base.reference,
        n_decisions=len(decisions),
        n_relabelled=applied.n_relabelled,
        n_added=applied.n_added,
        n_confirmed=applied.n_confirmed,
        raced=choices is None,
        n_documents=len(model.documents_),
        measured_on=model.facts_["measured_on"],
        evaluation=model.evaluation_,
        warnings=model.warnings_,
        seconds=time.perf_counter() - started,
    )


def without_decisions(
    documents: Sequence[Document], taken_back: Sequence[Decision], *, multi_label: bool
) -> list[Document]:
    """Give documents back the labels that they had before decisions which were undone since.

    Documents that only such a decision brought in are left out; those with yet another label stay as they are.
    """
    undone = {text_digest(one.text): one for one in taken_back}
    kept = []
    for document in documents:
        decision = undone.get(text_digest(document.text))
        label = None if decision is None else decision.new_label
        if decision is None or document.label != (join_labels(label or "") if multi_label else label):
            kept.append(document)
        elif decision.old_label:
            kept.append(replace(document, label=decision.old_label))
    return kept


def apply_decisions(documents: Sequence[Document], decisions: Sequence[Decision], *, multi_label: bool) -> Applied:
    """Give documents the labels that were decided; texts that are not among them are new documents.

    Parameters
    ----------
    documents : sequence of Document
        What a model was trained on.
    decisions : sequence of Decision
        One at most for each text.
    multi_label : bool
        Whether ``|`` joins several labels.
    """
    open_decisions = {text_digest(one.text): one for one in decisions}
    known: set[bytes] = set()
    found, n_relabelled = [], 0
    for document in documents:
        digest = text_digest(document.text)
        decision = open_decisions.get(digest)
        if decision is not None:
            known.add(digest)
            label = join_labels(decision.new_label) if multi_label else decision.new_label
            n_relabelled += label != document.label
            document = replace(document, label=label)  # noqa: PLW2901 # the corrected one takes its place
        found.append(document)
    new = [decision for digest, decision in open_decisions.items() if digest not in known]
    found += [Document(one.document or f"decision {one.number}", one.text, one.new_label) for one in new]
    n_confirmed = sum(one.new_label == one.old_label for digest, one in open_decisions.items() if digest in known)
    return Applied(found, n_relabelled, len(new), n_confirmed)


def _kept_choices(old: DocumentClassifier, applied: Applied) -> Choices | None:
    """Return what the race before chose, where the documents are nearly the same and have the same labels."""
    labels = {document.label for document in applied.documents}
    is_grown = applied.n_added > MOST_GROWN * len(old.documents_)
    if old.multi_label or is_grown or labels != {str(name) for name in old.classes_}:
        return None
    return Choices.of(old.facts_, old.head_)


def _fit(
    old: DocumentClassifier,
    documents: Sequence[Document],
    choices: Choices | None,
    base: ModelVersion,
    settings: Settings,
    *,
    n_decisions: int,
    progress: bool,
) -> DocumentClassifier:
    """Train as the version before was trained, and note where the documents come from."""
    model = DocumentClassifier(
        old.embedder, head=old.head, seed=old.seed, multi_label=old.multi_label, options=settings.encoder
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", TrainingDataWarning)
        model.fit(
            [document.text for document in documents],
            [document.label or "" for document in documents],
            ids=[document.id for document in documents],
            choices=choices,
            progress=progress,
        )
    model.facts_["data"] |= {"file": f"{base.reference} with {n_decisions:,} corrections", "n_unlabelled": 0}
    model.facts_["retrained_from"] = base.reference
    return model
