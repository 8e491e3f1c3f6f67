"""``classifier compare``: the table, the page, what is kept between runs, and what is refused."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Sequence
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from fakes import FakeEmbedder
from typer.testing import CliRunner, Result

from classifier import workflows
from classifier.analysis.comparison_page import render_page
from classifier.analysis.tradeoffs import Comparison, Tradeoff
from classifier.cli import app
from classifier.datamodels import EncoderOptions, Settings
from classifier.embedding.contract import Embeddings
from classifier.embedding.embedders import EMBEDDERS, Family
from classifier.errors import CacheWarning, ClassifierError, EmbedderError, OutputError, TrainingDataError
from classifier.workflows.comparing import ComparisonReport

WORDS = {"sea": ["tide", "gull", "reef", "salt"], "wood": ["fern", "bark", "mole", "twig"]}
ROWS = [
    (f"{words[number % 4]} and {words[number % 3]} {number}", label)
    for label, words in WORDS.items()
    for number in range(10)
]
HOSTILE = "<script>alert('\"&')</script>"
VOID = {"meta", "br", "img", "path", "line", "circle", "polyline"}


class Broken(FakeEmbedder):
    """Can be loaded, and then stops."""

    def encode(self, texts: Sequence[str], *, progress: bool = False) -> Embeddings:  # noqa: ARG002 # of the protocol
        """Stop as Ctrl+C does."""
        raise KeyboardInterrupt


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Stand in a folder with a labelled file, a cache of its own and the fake embedder as a family."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLASSIFIER_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setitem(
        EMBEDDERS,
        "fake",
        Family(lambda name, options: FakeEmbedder(20, name.source)),  # noqa: ARG005 # one signature for all
    )
    write("notes.csv", ROWS)
    return tmp_path


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Compare the labelled file once; tests must not change what is kept of it."""
    folder = tmp_path_factory.mktemp("compared")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("CLASSIFIER_CACHE_DIR", str(folder / "cache"))
        patch.setitem(EMBEDDERS, "fake", Family(lambda name, options: FakeEmbedder(20, name.source)))  # noqa: ARG005
        write("notes.csv", ROWS)
        compare()
    return folder / "cache"


@pytest.fixture
def compared(folder: Path, kept: Path) -> None:
    """Begin with what an earlier comparison has kept."""
    shutil.copytree(kept, folder / "cache")


def write(name: str, rows: Sequence[tuple[str, str]]) -> Path:
    """Write rows as CSV."""
    path = Path(name)
    path.write_text("text,label\n" + "".join(f"{text},{label}\n" for text, label in rows), encoding="utf-8")
    return path


def compare(file: str = "notes.csv", **options: object) -> ComparisonReport:
    """Compare two embedders."""
    settings = Settings(Path("models"), EncoderOptions(download=False))
    return workflows.compare(file, settings, **{"embedders": ["lsa", "fake:a"]} | options)  # type: ignore[arg-type]


