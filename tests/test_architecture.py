"""The rooms and who may enter: directions of imports, cheap starts, and what the code must never do."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "classifier"
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(PACKAGE.rglob("*.py"))}
MOST_LINES_OF_A_FILE = 400
MOST_LINES_OF_A_FUNCTION = 50
HEAVY = {"torch", "sentence_transformers", "transformers", "streamlit", "fastapi", "sklearn", "pandas"}
HEAVY_FOR_HELP = {"torch", "sentence_transformers", "transformers", "streamlit", "sklearn"}
SLOWEST_IMPORT_SECONDS = 0.5

COMMAND_LINE, WEB_PAGE, REST = "command line", "web page", "REST"
SHELLS = {"cli": COMMAND_LINE, "terminal": COMMAND_LINE, "__main__": COMMAND_LINE, "ui": WEB_PAGE, "api": REST}
FLOORS = [
    {"datamodels", "errors", "files", "interrupts", "memory", "progress"},
    {"analysis", "reading", "embedding", "storage"},
    {"modeling"},
    {"prediction"},
    {"reports"},
    {"workflows"},
    set(SHELLS),
]
GROUND = FLOORS[0]
FLOOR = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
UNSAFE_MODULES = {"pickle", "cPickle", "cloudpickle", "dill", "shelve", "marshal"}
UNSAFE_CALLS = {"joblib.load", "joblib.dump", "torch.load", "eval", "exec", "os.system", "numpy.memmap.loads"}
MAY_WRITE = {"workflows/exporting.py": ["joblib.dump"]}  # an export that its owner asks for; nothing here loads one
UNSAFE_ARGUMENTS = {"allow_pickle", "trust_remote_code", "shell"}


def name_of(path: Path) -> str:
    """Return a file's path within the package."""
    return path.relative_to(PACKAGE).as_posix()


def room_of(path: Path) -> str:
    """Return the folder, or the module at the top, that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imported_rooms(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield line and room of each import of our own, also inside functions and for types only."""
    for node in ast.walk(tree):
        modules: list[str] = []
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: imports are absolute"
            if node.module == "classifier":
                modules = [f"classifier.{alias.name}" for alias in node.names]
            else:
                modules = [node.module or ""]
        for module in modules:
            parts = module.split(".")
            if parts[0] == "classifier" and len(parts) > 1 and parts[1] != "__version__":
                yield node.lineno, parts[1]


def wrong_imports(room: str, tree: ast.AST) -> list[str]:
    """List the imports that a room may not have."""
    found = []
    for line, other in imported_rooms(tree):
        same_shell = room in SHELLS and SHELLS.get(other) == SHELLS[room]
        same_ground = {room, other} <= GROUND
        if other != room and not same_shell and not same_ground and FLOOR[other] >= FLOOR[room]:
            found.append(f"line {line}: {room} imports {other}")
    return found


def offenders(look: Callable[[Path], object]) -> dict[str, object]:
    """Look at every file of the package; return what was found, by the names of the files."""
    return {name_of(path): found for path in TREES if (found := look(path))}


def test_imports_go_downward() -> None:
    """A room imports only what lies below it; neighbours and shells do not know each other."""
    rooms = {path: room_of(path) for path in TREES if path != PACKAGE / "__init__.py"}
    assert set(rooms.values()) <= set(FLOOR), "give each room a place in FLOORS"
    assert offenders(lambda path: path in rooms and wrong_imports(rooms[path], TREES[path])) == {}


