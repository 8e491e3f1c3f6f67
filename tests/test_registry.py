"""The registry: names, versions that are never written twice, and the one that a bare name means."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from classifier import DocumentClassifier
from classifier.errors import BundleRefusedError, OutputError, RegistryError, UnknownModelError
from classifier.files import sync_path
from classifier.storage import bundle
from classifier.storage.registry import PROMOTED_FILE, Registry

BAD_NAMES = [
    "",
    ".",
    "..",
    "../x",
    "a/b",
    "/etc",
    "a\\b",
    ".hidden",
    "-option",
    "_low",
    "a" * 65,
    "straße",
    "模型",
    "a b",
    "a\n",
    "a@1",
    "nul\0",
    "C:x",
]
GOOD_NAMES = ["a", "7", "A" * 64, "a..b", "tickets-2024.v1_final"]


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """Return an empty registry."""
    return Registry(tmp_path / "models")


def references(registry: Registry) -> dict[str, bool]:
    """Return every stored version and whether it is promoted."""
    return {model.reference: model.promoted for model in registry.models()}


def test_versions_rise_and_the_newest_is_meant(registry: Registry, tiny_model: DocumentClassifier) -> None:
    """Three models of one name become versions 1, 2 and 3, and the name means the last."""
    added = [registry.add("bread", tiny_model.save) for _ in range(3)]
    assert [model.reference for model in added] == ["bread@1", "bread@2", "bread@3"]
    assert all(model.promoted for model in added)
    assert references(registry) == {"bread@1": False, "bread@2": False, "bread@3": True}
    assert registry.find("bread") == added[-1]
    assert registry.find("bread@1").folder == registry.models_dir / "bread" / "1"
    assert registry.find("bread").facts()["data"]["n_documents"] == 4


def test_versions_are_ordered_as_numbers(registry: Registry, tiny_model: DocumentClassifier) -> None:
    """Version 10 comes after 9, and names come in order."""
    for _ in range(10):
        registry.add("b", tiny_model.save)
    registry.add("a", tiny_model.save)
    assert [model.reference for model in registry.models()] == ["a@1", *(f"b@{number}" for number in range(1, 11))]
    assert registry.find("b").version == "10"


def test_an_empty_registry_holds_nothing(registry: Registry) -> None:
    """A registry whose folder does not exist lists nothing, and says how to begin."""
    assert registry.models() == []
    assert registry.promoted("x") is None
    with pytest.raises(UnknownModelError, match="it is empty: train one with"):
        registry.find("x")
    assert not registry.models_dir.exists()


def test_promotion_chooses_what_a_name_means(registry: Registry, tiny_model: DocumentClassifier) -> None:
    """Promoting an older version brings it back; adding without promotion changes nothing."""
    registry.add("bread", tiny_model.save)
    registry.add("bread", tiny_model.save)
    registry.promote("bread", "1")
    assert registry.find("bread").version == "1"
    third = registry.add("bread", tiny_model.save, promote=False)
    assert (third.version, third.promoted) == ("3", False)
    assert references(registry) == {"bread@1": True, "bread@2": False, "bread@3": False}


def test_a_first_version_is_always_meant(registry: Registry, tiny_model: DocumentClassifier) -> None:
    """The first version is promoted also when that was not asked for, and stays so when another is added."""
    first = registry.add("bread", tiny_model.save, promote=False)
    assert first.promoted
    registry.add("bread", tiny_model.save, promote=False)
    assert references(registry) == {"bread@1": True, "bread@2": False}


@pytest.mark.parametrize("note", [None, "", "9\n", "../1", "one", "\ud800"])
def test_a_lost_note_falls_back_to_the_newest(
    registry: Registry, tiny_model: DocumentClassifier, note: str | None
) -> None:
    """Without a usable note the name means the newest version; a later one that is not promoted changes nothing."""
    for _ in range(2):
        registry.add("bread", tiny_model.save)
    registry.promote("bread", "1")
    path = registry.models_dir / "bread" / PROMOTED_FILE
    if note is None:
        path.unlink()
    else:
        path.write_bytes(note.encode("utf-8", "surrogatepass"))
    assert registry.find("bread").version == "2"
    registry.add("bread", tiny_model.save, promote=False)
    assert registry.find("bread").version == "2"


def test_promotion_needs_a_sound_version(registry: Registry, tiny_model: DocumentClassifier) -> None:
    """An unknown version and a damaged one are refused, and the name means what it meant."""
    registry.add("bread", tiny_model.save)
    damaged = registry.add("bread", tiny_model.save, promote=False)
    (damaged.folder / "manifest.json").write_text("{}")
    with pytest.raises(BundleRefusedError):
        registry.promote("bread", "2")
    for version in ("3", "0", "../1", "01", "\u0661", ""):
        if version:
            with pytest.raises(UnknownModelError, match="bread@"):
                registry.promote("bread", version)
    assert registry.find("bread").version == "1"
    assert sorted(path.name for path in (registry.models_dir / "bread").iterdir()) == ["1", "2", PROMOTED_FILE]


def test_deleting_follows_the_rules(registry: Registry, tiny_model: DocumentClassifier) -> None:
    """The promoted one of several stays, others go for good, and the last takes the name with it."""
    for _ in range(3):
        registry.add("bread", tiny_model.save)
    with pytest.raises(RegistryError, match=r"'?bread@3'? is the promoted version; promote another"):
        registry.delete("bread", "3")
    registry.delete("bread", "1")
    assert references(registry) == {"bread@2": False, "bread@3": True}
    with pytest.raises(UnknownModelError, match=r"it has 'bread@2', 'bread@3'"):
        registry.delete("bread", "1")
    registry.promote("bread", "2")
    registry.delete("bread", "3")
    registry.delete("bread", "2")
    assert registry.models() == []
    assert list(registry.models_dir.iterdir()) == []


def test_a_number_is_not_used_twice(registry: Registry, tiny_model: DocumentClassifier) -> None:
    """A version that was deleted stays gone: the next one gets a new number."""
    for _ in range(3):
        registry.add("bread", tiny_model.save, promote=False)
    registry.delete("bread", "3")
    registry.delete("bread", "2")
    assert registry.add("bread", tiny_model.save).version == "4"


def test_deleting_what_a_lost_note_means_is_refused(registry: Registry, tiny_model: DocumentClassifier) -> None:
    """Without a note the newest is protected as the promoted one is."""
    for _ in range(2):
        registry.add("bread", tiny_model.save)
    (registry.models_dir / "bread" / PROMOTED_FILE).unlink()
    with pytest.raises(RegistryError):
        registry.delete("bread", "2")
    registry.delete("bread", "1")
    assert references(registry) == {"bread@2": True}


@pytest.mark.parametrize("call", ["rename", "rmdir", "mkdir"])
def test_a_deletion_that_fails_is_reported(
    registry: Registry, tiny_model: DocumentClassifier, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """An I/O error while deleting is one sentence, and the other version is untouched."""
    for _ in range(2):
        registry.add("bread", tiny_model.save)
    with monkeypatch.context() as patch:
        patch.setattr(os, call, failing)
        with pytest.raises(OutputError, match="cannot be deleted"):
            registry.delete("bread", "1")
    assert registry.find("bread").version == "2"
    assert DocumentClassifier.load(registry.find("bread").folder).classes_.tolist() == ["dry", "wet"]


def failing(*_args: object, **_kwargs: object) -> None:
    """Fail as a broken disk does."""
    raise OSError(errno.EIO, os.strerror(errno.EIO))


@pytest.mark.parametrize("call", ["fsync", "replace", "chmod"])
def test_a_promotion_that_fails_changes_nothing(
    registry: Registry, tiny_model: DocumentClassifier, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """An I/O error while the note is written leaves the old note and no temporary file."""
    for _ in range(2):
        registry.add("bread", tiny_model.save)
    folder = registry.models_dir / "bread"
    with monkeypatch.context() as patch:
        patch.setattr(os, call, failing)
        with pytest.raises(OutputError, match=PROMOTED_FILE):
            registry.promote("bread", "1")
    assert registry.find("bread").version == "2"
    assert sorted(path.name for path in folder.iterdir()) == ["1", "2", PROMOTED_FILE]


def test_a_disk_that_cannot_sync_ends_an_addition(
    registry: Registry, tiny_model: DocumentClassifier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the last sync of a new version fails, it is taken back, and no further version is tried."""
    real = sync_path
    calls = []

    def sync(path: Path) -> None:
        if path == registry.models_dir / "bread":
            calls.append(path)
            failing()
        real(path)

    monkeypatch.setattr(bundle, "sync_path", sync)
    with pytest.raises(OutputError, match="could not be saved"):
        registry.add("bread", tiny_model.save)
    assert len(calls) == 1
    assert registry.models() == []


