"""Write down what a stored model is, for people who decide whether to use it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from classifier.analysis.html import prose
from classifier.analysis.report_page import render_report, render_section
from classifier.analysis.report_words import Facts, not_shown, reliability_sentences, summary_sentences
from classifier.datamodels import Settings
from classifier.errors import BundleRefusedError, OutputError
from classifier.prediction.sinks import written_whole
from classifier.storage.bundle import read_manifest
from classifier.storage.registry import Registry

_NOT_FACTS = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError)


@dataclass(frozen=True, slots=True)
class ModelReport:
    """What came of writing a report.

    Attributes
    ----------
    model : str
        What the model is called.
    page : str
        Where the page was written; ``-`` for a stream.
    n_bytes : int
        Its size.
    summary : tuple of str
        What it says first: what the model does, how good it is, what review costs.
    not_recorded, not_measured : tuple of str
        What is not on the page: the version that trained the model did not record it, or there were too few documents.
    """

    model: str
    page: str
    n_bytes: int
    summary: tuple[str, ...]
    not_recorded: tuple[str, ...]
    not_measured: tuple[str, ...]


def report(model: str | Path, settings: Settings, *, output: Path | IO[Any] | None = None) -> ModelReport:
    """Write the report of a stored model, from what was stored with it alone.

    Parameters
    ----------
    model : str or Path
        ``NAME`` (its promoted version), ``NAME@VERSION``, or the folder of a bundle (a path with a separator).
    settings : Settings
        Where models live.
    output : Path, text stream or None
        HTML file to write; ``NAME-VERSION-report.html`` where None.

    Raises
    ------
    UnknownModelError
        When there is no such name or version.
    BundleRefusedError
        When the manifest is damaged, foreign or newer, or does not describe a model.
    OutputError
        When the page cannot be written, or would lie in the model's own folder.
    """
    folder = _folder_of(model, settings).absolute()
    facts = read_manifest(folder)["facts"]
    name, version = (folder.parent.name, folder.name) if folder.name.isdigit() else (folder.name, "")
    title = f"{name}, version {version}" if version else name
    try:
        text = render_report(title, facts)
        summary, (not_recorded, not_measured) = summary_sentences(title, facts), not_shown(facts)
    except _NOT_FACTS as error:
        raise BundleRefusedError(folder, f"its manifest does not describe a model ({error!r})") from error
    target = output or Path("-".join(filter(None, (name, version, "report.html"))))
    _write(target, text, folder)
    return ModelReport(
        model=title,
        page=str(target) if isinstance(target, Path) else "-",
        n_bytes=len(text.encode("utf-8")),
        summary=summary,
        not_recorded=tuple(not_recorded),
        not_measured=tuple(not_measured),
    )


def report_sections(folder: Path, facts: Facts, *anchors: str) -> str:
    """Return parts of the report of a model, for a page that shows more beside them.

    Parameters
    ----------
    folder : Path
        The model's own.
    facts : mapping
        What is stored with it.
    *anchors : str
        Such as ``quality``; ``summary`` stands for the sentences at the top, ``believed`` for what the reliability
        diagram says.

    Returns
    -------
    str
        HTML, in which names and labels are inert; empty where the model lacks the facts.

    Raises
    ------
    BundleRefusedError
        When the facts do not describe a model.
    """
    title = f"{folder.parent.name}, version {folder.name}"
    parts = []
    try:
        for anchor in anchors:
            if anchor == "summary":
                parts.append(_spoken(anchor, summary_sentences(title, facts)))
            elif anchor == "believed":
                parts.append(_spoken(anchor, reliability_sentences(facts)))
            else:
                parts.append(render_section(anchor, facts))
    except _NOT_FACTS as error:
        raise BundleRefusedError(folder, f"its manifest does not describe a model ({error!r})") from error
    return "".join(parts)


def _spoken(kind: str, sentences: Iterable[str]) -> str:
    """Write sentences as paragraphs."""
    return f'<div class="{kind}">{"".join(f"<p>{prose(one)}</p>" for one in sentences)}</div>'


def _folder_of(model: str | Path, settings: Settings) -> Path:
    """Find the folder that is meant."""
    text = os.fspath(model)
    is_folder = isinstance(model, Path) or os.sep in text or text in {".", ".."}
    return Path(os.path.normpath(text)) if is_folder else Registry(settings.models_dir).find(text).folder


def _write(target: Path | IO[Any], text: str, folder: Path) -> None:
    """Write the page whole or not at all, and never into the model, which a further file would spoil."""
    if isinstance(target, Path) and Path(os.path.realpath(target)).is_relative_to(os.path.realpath(folder)):
        raise OutputError(target, "a model's folder holds its own files and no others", "choose another folder")
    with written_whole(target) as sink:
        sink.write(text)
