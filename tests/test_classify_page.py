"""What a visitor of the Classify page does with an answer: correct it, ask for other words, share the settings."""

from __future__ import annotations

import html
import re
from pathlib import Path

import pytest
from serving import PAYLOADS
from streamlit.testing.v1 import AppTest
from test_parsing import mail, pdf

from classifier import workflows
from classifier.datamodels import CANDIDATES_CONFIDENCE, STATUS_OUT_OF_SCOPE, STATUS_UNSURE, Prediction, Settings
from classifier.storage.feedback import FILE_NAME
from classifier.terminal import prediction_lines
from classifier.ui import markup
from classifier.workflows.corrections import last_corrections
from classifier.workflows.files import MOST_FILES

pytestmark = pytest.mark.usefixtures("light_pages")

APP = str(Path(__file__).parents[1] / "streamlit_app.py")
REFUND = "I sent the grinder back three weeks ago and still wait for my money. Please refund me."
PARCEL = "Where is my parcel? The tracking says nothing since Tuesday."


@pytest.fixture
def settings(library: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Give the models a folder of their own, where decisions are kept."""
    folder = tmp_path / "models"
    folder.mkdir()
    for name in ("tickets", "posts"):
        (folder / name).symlink_to(library / name)
    monkeypatch.setenv("CLASSIFIER_MODELS_DIR", str(folder))
    return Settings(folder)


def opened(model: str = "tickets", **address: str) -> AppTest:
    """Open the page at an address."""
    page = AppTest.from_file(APP, default_timeout=60)
    for name, value in {"model": f"{model}@1", **address}.items():
        page.query_params[name] = value
    return run(page)


def run(page: AppTest) -> AppTest:
    """Run the page and make sure that nothing crashed."""
    page.run()
    assert not page.exception
    return page


def ask(page: AppTest, text: str) -> AppTest:
    """Paste a text and press the button."""
    page.text_area[0].set_value(text)
    page.button[0].click()
    return run(page)


def press(page: AppTest, label: str) -> AppTest:
    """Press a button."""
    next(button for button in page.button if button.label == label).click()
    return run(page)


def correction(page: AppTest) -> object:
    """Return where another label is chosen."""
    return next(box for box in [*page.selectbox, *page.multiselect] if box.label == "No, it is")


def upload(page: AppTest, *files: tuple[str, bytes]) -> AppTest:
    """Upload files together."""
    page.file_uploader[0].set_value([(name, content, "application/octet-stream") for name, content in files])
    return run(page)


def shown(page: AppTest) -> str:
    """Return the words of everything that was drawn."""
    parts = [element.value for element in page.html if "<style>" not in element.value]
    return " ".join(html.unescape(re.sub("<[^>]*>", " ", " ".join(parts))).split())


def decisions(settings: Settings, model: str = "tickets") -> list[tuple[str, str, str, str, str]]:
    """Return what was kept, the newest first."""
    return [(one.version, one.text, one.old_label, one.new_label, one.who) for one in last_corrections(settings, model)]


def test_a_wrong_answer_is_corrected_and_undone(settings: Settings) -> None:
    """One choice and one click; it is on disk at once, and one more click takes it back."""
    page = ask(opened(), REFUND)
    answer = workflows.predict_text("tickets", REFUND, settings).label
    box = correction(page)
    assert answer not in box.options
    assert next(button for button in page.button if button.label == "Save").disabled
    box.select("delivery" if answer != "delivery" else "billing")
    run(page)
    wanted = correction(page).value
    press(page, "Save")
    assert decisions(settings) == [("1", REFUND, answer, wanted, "page")]
    assert f"Saved {wanted}" in shown(page)
    assert "kept on this machine" in shown(page)
    press(page, "Undo")
    assert decisions(settings) == []
    assert "Saved" not in shown(page)


def test_a_right_answer_is_agreed_with_in_one_click(settings: Settings) -> None:
    page = press(ask(opened(), REFUND), "Right")
    answer = workflows.predict_text("tickets", REFUND, settings).label
    assert decisions(settings) == [("1", REFUND, answer, answer, "page")]
    ask(page, PARCEL)
    assert "Saved" not in shown(page)
    ask(page, REFUND)
    assert f"Saved {answer}" in shown(page)


def test_a_decision_that_cannot_be_kept_is_one_sentence(settings: Settings) -> None:
    """The answer stays, and nothing claims to be saved."""
    page = ask(opened(), REFUND)
    (settings.models_dir / FILE_NAME).mkdir()
    press(page, "Right")
    assert len(page.error) == 1
    assert FILE_NAME.replace(".", "\\.") in page.error[0].value
    assert "Saved" not in shown(page)
    assert "Similar training documents" in shown(page)


def test_several_labels_are_corrected_together(settings: Settings) -> None:
    """The given ones are there to begin with; what is saved joins those that are left or added."""
    page = ask(opened("posts"), "Is the Magpie worth the money?")
    box = correction(page)
    given = list(box.value)
    added = next(label for label in box.options if label not in given)
    box.set_value([*given, added])
    run(page)
    press(page, "Save")
    assert [one[3] for one in decisions(settings, "posts")] == ["|".join(sorted([*given, added]))]


def test_words_are_shown_for_the_label_that_is_chosen(settings: Settings) -> None:
    """The answer's to begin with; the address names another, and another text begins with its own answer."""
    page = ask(opened(), REFUND)
    answer = workflows.predict_text("tickets", REFUND, settings)
    pills = next(group for group in page.button_group if group.label == "Words of")
    assert pills.value == answer.label
    assert f"speaks for {answer.label} ," in shown(page)
    other = answer.top(3)[2][0]
    pills.set_value(other)
    run(page)
    assert f"speaks for {other} ," in shown(page)
    assert page.query_params["words"] == other
    why = workflows.explain("tickets", REFUND, settings, label=other)
    strongest = max(why.words, key=lambda effect: abs(effect.total))
    marks = " ".join(element.value for element in page.html if "<mark" in element.value)
    assert f'title="{strongest.total:+.2f}' in marks
    ask(page, PARCEL)
    assert "words" not in page.query_params
    assert f"speaks for {workflows.predict_text('tickets', PARCEL, settings).label} ," in shown(page)


def test_an_address_restores_the_settings_and_holds_no_text(settings: Settings) -> None:
    """Label filter, number of similar documents and the label of the words; never a text or a file."""
    page = ask(opened(), REFUND)
    next(box for box in page.main.selectbox if box.label == "Label").select("delivery")
    page.button_group(key="n-similar").set_value(10)
    run(page)
    other = workflows.predict_text("tickets", REFUND, settings).top(3)[1][0]
    next(group for group in page.button_group if group.label == "Words of").set_value(other)
    run(page)
    address = dict(page.query_params.items())
    assert address == {"model": "tickets@1", "label": "delivery", "similar": "10", "words": other}
    again = ask(opened(**{name: value for name, value in address.items() if name != "model"}), PARCEL)
    assert next(box for box in again.main.selectbox if box.label == "Label").value == "delivery"
    assert again.button_group(key="n-similar").value == 10
    assert f"speaks for {other} ," in shown(again)
    upload(again, ("secret.txt", REFUND.encode()))
    assert set(again.query_params) <= {"model", "label", "similar", "words"}


@pytest.mark.usefixtures("settings")
@pytest.mark.parametrize("value", ["", "nothing of the kind", "<script>", "None", "-1"])
def test_an_address_with_nonsense_is_like_none(value: str) -> None:
    page = ask(opened(label=value, similar=value, words=value), REFUND)
    assert next(box for box in page.main.selectbox if box.label == "Label").value == ""
    assert page.button_group(key="n-similar").value == 5
    assert set(page.query_params) == {"model"}


def test_many_files_are_rows_of_which_one_is_chosen(settings: Settings) -> None:
    """Each with its label or the reason why there is none; files that are added are answered beside the others."""
    files = [("a.pdf", pdf(REFUND)), ("b.eml", mail()), ("c.pdf", b"%PDF nothing"), (f"{PAYLOADS[1]}.txt", b"parcel")]
    page = upload(opened(), *files)
    assert "3 files answered, 1 rejected" in shown(page)
    rows = page.dataframe[0].value
    assert list(rows["file"]) == [name for name, _ in files]
    assert list(rows["status"])[2] == "rejected"
    assert "damaged" in list(rows["note"])[2]
    assert next(iter(rows["label"])) == [workflows.predict_text("tickets", REFUND, settings).label]
    upload(page, *files, ("d.md", b"# my refund"))
    assert "4 files answered, 1 rejected" in shown(page)
    press(page, "Clear")
    assert "Try an example" in shown(page)


def test_one_file_is_answered_in_full(settings: Settings) -> None:
    """And its decision names it."""
    page = press(upload(opened(), ("letter.pdf", pdf(REFUND, ""))), "Right")
    assert "letter.pdf" in shown(page)
    assert "1 of 2 pages hold no text" in shown(page)
    assert last_corrections(settings, "tickets")[0].document == "letter.pdf"


@pytest.mark.usefixtures("settings")
def test_too_many_files_are_one_sentence() -> None:
    page = upload(opened(), *[(f"{number}.txt", b"x") for number in range(MOST_FILES + 1)])
    assert len(page.error) == 1
    assert f"give at most {MOST_FILES} at once" in page.error[0].value
    assert f"up to {MOST_FILES} documents" in page.file_uploader[0].label


def test_candidates_are_the_set_that_holds_the_label(settings: Settings) -> None:
    """The answer carries what `predict_set` gives, without a second look at the text; several labels have no set."""
    classifier = workflows.open_predictor("tickets", settings)
    mixed = [
        f"{one} {other}" for one in ("my parcel", "the charge", "my login") for other in ("broken", "refund", "late")
    ]
    texts = [REFUND, PARCEL, *mixed, ""]
    found = classifier.classify(texts)
    sets = classifier.predict_set(texts[:-1], CANDIDATES_CONFIDENCE)
    assert [list(answer.candidates) for answer in found] == [*sets, []]
    assert any(len(answer.candidates) > 1 for answer in found)
    posts = workflows.open_predictor("posts", settings)
    assert posts.classify([REFUND])[0].candidates == ()


@pytest.mark.parametrize(
    ("status", "confidence", "candidates", "is_shown"),
    [
        (STATUS_UNSURE, 0.4, ("a", "b<i>"), True),
        ("ok", 0.55, ("a", "b<i>"), True),
        ("ok", 0.8, ("a", "b<i>"), False),
        (STATUS_OUT_OF_SCOPE, 0.3, ("a", "b<i>"), False),
        (STATUS_UNSURE, 0.4, ("a",), False),
        (STATUS_UNSURE, 0.4, (), False),
    ],
)
def test_candidates_are_shown_where_an_answer_is_unsure(
    status: str, confidence: float, candidates: tuple[str, ...], is_shown: bool
) -> None:
    prediction = Prediction("a", confidence, status, {"a": confidence, "b<i>": 0.3}, candidates=candidates)
    drawn = markup.candidates(prediction, {"a": "#000000", "b<i>": "#111111"})
    assert ("90 % of the time the right label is among them" in drawn) is is_shown
    assert ("b&lt;i&gt;" in drawn) is is_shown
    assert "<i>" not in drawn
    lines = [line for line in prediction_lines(prediction) if "one of: a, b<i> (90 % of the time" in line]
    assert bool(lines) is (len(candidates) > 1)


def test_many_candidates_are_cut() -> None:
    labels = tuple(f"label {number}" for number in range(40))
    drawn = markup.candidates(Prediction(labels[0], 0.1, STATUS_UNSURE, {labels[0]: 0.1}, candidates=labels), {})
    assert "and 28 more" in drawn
    assert "label 12" not in drawn
