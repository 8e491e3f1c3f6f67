"""Seed defects into the product, one at a time, and see which of them the tests find.

    pip install pytest-cov
    python -m pytest -n 2 -m "not slow" --cov=classifier --cov-context=test --junitxml=OUT/tests.xml
    python benchmarks/mutation.py OUT [--n-defects 72] [--seed 0] [--report FILE] [--others CHECKOUT --again FILE]

`OUT` holds ``tests.xml``, which tells how long each test takes; ``.coverage``, which tells which tests run which line,
is read from the current folder. A defect is a wrong comparison, a swapped argument, a skipped check, a wrong number, a
negation that is gone, ``and`` for ``or``, or another sign. Each one is put into a copy of the tree, and the tests that
run its line are run, the quickest first, until one fails; at the end, those tests run without a defect, too. With
``--others`` the tests of another checkout (those of before a change) are run instead, on the defects that a report of
this script says were missed.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import xml.etree.ElementTree as ElementTree
from collections import defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from queue import Queue

ROOT = Path(__file__).parents[1]
TREE = ("classifier", "tests", "docs", "data", "benchmarks", ".streamlit", "models")
TIMEOUT_SECONDS = 900
TEST_SECONDS = 120
OPERATORS: dict[type[ast.AST], tuple[str, str]] = {
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.In: (" in ", " not in "),
    ast.NotIn: (" not in ", " in "),
    ast.Is: (" is ", " is not "),
    ast.IsNot: (" is not ", " is "),
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "/"),
    ast.Div: ("/", "*"),
    ast.And: (" and ", " or "),
    ast.Or: (" or ", " and "),
}


@dataclass(frozen=True)
class Defect:
    """One change of one file: what stands between two offsets becomes something else."""

    file: str
    line: int
    kind: str
    start: int
    end: int
    old: str
    new: str


@dataclass(frozen=True)
class Verdict:
    """Which test found a defect, if any did, among how many that run its line."""

    defect: Defect
    found_by: str
    n_tests: int


class Source:
    """A file, its syntax tree, and offsets into its text."""

    def __init__(self, path: Path) -> None:
        self.name = path.relative_to(ROOT).as_posix()
        self.text = path.read_text(encoding="utf-8")
        self.tree = ast.parse(self.text)
        self._starts = [0]
        for line in self.text.splitlines(keepends=True):
            self._starts.append(self._starts[-1] + len(line))
        self._lines = self.text.splitlines(keepends=True)

    def offset(self, line: int, column: int) -> int:
        """Return the place of a column, which the tree counts in bytes."""
        return self._starts[line - 1] + len(self._lines[line - 1].encode()[:column].decode())

    def span(self, node: ast.expr | ast.stmt) -> tuple[int, int]:
        """Return where a node begins and ends."""
        return self.offset(node.lineno, node.col_offset), self.offset(node.end_lineno or 0, node.end_col_offset or 0)

    def defect(self, node: ast.expr | ast.stmt, kind: str, start: int, end: int, new: str) -> Defect:
        """Describe a change."""
        return Defect(self.name, node.lineno, kind, start, end, self.text[start:end], new)


def defects(source: Source) -> Iterator[Defect]:
    """Yield every defect that could be put into a function of a file."""
    functions = [node for node in ast.walk(source.tree) if isinstance(node, ast.FunctionDef)]
    seen: set[int] = set()
    for function in functions:
        for statement in function.body:
            for node in ast.walk(statement):
                if id(node) not in seen and isinstance(node, ast.expr | ast.stmt):
                    seen.add(id(node))
                    yield from _defects_of(source, node)


def _defects_of(source: Source, node: ast.expr | ast.stmt) -> Iterator[Defect]:
    """Yield the defects of one node."""
    if isinstance(node, ast.Compare) and len(node.ops) == 1:
        yield from _between(source, node, node.left, node.comparators[0], node.ops[0], "comparison")
    elif isinstance(node, ast.BoolOp):
        yield from _between(source, node, node.values[0], node.values[1], node.op, "and/or")
    elif isinstance(node, ast.BinOp) and not isinstance(node.left, ast.Constant | ast.JoinedStr):
        yield from _between(source, node, node.left, node.right, node.op, "sign")
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        start, _ = source.span(node)
        yield source.defect(node, "negation", start, source.span(node.operand)[0], "")
    elif isinstance(node, ast.If) and isinstance(node.body[0], ast.Raise | ast.Return | ast.Continue):
        start, end = source.span(node.test)
        yield source.defect(node.test, "check", start, end, "False")
    elif isinstance(node, ast.Call) and len(node.args) > 1 and not any(isinstance(a, ast.Starred) for a in node.args):
        (start, middle), (second, end) = source.span(node.args[0]), source.span(node.args[1])
        text = source.text
        if text[start:middle] != text[second:end]:
            yield source.defect(
                node, "arguments", start, end, text[second:end] + text[middle:second] + text[start:middle]
            )
    elif isinstance(node, ast.Constant) and type(node.value) is int:
        start, end = source.span(node)
        yield source.defect(node, "number", start, end, str(node.value + 1))


def _between(
    source: Source, node: ast.expr, left: ast.expr, right: ast.expr, operator: ast.AST, kind: str
) -> Iterator[Defect]:
    """Yield the change of an operator, which stands between its operands."""
    if type(operator) not in OPERATORS:
        return
    old, new = OPERATORS[type(operator)]
    start, end = source.span(left)[1], source.span(right)[0]
    place = source.text.find(old, start, end)
    if place >= 0:
        yield source.defect(node, kind, place, place + len(old), new)


def drawn(n_defects: int, seed: int, tests_of: dict[tuple[str, int], set[str]]) -> list[Defect]:
    """Draw as many defects from every room, among the lines that some test runs."""
    rooms = defaultdict[str, list[Defect]](list)
    for path in sorted((ROOT / "classifier").rglob("*.py")):
        for defect in defects(Source(path)):
            if tests_of.get((defect.file, defect.line)):
                rooms[Path(defect.file).parts[1]].append(defect)
    choices = random.Random(seed)
    for found in rooms.values():
        choices.shuffle(found)
    queue = [found.pop() for _ in range(n_defects) for _, found in sorted(rooms.items()) if found]
    return queue[:n_defects]


def covering_tests(coverage_file: Path) -> dict[tuple[str, int], set[str]]:
    """Read which tests run which line."""
    found = defaultdict[tuple[str, int], set[str]](set)
    with sqlite3.connect(coverage_file) as database:
        query = (
            "SELECT file.path, context.context, line_bits.numbits FROM line_bits "
            "JOIN file ON file.id = line_bits.file_id JOIN context ON context.id = line_bits.context_id"
        )
        for path, context, bits in database.execute(query):
            test = context.partition("|")[0].partition("[")[0].partition("@")[0]
            if "::" in test:
                for line in _lines_of(bits):
                    found["classifier/" + path.rpartition("/classifier/")[2], line].add(test)
    return found


def _lines_of(bits: bytes) -> Iterator[int]:
    """Yield the numbers whose bits are set."""
    for place, byte in enumerate(bits):
        yield from (8 * place + bit for bit in range(8) if byte & (1 << bit))


def seconds_of_tests(junit: Path) -> dict[str, float]:
    """Read how long each function of tests takes."""
    seconds = defaultdict[str, float](float)
    for case in ElementTree.parse(junit).getroot().iter("testcase"):  # noqa: S314 # our own file
        name = str(case.get("name")).partition("[")[0].partition("@")[0]
        seconds[f"{str(case.get('classname')).replace('.', '/')}.py::{name}"] += float(case.get("time") or 0)
    return seconds


def copied_tree(tests: Path) -> Path:
    """Copy what tests need into a folder of its own; the tests themselves may come from elsewhere."""
    folder = Path(tempfile.mkdtemp(prefix="mutation-"))
    for name in TREE:
        shutil.copytree(
            (tests if name == "tests" else ROOT) / name, folder / name, ignore=shutil.ignore_patterns("__pycache__")
        )
    for file in [*ROOT.glob("*.*"), ROOT / "Makefile"]:
        if file.is_file():
            shutil.copy(file, folder)
    if (ROOT / ".pytest_cache").is_dir():
        shutil.copytree(ROOT / ".pytest_cache", folder / ".pytest_cache", symlinks=True)
    return folder


def failing_test(folder: Path, defect: Defect, tests: list[str]) -> str:
    """Put a defect into a copy, run tests until one fails, and take it out; return that test, or nothing."""
    path = folder / defect.file
    whole = path.read_text(encoding="utf-8")
    path.write_text(whole[: defect.start] + defect.new + whole[defect.end :], encoding="utf-8")
    listed = folder / "tests-to-run"
    listed.write_text("\n".join(tests), encoding="utf-8")
    command = [sys.executable, "-B", "-m", "pytest", "-x", "-q", "-m", "not slow", "-p", "no:cacheprovider"]
    command += ["--timeout", str(TEST_SECONDS), f"@{listed}"]
    environment = os.environ | {"PYTHONPATH": str(folder)}
    try:
        done = subprocess.run(
            command, check=False, cwd=folder, env=environment, capture_output=True, text=True, timeout=TIMEOUT_SECONDS
        )
    except subprocess.TimeoutExpired:
        return "(the time is up)"
    finally:
        path.write_text(whole, encoding="utf-8")
    if done.returncode in {0, 5}:
        return ""
    if "while loading conftest" in done.stdout + done.stderr:
        return "(nothing can be imported)"
    failed = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    if not failed:
        raise RuntimeError(f"{defect}: pytest ended with {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return failed[0].split(" - ")[0]


def without_defect(folder: Path, verdicts: list[Verdict]) -> list[Verdict]:
    """Run the tests that found something on the sound tree, too; those that fail there have found nothing."""
    named = {one.found_by: one.found_by.partition(" ")[2] for one in verdicts}
    tests = sorted({name for name in named.values() if "::" in name})
    if not tests:  # pytest would run all that there are
        return verdicts
    command = [sys.executable, "-B", "-m", "pytest", "-q", "-p", "no:cacheprovider", *tests]
    environment = os.environ | {"PYTHONPATH": str(folder)}
    done = subprocess.run(command, check=False, cwd=folder, env=environment, capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith(("FAILED", "ERROR"))]
    failing = {line.split(" - ")[0].partition(" ")[2] for line in lines}
    print(f"control: {len(tests) - len(failing)} of {len(tests)} tests pass without a defect", *failing)
    return [replace(one, found_by="") if named[one.found_by] in failing else one for one in verdicts]


def main() -> None:
    """Draw, try, count."""
    parser = argparse.ArgumentParser(description="Seed defects and see whether the tests find them.")
    parser.add_argument("folder", type=Path, help="holds tests.xml")
    parser.add_argument("--n-defects", type=int, default=72)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--report", type=Path, default=Path("mutation.json"))
    parser.add_argument("--others", type=Path, help="a checkout whose tests are run instead")
    parser.add_argument("--again", type=Path, help="a report whose missed defects are tried again")
    arguments = parser.parse_args()
    tests_of, seconds = covering_tests(Path(".coverage")), seconds_of_tests(arguments.folder / "tests.xml")
    chosen = drawn(arguments.n_defects, arguments.seed, tests_of)
    if arguments.again:
        missed = [one["defect"] for one in json.loads(arguments.again.read_text()) if not one["found_by"]]
        chosen = [Defect(**one) for one in missed]
    places = Queue[Path]()
    for _ in range(2):
        places.put(copied_tree(arguments.others or ROOT))

    def judged(defect: Defect) -> Verdict:
        folder = places.get()
        tests = sorted(tests_of[defect.file, defect.line], key=lambda test: seconds.get(test, 0.0))
        if arguments.others:
            tests = sorted({test.partition("::")[0] for test in tests if (folder / test.partition("::")[0]).exists()})
        verdict = Verdict(defect, failing_test(folder, defect, tests), len(tests))
        places.put(folder)
        print(
            f"{defect.file}:{defect.line} {defect.kind} {defect.old!r} -> {defect.new!r}: "
            f"{verdict.found_by or f'missed by {len(tests)}'}",
            flush=True,
        )
        return verdict

    with ThreadPoolExecutor(2) as pool:
        verdicts = list(pool.map(judged, chosen))
    verdicts = without_defect(places.queue[0], verdicts)
    arguments.report.write_text(json.dumps([asdict(one) for one in verdicts], indent=1))
    print(f"{sum(bool(one.found_by) for one in verdicts)} of {len(verdicts)} found")
    while not places.empty():
        shutil.rmtree(places.get())


if __name__ == "__main__":
    main()