def run(*arguments: str, file: str = "notes.csv", text: str | None = None) -> Result:
    """Run the command on two embedders; it must succeed."""
    command = ["compare", file, "--embedder", "lsa", "--embedder", "fake:a", *arguments]
    result = CliRunner().invoke(app, command, input=text, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result


def refusal(*arguments: str) -> str:
    """Return the one sentence with which the command is refused."""
    result = CliRunner().invoke(app, ["compare", *arguments])
    assert isinstance(result.exception, ClassifierError), result.output
    return str(result.exception)


def journal() -> Path:
    """Return the only file of kept results."""
    (found,) = Path("cache/comparisons").iterdir()
    return found


def without_speed(comparison: Comparison) -> list[Tradeoff]:
    """Return all that does not depend on the clock."""
    return [replace(one, documents_per_second=1.0, on_front=False) for one in comparison.tradeoffs]


def test_a_report_holds_everything() -> None:
    """Every embedder in every dimension and dtype, the front marked, one of them recommended."""
    report = compare()
    found = report.comparison
    assert (found.source, found.n_documents, found.n_available, found.n_measured) == ("notes.csv", 20, 20, 20)
    assert (found.n_labels, found.n_folds, found.majority_accuracy, found.seed) == (2, 5, 0.5, 0)
    assert {one.embedder for one in found.tradeoffs} == {"lsa", "fake:a"}
    assert len(found.tradeoffs) == 12  # lsa has fewer than 16 dimensions here
    assert any(one.on_front for one in found.tradeoffs)
    assert found.recommendation.chosen in found.tradeoffs
    assert found.recommendation.chosen.on_front
    assert (report.page, report.n_resumed, report.n_rejected, report.rejected_file) == (None, 0, 0, None)


@pytest.mark.usefixtures("compared")
def test_the_table_is_short_unless_all_is_asked_for() -> None:
    """The front and the best of each embedder, or every row, with the recommended one marked."""
    short, full = run().stdout, run("--all").stdout
    assert "notes.csv: 20 documents, 2 labels, 5-fold cross-validation" in short
    assert "of 12 measured rows; --all shows the others." in short
    assert "12 of 12 measured rows." in full
    for text in (short, full):
        assert len(re.findall(r"^\* ", text, flags=re.MULTILINE)) == 1
        assert re.search(r"^Recommended: \S+ as \S+$", text, flags=re.MULTILINE)
        assert re.search(r"^  classifier train FILE --embedder \S+ --name NAME$", text, flags=re.MULTILINE)
    assert len(short.splitlines()) < len(full.splitlines())
    rows = [line.split() for line in re.findall(r"^[*+ ] \S+ +\d+ +\S+ .*%.*$", short, flags=re.MULTILINE)]
    shares = [float(row[row.index("%") - 1]) for row in rows]
    assert shares == sorted(shares, reverse=True)
    assert {"lsa", "fake:a"} <= {word for row in rows for word in row}


@pytest.mark.usefixtures("compared")
def test_json_has_every_row() -> None:
    """One object, numbers as numbers, the recommendation with its reasons."""
    values = json.loads(run("--json").stdout)
    assert len(values["comparison"]["tradeoffs"]) == 12
    assert values["comparison"]["recommendation"]["reasons"]
    first = values["comparison"]["tradeoffs"][0]
    assert {"embedder", "n_dims", "dtype", "accuracy", "recall_at_10", "vector_bytes", "model_bytes"} <= set(first)


def test_results_do_not_depend_on_what_else_is_compared() -> None:
    """An embedder has the same rows alone, and its name counts once."""
    alone = compare(embedders=["lsa", "lsa"], restart=True).comparison
    both = compare(restart=True).comparison
    assert without_speed(alone) == without_speed(both)[: len(alone.tradeoffs)]
    assert len(alone.tradeoffs) == 4


def test_what_is_finished_is_not_measured_again() -> None:
    """The same command gives the same rows, speeds too, and says that they were there."""
    first = compare()
    again = compare()
    assert (first.n_resumed, again.n_resumed) == (0, 2)
    assert again.comparison == first.comparison
    assert "2 measured before, not again" in run().stderr
    assert compare(embedders=["fake:a", "fake:b"]).n_resumed == 1


def test_stopped_and_resumed_is_as_one_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """After Ctrl+C in the second embedder the first one is there; the rest follows."""
    whole = compare().comparison
    journal().unlink()
    family = EMBEDDERS["fake"]
    monkeypatch.setitem(EMBEDDERS, "fake", Family(lambda name, options: Broken(20, name.source)))  # noqa: ARG005
    with pytest.raises(KeyboardInterrupt):
        compare()
    monkeypatch.setitem(EMBEDDERS, "fake", family)
    resumed = compare()
    assert resumed.n_resumed == 1
    assert without_speed(resumed.comparison) == without_speed(whole)


@pytest.mark.usefixtures("compared")
@pytest.mark.parametrize("n_bytes", [1, 40, 400])
def test_a_torn_last_line_is_measured_again(n_bytes: int) -> None:
    """Half a line counts as none, and what is written after it can be read."""
    whole = compare().comparison
    content = journal().read_bytes()
    journal().write_bytes(content[: -1 - n_bytes])
    assert compare().n_resumed == 1
    again = compare()
    assert again.n_resumed == 2
    assert without_speed(again.comparison) == without_speed(whole)


@pytest.mark.usefixtures("compared")
@pytest.mark.parametrize("line", [b"[1, 2]", b"{}", b"null", b"\xff\xfe", b'["x", "{}"]', b"[" * 5000])
def test_foreign_lines_are_not_there(line: bytes) -> None:
    """Whatever stands in the file, it is no result."""
    first = compare()
    journal().write_bytes(line + b"\n" + journal().read_bytes() + line)
    again = compare()
    assert again.n_resumed == 2
    assert again.comparison == first.comparison


@pytest.mark.usefixtures("compared")
def test_an_altered_result_is_measured_again() -> None:
    """A figure that was changed by hand does not fit its checksum."""
    compare()
    text = journal().read_text(encoding="ascii")
    journal().write_text(text.replace("accuracy_interval", "accuracy_intervaI", 1), encoding="ascii")
    assert compare().n_resumed == 1


def test_restart_forgets() -> None:
    """Everything is measured anew, and kept anew."""
    compare(embedders=["lsa", "fake:a", "fake:b"])
    assert compare(restart=True).n_resumed == 0
    assert compare(embedders=["lsa", "fake:a", "fake:b"]).n_resumed == 2


@pytest.mark.usefixtures("compared")
def test_other_documents_or_seeds_are_another_comparison() -> None:
    """Nothing is taken from a run on other documents, another sample or another seed."""
    compare()
    write("more.csv", [*ROWS, ("a cliff", "sea")])
    for found in (compare("more.csv"), compare(seed=1), compare(max_documents=15)):
        assert found.n_resumed == 0
    write("renamed.csv", ROWS)
    assert compare("renamed.csv").n_resumed == 2


def test_results_that_cannot_be_kept_are_given_all_the_same() -> None:
    """A file where the folder should be costs a warning, not the comparison."""
    Path("cache").mkdir()
    Path("cache/comparisons").write_text("in the way", encoding="utf-8")
    with pytest.warns(CacheWarning, match="cannot be kept in .*comparisons"):
        report = compare(embedders=["fake:a"])
    assert len(report.comparison.tradeoffs) == 8


def test_a_large_file_is_sampled_and_says_so() -> None:
    """The sample keeps every label, and is never taken for the whole."""
    write("large.csv", [(f"{text} {number}", label) for number in range(3) for text, label in ROWS])
    found = run("--max-documents", "30", file="large.csv")
    assert "large.csv: 30 of 60 documents (a sample), 2 labels" in found.stdout
    assert "always the most frequent label: 50.0 %" in found.stdout


def test_what_is_left_out_is_told() -> None:
    """Blank texts and missing labels are counted, repeated documents are warned of."""
    write("gaps.csv", [*ROWS, ("", "sea"), (" ", "wood"), ("a lone gull", ""), ROWS[0]])
    found = run(file="gaps.csv")
    assert "Left out: 1 without a label, 2 with nothing to read." in found.stderr
    assert "such texts are held out together" in found.stderr


def test_rejected_rows_end_with_three() -> None:
    """They are listed beside the command's result."""
    with Path("notes.csv").open("a", encoding="utf-8") as stream:
        stream.write("one,two,three\n")
    result = CliRunner().invoke(app, ["compare", "notes.csv", "--embedder", "fake:a"])
    assert result.exit_code == 3, result.output
    assert "notes.csv.rejected.csv" in result.stderr


def test_standard_input_is_read() -> None:
    """A pipe is as good as a file."""
    text = Path("notes.csv").read_text(encoding="utf-8")
    assert "20 documents, 2 labels" in run("--label-column", "label", file="-", text=text).stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["notes.csv", "--embedder", "fake:a", "--embedder", "lsaa"], "Did you mean 'lsa'?"),
        (["notes.csv", "--embedder", "fake:a", "--embedder", "lsa+pca:8"], "give 'lsa': all dimensions are tried"),
        (["notes.csv", "--embedder", "fake:a", "--html", "notes.csv"], "written over the file that is read"),
        (["notes.csv", "--embedder", "fake:a", "--html", "nowhere/page.html"], "cannot be written"),
        (["notes.csv", "--embedder", "fake:a", "--html", "."], "not a regular file"),
        (["notes.csv", "--embedder", "fake:a", "--label-column", "lable"], "Did you mean 'label'?"),
        (["missing.csv", "--embedder", "fake:a"], "no such file"),
    ],
)
def test_mistakes_are_refused_before_any_work(
    monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str
) -> None:
    """One sentence, nothing measured, nothing written."""
    monkeypatch.setitem(EMBEDDERS, "fake", Family(lambda name, options: Broken(20, name.source)))  # noqa: ARG005
    before = sorted(Path().iterdir())
    assert words in refusal(*arguments)
    assert sorted(Path().iterdir()) == before


