"""Between a classifier and its bundle: which facts and arrays make a model, and back."""

from __future__ import annotations

import platform
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from classifier.analysis.agreement import stored_curve
from classifier.analysis.issues import ISSUE_KINDS, LabelIssue
from classifier.analysis.model_card import render_card
from classifier.analysis.scope import BLOCK_ROWS
from classifier.embedding.contract import EmbeddingContract
from classifier.embedding.embedders import lasting_name, name_of
from classifier.errors import BundleRefusedError
from classifier.modeling.colors import label_colors
from classifier.modeling.decisions import stored_scope
from classifier.modeling.head import HEAD_NAMES, LexicalWeights, LinearHead
from classifier.modeling.held_out import HeldOut
from classifier.modeling.label_sets import stored_label_rule
from classifier.modeling.lexical import Lexicon
from classifier.storage.bundle import Bundle, load_bundle, save_bundle

if TYPE_CHECKING:
    from classifier.datamodels import EncoderOptions
    from classifier.modeling.trained import Trained

    Model = TypeVar("Model", bound=Trained)

LIBRARIES = (
    "document-classifier",
    "numpy",
    "openvino",
    "scikit-learn",
    "sentence-transformers",
    "tokenizers",
    "torch",
    "transformers",
)
LARGEST_WEIGHT = 1e6
LARGEST_EMBEDDING = 1e4
COLDEST, HOTTEST = 1e-6, 1e6


def save(model: Trained, folder: Path) -> Path:
    """Write a trained classifier as a new folder."""
    labels = [str(label) for label in model.classes_]
    colors = label_colors(labels)
    embedder = lasting_name(model.embedder) if isinstance(model.embedder, str) else name_of(model.contract_)
    facts = {
        **model.facts_,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "libraries": {name: version(name) for name in LIBRARIES} | {"python": platform.python_version()},
        "embedder": embedder,
        "contract": model.contract_.to_dict(),
        "labels": [{"name": label, "color": colors[label]} for label in labels],
        "temperature": model.head_.temperature,
        "n_words": len(model.lexicon_.words) if model.lexicon_ else 0,
        "warnings": list(model.warnings_),
    }
    arrays: dict[str, np.ndarray] = {
        "coef": model.head_.coef,
        "intercept": model.head_.intercept,
        "embeddings": model.embeddings_,
        "document_labels": model.document_labels_,
        "held_out": model.held_out_.to_array(),
        "held_out_answers": model.held_out_.answers,
        "label_matrix": _label_matrix_array(model, len(labels)),
        **_lexical_arrays(model.head_, model.lexicon_),
    }
    title = f"{folder.parent.name}, version {folder.name}"
    card = render_card(title, facts)
    issues = [asdict(issue) for issue in model.issues_]
    save_bundle(Bundle(facts, arrays, model.documents_, card, model.embedder_state_, issues), folder)
    return folder


