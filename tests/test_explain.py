"""Explanations: what is left out, what that does, and that the words called important are."""

from __future__ import annotations

import copy
import json
import math
import re
from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer
from conftest import SMALL_TEXTS
from fakes import FakeEmbedder
from hypothesis import given, settings
from hypothesis import strategies as st
from places import scaled
from typer.testing import CliRunner

from classifier import DocumentClassifier
from classifier.cli.explaining import explain as explain_command
from classifier.cli.explaining import explanation_lines
from classifier.datamodels import STATUS_EMPTY, STATUS_OK, Neighbor, Settings
from classifier.embedding.cache import CachedEmbedder, VectorCache
from classifier.embedding.contract import CHUNKING, Embeddings
from classifier.embedding.reduction import ReducedEmbedder
from classifier.errors import NotTextError, UnknownNameError
from classifier.modeling import occlusion
from classifier.modeling.explain import (
    MOST_VARIANTS,
    ChunkEffect,
    Explanation,
    WordEffect,
    deletion_effect,
    explain,
)
from classifier.modeling.head import LexicalWeights, LinearHead
from classifier.modeling.lexical import fit_lexicon
from classifier.modeling.links import EACH_ALONE, ONE_OF_ALL, Link
from classifier.modeling.occlusion import (
    MOST_WORDS_OF_A_SENTENCE,
    DenseHalf,
    Group,
    LexicalHalf,
    joined,
    passages,
    sentences,
    without,
    without_cache,
    word_spans,
)
from classifier.ui.explaining import CSS, render_words
from classifier.workflows.explaining import explain as explain_stored

REFUND = "I sent the grinder back three weeks ago and still wait for my money. Please refund me."
PAYLOAD = "<script>window.hacked=1</script><img src=x onerror=window.hacked=1> \" ' &amp;"
PIECES = [
    "bad",
    "apple",
    "pie",
    "Straße",
    "İ",
    "ΑΣ",
    "Σ",
    "é",
    "e\u0301",
    "東",
    "京",
    "-",
    ".",
    "'",
    " ",
    "\n",
    "\ud800",
    "x2",
]
STRINGS = st.lists(st.sampled_from(PIECES), max_size=25).map("".join)
TEXTS = [
    "bad apple pie",
    "Straße apple-pie. bad",
    "é x2 e\u0301 東京 ' pie's",
    "ΑΣ Σ İ bad - apple",
    "京 pie bad, bad! x2",
]


class WindowedEmbedder(FakeEmbedder):
    """A fake that says it averages windows, as transformers do."""

    def __init__(self, max_tokens: int = 32) -> None:
        super().__init__()
        self._contract = replace(self._contract, max_tokens=max_tokens, chunking=CHUNKING)


class MeaningEmbedder(FakeEmbedder):
    """A fake for which a text means the sum of its words, whatever their order."""

    def encode(self, texts: Sequence[str], *, progress: bool = False) -> Embeddings:  # noqa: ARG002 # part of the protocol
        """Add up the hashes of the words."""
        self.calls.append(list(texts))
        sums = [sum((self._vector(word) for word in text.split()), np.zeros(16)) for text in texts]
        return np.array([total / (np.linalg.norm(total) or 1.0) for total in sums], dtype=np.float32)


def small_rows() -> tuple[list[str], list[str]]:
    """Return texts and labels of three classes."""
    rows = [(text, label) for label, texts in SMALL_TEXTS.items() for text in texts]
    return [text for text, _ in rows], [label for _, label in rows]


@pytest.fixture(scope="module")
def meaning_model() -> DocumentClassifier:
    """Train on words that mean something; tests must not change it."""
    return DocumentClassifier(MeaningEmbedder(name="fake:meaning")).fit(*small_rows())


@pytest.fixture(scope="module")
def windowed_model() -> DocumentClassifier:
    """Train on an embedder of windows of 32 tokens; tests must not change it."""
    return DocumentClassifier(WindowedEmbedder()).fit(*small_rows())


def lexical_half(text: str, n_classes: int = 3) -> LexicalHalf:
    """Weigh the terms of `TEXTS` at random."""
    lexicon, _ = fit_lexicon(TEXTS)
    rng = np.random.default_rng(0)
    coef = rng.normal(size=(len(lexicon), n_classes)).astype(np.float32)
    return LexicalHalf(text, lexicon, LexicalWeights(coef, rng.normal(size=n_classes).astype(np.float32)))


