"""``explain``, and how it reads in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from classifier import terminal
from classifier.cli.options import AsJson, Backend, ModelArgument, ModelsDir, Precision, UseCache, settings_of
from classifier.cli.output import print_notes, show
from classifier.datamodels import STATUS_EMPTY

if TYPE_CHECKING:
    from classifier.modeling.explain import Explanation, WordEffect

_HEADER = ("word", "at", "effect", "by its letters", "by its meaning")


def explain(
    model: ModelArgument,
    file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="One document: .txt, .md, .pdf, .docx …")
    ] = None,
    text: Annotated[str | None, typer.Option("--text", help="The text whose label is explained.")] = None,
    label: Annotated[str | None, typer.Option(help="Another label than the most probable one.")] = None,
    k: Annotated[int, typer.Option("-k", min=1, help="How many words for and against, and similar documents.")] = 5,
    models_dir: ModelsDir = None,
    backend: Backend = "auto",
    precision: Precision = "auto",
    use_cache: UseCache = True,
    as_json: AsJson = False,
) -> None:
    """Show which words of a text, and which training documents, speak for its label."""
    from classifier import workflows
    from classifier.reading.single import read_file

    if (text is None) == (file is None):
        raise typer.BadParameter("give either a FILE or --text")
    if text is None:
        found = read_file(Path(str(file)))
        print_notes(found.notes)
        text = found.text
    settings = settings_of(models_dir, backend, precision, use_cache)
    explanation = workflows.explain(model, text, settings, label=label, k=k)
    values = {name: value for name, value in asdict(explanation).items() if name != "text"}
    show(explanation_lines(explanation, k), values, as_json)


def explanation_lines(explanation: Explanation, n_shown: int) -> list[str]:
    """Lay out a label, at most `n_shown` words for it and against it, passages, and similar documents."""
    if explanation.status == STATUS_EMPTY:
        return ["empty: there is nothing to read in this text"]
    label = terminal.snippet(explanation.label, 40)
    speaks_for, against = explanation.most_important(n_shown)
    next_one = f"{terminal.snippet(explanation.runner_up, 40)}  {terminal.percent(explanation.runner_up_probability)}"
    return [
        f"{label}  {terminal.percent(explanation.probability)}{'' if explanation.is_given else '  (not the answer)'}",
        *([f"most probable beside it: {next_one}"] if explanation.runner_up else []),
        "Effects are on the log-odds of this label: what it would lose without the word or passage.",
        *_word_lines(f"Words for {label}:", speaks_for),
        *_word_lines(f"Words against {label}:", against),
        *_passage_lines(explanation),
        "Similar training documents:",
        *(f"  {line}" for line in terminal.neighbor_lines(explanation.neighbors)),
    ]


def _word_lines(title: str, effects: Sequence[WordEffect]) -> list[str]:
    """List words with their effects; nothing where there are none."""
    if not effects:
        return []
    rows = [
        (
            terminal.snippet(effect.word, 30),
            f"{effect.start:,}",
            f"{effect.total:+.2f}",
            f"{effect.lexical:+.2f}",
            f"{effect.dense:+.2f}",
        )
        for effect in effects
    ]
    return [title, *(f"  {line}" for line in terminal.table(_HEADER, rows))]


def _passage_lines(explanation: Explanation) -> list[str]:
    """List the passages of a long text in reading order; nothing for a short one."""
    if not explanation.chunks:
        return []
    rows = [
        (
            terminal.snippet(explanation.text[chunk.start : chunk.end], 60),
            f"{chunk.start:,}",
            f"{chunk.end:,}",
            f"{chunk.effect:+.2f}",
        )
        for chunk in explanation.chunks
    ]
    return ["Passages:", *(f"  {line}" for line in terminal.table(("passage", "from", "to", "effect"), rows))]
