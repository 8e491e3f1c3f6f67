"""Guess the legacy code page of text that is not UTF-8.

Every code page is judged by how probable the characters beyond ASCII are that it gives. A page of one byte per
character serves a few languages, whose letters are listed from the most to the least frequent; their probabilities
follow Zipf's law, which is exact enough to tell pages apart by a few words. Characters where none belongs, such as a
fraction inside a word, count against a page. Pages of Chinese, Japanese and Korean are judged by how many characters
are everyday ones. Windows-1252 is preferred where little speaks against it.

This is done here because a general detector does worse on the short texts of a table: charset-normalizer, restricted to
these pages, takes thirty Portuguese, Swedish, Danish or Dutch words in Windows-1252 for Windows-1250 nearly every time.
"""

# ruff: noqa: RUF001 (the look-alikes of ASCII characters are the subject here)

from __future__ import annotations

import math
from collections import Counter
from functools import cache

LETTERS = {
    "western": (
        "éàèêçôîùâûœëïüÿæ",  # French
        "üäöß",  # German
        "óíáéñúü",  # Spanish
        "ãçáéíóêõâúôà",  # Portuguese
        "àèùòìé",  # Italian
        "àóéèíçúïòü",  # Catalan
        "äöåé",  # Swedish, Finnish
        "øåæé",  # Danish, Norwegian
        "ëéïèöüáó",  # Dutch
        "áíðéóúöæþý",  # Icelandic
        "éàèüöäáíóçñêâôúãåøæòùîûïëõìßœÿªºšž",  # several of them
    ),
    "central": (
        "łąęśżóćńź",  # Polish
        "íáéěšřčýžůúňťďó",  # Czech
        "áíéýčšžťúľôňäďóŕĺ",  # Slovak
        "áéőöóüíűú",  # Hungarian
        "ăîâşţ",  # Romanian
        "čšžćđ",  # Croatian, Slovene
    ),
    "baltic": (
        "ėšžųįąūčę",  # Lithuanian
        "āīšēņūļčķģž",  # Latvian
        "äõüöšž",  # Estonian
    ),
    "turkish": ("ıüşğçöİâ",),
    "cyrillic": (
        "оеаинтсрвлкмдпуяыьгзбчйхжшюцщэфъё",  # Russian
        "оанівиерткслдумпзяьбгчйхжїцшщюєфґ",  # Ukrainian
        "аеоинтрсвдлкпмзяуъбгчжшцюхщйфь",  # Bulgarian
    ),
    "greek": ("αοιετσνηυρπκμλωςδγχθάέίόήφύβώξζψϊϋΐΰ",),
    "hebrew": ("יוהלארתבשמנםדעחקפטכסגצזןךףץ",),
    "arabic": ("اليمنورتبةهعدفسكقحجأىشصطخإضذثزغءئظآؤ",),
}
LATIN = ("western", "central", "baltic", "turkish")

SINGLE_BYTE = {
    "cp1252": ("western", 2.0),
    "cp1250": ("central", 0.0),
    "cp1251": ("cyrillic", 0.0),
    "cp1253": ("greek", 0.0),
    "cp1254": ("turkish", 0.0),
    "cp1255": ("hebrew", 0.0),
    "cp1256": ("arabic", 0.0),
    "cp1257": ("baltic", 0.0),
    "iso8859_15": ("western", -4.0),
    "koi8_u": ("cyrillic", -4.0),
    "cp866": ("cyrillic", -4.0),
    "cp850": ("western", -4.0),
    "cp852": ("central", -4.0),
    "mac_roman": ("western", -4.0),
    "iso8859_2": ("central", -4.0),
    "iso8859_5": ("cyrillic", -4.0),
    "iso8859_6": ("arabic", -4.0),
}
"""The letters of each code page, and the logarithm of how much it is preferred."""

DOUBLE_BYTE = {
    "cp932": ("euc_jp", range(0xB0, 0xD0)),
    "euc_jp": ("euc_jp", range(0xB0, 0xD0)),
    "gb18030": ("gb2312", range(0xB0, 0xD8)),
    "cp950": ("big5", range(0xA4, 0xC7)),
    "cp949": ("euc_kr", range(0xB0, 0xC9)),
}
"""For each code page a standard, and the lead bytes of the everyday characters in that standard."""

JUDGED_CHARACTERS = 1 << 16
COMMON_SYMBOLS = frozenset("“”‘’„‚«»‹›–—…•€£°§©®™´·\xa0½¼¾²³±×¿¡ªº")
JOINERS = frozenset("’‘´·\xad\xa0–—…")
NEVER_BEFORE_LETTERS = frozenset("£¥¢§±×²³¹¼½¾¬¦¯¨¸")