def counted_again(half: LexicalHalf, text: str) -> np.ndarray:
    """Return the scores of a text as predicting computes them."""
    return half._lexicon.transform([text]).times(half._head.coef)[0] + half._head.intercept


def log_odds(model: DocumentClassifier, text: str, label: str) -> float:
    """Return log p / (1 - p) of a label."""
    share = model.predict_proba([text])[0][list(model.classes_).index(label)]
    return math.log(share) - math.log1p(-share)


def check(explanation: Explanation, text: str) -> None:
    """Assert what holds for every explanation."""
    assert explanation.text == text
    assert [text[effect.start : effect.end] for effect in explanation.words] == [e.word for e in explanation.words]
    position = 0
    for effect in explanation.words:
        assert position <= effect.start < effect.end <= len(text)
        assert effect.word.strip()
        position = effect.end
    if explanation.chunks:
        assert [0, *(chunk.end for chunk in explanation.chunks)] == [
            *(chunk.start for chunk in explanation.chunks),
            len(text),
        ]
    assert 0 <= explanation.probability <= 1
    json.dumps(asdict(explanation), allow_nan=False)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        (" \n\t", []),
        ("?! … -- («»)", []),
        ("\ud800 \udfff", []),
        ("one", ["one"]),
        ("Don\u2019t pay 10,50 €!", ["Don\u2019t", "pay", "10", "50"]),
        ("cafe\u0301s na\u00efve", ["cafe\u0301s", "na\u00efve"]),
        ("अनुवाद हिन्दी", ["अनुवाद", "हिन्दी"]),
        ("شكرًا لكم", ["شكرًا", "لكم"]),
        ("東京 iPhone15手机", ["東", "京", "iPhone15", "手", "机"]),
        ("ดีมาก", ["ดี", "ม", "า", "ก"]),
        ("great 👍🏽👨‍👩‍👧 day", ["great", "👍🏽👨‍👩‍👧", "day"]),
        ("a\ud800b", ["a", "b"]),
    ],
)
def test_words_of_every_script(text: str, words: list[str]) -> None:
    """A word keeps its marks and apostrophes, and punctuation and half characters belong to none."""
    assert [text[start:end] for start, end in word_spans(text)] == words


@settings(deadline=None)
@given(STRINGS | st.text(max_size=60), st.integers(1, 12))
def test_words_sentences_and_passages_part_a_text(text: str, n_tokens: int) -> None:
    """Words stand apart, sentences hold each word once, and passages hold each character once."""
    words = word_spans(text)
    assert all(start < end for start, end in words)
    assert all(one[1] <= two[0] for one, two in pairwise(words))
    groups = sentences(text, words)
    assert [number for group in groups for number in range(group.first, group.last)] == list(range(len(words)))
    if not words:
        return
    found = passages(text, words, groups, n_tokens)
    assert "".join(text[part.start : part.end] for part in found) == text
    assert [0, *(part.last for part in found)] == [*(part.first for part in found), len(words)]
    fewer = joined(groups, 3)
    assert len(fewer) <= 3
    assert [0, *(group.last for group in fewer)] == [*(group.first for group in fewer), len(words)]


def test_sentences_end_where_readers_expect() -> None:
    """Full stops, line ends and too many words end a sentence; a point within a number does not."""
    text = "Costs 3.50 now. Really?! Yes\nbye。東" + " w" * (MOST_WORDS_OF_A_SENTENCE + 1)
    words = word_spans(text)
    starts = [text[group.start : group.end].split()[0] for group in sentences(text, words)]
    assert starts == ["Costs", "Really", "Yes", "bye", "東", "w"]


def test_what_is_left_out_leaves_a_gap() -> None:
    """What stood around several parts does not grow together."""
    assert without("東西京 a-b", [(4, 5), (1, 2)]) == "東 京  -b"
    assert without("all", []) == "all"


@settings(deadline=None, max_examples=scaled(40, 200))
@given(STRINGS, st.data())
def test_terms_without_a_part_are_those_of_the_text_without_it(text: str, data: st.DataObject) -> None:
    """Counting only around the part gives what counting everything again would, new pairs and unit length included."""
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    half = lexical_half(text)
    assert half.scores == pytest.approx(counted_again(half, text), abs=1e-5)
    assert half.scores_without(start, end) == pytest.approx(
        counted_again(half, without(text, [(start, end)])), abs=1e-5
    )