def test_documents_that_cannot_be_held_out_are_refused() -> None:
    """One label, or one document of each, teaches nothing about held-out documents."""
    write("one.csv", [(text, "sea") for text, _ in ROWS])
    with pytest.raises(TrainingDataError, match="only the label 'sea'"):
        compare("one.csv")
    write("each.csv", [("a tide", "sea"), ("a fern", "wood")])
    with pytest.raises(TrainingDataError, match="nothing can be held out"):
        compare("each.csv")


def test_an_embedder_that_cannot_learn_keeps_the_others() -> None:
    """Texts without a word stop lsa in one sentence; what was finished before is there."""
    write("marks.csv", [(f"{'!' * number} ?", label) for number, (_, label) in enumerate(ROWS, start=1)])
    with pytest.raises(EmbedderError, match="'lsa' cannot learn from these"):
        compare("marks.csv", embedders=["fake:a", "lsa"])
    assert compare("marks.csv", embedders=["fake:a"]).n_resumed == 1


class Page(HTMLParser):
    """Read a page strictly: every tag that opens closes, in order.

    Attributes
    ----------
    attributes : list of (str, str or None)
        Of all tags.
    tags : list of str
        In order of opening.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.attributes: list[tuple[str, str | None]] = []
        self.tags: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert not self._open

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Note a tag."""
        self.tags.append(tag)
        self.attributes += attributes
        if tag != "meta":
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        """Note a tag that closes itself, as shapes do."""
        assert tag in VOID, tag
        self.tags.append(tag)
        self.attributes += attributes

    def handle_endtag(self, tag: str) -> None:
        """Close the last tag that is open."""
        assert self._open.pop() == tag


