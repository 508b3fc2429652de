"""Measures of runs whose course is known: simulated policies come out as what they are."""

import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis import manifest, measures
from analysis.measures import (
    BINS,
    COLUMNS,
    Measures,
    PublishedScale,
    course,
    held,
    mean_of_last,
    read_published_scale,
    return_measures,
    run_measures,
    scales,
    start_returns,
    update_measures,
)
from analysis.study import Study, read_study
from replicate.messages import DataError
from replicate.store.files import MANIFEST
from tests.analysis import made_up
from tests.handmade import PROPERTY

ROOT = Path(__file__).parents[2]
SCALE_FILE = ROOT / "conf" / "claims" / "published_scale.yaml"
PUBLISHED = read_published_scale(SCALE_FILE)
UNTRAINED = pd.read_csv(ROOT / "results" / "reference" / "untrained.csv").set_index("env").untrained
LENGTHS = (65_536, 999_424)


@dataclass(frozen=True)
class Noise:
    """Of returns on an environment.

    Args:
        length: env steps of an episode of the untrained policy.
        trained_length: of one that gets the reference return.
        untrained: standard deviation over its episodes.
        trained: standard deviation over the episodes of a policy half-way or further.
        between: standard deviation over seeds of the untrained policy's mean return.

    """

    length: int
    trained_length: int
    untrained: float
    trained: float
    between: float


# Untrained: measured over 10 seeds × 10,000 env steps (replicate.probes.untrained).  Trained:
# HalfCheetah, Hopper and InvertedPendulum as the noisiest setting of the stored runs of 65,536 env
# steps; elsewhere a fifth of the scale, as there.
NOISE = {
    "half_cheetah": Noise(1000, 1000, 64.4, 110.6, 20.8),
    "hopper": Noise(20, 600, 21.2, 178.0, 0.73),
    "inverted_double_pendulum": Noise(6, 760, 16.5, 1400.0, 0.28),
    "inverted_pendulum": Noise(8, 800, 7.6, 223.0, 0.17),
    "reacher": Noise(50, 50, 4.7, 11.0, 0.28),
    "swimmer": Noise(1000, 1000, 11.5, 22.0, 5.1),
    "walker2d": Noise(19, 700, 5.4, 685.0, 0.26),
    "bipedal_walker": Noise(500, 1200, 11.3, 82.0, 2.5),
    "cart_pole": Noise(22, 500, 11.7, 95.0, 0.71),
    "lunar_lander": Noise(92, 400, 107.0, 77.0, 10.2),
}
RECIPE_START = {"half_cheetah": -645.9, "reacher": -109.6}
"""What the untrained policy gets where actions are not clipped, if that differs."""


def scale_of(env: str) -> PublishedScale:
    return PublishedScale(float(UNTRAINED[env]), PUBLISHED[env]["return"])


@dataclass(frozen=True)
class Policy:
    """u at times 0 to 1 of a run, linear in between; the run ends where it diverges."""

    times: tuple[float, ...]
    u: tuple[float, ...]
    diverges: float = math.inf


CONSTANT = Policy((0, 1), (0, 0))
RUINED = Policy((0, 0.1, 0.2, 1), (0, 0, -3, -3))
RISING = Policy((0, 0.8, 1), (0, 1, 1))
RISEN_AND_FALLEN = Policy((0, 0.4, 0.5, 0.7, 1), (0, 0.9, 0.9, 0.1, 0.1))
DIVERGED_WHILE_RISING = Policy((0, 1), (0, 1), diverges=0.6)


