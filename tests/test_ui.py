"""The page as a visitor uses it, without a browser; see test_browser.py for the real thing."""

from __future__ import annotations

import csv
import html
import io
import re
from pathlib import Path

import pytest
from conftest import borrow
from streamlit.testing.v1 import AppTest

from classifier import DocumentClassifier, workflows
from classifier.datamodels import Document, Neighbor, Prediction, Settings
from classifier.modeling.predictor import Predictor
from classifier.reading.parsing import ParsedFile
from classifier.reading.single import read_content
from classifier.reports import BatchRequest
from classifier.storage.registry import Registry
from classifier.ui import markup, uploads
from classifier.ui.examples import choose_examples

pytestmark = pytest.mark.usefixtures("light_pages")

APP = str(Path(__file__).parents[1] / "streamlit_app.py")
TICKET = "I sent the grinder back three weeks ago and still wait for my money. Please refund me."
PAYLOAD = "<script>window.hacked=1</script><img src=x onerror=window.hacked=1> [x](javascript:alert(1)) **bold**"


@pytest.fixture(scope="module")
def models_dir(library: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Store a model as tickets@1; tests must not change it."""
    return borrow(library, tmp_path_factory.mktemp("ui") / "models", "tickets").models_dir


@pytest.fixture(scope="module")
def tickets(models_dir: Path) -> Predictor:
    """Open the model."""
    return workflows.open_predictor("tickets", Settings(models_dir))


@pytest.fixture(scope="module")
def posts(library: Path) -> Predictor:
    """Open a model that gives any number of labels."""
    return workflows.open_predictor("posts", Settings(library))


@pytest.fixture
def page(models_dir: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    """Open the page with the stored model."""
    monkeypatch.setenv("CLASSIFIER_MODELS_DIR", str(models_dir))
    return run(AppTest.from_file(APP, default_timeout=60))


def run(page: AppTest) -> AppTest:
    """Run the page and make sure that nothing crashed."""
    page.run()
    assert not page.exception
    return page


def shown(page: AppTest) -> str:
    """Return the words of everything that was drawn, without its style sheet."""
    parts = [element.value for element in page.html if "<style>" not in element.value]
    return html.unescape(re.sub("<[^>]*>", " ", " ".join(parts)))


def headings(page: AppTest) -> list[str]:
    """Return the second-level headings."""
    drawn = " ".join(element.value for element in page.html)
    return [html.unescape(re.sub("<[^>]*>", "", found)) for found in re.findall("<h2[^>]*>(.*?)</h2>", drawn)]


def ask(page: AppTest, text: str) -> AppTest:
    """Paste a text and press the button."""
    page.text_area[0].set_value(text)
    page.button[0].click()
    return run(page)


def upload(page: AppTest, name: str, content: bytes) -> AppTest:
    """Upload a file."""
    page.file_uploader[0].set_value((name, content, "application/octet-stream"))
    return run(page)


def similar_ids(page: AppTest) -> list[str]:
    """Return the ids on the cards of similar documents."""
    return re.findall('class="id small user">(.*?)<', " ".join(element.value for element in page.html))


def test_first_screen_without_a_model_names_the_command() -> None:
    page = run(AppTest.from_file(APP))
    assert "No model yet" in shown(page)
    assert [block.value for block in page.code] == [
        "classifier train data/support_tickets.csv --name tickets",
        "make run",
    ]
    assert not page.text_area


def test_look_again_finds_a_new_model(
    small_model: DocumentClassifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The small model's encoder does not exist outside the tests, so finding it shows as one sentence."""
    monkeypatch.setenv("CLASSIFIER_MODELS_DIR", str(tmp_path / "models"))
    page = run(AppTest.from_file(APP))
    Registry(tmp_path / "models").add("toy", small_model.save)
    page.button[0].click()
    run(page)
    assert page.sidebar.selectbox[0].value == "toy@1"
    assert len(page.error) == 1


def test_model_card_tells_what_the_model_is(page: AppTest, tickets: Predictor) -> None:
    assert page.sidebar.selectbox[0].options == ["tickets@1 · promoted"]
    card = shown(page)
    assert f"Documents {len(tickets.documents_)}" in re.sub(" +", " ", card)
    assert markup.percentage(tickets.facts_["metrics"]["accuracy"]) in card
    assert "cross-validation" in card
    assert "Text stays on this machine." in card


def test_an_example_answers_at_once_and_is_not_its_own_neighbour(page: AppTest) -> None:
    examples = [button for button in page.button if (button.key or "").startswith("example-")]
    assert len(examples) == 5
    examples[0].click()
    run(page)
    text = page.text_area[0].value
    assert text
    assert not any("Try an example" in heading for heading in headings(page))
    cards = " ".join(element.value for element in page.html if "cards" in element.value)
    assert cards.count("<article") == 5
    assert ">1.00<" not in cards


def test_pasted_text_is_answered(page: AppTest, models_dir: Path) -> None:
    ask(page, TICKET)
    expected = workflows.predict_text("tickets", TICKET, Settings(models_dir))
    assert headings(page)[0] == expected.label
    assert markup.percentage(expected.confidence) in shown(page)
    assert "The whole text was read" in shown(page)
    neighbours = workflows.similar("tickets", TICKET, Settings(models_dir), k=5)
    assert similar_ids(page) == [neighbour.id for neighbour in neighbours]


def test_all_labels_are_shown_on_request(page: AppTest, tickets: Predictor) -> None:
    ask(page, TICKET)
    page.toggle[0].set_value(True)
    run(page)
    bars = next(element.value for element in page.html if 'class="bars"' in element.value)
    assert bars.count("<li>") == len(tickets.classes_)


def test_neighbours_can_be_filtered_and_counted(page: AppTest, models_dir: Path) -> None:
    ask(page, TICKET)
    box = next(box for box in page.main.selectbox if box.label == "Label")
    label = box.options[1]
    box.select(label)
    page.button_group(key="n-similar").set_value(10)
    run(page)
    expected = workflows.similar("tickets", TICKET, Settings(models_dir), k=10, label=label)
    assert similar_ids(page) == [neighbour.id for neighbour in expected]


@pytest.fixture
def forum_page(library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    """Open the page with a model of any number of topics."""
    borrow(library, tmp_path / "forum", "posts")
    monkeypatch.setenv("CLASSIFIER_MODELS_DIR", str(tmp_path / "forum"))
    return run(AppTest.from_file(APP, default_timeout=60))


def test_several_labels_are_shown_one_by_one(forum_page: AppTest, posts: Predictor) -> None:
    """In the answer and on the cards, each in its own colour; the filter finds a label among others."""
    text = "Is the Magpie worth the money?"
    assert "Exact" in shown(forum_page)
    ask(forum_page, text)
    drawn = " ".join(element.value for element in forum_page.html)
    [heading] = re.findall('<h2 class="chips">(.*?)</h2>', drawn)
    assert re.findall(">([a-z]+)<", heading) == list(posts.classify([text])[0].labels) == ["grinders", "prices"]
    assert len(set(re.findall("--label: (#[0-9a-f]{6})", heading))) == 2
    assert "grinders|" not in shown(forum_page)
    next(box for box in forum_page.selectbox if box.label == "Label").set_value("prices")
    run(forum_page)
    assert similar_ids(forum_page) == [neighbor.id for neighbor in posts.similar(text, 5, label="prices")]
    labels = {document.id: document.label for document in posts.documents_}
    assert {"prices" in str(labels[name]).split("|") for name in similar_ids(forum_page)} == {True}
    assert {labels[name] for name in similar_ids(forum_page)} != {"prices"}


def test_no_label_is_an_answer(forum_page: AppTest, posts: Predictor) -> None:
    """It is written out, with its confidence and the words of the most probable label."""
    text = "The weather on this side of the hill is shocking. How's yours?"
    ask(forum_page, text)
    assert "No label" in headings(forum_page)
    assert markup.percentage(posts.classify([text])[0].confidence) in shown(forum_page)
    chips = re.findall('class="chip user"[^>]*>(.*?)<', " ".join(element.value for element in forum_page.html))
    assert "No label" in chips


def test_a_table_of_posts_counts_each_label(forum_page: AppTest, posts: Predictor) -> None:
    """A row with two labels counts for both; rows without any are counted, and blank ones are not among them."""
    content = b'text\nIs the Magpie worth the money?\nGood evening everybody\n""\n'
    upload(forum_page, "posts.csv", content)
    assert "2 rows answered, 1 with nothing to read" in headings(forum_page)
    assert re.search(r"No label\s+1\b", shown(forum_page))
    shown_labels = [list(labels) for labels in forum_page.dataframe[0].value["label"]]
    assert shown_labels == [["grinders", "prices"], ["No label"], []]
    assert posts.predict(["Good evening everybody"]).tolist() == [""]


@pytest.mark.parametrize("text", ["", "  \n\t"])
def test_empty_text_gets_no_label(page: AppTest, text: str) -> None:
    ask(page, text)
    assert headings(page) == ["There is nothing to read"]


def test_clear_goes_back_to_the_examples(page: AppTest) -> None:
    ask(page, TICKET)
    next(button for button in page.button if button.label == "Clear").click()
    run(page)
    assert page.text_area[0].value == ""
    assert headings(page) == ["Try an example"]


def test_a_damaged_model_is_one_sentence(library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shelf = borrow(library, tmp_path / "models", "tickets")
    monkeypatch.setenv("CLASSIFIER_MODELS_DIR", str(shelf.models_dir))
    with (shelf.models_dir / "tickets" / "1" / "coef.npy").open("r+b") as stream:
        stream.seek(-1, 2)
        stream.write(b"\x55")
    page = run(AppTest.from_file(APP, default_timeout=60))
    assert len(page.error) == 1
    assert "was altered" in page.error[0].value
    assert not page.text_area


def test_markup_in_a_text_stays_text(page: AppTest) -> None:
    upload(page, f"{PAYLOAD}.txt".replace("/", ""), PAYLOAD.encode())
    drawn = " ".join(element.value for element in page.html)
    assert "&lt;script&gt;window.hacked=1" in drawn
    assert "<script" not in drawn
    assert "<img" not in drawn


def test_text_files_are_read_in_their_encoding(page: AppTest, models_dir: Path) -> None:
    text = "Die Mühle ist kaputt, ich möchte mein Geld zurück. Grüße aus Köln, bitte schön schnell."
    upload(page, "note.md", text.encode("utf-16"))
    assert headings(page)[0] == workflows.predict_text("tickets", text, Settings(models_dir)).label
    assert "note.md" in shown(page)


@pytest.mark.parametrize("name", ["note.txt", "inbox.csv"])
def test_a_guessed_encoding_is_told(page: AppTest, name: str) -> None:
    text = "text\nDie Mühle ist kaputt, ich möchte für das Gerät mein Geld zurück, schöne Grüße aus Köln.\n"
    upload(page, name, text.encode("cp1252"))
    assert "read as Windows-1252" in shown(page)


def test_asking_about_a_text_lets_go_of_the_file(page: AppTest) -> None:
    upload(page, "note.txt", TICKET.encode())
    ask(page, "The grinder is broken")
    assert "note.txt" not in shown(page)
    assert page.file_uploader[0].value == []


def test_a_table_is_answered_as_on_the_command_line(page: AppTest, models_dir: Path, tmp_path: Path) -> None:
    content = f'ticket,who,message\n7,A,"{TICKET}"\n8,B,\n9,C,"=1+1, she said ""hi"""\n10,too,many,cells\n'.encode()
    upload(page, "inbox.csv", content)
    assert page.main.selectbox[0].value == "message"
    assert "2 rows answered, 1 with nothing to read, 1 rejected" in shown(page)
    assert "Row 4 has 4 fields where the header has 3" in shown(page)
    table = page.dataframe[0].value
    assert [status == "empty" for status in table["status"]] == [False, True, False]

    (tmp_path / "inbox.csv").write_bytes(content)
    target = tmp_path / "answers.csv"
    workflows.predict_file("tickets", tmp_path / "inbox.csv", target, Settings(models_dir), BatchRequest())
    model = workflows.load("tickets", models_dir=models_dir)
    steps: list[tuple[int, int]] = []
    answers = uploads.answer_table(
        model, uploads.read_table("inbox.csv", content), "message", lambda done, n: steps.append((done, n))
    )
    assert answers.csv == target.read_bytes()
    assert steps == [(3, 3)]


def test_another_column_can_be_chosen(page: AppTest) -> None:
    upload(page, "inbox.csv", b"subject,body\nno refund yet,the grinder arrived broken\n")
    page.main.selectbox[0].select("subject")
    run(page)
    assert list(page.dataframe[0].value["text"]) == ["no refund yet"]


def test_a_column_is_asked_for_where_none_looks_like_text(page: AppTest) -> None:
    upload(page, "codes.csv", b"a,b\n1,2\n3,4\n")
    assert page.main.selectbox[0].value is None
    assert not page.dataframe
    page.main.selectbox[0].select("b")
    run(page)
    assert len(page.dataframe[0].value) == 2


@pytest.mark.parametrize(
    ("name", "content", "sentence"),
    [
        ("empty.csv", b"", "it is empty"),
        ("open.csv", b'a,text\n1,"never closed\n', "is never closed"),
        ("book.csv", b"PK\x03\x04 rest of a workbook", "it is an Office document"),
        ("taken.csv", b"text,status\nhello there,open\n", "it already has 'status'"),
        ("book.txt", b"%PDF-1.7 and so on", "it is a PDF document"),
    ],
)
def test_a_broken_file_is_one_sentence(page: AppTest, name: str, content: bytes, sentence: str) -> None:
    upload(page, name, content)
    assert len(page.error) == 1
    message = page.error[0].value.replace("\\", "")
    assert message.startswith(f"{name}: ")
    assert sentence in message


def test_a_table_beyond_the_limit_says_so(monkeypatch: pytest.MonkeyPatch, page: AppTest) -> None:
    monkeypatch.setattr(uploads, "ROW_LIMIT", 2)
    upload(page, "a b; rm -rf x.csv", b"text\none grinder\ntwo grinders\nthree grinders\n")
    assert len(page.dataframe[0].value) == 2
    assert "of 3 rows" in page.warning[0].value
    assert page.code[0].value == "classifier predict tickets@1 'a b; rm -rf x.csv' --output answers.csv"


def test_uploaded_names_are_never_paths(tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("not for visitors", encoding="utf-8")
    assert read_content(f"../../..{secret}", b"my own text") == ParsedFile("my own text")
    table = uploads.read_table(str(secret), b"text\nmy own row\n")
    assert table.samples("text") == ["my own row"]


def test_lines_of_a_table_keep_their_bytes() -> None:
    content = 'id,text\n007,"a\r\nb"\n008," =x;é "\n'.encode()
    table = uploads.read_table("t.csv", content).table
    header, *rows = csv.reader(io.StringIO(content.decode(), newline=""))
    assert [list(row.cells) for row in table.rows() if hasattr(row, "cells")] == rows
    assert list(table.columns) == header


def test_examples_are_spread_over_labels_and_always_the_same() -> None:
    documents = [Document(f"{label}{length}", "x" * length, label) for label in "abcdefgh" for length in (5, 120, 900)]
    chosen = choose_examples(documents)
    assert [document.id for document in chosen] == ["a120", "b120", "d120", "e120", "g120"]
    assert choose_examples(documents) == chosen
    assert choose_examples([]) == []


@pytest.mark.parametrize(
    ("confidence", "words"), [(0.95, "Very sure"), (0.7, "Fairly sure"), (0.5, "Unsure between a &amp; b and c")]
)
def test_confidence_is_put_into_words(confidence: float, words: str) -> None:
    prediction = Prediction("a & b", confidence, "ok", {"a & b": confidence, "c": 1 - confidence})
    assert re.sub("<[^>]*>", "", markup.certainty(prediction)) == words


@pytest.mark.parametrize(
    ("labels", "probabilities", "words"),
    [
        ((), {"a": 0.4, "b": 0.3}, "Unsure whether none fits; the most probable are a and b"),
        (
            ("a",),
            {"a": 0.6, "<b>": 0.3},
            "Unsure whether this label alone is right; the most probable are a and &lt;b&gt;",
        ),
        (
            ("a", "b"),
            {"b": 0.9, "a": 0.6},
            "Unsure whether exactly these labels are right; the most probable are b and a",
        ),
        (("a",), {"a": 0.6}, "Unsure whether this label alone is right"),
    ],
)
def test_doubts_about_sets_are_put_into_words(
    labels: tuple[str, ...], probabilities: dict[str, float], words: str
) -> None:
    """What is doubted is the whole set; where there is one label only, no rival is named."""
    prediction = Prediction("|".join(labels), 0.4, "unsure", probabilities, labels=labels)
    assert re.sub("<[^>]*>", "", markup.certainty(prediction, multi_label=True)) == words


def test_unread_characters_and_long_texts_are_mentioned() -> None:
    prediction = Prediction("a", 0.9, "ok", {"a": 0.9, "b": 0.1}, used_fraction=0.99999)
    drawn = markup.result(prediction, {}, "word " * 300, n_shown=5, max_tokens=256)
    assert "99.9 % of the text was read; the rest has characters that the encoder does not know" in drawn
    assert "in parts of up to 256 tokens" in drawn
    assert "300 words" in drawn


def test_a_colour_that_is_none_never_reaches_the_page() -> None:
    facts = {"labels": [{"name": "a", "color": "red;background:url(//evil)"}, {"name": "b", "color": "#123abc"}]}
    assert markup.label_colors(facts) == {"a": "#7a8190", "b": "#123abc"}


def test_every_value_on_a_card_is_escaped() -> None:
    drawn = markup.neighbors([Neighbor(PAYLOAD, PAYLOAD * 3, PAYLOAD, 0.5)], {PAYLOAD: "#123abc"})
    assert "<script" not in drawn
    assert "<img" not in drawn
    assert "\ud800" not in markup.neighbors([Neighbor("1", "lone \ud800", "a", 0.5)], {})
