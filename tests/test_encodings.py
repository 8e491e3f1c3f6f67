"""Encodings: read rightly, or refused; never garbled in silence."""

# ruff: noqa: RUF001 (the look-alikes of ASCII characters are the subject here)

from __future__ import annotations

import codecs
from pathlib import Path

import pytest

from classifier.errors import FileProblemError
from classifier.reading.codepages import guess_code_page
from classifier.reading.documents import Row, Table, open_table
from classifier.reading.encodings import find_encoding

SHORT_WESTERN = [
    "Très déçu : le colis n’est jamais arrivé…",
    "J’ai été remboursé de 25 € après deux semaines",
    "« Où est ma commande ? » demanda-t-il",
    "Noël à la plage",
    "café",
    "OÙ EST MON ARGENT ?",
    "Die Größe passt überhaupt nicht",
    "„Ich möchte mein Geld zurück“, sagte er",
    "Straße",
    "Übrigens kostet das 30 €",
    "¿Dónde está mi pedido?",
    "¡Qué rápido! El niño está contento",
    "Não consigo aceder à minha conta",
    "La città è bellissima, perché no?",
    "Jag är mycket nöjd med tjänsten",
    "Jeg er meget glad for købet",
    "Ik ben zeer tevreden, één klacht",
    "Tämä on erittäin hyvä päivä",
    "L’atenció al client és pèssima, què puc fer?",
    "It’s the customer’s “favourite” product",
    "The price is £20 – don’t buy",
    "Temperature 20° ± 2, ½ cup, 3 m²",
    "Copyright © 2020 Foo™",
]

LANGUAGES = {
    "polish": ("cp1250", "Nie mogę się zalogować. Gdzie jest moja paczka? Źle działa, proszę o zwrot pieniędzy"),
    "czech": ("cp1250", "Nemohu se přihlásit ke svému účtu. Kde je moje zásilka? Děkuji za rychlé vyřízení objednávky"),
    "hungarian": ("cp1250", "Nem tudok bejelentkezni a fiókomba, a termék minősége gyenge, őszintén csalódott vagyok"),
    "russian": ("cp1251", "Не могу войти в свою учётную запись. Где моя посылка? Спасибо за быструю доставку"),
    "ukrainian": ("cp1251", "Не можу увійти до свого облікового запису. Дякую за швидку доставку"),
    "greek": ("cp1253", "Δεν μπορώ να συνδεθώ στον λογαριασμό μου. Πού είναι το δέμα μου;"),
    "turkish": ("cp1254", "Hesabıma giriş yapamıyorum, lütfen yardım edin. Kargom nerede? Üç haftadır bekliyorum"),
    "hebrew": ("cp1255", "אני לא מצליח להתחבר לחשבון שלי. תודה על השירות המהיר"),
    "arabic": ("cp1256", "لا أستطيع تسجيل الدخول إلى حسابي. شكرا على الخدمة السريعة"),
    "japanese": ("shift_jis", "アカウントにログインできません。荷物はどこですか？三週間も待っています"),
    "japanese on Unix": ("euc_jp", "アカウントにログインできません。荷物はどこですか？三週間も待っています"),
    "japanese in mail": ("iso2022_jp", "アカウントにログインできません。荷物はどこですか？"),
    "chinese": ("gb18030", "我无法登录我的账户。我的包裹在哪里？感谢您的快速服务"),
    "traditional chinese": ("big5", "我無法登入我的帳戶。我的包裹在哪裡？感謝您的快速服務，非常滿意"),
    "korean": ("euc_kr", "계정에 로그인할 수 없습니다. 제 소포는 어디에 있나요? 빠른 서비스 감사합니다"),
    "korean in mail": ("iso2022_kr", "계정에 로그인할 수 없습니다"),
    "lithuanian": ("cp1257", "Labai ačiū už greitą pristatymą. Prekės kokybė prasta, grąžinkite pinigus, prašau"),
    "spanish on Unix": ("iso8859_15", "El niño quiere 20 €, no 30 €, ¿cuánto?"),
    "russian on Unix": ("koi8_r", "Не могу войти в свою учётную запись. Где моя посылка? Спасибо за быструю доставку"),
    "french on Macintosh": ("mac_roman", "Très déçu, j’ai été remboursé après trois semaines, à côté de la vérité"),
    "german on DOS": ("cp850", "Die Größe passt überhaupt nicht, schöne Grüße aus München, Äpfel"),
}  # fmt: skip


def table_of(folder: Path, text: str, codec: str) -> tuple[Path, Table]:
    """Open a file of twenty rows, one of them the text."""
    path = folder / "a.csv"
    rows = "".join(f"plain words number {number},x\n" for number in range(19))
    path.write_bytes(f'text,label\n"{text}",y\n{rows}'.encode(codec))
    return path, open_table(path)


def first_text(table: Table) -> str:
    """Return the text of the first row."""
    row = next(table.rows())
    assert isinstance(row, Row)
    return str(row.cells[0])


@pytest.mark.parametrize("text", SHORT_WESTERN)
def test_short_western_texts_are_windows_1252(tmp_path: Path, text: str) -> None:
    """One sentence, or one word, is enough."""
    path, table = table_of(tmp_path, text, "cp1252")
    assert find_encoding(path).codec == "cp1252"
    assert first_text(table) == text
    assert table.notes == ("read as Windows-1252, as it is not UTF-8; name another with --encoding",)


