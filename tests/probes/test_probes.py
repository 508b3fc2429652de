"""Claims that a probe computes, against their closed form."""

import functools
import itertools
import json
import math
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pandas as pd
import pytest

from replicate.probes import (
    clipped_objective,
    code_size,
    entropy_bias,
    importance_sampling,
    kl_per_sample,
    two_actions,
    untrained,
    update_anatomy,
    update_cost,
    update_passes,
)
from replicate.store.files import sha256

PROBES = [
    clipped_objective,
    entropy_bias,
    importance_sampling,
    kl_per_sample,
    two_actions,
    untrained,
    update_cost,
    update_passes,
    code_size,
]


Made = Callable[[ModuleType], Path]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    """Gives the file that a probe writes; each is made once."""

    @functools.cache
    def file_of(probe: ModuleType) -> Path:
        file = tmp_path_factory.mktemp("probe") / "new" / "out.csv"
        assert probe.main([str(file)]) == 0
        assert [path.name for path in file.parent.iterdir()] == ["out.csv"]
        return file

    return file_of


@pytest.fixture(scope="module")
def curves(made: Made) -> pd.DataFrame:
    return pd.read_csv(made(clipped_objective))


@pytest.fixture
def curve(curves: pd.DataFrame) -> pd.DataFrame:
    """At ε = 0.2."""
    return curves[curves.epsilon == 0.2]


def test_c1_the_objective_is_capped_above_for_good_and_below_for_bad(curve: pd.DataFrame) -> None:
    assert list(curve) == clipped_objective.COLUMNS
    good, bad = (curve[curve.advantage == a].reset_index(drop=True) for a in (1, -1))
    assert len(good) + len(bad) == len(curve)
    for rows in (good, bad):
        assert rows.ratio.tolist() == [k / 200 for k in range(401)]
        assert rows.unclipped.tolist() == (rows.advantage * rows.ratio).tolist()
    assert good.clipped.tolist() == [min(r, 1.2) for r in good.ratio]
    assert bad.clipped.tolist() == [min(-r, -0.8) for r in bad.ratio]


def test_c2_the_gradient_is_zero_exactly_there_and_nowhere_else(curve: pd.DataFrame) -> None:
    inside = curve[~curve.ratio.isin([0.8, 1.2])]  # no derivative at the kinks
    flat = ((inside.advantage > 0) & (inside.ratio > 1.2)) | (
        (inside.advantage < 0) & (inside.ratio < 0.8)
    )
    assert (inside.gradient[flat] == 0).all()
    assert (inside.gradient[~flat] == inside.advantage[~flat]).all()
    # On the wrong side of the interval it pulls back.
    assert (inside.gradient[(inside.advantage > 0) & (inside.ratio < 0.8)] == 1).all()
    assert (inside.gradient[(inside.advantage < 0) & (inside.ratio > 1.2)] == -1).all()


@pytest.mark.parametrize("epsilon", clipped_objective.EPSILONS)
def test_c1_and_c2_hold_at_every_width(curves: pd.DataFrame, epsilon: float) -> None:
    rows = curves[curves.epsilon == epsilon]
    kinks = (rows.ratio - 1).abs().sub(epsilon).abs() < 1e-9
    beyond = (rows.ratio - 1) * rows.advantage > epsilon
    assert ((rows.gradient == 0) == beyond)[~kinks].all()
    reached = rows.clipped[beyond & ~kinks] - rows.advantage[beyond & ~kinks]
    assert reached.tolist() == pytest.approx([epsilon] * len(reached))


def test_i2_the_gradient_of_a_sample_is_amplified_by_its_ratio(curve: pd.DataFrame) -> None:
    assert curve.unclipped_log_gradient.tolist() == pytest.approx(
        (curve.advantage * curve.ratio).tolist()
    )
    assert (curve.unclipped_log_gradient[curve.ratio == 0] == 0).all()


def test_i1_old_data_is_unbiased_and_its_variance_explodes(made: Made) -> None:
    rows = pd.read_csv(made(importance_sampling))
    assert list(rows) == importance_sampling.COLUMNS
    assert rows.expectation.tolist() == pytest.approx(rows.target.tolist(), abs=1e-12)
    # In closed form: the variance of one draw over the number of draws.
    for row in rows.itertuples():
        rare = importance_sampling.RARE
        rest = (1 - row.ratio * rare) / (1 - rare)  # ratio of the other actions
        one, two, three = importance_sampling.VALUES
        second = rare * (row.ratio * one) ** 2
        second += (1 - rare) / 2 * rest**2 * (two**2 + three**2)
        variance = second - row.target**2
        assert row.variance == pytest.approx(variance / importance_sampling.SAMPLES)
        assert row.effective_sample_size == pytest.approx(
            1 / (rare * row.ratio**2 + (1 - rare) * rest**2)
        )
    assert rows.variance[rows.ratio == 1].item() == rows.fresh_variance[rows.ratio == 1].item()
    assert (rows.variance / rows.fresh_variance)[rows.ratio == 100].item() > 190