def simulated(
    env: str, policy: Policy, total: int, rng: np.random.Generator, start: float | None = None
) -> Measures:
    """Measures of one run on an environment's own noise and episode lengths.

    Args:
        start: return of the untrained policy under the run's recipe, if not as on the scale.

    """
    scale, noise = scale_of(env), NOISE[env]
    offset = noise.between * rng.standard_normal() + (
        0 if start is None else start - scale.untrained
    )
    end = min(1.0, policy.diverges) * total
    grid = np.linspace(0, end, 4000)
    level = np.interp(grid / total, policy.times, policy.u)
    lengths = noise.length + (noise.trained_length - noise.length) * np.clip(level, 0, 1)
    ended = np.concatenate([[0.0], np.cumsum(np.diff(grid) / lengths[1:])])
    steps = np.interp(np.arange(1, math.floor(ended[-1]) + 1), ended, grid)
    level = np.interp(steps, grid, level)
    learnt = np.clip(2 * level, 0, 1)
    returns = (
        scale.untrained
        + level * (scale.reference - scale.untrained)
        + (1 - learnt) * offset
        + (noise.untrained + (noise.trained - noise.untrained) * learnt)
        * rng.standard_normal(len(steps))
    )
    beginning = returns[steps <= 2048]
    return return_measures(
        steps,
        returns,
        scale,
        float(beginning.mean()) if len(beginning) else math.nan,
        total,
        None if end == total else int(end),
    )


def many(
    env: str, policy: Policy, total: int, runs: int, start: float | None = None
) -> pd.DataFrame:
    seed = [total, *env.encode(), *str(policy).encode()]
    rng = np.random.default_rng(seed)
    return pd.DataFrame([simulated(env, policy, total, rng, start) for _ in range(runs)])


@pytest.mark.parametrize("total", LENGTHS)
@pytest.mark.parametrize("env", NOISE)
class TestSimulatedPolicies:
    """Each on every environment's own noise, at both lengths."""

    def test_one_that_never_learns_did_nothing_else_either(self, env: str, total: int) -> None:
        runs = many(env, CONSTANT, total, 500 if total < 100_000 else 100)
        for bad in (runs.collapsed, runs.ruined, np.isfinite(runs.steps_to_half)):
            assert bad.sum() <= 0.01 * len(runs)
        assert runs.u.abs().max() < 0.25
        assert runs.early_u.abs().max() < 0.25

    def test_one_that_never_learns_where_actions_are_not_clipped(
        self, env: str, total: int
    ) -> None:
        start = RECIPE_START.get(env)
        runs = many(env, CONSTANT, total, 100, start)
        assert not runs[["collapsed", "ruined"]].any().any()

    def test_a_ruined_one(self, env: str, total: int) -> None:
        runs = many(env, RUINED, total, 10, RECIPE_START.get(env))
        assert runs.ruined.all() and not runs.collapsed.any()
        assert np.isinf(runs.steps_to_half).all()
        assert (runs.u < -2).all()

    def test_a_rising_one(self, env: str, total: int) -> None:
        runs = many(env, RISING, total, 10)
        assert not runs[["collapsed", "ruined"]].any().any()
        # Half-way at 0.4 of the run, seen two bins later; noise moves it.
        assert runs.steps_to_half.between(0.3 * total, 0.7 * total).all()
        assert runs.steps_to_half.median() == pytest.approx(0.5 * total, abs=0.06 * total)
        assert runs.u.between(0.7, 1.3).all()
        assert runs.early_u.mean() == pytest.approx(0.125 / 0.8, abs=0.06)

    def test_one_that_has_risen_and_fallen(self, env: str, total: int) -> None:
        runs = many(env, RISEN_AND_FALLEN, total, 10)
        assert runs.collapsed.all() and not runs.ruined.any()
        assert np.isfinite(runs.steps_to_half).all()
        assert (runs.drawdown > 0.5).all() and (runs.peak_u > 0.7).all()

    def test_one_that_diverges_while_it_rises(self, env: str, total: int) -> None:
        runs = many(env, DIVERGED_WHILE_RISING, total, 10)
        assert runs[["diverged", "collapsed", "ruined"]].all().all()
        assert (runs.u <= -1).all() and (runs.final <= scale_of(env).worst_return).all()
        # Not the 0 of a curve that only rose: what it had is lost.
        assert (runs.drawdown > 1.3).all()

    def test_noise_around_a_level_is_no_collapse(self, env: str, total: int) -> None:
        runs = many(env, Policy((0, 0.1, 1), (0, 0.7, 0.7)), total, 30)
        assert not runs[["collapsed", "ruined"]].any().any()


