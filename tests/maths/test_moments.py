"""Running moments against numpy and Stable-Baselines3's RunningMeanStd."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from stable_baselines3.common.running_mean_std import RunningMeanStd

from replicate.maths.moments import RunningMoments, affine_filter
from tests.handmade import PROPERTY, normal

CHUNKS = st.lists(st.integers(1, 9), min_size=1, max_size=5)


@PROPERTY
@given(chunks=CHUNKS, seed=st.integers(0, 10_000), shift=st.floats(-20, 20))
def test_equal_numpy_however_the_stream_is_cut(chunks: list[int], seed: int, shift: float) -> None:
    stream = 3 * normal(2, sum(chunks), 4, seed=seed) + shift
    moments = RunningMoments.prior(2, 4, 1e-12)
    for part in stream.split(chunks, 1):
        moments.update_(part)
    one_by_one = RunningMoments.prior(2, 4, 1e-12)
    for t in range(stream.shape[1]):
        one_by_one.update_(stream[:, t])
    values = stream.numpy()
    for pooled in (moments, one_by_one):
        np.testing.assert_allclose(pooled.mean(), values.mean(1), rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(pooled.variance(), values.var(1), rtol=1e-7, atol=1e-7)
        assert pooled.count[0].item() == pytest.approx(sum(chunks))


@PROPERTY
@given(chunks=CHUNKS, seed=st.integers(0, 10_000), shift=st.floats(-20, 20))
def test_equal_stable_baselines3_prior_included(chunks: list[int], seed: int, shift: float) -> None:
    stream = 2 * normal(1, sum(chunks), 3, seed=seed) + shift
    ours, theirs = RunningMoments.prior(1, 3, 1e-4), RunningMeanStd(1e-4, (3,))
    for part in stream.split(chunks, 1):
        ours.update_(part)
        theirs.update(part[0].numpy())
    np.testing.assert_allclose(ours.mean()[0], theirs.mean, rtol=1e-9)
    np.testing.assert_allclose(ours.variance()[0], theirs.var, rtol=1e-7, atol=1e-9)
    assert ours.count.item() == pytest.approx(theirs.count)


def test_prior_is_mean_zero_and_variance_one() -> None:
    moments = RunningMoments.prior(2, 3, 0.01)
    assert torch.equal(moments.mean(), torch.zeros(2, 3, dtype=torch.float64))
    assert torch.equal(moments.variance(), torch.ones(2, 3, dtype=torch.float64))
    assert moments.count.tolist() == [[0.01], [0.01]]


def test_prior_weighs_as_much_as_its_count() -> None:
    """One value 3 beside a prior of weight 1: mean 3/2, mean square (9 + 1)/2."""
    moments = RunningMoments.prior(1, 1, 1.0)
    moments.update_(torch.tensor([[3.0]]))
    assert moments.mean().item() == 1.5
    assert moments.variance().item() == 5 - 1.5**2


def test_lanes_are_kept_apart_and_sums_are_float64() -> None:
    moments = RunningMoments.prior(2, 1, 1e-4)
    moments.update_(torch.tensor([[[1e8], [1e8 + 8]], [[0.0], [1.0]]]))
    assert moments.total.dtype == torch.float64
    assert moments.total.flatten().tolist() == [2e8 + 8, 1.0]


def test_variance_is_never_negative() -> None:
    moments = RunningMoments.prior(1, 1, 1e-30)
    moments.update_(torch.full((1, 7, 1), 1e6 / 3))
    assert moments.variance().item() >= 0


def test_affine_filter_formula_floor_and_precision() -> None:
    moments = RunningMoments.prior(1, 2, 1e-12)
    moments.update_(torch.tensor([[[1.0, 5.0], [3.0, 5.0]]]))
    shift, scale = affine_filter(moments, variance_floor=0.25, norm_epsilon=0.75)
    torch.testing.assert_close(shift, torch.tensor([[2.0, 5.0]]))
    torch.testing.assert_close(scale, torch.tensor([[1.75**-0.5, 1.0]]))
    assert shift.dtype == scale.dtype == torch.get_default_dtype()