@pytest.mark.usefixtures("compared")
def test_the_page_stands_by_itself() -> None:
    """One whole file: no script, no request, every plot described, every row in a table."""
    assert "Page written to page.html" in run("--html", "page.html").stderr
    text = Path("page.html").read_text(encoding="utf-8")
    page = Page(text)
    assert "script" not in page.tags
    assert not {"src", "href", "srcset", "onload"} & {name for name, _ in page.attributes}
    assert not re.search(r"https?:|url\(|@import", text)
    assert ("lang", "en") in page.attributes
    labels = [value for name, value in page.attributes if name == "aria-label"]
    assert len(labels) == page.attributes.count(("role", "img")) == 4
    assert page.tags.count("title") > 1
    assert "color-scheme: light dark" in text
    found = compare().comparison
    assert text.count("<tr") == 2 + sum(one.on_front for one in found.tradeoffs) + len(found.tradeoffs)
    assert found.recommendation.chosen.title in text


@pytest.mark.usefixtures("compared")
def test_the_page_says_what_the_table_says() -> None:
    """Figures and reasons are those of the report."""
    found = compare(page=Path("page.html"))
    assert found.page == "page.html"
    text = Path("page.html").read_text(encoding="utf-8")
    assert all(reason.replace("'", "&#x27;") in text for reason in found.comparison.recommendation.reasons)
    for one in found.comparison.tradeoffs:
        assert f"<td>{100 * one.accuracy:.1f}\u00a0%</td>" in text
        assert f"<td>{one.vector_bytes:,}</td>" in text


@pytest.mark.usefixtures("compared")
def test_names_stay_inert_on_the_page() -> None:
    """A file or embedder that is called like a script is shown, not run; a lone surrogate does no harm."""
    found = compare().comparison
    hostile = [replace(one, embedder=f"{HOSTILE}\ud800") for one in found.tradeoffs]
    recommendation = replace(found.recommendation, chosen=hostile[0], best=hostile[1], fastest=hostile[2])
    comparison = replace(found, source=HOSTILE, tradeoffs=tuple(hostile), recommendation=recommendation)
    text = render_page(comparison)
    assert "script" not in Page(text).tags
    assert "&lt;script&gt;" in text
    text.encode("utf-8")


@pytest.mark.usefixtures("compared")
@pytest.mark.parametrize(
    ("accuracies", "speeds"), [((0.0, 0.0), (5.0, 5.0)), ((1.0, 1.0), (1e-3, 1e7)), ((0.2, 0.99), (3.0, 4.0))]
)
def test_any_figures_can_be_drawn(accuracies: tuple[float, float], speeds: tuple[float, float]) -> None:
    """Equal, extreme and far apart figures keep every mark inside its plot."""
    found = compare().comparison
    rows = tuple(
        replace(one, accuracy=accuracy, accuracy_interval=(accuracy, accuracy), documents_per_second=speed)
        for one, accuracy, speed in zip(found.tradeoffs[:2], accuracies, speeds, strict=True)
    )
    recommendation = replace(found.recommendation, chosen=rows[1], best=rows[1], fastest=None)
    text = render_page(replace(found, tradeoffs=rows, recommendation=recommendation))
    Page(text)
    places = re.findall(r"translate\((-?[\d.]+) (-?[\d.]+)\)", text)
    assert places
    assert all(0 <= float(x) <= 860 and 0 <= float(y) <= 380 for x, y in places)


def test_an_old_page_stays_until_the_new_one_is_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """A comparison that stops leaves the page of the last one."""
    Path("page.html").write_text("old", encoding="utf-8")
    monkeypatch.setitem(EMBEDDERS, "fake", Family(lambda name, options: Broken(20, name.source)))  # noqa: ARG005
    with pytest.raises(KeyboardInterrupt):
        compare(page=Path("page.html"))
    assert Path("page.html").read_text(encoding="utf-8") == "old"
    with pytest.raises(OutputError):
        compare(page=Path("notes.csv"))