@settings(deadline=None)
@given(STRINGS, st.integers(1, 9))
def test_pieces_do_not_show(text: str, n_characters: int) -> None:
    """Terms are found once each, however short the pieces are in which they are looked for."""
    whole = lexical_half(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(occlusion, "_PIECE_CHARACTERS", n_characters)
        parts = lexical_half(text)
    assert parts._counts.tolist() == whole._counts.tolist()
    direction = np.array([1.0, -0.5, -0.5])
    words = word_spans(text)
    assert parts.word_effects(words, direction) == pytest.approx(whole.word_effects(words, direction))


@settings(deadline=None)
@given(st.lists(st.sampled_from(["bad", "apple", "pie", "Straße", "apple-pie", "x2.", "京"]), max_size=12))
def test_lexical_effects_are_an_exact_sum(parts: list[str]) -> None:
    """Where no term is of punctuation alone, the words' effects add up to the sparse half's score."""
    text = " ".join(parts)
    half = lexical_half(text)
    direction = np.array([1.0, -0.3, -0.7])
    expected = (half.scores - half._head.intercept) @ direction
    assert half.word_effects(word_spans(text), direction).sum() == pytest.approx(expected, abs=1e-5)


def test_a_repeated_word_shares_its_weight() -> None:
    """Two occurrences in equal company have equal effects, and a term of two words belongs to both."""
    half = lexical_half("bad . bad")
    effects = half.word_effects(word_spans("bad . bad"), np.array([1.0, 0.0, 0.0]))
    assert effects[0] == pytest.approx(effects[1])
    lexicon, _ = fit_lexicon(["bad apple"], with_parts=False)
    coef = np.array([[float(" " in term)] for term in lexicon.terms], dtype=np.float32)
    pair = LexicalHalf("bad apple", lexicon, LexicalWeights(coef, np.zeros(1, dtype=np.float32)))
    own = pair.word_effects([(0, 3), (4, 9)], np.ones(1))
    assert own[0] == pytest.approx(own[1])
    assert own.sum() == pytest.approx(1 / math.sqrt(3))


@pytest.mark.parametrize("link", [ONE_OF_ALL, EACH_ALONE])
def test_directions_are_derivatives(link: Link) -> None:
    """The direction of a link is the slope of its log-odds, and its probability belongs to them."""
    scores, step = np.array([0.3, -1.2, 2.0]), 1e-6
    for column in range(3):
        slopes = [
            (
                link.log_odds((scores + step * axis)[np.newaxis], column)[0]
                - link.log_odds(scores[np.newaxis], column)[0]
            )
            / step
            for axis in np.eye(3)
        ]
        assert link.direction(scores, column) == pytest.approx(slopes, abs=1e-4)
        share = link.proba(scores[np.newaxis], column)[0]
        assert math.log(share / (1 - share)) == pytest.approx(link.log_odds(scores[np.newaxis], column)[0])
    shares = [ONE_OF_ALL.proba(scores[np.newaxis], column)[0] for column in range(3)]
    assert sum(shares) == pytest.approx(1)


def test_the_answer_is_explained(small_model: DocumentClassifier) -> None:
    """Label, probability, runner-up and similar documents are those of the other methods."""
    text = "a rake for wet soil, please"
    explanation, answer = explain(small_model, text, k=3), small_model.classify([text])[0]
    check(explanation, text)
    assert explanation.status == STATUS_OK
    assert (explanation.label, explanation.runner_up) == tuple(label for label, _ in answer.top(2))
    assert explanation.probability == pytest.approx(answer.confidence, abs=1e-9)
    assert explanation.runner_up_probability == pytest.approx(answer.top(2)[1][1], abs=1e-9)
    assert list(explanation.neighbors) == small_model.similar(text, 3)
    assert explanation.chunks == ()


def test_a_total_is_what_really_happens(small_model: DocumentClassifier) -> None:
    """For any label, a word's effect is the fall of the log-odds when predicting the text without it."""
    text = "boil the boil eggs"
    answer = small_model.classify([text])[0]
    for label in small_model.classes_:
        explanation = explain(small_model, text, label=label, k=0)
        assert explanation.label == label
        assert explanation.runner_up != label
        assert explanation.is_given == (label == answer.label)
        for effect in explanation.words:
            left = without(text, [(effect.start, effect.end)])
            fall = log_odds(small_model, text, label) - log_odds(small_model, left, label)
            assert effect.total == pytest.approx(fall, abs=1e-4)
            assert effect.measured


def test_two_labels_mirror_each_other(tiny_model: DocumentClassifier) -> None:
    """What speaks for one of two labels speaks against the other, in every number."""
    wet, dry = (explain(tiny_model, "milk roll cream", label=label) for label in ("wet", "dry"))
    for one, other in zip(wet.words, dry.words, strict=True):
        assert (one.lexical, one.dense, one.total) == pytest.approx((-other.lexical, -other.dense, -other.total))
    assert wet.probability == pytest.approx(1 - dry.probability)


def test_labels_that_do_not_exclude_each_other(tiny_model: DocumentClassifier) -> None:
    """Each label for itself, as a head of several labels wants it: its probability is the sigmoid of its own score."""
    model = copy.copy(tiny_model)
    model.head_ = replace(tiny_model.head_, is_multi_label=True)
    explanation = explain(model, "milk roll", label="dry")
    assert explanation == explain(tiny_model, "milk roll", label="dry", link=EACH_ALONE)
    rows = None if model.lexicon_ is None else model.lexicon_.transform(["milk roll"])
    score = model.head_.scores(model.encode(["milk roll"]), rows)[0, 0] / model.head_.temperature
    assert explanation.probability == pytest.approx(1 / (1 + math.exp(-score)), abs=1e-6)
    assert deletion_effect(model, "milk roll") == deletion_effect(tiny_model, "milk roll", link=EACH_ALONE)


def test_few_words_take_one_call() -> None:
    """All variants are embedded together, each word once, and none of them reaches the cache."""
    embedder = FakeEmbedder()
    model = DocumentClassifier(embedder).fit(*small_rows())
    embedder.calls.clear()
    explain(model, "one two two", k=0)
    assert embedder.calls == [["one two two"], ["  two two", "one   two", "one two  "]]


def test_the_cache_keeps_no_variants(tmp_path: Path) -> None:
    """Only the text itself is kept, also where its vector is reduced."""
    cache = VectorCache(tmp_path)
    cached = CachedEmbedder(FakeEmbedder(), cache)
    model = DocumentClassifier(cached).fit(*small_rows())
    n_before = cache.info().n_vectors
    explain(model, "one two three")
    deletion_effect(model, "one two three four five")
    assert cache.info().n_vectors == n_before + 2
    reduced = ReducedEmbedder(cached, np.eye(4, 16, dtype=np.float32), np.zeros(16, dtype=np.float32))
    bare = without_cache(reduced)
    assert np.array_equal(bare.encode(["four"]), reduced.encode(["four"]))
    assert isinstance(bare, ReducedEmbedder)
    assert bare.inner is cached.embedder
    assert reduced.inner is cached


def test_nothing_to_read_is_not_explained(small_model: DocumentClassifier) -> None:
    """An empty text has no words, label or neighbours; an unknown label is refused also there."""
    for text in ("", " \n"):
        explanation = explain(small_model, text)
        check(explanation, text)
        assert (explanation.status, explanation.label, explanation.probability) == (STATUS_EMPTY, "", 0.0)
        assert (explanation.words, explanation.chunks, explanation.neighbors) == ((), (), ())
        assert explain(small_model, text, label="garden").label == "garden"
        assert deletion_effect(small_model, text) == (0.0, 0.0)
        with pytest.raises(UnknownNameError, match="Did you mean 'garden'"):
            explain(small_model, text, label="gardn")


def test_only_a_text_is_explained(small_model: DocumentClassifier) -> None:
    """Anything else than a string is refused in one sentence."""
    with pytest.raises(NotTextError, match="of type int"):
        explain(small_model, 7)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    [
        "moss",
        "!!! ... ???",
        "moss \ud800 glue\udfff",
        "e\u0301clair cafe\u0301 u\u0308ber",
        "شكرًا لكم، أريد استرداد نقودي",
        "שלום moss עולם",
        "東京タワーは高い。",
        "a" * 5000,
        "-" * 5000,
        "İİİ ΑΣ ﬁ ǅ",
        "x\x00y\x1b[31m z",
        "\n\n one.\r\ntwo \u2028 three\u00a0four",
    ],
    ids=lambda text: repr(text[:12]),
)
def test_hard_texts_have_sound_explanations(
    small_model: DocumentClassifier, windowed_model: DocumentClassifier, text: str
) -> None:
    """Offsets are slices of the original text and numbers are finite, whatever it is made of."""
    for model in (small_model, windowed_model):
        check(explain(model, text), text)


