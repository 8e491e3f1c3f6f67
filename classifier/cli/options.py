"""Arguments and options that several commands share, and what standard input stands for."""

from __future__ import annotations

import contextlib
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from classifier.datamodels import EncoderOptions, ReviewPolicy, Settings
from classifier.reading.compression import compression_in, open_bytes

ModelArgument = Annotated[str, typer.Argument(metavar="MODEL", help="NAME, NAME@VERSION, or the folder of a model.")]
FileArgument = Annotated[
    str,
    typer.Argument(
        metavar="FILE", help="CSV, TSV or JSONL (also .gz, .zst), Parquet, a document, a folder of documents, or -."
    ),
]
ModelsDir = Annotated[
    Path | None, typer.Option("--models-dir", help="Where models live [CLASSIFIER_MODELS_DIR, then models].")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
TextColumn = Annotated[str | None, typer.Option("--text-column", help="Column of the texts [found].")]
LabelColumn = Annotated[str | None, typer.Option("--label-column", help="Column of the labels [found].")]
IdColumn = Annotated[str | None, typer.Option("--id-column", help="Column of the ids [found, else row numbers].")]
Vectors = Annotated[
    str | None, typer.Option("--embeddings", help="Vectors of all these documents, made by classifier embed.")
]
Backend = Annotated[str, typer.Option(help="What runs the encoder: auto, openvino or torch.")]
Precision = Annotated[str, typer.Option(help="Arithmetic of the encoder: auto, f32, bf16 or int8.")]
UseCache = Annotated[bool, typer.Option("--cache/--no-cache", help="Look up vectors of texts embedded before.")]
MultiLabel = Annotated[
    bool, typer.Option("--multi-label", help="Documents have any number of labels, joined by | or as a list.")
]
SourceName = Annotated[str | None, typer.Option("--source-name", help="What FILE is called in reports [its name].")]
RejectedFile = Annotated[
    Path | None, typer.Option("--rejected-file", help="Where unreadable rows are listed [FILE.rejected.csv].")
]
Encoding = Annotated[str | None, typer.Option("--encoding", help="Encoding of the file [found].")]

TargetAccuracy = Annotated[
    float | None,
    typer.Option("--target-accuracy", help="Share of the answers that stand alone which shall be right, as 0.98."),
]
ReviewBudget = Annotated[
    int | None, typer.Option("--review-budget", min=0, help="How many documents of the file a person can read.")
]
NSimilar = Annotated[
    int, typer.Option("--similar", min=0, help="Also write the K nearest training documents, as JSON.")
]
EmbeddingsOut = Annotated[Path | None, typer.Option(help="Also keep the vectors of all rows in this Parquet file.")]
Raw = Annotated[bool, typer.Option("--raw", help="Leave cells of CSV alone that a spreadsheet would run as formulas.")]
Fast = Annotated[
    bool, typer.Option("--fast", help="Let the words alone answer where they are clear: many times faster.")
]
Tolerance = Annotated[
    float | None,
    typer.Option(help="Share of rows whose answer may differ from the whole model's; with --fast [0.005]."),
]
Restart = Annotated[bool, typer.Option("--restart", help="Throw unfinished work on this output away.")]

MinConfidence = Annotated[float | None, typer.Option("--min-confidence", help="Answers below it are unsure [0.5].")]


def review_of(
    target_accuracy: float | None = None, review_budget: int | None = None, min_confidence: float | None = None
) -> ReviewPolicy:
    """Take at most one way to say which answers go to a person."""
    if sum(value is not None for value in (target_accuracy, review_budget, min_confidence)) > 1:
        raise typer.BadParameter("give one of --target-accuracy, --review-budget and --min-confidence")
    return ReviewPolicy(target_accuracy=target_accuracy, review_budget=review_budget, min_confidence=min_confidence)


def settings_of(
    models_dir: Path | None = None, backend: str = "auto", precision: str = "auto", use_cache: bool = True
) -> Settings:
    """Read the environment, and put what was asked for before it."""
    encoder = EncoderOptions(backend=backend, precision=precision, use_cache=use_cache)
    return Settings.from_environment(models_dir, encoder=encoder)


@contextlib.contextmanager
def input_path(file: str) -> Iterator[Path]:
    """Give the path to read; standard input is first copied to a file, as it is read more than once."""
    if file != "-":
        yield Path(file)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "stdin"
        with path.open("wb") as stream:
            shutil.copyfileobj(sys.stdin.buffer, stream)
        with path.open("rb") as stream:
            packed = compression_in(stream.read(4)) or ""
        path = path.rename(path.with_suffix(packed))
        with open_bytes(path) as stream:
            start = stream.read(4096).lstrip(b"\xef\xbb\xbf \t\r\n")
        suffix = ".parquet" if start.startswith(b"PAR1") else ".jsonl" if start.startswith(b"{") else ".csv"
        yield path.rename(path.with_suffix(suffix + packed))
