"""Lanes of records (dataclasses of tensors ``[R, …]``): take some out, put them back.

And a lane that is alone: :func:`beside_itself`.
"""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any, TypeVar

from torch import Tensor

Record = TypeVar("Record")


def take_lanes(record: Record, lanes: Tensor) -> Record:
    """A copy of ``record`` restricted to ``lanes`` ``[N]`` (int64), nested records included.

    Lists have one entry per lane; whatever is neither tensor, list nor record is shared.
    """
    return type(record)(**{f.name: _take(getattr(record, f.name), lanes) for f in fields(record)})  # type: ignore[arg-type]


def _take(value: Any, lanes: Tensor) -> Any:
    if isinstance(value, Tensor):
        return value[lanes]
    if isinstance(value, list):
        return [value[index] for index in lanes.tolist()]
    return take_lanes(value, lanes) if is_dataclass(value) else value


def put_lanes_(record: Any, lanes: Tensor, part: Any) -> None:
    """Write the tensors of ``part``, made by ``take_lanes``, back into ``record``."""
    for name, owner, key in named_tensors(record):
        source = part
        for step in name.split("."):
            source = getattr(source, step)
        owner[key][lanes] = source


def named_tensors(record: Any, prefix: str = "") -> Iterator[tuple[str, dict[str, Tensor], str]]:
    """(dotted name, owner's attributes, key) of every tensor in a record."""
    attributes = vars(record)
    for key, value in attributes.items():
        if isinstance(value, Tensor):
            yield f"{prefix}{key}", attributes, key
        elif is_dataclass(value):
            yield from named_tensors(value, f"{prefix}{key}.")


def beside_itself(values: Tensor) -> Tensor:
    """A single lane and a copy of it, ``[1, …]`` → ``[2, …]``; more lanes as they are.

    BLAS's products and torch's variance take another code path for a batch of one, which rounds
    otherwise: alone a lane would not have the bits that it has beside others.
    """
    return values.expand(2, *values.shape[1:]) if len(values) == 1 else values
