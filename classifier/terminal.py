"""How results read in a terminal: plain lines, no colour, one thing per line."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from classifier.analysis.label_words import NOT_HELD_OUT, names_sentence
from classifier.analysis.metric_names import METRICS, SHARES, majority_name
from classifier.datamodels import (
    CANDIDATES_CONFIDENCE,
    STATUS_EMPTY,
    STATUS_OUT_OF_SCOPE,
    STATUS_UNSURE,
    Neighbor,
    Prediction,
)
from classifier.errors import counted

if TYPE_CHECKING:
    from classifier.analysis.evaluation import Evaluation
    from classifier.analysis.multilabel import MultiLabelEvaluation
    from classifier.reports import (
        BatchReport,
        CacheReport,
        DoctorReport,
        EmbeddingReport,
        EvaluationReport,
        TrainingReport,
    )
    from classifier.storage.registry import ModelVersion

SHOWN_CLASSES = 30
SHOWN_PROBABILITIES = 5
MIN_CANDIDATES, MOST_CANDIDATES = 2, 8
_SNIPPET = 90
_LABEL = 60
_ALL_TO_READ = (
    "Every answer is for a person: no confidence reached the target on held-out documents, or the review budget is "
    "enough for all rows."
)


def percent(share: float) -> str:
    """Write a share in [0, 1] as a percentage."""
    return f"{100 * share:.1f} %"


def printable(line: str) -> str:
    """Replace what a terminal would obey instead of showing, such as escape sequences in a label."""
    return "".join(character if character.isprintable() or character in "\n\t" else "·" for character in line)


def snippet(text: str, length: int = _SNIPPET) -> str:
    """Return the beginning of a text on one line."""
    line = "".join(character if character.isprintable() else "·" for character in " ".join(text.split()))
    return line if len(line) <= length else line[: length - 1] + "…"


def label_piece(label: str, length: int = _LABEL) -> str:
    """Return a label as one short piece of a line; what to call it where there is none."""
    return snippet(label, length) or "no label"


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Align columns; the first to the left, the others to the right.

    Examples
    --------
    >>> table(["label", "n"], [["refund", "12"]])
    ['label    n', 'refund  12']
    """
    lines = [list(header), *(list(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    return [
        "  ".join(
            cell.ljust(width) if column == 0 else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    ]


def training_lines(report: TrainingReport) -> list[str]:
    """Summarise what came of training."""
    left_out = [
        f"{count:,} {what}"
        for count, what in ((report.n_unlabelled, "without a label"), (report.n_rejected, "rejected"))
        if count
    ]
    seconds = ", ".join(f"{stage} {value:.1f} s" for stage, value in report.seconds.items())
    promoted = "" if report.model.promoted else " (not promoted)"
    learned = f"{report.n_documents:,} documents with {report.n_labels} labels"
    if not report.n_documents:
        learned = f"the names of {report.n_labels} labels, without a document"
    return [
        f"Trained {report.model.reference}{promoted} on {learned}"
        + (f"; left out: {', '.join(left_out)}." if left_out else "."),
        *([report.label_names] if report.label_names else []),
        *(
            [f"Measured on {report.measured_on}:", *evaluation_lines(report.evaluation)]
            if report.evaluation
            else [f"Not measured: {NOT_HELD_OUT if report.n_documents else 'there is no document'}."]
        ),
        *(
            [f"Sent to the review of {report.model.name}: {counted(report.n_sent_to_review, 'row')} without a label."]
            if report.n_sent_to_review
            else []
        ),
        f"Time: {seconds}.",
        f"Saved in {report.model.folder}",
        *_replaced_lines(report),
    ]


def _replaced_lines(report: TrainingReport) -> list[str]:
    """Say that a name means something else from now on."""
    if report.replaced is None:
        return []
    name, before = report.model.name, f"{report.model.name}@{report.replaced}"
    return [f"{name} now means {report.model.reference}; to go back: classifier models promote {before}"]


def evaluation_lines(evaluation: Evaluation | MultiLabelEvaluation) -> list[str]:
    """Lay out metrics with their intervals, the baseline beside them, and the labels, weakest first."""
    classes = sorted(evaluation.per_class.items(), key=lambda item: item[1].f1)
    rows = [
        (snippet(label, 40), f"{score.n_documents:,}", *(f"{value:.2f}" for value in _scores(score)))
        for label, score in classes[:SHOWN_CLASSES]
    ]
    more = len(classes) - SHOWN_CLASSES
    unknown = ", ".join(map(label_piece, evaluation.unknown_labels[:8]))
    return [
        f"  documents    {evaluation.n_documents:,}",
        *_metric_lines(evaluation),
        *([f"  labels the model does not know, counted as wrong: {unknown}"] if unknown else []),
        *(f"  {line}" for line in table(["label", "documents", "precision", "recall", "F1"], rows)),
        *([f"  … and {more} labels with a higher F1 (--json lists all)"] if more > 0 else []),
        *_confusion_lines(getattr(evaluation, "labels", []), getattr(evaluation, "confusion", [])),
    ]


def _shares(evaluation: Evaluation | MultiLabelEvaluation) -> list[tuple[str, str]]:
    """Return the names and the words of the metrics that are shares."""
    return [(name, word) for name, word, _ in METRICS if name in SHARES and hasattr(evaluation, name)]


def _metric_lines(evaluation: Evaluation | MultiLabelEvaluation) -> list[str]:
    """Lay out metrics, each with its interval and what the baseline would score where they are known."""
    lines, baseline = [], majority_name([name for name, _ in _shares(evaluation)])
    for name, word in _shares(evaluation):
        interval, majority = (getattr(evaluation, key, None) for key in (f"{name}_interval", f"majority_{name}"))
        told = [_range(interval)] if interval else []
        told += [f"{baseline}: {percent(majority)}"] if majority is not None else []
        beside = f"  ({'; '.join(told)})" if told else ""
        lines.append(f"  {word:<11}  {percent(getattr(evaluation, name))}{beside}")
    numbers = (("log_loss", "log loss"), ("brier", "Brier"), ("ece", "calibration error (ECE)"))
    shown = [f"{word} {getattr(evaluation, name):.3f}" for name, word in numbers if hasattr(evaluation, name)]
    lines.append(f"  {'   '.join(shown)}")
    given = getattr(evaluation, "mean_given_labels", None)
    if given is not None:
        true, none = getattr(evaluation, "mean_true_labels", 0.0), getattr(evaluation, "no_label_fraction", 0.0)
        lines.append(f"  {given:.2f} labels given per document, {true:.2f} true; {percent(none)} are given none")
    return lines


def measured_lines(report: EvaluationReport) -> list[str]:
    """Lay out metrics, also without the documents that training gives away."""
    lines = evaluation_lines(report.evaluation)
    clean = report.without_leaked
    if clean is None:
        return lines
    shares = ", ".join(f"{word} {percent(getattr(clean, name))}" for name, word in _shares(clean))
    return [*lines, f"  without {report.n_leaked:,} that training gives away: {shares}"]


def prediction_lines(prediction: Prediction) -> list[str]:
    """Show one answer with its runners-up."""
    if prediction.status == STATUS_EMPTY:
        return ["empty: there is nothing to read in this text"]
    rows = [(label_piece(label), percent(share)) for label, share in prediction.top(SHOWN_PROBABILITIES)]
    return [
        *_doubts(prediction),
        f"{label_piece(prediction.label)}  {percent(prediction.confidence)}",
        *(f"  {line}" for line in table(["label", "confidence"], rows)),
        *_candidates(prediction),
        f"  {percent(prediction.used_fraction)} of the text was read",
    ]


def _candidates(prediction: Prediction) -> list[str]:
    """List the labels that cannot be ruled out, where there are several."""
    if len(prediction.candidates) < MIN_CANDIDATES:
        return []
    shown = ", ".join(label_piece(label) for label in prediction.candidates[:MOST_CANDIDATES])
    n_more = len(prediction.candidates) - MOST_CANDIDATES
    more = f" and {n_more:,} more" if n_more > 0 else ""
    return [f"  one of: {shown}{more} ({100 * CANDIDATES_CONFIDENCE:.0f} % of the time the right label is among them)"]


def _doubts(prediction: Prediction) -> list[str]:
    """Say why an answer should be looked at."""
    if prediction.status == STATUS_OUT_OF_SCOPE:
        return ["out of scope: it resembles no training document enough; the nearest label is only a guess"]
    if prediction.status != STATUS_UNSURE:
        return []
    rivals = [label_piece(label) for label, _ in prediction.top(2)]
    likely = f"the most likely labels are {' and '.join(rivals)}" if len(rivals) > 1 else f"{rivals[0]} may fit or not"
    return [f"unsure: a person should look; {likely}"]


def neighbor_lines(neighbors: Sequence[Neighbor]) -> list[str]:
    """List similar documents, nearest first."""
    if not neighbors:
        return ["no similar documents"]
    return [
        f"{item.similarity:.3f}  {label_piece(item.label)}  [{snippet(item.id)}]  {snippet(item.text)}"
        for item in neighbors
    ]


def batch_lines(report: BatchReport) -> list[str]:
    """Summarise what came of predicting a file."""
    counts = report.counts
    speed = (counts.n_rows - report.n_rows_before) / report.seconds if report.seconds else 0.0
    statuses = ", ".join(f"{count:,} {status}" for status, count in counts.statuses.items())
    shown = list(counts.labels.items())[:12]
    labels = ", ".join(f"{label_piece(label, 30)} {count:,}" for label, count in shown)
    return [
        (
            f"{counts.n_rows:,} rows: {counts.n_predicted:,} predicted ({statuses or 'none'}), "
            f"{counts.n_rejected:,} rejected; {report.seconds:.1f} s, {speed:,.0f} rows/s{_memory(report)}"
        ),
        *([f"{report.n_rows_before:,} of them were there from before"] if report.n_rows_before else []),
        *([f"labels: {labels}"] if labels else []),
        *_agreement_lines(report),
        *([_ALL_TO_READ] if report.min_confidence > 1 else _expected_lines(report)),
        *([f"written to {report.output}"] if report.output != "-" else []),
    ]


def _agreement_lines(report: BatchReport) -> list[str]:
    """Say what the fast way did, and how far its answers are those of the whole model."""
    found = report.agreement
    if found is None:
        return []
    low, high = found.interval
    share = percent(report.counts.n_cheap / max(1, report.counts.n_predicted))
    checked = f"{found.n_differing:,} of {found.n_audited:,} that were checked differ from the whole model's"
    promise = "within" if found.is_kept else "NOT within"
    spread = f"(95 % interval {100 * low:.2f} to {100 * high:.2f})"
    return [
        f"{share} answered by their words alone; {checked}",
        f"so {100 * found.observed:.2f} % of all rows {spread}, {promise} the tolerance of {100 * found.tolerance:g} %",
    ]


def _memory(report: BatchReport) -> str:
    """Say how much memory was taken, where that is known."""
    return "" if report.peak_memory_bytes is None else f", {_megabytes(report.peak_memory_bytes)}"


def _expected_lines(report: BatchReport) -> list[str]:
    """Say what the threshold cost and gave on held-out documents."""
    cost = report.expected
    if cost is None or cost.accuracy_answered is None:
        return []
    read, right = percent(cost.review_fraction), percent(cost.accuracy_answered)
    below = f"unsure below a confidence of {report.min_confidence:.3g}"
    return [f"{below}: {read} of the held-out training documents were; of the others, {right} were answered right"]


def model_lines(models: Sequence[ModelVersion]) -> list[str]:
    """List stored models; a star marks the promoted version."""
    if not models:
        return ["no models yet; train one with: classifier train FILE --name NAME"]
    return [f"{'*' if model.promoted else ' '} {model.reference}  {model.folder}" for model in models]


def facts_lines(model: ModelVersion, facts: Mapping[str, Any]) -> list[str]:
    """Show one stored model."""
    metrics = facts.get("metrics")
    shares = ", ".join(
        f"{word} {percent(metrics[name])}" for name, word, _ in METRICS if metrics and name in SHARES & set(metrics)
    )
    quality = f"{shares}, ECE {metrics['ece']:.3f} on {facts['measured_on']}" if metrics else "not measured"
    labels = [snippet(label["name"], 30) for label in facts["labels"]]
    return [
        f"{model.reference}{' (promoted)' if model.promoted else ''}",
        f"  trained   {facts['created']} on {facts['data']['n_documents']:,} documents",
        f"  labels    {len(labels)}: {', '.join(labels[:20])}{' …' if len(labels) > 20 else ''}",
        *([f"  names     {names_sentence(facts)}"] if names_sentence(facts) else []),
        f"  quality   {quality}",
        f"  encoder   {facts['contract']['model_id']}",
        *(f"  noticed   {warning}" for warning in facts["warnings"]),
        f"  folder    {model.folder}",
    ]


def embedding_lines(report: EmbeddingReport) -> list[str]:
    """Sum up what was embedded."""
    contract = report.contract
    speed = report.n_documents / report.seconds if report.seconds else 0.0
    empty = f", {report.n_empty:,} of zeros (nothing to read)" if report.n_empty else ""
    return [
        f"{report.n_documents:,} vectors{empty}, {report.seconds:.1f} s, {speed:,.0f} documents/s",
        f"contract: {contract['model_id']}, {contract['pooling']}, {contract['dimension']} dimensions",
        f"stored as {contract['dtype']}, made in {contract['precision']}",
        f"written to {report.output}",
    ]


def cache_lines(report: CacheReport) -> list[str]:
    """Show what is kept between runs."""
    vectors = report.vectors
    return [
        f"{report.folder}",
        f"  vectors   {vectors.n_vectors:,}, {_megabytes(vectors.n_bytes)}",
        *(
            f"    {usage.n_vectors:>10,}  {usage.model_id}, {usage.pooling}, {usage.precision}, used {usage.last_used}"
            for usage in vectors.contracts
        ),
        *(f"  {name:<12} {_megabytes(size)}" for name, size in report.made_bytes.items() if size),
    ]


def doctor_lines(report: DoctorReport) -> list[str]:
    """Show what a machine can do."""
    libraries = ", ".join(f"{name} {number}" for name, number in report.libraries.items())
    cache = "" if report.can_write_cache else " (cannot be written: nothing is kept between runs)"
    return [
        f"python     {report.python} on {report.system}",
        f"libraries  {libraries}",
        f"processor  {report.processor}, {report.n_cores} cores",
        f"engine     {report.engine.backend} in {report.engine.precision}",
        f"  reason   {report.engine.reason}",
        f"encoder    {report.encoder}",
        f"cache      {report.cache_dir}{cache}",
        f"models     {report.models_dir}",
    ]


def _megabytes(n_bytes: int) -> str:
    """Write a size."""
    return f"{n_bytes / 1e6:,.1f} MB"


def _scores(score: Any) -> tuple[float, float, float]:
    """Return the three scores of a label."""
    return score.precision, score.recall, score.f1


def _range(interval: tuple[float, float]) -> str:
    """Write a 95 % interval."""
    return f"95 % interval {100 * interval[0]:.1f} to {100 * interval[1]:.1f}"


def _confusion_lines(labels: Sequence[str], confusion: Sequence[Sequence[int]]) -> list[str]:
    """Name the pairs of labels that are confused most."""
    pairs = [
        (count, true, given)
        for true, row in zip(labels, confusion, strict=True)
        for given, count in zip(labels, row, strict=True)
        if true != given and count
    ]
    worst = sorted(pairs, key=lambda pair: (-pair[0], pair[1], pair[2]))[:5]
    if not worst:
        return []
    return [
        "  most often confused:",
        *(f"    {count:>4}  {label_piece(true)} taken for {label_piece(given)}" for count, true, given in worst),
    ]