@settings(deadline=None, max_examples=40)
@given(st.text(max_size=120))
def test_any_text_has_a_sound_explanation(windowed_model: DocumentClassifier, text: str) -> None:
    """Any Unicode will do."""
    check(explain(windowed_model, text, k=1), text)


def test_many_words_take_a_bounded_number_of_variants(small_model: DocumentClassifier) -> None:
    """10,000 words take three calls of at most 100 variants, and every word has an effect."""
    text = " ".join(f"moss{number}" if number % 7 else f"Glue{number}." for number in range(10_000))
    embedder: Any = small_model.loaded_embedder()
    embedder.calls.clear()
    explanation = explain(small_model, text, k=0)
    check(explanation, text)
    n_coarse, *n_finer = [len(call) for call in embedder.calls[1:]]
    assert MOST_VARIANTS / 2 < n_coarse <= MOST_VARIANTS
    assert n_finer == [MOST_VARIANTS, MOST_VARIANTS]
    assert len(explanation.words) == 10_000
    assert sum(effect.measured for effect in explanation.words) == MOST_VARIANTS
    embedder.calls.clear()


def test_windows_bound_what_is_embedded(windowed_model: DocumentClassifier) -> None:
    """Of a text longer than the window, variants are of one passage, and all passages are weighed."""
    text = " ".join(f"moss{number}" if number % 7 else f"Glue{number}." for number in range(2_000))
    embedder: Any = windowed_model.loaded_embedder()
    embedder.calls.clear()
    explanation = explain(windowed_model, text, k=0)
    check(explanation, text)
    assert len(explanation.chunks) > 20
    base, parts, *variants = embedder.calls
    assert (base, "".join(parts)) == ([text], text)
    longest = max(len(part) for part in parts)
    assert max(len(variant) for call in variants for variant in call) <= longest + 1
    assert sum(len(call) for call in variants) <= len(parts) + 2 * MOST_VARIANTS
    embedder.calls.clear()


