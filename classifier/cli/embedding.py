"""``embed``: vectors for somebody else."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from classifier import terminal
from classifier.cli.options import (
    AsJson,
    Backend,
    Encoding,
    FileArgument,
    IdColumn,
    ModelsDir,
    Precision,
    TextColumn,
    UseCache,
    input_path,
    settings_of,
)
from classifier.cli.output import finish, print_notes, show
from classifier.reports import Columns


def embed(
    file: FileArgument,
    output: Annotated[Path, typer.Option("-o", "--output", help="Parquet file to write.")],
    embedder: Annotated[str, typer.Option(help="As for train.")] = "default",
    model: Annotated[str | None, typer.Option(help="Take the embedder of this model, with all it learned.")] = None,
    dtype: Annotated[str | None, typer.Option(help="fp32, fp16, int8 or binary [that of the embedder].")] = None,
    text_column: TextColumn = None,
    id_column: IdColumn = None,
    models_dir: ModelsDir = None,
    backend: Backend = "auto",
    precision: Precision = "auto",
    use_cache: UseCache = True,
    encoding: Encoding = None,
    as_json: AsJson = False,
) -> None:
    """Write the vectors of a file's documents, with ids, checksums and the contract they were made under."""
    from classifier import workflows

    if model is not None and embedder != "default":
        raise typer.BadParameter("give either --embedder or --model")
    with input_path(file) as path:
        report = workflows.embed(
            path,
            output,
            settings_of(models_dir, backend, precision, use_cache),
            embedder=embedder,
            model=model,
            dtype=dtype,
            columns=Columns(text_column, None, id_column, encoding),
            progress=True,
        )
    print_notes(report.notes)
    show(terminal.embedding_lines(report), asdict(report), as_json)
    finish(report.n_rejected, report.rejected_file)