@pytest.fixture(scope="module")
def updates(made: Made) -> pd.DataFrame:
    table = pd.read_csv(made(two_actions))
    assert list(table) == two_actions.COLUMNS
    return table


BATCH = ["lucky", "unlucky", "better"]


def test_n1_every_batch_is_there_with_its_probability(updates: pd.DataFrame) -> None:
    for _, rows in updates.groupby(["method", "setting"]):
        assert rows.probability.sum() == pytest.approx(1, abs=1e-12)
        assert (rows[BATCH].sum(axis=1) == 4).all() and not rows.duplicated(BATCH).any()
        assert (rows.lucky * rows.probability).sum() == pytest.approx(4 * 0.6 * 0.2)
        assert (rows.better * rows.probability).sum() == pytest.approx(4 * 0.4)


def test_n1_one_step_of_naive_policy_gradient_in_closed_form(updates: pd.DataFrame) -> None:
    """The log odds move by α times the mean of Â·(1[worse] − 0.6) − Â·(1[better] − 0.4)."""
    for row in updates[updates.method == "vpg"].itertuples():
        on_worse = 0.68 * row.lucky - 0.32 * row.unlucky
        odds = (
            math.log(0.6 / 0.4)
            + row.setting * (2 * 0.4 * on_worse - 2 * 0.6 * 0.18 * row.better) / 4
        )
        worse = 1 / (1 + math.exp(-odds))
        assert row.worse_after == pytest.approx(worse, rel=1e-9)
        other = 1 / (1 + math.exp(odds))
        kl = 0.6 * math.log(0.6 / worse) + 0.4 * math.log(0.4 / other)
        assert row.kl == pytest.approx(kl, rel=1e-6, abs=1e-12)


def test_n1_the_clip_does_not_bound_the_first_step_and_stops_later_ones(
    updates: pd.DataFrame,
) -> None:
    of = {name: rows.reset_index(drop=True) for name, rows in updates.groupby("method")}
    assert of["ppo_first_step"].worse_after.equals(of["vpg"].worse_after)
    assert (of["reuse"].worse_after - of["vpg"].worse_after).abs().max() > 0.1
    # A single kind of sample: PPO stops once its ratio is past 1 + ε, the other goes on.
    lucky = (of["ppo"].lucky == 4) & (of["ppo"].setting == 1.0)
    assert of["reuse"].worse_after[lucky].item() > 0.95
    assert 0.6 * 1.2 < of["ppo"].worse_after[lucky].item() < 0.75


def test_n1_trpo_keeps_its_bound_and_comes_near_it(updates: pd.DataFrame) -> None:
    rows = updates[updates.method == "trpo"]
    assert sorted(rows.setting.unique()) == list(two_actions.MAX_KLS)
    share = rows.kl / rows.setting
    assert (share <= 1).all() and share.min() > 0.5
    # Towards what paid more than was expected.
    gain = 0.8 * (0.68 * rows.lucky - 0.32 * rows.unlucky) - 1.2 * 0.18 * rows.better
    assert ((rows.worse_after - 0.6) * gain > 0).all()


def test_c8_the_clip_is_a_penalty_on_the_kl_of_each_sample(made: Made) -> None:
    table = pd.read_csv(made(kl_per_sample))
    assert len(table) == 5 * 2 * (400 - 1)  # without the kink
    flat = (table.ratio - 1) * table.advantage > table.epsilon
    by_hand = table.ratio * table.advantage * ~flat
    for column in ("clipped_gradient", "k1_gradient", "k3_gradient"):
        assert table[column].tolist() == pytest.approx(by_hand.tolist(), abs=1e-12)
    found = table.set_index(["epsilon", "advantage", "ratio"]).loc[0.2]
    # Next to the edge β jumps to nearly (1 ± ε)/ε with k3; it is 2 at r = 2 and 1 at r = 0.5.
    by_case = {(1, 1.205): 1.205 / 0.205, (1, 2): 2, (-1, 0.795): 0.795 / 0.205, (-1, 0.5): 1}
    for case, beta in by_case.items():
        assert found.k3_coefficient[case] == pytest.approx(beta, rel=1e-9)
        assert found.k1_coefficient[case] == pytest.approx(-case[0] * case[1], rel=1e-12)
    for column in ("k1_coefficient", "k3_coefficient"):
        assert not table[column][~flat].any()


