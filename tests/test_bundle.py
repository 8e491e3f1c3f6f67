"""Bundles: whatever is damaged, foreign, newer or hostile is refused before anything of it runs."""

from __future__ import annotations

import builtins
import errno
import io
import itertools
import json
import math
import os
import pickle
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import seal, sealed
from fakes import FakeEmbedder
from hypothesis import given, settings
from hypothesis import strategies as st
from places import scaled

from classifier import DocumentClassifier
from classifier.analysis.scope import ScopeRule
from classifier.datamodels import Document
from classifier.errors import BundleRefusedError, OutputError
from classifier.storage.arrays import map_array, write_array
from classifier.storage.bundle import (
    ARRAYS,
    FILES,
    FORMAT,
    ISSUES_FILE,
    MANIFEST_FILE,
    MAX_MANIFEST_BYTES,
    Bundle,
    load_bundle,
    read_manifest,
    save_bundle,
)
from classifier.storage.documents import DocumentStore, write_documents

GOLDEN = sorted((Path(__file__).parent / "bundles").glob("format-*/"))
CANARY = "CANARY_FOLDER"
ALL_FILES = sorted({*FILES, MANIFEST_FILE})


class Bomb:
    """Unpickling it makes the folder that the environment names."""

    def __reduce__(self) -> tuple[Any, ...]:
        return eval, ("__import__('os').mkdir(__import__('os').environ['CANARY_FOLDER'])",)


def put_array(folder: Path, name: str, array: np.ndarray) -> None:
    """Replace an array and mend the checksums."""
    np.save(folder / f"{name}.npy", array)
    seal(folder)


def put_bytes(folder: Path, name: str, content: bytes) -> None:
    """Replace a file and mend the checksums."""
    (folder / name).write_bytes(content)
    seal(folder)


def put_word(folder: Path, *, coef: float = 0.0, intercept: float = 0.0, idf: float = 1.0) -> None:
    """Give the model a single word with these weights and mend the checksums."""
    arrays = {"coef": np.full((1, 2), coef), "intercept": np.full(2, intercept), "idf": np.full(1, idf)}
    for name, array in arrays.items():
        np.save(folder / f"lexical_{name}.npy", array.astype("<f4"))
    np.save(folder / "lexical_terms.npy", np.frombuffer(b"rye", dtype=np.uint8))
    seal(folder, n_words=1)


def put_answers(folder: Path, *answers: int) -> None:
    """Say what the first document was given while it was held out, the others nothing, and mend the checksums."""
    held_out, found = (
        np.load(folder / "held_out.npy"),
        np.full((len(np.load(folder / "held_out.npy")), len(answers)), -1),
    )
    held_out[0], found[0] = (0.5, 0.5, 1), answers
    np.save(folder / "held_out.npy", held_out)
    put_array(folder, "held_out_answers", found.astype("<i4"))


def put_issue(folder: Path, **changes: object) -> None:
    """Say that a document deserves a look and mend the checksums."""
    issue = {"row": 0, "kind": "suspected", "label": "a", "suggested": "b", "quality": 0.5, "reason": "why"}
    put_bytes(folder, ISSUES_FILE, json.dumps([issue | changes]).encode())


def put_scope(folder: Path, **changes: object) -> None:
    """Give the model a rule of what belongs to no label and mend the checksums."""
    seal(folder, scope=dict.fromkeys(SCOPE_FIELDS, 1.0) | changes)


def put_header(folder: Path, header: str, name: str = "coef.npy") -> None:
    """Replace the header of an array by any text and mend the checksums."""
    line = header.encode() + b"\n"
    put_bytes(folder, name, b"\x93NUMPY\x01\x00" + len(line).to_bytes(2, "little") + line + bytes(32))


def put_object_array(folder: Path, name: str) -> None:
    """Replace an array by one that must be unpickled, and mend the checksums."""
    np.save(folder / name, np.array([Bomb()], dtype=object), allow_pickle=True)
    seal(folder)


def put_zip(folder: Path, name: str) -> None:
    """Replace an array by a zip file with an array that must be unpickled, and mend the checksums."""
    with (folder / name).open("wb") as stream:
        np.savez(stream, coef=np.array([Bomb()], dtype=object))
    seal(folder)


def put_link(folder: Path, name: str) -> None:
    """Move a file out of the folder and leave a link to it."""
    outside = folder.parent / f"outside-{folder.name}"
    (folder / name).rename(outside)
    (folder / name).symlink_to(outside)


def put_fifo(folder: Path) -> None:
    """Replace a file by a pipe that would block its reader for ever."""
    (folder / "documents.jsonl").unlink()
    os.mkfifo(folder / "documents.jsonl")


def put_manifest(folder: Path, **changes: object) -> None:
    """Change top-level entries of the manifest and mend its checksum; None removes an entry."""
    manifest = json.loads((folder / MANIFEST_FILE).read_text(encoding="utf-8")) | changes
    kept = {key: value for key, value in manifest.items() if value is not None}
    (folder / MANIFEST_FILE).write_text(sealed(kept), encoding="utf-8")


def put_listed(folder: Path, name: str, *, instead_of: str | None = None) -> None:
    """List a further file in the manifest, or one in the place of another."""
    (folder / MANIFEST_FILE).parent.parent.joinpath("outside.npy").write_bytes(b"outside")
    files = read_manifest(folder)["files"]
    entry = files.pop(instead_of) if instead_of else {"bytes": 7, "sha256": "0" * 64}
    put_manifest(folder, files=files | {name: entry})