@pytest.mark.parametrize("language", LANGUAGES)
def test_other_code_pages_are_found_and_told(tmp_path: Path, language: str) -> None:
    """A sentence in its usual code page comes out right, with a note."""
    codec, text = LANGUAGES[language]
    _, table = table_of(tmp_path, text, codec)
    assert first_text(table) == text
    assert len(table.notes) == 1


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
@pytest.mark.parametrize("text", ["plain", "Très déçu €", "我的包裹", "😀", "Не могу"])
def test_unicode_is_read_without_a_note(tmp_path: Path, codec: str, text: str) -> None:
    """UTF-8 and byte order marks leave nothing to guess."""
    _, table = table_of(tmp_path, text, codec)
    assert (table.columns, table.notes, first_text(table)) == (("text", "label"), (), text)


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("text", ["plain", "Très déçu €", "我的包裹在哪里？", "Не могу войти", "😀"])
def test_wide_encodings_without_a_mark_are_found(tmp_path: Path, codec: str, text: str) -> None:
    """UTF-16 and UTF-32 are known by their NUL bytes, in every script."""
    _, table = table_of(tmp_path, text, codec)
    assert first_text(table) == text
    assert table.notes == (f"read as {codec[:-3].upper()}, as it is not UTF-8; name another with --encoding",)


@pytest.mark.parametrize("mark", [codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE])
def test_big_endian_marks(tmp_path: Path, mark: bytes) -> None:
    """The mark, not this machine, decides the order of bytes."""
    codec = "utf-16-be" if len(mark) == 2 else "utf-32-be"
    path = tmp_path / "a.csv"
    path.write_bytes(mark + "text,n\né,1\n".encode(codec))
    assert first_text(open_table(path)) == "é"


def test_broken_utf8_is_refused_at_its_line_and_read_when_told_how(tmp_path: Path) -> None:
    """One bad byte does not garble the rest of the file."""
    path = tmp_path / "a.csv"
    path.write_bytes(b"text\n" + "Très déçu €\n".encode() * 20 + b"caf\xe9\n" + "été\n".encode() * 20)
    with pytest.raises(FileProblemError, match=r"most of it is UTF-8, but line 22 is not; re-save .* --encoding\.$"):
        open_table(path)
    assert open_table(path, encoding="cp1252").notes == ()


def test_halves_in_different_encodings_are_refused(tmp_path: Path) -> None:
    """Two exports glued together are not read as one."""
    path = tmp_path / "a.csv"
    path.write_bytes(b"text\n" + "Très déçu\n".encode("cp1252") * 30 + "Très déçu\n".encode() * 20)
    with pytest.raises(FileProblemError, match="line 2 is not"):
        open_table(path)


def test_a_named_encoding_is_obeyed_strictly(tmp_path: Path) -> None:
    """The user's word is taken, and its failures are located."""
    path, _ = table_of(tmp_path, "Très déçu", "utf-8")
    assert first_text(open_table(path, encoding="latin-1")) == "TrÃ¨s dÃ©Ã§u"
    with pytest.raises(FileProblemError, match="line 2 is not valid ascii"):
        open_table(path, encoding="ascii")
    path.write_bytes(b"text\na\nb\n\xff\n")
    with pytest.raises(FileProblemError, match="line 4 is not valid UTF-8"):
        open_table(path, encoding="utf-8")


@pytest.mark.parametrize("name", ["utf-9", "rot13", "", "a\x00b", "idna", "unicode_escape"])
def test_an_unknown_encoding_is_refused(tmp_path: Path, name: str) -> None:
    """Codecs that are no character encodings are unknown too."""
    path, _ = table_of(tmp_path, "a", "utf-8")
    with pytest.raises(FileProblemError, match="there is no encoding"):
        open_table(path, encoding=name)


def test_what_no_reading_makes_sense_of_is_refused(tmp_path: Path) -> None:
    """Rather no text than a senseless one."""
    path = tmp_path / "a.csv"
    path.write_bytes(b"text\n" + bytes(range(128, 256)) * 3 + b"\n")
    with pytest.raises(FileProblemError, match="it is not UTF-8, and no other common encoding fits"):
        open_table(path)


def test_a_nul_in_a_text_does_not_make_it_utf16(tmp_path: Path) -> None:
    """Control characters must be as many as UTF-16 would need."""
    path = tmp_path / "a.csv"
    path.write_bytes(b"text\n\x00a\x00b\x00c\n\x00\n")
    assert find_encoding(path).codec == "utf-8"


def test_a_long_file_is_read_in_bounded_chunks(tmp_path: Path) -> None:
    """A multi-byte character lies across the border of two chunks, and a broken byte in the last one."""
    path = tmp_path / "a.csv"
    path.write_bytes(b"text\n" + b"x" * ((1 << 20) - 6) + "é\n".encode() * 9)
    assert find_encoding(path).codec == "utf-8"
    path.write_bytes(path.read_bytes() + b"\xc3")
    with pytest.raises(FileProblemError, match="line 11 is not"):
        open_table(path)


def test_one_everyday_word_is_not_enough_to_leave_windows_1252() -> None:
    """In doubt, the most common code page is taken."""
    assert guess_code_page("Nie mogę".encode("cp1250")) == "cp1252"
    assert guess_code_page(b"plain") is None
