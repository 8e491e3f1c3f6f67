"""One function per thing a user does; the command line, the page and Python all call these.

Each is imported on first use, so that predicting does not import what only training needs.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from classifier.workflows.auditing import audit
    from classifier.workflows.batches import predict_file
    from classifier.workflows.checking import check_file
    from classifier.workflows.comparing import compare
    from classifier.workflows.corrections import correct_from_file, review_counts
    from classifier.workflows.explaining import explain
    from classifier.workflows.exporting import export_model
    from classifier.workflows.labelled import read_labelled, rejected_path
    from classifier.workflows.labels_only import train_on_labels
    from classifier.workflows.measuring import evaluate
    from classifier.workflows.models import delete_model, list_models, promote_model, show_model
    from classifier.workflows.opening import load, open_predictor
    from classifier.workflows.predicting import predict_text, similar
    from classifier.workflows.reporting import report
    from classifier.workflows.retraining import retrain
    from classifier.workflows.reviewing import review_queue
    from classifier.workflows.training import train
    from classifier.workflows.upkeep import cache_info, clear_cache, examine, prune_cache
    from classifier.workflows.vectors import embed
    from classifier.workflows.versions import compare_versions

_HOMES = {
    "audit": "auditing",
    "cache_info": "upkeep",
    "check_file": "checking",
    "clear_cache": "upkeep",
    "compare": "comparing",
    "correct_from_file": "corrections",
    "compare_versions": "versions",
    "delete_model": "models",
    "embed": "vectors",
    "evaluate": "measuring",
    "examine": "upkeep",
    "explain": "explaining",
    "export_model": "exporting",
    "list_models": "models",
    "load": "opening",
    "open_predictor": "opening",
    "predict_file": "batches",
    "predict_text": "predicting",
    "promote_model": "models",
    "prune_cache": "upkeep",
    "read_labelled": "labelled",
    "rejected_path": "labelled",
    "report": "reporting",
    "retrain": "retraining",
    "review_counts": "corrections",
    "review_queue": "reviewing",
    "show_model": "models",
    "similar": "predicting",
    "train": "training",
    "train_on_labels": "labels_only",
}
__all__ = [
    "audit",
    "cache_info",
    "check_file",
    "clear_cache",
    "compare",
    "compare_versions",
    "correct_from_file",
    "delete_model",
    "embed",
    "evaluate",
    "examine",
    "explain",
    "export_model",
    "list_models",
    "load",
    "open_predictor",
    "predict_file",
    "predict_text",
    "promote_model",
    "prune_cache",
    "read_labelled",
    "rejected_path",
    "report",
    "retrain",
    "review_counts",
    "review_queue",
    "show_model",
    "similar",
    "train",
    "train_on_labels",
]


def __getattr__(name: str) -> Any:
    """Import a workflow on first use (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module 'classifier.workflows' has no attribute {name!r}")
    return getattr(import_module(f"classifier.workflows.{_HOMES[name]}"), name)
