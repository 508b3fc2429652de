"""Lanes of nested records, out and back in."""

from dataclasses import dataclass

import torch
from torch import Tensor

from replicate.maths.lanes import named_tensors, put_lanes_, take_lanes


@dataclass
class Inner:
    matrix: Tensor
    label: str


@dataclass
class Outer:
    vector: Tensor
    inner: Inner
    names: list[str]
    shared: float


def made() -> Outer:
    inner = Inner(torch.arange(8.0).view(4, 2), "label")
    return Outer(torch.arange(4), inner, ["a", "b", "c", "d"], 0.5)


def test_take_restricts_tensors_lists_and_nested_records() -> None:
    part = take_lanes(made(), torch.tensor([3, 1]))
    assert part.vector.tolist() == [3, 1]
    assert part.inner.matrix.tolist() == [[6, 7], [2, 3]]
    assert part.inner.label == "label"
    assert part.names == ["d", "b"]
    assert part.shared == 0.5


def test_take_copies() -> None:
    record = made()
    part = take_lanes(record, torch.arange(4))
    part.vector += 100
    part.inner.matrix += 100
    assert record.vector.tolist() == [0, 1, 2, 3]
    assert record.inner.matrix.tolist() == made().inner.matrix.tolist()


def test_put_writes_the_lanes_and_no_other() -> None:
    record = made()
    lanes = torch.tensor([3, 1])
    part = take_lanes(record, lanes)
    part.vector += 100
    part.inner.matrix = part.inner.matrix + 100  # a rebound tensor is written back too
    put_lanes_(record, lanes, part)
    assert record.vector.tolist() == [0, 101, 2, 103]
    assert record.inner.matrix.tolist() == [[0, 1], [102, 103], [4, 5], [106, 107]]


def test_put_of_take_changes_nothing() -> None:
    record = made()
    lanes = torch.tensor([2, 0])
    put_lanes_(record, lanes, take_lanes(record, lanes))
    assert record.vector.tolist() == made().vector.tolist()
    assert torch.equal(record.inner.matrix, made().inner.matrix)


def test_named_tensors_lists_every_tensor_once_and_by_its_path() -> None:
    record = made()
    tensors = {name: owner[key] for name, owner, key in named_tensors(record)}
    assert tensors.keys() == {"vector", "inner.matrix"}
    assert tensors["inner.matrix"] is record.inner.matrix
