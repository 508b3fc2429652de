"""Shared fixtures and small helpers of the tests."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from xdist.scheduler import LoadScopeScheduling

import replicate.networks  # noqa: F401 – before any product: it holds MKL to one code path
from replicate.planning.composition import compose
from replicate.settings import RunSettings


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def float64() -> Iterator[None]:
    """Tensors are made in double precision; for a module, ``usefixtures``."""
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def runs_of(*overrides: str) -> list[RunSettings]:
    """Runs composed from ``conf/`` as a user would."""
    return compose(*overrides).runs


TOGETHER = (
    "test_pipeline.py",
    "planning/test_imports.py",
    "probes/test_probes.py",
    "probes/test_update_anatomy.py",
    "probes/test_update_cost.py",
    "probes/test_update_passes.py",
    "report/test_layout.py",
    "training/test_mirror.py",
    "upkeep/test_traces.py",
)
"""Files whose tests share what takes long to make."""


class SharedWorkStaysTogether(LoadScopeScheduling):
    """The tests of a file of ``TOGETHER`` run on one worker, any other wherever there is room.

    (``--dist loadgroup`` would do, but pytest 9.2 does not see the groups of xdist 3.8.)
    """

    def _split_scope(self, nodeid: str) -> str:
        file, _, _ = nodeid.partition("::")
        return file if file.endswith(TOGETHER) else nodeid


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """How tests are handed to workers."""
    return SharedWorkStaysTogether(config, log)
