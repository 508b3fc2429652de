"""Shared fixtures and small helpers of the tests."""

import pytest
import torch

import replicate.networks  # noqa: F401 – before any product: it holds MKL to one code path
from replicate.plan import compose
from replicate.settings import RunSettings


@pytest.fixture(autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


def runs_of(*overrides: str) -> list[RunSettings]:
    """Runs composed from ``conf/`` as a user would."""
    return compose(*overrides).runs


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The tests that must share one worker start first: they take the longest."""
    items.sort(key=lambda item: item.get_closest_marker("xdist_group") is None)
