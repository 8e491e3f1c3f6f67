"""What makes two vectors comparable."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from typing import Any

import pytest
from fakes import FakeEmbedder

from classifier.embedding.contract import EmbeddingContract, MeasuresCoverage
from classifier.errors import ContractMismatchError

CONTRACT = EmbeddingContract(
    model_id="some/encoder",
    revision="abc",
    weights_sha256="1" * 64,
    tokenizer_sha256="2" * 64,
    pooling="mean",
    normalize=True,
    prompt="",
    max_tokens=256,
    chunking="windows",
    dimension=384,
)
NAMES = [field.name for field in fields(EmbeddingContract)]
LATER = {"precision", "backend"}
OTHER: dict[type, Any] = {str: "something else", bool: False, int: 7}


def test_a_contract_agrees_with_itself() -> None:
    """Equal contracts have no differences."""
    assert CONTRACT.differences(replace(CONTRACT)) == {}
    CONTRACT.require_same(replace(CONTRACT))


@pytest.mark.parametrize("name", [name for name in NAMES if name not in {"model_id", "revision", "backend"}])
def test_every_field_that_changes_a_vector_is_named(name: str) -> None:
    """A single differing field refuses the vectors, and the message holds both values."""
    ours = getattr(CONTRACT, name)
    other = replace(CONTRACT, **{name: OTHER[type(ours)]})
    with pytest.raises(ContractMismatchError) as caught:
        CONTRACT.require_same(other)
    assert caught.value.fields == (name,)
    assert f"{name}: {ours!r} here, {getattr(other, name)!r} there" in str(caught.value)


def test_what_ran_the_encoder_does_not_matter() -> None:
    """Vectors of both engines meet, and those of f32 and bf16; int8 is another precision."""
    assert CONTRACT.differences(replace(CONTRACT, backend="openvino", precision="bf16")) == {}
    assert set(CONTRACT.differences(replace(CONTRACT, precision="int8"))) == {"precision"}


def test_what_is_stored_tells_precisions_apart() -> None:
    """A fingerprint, the key of stored vectors, changes with precision and engine, too."""
    others = [replace(CONTRACT, **change) for change in ({}, {"precision": "bf16"}, {"backend": "openvino"})]
    assert len({contract.fingerprint for contract in others}) == len(others)


def test_all_differences_are_named_at_once() -> None:
    """Nobody has to mend one field to learn of the next."""
    other = replace(CONTRACT, dimension=8, pooling="cls")
    assert CONTRACT.differences(other) == {"pooling": ("mean", "cls"), "dimension": (384, 8)}


def test_a_moved_folder_is_the_same_encoder() -> None:
    """The name does not matter where the weights are known to be the same."""
    assert CONTRACT.differences(replace(CONTRACT, model_id="/a/folder")) == {}


def test_a_name_matters_where_weights_differ_or_are_unknown() -> None:
    """Other weights, or unknown ones, leave the name as a difference."""
    other = replace(CONTRACT, model_id="x/y", weights_sha256="3" * 64)
    assert set(CONTRACT.differences(other)) == {"model_id", "weights_sha256"}
    unknown = replace(CONTRACT, weights_sha256="")
    assert set(unknown.differences(replace(unknown, model_id="x/y"))) == {"model_id"}


def test_contracts_survive_json() -> None:
    """What is written comes back equal."""
    assert EmbeddingContract.from_dict(json.loads(json.dumps(CONTRACT.to_dict()))) == CONTRACT


def test_fields_that_came_later_may_be_missing() -> None:
    """A contract of an older version was made by torch in f32, and says so when it is read."""
    values = replace(CONTRACT, precision="bf16", backend="openvino").to_dict()
    found = EmbeddingContract.from_dict({name: values[name] for name in values if name not in LATER})
    assert (found.precision, found.backend) == ("f32", "torch")


@pytest.mark.parametrize("name", [name for name in NAMES if name not in LATER])
def test_a_missing_field_is_refused(name: str) -> None:
    """No other field has a silent default when a contract is read."""
    values = CONTRACT.to_dict()
    del values[name]
    with pytest.raises(ValueError, match="a contract has the fields"):
        EmbeddingContract.from_dict(values)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("wrong", [None, 1.0, ["x"], {}])
def test_a_field_of_the_wrong_type_is_refused(name: str, wrong: Any) -> None:
    """The field and its type are named."""
    with pytest.raises(ValueError, match=f"the contract's {name} is not"):
        EmbeddingContract.from_dict({**CONTRACT.to_dict(), name: wrong})


def test_true_is_not_a_number_and_one_is_not_true() -> None:
    """Booleans and integers do not stand in for each other."""
    with pytest.raises(ValueError, match="dimension is not int"):
        EmbeddingContract.from_dict({**CONTRACT.to_dict(), "dimension": True})
    with pytest.raises(ValueError, match="normalize is not bool"):
        EmbeddingContract.from_dict({**CONTRACT.to_dict(), "normalize": 1})


def test_an_unknown_field_is_refused() -> None:
    """A contract from a newer version is not read as if it were ours."""
    with pytest.raises(ValueError, match="quantisation"):
        EmbeddingContract.from_dict({**CONTRACT.to_dict(), "quantisation": "int8"})


def test_coverage_is_optional() -> None:
    """An embedder that measures coverage is told apart from one that does not."""
    assert isinstance(FakeEmbedder(), MeasuresCoverage)
    assert not isinstance(object(), MeasuresCoverage)


def test_another_configuration_is_another_encoder() -> None:
    """Equal weights under another configuration give other vectors: the revision tells them apart."""
    assert set(CONTRACT.differences(replace(CONTRACT, revision="other"))) == {"revision"}
