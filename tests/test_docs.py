"""What the documents say is run: every command, every snippet, every link."""

import functools
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import copy_rows
from places import scaled
from typer.testing import CliRunner

from classifier.cli import app
from classifier.embedding import converted
from classifier.embedding.runtime import Encoder

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "data").glob("*.md")])


def blocks(text: str, language: str) -> list[str]:
    """Return the fenced code blocks of a language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make a folder with the sample data, as a reader of the README has it; `make test` shortens the tables."""
    folder = tmp_path_factory.mktemp("workspace")
    shutil.copytree(ROOT / "data", folder / "data")
    for table in (ROOT / "data").glob("*.csv"):
        copy_rows(table, folder / "data" / table.name, scaled(120, None))
    (folder / "output").mkdir()
    return folder


@pytest.fixture(scope="module")
def opened_once() -> Callable[..., Encoder]:
    """Open each converted encoder for all commands of this file, which users run in processes of their own."""
    return functools.cache(converted.open_converted)


@pytest.fixture
def in_workspace(workspace: Path, opened_once: Callable[..., Encoder], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in the workspace, with models in ``models``."""
    monkeypatch.setattr(converted, "open_converted", opened_once)
    monkeypatch.chdir(workspace)
    monkeypatch.delenv("CLASSIFIER_MODELS_DIR", raising=False)
    return workspace


@pytest.mark.filterwarnings("ignore::classifier.errors.UncalibratedWarning")  # a page trains on labels alone
@pytest.mark.parametrize(
    ("document", "n_commands", "product"),
    [
        ("README.md", 22, "look-at-posts.csv"),
        ("docs/embeddings.md", 8, "inbox.vectors.parquet"),
        ("docs/few_documents.md", 4, "first.csv"),
    ],
)
def test_commands_run(in_workspace: Path, document: str, n_commands: int, product: str) -> None:
    """Every ``classifier`` line of a page runs, in order, and ends with 0."""
    text = (ROOT / document).read_text(encoding="utf-8")
    lines = [line for block in blocks(text, "sh") for line in block.splitlines() if line.startswith("classifier ")]
    assert len(lines) >= n_commands
    for line in lines:
        result = CliRunner().invoke(app, shlex.split(line)[1:], catch_exceptions=False)
        assert result.exit_code == 0, f"{line}\n{result.output}"
    assert (in_workspace / "output" / product).is_file()


@pytest.mark.parametrize(
    ("document", "printed"),
    [
        ("README.md", ["delivery", "'grinders', 'shipping'"]),
        ("docs/embeddings.md", []),
        ("docs/few_documents.md", ["machine_fault"]),
    ],
)
def test_python_runs(in_workspace: Path, document: str, printed: list[str]) -> None:
    """The Python snippets of a page run as they stand, and print what they are about."""
    snippets = blocks((ROOT / document).read_text(encoding="utf-8"), "python")
    assert snippets
    each_by_itself = "import json, sys\nfor snippet in json.load(sys.stdin): exec(snippet, {'__name__': '__main__'})"
    result = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", each_by_itself],
        input=json.dumps(snippets),
        cwd=in_workspace,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert result.returncode == 0, result.stderr
    assert [words for words in printed if words not in result.stdout] == []


def test_make_targets_exist() -> None:
    """Every ``make`` target that a document names is in the Makefile."""
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = {
        target
        for document in DOCUMENTS
        for target in re.findall(
            r"(?:`|^)make ([a-z][a-z-]*)", document.read_text(encoding="utf-8"), flags=re.MULTILINE
        )
    }
    assert {"run", "test", "setup"} <= named
    for target in named:
        assert re.search(rf"^{target}:", makefile, flags=re.MULTILINE), target


def test_reference_is_the_help() -> None:
    """The command reference is what the command line prints today."""
    result = subprocess.run(
        [sys.executable, "-c", "import make_reference as m; print(m.reference(), end='')"],
        cwd=ROOT / "docs",
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.stdout == (ROOT / "docs" / "reference.md").read_text(encoding="utf-8"), result.stderr


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(document: Path) -> None:
    """Every relative link of a document names a file that exists."""
    targets = re.findall(r"\]\((?!https?:)([^)#]+)[^)]*\)", document.read_text(encoding="utf-8"))
    missing = [target for target in targets if not (document.parent / target).exists()]
    assert not missing