def test_passages_are_weighed_as_windows_are() -> None:
    """The vector of several passages is the mean of theirs by tokens, and a part is left out of its own alone."""
    text, embedder = "aa bb. cc dd ee.", FakeEmbedder()
    parts = [Group(0, 2, 0, 7), Group(2, 5, 7, len(text))]
    rng = np.random.default_rng(0)
    head = LinearHead(rng.normal(size=(3, 16)).astype(np.float32), np.zeros(3, dtype=np.float32), 1.0)
    half = DenseHalf(text, embedder.encode([text])[0], embedder, head, parts)

    def scores(*weighted: tuple[float, str]) -> np.ndarray:
        total = sum(weight * embedder.encode([part])[0] for weight, part in weighted)
        return head.scores(total[np.newaxis] / np.linalg.norm(total))[0]

    assert half.scores == pytest.approx(scores((3, "aa bb. "), (4, "cc dd ee.")), abs=1e-5)
    left_out = half.scores_without([(3, 5), (0, 7)])
    assert left_out[0] == pytest.approx(scores((2, "aa  . "), (4, "cc dd ee.")), abs=1e-5)
    assert left_out[1] == pytest.approx(scores((4, "cc dd ee.")), abs=1e-5)


def test_a_head_without_terms_has_no_lexical_effects() -> None:
    """A head on embeddings alone is explained by them alone."""
    model = DocumentClassifier(MeaningEmbedder(), head="logistic").fit(*small_rows())
    explanation = explain(model, "wet soil")
    assert all(effect.lexical == 0 for effect in explanation.words)
    assert any(effect.dense != 0 for effect in explanation.words)


