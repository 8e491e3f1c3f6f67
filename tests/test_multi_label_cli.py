"""Any number of labels on the command line: files of every shape, output, and one sentence for each mistake."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_cli import (
    ANSWER_KEYS,
    COUNT_KEYS,
    LEFT_OUT_KEYS,
    PETS_FILE,
    TRAINING_KEYS,
    command,
    csv_rows,
    own_folder,  # noqa: F401 # it is used by being here
    refusal,
)

EVALUATION_KEYS = {
    *("n_documents", "exact_match", "exact_match_interval", "micro_f1", "macro_f1", "macro_f1_interval", "ece"),
    *("brier", "mean_true_labels", "mean_given_labels", "no_label_fraction", "majority_exact_match"),
    *("majority_macro_f1", "per_class", "reliability", "unknown_labels"),
}
WORDS = {"late": "parcel overdue again", "damaged": "lid cracked badly", "": "hello from us"}
SETS = ["late", "damaged", "", "late|damaged", "late", ""]
NOTES = [
    (f"{number:02}", f"{' and '.join(WORDS[label] for label in labels.split('|'))} {place}", labels)
    for number, (place, labels) in enumerate(((place, labels) for place in "abcd" for labels in SETS), start=1)
]
NOTES_FILE = "id,text,topics\n" + "".join(f"{','.join(row)}\n" for row in NOTES)
FAKE = ("--embedder", "fake:a")


def trained(content: str = NOTES_FILE, name: str = "notes.csv", *options: str) -> None:
    """Train on a file with any number of labels."""
    Path(name).write_text(content, encoding="utf-8")
    ran = command("train", name, "--name", "notes", "--multi-label", *FAKE, *options)
    assert ran.code == 0, ran.err


def test_train_says_what_was_learned() -> None:
    """Rows without a label count; exact matches and F1 are told with intervals and the baseline, as JSON, too."""
    Path("notes.csv").write_text(NOTES_FILE)
    ran = command("train", "notes.csv", "--multi-label", *FAKE)
    assert ran.out.startswith("Trained notes@1 on 24 documents with 2 labels.\n")
    for said in (
        "  exact match  ",
        "  micro-F1 ",
        "always the most frequent set of labels: 33.3 %",
        " are given none\n",
    ):
        assert said in ran.out
    report = command("train", "notes.csv", "--multi-label", *FAKE, "--json").json
    assert report.keys() == TRAINING_KEYS
    assert report["evaluation"].keys() == EVALUATION_KEYS
    assert (report["n_documents"], report["n_unlabelled"], report["n_labels"]) == (24, 0, 2)


def test_files_of_every_kind_give_the_same_model() -> None:
    """Joined in CSV, as lists in JSON lines and in Parquet: metrics are equal to the last digit."""
    trained()
    sets = [labels.split("|") if labels else [] for _, _, labels in NOTES]
    rows = [{"id": name, "text": text, "topics": found} for (name, text, _), found in zip(NOTES, sets, strict=True)]
    lines = [json.dumps(row if row["topics"] else {**row, "topics": [None, ""]}) for row in rows]
    Path("notes.jsonl").write_text("\n".join(lines))
    pq.write_table(pa.Table.from_pylist(rows), "notes.parquet")
    expected = command("train", "notes.csv", "--multi-label", *FAKE, "--json").json["evaluation"]
    for name in ("notes.jsonl", "notes.parquet"):
        ran = command("train", name, "--multi-label", *FAKE, "--json")
        assert (ran.code, ran.json["evaluation"]) == (0, expected)


def test_predict_joins_labels_and_leaves_none_empty() -> None:
    """In CSV one cell holds all labels; the counts tell how many rows got none."""
    trained()
    Path("in.csv").write_text(
        'text\nlid cracked badly\nhello from us\n""\nparcel overdue again and lid cracked badly\n'
    )
    ran = command("predict", "notes", "in.csv", "--top-k", "1")
    header, *rows = csv_rows(ran.out)
    assert header == ["text", "predicted_label", "confidence", "status", "top_k"]
    assert [row[1] for row in rows] == ["damaged", "", "", "damaged|late"]
    assert rows[2][2:] == ["", "empty", "[]"]
    assert float(rows[1][2]) > 0
    assert "labels: damaged 2, no label 1, late 1\n" in ran.err
    found = command("predict", "notes", "in.csv", "--json").json
    assert found["counts"].keys() == COUNT_KEYS
    assert found["counts"]["labels"] == {"damaged": 2, "": 1, "late": 1}
    assert [row["predicted_label"] for row in found["predictions"]] == ["damaged", "", "", "damaged|late"]


def test_predict_one_text() -> None:
    """All given labels stand in one line, none has a name; JSON lists them one by one."""
    trained()
    both = command("predict", "notes", "--text", "parcel overdue again and lid cracked badly", "--json").json
    assert both.keys() == ANSWER_KEYS
    assert (both["label"], both["labels"]) == ("damaged|late", ["damaged", "late"])
    none = command("predict", "notes", "--text", "hello from us", "--min-confidence", "0")
    assert none.out.startswith("no label  ")
    unsure = command("predict", "notes", "--text", "hello from us", "--min-confidence", "1").out
    assert unsure.startswith("unsure: a person should look; the most likely labels are ")


@pytest.mark.parametrize("n_read", [0, 12, 24])
def test_a_budget_goes_to_the_least_sure_sets(n_read: int) -> None:
    """A review budget and a target are about whole sets of labels, and both are heard."""
    trained()
    Path("in.csv").write_text("text\n" + "".join(f"{text}\n" for _, text, _ in NOTES))
    ran = command("predict", "notes", "in.csv", "--review-budget", str(n_read), "--json").json
    n_unsure = ran["counts"]["statuses"].get("unsure", 0)
    assert n_unsure <= n_read
    assert (n_unsure > 0, n_unsure == 24) == (n_read > 0, n_read == 24)
    low, high = (
        command("predict", "notes", "in.csv", "--target-accuracy", target, "--json").json["min_confidence"]
        for target in ("0.2", "0.999")
    )
    assert low < high


def test_evaluate_with_unknown_and_missing_labels() -> None:
    """An unseen label costs its documents the match and is named; rows without a label are measured, too."""
    trained()
    Path("test.csv").write_text(
        "text,label\nlid cracked badly,damaged\nhello from us,\nparcel overdue,late|new | new\n"
    )
    ran = command("evaluate", "notes", "test.csv", "--json")
    assert ran.json.keys() == EVALUATION_KEYS | LEFT_OUT_KEYS
    assert (ran.json["n_documents"], ran.json["unknown_labels"]) == (3, ["new"])
    assert ran.json["exact_match"] == pytest.approx(2 / 3)
    assert "does not know, counted as wrong: new\n" in command("evaluate", "notes", "test.csv").out
    Path("test.csv").write_text("text,label\nlid cracked badly,\nhello from us,|\n")
    assert "has a label" in refusal(command("evaluate", "notes", "test.csv"))


def test_training_with_a_test_file() -> None:
    """The test file may have labels and spellings of its own."""
    Path("test.csv").write_text("text,label\nlid cracked badly,DAMAGED\nhello from us,\nparcel overdue,late|new\n")
    trained(NOTES_FILE, "notes.csv", "--test-file", "test.csv", "--normalise-labels")
    found = command("models", "show", "notes", "--json").json
    assert found["measured_on"] == "the test file test.csv"
    assert found["metrics"]["unknown_labels"] == ["new"]
    assert found["metrics"]["exact_match"] == pytest.approx(2 / 3)


def test_models_and_files_of_the_other_kind() -> None:
    """One label is a set of one; a set is a label that a model of single labels does not know."""
    trained()
    Path("single.csv").write_text("text,label\nlid cracked badly,damaged\nparcel overdue,late\n")
    assert command("evaluate", "notes", "single.csv", "--json").json["exact_match"] == 1.0
    Path("pets.csv").write_text(PETS_FILE)
    command("train", "pets.csv", *FAKE)
    Path("sets.csv").write_text("text,label\nbarks,dog\npurrs and barks,cat|dog\nnothing,\n")
    ran = command("evaluate", "pets", "sets.csv", "--json")
    assert (ran.code, ran.json["unknown_labels"], ran.json["n_unlabelled"]) == (0, ["cat|dog"], 1)


def test_a_file_of_sets_without_the_option_is_noticed() -> None:
    """Train and compare take each set as one label, and say how to take it apart."""
    Path("notes.csv").write_text(NOTES_FILE)
    for line in (("train", "notes.csv", *FAKE), ("compare", "notes.csv", *FAKE)):
        ran = command(*line)
        assert ran.code == 0, ran.err
        assert "1 label with the sign '|', such as 'late|damaged', each taken as one label" in ran.err
        assert "--multi-label" in ran.err


def test_explain_and_similar() -> None:
    """Any label can be asked about; documents without one are called so."""
    trained()
    text = "parcel overdue again and lid cracked badly"
    for label, other in (("late", "damaged"), ("damaged", "late")):
        ran = command("explain", "notes", "--text", text, "--label", label)
        assert ran.out.startswith(f"{label}  ")
        assert f"\nmost probable beside it: {other}  " in ran.out
        found = command("similar", "notes", "--text", text, "--label", label, "-k", "99", "--json").json["results"]
        assert len(found) == sum(label in row[2].split("|") for row in NOTES)
    assert "  no label  [03]  " in command("similar", "notes", "--text", "hello from us a", "-k", "99").out
    for name in ("explain", "similar"):
        assert "no label 'lat'" in refusal(command(name, "notes", "--text", text, "--label", "lat"))


def test_a_model_of_one_label_is_explained_without_a_rival() -> None:
    """There is no next label, and the line is left out."""
    trained(NOTES_FILE.replace("|damaged", "").replace(",damaged", ","))
    ran = command("explain", "notes", "--text", "parcel overdue again")
    assert ran.out.startswith("late  ")
    assert "beside it" not in ran.out
    unsure = command("predict", "notes", "--text", "parcel", "--min-confidence", "1").out
    assert unsure.startswith("unsure: a person should look; late may fit or not\n")


def test_report_says_what_a_model_of_sets_is() -> None:
    """Exact matches stand first; probabilities are about single labels; parts that make no sense are not missed."""
    trained()
    ran = command("report", "notes", "-o", "page.html")
    page = Path("page.html").read_text(encoding="utf-8")
    assert "gives each document any number of 2 labels" in ran.out
    assert "most frequent set of labels" in ran.out
    for said in ("Exact match beside simpler methods", "an answer is about one label of one document", ">has it<"):
        assert said in page
    assert "Not recorded" not in page
    assert 'id="sets"' not in page


def test_audit_looks_at_single_labels() -> None:
    """A wrong and a missing label are suspected by name, and a mended set is suggested."""
    wrong = [
        (name, text, "damaged" if name == "01" else "" if name == "02" else labels) for name, text, labels in NOTES
    ]
    more = [(f"9{number}", text + " indeed", labels) for number, (_, text, labels) in enumerate(NOTES)]
    Path("notes.csv").write_text("id,text,topics\n" + "".join(f"{','.join(row)}\n" for row in [*wrong, *more]))
    ran = command("audit", "notes.csv", "--multi-label", *FAKE, "-o", "look.csv")
    assert ran.code == 0, ran.err
    found = {row[1]: row for row in csv_rows(Path("look.csv").read_text())[1:]}
    assert found["02"][2:5] == ["", "damaged", "suspected"]
    assert "'damaged' is missing" in found["02"][6]
    assert found["01"][2] == "damaged" not in found["01"][3].split("|")
    assert "'damaged' is wrong" in found["01"][6]
    assert "  no label: " in ran.out
    assert command("audit", "notes.csv", "--multi-label", *FAKE, "--json").json["n_documents"] == 48


def test_bad_rows_beside_good_ones() -> None:
    """Rows that cannot be read are listed, the others are learned from and answered."""
    trained_on = NOTES_FILE + "98,too,many,cells\n99\n"
    Path("notes.csv").write_text(trained_on)
    ran = command("train", "notes.csv", "--multi-label", *FAKE)
    assert ran.code == 3
    assert ran.out.startswith("Trained notes@1 on 24 documents with 2 labels; left out: 2 rejected.\n")
    measured = command("evaluate", "notes", "notes.csv", "--json")
    assert (measured.code, measured.json["n_rejected"], measured.json["n_documents"]) == (3, 2, 24)
    lines = ['{"text": "lid cracked badly", "topics": ["damaged"]}', '{"text": 1', '{"topics": ["late"]}', "[]"]
    Path("in.jsonl").write_text("\n".join(lines))
    ran = command("predict", "notes", "in.jsonl", "--format", "jsonl")
    assert ran.code == 3
    answers = [json.loads(line) for line in ran.out.splitlines()]
    assert [(row["topics"], row["predicted_label"], row["status"] == "empty") for row in answers] == [
        (["damaged"], "damaged", False),
        (["late"], "", True),
    ]


def test_nothing_to_learn_from_is_one_sentence() -> None:
    """Files whose documents all have the same set, or none."""
    Path("same.csv").write_text("text,label\na,x|y\nb,y|x\nc, y | x\n")
    assert "only the label 'x|y'" in refusal(command("train", "same.csv", "--multi-label", *FAKE))
    Path("none.csv").write_text("text,label\na,|\nb, | \nc,\n")
    assert "No row of none.csv has a label" in refusal(command("train", "none.csv", "--multi-label", *FAKE))
    Path("empty.csv").write_text("text,label\na,\nb,\n")
    assert "No row of empty.csv has a label" in refusal(command("audit", "empty.csv", "--multi-label", *FAKE))
