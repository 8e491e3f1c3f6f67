"""The word-vectors family of embedders: the idf-weighted mean of vectors that a file gives for words.

Read are the text formats of GloVe, word2vec and fastText, also compressed with gzip: on each line a word and its
numbers; the latter two begin with a line that says how many. A file is streamed once into the cache folder.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from classifier.datamodels import EncoderOptions
from classifier.embedding.contract import EmbeddingContract, Embeddings, Recipe, State
from classifier.embedding.embedders import EmbedderName
from classifier.embedding.words import TEXT_FORMATS, embed_in_windows, kept_table, mean_rows, read_vectors, unreadable
from classifier.errors import EmbedderError, FileMissingError, FileProblemError
from classifier.files import file_sha256
from classifier.progress import progress_bar

FAMILY = "word-vectors"
CONVERSION = 1
WORD_RULE = "1: letters, digits and marks, joined inside by one of . , ' \u2019 _ - or a joiner; whole, else in parts"


@dataclass(frozen=True, slots=True, eq=False)
class WordVectors:
    """What a file of word vectors holds.

    Attributes
    ----------
    vectors : ndarray of float32, shape (n_words, n_dims)
        Rows follow the file; of a word that comes twice, the first.
    index : dict of str to int
        The row of each word.
    file : Path
        Where it was read from.
    file_sha256 : str
        Its checksum.
    """

    vectors: NDArray[np.float32]
    index: dict[str, int]
    file: Path
    file_sha256: str

    def find(self, text: str) -> tuple[list[int], int]:
        """Find the words of a text.

        Words are runs of letters, digits and their marks. Runs joined by a single full stop, comma, apostrophe,
        underscore, hyphen or invisible joiner, such as *3.14*, *don't* and *well-known*, are tried as one word
        first, then one by one. Each is looked up as it is, then in lower case: where the file has lower-case words
        alone, that is lower-casing the text. Languages written without spaces are not split into words.

        Returns
        -------
        rows : list of int
            One for each known word, in order.
        n_unknown : int
            Number of characters in unknown words.
        """
        rows: list[int] = []
        n_unknown = 0
        whole, part = _word_patterns()
        for found in whole.finditer(text):
            row = self._row(found[0])
            if row is not None:
                rows.append(row)
                continue
            for word in part.findall(found[0]):
                row = self._row(word)
                if row is None:
                    n_unknown += len(word)
                else:
                    rows.append(row)
        return rows, n_unknown

    def _row(self, word: str) -> int | None:
        """Look up one word."""
        row = self.index.get(word)
        return self.index.get(word.lower()) if row is None else row


class WordVectorsRecipe(Recipe):
    """Word vectors whose weights are still to be learned from the training texts.

    Parameters
    ----------
    name : str
        What the user called it.
    words : WordVectors
        What the file holds.
    """

    def __init__(self, name: str, words: WordVectors) -> None:
        super().__init__(name)
        self._words = words

    def fit(
        self,
        texts: Sequence[str],
        *,
        seed: int = 0,  # noqa: ARG002 # nothing here is random
        progress: bool = False,
    ) -> tuple[WordVectorsEmbedder, Embeddings]:
        """Learn how much each word counts.

        Parameters
        ----------
        texts : sequence of str
            The training texts.
        seed : int, default=0
            Without effect.
        progress : bool, default=False
            Show a bar on stderr.

        Returns
        -------
        embedder : WordVectorsEmbedder
            Ready to use.
        embeddings : ndarray of float32, shape (n_documents, n_dims)
            What it makes of `texts`.

        Notes
        -----
        A word in ``df`` of ``n`` texts weighs ``log((1 + n) / (1 + df)) + 1``; a word in none of them weighs as much
        as the rarest.
        """
        n_texts_with = np.zeros(len(self._words.vectors), dtype=np.int64)
        with progress_bar("weighing words", "doc", total=len(texts), shown=progress) as bar:
            for text in texts:
                n_texts_with[np.unique(np.array(self._words.find(text)[0], dtype=np.intp))] += 1
                bar.update()
        rows = np.flatnonzero(n_texts_with).astype(np.int32)
        weights = (np.log((1 + len(texts)) / (1 + n_texts_with[rows])) + 1).astype(np.float32)
        embedder = WordVectorsEmbedder(self._words, rows, weights)
        return embedder, embedder.encode(texts, progress=progress)


class WordVectorsEmbedder:
    """Embed whole texts by the idf-weighted mean of their words' vectors.

    Parameters
    ----------
    words : WordVectors
        What the file holds.
    rows : ndarray of int32, shape (n_seen,)
        The words of the training texts, rising.
    weights : ndarray of float32, shape (n_seen,)
        Their inverse document frequencies; every other word gets the largest of them.

    References
    ----------
    Pennington et al. (2014), GloVe, https://nlp.stanford.edu/projects/glove/;
    Mikolov et al. (2013), word2vec, https://arxiv.org/abs/1301.3781;
    Bojanowski et al. (2017), fastText, https://arxiv.org/abs/1607.04606;
    Arora et al. (2017), on weighted means, https://openreview.net/forum?id=SyK00v5xx
    """

    def __init__(self, words: WordVectors, rows: NDArray[np.int32], weights: NDArray[np.float32]) -> None:
        self._words, self._rows, self._weights = words, rows, weights
        self._idf = np.full(len(words.vectors), weights.max(initial=1.0), dtype=np.float32)
        self._idf[rows] = weights
        learned = np.ascontiguousarray(rows, "<i4").tobytes() + np.ascontiguousarray(weights, "<f4").tobytes()
        self._contract = EmbeddingContract(
            model_id=f"{FAMILY}:{words.file.name}",
            revision=words.file_sha256,
            weights_sha256=hashlib.sha256(words.file_sha256.encode() + learned).hexdigest(),
            tokenizer_sha256=hashlib.sha256(WORD_RULE.encode()).hexdigest(),
            pooling="idf-weighted mean",
            normalize=True,
            prompt="",
            max_tokens=0,
            chunking="none",
            dimension=words.vectors.shape[1],
            backend="numpy",
        )

    @property
    def contract(self) -> EmbeddingContract:
        """What these vectors may be compared with."""
        return self._contract

    def encode(self, texts: Sequence[str], *, progress: bool = False) -> Embeddings:
        """Embed `texts`, each of any length.

        Parameters
        ----------
        texts : sequence of str
        progress : bool, default=False
            Show a bar on stderr.

        Returns
        -------
        ndarray of float32, shape (n_documents, n_dims)
            Rows follow `texts`; unit length, or zeros for a text without any known word.
        """
        return embed_in_windows(texts, self._contract.dimension, self._encode_window, progress=progress)

    def coverage(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return the share of each text's visible characters that is not in unknown words.

        Returns
        -------
        ndarray of float64, shape (n_documents,)
            In [0, 1]; 0 for a text without any known word. What lies between words, such as punctuation, counts
            as read.
        """
        return np.array([self._share(text) for text in texts], dtype=np.float64)

    def state(self) -> State:
        """Return the words of the training texts, by row, and their weights."""
        return {"rows": self._rows, "weights": self._weights}

    def _encode_window(self, texts: Sequence[str]) -> Embeddings:
        """Embed some texts."""
        found = [np.array(self._words.find(text)[0], dtype=np.int32) for text in texts]
        rows = np.concatenate(found)
        lengths = np.array([len(part) for part in found], dtype=np.intp)
        return mean_rows(self._words.vectors, rows, self._idf[rows], lengths)

    def _share(self, text: str) -> float:
        """Measure one text."""
        rows, n_unknown = self._words.find(text)
        return 1.0 - n_unknown / sum(map(len, text.split())) if rows else 0.0