# ------------------------------------------------------------------------------ piece by piece


def evenly(values: list[float], total: int = 20_000, each: int = 5) -> Measures:
    """A run with ``each`` episodes of every value, on the scale from 0 to 1."""
    returns = np.repeat(np.array(values, dtype=float), each)
    steps = total * (np.arange(len(returns)) + 1) / len(returns)
    return return_measures(steps, returns, PublishedScale(0.0, 1.0), 0.0, total, None)


@pytest.mark.parametrize(
    ("values", "collapsed", "ruined"),
    [
        ([0, 0.5, 1.0] + [0.9] * 15 + [0.4] * 2, True, False),
        ([0, 0.5, 1.0] + [0.9] * 15 + [0.6] * 2, False, False),
        ([0, 0.2] + [0.2] * 17 + [-1.0], False, True),  # never got anywhere
        ([0.24] + [0.0] * 19, False, False),
        ([0.26] + [0.0] * 19, True, False),
        ([0.0] * 18 + [-0.2] * 2, False, False),
        ([0.0] * 18 + [-0.3] * 2, False, True),
        ([1.0] * 10 + [-0.3] * 10, True, True),
    ],
)
def test_what_counts_as_collapsed_and_as_ruined(
    values: list[float], collapsed: bool, ruined: bool
) -> None:
    measures = evenly(values)
    assert (measures["collapsed"], measures["ruined"]) == (collapsed, ruined)


def test_a_peak_within_four_standard_errors_is_no_peak() -> None:
    steps = np.arange(1, 101.0)
    noisy = np.tile([-2.0, 0.5, 3.0, 0.0, 0.5], 20)  # mean 0.4, standard error 0.8
    assert math.isnan(course(steps, noisy, 100).peak)
    assert course(steps, np.full(100, 0.4), 100).peak == pytest.approx(0.4)
    # Five episodes that agree by chance, in a run that is as noisy as that elsewhere.
    chance = noisy - 0.4
    chance[:5] = 0.5
    assert math.isnan(course(steps, chance, 100).peak)


def test_one_episode_a_bin_has_no_spread_and_proves_nothing() -> None:
    steps = np.arange(1, BINS + 1.0)
    assert math.isnan(course(steps, np.linspace(1, 0, BINS), BINS).peak)


def test_half_way_takes_two_bins_in_a_row() -> None:
    assert evenly([0, 1] * 10)["steps_to_half"] == math.inf
    assert evenly([0, 1, 0, 0.5, 0.5] + [0] * 15)["steps_to_half"] == 5000
    assert evenly([0.5] * 20)["steps_to_half"] == 2000


def test_early_u_is_of_the_first_quarter_and_held_at_minus_one() -> None:
    assert evenly([-3, 0, 0.5, 0.5, 1] + [7] * 15)["early_u"] == pytest.approx(0.2)


@PROPERTY
@given(st.lists(st.floats(-2, 2), min_size=BINS, max_size=BINS))
def test_drawdown_is_the_largest_fall_from_an_earlier_peak(values: list[float]) -> None:
    kept = [max(value, -1.0) for value in values]
    slow = max(max(kept[: i + 1]) - value for i, value in enumerate(kept))
    assert evenly(values)["drawdown"] == pytest.approx(slow)


def test_empty_bins_have_the_value_of_the_bin_before() -> None:
    curve = course(np.array([350.0, 700.0]), np.array([0.2, 0.6]), 1000)
    # Episodes in the 7th and the 14th bin of 50 env steps.
    assert curve.u.tolist() == [0.2] * 13 + [0.6] * 7
    assert np.isnan(curve.errors).sum() == 18
    # Filled bins are no evidence: one episode is not two bins.
    assert course(np.array([700.0]), np.array([0.6]), 1000).steps_to_half == math.inf
    assert course(np.array([350.0, 700.0]), np.array([0.5, 0.6]), 1000).steps_to_half == 700


