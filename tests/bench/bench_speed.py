"""Speed on one core: this engine, Stable-Baselines3 and the environment alone, from one run.

    python -m pytest tests/bench/bench_speed.py [--table PATH]

What is compared takes turns, round after round, and the median round counts, because machines
are seldom quiet.  The first round warms up.  Policies are trained a little first: untrained ones
fall at once, and much of their time goes into resets.  About twelve minutes.
"""

import os
import subprocess
import sys
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import gymnasium
import mujoco
import numpy as np
import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from sb3_contrib import TRPO
from stable_baselines3 import PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.vec_env import DummyVecEnv

from replicate.engine.cohort import Cohort
from replicate.envs.mujoco_batch import MujocoBatch
from replicate.maths.lanes import take_lanes
from replicate.planning.composition import compose
from replicate.settings import RunSettings
from replicate.training import resume
from tests.bench.tables import Measurements, Sample

ENVIRONMENTS = {"Hopper-v5": "hopper", "HalfCheetah-v5": "half_cheetah"}
ALGORITHMS = ("ppo", "trpo", "vpg")
LANES = 33
LANE_COUNTS = (1, 4, 11, 33, 66, 132)
THREAD_COUNTS = (1, 2)
TRAINED_UPDATES = 12
# Every so many steps the states of all lanes are kept, and the physics timed on them alone.
KEPT_STEPS = 16
WARM_UP = 1
ROUNDS = 5
NUM_STEPS = 2048
ALONE_STEPS = 10_000
NETWORK = {"net_arch": {"pi": [64, 64], "vf": [64, 64]}, "activation_fn": torch.nn.Tanh}

Contestant = Callable[[], Sample]
"""Does its piece of work once more and says what an env step cost, in µs."""


def alone(env_id: str) -> Contestant:
    """One environment, random actions, no learner; drawing the actions is not counted."""
    env = gymnasium.make(env_id)
    env.reset(seed=0)
    env.action_space.seed(0)

    def walk() -> Sample:
        actions = [env.action_space.sample() for _ in range(ALONE_STEPS)]
        begin = time.perf_counter()
        for action in actions:
            _, _, terminated, truncated, _ = env.step(action)
            if terminated or truncated:
                env.reset()
        return {"total": (time.perf_counter() - begin) / ALONE_STEPS * 1e6}

    return walk


@cache
def trained(env: str) -> Cohort:
    """A cohort of PPO after some updates: what the others start from."""
    cohort = Cohort(runs_of(env, "ppo", LANES))
    for _ in range(TRAINED_UPDATES):
        cohort.step()
    return cohort


def runs_of(env: str, algo: str, lanes: int) -> list[RunSettings]:
    """One run per lane at the paper's protocol."""
    overrides = f"env={env}", f"algo={algo}", "recipe=paper2017", f"seed=range(0,{lanes})"
    return compose(*overrides, f"algo.num_steps={NUM_STEPS}").runs


def give_policies(cohort: Cohort, source: Cohort) -> None:
    """Let lanes have the networks and filters of lanes that were trained, over and over."""
    lanes = torch.arange(len(cohort.runs)) % len(source.runs)
    for ours, theirs in (
        (cohort.state.learner.policy_state, source.state.learner.policy_state),
        (cohort.state.learner.value_state, source.state.learner.value_state),
    ):
        ours.parameters.copy_(theirs.parameters[lanes])
    moments = take_lanes(source.state.filters.observation_moments, lanes)
    cohort.state.filters.observation_moments = moments


class Physics:
    """MuJoCo alone: ``mj_step`` on states that a cohort came through, in µs per env step."""

    def __init__(self, envs: MujocoBatch) -> None:
        self.batch, self.frame_skip = envs._batch, envs._frame_skip
        self.data = mujoco.MjData(self.batch.model)
        self.states: list[np.ndarray] = []
        self.calls = 0
        self.step = self.batch.step
        self.batch.step = self.keep

    def keep(self, *arguments: Any) -> None:
        """Step, and keep the states of some steps."""
        if self.calls % KEPT_STEPS == 0:
            self.states.append(self.batch.state.copy())
        self.calls += 1
        self.step(*arguments)

    def measure(self) -> float:
        """Time the states kept since the last time, in the order they came."""
        model, whole, seconds = self.batch.model, mujoco.mjtState.mjSTATE_INTEGRATION, 0.0
        states = np.concatenate(self.states)
        for state in states:
            mujoco.mj_setState(model, self.data, state, whole)
            begin = time.perf_counter()
            mujoco.mj_step(model, self.data, self.frame_skip)
            seconds += time.perf_counter() - begin
        self.states.clear()
        return seconds / len(states) * 1e6


def ours(env: str, algo: str, lanes: int = LANES, threads: int = 1) -> Contestant:
    """One update of a cohort at the paper's protocol, from trained policies."""
    cohort = Cohort(runs_of(env, algo, lanes), threads=threads)
    give_policies(cohort, trained(env))
    assert isinstance(cohort.state.envs, MujocoBatch)
    physics = Physics(cohort.state.envs)

    def update() -> Sample:
        before = dict(cohort.records.seconds)
        begin = time.perf_counter()
        cohort.step()
        total = time.perf_counter() - begin
        spent = {name: now - before[name] for name, now in cohort.records.seconds.items()}
        seconds = {
            "total": total,
            "environments": spent["env_step"],
            "rest of rollout": spent["rollout"] - spent["env_step"],
            "advantages": spent["advantages"],
            "update": spent["update"],
        }
        parts = {name: value / (NUM_STEPS * lanes) * 1e6 for name, value in seconds.items()}
        alone = physics.measure()
        rest = parts.pop("environments") - alone
        overhead = parts["total"] - alone
        return {**parts, "physics": alone, "rest of environment": rest, "not physics": overhead}

    return update