def test_important_words_are_found_and_matter() -> None:
    """A word that decides leads its list among words that do not, and leaving it out costs more than leaving those."""
    rng = np.random.default_rng(0)
    noise = [" ".join(rng.choice(["on", "by", "at", "so", "or", "if"], 4)) for _ in range(24)]
    texts = [f"{words} {'moss' if number % 2 else 'glue'}" for number, words in enumerate(noise)]
    model = DocumentClassifier(MeaningEmbedder()).fit(texts, ["garden" if "moss" in text else "shed" for text in texts])
    for text in ("so by moss at if", "glue on at or so"):
        explanation = explain(model, text)
        speaks_for, against = explanation.most_important(2)
        assert speaks_for[0].word in {"moss", "glue"}
        assert [effect.total for effect in speaks_for] == sorted((effect.total for effect in speaks_for), reverse=True)
        assert all(effect.total > 0 for effect in speaks_for)
        assert all(effect.total < 0 for effect in against)
        assert [effect.total for effect in against] == sorted(effect.total for effect in against)
        assert explanation.most_important(0) == ([], [])
        drops = deletion_effect(model, text, 1)
        assert drops.important > drops.random


def test_deletion_draws_are_repeatable(meaning_model: DocumentClassifier) -> None:
    """The same seed gives the same numbers, and leaving out every word is the same however it is drawn."""
    text = "moss rake qq ww rr tt"
    one, two = (deletion_effect(meaning_model, text, rng=np.random.default_rng(5)) for _ in range(2))
    assert one == two
    everything = deletion_effect(meaning_model, "moss rake", 3)
    assert everything.important == pytest.approx(everything.random, abs=1e-9)


def test_a_real_refund_is_explained_by_its_words(real_model: DocumentClassifier) -> None:
    """With the real encoder, the words that decide are those a person would name, and leaving them out tells."""
    explanation = explain(real_model, REFUND)
    check(explanation, REFUND)
    assert explanation.label == "refund_return"
    leading = {effect.word for effect in explanation.most_important(4)[0]}
    assert "refund" in leading
    assert {neighbor.label for neighbor in explanation.neighbors} >= {"refund_return"}
    drops = deletion_effect(real_model, REFUND)
    assert drops.important > drops.random


def test_a_real_long_text_has_a_passage_that_decides(real_model: DocumentClassifier) -> None:
    """The passage that speaks for the label is the one that was put there."""
    filler = "The weather was grey and the meeting took the whole morning, as it does every week. " * 8
    text = f"{filler}\n{REFUND * 3}\n{filler}"
    explanation = explain(real_model, text, label="refund_return", k=0)
    check(explanation, text)
    best = max(explanation.chunks, key=lambda chunk: chunk.effect)
    assert "refund me" in text[best.start : best.end]
    assert any(effect.word == "refund" for effect in explanation.most_important(5)[0])


def of_words(text: str, totals: Sequence[float], **changes: Any) -> Explanation:
    """Make an explanation by hand."""
    words = tuple(
        WordEffect(start, end, text[start:end], total / 2, total / 3, total)
        for (start, end), total in zip(word_spans(text), totals, strict=True)
    )
    made = Explanation(text, "refund", 0.93, True, "delivery", 0.04, STATUS_OK, words, (), ())
    return replace(made, **changes)


def test_an_explanation_reads_in_a_terminal() -> None:
    """Words for and against, passages and similar documents each have their lines, and an empty text has one."""
    explanation = of_words(
        "Please refund me",
        [0.4, 2.0, -0.3],
        chunks=(ChunkEffect(0, 7, 0.5), ChunkEffect(7, 16, -1.25)),
        neighbors=(Neighbor("7", "money back", "refund", 0.8),),
    )
    lines = explanation_lines(explanation, 1)
    assert lines[:2] == ["refund  93.0 %", "most probable beside it: delivery  4.0 %"]
    assert [line.split() for line in lines[3:9]] == [
        ["Words", "for", "refund:"],
        ["word", "at", "effect", "by", "its", "letters", "by", "its", "meaning"],
        ["refund", "7", "+2.00", "+1.00", "+0.67"],
        ["Words", "against", "refund:"],
        ["word", "at", "effect", "by", "its", "letters", "by", "its", "meaning"],
        ["me", "14", "-0.30", "-0.15", "-0.10"],
    ]
    assert lines[9:] == [
        "Passages:",
        "  passage    from  to  effect",
        "  Please        0   7   +0.50",
        "  refund me     7  16   -1.25",
        "Similar training documents:",
        "  0.800  refund  [7]  money back",
    ]
    assert explanation_lines(replace(explanation, is_given=False), 1)[0] == "refund  93.0 %  (not the answer)"
    empty = replace(explanation, status=STATUS_EMPTY, words=(), chunks=(), neighbors=())
    assert explanation_lines(empty, 5) == ["empty: there is nothing to read in this text"]