def test_from_the_bin_of_divergence_on_all_is_the_worst() -> None:
    steps = np.arange(1, 61.0)
    curve = course(steps, np.full(60, 0.9), 100, diverged_at=60)
    assert curve.u.tolist() == [0.9] * 11 + [-1.0] * 9
    # What was worse before stays as bad as it was.
    assert (
        course(steps, np.full(60, -5.0), 100, diverged_at=57).u[11:].tolist() == [-5.0] + [-5.0] * 8
    )


def test_final_is_of_the_last_tenth_of_env_steps_or_the_last_episode() -> None:
    steps = np.array([10.0, 50.0, 90.0, 91.0, 100.0])
    returns = np.array([1.0, 2.0, 3.0, 4.0, 6.0])
    assert mean_of_last(steps, returns, 100) == (5.0, 2)
    assert mean_of_last(steps[:2], returns[:2], 100) == (2.0, 1)


@pytest.mark.parametrize("infinite", [math.inf, -math.inf, math.nan])
def test_a_return_that_is_not_finite_counts_as_the_worst(infinite: float) -> None:
    scale = PublishedScale(10.0, 30.0)
    steps = np.arange(1.0, 41.0)
    returns = np.where(np.arange(40) < 36, 30.0, infinite)
    measures = return_measures(steps, returns, scale, 10.0, 40, None)
    assert measures["final"] == -10.0 and measures["u"] == -1.0
    assert measures["ruined"] and measures["collapsed"]
    assert measures["score"] == pytest.approx((36 * 30 - 4 * 10) / 40)


def test_a_run_that_ends_no_episode_is_the_worst() -> None:
    nothing = np.array([])
    measures = return_measures(nothing, nothing, PublishedScale(10.0, 30.0), math.nan, 40, 0)
    assert measures["u"] == -1.0 and measures["score"] == -10.0 and measures["final_episodes"] == 0
    assert measures["early_u"] == -1.0 and measures["peak_u"] == -1.0
    assert measures["steps_to_half"] == math.inf


def test_an_environment_without_a_published_return_has_no_u() -> None:
    steps, returns = np.arange(1.0, 41.0), np.full(40, 20.0)
    measures = return_measures(steps, returns, PublishedScale(10.0, math.nan), 10.0, 40, None)
    assert measures["final"] == 20.0 and not measures["ruined"] and not measures["collapsed"]
    nothing = ("u", "early_u", "steps_to_half", "peak_u", "drawdown")
    assert all(math.isnan(measures[name]) for name in nothing)
    gone = return_measures(steps, returns, PublishedScale(10.0, math.nan), 10.0, 40, 40)
    assert gone["final"] == 10.0 and gone["ruined"] and gone["collapsed"]


def test_ruin_is_below_what_the_recipe_begins_with() -> None:
    """On Reacher, unclipped actions cost an untrained policy u = −0.9: that is no ruin."""
    steps, returns = np.arange(1.0, 41.0), np.full(40, -0.9)
    for start, ruined in ((-0.9, False), (-0.7, False), (-0.6, True), (0.5, True)):
        measures = return_measures(steps, returns, PublishedScale(0.0, 1.0), start, 40, None)
        assert measures["ruined"] is ruined


# ------------------------------------------------------------------------------ updates


def sizes(kl: list[float]) -> pd.DataFrame:
    return pd.DataFrame(
        {"kl": kl, **{k: v for k, v in made_up.UPDATE_COLUMNS.items() if k != "kl"}}
    )


def test_mean_log_kl_is_the_log_of_the_geometric_mean() -> None:
    measures = update_measures(sizes([0.001, 0.1]), 2)
    assert math.exp(measures["mean_log_kl"]) == pytest.approx(0.01)
    assert measures["kl_95"] == pytest.approx(0.001 + 0.95 * 0.099)
    assert measures["updates"] == 2 and measures["kl_max"] == pytest.approx(0.1)


