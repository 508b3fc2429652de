"""The decisions of the gate on made-up returns, its file of baselines, and ``accept``."""

import json
import re
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis import manifest
from replicate.interface import compose
from replicate.messages import ConfigError
from replicate.store.files import MANIFEST, write_atomically
from replicate.store.software import CONF
from tests.regression import accept, baselines, false_alarms
from tests.regression.baselines import BASELINES
from tests.regression.cells import Cell, Sample, mean_over_training, read_design, seeds_of
from tests.regression.gate import found_drop, judge, p_value, table

DESIGN = read_design()
CURRENT, LAST = DESIGN.current_seeds, seeds_of(DESIGN.cells[0], DESIGN.baseline_seeds)[-1]


def samples(
    generator: np.random.Generator, seeds: int = 10, mean: float = 400
) -> dict[str, Sample]:
    return {c.name: dict(enumerate(generator.normal(mean, 50, seeds))) for c in DESIGN.cells}


def test_the_design_is_two_independent_samples_of_six_cells() -> None:
    assert len(DESIGN.cells) == 6
    for cell in DESIGN.cells:
        old, new = (
            {run.seed for run in compose(*cell.overrides, f"seed={seeds}")}
            for seeds in (DESIGN.baseline_seeds, DESIGN.current_seeds)
        )
        assert len(old) == 30 and len(new) == 10 and not old & new


def test_the_number_of_a_run_is_the_mean_of_its_bins_not_of_its_episodes() -> None:
    episodes = pd.DataFrame(
        {
            "env_step": [10, 20, 30, 4000, 100, 4096],
            "episodic_return": [1.0, 2.0, 3.0, 10.0, 4.0, 20.0],
            "env": "a",
            "variant": "b",
            "seed": [0, 0, 0, 0, 1, 1],
        }
    )
    assert mean_over_training(episodes, [0, 1], 4096) == {0: 6.0, 1: 12.0}


def test_what_a_diverged_run_did_not_do_counts_as_the_worst() -> None:
    """Seed 1 lost its second bin, seed 2 ended no episode."""
    episodes = pd.DataFrame(
        {
            "env_step": [10, 4000, 10],
            "episodic_return": [2.0, 10.0, 8.0],
            "env": "a",
            "variant": "b",
            "seed": [0, 0, 1],
        }
    )
    assert mean_over_training(episodes, range(3), 4096) == {0: 6.0, 1: 5.0, 2: 2.0}
    with pytest.raises(ValueError, match="no run finished an episode"):
        mean_over_training(episodes.iloc[:0], range(3), 4096)


def test_one_lowered_cell_fails_and_only_that_one() -> None:
    generator = np.random.default_rng(1)
    old, new = samples(generator), samples(generator)
    assert not any(verdict.worse for verdict in judge(DESIGN, old, new))
    name = DESIGN.cells[4].name
    new[name] = {seed: value - 150 for seed, value in new[name].items()}
    verdicts = judge(DESIGN, old, new)
    assert [verdict.cell.name for verdict in verdicts if verdict.worse] == [name]
    assert verdicts[4].effect.high < 0


def test_the_drop_that_is_found_is_found_four_times_in_five() -> None:
    """By simulation, for a rate that few splits can show."""
    generator = np.random.default_rng(5)
    unit = np.array([-1.0, 1.0] * 15)
    drop = 2.0 * found_drop(unit / unit.std(ddof=1), 10, rate=0.02)
    hits = sum(
        p_value(generator.normal(0, 2, 30), generator.normal(-drop, 2, 10), generator, 499) <= 0.02
        for _ in range(400)
    )
    assert hits / 400 == pytest.approx(0.8, abs=0.06)


def test_better_returns_pass() -> None:
    generator = np.random.default_rng(2)
    verdicts = judge(DESIGN, samples(generator), samples(generator, mean=600))
    assert not any(verdict.worse for verdict in verdicts)
    assert all(verdict.effect.low > 0 for verdict in verdicts)


def test_false_alarms_of_the_whole_gate_are_as_rare_as_it_says() -> None:
    """5 v 5 (252 splits, to be quick) at 5 %: by chance alone more than 32 of 400 fail once in 300.

    The bound holds for any distribution; these have the same one.
    """
    generator = np.random.default_rng(3)
    design = replace(DESIGN, false_alarm_rate=0.05)
    alarms = sum(
        any(v.worse for v in judge(design, samples(generator, 5), samples(generator, 5)))
        for _ in range(400)
    )
    assert 0 < alarms <= 32