@pytest.fixture
def stored_model(meaning_model: DocumentClassifier, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Store a model whose embedder can be loaded by name."""
    from classifier.embedding.embedders import EMBEDDERS, Family

    monkeypatch.setitem(EMBEDDERS, "fake", Family(lambda name, options: MeaningEmbedder(name="fake:meaning")))  # noqa: ARG005
    return meaning_model.save(tmp_path / "small" / "1")


def test_a_stored_model_explains(stored_model: Path, meaning_model: DocumentClassifier, tmp_path: Path) -> None:
    """The workflow opens a model and gives what the function gives."""
    assert explain_stored(stored_model, "moss", Settings(tmp_path), k=2) == explain(meaning_model, "moss", k=2)


def test_the_command_explains(stored_model: Path) -> None:
    """Lines for people, one object for machines without the text that they already have."""
    app = typer.Typer()
    app.command()(explain_command)
    arguments = [str(stored_model), "--text", "wet moss", "-k", "2"]
    shown = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert shown.exit_code == 0
    assert "moss" in shown.output
    found = json.loads(CliRunner().invoke(app, [*arguments, "--label", "kitchen", "--json"]).output)
    assert set(found) == {
        *("label", "probability", "is_given", "runner_up", "runner_up_probability", "status", "words"),
        *("chunks", "neighbors"),
    }
    assert found["label"] == "kitchen"
    assert [word["word"] for word in found["words"]] == ["wet", "moss"]
    assert len(found["neighbors"]) == 2
    with pytest.raises(UnknownNameError, match="Did you mean 'kitchen'"):
        CliRunner().invoke(app, [*arguments, "--label", "kitchn"], catch_exceptions=False)


def plain(drawn: str) -> str:
    """Return a page's text without its tags."""
    import html

    return html.unescape(re.sub("<[^>]*>", "", drawn))


def test_marks_say_side_and_number() -> None:
    """Colour is not alone: side and number are in the class and the title, and faint words stay plain."""
    drawn = render_words(of_words("Please do refund me", [0.4, 0.01, 2.0, -1.0]))
    marks = re.findall('<mark class="(.*?)" style="--strength: (.*?)%" title="(.*?)">(.*?)</mark>', drawn)
    assert marks == [
        ("for", "15", "+0.40, speaks for refund", "Please"),
        ("for", "42", "+2.00, speaks for refund", "refund"),
        ("against", "25", "-1.00, speaks against refund", "me"),
    ]
    assert plain(drawn).endswith("Please do refund me")
    assert "mark.against" in CSS
    assert "light-dark" in CSS
    assert "dotted" in CSS


@pytest.mark.parametrize("text", [PAYLOAD, "שלום <b>עולם</b>", "a \ud800 <i>", "</div></mark>x", "e\u0301 'x\"y'"])
def test_no_text_becomes_markup(text: str) -> None:
    """Whatever a text or label holds is shown as it is, word by word or between them."""
    n_words = len(word_spans(text))
    drawn = render_words(of_words(text, [1.0] * n_words, label=PAYLOAD))
    assert set(re.findall("</?([a-z]+)", drawn)) <= {"div", "p", "em", "mark"}
    assert plain(drawn).endswith(text.replace("\ud800", "?"))
    assert not re.search('<[^>]*on[a-z]+="', drawn)


def test_a_page_shows_texts_without_effects_and_long_ones() -> None:
    """Without effects nothing is marked, a very long text is cut, and an empty one is said to be."""
    assert "<mark" not in render_words(of_words("one two", [0.0, 0.0]))
    long = "word " * 10_000
    drawn = render_words(of_words(long, [1.0] * 10_000))
    assert drawn.count("<mark") == 4_000
    assert "and 30,000 more characters" in drawn
    assert "nothing to explain" in render_words(of_words("", [], status=STATUS_EMPTY))