@pytest.mark.parametrize("bad", [math.inf, math.nan, 1e9])
def test_kl_without_an_end_is_held_at_a_hundred_and_kept(bad: float) -> None:
    measures = update_measures(sizes([0.01, bad]), 2)
    assert measures["mean_log_kl"] == pytest.approx(math.log(0.01 * 100) / 2)
    assert measures["kl_max"] == 100


def test_a_step_that_moved_nothing_counts_as_a_very_small_one() -> None:
    assert update_measures(sizes([0.0, -1e-9]), 2)["mean_log_kl"] == pytest.approx(math.log(1e-8))


def test_updates_that_a_diverged_run_never_made_are_the_largest() -> None:
    measures = update_measures(sizes([0.01]), 4)
    assert measures["updates"] == 1
    assert measures["mean_log_kl"] == pytest.approx((math.log(0.01) + 3 * math.log(100)) / 4)
    assert measures["clip_fraction"] == pytest.approx((0.2 + 3) / 4)
    assert measures["ratio_max"] == math.inf and measures["kl_95"] == 100
    assert held([], 2).tolist() == [100, 100]


# ------------------------------------------------------------------------------ whole studies

ENVS = {"hopper": "Hopper-v5", "swimmer": "Swimmer-v5"}
KNOWN = {"hopper": PublishedScale(0.0, 100.0), "swimmer": PublishedScale(0.0, math.nan)}


@pytest.fixture
def study(tmp_path: Path) -> Study:
    return made_up.study(tmp_path / "s", [made_up.clip(0.1), made_up.clip(0.2)], ENVS, seeds=2)


def test_a_row_per_run_in_the_order_of_the_plan(study: Study) -> None:
    table = run_measures(study, KNOWN)
    planned = [tuple(run[key] for key in ("env", "variant", "seed")) for run in study.plan["runs"]]
    assert list(table[["env", "variant", "seed"]].itertuples(index=False, name=None)) == planned
    assert list(table.columns) == ["env", "variant", "seed", *COLUMNS]
    first = table.iloc[0]
    # Returns rise evenly to 100 in 200 episodes: the last 100, and the last 20.
    assert first.score == pytest.approx(75.25, abs=0.01)
    assert first.final == pytest.approx(95.25, abs=0.01) and first.final_episodes == 20
    assert first.u == pytest.approx(0.9525, abs=1e-3)
    assert first.early_u == pytest.approx(0.125, abs=0.005)
    assert first.steps_to_half == pytest.approx(0.6 * 999_424, rel=1e-3)
    assert first.mean_log_kl == pytest.approx(math.log(0.01)) and first.updates == 488
    assert table[table.env == "swimmer"].u.isna().all()


def test_a_diverged_run_in_a_study(study: Study) -> None:
    file = study.folder / "hopper.runs.json"
    runs = json.loads(file.read_text())
    runs[0] |= {"status": "diverged", "diverged_at_env_step": 500_000}
    file.write_text(json.dumps(runs))
    made_up.list_tables(study.folder, "hopper")
    table = run_measures(read_study(study.folder / "plan.json"), KNOWN)
    gone, kept = table.iloc[0], table.iloc[1]
    assert gone.diverged and gone.u == -1 and gone.final == gone.score == -100
    assert gone.collapsed and gone.ruined and not kept.collapsed and not kept.diverged


def test_what_is_0_and_1(study: Study) -> None:
    untrained = pd.DataFrame({"env": ["hopper"], "untrained": [7.0]})
    known = scales(study, untrained, {"hopper": {"return": 50.0}})
    assert known["hopper"] == PublishedScale(7.0, 50.0)
    # Without a constant, the returns before the first update: none ends here before it.
    assert math.isnan(known["swimmer"].untrained) and math.isnan(known["swimmer"].reference)