def load(kind: type[Model], folder: Path, options: EncoderOptions | None = None) -> Model:
    """Open a folder as a classifier; arrays stay on disk until they are used."""
    bundle = load_bundle(folder)
    facts = bundle.facts
    try:
        contract = EmbeddingContract.from_dict(facts["contract"])
        labels = [_text(label["name"]) for label in facts["labels"]]
        name, head_name, seed = _text(facts["embedder"]), _known_head(facts["head"]), int(facts["seed"])
        temperature, n_words = float(facts["temperature"]), int(facts.get("n_words", 0))
        warnings = tuple(_text(warning) for warning in facts["warnings"])
    except (LookupError, TypeError, ValueError, ArithmeticError, AttributeError) as error:
        raise BundleRefusedError(folder, f"its manifest does not describe a model ({error})") from error
    coef, intercept = (np.array(bundle.arrays[name], dtype=np.float32) for name in ("coef", "intercept"))
    try:
        stored_scope(facts)
        stored_curve(facts)
        lexicon, lexical = _lexical_half(bundle.arrays, n_words, len(labels))
        rule = stored_label_rule(facts, len(labels))
        held_out = _held_out(bundle.arrays, len(labels), is_set=rule is not None)
        issues = _issues(bundle.issues, len(bundle.documents))
        label_matrix = _label_matrix(bundle.arrays, len(labels)) if rule is not None else None
    except (ValueError, ArithmeticError) as error:
        raise BundleRefusedError(folder, str(error)) from error
    head = LinearHead(coef, intercept, temperature, lexical, is_multi_label=rule is not None)
    document_labels = np.array(bundle.arrays["document_labels"], dtype=np.intp)
    _check_shapes(folder, labels, contract, head, bundle.arrays["embeddings"], document_labels)
    model = kind(name, head=head_name, seed=seed, multi_label=rule is not None, options=options)
    model.classes_ = np.array(labels, dtype=object)
    model.head_, model.contract_, model.warnings_ = head, contract, warnings
    model.lexicon_, model.held_out_ = lexicon, held_out
    model.label_rule_, model.label_matrix_ = rule, label_matrix
    model.embeddings_ = bundle.arrays["embeddings"]
    model.document_labels_, model.documents_ = document_labels, bundle.documents
    model.embedder_state_ = bundle.embedder_state
    model.issues_, model.facts_ = issues, facts
    return model


def _lexical_arrays(head: LinearHead, lexicon: Lexicon | None) -> dict[str, np.ndarray]:
    """Return the arrays of the sparse half; empty ones where there is none."""
    n_classes = len(head.coef)
    if lexicon is None or head.lexical is None:
        empty = np.zeros(0, dtype=np.float32)
        return {
            "lexical_coef": empty.reshape(0, n_classes),
            "lexical_intercept": np.zeros(n_classes, dtype=np.float32),
            "lexical_idf": empty,
            "lexical_terms": np.zeros(0, dtype=np.uint8),
        }
    return {
        "lexical_coef": head.lexical.coef,
        "lexical_intercept": head.lexical.intercept,
        "lexical_idf": lexicon.idf,
        "lexical_terms": np.frombuffer("\n".join(lexicon.terms).encode("utf-8"), dtype=np.uint8),
    }


