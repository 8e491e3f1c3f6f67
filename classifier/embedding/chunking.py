"""Texts become windows of token ids: nothing is cut off, and what was read is known."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer
from tokenizers.models import Unigram

PIECE_CHARACTERS = 50_000
_SURROGATES = re.compile("[\ud800-\udfff]")
_SPACE = re.compile(r"\s")


@dataclass(frozen=True, slots=True)
class Chunk:
    """One window of one document.

    Attributes
    ----------
    document : int
        Index of the text it belongs to.
    token_ids : list of int
        Special tokens included.
    n_tokens : int
        Special tokens not counted: the weight of this chunk in its document.
    """

    document: int
    token_ids: list[int]
    n_tokens: int


class Chunker:
    """Split texts at the encoder's window with the encoder's own tokenizer.

    Parameters
    ----------
    tokenizer : tokenizers.Tokenizer
        Copied; truncation and padding are switched off in the copy.
    max_tokens : int
        Length of a window, special tokens included.
    prompt : str, default=''
        Put before every window.
    lowercase : bool, default=False
        Whether the encoder wants lower-case text.

    Notes
    -----
    A text is handed to the tokenizer in pieces of some 50,000 characters that end at white space, so
    that memory stays flat for a text of any size.
    """

    def __init__(self, tokenizer: Tokenizer, max_tokens: int, *, prompt: str = "", lowercase: bool = False) -> None:
        self._tokenizer: Tokenizer = Tokenizer.from_str(tokenizer.to_str())
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        self._lowercase = lowercase
        before, self._after = self._special_tokens()
        self._before = [*before, *self._tokenizer.encode(self._clean(prompt), add_special_tokens=False).ids]
        self.max_tokens = max_tokens
        self.window = max_tokens - len(self._before) - len(self._after)
        if self.window < 1:
            raise ValueError(f"a window of {max_tokens} tokens has no room for text")
        self._unknown_id = _unknown_id(self._tokenizer)

    def chunks(self, texts: Sequence[str]) -> Iterator[Chunk]:
        """Yield the windows of each text in order; a text without any known token yields none."""
        for document, token_ids in enumerate(self._token_ids(texts)):
            if all(token_id == self._unknown_id for token_id in token_ids):
                continue
            for start in range(0, len(token_ids), self.window):
                part = token_ids[start : start + self.window]
                yield Chunk(document, [*self._before, *part, *self._after], len(part))

    def coverage(self, texts: Sequence[str]) -> NDArray[np.float64]:
        """Return the share of each text's visible characters that became known tokens.

        Returns
        -------
        ndarray of float64, shape (n_documents,)
            In [0, 1]; 0 for a text without visible characters. Control characters count as read:
            they have no shape to miss.
        """
        shares = np.ones(len(texts))
        for index, (text, token_ids) in enumerate(zip(texts, self._token_ids(texts), strict=True)):
            if all(token_id == self._unknown_id for token_id in token_ids):
                shares[index] = 0.0
            elif self._unknown_id in token_ids:
                shares[index] = self._known_share(text)
        return shares

    def _known_share(self, text: str) -> float:
        """Return the share of visible characters that unknown tokens do not stand for."""
        n_visible = n_unknown = 0
        for piece in map(self._clean, _pieces(text)):
            encoding = self._tokenizer.encode(piece, add_special_tokens=False)
            n_visible += _n_visible(piece)
            n_unknown += sum(
                _n_visible(piece[start:end])
                for token_id, (start, end) in zip(encoding.ids, encoding.offsets, strict=True)
                if token_id == self._unknown_id
            )
        return 1.0 - n_unknown / n_visible if n_visible else 0.0

    def _token_ids(self, texts: Sequence[str]) -> list[list[int]]:
        """Tokenize without special tokens."""
        short = [self._clean(text) if len(text) <= PIECE_CHARACTERS else "" for text in texts]
        encodings = self._tokenizer.encode_batch_fast(short, add_special_tokens=False)
        found: list[list[int]] = [encoding.ids for encoding in encodings]
        for index, text in enumerate(texts):
            if len(text) > PIECE_CHARACTERS:
                found[index] = [
                    token_id
                    for piece in _pieces(text)
                    for token_id in self._tokenizer.encode(self._clean(piece), add_special_tokens=False).ids
                ]
        return found

    def _clean(self, text: str) -> str:
        """Replace what no tokenizer accepts: lone surrogates."""
        text = _SURROGATES.sub("\ufffd", text)
        return text.lower() if self._lowercase else text

    def _special_tokens(self) -> tuple[list[int], list[int]]:
        """Return the token ids that the tokenizer puts before and after a text."""
        bare = self._tokenizer.encode("a", add_special_tokens=False).ids
        full = self._tokenizer.encode("a", add_special_tokens=True).ids
        for start in range(len(full) - len(bare) + 1):
            if full[start : start + len(bare)] == bare:
                return full[:start], full[start + len(bare) :]
        raise ValueError("the tokenizer changes a text when it adds its special tokens")


def _unknown_id(tokenizer: Tokenizer) -> int | None:
    """Return the id of the token that stands for what the vocabulary lacks."""
    if isinstance(tokenizer.model, Unigram):  # shows the id in its JSON alone
        unknown_id: int | None = json.loads(tokenizer.to_str())["model"]["unk_id"]
        return unknown_id
    unknown = getattr(tokenizer.model, "unk_token", None)
    return tokenizer.token_to_id(unknown) if isinstance(unknown, str) else None


def _n_visible(text: str) -> int:
    """Count the characters that are not white space."""
    return len(_SPACE.sub("", text))


def _pieces(text: str) -> Iterator[str]:
    """Cut a long text at white space, near every `PIECE_CHARACTERS`; a text without any is cut hard."""
    start = 0
    while len(text) - start > PIECE_CHARACTERS:
        end = start + PIECE_CHARACTERS
        space = max(text.rfind(" ", start, end), text.rfind("\n", start, end))
        end = space if space > start else end
        yield text[start:end]
        start = end
    yield text[start:]