def stable_baselines(algorithm: type[BaseAlgorithm], env_id: str, batch_size: int) -> Contestant:
    """One rollout and update of one environment, the library's other values at their defaults."""
    model = algorithm(
        "MlpPolicy",
        DummyVecEnv([lambda: gymnasium.make(env_id)]),
        n_steps=NUM_STEPS,
        batch_size=batch_size,
        policy_kwargs=NETWORK,
        seed=0,
        device="cpu",
    )
    model.learn(TRAINED_UPDATES * NUM_STEPS)

    def rollout() -> Sample:
        begin = time.perf_counter()
        model.learn(NUM_STEPS, reset_num_timesteps=False)
        return {"total": (time.perf_counter() - begin) / NUM_STEPS * 1e6}

    return rollout


def median_round(samples: list[Sample]) -> Sample:
    """The sample with the median total, with the range of the totals."""
    ordered = sorted(samples, key=lambda sample: sample["total"])
    median = ordered[(len(ordered) - 1) // 2]
    return {**median, "least": ordered[0]["total"], "most": ordered[-1]["total"]}


def take_turns(
    benchmark: BenchmarkFixture, contestants: dict[str, Contestant], measurements: Measurements
) -> dict[str, Sample]:
    """The median round of each, after rounds in which each has its turn."""
    rounds: list[dict[str, Sample]] = []
    wall, busy = time.perf_counter(), time.process_time()
    measurements.load_averages.append(os.getloadavg()[0])
    benchmark.pedantic(
        lambda: rounds.append({name: run() for name, run in contestants.items()}),
        rounds=ROUNDS,
        warmup_rounds=WARM_UP,
    )
    share = (time.process_time() - busy) / (time.perf_counter() - wall)
    measurements.core_shares.append(share)
    measured = rounds[-ROUNDS:]
    medians = {name: median_round([turn[name] for turn in measured]) for name in contestants}
    benchmark.extra_info.update(medians)
    return medians


@pytest.mark.parametrize("env_id", ENVIRONMENTS)
def test_speed(benchmark: BenchmarkFixture, measurements: Measurements, env_id: str) -> None:
    """Ours beside the library's and the environment alone."""
    env = ENVIRONMENTS[env_id]
    contestants = {
        "environment alone": alone(env_id),
        "SB3 PPO": stable_baselines(PPO, env_id, 64),
        "sb3-contrib TRPO": stable_baselines(TRPO, env_id, 128),
        **{algo: ours(env, algo) for algo in ALGORITHMS},
    }
    measurements.speed[env_id] = take_turns(benchmark, contestants, measurements)


def test_cost_against_lanes(benchmark: BenchmarkFixture, measurements: Measurements) -> None:
    """What lockstep buys, and where it stops buying more."""
    contestants = {str(lanes): ours("half_cheetah", "ppo", lanes) for lanes in LANE_COUNTS}
    measurements.lanes = take_turns(benchmark, contestants, measurements)


@pytest.mark.parametrize("env_id", ENVIRONMENTS)
def test_threads(benchmark: BenchmarkFixture, measurements: Measurements, env_id: str) -> None:
    """What a second core is worth to a cohort that has the machine to itself."""
    env = ENVIRONMENTS[env_id]
    contestants = {str(threads): ours(env, "ppo", threads=threads) for threads in THREAD_COUNTS}
    measurements.threads[env_id] = take_turns(benchmark, contestants, measurements)


def test_checkpoints(
    benchmark: BenchmarkFixture, measurements: Measurements, tmp_path: Path
) -> None:
    """One at the end of a training of 1M env steps, when it has the most to write."""
    composition = compose("env=hopper", "recipe=paper2017", f"seed=range(0,{LANES})")
    cohort = Cohort(composition.runs)
    begin = time.perf_counter()
    cohort.step()
    update_seconds = time.perf_counter() - begin
    for lane in cohort.records.lanes:
        # An untrained policy's episodes are the shortest: more rows than a training leaves.
        lane.updates *= cohort.num_updates
        lane.episodes *= cohort.num_updates
    history = {"started": "", "resumed": []}
    seconds = []

    def save() -> None:
        begin = time.perf_counter()
        resume.save(cohort, tmp_path, history)
        seconds.append(time.perf_counter() - begin)

    benchmark.pedantic(save, rounds=ROUNDS, warmup_rounds=WARM_UP)
    (newest,) = set(tmp_path.rglob("*.npz")) - set(tmp_path.rglob("*.previous.npz"))
    every = composition.execution.checkpoint_every_updates
    measurements.checkpoint = {
        "seconds": sorted(seconds[-ROUNDS:])[ROUNDS // 2],
        "seconds between": every * update_seconds,
        "megabytes": newest.stat().st_size / 1e6,
    }
    benchmark.extra_info.update(measurements.checkpoint)


@pytest.mark.parametrize("algo", ALGORITHMS)
def test_peak_memory(benchmark: BenchmarkFixture, measurements: Measurements, algo: str) -> None:
    """Of the environment with the larger observations, in a process of its own."""
    command = [sys.executable, "-m", "tests.bench.peak_memory", "half_cheetah", algo]

    def train() -> float:
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        return float(done.stdout)

    peak = benchmark.pedantic(train)
    measurements.peak_mib[algo] = peak
    benchmark.extra_info["peak_mib"] = peak