def put_offsets(folder: Path, *offsets: int, dtype: str = "<i8") -> None:
    """Replace the offsets of the documents."""
    put_array(folder, "documents_offsets", np.array(offsets, dtype=dtype))


def make_huge(folder: Path) -> None:
    """Make the manifest larger than any may be."""
    with (folder / MANIFEST_FILE).open("r+b") as stream:
        stream.truncate(MAX_MANIFEST_BYTES + 1)


def nest_facts(folder: Path, depth: int) -> None:
    """Hide a deep nest of lists within the facts."""
    seal(folder, nest="@")
    text = (folder / MANIFEST_FILE).read_text(encoding="utf-8")
    (folder / MANIFEST_FILE).write_text(text.replace('"@"', "[" * depth + "]" * depth), encoding="utf-8")


def alter_label(folder: Path) -> None:
    """Rename a label in the manifest and leave the checksum."""
    text = (folder / MANIFEST_FILE).read_text(encoding="utf-8")
    (folder / MANIFEST_FILE).write_text(text.replace('"name": "dry"', '"name": "wed"'), encoding="utf-8")


def make_zip(folder: Path) -> None:
    """Put a zip file in the place of the folder."""
    packed = folder.with_suffix(".zip")
    with zipfile.ZipFile(packed, "w") as archive:
        for path in folder.iterdir():
            archive.write(path, path.name)
    shutil.rmtree(folder)
    packed.rename(folder)


def change_contract(folder: Path, **changes: object) -> None:
    """Change fields of the embedding contract."""
    seal(folder, contract=read_manifest(folder)["facts"]["contract"] | changes)


def change_array(folder: Path, name: str, value: float) -> None:
    """Change the first number of an array."""
    array = np.load(folder / f"{name}.npy")
    array.flat[0] = value
    put_array(folder, name, array)


HEADER = "{{'descr': {descr}, 'fortran_order': {fortran}, 'shape': {shape}, }}"


def header(descr: str = "'<f4'", fortran: str = "False", shape: str = "(2, 4)") -> str:
    """Write the header of an array."""
    return HEADER.format(descr=descr, fortran=fortran, shape=shape)


NOT_PLAIN = "'coef.npy' is not a plain array"
BELONGS = "does not belong there"
LISTED = "lists other files than a model has"
NOT_FIT = "does not fit 'documents.jsonl'"
NOT_A_MODEL = "does not describe a model"

SCOPE_FIELDS = [field.name for field in fields(ScopeRule)]