def test_false_alarms_where_only_the_mean_is_as_before_are_as_rare_as_the_table_says() -> None:
    stored = pd.read_csv(BASELINES.parent / "false_alarms.csv").set_index(["baseline", "current"])
    assert list(stored.index) == list(false_alarms.CASES)
    same = stored.gate[[key for key in stored.index if key[1] == "the same"]]
    assert (same <= 0.01 + 3 * stored.monte_carlo_error.max()).all()
    # A cell at 5 %, for a rate that a few data sets can show.
    for names, bound in {
        ("normal", "twice the spread"): 0.07,
        ("normal", "the same"): 0.06,
    }.items():
        old, new = false_alarms.CASES[names]
        rate = false_alarms.alarm_rate(old, new, 0.05, np.random.default_rng(0), 400)
        assert rate < bound + 0.02
    # What results/README.md and the gate say.
    told = {"twice the spread": 1, "four times the spread": 1, "skewed right": 3}
    assert {name: round(100 * stored.gate["normal", name]) for name in told} == told
    assert round(100 * stored.gate["skewed right", "twice the spread"]) == 11
    assert stored.gate["skewed left", "twice the spread"] < stored.gate["normal", "the same"]


def test_the_table_has_a_line_per_cell_with_effect_interval_and_verdict() -> None:
    generator = np.random.default_rng(4)
    verdicts = judge(DESIGN, samples(generator), samples(generator, mean=200))
    header, *lines = table(DESIGN, verdicts).splitlines()
    assert re.split(r"\s{2,}", header) == [
        *("environment", "algorithm", "baseline", "current", "effect", "95% interval"),
        *("found drop", "p", "Holm", "verdict"),
    ]
    for line, verdict in zip(lines[: len(verdicts)], verdicts, strict=True):
        cells = re.split(r"\s{2,}", line)
        assert cells[:3] == [verdict.cell.env, verdict.cell.variant, f"{verdict.baseline:.1f}"]
        assert float(cells[4]) == pytest.approx(verdict.current - verdict.baseline, abs=0.051)
        drop, share = cells[6].split(" ")
        assert float(drop) == pytest.approx(verdict.found_drop, abs=0.051)
        assert share == f"({verdict.found_drop / verdict.baseline:.0%})"
        assert cells[9] == "WORSE"


def test_the_committed_baselines_are_those_of_the_design() -> None:
    stored = baselines.read(baselines.BASELINES)
    baselines.check_design(stored, DESIGN)
    for name, cell in stored.cells.items():
        mean = np.mean([*cell.returns.values()])
        assert len(cell.returns) == 30 and mean == pytest.approx(stored.history[-1].means[name])


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (None, "no baselines in"),
        ("{", "corrupt"),
        ("[]", "corrupt"),
        ('{"cells": {}, "history": []}', "corrupt (history"),
        ('{"cells": {"a": {"overrides": [], "returns": {"0": 1, "1": null}}}}', "returns.1"),
    ],
)
def test_bad_baselines_are_one_line(tmp_path: Path, content: str | None, expected: str) -> None:
    path = tmp_path / "baselines.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(baselines.BaselineError) as error:
        baselines.read(path)
    assert expected in str(error.value) and "\n" not in str(error.value)