def entropy(rare: float) -> float:
    return -rare * math.log(rare) - (1 - rare) * math.log(1 - rare)


@pytest.mark.parametrize(
    ("clip", "low", "high"), [("none", 0, 99), ("low", 0.8, 99), ("both", 0.8, 1.2)]
)
def test_c7_entropy_by_plain_arithmetic(clip: str, low: float, high: float, made: Made) -> None:
    table = pd.read_csv(made(entropy_bias)).set_index(["rare", "step_size", "clip"])
    assert len(table) == 5 * 5 * 4
    rare, step_size = 0.2, 0.5
    expected = 0.0
    # The odds of the rare action move by α·(∂ log π/∂ its logit − ∂ log π/∂ the other's).
    for samples in itertools.product(((0, 1), (0, -1), (1, 1), (1, -1)), repeat=4):
        p = rare
        for _ in range(10):
            slope = 0.0
            for action, advantage in samples:
                ratio = (p, 1 - p)[action] / (rare, 1 - rare)[action]
                flat = ratio > high if advantage > 0 else ratio < low
                push = 2 * (1 - p) if action == 0 else -2 * p
                slope += 0 if flat else advantage * ratio * push / 4
            p = 1 / (1 + (1 - p) / p * math.exp(-step_size * slope))
        likely = math.prod((rare, 1 - rare)[action] / 2 for action, _ in samples)
        expected += likely * (entropy(p) - entropy(rare))
    found = table.loc[(rare, step_size, clip)]
    assert found.entropy_change == pytest.approx(expected, rel=1e-9)
    assert found.entropy == pytest.approx(entropy(rare), rel=1e-12)


@pytest.mark.parametrize(
    "probe",
    [
        clipped_objective,
        entropy_bias,
        importance_sampling,
        kl_per_sample,
        two_actions,
        code_size,
    ],
)
def test_the_same_bytes_every_time(probe: ModuleType, made: Made, tmp_path: Path) -> None:
    again = tmp_path / "again.csv"
    probe.main([str(again)])
    assert again.read_bytes() == made(probe).read_bytes()


ONE_FILE = [[], ["a.csv", "a.manifest.json", "paper2017"]]
TWO_FILES = [[], ["a.csv"], ["a.csv", "b.csv", "c.json"]]


@pytest.mark.parametrize(
    ("probe", "arguments"),
    [
        *itertools.product(PROBES, ONE_FILE),
        *((update_anatomy, arguments) for arguments in TWO_FILES),
    ],
)
def test_wrong_arguments_write_nothing(
    probe: ModuleType,
    arguments: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert probe.main(arguments) == 2
    assert not list(tmp_path.iterdir())
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and "usage: python -m replicate.probes." in line


def test_what_cannot_be_written_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Before anything is computed: some probes take an hour."""
    (tmp_path / "file").write_text("")
    out = str(tmp_path / "file" / "out.csv")
    for probe, arguments in ((update_cost, [out]), (update_anatomy, [str(tmp_path / "a"), out])):
        assert probe.main(arguments) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"error: {tmp_path}/file: ")


def test_untrained_policies_are_as_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    """u = 0 of every figure and verdict; without clipped actions Reacher's would be near −110."""
    monkeypatch.setattr(untrained, "ENV_STEPS", 1_000)
    stored = pd.read_csv("results/reference/untrained.csv").set_index("env").loc["reacher"]
    row = untrained.untrained("reacher")
    assert row is not None
    measured = dict(zip(untrained.COLUMNS, row, strict=True))
    error = float(measured["standard_error"])
    assert abs(float(measured["untrained"]) - stored.untrained) < 4 * error < 15


def test_an_environment_without_an_end_does_not_keep_others_from_being_measured(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(untrained, "options", lambda group: ["half_cheetah", "reacher"])
    monkeypatch.setattr(untrained, "ENV_STEPS", 100)
    (row,) = untrained.every_environment()
    assert row[0] == "reacher"
    assert "left out: conf/env/half_cheetah.yaml: no episode ends" in capsys.readouterr().err


def test_a_probe_lists_what_it_wrote(tmp_path: Path) -> None:
    out, listed = tmp_path / "out.csv", tmp_path / "out.manifest.json"
    assert importance_sampling.main([str(out), str(listed)]) == 0
    assert json.loads(listed.read_text()) == {"out.csv": sha256(out)}