def load_word_vectors(name: EmbedderName, options: EncoderOptions) -> WordVectorsRecipe:
    """Read a file of word vectors.

    Parameters
    ----------
    name : EmbedderName
        Its source is the file.
    options : EncoderOptions
        Where the converted file is kept.

    Raises
    ------
    FileProblemError
        When the file is missing or no word vectors; a bad line is named.
    EmbedderError
        When no file is given.
    """
    return WordVectorsRecipe(f"{FAMILY}:{name.source}", read_word_vectors(name.source, options.cache_dir))


def restore_word_vectors(name: EmbedderName, options: EncoderOptions, state: State) -> WordVectorsEmbedder:
    """Read the file again, and weigh its words as was stored with a model.

    Raises
    ------
    FileProblemError
        As `load_word_vectors`.
    EmbedderError
        When the weights do not belong to this file.
    """
    words = read_word_vectors(name.source, options.cache_dir)
    problem = _state_problem(state, len(words.vectors))
    if problem:
        raise EmbedderError(
            f"The stored word weights do not fit {words.file} ({problem}); "
            "put the file back that the model was trained with, or train a new model."
        )
    return WordVectorsEmbedder(words, state["rows"], state["weights"])


def read_word_vectors(source: str, cache_dir: Path) -> WordVectors:
    """Open the converted form of a file, converting it first where that has not been done.

    Parameters
    ----------
    source : str
        The file; ``~`` stands for the home folder.
    cache_dir : Path
        Where converted files are kept; where that cannot be written, the vectors stay in memory, with a warning.

    Raises
    ------
    FileProblemError
        When the file is missing or no word vectors; a bad line is named.
    EmbedderError
        When no file is given.
    """
    if not source:
        raise EmbedderError(f"The embedder {FAMILY!r} needs a file of word vectors; give {FAMILY}:FILE.")
    file = _checked_path(source)
    try:
        checksum = file_sha256(file)
    except OSError as error:
        raise unreadable(file, error) from error
    key = hashlib.sha256(f"{checksum}\n{CONVERSION}".encode()).hexdigest()[:32]
    table = kept_table(cache_dir / FAMILY / key, lambda: read_vectors(file))
    words = table.vocabulary.decode("utf-8").split("\n")[:-1]
    return WordVectors(table.vectors, {word: row for row, word in enumerate(words)}, file, checksum)