@pytest.mark.parametrize(
    ("room", "code"),
    [
        ("analysis", "from classifier.embedding.contract import Embeddings"),
        ("reading", "def late():\n    from classifier import workflows"),
        ("modeling", "import classifier.prediction.batch"),
        ("ui", "from classifier import cli"),
        ("api", "from classifier.ui.widgets import upload"),
        ("errors", "from classifier.storage import bundle"),
        ("workflows", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from classifier.cli import app"),
    ],
)
def test_the_check_sees_an_import_that_goes_upward(room: str, code: str) -> None:
    """Upward, sideways, late and type-only imports are all noticed."""
    assert len(wrong_imports(room, ast.parse(code))) == 1


def test_every_room_says_what_lives_there() -> None:
    """The first words of a folder are a paragraph about it."""
    described = {name_of(path): ast.get_docstring(TREES[path]) for path in TREES if path.name == "__init__.py"}
    assert len(described) > len(FLOORS)
    assert [name for name, words in described.items() if not words or "." not in words] == []


def length_of(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Count a function's lines without its docstring."""
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    first = function.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        lines -= (first.end_lineno or first.lineno) - first.lineno + 1
    return lines


def too_long(path: Path) -> list[str]:
    """List the functions of a file that are too long, and the file itself where it is."""
    functions = [node for node in ast.walk(TREES[path]) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    n_lines = len(path.read_text(encoding="utf-8").splitlines())
    return [node.name for node in functions if length_of(node) > MOST_LINES_OF_A_FUNCTION] + (
        [f"the file: {n_lines} lines"] if n_lines > MOST_LINES_OF_A_FILE else []
    )


def test_files_and_functions_have_one_job() -> None:
    """A file of more than 400 lines has two jobs, as has a function of more than 50, its docstring not counted."""
    assert offenders(too_long) == {}


def unsafe(tree: ast.AST) -> list[str]:
    """List what would run code from a file: unpickling, evaluation, remote code, a shell."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.split(".")[0] in UNSAFE_MODULES]
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            names = {module.split(".")[0], *(f"{module}.{alias.name}" for alias in node.names)}
            found += sorted(names & (UNSAFE_MODULES | UNSAFE_CALLS))
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in UNSAFE_CALLS:
            found.append(ast.unparse(node.func))
        elif isinstance(node, ast.keyword) and node.arg in UNSAFE_ARGUMENTS and ast.unparse(node.value) != "False":
            found.append(f"{node.arg}={ast.unparse(node.value)}")
    return found


def test_nothing_runs_code_from_files() -> None:
    """No pickle, no evaluation, no code of a model's own."""
    assert offenders(lambda path: unsafe(TREES[path])) == MAY_WRITE


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from pickle import loads",
        "def f():\n    import dill as d",
        "import joblib\njoblib.load(path)",
        "from joblib import load",
        "np.load(path, allow_pickle=True)",
        "load(name, trust_remote_code=flag)",
        "torch.load(path)",
        "eval(text)",
    ],
)
def test_the_check_sees_unsafe_code(code: str) -> None:
    """Every way of running a file's code is noticed once."""
    assert len(unsafe(ast.parse(code))) == 1


def test_the_check_lets_safe_code_pass() -> None:
    """Switching the dangers off is not a danger."""
    assert unsafe(ast.parse("np.load(path, allow_pickle=False)\nfrom joblib import Parallel")) == []


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run a fresh interpreter."""
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, timeout=120, cwd=PACKAGE.parent)


def test_importing_the_package_is_cheap() -> None:
    """`import classifier` loads nothing heavy, and takes less than half a second."""
    code = (
        "import sys, time\n"
        "started = time.perf_counter()\n"
        "import classifier\n"
        "print(time.perf_counter() - started)\n"
        "print(*sorted({name.partition('.')[0] for name in sys.modules}))\n"
    )
    runs = [python("-c", code) for _ in range(3)]
    assert [run.stderr for run in runs] == ["", "", ""]
    seconds = [float(run.stdout.splitlines()[0]) for run in runs]
    assert min(seconds) < SLOWEST_IMPORT_SECONDS
    assert set(runs[0].stdout.splitlines()[1].split()) & HEAVY == set()


def loaded_by(*arguments: str) -> tuple[int, str, set[str]]:
    """Run the command line; return exit code, output, and the top-level packages it imported."""
    done = python("-X", "importtime", "-m", "classifier", *arguments)
    names = re.findall(r"^import time: +\d+ \| +\d+ \| +([\w.]+)$", done.stderr, flags=re.MULTILINE)
    return done.returncode, done.stdout, {name.partition(".")[0] for name in names}


@pytest.mark.parametrize("command", ["", "train", "predict"])
def test_help_is_cheap(command: str) -> None:
    """Asking what there is loads no model library."""
    code, output, loaded = loaded_by(*filter(None, [command]), "--help")
    assert code == 0
    assert "Usage" in output
    assert "typer" in loaded
    assert loaded & HEAVY_FOR_HELP == set()


def test_public_names_are_found_on_first_use() -> None:
    """Every name in __all__ exists, others are refused, and dir knows them."""
    import classifier

    assert all(getattr(classifier, name) is not None for name in classifier.__all__)
    with pytest.raises(AttributeError, match="no attribute 'DocumentClasifier'"):
        _ = classifier.DocumentClasifier