def test_the_note_is_readable_by_others(registry: Registry, tiny_model: DocumentClassifier) -> None:
    """Whoever can read the models can read which one is promoted."""
    registry.add("bread", tiny_model.save)
    assert (registry.models_dir / "bread" / PROMOTED_FILE).stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("name", BAD_NAMES)
def test_bad_names_are_refused(registry: Registry, tiny_model: DocumentClassifier, name: str) -> None:
    """A name that is no plain folder name is refused by every verb, and nothing is written."""
    with pytest.raises(RegistryError, match="cannot be a model's name"):
        registry.add(name, tiny_model.save)
    with pytest.raises(UnknownModelError):
        registry.find(name)
    for verb in (registry.promote, registry.delete):
        with pytest.raises(UnknownModelError):
            verb(name, "1")
    assert not registry.models_dir.exists()


@pytest.mark.parametrize("name", GOOD_NAMES)
def test_good_names_are_taken(registry: Registry, tiny_model: DocumentClassifier, name: str) -> None:
    """Letters, digits, dots, underscores and hyphens make a name, up to 64 of them."""
    assert registry.add(name, tiny_model.save).folder == registry.models_dir / name / "1"
    assert registry.find(name).name == name


@given(st.text(st.characters()))
def test_a_name_that_is_accepted_stays_in_its_folder(name: str) -> None:
    """Whatever the text, it is refused or is one part of a path, in ASCII, that begins with a letter or digit."""
    try:
        Registry.check_name(name)
    except RegistryError:
        return
    assert name.isascii()
    assert name[0].isalnum()
    assert Path("/models", name).parent == Path("/models")