def test_without_a_constant_the_first_rollouts_stand_in(tmp_path: Path) -> None:
    length = {"total_env_steps": 100 * 2048}
    made = made_up.study(tmp_path / "s", [made_up.clip(0.1)], ENVS, seeds=2, **length)
    known = scales(made, pd.DataFrame({"env": [], "untrained": []}), {"hopper": {"return": 50.0}})
    starts = start_returns(made.episodes, 2048)
    assert known["hopper"] == PublishedScale(starts["hopper", "clip_0.1"], 50.0)
    assert known["hopper"].untrained > 0


@pytest.mark.parametrize("published", [7.0, 6.0])
def test_a_scale_that_does_not_rise_is_refused(study: Study, published: float) -> None:
    """Worse runs would have a larger u."""
    untrained = pd.DataFrame({"env": ["hopper"], "untrained": [7.0]})
    with pytest.raises(DataError, match=r"^hopper: the published return . is not above"):
        scales(study, untrained, {"hopper": {"return": published}})


def test_the_start_is_what_a_variant_gets_before_its_first_update(tmp_path: Path) -> None:
    made = made_up.study(
        tmp_path / "s", [made_up.clip(0.1)], ENVS, seeds=2, total_env_steps=100 * 2048
    )
    # Returns rise evenly to 100 + seed; the first two of 200 episodes end before the first update.
    expected = np.mean([np.mean([0.005, 0.01]) * (100 + seed) for seed in (0, 1)])
    starts = start_returns(made.episodes, 2048)
    assert starts["hopper", "clip_0.1"] == pytest.approx(expected, rel=1e-3)
    assert (run_measures(made, KNOWN).start.round(3) == round(expected, 3)).all()


def test_the_command_writes_what_the_functions_find(study: Study, tmp_path: Path) -> None:
    untrained = ROOT / "results" / "reference" / "untrained.csv"
    out, listed = tmp_path / "measures.csv", tmp_path / f"measures.{MANIFEST}"
    arguments = [study.folder / "plan.json", untrained, SCALE_FILE, out, listed]
    assert measures.main([str(argument) for argument in arguments]) == 0
    manifest.verify(listed, [out])
    table = pd.read_csv(out)
    known = scales(study, pd.read_csv(untrained), PUBLISHED)
    pd.testing.assert_frame_equal(table, run_measures(study, known), check_dtype=False, rtol=1e-6)
    assert table.diverged.dtype == table.collapsed.dtype == bool and np.isinf(
        table.steps_to_half[0]
    )


@pytest.mark.parametrize(
    "text", ["hopper: 3", "hopper: {return: x, source: y}", "- a", "{", "a: {}"]
)
def test_a_scale_that_is_none_is_one_line(
    study: Study, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str
) -> None:
    file = tmp_path / "scale.yaml"
    file.write_text(text)
    untrained = ROOT / "results" / "reference" / "untrained.csv"
    outputs = [tmp_path / "out.csv", tmp_path / f"out.{MANIFEST}"]
    arguments = [study.folder / "plan.json", untrained, file, *outputs]
    assert measures.main([str(argument) for argument in arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {file}: not environment:")


def test_the_published_scale_is_what_was_published() -> None:
    table = pd.read_csv(ROOT / "results" / "published" / "reference_returns.csv")
    ppo2 = table[
        table.source.str.startswith("OpenAI Baselines benchmark")
        & (table.algorithm == "PPO (ppo2)")
        & table.statistic.str.startswith("table value")
    ]
    published = {
        env_id.split("-")[0]: mean for env_id, mean in zip(ppo2.env_id, ppo2["mean"], strict=True)
    }
    baselines = {env for env, entry in PUBLISHED.items() if entry["source"] == "baselines"}
    assert baselines == set(made_up.PAPER)
    for env, env_id in made_up.PAPER.items():
        exact = published[env_id.split("-")[0]]
        assert PUBLISHED[env]["return"] == pytest.approx(exact, abs=0.51 if exact > 0 else 0.02)
    assert {file.stem for file in (ROOT / "conf" / "env").glob("*.yaml")} >= PUBLISHED.keys()
