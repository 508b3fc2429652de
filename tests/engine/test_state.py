"""The training state is explicit: what `tensors()` names is all there is."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from replicate.engine.cohort import Cohort
from tests.conftest import runs_of
from tests.engine.test_lane_contract import lanes_of, same


@pytest.mark.parametrize("env", ["hopper", "half_cheetah", "cart_pole", "lunar_lander"])
@pytest.mark.parametrize("algo", ["ppo", "trpo", "vpg"])
def test_a_restored_state_goes_on_as_if_nothing_had_happened(env: str, algo: str) -> None:
    runs = lanes_of(env, algo, "modern", 3)
    original = Cohort(runs)
    original.step()
    saved = original.state.tensors()
    original.step()
    original.step()

    restored = Cohort(runs)
    restored.state.restore(saved)
    assert same(restored.state.tensors(), saved) == []
    restored.step()
    restored.step()
    assert same(restored.state.tensors(), original.state.tensors()) == []


def test_a_state_survives_a_file_and_another_process(tmp_path: Path) -> None:
    """Nothing hides in the process: no global generator, no module state."""
    program = """
import sys, numpy as np, torch
from replicate.engine.cohort import Cohort
from tests.engine.test_lane_contract import lanes_of
torch.set_num_threads(1)
cohort = Cohort(lanes_of("hopper", "ppo", "modern", 2))
cohort.state.restore({k: torch.from_numpy(v) for k, v in np.load(sys.argv[1]).items()})
torch.randn(7)
cohort.step()
np.savez(sys.argv[2], **{k: v.numpy() for k, v in cohort.state.tensors().items()})
"""
    cohort = Cohort(lanes_of("hopper", "ppo", "modern", 2))
    cohort.step()
    before, after = tmp_path / "before.npz", tmp_path / "after.npz"
    np.savez(before, **{k: v.numpy() for k, v in cohort.state.tensors().items()})
    subprocess.run([sys.executable, "-c", program, str(before), str(after)], check=True)
    cohort.step()
    tensors = {k: torch.from_numpy(v) for k, v in np.load(after).items()}
    assert same(tensors, cohort.state.tensors()) == []


def test_global_generators_are_not_used() -> None:
    (run,) = runs_of("env=hopper", "algo.num_steps=128", "total_env_steps=128")
    torch.manual_seed(5)
    np.random.seed(5)
    torch_before, numpy_before = torch.get_rng_state(), np.random.get_state()[1].copy()
    Cohort([run]).train()
    assert torch.equal(torch_before, torch.get_rng_state())
    assert np.array_equal(numpy_before, np.random.get_state()[1])