def test_a_traversal_never_reaches_another_folder(registry: Registry, tiny_model: DocumentClassifier) -> None:
    """References that climb out of the registry find nothing, although a bundle is there."""
    registry.add("bread", tiny_model.save)
    outside = tiny_model.save(registry.models_dir.parent / "outside" / "1")
    for reference in ("../outside@1", "../outside", "bread/../../outside@1", "bread@../../outside/1", str(outside)):
        with pytest.raises(UnknownModelError):
            registry.find(reference)
    assert outside.is_dir()


def test_an_unknown_name_is_answered_with_the_known_ones(registry: Registry, tiny_model: DocumentClassifier) -> None:
    """The message lists what there is, and suggests the nearest."""
    registry.add("bread", tiny_model.save)
    with pytest.raises(UnknownModelError, match=r"it has 'bread'.*Did you mean 'bread'\?"):
        registry.find("braed")
    with pytest.raises(UnknownModelError, match="it has 'bread@1'"):
        registry.find("bread@2")


@pytest.mark.parametrize("stray", ["a file", "a folder"])
def test_what_is_no_version_is_left_alone(registry: Registry, tiny_model: DocumentClassifier, stray: str) -> None:
    """Strangers among the names and numbers are neither listed nor overwritten, and stop nothing."""
    registry.add("bread", tiny_model.save)
    make: dict[str, Callable[[Path], object]] = {"a file": Path.touch, "a folder": Path.mkdir}
    for path in ("bread/2", "bread/007", "bread/notes", ".hidden", "not a name"):
        make[stray](registry.models_dir / path)
    added = registry.add("bread", tiny_model.save)
    assert added.version == "3"
    assert {"bread@1", "bread@3"} <= set(references(registry)) <= {"bread@1", "bread@2", "bread@3"}
    assert (registry.models_dir / "bread" / "2").exists()


def test_an_error_of_the_saver_is_passed_on(registry: Registry) -> None:
    """A model that cannot be written is reported, not tried again."""
    calls = []

    def save(folder: Path) -> None:
        calls.append(folder)
        raise OutputError(folder, "the disk is full", "free it")

    with pytest.raises(OutputError, match="the disk is full"):
        registry.add("bread", save)
    assert calls == [registry.models_dir / "bread" / "1"]


ADDER = """
import sys, time
from pathlib import Path
from classifier.storage.bundle import load_bundle, save_bundle
from classifier.storage.registry import Registry

source, models, go, count = Path(sys.argv[1]), Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4])
bundle = load_bundle(source)
print("ready", flush=True)
while not go.exists():
    time.sleep(0.001)
for _ in range(count):
    print(Registry(models).add("shared", lambda folder: save_bundle(bundle, folder)).version, flush=True)
"""


def test_two_processes_never_share_a_version(tiny_bundle: Path, tmp_path: Path) -> None:
    """Two processes that add to one name at once get different versions, none is lost, and all can be opened."""
    count, go, models = 15, tmp_path / "go", tmp_path / "models"
    arguments = [sys.executable, "-c", ADDER, str(tiny_bundle), str(models), str(go), str(count)]
    adders = [subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for _ in range(2)]
    try:
        assert [adder.stdout.readline() for adder in adders if adder.stdout] == ["ready\n"] * 2
        go.touch()
        outputs = [adder.communicate(timeout=60) for adder in adders]
    finally:
        for adder in adders:
            adder.kill()
            adder.wait()
    assert [adder.returncode for adder in adders] == [0, 0], outputs
    versions = [int(line) for output, _ in outputs for line in output.split()]
    assert sorted(versions) == list(range(1, 2 * count + 1))
    for model in Registry(models).models():
        bundle.load_bundle(model.folder)
    assert sorted(path.name for path in (models / "shared").iterdir() if path.name.startswith(".")) == []


def test_a_version_is_whole_whenever_it_is_seen(registry: Registry, tiny_bundle: Path) -> None:
    """Another process that looks while versions are added sees only bundles that open."""
    go = tiny_bundle.parent / "go"
    arguments = [sys.executable, "-c", ADDER, str(tiny_bundle), str(registry.models_dir), str(go), "15"]
    n_seen = 0
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as adder:
        assert adder.stdout is not None
        adder.stdout.readline()
        go.touch()
        deadline = time.monotonic() + 60
        while adder.poll() is None and time.monotonic() < deadline:
            for model in registry.models():
                bundle.load_bundle(model.folder)
                n_seen += 1
    assert adder.returncode == 0
    assert n_seen > 0
    assert len(registry.models()) == 15