PAYLOADS: dict[str, tuple[Callable[[Path], object], str]] = {
    "a pickle beside": (lambda f: (f / "head.pkl").write_bytes(pickle.dumps(Bomb())), f"{BELONGS}: 'head.pkl'"),
    "a hidden file": (lambda f: (f / ".x").touch(), f"{BELONGS}: '.x'"),
    "a module of its own": (lambda f: (f / "numpy.py").write_text("import os"), f"{BELONGS}: 'numpy.py'"),
    "a pickle as array": (lambda f: put_bytes(f, "coef.npy", pickle.dumps(Bomb())), NOT_PLAIN),
    "objects as array": (lambda f: put_object_array(f, "coef.npy"), NOT_PLAIN),
    "objects as labels": (lambda f: put_object_array(f, "document_labels.npy"), "'document_labels.npy' is not a plain"),
    "objects as offsets": (
        lambda f: put_object_array(f, "documents_offsets.npy"),
        "'documents_offsets.npy' is not a p",
    ),
    "a zip as array": (lambda f: put_zip(f, "coef.npy"), NOT_PLAIN),
    "a zip as offsets": (lambda f: put_zip(f, "documents_offsets.npy"), "'documents_offsets.npy' is not a plain"),
    "a broken zip as array": (lambda f: put_bytes(f, "coef.npy", b"PK\x03\x04 and no more"), NOT_PLAIN),
    "an empty file as array": (lambda f: put_bytes(f, "coef.npy", b""), NOT_PLAIN),
    "code in a header": (lambda f: put_header(f, header(shape="(__import__('os').getpid(), 4)")), NOT_PLAIN),
    "a nested header": (lambda f: put_header(f, "-" * 9000 + "1"), NOT_PLAIN),
    "an old header": (lambda f: put_header(f, header(shape="(2L, 4L)")), NOT_PLAIN),
    "an open quote in a header": (lambda f: put_header(f, "'''"), NOT_PLAIN),
    "a record type": (lambda f: put_header(f, header(descr="[('a', 'O')]")), NOT_PLAIN),
    "columns first": (lambda f: put_header(f, header(fortran="True")), NOT_PLAIN),
    "a negative length": (lambda f: put_header(f, header(shape="(-2, 4)")), NOT_PLAIN),
    "a length like a bool": (lambda f: put_header(f, header(shape="(True, 4)")), NOT_PLAIN),
    "a length past 64 bits": (lambda f: put_header(f, header(shape="(9999999999999999999999, 4)")), NOT_PLAIN),
    "a length past the file": (
        lambda f: put_header(f, header(shape="(999999999999999, 4)")),
        "not as long as its shape",
    ),
    "bytes after an array": (lambda f: put_header(f, header(shape="(1, 4)")), "not as long as its shape"),
    "double precision": (lambda f: put_array(f, "coef", np.zeros((2, 4))), "not an array of type <f4"),
    "other byte order": (lambda f: put_array(f, "coef", np.zeros((2, 4), ">f4")), NOT_PLAIN),
    "one dimension": (lambda f: put_array(f, "coef", np.zeros(8, "<f4")), "with 2 dimensions"),
    "a linked file": (lambda f: put_link(f, "coef.npy"), "'coef.npy' is a link or a folder"),
    "a linked manifest": (lambda f: put_link(f, MANIFEST_FILE), "it has no manifest.json"),
    "a linked folder": (lambda f: (f / "more").symlink_to(f.parent), "'more' is a link or a folder"),
    "a sub-folder": (lambda f: (f / "more").mkdir(), "'more' is a link or a folder"),
    "a pipe": (put_fifo, "'documents.jsonl' is a link or a folder"),
    "a listed path upwards": (lambda f: put_listed(f, "../outside.npy"), LISTED),
    "a path upwards instead": (lambda f: put_listed(f, "../outside.npy", instead_of="coef.npy"), LISTED),
    "an absolute path": (lambda f: put_listed(f, "/etc/hostname", instead_of="coef.npy"), LISTED),
    "a listed file that is absent": (lambda f: put_listed(f, "more.npy"), LISTED),
    "a list of files as list": (lambda f: put_manifest(f, files=sorted(FILES)), "lacks its facts or its list of files"),
    "no list of files": (lambda f: put_manifest(f, files=None), "lacks its facts or its list of files"),
    "no facts": (lambda f: put_manifest(f, facts=None), "lacks its facts"),
    "no sizes": (lambda f: put_manifest(f, files=dict.fromkeys(FILES, 1)), "does not give the size and checksum"),
    "a huge manifest": (make_huge, "larger than 64 MB"),
    "a deep manifest": (lambda f: (f / MANIFEST_FILE).write_text("[" * 100_000), "is not valid JSON"),
    "deep facts": (lambda f: nest_facts(f, 50_000), "is not valid JSON"),
    "a manifest of bytes": (lambda f: (f / MANIFEST_FILE).write_bytes(b"\xff\xfe\x00"), "is not valid JSON"),
    "a manifest of a long number": (lambda f: (f / MANIFEST_FILE).write_text("9" * 9999), "is not valid JSON"),
    "an empty manifest": (lambda f: (f / MANIFEST_FILE).write_bytes(b""), "is not valid JSON"),
    "a list as manifest": (lambda f: (f / MANIFEST_FILE).write_text("[]"), "it is not a document-classifier model"),
    "an altered manifest": (alter_label, "manifest.json was altered"),
    "a foreign kind": (lambda f: put_manifest(f, kind="sentence-splitter"), "it is not a document-classifier model"),
    "a kind that is no text": (lambda f: put_manifest(f, kind=["document-classifier"]), "it is not a document-class"),
    "a newer format": (lambda f: put_manifest(f, format=FORMAT + 1), f"its format is {FORMAT + 1}, and this version"),
    "format zero": (lambda f: put_manifest(f, format=0), "its format is 0"),
    "format true": (lambda f: put_manifest(f, format=True), "its format is True"),
    "format as text": (lambda f: put_manifest(f, format="1"), "its format is '1'"),
    "format as fraction": (lambda f: put_manifest(f, format=1.0), "its format is 1.0"),
    "format as list": (lambda f: put_manifest(f, format=[1]), "its format is [1]"),
    "no format": (lambda f: put_manifest(f, format=None), "its format is None"),
    "a zip for a folder": (make_zip, "it is not a folder"),
    "no folder": (shutil.rmtree, "it is not a folder"),
    "an empty folder": (lambda f: [path.unlink() for path in f.iterdir()], "it has no manifest.json"),
    "offsets from one": (lambda f: put_offsets(f, 1, 2, 3, 4, 5), NOT_FIT),
    "offsets past the end": (lambda f: put_offsets(f, 0, 2, 3, 4, 9999), NOT_FIT),
    "no offsets": (put_offsets, NOT_FIT),
    "falling offsets": (lambda f: put_offsets(f, 0, 9, 3, 4, size(f)), "is not in order"),
    "standing offsets": (lambda f: put_offsets(f, 0, 3, 3, 4, size(f)), "is not in order"),
    "offsets that wrap around": (lambda f: put_offsets(f, 0, 2**63 - 1, -(2**63), 4, size(f)), "is not in order"),
    "offsets of fewer documents": (lambda f: put_offsets(f, 0, 3, size(f)), "differ in number"),
    "short offsets": (lambda f: put_offsets(f, 0, 1, 2, 3, size(f), dtype="<i4"), "not an array of type <i8"),
    "fewer labels": (lambda f: put_array(f, "document_labels", np.zeros(3, "<i4")), "differ in number"),
    "a card of bytes": (lambda f: put_bytes(f, "model_card.md", b"\xff\xfe"), "model_card.md is not text"),
    "NaN in the head": (lambda f: change_array(f, "coef", np.nan), "not finite"),
    "infinity in the head": (lambda f: change_array(f, "intercept", np.inf), "not finite"),
    "a wide head": (lambda f: put_array(f, "coef", np.zeros((2, 5), "<f4")), "its coef has the shape (2, 5) instead"),
    "a tall head": (lambda f: put_array(f, "coef", np.zeros((3, 4), "<f4")), "its coef has the shape (3, 4) instead"),
    "a long intercept": (lambda f: put_array(f, "intercept", np.zeros(3, "<f4")), "its intercept has the shape (3,)"),
    "wide vectors": (
        lambda f: put_array(f, "embeddings", np.zeros((4, 5), "<f4")),
        "its embeddings has the shape (5,)",
    ),
    "a label past the last": (lambda f: change_array(f, "document_labels", 2), "labels that it does not know"),
    "a label below zero": (lambda f: change_array(f, "document_labels", -1), "labels that it does not know"),
    "labels that repeat": (lambda f: seal(f, labels=[{"name": "wet"}] * 2), "too few or repeat"),
    "a single label": (lambda f: seal(f, labels=[{"name": "wet"}]), "do not belong to its labels"),
    "words without weights": (lambda f: put_array(f, "lexical_idf", np.ones(1, "<f4")), "differ in number"),
    "more words than there are": (lambda f: seal(f, n_words=10**6), "differ in number"),
    "NaN in a word": (lambda f: change_array(f, "lexical_coef", np.nan), "words are not finite"),
    "a huge weight": (lambda f: change_array(f, "coef", 3e38), "beyond 1,000,000"),
    "a huge intercept": (lambda f: change_array(f, "intercept", -3e38), "beyond 1,000,000"),
    "a huge weight of a word": (lambda f: put_word(f, coef=3e38), "words are not finite, or beyond 1,000,000"),
    "a huge intercept of words": (lambda f: put_word(f, intercept=-3e38), "words are not finite, or beyond 1,000,000"),
    "a huge rarity of a word": (lambda f: put_word(f, idf=3e38), "words are not finite, or beyond 1,000,000"),
    "NaN in the vectors": (lambda f: change_array(f, "embeddings", np.nan), "embeddings are not finite, or beyond"),
    "a huge vector": (lambda f: change_array(f, "embeddings", -3e38), "embeddings are not finite, or beyond 10,000"),
    "words that are no text": (lambda f: change_array(f, "lexical_terms", 0xFF), "are no text"),
    "held-out answers of two documents": (
        lambda f: put_array(f, "held_out", np.zeros((2, 3), "<f4")),
        "held-out answers differ in number",
    ),
    "a held-out answer that is no label": (lambda f: put_answers(f, 2), "held-out answers are no labels"),
    "a held-out answer below zero": (lambda f: put_answers(f, -2), "held-out answers are no labels"),
    "held-out answers of another width": (lambda f: put_answers(f, 0, 0), "held-out answers have another shape"),
    "held-out answers of too few": (lambda f: put_array(f, "held_out_answers", np.zeros((1, 1), "<i4")), "held-out"),
    "issues that are no list": (lambda f: put_bytes(f, ISSUES_FILE, b"{}"), "no list of issues"),
    "issues that are no JSON": (lambda f: put_bytes(f, ISSUES_FILE, b"["), "is not valid JSON"),
    "issues in a deep nest": (lambda f: put_bytes(f, ISSUES_FILE, b"[" * 10**5 + b"]" * 10**5), "is not valid JSON"),
    "an issue of no document": (lambda f: put_issue(f, row=99), "its issues are no issues of its documents"),
    "an issue of an unknown kind": (lambda f: put_issue(f, kind="x"), "its issues are no issues of its documents"),
    "an issue whose label is a list": (lambda f: put_issue(f, label=[]), "its issues are no issues of its documents"),
    "an issue beyond 1": (lambda f: put_issue(f, quality=2), "its issues are no issues of its documents"),
    "an issue with a further field": (lambda f: put_issue(f, code="x"), "its issues are no issues"),
    "a scope that is no rule": (lambda f: seal(f, scope={"limit": 1.0}), "scope is no rule"),
    "NaN in the scope": (
        lambda f: seal(f, scope=dict.fromkeys(SCOPE_FIELDS, math.nan)),
        "something else than numbers",
    ),
    "a scope past floats": (lambda f: put_scope(f, limit=10**400), "something else than numbers"),
    "a center past floats": (lambda f: put_scope(f, evidence_center=-(10**400)), "something else than numbers"),
    "a scope without width": (lambda f: put_scope(f, evidence_scale=0), "its scope measures"),
    "a scope of width below zero": (lambda f: put_scope(f, similarity_scale=-1.0), "its scope measures"),
    "a scope of no width to speak of": (lambda f: put_scope(f, similarity_scale=1e-320), "its scope measures"),
    "a huge scope": (lambda f: put_scope(f, evidence_scale=1e300), "its scope measures"),
    "a scope far away": (lambda f: put_scope(f, similarity_center=1e300), "its scope measures"),
    "NaN in held-out answers": (lambda f: change_array(f, "held_out", np.nan), "held-out answers are no table"),
    "a held-out answer beyond 1": (lambda f: change_array(f, "held_out", 3e38), "held-out answers are no table"),
    "labels without names": (lambda f: seal(f, labels=["dry", "wet"]), NOT_A_MODEL),
    "a label that is a number": (lambda f: seal(f, labels=[{"name": 1}, {"name": 2}]), NOT_A_MODEL),
    "no labels": (lambda f: seal(f, labels=None), NOT_A_MODEL),
    "temperature zero": (lambda f: seal(f, temperature=0), "its temperature is 0.0"),
    "temperature below zero": (lambda f: seal(f, temperature=-1), "its temperature is -1.0"),
    "temperature NaN": (lambda f: seal(f, temperature=math.nan), "its temperature is nan"),
    "temperature infinite": (lambda f: seal(f, temperature=math.inf), "its temperature is inf"),
    "a tiny temperature": (lambda f: seal(f, temperature=1e-320), "its temperature is 1e-320"),
    "a huge temperature": (lambda f: seal(f, temperature=1e300), "its temperature is 1e+300"),
    "temperature past floats": (lambda f: seal(f, temperature=10**400), NOT_A_MODEL),
    "a seed without end": (lambda f: seal(f, seed=math.inf), NOT_A_MODEL),
    "an unknown head": (lambda f: seal(f, head="os.system"), "unknown head 'os.system'"),
    "a head that is a list": (lambda f: seal(f, head=[]), NOT_A_MODEL),
    "an embedder that is a list": (lambda f: seal(f, embedder=["default"]), NOT_A_MODEL),
    "warnings that are none": (lambda f: seal(f, warnings=None), NOT_A_MODEL),
    "a contract with a further field": (lambda f: change_contract(f, code="x"), "a contract has the fields"),
    "a contract of another type": (lambda f: change_contract(f, dimension=True), "dimension is not int"),
    "a contract of other size": (lambda f: change_contract(f, dimension=5), "its coef has the shape (2, 4) instead of"),
    "a contract that is text": (lambda f: seal(f, contract="x"), "a contract has the fields"),
    **{f"without {name}": (lambda f, name=name: (f / name).unlink(), f"it lacks '{name}'") for name in sorted(FILES)},
}