# Logarithms of probabilities, per character.
SYMBOL, UNLIKELY, MISPLACED = math.log(0.4), math.log(0.005), math.log(0.0005)
KANA, WIDE_SYMBOL, HANGUL, IDEOGRAPH, UNUSUAL = -4.0, -4.0, -5.5, -6.5, -14.0
LEAST_SINGLE, LEAST_DOUBLE = -4.0, -9.0


def guess_code_page(sample: bytes) -> str | None:
    """Return the code page that gives the most natural text.

    Parameters
    ----------
    sample : bytes
        Whole lines, those with bytes beyond ASCII; the more the surer, and a hundred are sure.

    Returns
    -------
    str or None
        Name of a codec that the whole sample can be read with; None where no reading is natural.

    Examples
    --------
    >>> guess_code_page("Très déçu, 25 €".encode("cp1252")), guess_code_page("Спасибо большое".encode("cp1251"))
    ('cp1252', 'cp1251')
    """
    best, best_score = None, -math.inf
    for codec in (*SINGLE_BYTE, *DOUBLE_BYTE):
        try:
            text = sample.decode(codec)[:JUDGED_CHARACTERS]
        except UnicodeDecodeError:
            continue
        n_judged = sum(character > "\x7f" for character in text)
        if codec in SINGLE_BYTE:
            script, preference = SINGLE_BYTE[codec]
            score, least = _judge_letters(text, script) + preference, LEAST_SINGLE
        else:
            score, least = _judge_ideographs(text, *DOUBLE_BYTE[codec]), LEAST_DOUBLE
        if n_judged and score > max(best_score, least * n_judged):
            best, best_score = codec, score
    return best


def _judge_letters(text: str, script: str) -> float:
    """Return the log-likelihood of the characters beyond ASCII, in the language that fits best."""
    letters: Counter[str] = Counter()
    others = 0.0
    for before, character, after in zip(f" {text[:-1]}", text, f"{text[1:]} ", strict=True):
        if character <= "\x7f":
            continue
        if _is_misplaced(before, character, after, script in LATIN):
            others += MISPLACED
        elif character.isalpha() and character not in COMMON_SYMBOLS:
            lower = character.lower()
            letters[lower if len(lower) == 1 else character] += 1
        else:
            others += SYMBOL if character in COMMON_SYMBOLS else UNLIKELY
    languages = map(_probabilities, LETTERS[script])
    return others + max(
        sum(count * language.get(letter, UNLIKELY) for letter, count in letters.items()) for language in languages
    )


@cache
def _probabilities(letters: str) -> dict[str, float]:
    """Return the logarithm of each letter's probability by Zipf's law."""
    total = sum(1 / rank for rank in range(1, len(letters) + 1))
    return {letter: -math.log(rank * total) for rank, letter in enumerate(letters, start=1)}


def _is_misplaced(before: str, character: str, after: str, latin: bool) -> bool:
    """Tell whether no writer of the script would put the character between these two."""
    if latin and before > "\x7f" and after > "\x7f":
        return True
    if not character.isalpha():
        inside_word = before.isalpha() and after.isalpha() and character not in JOINERS
        return inside_word or (after.isalpha() and character in NEVER_BEFORE_LETTERS)
    if after.isdecimal() or (before.islower() and character.isupper()):
        return True
    return not latin and any(neighbor.isascii() and neighbor.isalpha() for neighbor in (before, after))


def _judge_ideographs(text: str, standard: str, everyday: range) -> float:
    """Return the log-likelihood of the characters beyond ASCII in a language of East Asia."""
    counts = Counter(character for character in text if character > "\x7f")
    return sum(count * _ideograph(character, standard, everyday) for character, count in counts.items())


def _ideograph(character: str, standard: str, everyday: range) -> float:
    """Return the log-likelihood of one character."""
    if "\u3040" <= character <= "\u30ff":
        return KANA if standard == "euc_jp" else UNUSUAL
    if "\u3000" <= character <= "\u303f" or "\uff01" <= character <= "\uff5e" or character in COMMON_SYMBOLS:
        return WIDE_SYMBOL
    encoded = character.encode(standard, errors="ignore")
    if len(encoded) != 2 or encoded[0] not in everyday:
        return UNUSUAL
    return HANGUL if "\uac00" <= character <= "\ud7a3" else IDEOGRAPH
