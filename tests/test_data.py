"""The sample data keeps the promises of data/README.md."""

from __future__ import annotations

import csv
import re
from collections import Counter
from itertools import combinations
from pathlib import Path

import pytest

DATA = Path(__file__).parents[1] / "data"
TRAINING, TEST, INBOX = "support_tickets.csv", "support_tickets_test.csv", "inbox.csv"
POSTS, TEST_POSTS = "community_posts.csv", "community_posts_test.csv"
FILES = {
    TRAINING: ("id", "text", "label"),
    TEST: ("id", "text", "label"),
    INBOX: ("id", "text"),
    POSTS: ("id", "text", "topics"),
    TEST_POSTS: ("id", "text", "topics"),
}
LABELLED, FORUM = [TRAINING, TEST], [POSTS, TEST_POSTS]
MAX_SHARED_BEGINNINGS = 5
WORDS_OF_A_BEGINNING = 5
WORDS_OF_A_RUN = 8
MAX_TEXTS_WITH_ONE_RUN = 2


def rows(name: str) -> list[dict[str, str]]:
    """Read one of the files by the standard library alone."""
    with (DATA / name).open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream, strict=True))


def texts(name: str) -> list[str]:
    """Return the texts of a file."""
    return [row["text"] for row in rows(name)]


def topics(name: str) -> list[list[str]]:
    """Return the topics of each post of a file."""
    return [row["topics"].split("|") if row["topics"] else [] for row in rows(name)]


def folded(text: str) -> str:
    """Return a text without case, and with single spaces."""
    return " ".join(text.casefold().split())


def words(text: str) -> list[str]:
    """Return the words of a text without case and punctuation."""
    return re.findall(r"\w+", text.casefold())


def every_text() -> list[str]:
    """Return all texts of all files, but those of white space."""
    return [text for name in FILES for text in texts(name) if text.strip()]


@pytest.mark.parametrize("name", FILES)
def test_files_are_plain_rectangular_utf_8(name: str) -> None:
    """Each file has the columns that the README names, every row as wide as the header, and no byte order mark."""
    content = (DATA / name).read_bytes()
    assert not content.startswith(b"\xef\xbb\xbf")
    with (DATA / name).open(encoding="utf-8", newline="") as stream:
        header, *body = csv.reader(stream, strict=True)
    assert tuple(header) == FILES[name]
    assert {len(row) for row in body} == {len(header)}


@pytest.mark.parametrize("name", FILES)
def test_the_readme_counts_rows_and_columns_right(name: str) -> None:
    """The README's table of files is the truth about them."""
    readme = (DATA / "README.md").read_text(encoding="utf-8")
    assert f"| `{name}` | {len(rows(name))} | `{','.join(FILES[name])}` |" in readme


def test_the_readme_counts_labels_right() -> None:
    """Its list of labels, with their numbers in training, is complete and in order."""
    readme = (DATA / "README.md").read_text(encoding="utf-8")
    listed = [(label, int(count)) for label, count in re.findall(r"`([a-z_]+)` \((\d+)", readme)]
    counts = Counter(row["label"] for row in rows(TRAINING)).most_common()
    assert listed == [*counts, *Counter(topic for found in topics(POSTS) for topic in found).most_common()]
    sizes = Counter(map(len, topics(POSTS)))
    assert f"{sizes[0]} have no topic at all" in readme
    assert f"{sizes[1]} have one, {sizes[2]} two and {sizes[3]} three" in readme
    assert set(sizes) == {0, 1, 2, 3}


def test_there_is_enough_to_learn_from() -> None:
    """Four hundred documents or more, in ten uneven classes that the test file has too."""
    counts = Counter(row["label"] for row in rows(TRAINING))
    assert counts.total() >= 400
    assert len(counts) == 10
    assert min(counts.values()) >= 10
    assert max(counts.values()) >= 4 * min(counts.values())
    assert {row["label"] for row in rows(TEST)} == set(counts)


def test_posts_have_any_number_of_topics() -> None:
    """A fifth have none, many have one, a good share several; every topic is known, often enough, and not alone."""
    known = {topic for found in topics(POSTS) for topic in found}
    assert 6 <= len(known) <= 8
    assert 150 <= len(rows(POSTS)) <= 200
    assert 30 <= len(rows(TEST_POSTS)) <= 40
    for name in FORUM:
        found, sizes = topics(name), [len(of_post) for of_post in topics(name)]
        assert {topic for of_post in found for topic in of_post} == known
        assert all(len(set(of_post)) == len(of_post) for of_post in found)
        assert sizes.count(0) / len(sizes) == pytest.approx(0.2, abs=0.03)
        assert sum(size > 1 for size in sizes) / len(sizes) > 0.35
    counts = Counter(topic for of_post in topics(POSTS) for topic in of_post)
    assert min(counts.values()) >= 20
    for topic in known:
        assert [topic] in topics(POSTS)
        assert {other for of_post in topics(POSTS) if topic in of_post for other in of_post} > {topic}