def size(folder: Path) -> int:
    """Return the length of the documents' file."""
    return (folder / "documents.jsonl").stat().st_size


@pytest.mark.parametrize("name", PAYLOADS)
def test_payload_is_refused_and_named(tiny_bundle: Path, name: str) -> None:
    """Each hostile or broken bundle is refused with its reason."""
    attack, reason = PAYLOADS[name]
    attack(tiny_bundle)
    with pytest.raises(BundleRefusedError, match=re.escape(reason)) as caught:
        DocumentClassifier.load(tiny_bundle)
    assert str(tiny_bundle) in str(caught.value)
    assert "\n" not in str(caught.value)


RECORDER = """
import json, os, sys
from pathlib import Path

import numpy as np

from classifier.errors import BundleRefusedError
from classifier.modeling.model import DocumentClassifier

events, recording = [], False

def record(event, args):
    if recording:
        events.append((event, [arg if isinstance(arg, str) else repr(arg)[:80] for arg in args]))

sys.addaudithook(record)
good, control, *folders = map(Path, sys.argv[1:])
DocumentClassifier.load(good)
found = {}
for folder in folders:
    events, recording = [], True
    try:
        DocumentClassifier.load(folder)
    except BundleRefusedError as error:
        recording = False
        found[folder.name] = [error.reason, events]
    recording = False
canary = os.path.exists(os.environ["CANARY_FOLDER"])
events, recording = [], True
np.load(control, allow_pickle=True)
recording = False
print(json.dumps({"found": found, "canary": canary, "control": events,
                  "fired": os.path.exists(os.environ["CANARY_FOLDER"])}))
"""


