"""What metrics are called, and what they mean, wherever they are shown."""

from collections.abc import Container

METRICS = (
    ("accuracy", "accuracy", "share of documents with the right label"),
    ("exact_match", "exact match", "share of documents with exactly the right labels"),
    ("micro_f1", "micro-F1", "balance of missed and of wrong labels, over all answers"),
    ("macro_f1", "macro-F1", "the same averaged over labels, so that rare ones count as much as common ones"),
    ("log_loss", "log loss", "punishes being sure and wrong; 0 is best"),
    ("brier", "Brier score", "squared distance of the probabilities from the truth; 0 is best"),
    ("ece", "calibration error (ECE)", "how far confidence is from the share that is right, on average; 0 is best"),
)
MAJORITY, MAJORITY_SET = "always the most frequent label", "always the most frequent set of labels"
SHARES = frozenset({"accuracy", "exact_match", "micro_f1", "macro_f1"})


def majority_name(metrics: Container[str]) -> str:
    """Say in words what the baseline is, by the names of the metrics: those of sets have exact matches.

    Examples
    --------
    >>> majority_name({"accuracy", "macro_f1"})
    'always the most frequent label'
    """
    return MAJORITY_SET if "exact_match" in metrics else MAJORITY