def test_posts_are_as_short_and_as_long_as_posts_are() -> None:
    """From a handful of words to several paragraphs, half of them under 25 words."""
    lengths = sorted(len(text.split()) for text in texts(POSTS))
    assert lengths[0] <= 4
    assert 15 <= lengths[len(lengths) // 2] <= 25
    assert lengths[-1] > 100
    assert any("\n\n" in text for text in texts(POSTS))


def test_no_text_is_there_twice() -> None:
    """Not even in another case or with other spaces, and not in another file: nothing of the test was trained on."""
    repeated = [text for text, count in Counter(map(folded, every_text())).items() if count > 1]
    assert repeated == []


def test_no_post_says_what_another_says() -> None:
    """Of the different words in two posts, at most four in ten are in both."""
    posts = [set(words(text)) for name in FORUM for text in texts(name)]
    shared = [len(one & other) / len(one | other) for one, other in combinations(posts, 2)]
    assert max(shared) <= 0.4


def test_texts_begin_differently() -> None:
    """At most a handful share their first five words."""
    beginnings = Counter(tuple(words(text)[:WORDS_OF_A_BEGINNING]) for text in every_text())
    shared = [beginning for beginning, count in beginnings.items() if count > 1]
    assert len(shared) <= MAX_SHARED_BEGINNINGS
    assert max(beginnings.values()) <= 3


def test_there_is_no_template() -> None:
    """No run of eight words occurs in more than two texts."""
    runs: Counter[tuple[str, ...]] = Counter()
    for text in every_text():
        found = words(text)
        starts = range(len(found) - WORDS_OF_A_RUN + 1)
        runs.update({tuple(found[start : start + WORDS_OF_A_RUN]) for start in starts})
    assert max(runs.values()) <= MAX_TEXTS_WITH_ONE_RUN


@pytest.mark.parametrize("name", LABELLED)
def test_lengths_are_those_of_real_mail(name: str) -> None:
    """Three words to several paragraphs: a quarter short, about half of middle length, one in twelve long."""
    lengths = sorted(len(text.split()) for text in texts(name))
    assert lengths[0] == 3
    assert lengths[-1] > 200
    shares = {
        "short": sum(length < 12 for length in lengths) / len(lengths),
        "middle": sum(12 <= length <= 60 for length in lengths) / len(lengths),
        "long": sum(length > 140 for length in lengths) / len(lengths),
    }
    assert shares == pytest.approx({"short": 0.25, "middle": 0.5, "long": 1 / 12}, abs=0.06)
    assert any(len(re.split(r"\n\s*\n", text.strip())) >= 3 for text in texts(name))


def test_ids_are_unique_and_keep_their_zeros() -> None:
    """Five digits each, in all files together; those of the inbox begin with zeros."""
    ids = [row["id"] for name in FILES for row in rows(name)]
    assert len(set(ids)) == len(ids)
    assert all(re.fullmatch("[0-9]{5}", name) for name in ids)
    assert all(row["id"].startswith("00") for row in rows(INBOX))


def test_labels_and_texts_are_filled_in() -> None:
    """Training and test rows have something to read and a label without spaces around it."""
    for name in [*LABELLED, *FORUM]:
        assert all(row["text"].strip() for row in rows(name))
    for name in LABELLED:
        assert all(re.fullmatch("[a-z_]+", row["label"]) for row in rows(name))


INBOX_HOLDS = {
    "an empty message": r"\A\Z",
    "one of only white space": r"\A\s+\Z",
    "German": r"\bich habe\b",
    "Spanish": r"\bsuscripción\b",
    "Japanese": r"[ぁ-ん]{2}",
    "Hebrew": r"[א-ת]{3}",
    "a table with tabs and Windows line ends": r"\t.*\r\n.*\t",
    "quotes and commas": r'", .*"',
    "semicolons": ";",
    "line ends": r"[^\r]\n",
    "emoji": "[\U0001f300-\U0001faff]",
    "the text NA": r"\ANA\Z",
    "the text 007": r"\A007\Z",
    "a formula": r"\A=SUM\(",
    "HTML": r"<p>.*</b>",
    "a job application": "apply for a summer job",
    "a sales pitch": "paying too much for electricity",
}


@pytest.mark.parametrize("what", INBOX_HOLDS)
def test_the_inbox_holds_what_inboxes_hold(what: str) -> None:
    """Each thing that the README promises is in some message."""
    assert any(re.search(INBOX_HOLDS[what], text) for text in texts(INBOX))


def test_the_inbox_has_one_very_long_message() -> None:
    """A reply chain of some four thousand words, far longer than any encoder's window, among sixty messages."""
    lengths = sorted(len(text.split()) for text in texts(INBOX))
    assert len(lengths) == 60
    assert lengths[-1] == pytest.approx(4000, rel=0.05)
    assert lengths[-2] < 400
