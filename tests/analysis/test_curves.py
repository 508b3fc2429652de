"""Curves on cases small enough to compute by hand."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.curves import binned, number_of_bins
from tests.handmade import PROPERTY


def episodes(steps: list[int], returns: list[float], seed: int = 0) -> pd.DataFrame:
    labels = {"env": "e", "variant": "v", "seed": seed}
    return pd.DataFrame({"env_step": steps, "episodic_return": returns, **labels})


def test_an_episode_counts_in_the_bin_where_it_ended() -> None:
    # Two bins of 2048: (0, 2048] and (2048, 4096].
    bins = binned(episodes([1, 2048, 2049, 4096], [1.0, 3.0, 10.0, 20.0]), 4096)
    assert bins.env_step.tolist() == [1024.0, 3072.0]
    assert bins.episodic_return.tolist() == [2.0, 15.0]


def test_a_bin_without_an_episode_end_is_left_out() -> None:
    assert binned(episodes([4096], [5.0]), 4096).env_step.tolist() == [3072.0]


@PROPERTY
@given(st.lists(st.integers(1, 8192), min_size=1, max_size=60, unique=True))
def test_bins_lose_no_episode(steps: list[int]) -> None:
    bins = binned(episodes(sorted(steps), [float(step) for step in sorted(steps)]), 8192)
    edges = np.arange(0, 8193, 2048)
    filled: dict[int, list[int]] = {}
    for step in sorted(steps):
        filled.setdefault(int(np.searchsorted(edges, step) - 1), []).append(step)
    assert bins.episodic_return.tolist() == pytest.approx([np.mean(f) for f in filled.values()])


def test_bins_are_fifty_or_as_many_as_hold_an_update() -> None:
    assert [number_of_bins(steps) for steps in (999_424, 65_536, 4096, 512)] == [50, 32, 2, 1]