@cache
def _word_patterns() -> tuple[re.Pattern[str], re.Pattern[str]]:
    r"""Compile what a word is, joined and alone; marks such as Hindi's vowels are not in Python's ``\w``."""
    marks = "".join(chr(code) for code in range(0x300, 0x20000) if unicodedata.category(chr(code)) in {"Mn", "Mc"})
    part = rf"[^\W_]++(?:[{marks}]++[^\W_]*+)*+"
    return re.compile(rf"{part}(?:[.,'\u2019_\u200c\u200d-]{part})*+"), re.compile(part)


def _checked_path(source: str) -> Path:
    """Refuse what is no file."""
    try:
        file = Path(source).expanduser()
        exists, is_file = file.exists(), file.is_file()
    except OSError as error:
        raise unreadable(Path(source), error) from error
    except (RuntimeError, ValueError) as error:
        raise FileMissingError(source) from error
    if not exists:
        raise FileMissingError(file)
    if not is_file:
        raise FileProblemError(file, "it is a folder or a device", TEXT_FORMATS)
    return file


def _state_problem(state: State, n_words: int) -> str:
    """Say what is wrong with stored weights; empty where nothing is."""
    if set(state) != {"rows", "weights"}:
        return f"they have the arrays {sorted(state)}"
    rows, weights = state["rows"], state["weights"]
    if rows.dtype != np.int32 or weights.dtype != np.float32 or not rows.ndim == weights.ndim == 1:
        return "they are of another type"
    if len(rows) != len(weights) or not (np.isfinite(weights) & (weights > 0)).all():
        return "they are damaged"
    if len(rows) and not (rows[0] >= 0 and rows[-1] < n_words and (np.diff(rows) > 0).all()):
        return "they are of other words"
    return ""
