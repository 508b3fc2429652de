"""The simulation of wrong verdicts: its noise is that of the runs, its truths are what they say."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from analysis.claims.configuration import load_claims, load_ledger
from analysis.claims.error_rates import (
    COLUMNS,
    LEARNT,
    Noise,
    Scenario,
    World,
    main,
    noise_of,
    row,
    scenarios,
    verdicts,
)
from analysis.claims.ledger import CONTRADICTED, SUPPORTED
from analysis.claims.rules import evidence_of
from tests.analysis.claims.worlds import around, world
from tests.analysis.made_up import PAPER, list_beside

CLAIMS, SETTINGS = load_claims(), load_ledger()
ENVS = ("hopper", "walker2d", "swimmer")
DIFFERENCES = ("above", "not below", "within")


def normal(sd: float) -> dict[str, Noise]:
    rng = np.random.default_rng(0)
    return {env: Noise(sd * rng.standard_normal((2000, 6)), np.zeros(2000)) for env in ENVS}


def scenario(claim: str, truth: str) -> Scenario:
    (only,) = [s for s in scenarios(CLAIMS) if s.claim == claim and s.truth.startswith(truth)]
    return only


def measures(sd: float = 0.1) -> pd.DataFrame:
    means = {"clip_0.1": 0.2, "clip_0.2": 0.7}
    data = world("epsilon", tuple(means), 10, u=around(means, sd), early_u=around(means, sd))
    return data.measures["epsilon"].assign(study="epsilon")


def test_residuals_have_the_spread_of_the_runs_and_not_their_means() -> None:
    table = measures()
    table.loc[table.env == "swimmer", "u"] = np.nan  # no published scale, no noise in u
    residuals = noise_of(table)
    assert list(residuals) == [env for env in PAPER if env != "swimmer"]
    pooled = np.concatenate([noise.residuals[:, 0] for noise in residuals.values()])
    assert pooled.mean() == pytest.approx(0, abs=1e-12)
    assert pooled.std() == pytest.approx(0.1, rel=0.15)
    assert all(len(noise.residuals) == 20 for noise in residuals.values())


def test_a_drawn_world_is_its_truth_plus_noise() -> None:
    drawn = World(CLAIMS["P1"], normal(0.01), 400).draw(
        scenario("P1", "PPO is worse by just the margin under one"), np.random.default_rng(0)
    )
    means = {
        name: table.groupby("variant").u.mean().round(2).to_dict()
        for name, table in drawn.measures.items()
    }
    assert means["comparison"]["trpo"] - means["comparison"]["ppo"] == pytest.approx(0.1)
    assert means["comparison_modern"]["trpo"] == means["comparison_modern"]["ppo"] == LEARNT


KL_FACTOR, RATIO_FACTOR, STEP_FACTOR = np.log(2), np.log(2), np.log(1.25)
TRUTHS = {
    ("E1", "three steps change KL"): {"step_1": 1, "step_2": 1, "step_3": 0, "step_4": 1},
    ("E1", "steps of just the margin"): {f"step_{k}": STEP_FACTOR for k in (1, 2, 3, 4)},
    ("E2", "ε = 0.3 is as fast"): {"whole": 0.2, "step_3": 0, "fast": 0},
    ("E2", "ε = 0.5 is slower"): {"whole": 0.3, "step_3": 0.1, "fast": -0.05},
    ("E5", "one setting is as good"): {"against_clip_0.3": 0, "against_fixed_kl_1": 1},
    ("E5", "ε = 0.2 is better"): {"against_clip_0.1": 0.1, "against_no_clipping": 0.1},
    ("C5", "the clip is worth nothing under"): {"paper2017": 1, "modern": 0, "kl": 1},
    ("C5", "all effects"): {"paper2017": 0.1, "modern": 0.1, "kl": KL_FACTOR},
    ("P1", "PPO is worse by just the margin under both"): {"paper2017": -0.1, "modern": -0.1},
    ("P1", "PPO is worse by just the margin under one"): {"paper2017": -0.1, "modern": 0},
    ("C3", "all effects"): {"ratio": RATIO_FACTOR, "final": 0.1},
    ("C6", "SPO's ratios"): {"ratio": 1, "final": -0.1},
    ("C10", "no clip is worse"): {"own": -0.1},
    ("E6", "ε = 0.05 is slower"): {"speed": 0.1, "end_0_05": -0.1, "end_0_3": 0, "end_0_5": 0},
    ("S1", "an ε that falls is better"): {"linear_to_0": 0.1, "linear_to_0_05_best": 0.1},
    ("S2", "all effects"): {"gain": 0.1, "harm": 0.1},
    ("S3", "a target keeps"): {"kl_tight": 1, "final_tight": -0.1, "final_loose": -0.1},
    ("T3", "more exact is better"): {"cg": -0.1, "damping": 0, "data": 0},
}
"""What parts are, by the words of a truth; where nothing differs, all are 0."""


@pytest.mark.parametrize("case", scenarios(CLAIMS), ids=lambda case: f"{case.claim} {case.truth}")
def test_a_truth_is_what_its_words_say(case: Scenario) -> None:
    claim = CLAIMS[case.claim]
    drawn = World(claim, normal(0.0), 4).draw(case, np.random.default_rng(0))
    evidence = evidence_of(claim, drawn)
    assert evidence is not None
    parts = {each.key: each.estimate for each in evidence.parts if each.aim in DIFFERENCES}
    meant = [
        numbers
        for (name, words), numbers in TRUTHS.items()
        if name == case.claim and case.truth.startswith(words)
    ]
    assert len(meant) == bool(case.u or case.log)
    for key, number in (meant[0] if meant else dict.fromkeys(parts, 0.0)).items():
        estimate = parts[key]
        assert estimate is not None and estimate.value == pytest.approx(number, abs=1e-9), key


def error(claim: str, truth: str, sd: float, seeds: int = 5, data_sets: int = 100) -> float:
    case = scenario(claim, truth)
    counts = verdicts(case, CLAIMS[claim], SETTINGS, normal(sd), seeds, data_sets)
    assert sum(counts.values()) == data_sets
    return float(str(row(case, counts, 3, seeds)[-1]))


@pytest.mark.parametrize(
    ("claim", "truth"),
    [
        ("P1", "PPO is worse by just the margin under both"),
        ("E1", "no step changes KL"),
        ("C10", "no clip is worse by just the margin"),
        ("S3", "a target keeps KL down and costs just the margin"),
    ],
)
def test_errors_keep_their_level(claim: str, truth: str) -> None:
    assert error(claim, truth, 0.3) < 0.05 + 3 * 0.022  # three standard errors


def test_the_table_of_the_repository_is_of_todays_scenarios() -> None:
    stored = pd.read_csv("results/reference/error_rates.csv")
    today = {(case.claim, case.truth) for case in scenarios(CLAIMS)}
    assert set(zip(stored.claim, stored.truth, strict=True)) == today


def test_an_error_would_be_seen() -> None:
    """A ledger that calls everything supported is wrong in all data sets."""
    generous = SETTINGS.model_copy(update={"alpha": 0.49, "learnt_u": 0.01})
    case = scenario("P1", "PPO is worse by just the margin under both")
    claim = CLAIMS["P1"].model_copy(update={"margins": {"u": 5.0}})
    counts = verdicts(case, claim, generous, normal(0.02), 5, 20)
    assert counts[SUPPORTED] == 20 and counts[CONTRADICTED] == 0
    assert row(case, counts, 3, 5)[-1] == "1.000"


def test_the_table_is_the_same_every_time(tmp_path: Path) -> None:
    measures().to_csv(tmp_path / "epsilon.csv", index=False)
    list_beside(tmp_path / "epsilon.csv")
    files = [tmp_path / "a.csv", tmp_path / "b.csv"]
    for file in files:
        assert main([str(file), str(tmp_path / "epsilon.csv")], data_sets=1) == 0
    assert files[0].read_bytes() == files[1].read_bytes()
    table = pd.read_csv(files[0])
    assert list(table) == COLUMNS and set(table.seeds) == {3, 5, 10}
    assert set(table.claim) == {case.claim for case in scenarios(CLAIMS)}
    assert ((table.error >= 0) & (table.error <= 1)).all() and (table.environments == 7).all()


def test_runs_without_a_second_seed_are_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    measures().query("seed == 0").to_csv(tmp_path / "epsilon.csv", index=False)
    list_beside(tmp_path / "epsilon.csv")
    assert main([str(tmp_path / "out.csv"), str(tmp_path / "epsilon.csv")]) == 2
    assert main([str(tmp_path / "out.csv")]) == 2
    assert [line[:6] for line in capsys.readouterr().err.splitlines()] == ["error:"] * 2


@pytest.mark.parametrize("content", ["", "a,b\n1,2\n"])
def test_a_table_that_is_no_measures_of_ours_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], content: str
) -> None:
    (tmp_path / "foreign.csv").write_text(content)
    assert main([str(tmp_path / "out.csv"), str(tmp_path / "foreign.csv")]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and "foreign.csv" in line
    assert not (tmp_path / "out.csv").exists()