def test_baselines_of_other_seeds_are_one_line() -> None:
    stored = baselines.read(baselines.BASELINES)
    name = DESIGN.cells[0].name
    del stored.cells[name].returns[LAST]
    with pytest.raises(baselines.BaselineError, match=f"^{name}: not the seeds .* from git$"):
        baselines.check_design(stored, DESIGN)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("envs: [cart_pole, inverted_pendulum]", "envs: []", "envs"),
        ("envs: [cart_pole,", "envs: [cart_pol,", "did you mean 'cart_pole'?"),
        ("envs: [cart_pole,", "envs: [cart_pole, cart_pole,", "named twice"),
        ("false_alarm_rate: 0.01", "false_alarm_rate: -1", "must be greater than 0"),
        ("false_alarm_rate: 0.01", "false_alarm_rate: 2", "must be less than 1"),
        ("false_alarm_rate: 0.01", "false_alarm_rate: x", "false_alarm_rate: 'x'"),
        ("interval_level: 0.95", "interval_level: 95", "must be less than 1"),
        ("false_alarm_rate:", "false_alarm_rat:", "false_alarm_rat: unknown key"),
        (CURRENT, f"range({LAST},{LAST + 2})", f"{LAST} is one of baseline_seeds"),
        (CURRENT, "range(1000,1001)", "at least two"),
        (CURRENT, "range(1001,1000)", "no value in it"),
        ("trpo: [algo=trpo,", "trpo: [algo=trop,", "did you mean 'trpo'?"),
        ("variants:", "variants: {}\nothers:", "others: unknown key"),
        ("overrides: [recipe=modern", "\toverrides: [recipe=modern", "cannot be read"),
    ],
)
def test_a_wrong_design_is_one_line_before_anything_is_trained(
    tmp_path: Path, old: str, new: str, expected: str
) -> None:
    text = (CONF / "regression.yaml").read_text()
    assert old in text
    (tmp_path / "regression.yaml").write_text(text.replace(old, new, 1))
    with pytest.raises(ConfigError, match=re.escape(expected)) as error:
        read_design(tmp_path / "regression.yaml")
    assert "regression.yaml: " in str(error.value) and "\n" not in str(error.value)


def test_baselines_of_another_design_are_one_line() -> None:
    stored = baselines.read(baselines.BASELINES)
    longer = replace(DESIGN.cells[0], overrides=("total_env_steps=40960",))
    for cell in (longer, replace(longer, variant="a2c")):
        with pytest.raises(baselines.BaselineError, match=f"^{cell.name}: .*make accept.*$"):
            baselines.check_design(stored, replace(DESIGN, cells=(cell,)))
    with pytest.raises(baselines.BaselineError, match="other overrides"):
        baselines.check_design(stored, replace(DESIGN, baseline_seeds="range(5,15)"))


class Measured:
    """Instead of training: normal returns, those of the baseline's seeds ``luck`` higher."""

    def __init__(self, luck: float = 0) -> None:
        self.generator = np.random.default_rng(5)
        self.luck = luck

    def __call__(self, cells: Iterable[Cell], seeds: str) -> dict[str, Sample]:
        luck = self.luck if seeds == DESIGN.baseline_seeds else 0
        samples = {}
        for cell in cells:
            chosen = seeds_of(cell, seeds)
            returns = self.generator.normal(400 + luck, 50, len(chosen))
            samples[cell.name] = dict(zip(chosen, returns, strict=True))
        return samples


def test_accept_renews_and_keeps_the_history(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "folder" / "baselines.json"
    write_atomically(path, b"to be listed")
    manifest.update(tmp_path, [path])
    path.unlink()
    for reason in ("first", 'the "second"'):
        assert accept.main(["--reason", reason], path, Measured()) == 0
    stored = baselines.read(path)
    baselines.check_design(stored, DESIGN)
    assert [entry.reason for entry in stored.history] == ["first", 'the "second"']
    assert all(
        entry.who and entry.date and entry.provenance["versions"] for entry in stored.history
    )
    mean = stored.history[0].means[DESIGN.cells[0].name]
    printed = capsys.readouterr().out
    assert f"none → {mean:.1f}" in printed and f"{mean:.1f} → {mean:.1f}" in printed
    text = path.read_text()
    assert text == json.dumps(json.loads(text), indent=2, sort_keys=True) + "\n"
    manifest.verify(tmp_path / MANIFEST, [path])


@pytest.mark.parametrize("arguments", [[], ["--reason", ""], ["--reason", "  "]])
def test_accept_without_a_reason_changes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    path = tmp_path / "baselines.json"
    assert accept.main(arguments, path, Measured()) == 2
    assert not path.exists()
    assert re.fullmatch("error: a reason is needed.*\n", capsys.readouterr().err)


def test_accept_refuses_lucky_baselines_and_a_corrupt_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "baselines.json"
    assert accept.main(["--reason", "lucky"], path, Measured(luck=200)) == 1
    assert not path.exists() and "lucky" in capsys.readouterr().err
    path.write_text("{")
    assert accept.main(["--reason", "corrupt"], path, Measured()) == 2
    assert path.read_text() == "{" and "corrupt" in capsys.readouterr().err