def test_nothing_runs_and_nothing_outside_is_opened(tiny_bundle: Path, tmp_path: Path) -> None:
    """Between the start and the refusal Python's audit events show plain reads within the folder, and nothing else."""
    folders = []
    for name, (attack, _) in PAYLOADS.items():
        folder = tmp_path / "payloads" / name.replace("/", " ")
        shutil.copytree(tiny_bundle, folder)
        attack(folder)
        folders.append(folder)
    control = tmp_path / "control.npy"
    np.save(control, np.array([Bomb()], dtype=object), allow_pickle=True)
    run = subprocess.run(
        [sys.executable, "-c", RECORDER, tiny_bundle, control, *folders],
        env={**os.environ, CANARY: str(tmp_path / "canary")},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert run.returncode == 0, run.stderr
    report = json.loads(run.stdout)
    assert list(report["found"]) == [folder.name for folder in folders]
    assert not report["canary"]
    for folder in folders:
        reason, events = report["found"][folder.name]
        assert PAYLOADS[folder.name][1] in reason
        assert [event for event in events if not harmless(*event, folder)] == []
    assert sum(len(events) for _, events in report["found"].values()) > len(folders)
    assert {"pickle.find_class", "exec", "os.mkdir"} <= {event for event, _ in report["control"]}
    assert report["fired"]


def harmless(event: str, args: list[str], folder: Path) -> bool:
    """Tell whether an audit event is a read within a folder or of Python's own library."""
    if event == "mmap.__new__":
        return True
    if event == "open":
        own = Path(args[0]).is_relative_to(folder) or Path(args[0]).is_relative_to(sys.base_prefix)
        return own and set(args[1]) <= set("rbt")
    return event == "os.scandir" and Path(args[0]) == folder


def test_a_bundle_with_mended_checksums_is_accepted(tiny_bundle: Path) -> None:
    """Payloads fail for what they change: a bundle rewritten without a change still loads."""
    seal(tiny_bundle)
    assert list(DocumentClassifier.load(tiny_bundle).classes_) == ["dry", "wet"]


FLIP_STEP = scaled(13, 1)


def test_every_flipped_byte_is_refused_or_harmless(tiny_model: DocumentClassifier, tiny_bundle: Path) -> None:
    """No flipped byte of any file gives another answer or another kind of error."""
    texts = ["butter", "toast"]
    expected = tiny_model.predict_proba(texts)
    n_trials = n_harmless = 0
    for name in ALL_FILES:
        path = tiny_bundle / name
        original = path.read_bytes()
        with path.open("r+b", buffering=0) as stream:
            flips = itertools.product(range(len(original)), (0x01, 0xFF))
            for position, mask in itertools.islice(flips, len(name) % FLIP_STEP, None, FLIP_STEP):
                os.pwrite(stream.fileno(), bytes([original[position] ^ mask]), position)
                n_harmless += answers_alike_or_refuses(tiny_bundle, texts, expected)
                n_trials += 1
                os.pwrite(stream.fileno(), original[position : position + 1], position)
        assert path.read_bytes() == original
    assert n_trials > 5000 // FLIP_STEP
    assert n_harmless <= n_trials / 1000  # the last digits of a number can stand for the same one
    assert answers_alike_or_refuses(tiny_bundle, texts, expected)


def answers_alike_or_refuses(folder: Path, texts: list[str], expected: np.ndarray) -> bool:
    """Return False where a bundle is refused, True where its answers are the expected ones, and fail otherwise."""
    try:
        model = DocumentClassifier.load(folder)
    except BundleRefusedError:
        return False
    model.embedder = FakeEmbedder(4)
    np.testing.assert_array_equal(model.predict_proba(texts), expected)
    return True


@pytest.mark.parametrize("name", ALL_FILES)
def test_every_cut_and_grown_file_is_refused(tiny_bundle: Path, name: str) -> None:
    """A file that lost its end or gained a byte is refused."""
    original = (tiny_bundle / name).read_bytes()
    for content in [*(original[:length] for length in range(0, len(original), 37)), original[:-1], original + b"\0"]:
        (tiny_bundle / name).write_bytes(content)
        with pytest.raises(BundleRefusedError):
            DocumentClassifier.load(tiny_bundle)


def test_facts_nested_to_the_brink_never_crash(tiny_bundle: Path) -> None:
    """Near the interpreter's own limit of nesting a manifest is refused or read, whichever function meets the limit."""
    content = (tiny_bundle / MANIFEST_FILE).read_bytes()
    outcomes = set()
    for depth in range(100, sys.getrecursionlimit() + 100, 7):
        (tiny_bundle / MANIFEST_FILE).write_bytes(content)
        nest_facts(tiny_bundle, depth)
        with pytest.raises(BundleRefusedError) as caught:
            load_bundle(tiny_bundle)
        outcomes.add(caught.value.reason)
    assert "manifest.json is not valid JSON" in outcomes


@pytest.mark.parametrize("line", [b"no JSON at all", b"[]", b"null", b'{"id": "1", "text": "t"}', b"\xff", b"[" * 9000])
def test_documents_that_are_no_json_are_refused_when_read(tiny_bundle: Path, line: bytes) -> None:
    """A line that is no document is refused where it is asked for; its neighbours can be read."""
    lines = (tiny_bundle / "documents.jsonl").read_bytes().splitlines()
    lines[1] = line
    (tiny_bundle / "documents.jsonl").write_bytes(b"".join(part + b"\n" for part in lines))
    put_offsets(tiny_bundle, *itertools.accumulate((len(part) + 1 for part in lines), initial=0))
    documents = DocumentClassifier.load(tiny_bundle).documents_
    assert [documents[index].text for index in (0, 2, 3)] == ["bread", "milk", "cream"]
    for read in (lambda: documents[1], lambda: list(documents), lambda: documents[:]):
        with pytest.raises(BundleRefusedError, match=r"line 2 of 'documents\.jsonl' is no document"):
            read()


def test_documents_follow_their_offsets_also_one_by_one(tiny_bundle: Path) -> None:
    """Offsets within a line are refused by indexing and by iterating alike, never read as other documents."""
    put_offsets(tiny_bundle, 0, 5, 9, 13, size(tiny_bundle))
    documents = load_bundle(tiny_bundle).documents
    for read in (lambda: documents[0], lambda: list(documents)):
        with pytest.raises(BundleRefusedError, match="line 1"):
            read()


def test_a_disk_that_cannot_be_read_is_a_refusal(tiny_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An I/O error while checking is one sentence that names its cause, at whichever file it comes."""
    reasons = set()
    for nth in itertools.count(1):
        with monkeypatch.context() as patch:
            fault = Fault(nth)
            fault.install(patch)
            try:
                load_bundle(tiny_bundle)
            except BundleRefusedError as error:
                reasons.add(error.reason)
            else:
                break
    assert reasons == {f"it cannot be read ({os.strerror(errno.EIO)})"}
    assert nth > len(FILES)


@pytest.mark.parametrize("name", ["x" * 300, "nul\0byte", "", "manifest.json/x"])
def test_a_path_that_no_folder_can_have_is_a_refusal(tmp_path: Path, name: str) -> None:
    """An impossible path is refused like one that is not there."""
    with pytest.raises(BundleRefusedError, match=r"it is not a folder|it has no manifest"):
        load_bundle(tmp_path / name)


def test_bundle_comes_back_as_it_was(tmp_path: Path) -> None:
    """Facts, arrays, documents and card survive saving, and arrays stay on disk."""
    facts = {"a": [1, 2.5, None, True], "ü": {"b": "\ud800 half"}}
    arrays = {
        "coef": np.arange(8, dtype="<f4").reshape(2, 4),
        "intercept": np.array([1e-38, -0.0], "<f4"),
        "embeddings": np.ones((3, 4), "<f4"),
        "document_labels": np.array([0, 1, 0], "<i4"),
        "lexical_coef": np.ones((2, 2), "<f4"),
        "lexical_intercept": np.array([0.5, -0.5], "<f4"),
        "lexical_idf": np.array([1.5, 2], "<f4"),
        "lexical_terms": np.frombuffer("ä\nb".encode(), "|u1"),
        "held_out": np.full((3, 3), -1, "<f4"),
        "held_out_answers": np.full((3, 1), -1, "<i4"),
        "label_matrix": np.zeros((0, 2), "|u1"),
    }
    documents = [
        Document("a\n", "", "ä", 1),
        Document("7", "two\r\nlines\u2028", "b", 2),
        Document("", "\0\ud800", "", 3),
    ]
    issues = [{"row": 1, "reason": "\ud800 half"}]
    save_bundle(Bundle(facts, arrays, documents, "# Kärd\n\ud800", {}, issues), tmp_path / "deep" / "er" / "1")
    bundle = load_bundle(tmp_path / "deep" / "er" / "1")
    assert bundle.facts == facts
    assert bundle.card == "# Kärd\n\\ud800"
    assert list(bundle.documents) == documents
    assert bundle.issues == issues
    assert set(bundle.arrays) == set(ARRAYS)
    for name, array in arrays.items():
        assert bundle.arrays[name].tobytes() == array.tobytes()
        assert isinstance(bundle.arrays[name], np.memmap) or not array.size
        assert not (array.size and bundle.arrays[name].flags.writeable)


def test_a_bundle_holds_no_other_files_than_promised(tiny_bundle: Path) -> None:
    """The folder holds the manifest and the listed files, all of them plain and readable by others."""
    assert sorted(path.name for path in tiny_bundle.iterdir()) == ALL_FILES
    assert tiny_bundle.stat().st_mode & 0o777 == 0o755
    assert sorted(path.name for path in tiny_bundle.parent.iterdir()) == [tiny_bundle.name]


texts_of_any_kind = st.text(st.characters(), max_size=20)


@settings(deadline=None, max_examples=scaled(20, 100))
@given(st.lists(st.tuples(texts_of_any_kind, texts_of_any_kind, texts_of_any_kind), max_size=6))
def test_documents_round_trip(tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, str]]) -> None:
    """Any ids, texts and labels come back, by iterating, by index from either end and by slice."""
    folder = tmp_path_factory.mktemp("documents")
    documents = [Document(*row, number) for number, row in enumerate(rows, start=1)]
    write_documents(folder, documents)
    store = DocumentStore(folder)
    assert len(store) == len(documents)
    assert list(store) == documents
    assert [store[index - len(documents)] for index in range(len(documents))] == documents
    assert store[1:4] == documents[1:4]
    for index in (len(documents), -len(documents) - 1):
        with pytest.raises(IndexError):
            store[index]


@settings(deadline=None, max_examples=scaled(12, 60))
@given(st.sampled_from(["<f4", "<i4", "<i8"]), st.lists(st.integers(0, 5), min_size=1, max_size=3), st.randoms())
def test_arrays_round_trip(tmp_path_factory: pytest.TempPathFactory, dtype: str, shape: list[int], random: Any) -> None:
    """Arrays are written byte for byte as numpy does, and mapped bit for bit, empty ones too."""
    n_bytes = math.prod(shape) * np.dtype(dtype).itemsize
    array = np.frombuffer(random.randbytes(n_bytes), dtype).reshape(shape)
    path = tmp_path_factory.mktemp("arrays") / "a.npy"
    write_array(path, array)
    np.save(path.with_name("b.npy"), array)
    assert path.read_bytes() == path.with_name("b.npy").read_bytes()
    mapped = map_array(path, dtype, len(shape))
    assert (mapped.shape, mapped.dtype, mapped.tobytes()) == (array.shape, array.dtype, array.tobytes())


class Fault:
    """Let the n-th call of the system's file functions fail with an I/O error, or with another exception."""

    def __init__(self, nth: int, error: BaseException | None = None) -> None:
        self.left, self.error = nth, error or OSError(errno.EIO, os.strerror(errno.EIO))

    def install(self, patch: pytest.MonkeyPatch) -> None:
        """Wrap the functions."""
        for module, name in [
            (os, "fsync"),
            (os, "rename"),
            (os, "mkdir"),
            (os, "chmod"),
            (os, "open"),
            (os, "scandir"),
            (io, "open"),
            (builtins, "open"),
        ]:
            patch.setattr(module, name, self.wrap(getattr(module, name)))

    def wrap(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Count a call, and fail when it is the one."""

        def counted(*args: Any, **kwargs: Any) -> Any:
            self.left -= 1
            if self.left == 0:
                raise self.error
            return function(*args, **kwargs)

        return counted


@pytest.mark.parametrize(
    ("fault", "raised"),
    [(OSError(errno.EIO, os.strerror(errno.EIO)), OutputError), (KeyboardInterrupt(), KeyboardInterrupt)],
    ids=["an I/O error", "Ctrl-C"],
)
def test_a_save_that_stops_anywhere_leaves_nothing(
    tiny_bundle: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    fault: BaseException,
    raised: type[BaseException],
) -> None:
    """A failure at any open, fsync, mkdir, chmod or rename leaves neither a folder nor a temporary one."""
    bundle = load_bundle(tiny_bundle)
    target = tmp_path / "m" / "1"
    target.parent.mkdir()
    for nth in itertools.count(1):
        with monkeypatch.context() as patch:
            injected = Fault(nth, fault)
            injected.install(patch)
            problem = problem_of(lambda: save_bundle(bundle, target))
        if injected.left > 0:
            break
        if problem is None:  # a folder that is there already need not be made
            assert list(load_bundle(target).documents) == list(bundle.documents)
            shutil.rmtree(target)
            continue
        assert type(problem) is raised
        assert os.strerror(errno.EIO) in str(problem) or raised is KeyboardInterrupt
        assert list(target.parent.iterdir()) == []
    assert nth > 3 * len(ALL_FILES)
    assert list(load_bundle(target).documents) == list(bundle.documents)


def problem_of(action: Callable[[], object]) -> BaseException | None:
    """Return what an action raises; None where it succeeds."""
    try:
        action()
    except (OutputError, KeyboardInterrupt) as error:
        return error
    return None


LARGEST: dict[str, Callable[[], Bundle]] = {
    "embeddings.npy": lambda: plain_bundle(n_dims=3000),
    "coef.npy": lambda: plain_bundle(n_labels=3000),
    "documents.jsonl": lambda: plain_bundle(text="t" * 30_000),
    "model_card.md": lambda: plain_bundle(card="c" * 30_000),
    "manifest.json": lambda: plain_bundle(facts={"fact": "f" * 30_000}),
}


def plain_bundle(
    n_labels: int = 2, n_dims: int = 4, text: str = "t", card: str = "", facts: dict[str, Any] | None = None
) -> Bundle:
    """Make a bundle of two documents."""
    arrays = {
        "coef": np.ones((n_labels, n_dims), "<f4"),
        "intercept": np.ones(n_labels, "<f4"),
        "embeddings": np.ones((2, n_dims), "<f4"),
        "document_labels": np.array([0, 1], "<i4"),
        "lexical_coef": np.zeros((0, n_labels), "<f4"),
        "lexical_intercept": np.zeros(n_labels, "<f4"),
        "lexical_idf": np.zeros(0, "<f4"),
        "lexical_terms": np.zeros(0, "|u1"),
        "held_out": np.full((2, 3), -1, "<f4"),
        "held_out_answers": np.full((2, 1), -1, "<i4"),
        "label_matrix": np.zeros((0, n_labels), "|u1"),
    }
    return Bundle(facts or {}, arrays, [Document("1", text, "a", 1), Document("2", text, "b", 2)], card)


@pytest.mark.parametrize("largest", LARGEST)
def test_a_full_disk_leaves_nothing(tmp_path: Path, largest: str) -> None:
    """A real write that stops at any length of any file, also at the last byte, is an error with its cause."""
    resource = pytest.importorskip("resource")
    bundle = LARGEST[largest]()
    save_bundle(bundle, tmp_path / "whole" / "1")
    sizes = {path.name: path.stat().st_size for path in (tmp_path / "whole" / "1").iterdir()}
    assert sizes[largest] == max(sizes.values())
    (tmp_path / "m").mkdir()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    for missing in (1, 40, 127, 3000, 5000, sizes[largest] // 2, sizes[largest]):
        resource.setrlimit(resource.RLIMIT_FSIZE, (sizes[largest] - missing, hard))
        try:
            with pytest.raises(OutputError, match="could not be saved") as caught:
                save_bundle(bundle, tmp_path / "m" / "1")
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert os.strerror(errno.EFBIG) in str(caught.value)
        assert list((tmp_path / "m").iterdir()) == []


@pytest.mark.parametrize("kind", ["a bundle", "an empty folder", "a file", "a link to nothing"])
def test_saving_never_overwrites(small_model: DocumentClassifier, tiny_bundle: Path, kind: str) -> None:
    """Whatever is in the way stays as it was, and is named."""
    target = tiny_bundle.parent / "2"
    make: dict[str, Callable[[], object]] = {
        "a bundle": lambda: shutil.copytree(tiny_bundle, target),
        "an empty folder": target.mkdir,
        "a file": lambda: target.write_text("mine"),
        "a link to nothing": lambda: target.symlink_to("nowhere"),
    }
    make[kind]()
    before = picture(tiny_bundle.parent)
    with pytest.raises(OutputError, match=re.escape(str(target))):
        small_model.save(target)
    assert picture(tiny_bundle.parent) == before


def picture(folder: Path) -> dict[str, object]:
    """Return everything below a folder."""
    return {str(path): path.read_bytes() if path.is_file() else path.is_symlink() for path in sorted(folder.rglob("*"))}


def test_facts_that_are_no_json_leave_nothing(tmp_path: Path) -> None:
    """Numbers that JSON cannot hold are an error of the program, and leave nothing behind."""
    arrays = {name: np.zeros((1,) * n_dims, dtype) for name, (dtype, n_dims) in ARRAYS.items()}
    with pytest.raises(ValueError, match="not JSON compliant"):
        save_bundle(Bundle({"loss": math.nan}, arrays, [Document("1", "t", "a")], ""), tmp_path / "m" / "1")
    assert list((tmp_path / "m").iterdir()) == []


def test_every_readable_format_has_a_golden_bundle() -> None:
    """No format may become readable, or stop being tested, without a stored bundle of it."""
    formats = {folder.name.split("-")[1] for folder in GOLDEN}
    assert formats == {str(number) for number in range(1, FORMAT + 1)}


@pytest.mark.parametrize("folder", GOLDEN, ids=lambda folder: folder.name)
def test_old_bundles_stay_readable(folder: Path) -> None:
    """A stored bundle of each format gives the labels, probabilities and documents of the day it was made."""
    expected = json.loads(folder.with_suffix(".json").read_text(encoding="utf-8"))
    model = DocumentClassifier.load(folder)
    model.embedder = FakeEmbedder(expected["dimension"])
    proba = model.predict_proba(expected["texts"])
    assert model.classes_.tolist() == expected["classes"]
    assert model.predict(expected["texts"]).tolist() == expected["labels"]
    np.testing.assert_allclose(proba, expected["probabilities"], rtol=0, atol=1e-6)
    assert [[document.id, document.text, document.label] for document in model.documents_] == expected["documents"]
    assert [neighbor.id for neighbor in model.similar(expected["texts"][0], 3)] == expected["nearest_ids"]
    assert {name: array.tolist() for name, array in model.embedder_state_.items()} == expected.get("state", {})