def _lexical_half(
    arrays: dict[str, np.ndarray], n_words: int, n_classes: int
) -> tuple[Lexicon | None, LexicalWeights | None]:
    """Return terms and weights of the sparse half; None where there is none, as in formats 1 and 2."""
    if not len(arrays.get("lexical_idf", ())):
        return None, None
    coef, intercept, idf = (arrays[f"lexical_{name}"] for name in ("coef", "intercept", "idf"))
    try:
        terms = arrays["lexical_terms"].tobytes().decode("utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise ValueError("its words are no text") from error
    if not len(terms) == len(idf) == len(coef) or not 0 <= n_words <= len(terms):
        raise ValueError("its words and their weights differ in number")
    if coef.shape[1] != n_classes or intercept.shape != (n_classes,):
        raise ValueError("the weights of its words do not belong to its labels")
    if not all(_is_within(array, LARGEST_WEIGHT) for array in (coef, intercept, idf)):
        raise ValueError(f"the weights of its words are not finite, or beyond {LARGEST_WEIGHT:,.0f}")
    weights = LexicalWeights(coef, np.array(intercept, dtype=np.float32))
    return Lexicon(terms[:n_words], terms[n_words:], idf), weights


def _held_out(arrays: dict[str, np.ndarray], n_labels: int, *, is_set: bool) -> HeldOut:
    """Return how training documents fared while they were held out; unknown in formats 1 and 2, answers also in 3."""
    never = HeldOut.never(len(arrays["embeddings"]))
    found = arrays.get("held_out", never.to_array())
    if len(found) != len(never.truth):
        raise ValueError("its documents and their held-out answers differ in number")
    answers = arrays.get("held_out_answers", never.answers)
    return HeldOut.from_arrays(found, answers, n_labels, is_set=is_set)


def _issues(found: list[dict[str, Any]], n_documents: int) -> tuple[LabelIssue, ...]:
    """Take what deserves a look among the documents."""
    try:
        issues = tuple(LabelIssue(**values) for values in found)
    except TypeError as error:
        raise ValueError("its issues are no issues") from error
    for issue in issues:
        is_row = type(issue.row) is int and 0 <= issue.row < n_documents
        texts = (issue.label, issue.suggested, issue.reason)
        is_quality = isinstance(issue.quality, int | float) and 0 <= issue.quality <= 1
        if not is_row or not is_quality or issue.kind not in ISSUE_KINDS or not all(type(one) is str for one in texts):
            raise ValueError("its issues are no issues of its documents")
    return issues


def _label_matrix_array(model: Trained, n_labels: int) -> np.ndarray:
    """Return which labels each document has; no rows where each has one."""
    matrix = model.label_matrix_
    return np.zeros((0, n_labels), dtype=np.uint8) if matrix is None else matrix.astype(np.uint8)


def _label_matrix(arrays: dict[str, np.ndarray], n_labels: int) -> np.ndarray:
    """Return which labels each document has."""
    matrix, n_documents = arrays.get("label_matrix", np.zeros((0, 0))), len(arrays["embeddings"])
    if matrix.shape != (n_documents, n_labels) or (n_documents and matrix.max() > 1):
        raise ValueError("its documents and their labels do not belong together")
    return np.array(matrix, dtype=np.bool_)


def _check_shapes(
    folder: Path,
    labels: list[str],
    contract: EmbeddingContract,
    head: LinearHead,
    embeddings: np.ndarray,
    document_labels: np.ndarray,
) -> None:
    """Refuse arrays that do not belong together, or that arithmetic would answer with what is no number."""
    expected: list[tuple[str, Any, Any]] = [
        ("coef", head.coef.shape, (len(labels), contract.dimension)),
        ("intercept", head.intercept.shape, (len(labels),)),
        ("embeddings", embeddings.shape[1:], (contract.dimension,)),
    ]
    for name, found, wanted in expected:
        if found != wanted:
            raise BundleRefusedError(folder, f"its {name} has the shape {found} instead of {wanted}")
    if len(labels) < (1 if head.is_multi_label else 2) or len(set(labels)) != len(labels):
        raise BundleRefusedError(folder, "its labels are too few or repeat")
    if len(document_labels) and not 0 <= document_labels.min() <= document_labels.max() < len(labels):
        raise BundleRefusedError(folder, "its documents have labels that it does not know")
    if not (_is_within(head.coef, LARGEST_WEIGHT) and _is_within(head.intercept, LARGEST_WEIGHT)):
        raise BundleRefusedError(folder, f"the weights of its head are not finite, or beyond {LARGEST_WEIGHT:,.0f}")
    if not _is_within(embeddings, LARGEST_EMBEDDING):
        raise BundleRefusedError(folder, f"its embeddings are not finite, or beyond {LARGEST_EMBEDDING:,.0f}")
    if not COLDEST <= head.temperature <= HOTTEST:
        raise BundleRefusedError(folder, f"its temperature is {head.temperature}")


def _is_within(array: np.ndarray, largest: float) -> bool:
    """Tell whether every number is finite and no larger than that; in blocks, as an array may be left on disk."""
    blocks = (array[start : start + BLOCK_ROWS] for start in range(0, len(array), BLOCK_ROWS))
    return all((np.abs(block) <= largest).all() for block in blocks)


def _text(value: Any) -> str:
    """Take a string and nothing else."""
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not a string")
    return value


def _known_head(value: Any) -> str:
    """Take the name of a head this version has."""
    if value not in HEAD_NAMES:
        raise ValueError(f"unknown head {value!r}")
    return str(value)
