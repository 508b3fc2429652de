"""Numbers of the tables and figures on studies with known answers."""

from math import inf, isnan, log, nan
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis import summaries
from analysis.run_statistics import redrawn_statistic
from analysis.significance import holm
from analysis.study import Study, env_labels
from analysis.summaries import epsilon, matrix, table1
from analysis.tables import differences, finals
from tests.analysis import made_up

TWO = {"hopper": "Hopper-v5", "reacher": "Reacher-v5"}
PUBLISHED = {"no clipping or penalty": -0.39, "clipping epsilon=0.2": 0.82}


def generator() -> np.random.Generator:
    return np.random.default_rng(0)


def row(table: pd.DataFrame, **keys: object) -> pd.Series:
    for key, value in keys.items():
        table = table[table[key] == value]
    assert len(table) == 1
    return table.iloc[0]


def test_the_matrix_is_in_the_order_of_the_plan_whatever_the_order_of_the_rows(
    tmp_path: Path,
) -> None:
    study = made_up.study(tmp_path, made_up.TABLE1, TWO, seeds=2)
    places = {"hopper": 100, "reacher": 200, "no_clipping": 0, "clip_0.1": 10, "clip_0.2": 20}
    measures = made_up.measures(study, lambda e, v, s: places[e] + places[v] + s)
    matrices = summaries.matrix(study, measures.sample(frac=1, random_state=0), "final", study.envs)
    assert matrices[0].tolist() == [[100, 101], [110, 111], [120, 121]]
    assert matrices[1].tolist() == [[200, 201], [210, 211], [220, 221]]


def test_u_is_held_at_minus_one_and_how_often_is_said(tmp_path: Path) -> None:
    study = made_up.study(tmp_path, made_up.TABLE1, TWO)
    measures = made_up.measures(study, lambda e, v, s: -700.0 if s == 0 else 50.0)
    assert summaries.held_u(study, measures, study.envs).min() == -1
    assert "as in 6 runs" in summaries.scale_text(study, measures)
    measures = measures.assign(u=measures.u.mask(measures.env == "reacher"))
    assert summaries.scaled_envs(study, measures) == ["hopper"]
    assert summaries.scale_text(study, measures).endswith("left out: Reacher-v5.")


def test_two_configurations_of_one_environment_have_names_of_their_own(tmp_path: Path) -> None:
    envs = {"hopper": "Hopper-v5", "slippery": "Hopper-v5", "reacher": "Reacher-v5"}
    study = made_up.study(tmp_path, made_up.TABLE1, envs)
    assert study.env_labels == {
        "hopper": "Hopper-v5 (hopper)",
        "slippery": "Hopper-v5 (slippery)",
        "reacher": "Reacher-v5",
    }
    assert set(study.on("slippery").episodes.env) == {"slippery"}
    assert study.on("slippery").env_labels == {"slippery": "Hopper-v5 (slippery)"}
    # What one study alone has, the others' labels tell apart, too.
    plain = made_up.study(tmp_path / "plain", made_up.TABLE1, TWO)
    for studies in ([study, plain], [plain, study]):
        assert env_labels(studies)["hopper"] == "Hopper-v5 (hopper)"


# -------------------------------------------------------------------------------- the final returns


def test_finals_show_every_seed_and_what_happened(tmp_path: Path) -> None:
    study = made_up.study(tmp_path, made_up.TABLE1, TWO)
    measures = made_up.measures(
        study,
        lambda e, v, s: [1.0, 2.0, 6.0][s],
        final_episodes=lambda e, v, s: 10 + s,
        collapsed=lambda e, v, s: s == 0,
        diverged=lambda e, v, s: s == 2,
    )
    shown = row(finals.summary(study, measures), env="reacher", variant="clip_0.1")
    low, high = stats.t.interval(0.95, 2, 3, stats.sem([1, 2, 6]))
    assert (shown["mean"], shown.mean_low, shown.mean_high) == pytest.approx((3, low, high))
    assert (shown.u, shown.u_low) == pytest.approx((0.03, low / 100))
    assert shown.finals == "1 2 6"
    assert (shown.diverged, shown.collapsed, shown.ruined) == (1, 1, 0)
    assert (shown.episodes_min, shown.episodes_max) == (10, 12)


def test_without_a_scale_ruin_is_unknown_and_not_absent(tmp_path: Path) -> None:
    study = made_up.study(tmp_path, made_up.TABLE1, TWO)
    no_scale = made_up.measures(study, u=lambda e, v, s: nan if e == "reacher" else 0.5)
    table = finals.summary(study, no_scale)
    without = table[table.env == "reacher"]
    assert without[["u", "u_low", "ruined", "collapsed"]].isna().all().all()
    assert without["mean"].notna().all() and table[table.env == "hopper"].ruined.eq(0).all()
    everywhere = finals.summary(study, made_up.measures(study, u=nan))
    assert everywhere[["u", "ruined"]].isna().all().all()


def test_one_seed_has_no_interval(tmp_path: Path) -> None:
    study = made_up.study(tmp_path, made_up.TABLE1, TWO, seeds=1)
    measures = made_up.measures(study)
    table = finals.summary(study, measures)
    assert (table["mean"] == 50).all() and table.mean_low.isna().all()
    table = table1.table1_summary(study, measures, PUBLISHED, generator())
    assert table.ours.notna().all() and table.ours_low.isna().all()


# ------------------------------------------------------------------------------- the paper's table


def test_the_papers_statistic_by_hand(tmp_path: Path) -> None:
    """0 is the untrained policy and 1 the best single run of the table, whatever u is."""
    study = made_up.study(tmp_path, made_up.TABLE1, TWO)
    means = {"no_clipping": 10.0, "clip_0.1": 40.0, "clip_0.2": 60.0}
    measures = made_up.measures(
        study, lambda e, v, s: means[v] + 20 * (s - 1), untrained=10.0, reference_return=1000.0
    )
    table = table1.table1_summary(study, measures, PUBLISHED, generator())
    assert table.variant.tolist() == study.variants
    # The best run scores 80: one unit is 70.
    assert table.ours.tolist() == pytest.approx([0, 30 / 70, 50 / 70])
    assert table.best_setting.tolist() == pytest.approx([0, 30 / 50, 1])
    assert table.published[[0, 2]].tolist() == [-0.39, 0.82] and isnan(table.published[1])
    assert table.difference[2] == pytest.approx(50 / 70 - 0.82)
    # Two environments with equal variances: 2 · (3 − 1) degrees of freedom.
    half = stats.t.ppf(0.975, 4) * np.sqrt(2 * (20 / 70) ** 2 / 3) / 2
    assert table.ours_high[2] - table.ours[2] == pytest.approx(half)
    assert set(table.ours_method) == {"t"}
    assert (table.runs == 6).all() and (table.envs == 2).all() and (table.seeds == 3).all()
    assert table.reference.unique().tolist() == ["clip_0.2"]
    assert table.to_reference.tolist() == pytest.approx([-50 / 70, -20 / 70, 0])
    # What the seeds share is no uncertainty of a difference: here they share all.
    assert table.to_reference_low[:2].tolist() == pytest.approx([-50 / 70, -20 / 70])
    assert isnan(table.to_reference_low[2])


def test_an_objective_of_ones_own_is_a_row_without_a_published_number(tmp_path: Path) -> None:
    own = {**made_up.clip(0.7), "label": "my objective"}
    study = made_up.study(tmp_path, [*made_up.TABLE1, own])
    measures = made_up.measures(study, made_up.noisy(dict.fromkeys(study.variants, 50.0)))
    table = table1.table1_summary(study, measures, PUBLISHED, generator())
    shown = row(table, variant="clip_0.7")
    assert isnan(shown.published) and isnan(shown.difference)
    assert shown.ours_low < shown.ours < shown.ours_high and not isnan(shown.to_reference)


def test_without_any_published_row_there_is_no_reference(tmp_path: Path) -> None:
    study = made_up.study(tmp_path, made_up.EPSILONS, TWO)
    measures = made_up.measures(study, made_up.noisy(dict.fromkeys(study.variants, 50.0)))
    table = table1.table1_summary(study, measures, PUBLISHED, generator())
    assert table.to_reference.isna().all() and set(table.reference) == {""}


@pytest.mark.parametrize(("seeds", "redrawn"), [(2, False), (3, False), (5, True)])
def test_three_seeds_are_too_few_to_draw_three_from(
    tmp_path: Path, seeds: int, redrawn: bool
) -> None:
    study = made_up.study(tmp_path, made_up.TABLE1, TWO, seeds=seeds)
    measures = made_up.measures(study, made_up.noisy(dict.fromkeys(study.variants, 50.0)))
    table = table1.table1_summary(study, measures, PUBLISHED, generator())
    assert table.redrawn_median.notna().all() == redrawn
    assert table.iqm.notna().all() and table.iqm_low.isna().all()


def test_redrawn_scores_are_those_of_three_seeds_in_95_of_100_draws(tmp_path: Path) -> None:
    study = made_up.study(tmp_path, made_up.TABLE1, made_up.PAPER, seeds=5)
    measures = made_up.measures(study, made_up.noisy(dict.fromkeys(study.variants, 50.0), sd=20.0))
    table = table1.table1_summary(study, measures, PUBLISHED, generator())
    returns = matrix(study, measures, "score", study.envs)
    untrained = measures.groupby("env").untrained.first().loc[study.envs].to_numpy()
    drawn = redrawn_statistic(returns, untrained, generator(), 3, 20_000)
    low, median, high = np.quantile(drawn, [0.025, 0.5, 0.975], axis=0)
    assert table.redrawn_low.to_numpy() == pytest.approx(low, abs=0.01)
    assert table.redrawn_median.to_numpy() == pytest.approx(median, abs=0.01)
    assert table.redrawn_high.to_numpy() == pytest.approx(high, abs=0.01)
    assert (high - low > 0.1).all()


def test_from_ten_seeds_on_the_best_run_is_inside_the_bootstrap(tmp_path: Path) -> None:
    study = made_up.study(tmp_path, made_up.TABLE1, TWO, seeds=10)
    means = {"no_clipping": 10.0, "clip_0.1": 40.0, "clip_0.2": 60.0}
    measures = made_up.measures(study, made_up.noisy(means))
    table = table1.table1_summary(study, measures, PUBLISHED, generator())
    assert set(table.ours_method) == {"percentile bootstrap"}
    assert (table.ours_low <= table.ours).all() and (table.ours <= table.ours_high).all()
    assert (table.iqm_low < table.iqm).all() and (table.iqm < table.iqm_high).all()
    # A resample's best run is at most the best: the scores rise, and the interval leans upwards.
    best = row(table, variant="clip_0.2")
    assert best.ours_high - best.ours > best.ours - best.ours_low
    assert (table.redrawn_low < table.redrawn_high).all()
    assert (table.to_reference_high[:2] < 0).all()
    again = table1.table1_summary(study, measures, PUBLISHED, generator())
    pd.testing.assert_frame_equal(table, again)


def test_an_environment_where_nothing_learns_is_left_out_and_named(tmp_path: Path) -> None:
    study = made_up.study(tmp_path, made_up.TABLE1, TWO)
    measures = made_up.measures(study, lambda e, v, s: 50.0 + s if e == "hopper" else -1.0)
    table = table1.table1_summary(study, measures, PUBLISHED, generator())
    assert (table.envs == 1).all() and (table.runs == 3).all() and table.ours.notna().all()
    assert "no run beats no training: Reacher-v5" in table1.left_out(study, measures)
    assert table1.unlike_the_paper(study, measures)[0].startswith("1 of the paper's 7")


def test_where_nothing_learns_anywhere_the_table_is_empty_but_there(tmp_path: Path) -> None:
    study = made_up.study(tmp_path, made_up.EPSILONS, TWO)
    measures = made_up.measures(study, -1.0)
    table = table1.table1_summary(study, measures, PUBLISHED, generator())
    assert table.ours.isna().all() and table.variant.tolist() == study.variants
    assert len(table1.seed_scores(study, measures)) == 0


def test_what_differs_from_the_paper(tmp_path: Path) -> None:
    study = made_up.study(tmp_path / "a", made_up.TABLE1)
    assert table1.unlike_the_paper(study, made_up.measures(study)) == []
    envs = {"hopper": "Hopper-v5", "ant": "Ant-v5"}
    short = made_up.study(tmp_path / "b", made_up.TABLE1, envs, total_env_steps=81_920)
    assert table1.unlike_the_paper(short, made_up.measures(short)) == [
        "1 of the paper's 7 environments and 1 other",
        "81,920 env steps instead of 1,000,000",
    ]


def test_another_world_under_a_papers_id_is_not_the_papers(tmp_path: Path) -> None:
    heavy = {**made_up.PAPER, "hopper_heavy": made_up.PAPER["hopper"]}
    study = made_up.study(tmp_path, made_up.TABLE1, heavy)
    assert table1.unlike_the_paper(study, made_up.measures(study)) == [
        "7 of the paper's 7 environments and 1 other"
    ]


def test_the_published_numbers_have_the_names_of_the_study() -> None:
    from replicate.planning.studies import load_study

    names = {variant.published for variant in load_study("table1").variants.values()}
    assert names == set(table1.published_table1(summaries.published("ppo_table1")))


# ----------------------------------------------------------------------------------- the ε table


def test_update_sizes_are_geometric_means(tmp_path: Path) -> None:
    study = made_up.study(tmp_path, made_up.EPSILONS, TWO)
    kl = {"hopper": [0.001, 0.01, 0.1], "reacher": [1.0, 1.0, 1.0]}
    measures = made_up.measures(study, mean_log_kl=lambda e, v, s: log(kl[e][s]))
    table = epsilon.epsilon_summary(study, measures)
    shown = row(table, env=summaries.OVERALL, variant="clip_0.2", measure="KL(old‖new), nats")
    # One environment varies by a factor of 10 over seeds, the other not at all.
    half = stats.t.ppf(0.975, 2) * log(10) / np.sqrt(3) / 2
    bounds = (0.1, 0.1 * np.exp(-half), 0.1 * np.exp(half))
    assert (shown.estimate, shown.low, shown.high) == pytest.approx(bounds)
    assert (shown.chapter, shown.epsilon, shown.runs) == ("medium", 0.2, 6)
    hopper = row(table, env="hopper", variant="clip_0.2", measure="KL(old‖new), nats")
    assert hopper.estimate == pytest.approx(0.01) and hopper.low > 0
    unclipped = table[table.variant == "no_clipping"]
    assert unclipped.epsilon.isna().all() and set(unclipped.chapter) == {""}


def test_times_are_medians_of_one_environment_with_how_many_got_there(tmp_path: Path) -> None:
    study = made_up.study(tmp_path, made_up.EPSILONS, TWO)
    steps = {"clip_0.05": [inf, inf, 5.0], "clip_0.1": [inf, 7.0, 5.0]}
    measures = made_up.measures(
        study, steps_to_half=lambda e, v, s: steps.get(v, [1.0, 2.0, 3.0])[s]
    )
    table = epsilon.epsilon_summary(study, measures)
    table = table[table.measure == "env steps to u = 0.5"]
    slow, slower = (row(table, env="hopper", variant=f"clip_{e}") for e in ("0.1", "0.05"))
    assert (slow.estimate, slow.hits) == (7.0, 2) and (slower.estimate, slower.hits) == (inf, 1)
    pooled = row(table, env=summaries.OVERALL, variant="clip_0.1")
    assert isnan(pooled.estimate) and (pooled.hits, pooled.runs) == (4, 6)


def test_shares_are_of_runs_with_a_scale_and_exact(tmp_path: Path) -> None:
    envs = {"a": "A-v5", "b": "B-v5"}
    study = made_up.study(tmp_path, made_up.EPSILONS, envs)
    measures = made_up.measures(
        study,
        u=lambda e, v, s: nan if e == "a" else 0.5,
        collapsed=lambda e, v, s: s == 0,
        ruined=lambda e, v, s: s < 2,
    )
    table = epsilon.epsilon_summary(study, measures)
    table = table[(table.measure == "ruined or collapsed") & (table.variant == "clip_0.2")]
    assert table.set_index("env").runs.to_dict() == {"all environments": 3, "a": 0, "b": 3}
    shown = row(table, env="b")
    expected = stats.binomtest(2, 3).proportion_ci(0.95, method="exact")
    assert shown.hits == 2
    assert (shown.low, shown.high) == pytest.approx(tuple(expected))


def test_spread_and_fall_are_relative_to_the_level_reached(tmp_path: Path) -> None:
    study = made_up.study(tmp_path, made_up.EPSILONS, TWO)
    measures = made_up.measures(
        study,
        u=lambda e, v, s: 0.4 + 0.1 * s if e == "hopper" else 0.0,
        peak_u=lambda e, v, s: 0.5 if e == "hopper" else 0.0,
        drawdown=lambda e, v, s: 0.25 if e == "hopper" else 0.01,
    )
    table = epsilon.epsilon_summary(study, measures)
    table = table[(table.env == summaries.OVERALL) & (table.variant == "clip_0.2")]
    # Hopper: 0.1 / 0.5; Reacher reached nothing, and 0.05 counts as reached.
    assert row(table, measure="spread over seeds / level").estimate == pytest.approx(0.1)
    assert row(table, measure="largest fall / level").estimate == pytest.approx((0.5 + 0.2) / 2)


def trends_of(tmp_path: Path, **columns: object) -> pd.DataFrame:
    study = made_up.study(tmp_path, made_up.EPSILONS[::-1])
    return epsilon.epsilon_trends(study, made_up.measures(study, **columns), generator())


def test_the_claimed_order_is_found_whatever_the_order_of_the_plan(tmp_path: Path) -> None:
    epsilons = {f"clip_{e:g}": e for e in made_up.WIDTHS} | {"no_clipping": -1.0}
    table = trends_of(
        tmp_path,
        mean_log_kl=lambda e, v, s: 2 * epsilons[v],
        steps_to_half=lambda e, v, s: inf if v == "clip_0.05" else 1 / epsilons[v],
        early_u=lambda e, v, s: -epsilons[v],
        u=lambda e, v, s: 0.5 + epsilons[v] * s,
    )
    kl, steps = row(table, measure="KL(old‖new), nats"), row(table, measure="env steps to u = 0.5")
    assert kl.tau == 1 and kl.claim == "rises" and kl.p_value == 1e-4 and kl.blocks == 21
    assert steps.tau == 1 and steps.claim == "falls"
    early = row(table, measure="u, first quarter")
    assert early.tau == -1 and early.p_value > 0.99
    spread = row(table, measure="spread over seeds / level")
    assert spread.tau == 1 and spread.blocks == 7
    # Nothing goes wrong more often anywhere: no order, and no evidence.
    assert row(table, measure="ruined or collapsed").tau == 0 and table.p_holm.max() == 1
    assert table.p_holm.tolist() == holm(table.p_value).tolist()
    assert "clip fraction" not in set(table.measure)


def test_a_diverged_run_counts_as_the_worst_in_trends(tmp_path: Path) -> None:
    """The largest ε diverges everywhere: largest updates, never half-way, and unsafe."""
    worst = {"mean_log_kl": log(100), "steps_to_half": inf, "early_u": -1.0, "collapsed": True}
    usual = {"mean_log_kl": log(0.01), "steps_to_half": 5e5, "early_u": 0.2, "collapsed": False}

    def column(name: str) -> made_up.Value:
        return lambda e, v, s: (worst if v == "clip_0.5" else usual)[name]

    table = trends_of(tmp_path, **{name: column(name) for name in usual})
    table = table.set_index("measure")
    # Four of ten pairs have an order; speed goes against the claim.
    assert table.tau["KL(old‖new), nats"] == table.tau["ruined or collapsed"] == 0.4
    assert table.tau["env steps to u = 0.5"] == table.tau["u, first quarter"] == -0.4


def test_two_widths_make_no_trend(tmp_path: Path) -> None:
    study = made_up.study(tmp_path, made_up.TABLE1)
    assert len(epsilon.epsilon_trends(study, made_up.measures(study), generator())) == 0


def test_without_any_scale_update_sizes_are_left(tmp_path: Path) -> None:
    study = made_up.study(tmp_path, made_up.EPSILONS, TWO)
    measures = made_up.measures(study, u=nan, early_u=nan, peak_u=nan, drawdown=nan)
    summary = epsilon.epsilon_summary(study, measures)
    known = summary[summary.estimate.notna()]
    assert set(known.group) == {"update_size"}
    assert set(epsilon.epsilon_trends(study, measures, generator()).group) == {"update_size"}


# ------------------------------------------------------------------------------------ comparisons


def compared(tmp_path: Path, seeds: int, sd: float = 5.0) -> tuple[Study, pd.DataFrame]:
    study = made_up.study(tmp_path, made_up.TABLE1, TWO, seeds=seeds)
    means = {"no_clipping": 10.0, "clip_0.1": 55.0, "clip_0.2": 60.0}
    return study, made_up.measures(study, made_up.noisy(means, sd))


def test_differences_are_the_last_variant_minus_each_other_paired_by_seed(tmp_path: Path) -> None:
    study, measures = compared(tmp_path, 5)
    table = differences.differences(study, measures, generator())
    without = "all environments but Reacher-v5"
    assert table.env.drop_duplicates().tolist() == [
        summaries.OVERALL,
        without,
        "hopper",
        "reacher",
    ]
    hopper = measures[measures.env == "hopper"].set_index("variant").u
    shown = row(table, env="hopper", variant="clip_0.1")
    test = stats.ttest_rel(hopper["clip_0.2"], hopper["clip_0.1"])
    bounds = test.confidence_interval(shown.level)
    assert (shown.difference_low, shown.difference_high) == pytest.approx(tuple(bounds))
    assert shown.p_value == pytest.approx(test.pvalue) and shown.runs == 10
    overall = row(table, env=summaries.OVERALL, variant="clip_0.1")
    each = table[table.env.isin(TWO) & (table.variant == "clip_0.1")]
    assert overall.difference == pytest.approx(each.difference.mean())
    alone = row(table, env=without, variant="clip_0.1")
    assert alone.difference == pytest.approx(shown.difference)
    # Two comparisons overall; four on single environments.
    two = table[table.env == summaries.OVERALL].p_value
    assert overall.p_holm == pytest.approx(min(1, max(overall.p_value, 2 * two.min())))
    four = table[table.env.isin(TWO)]
    assert four.p_holm.tolist() == pytest.approx(holm(four.p_value).tolist())


@pytest.mark.parametrize("seeds", [3, 10])
def test_an_interval_excludes_zero_just_where_its_adjusted_p_says_so(
    tmp_path: Path, seeds: int
) -> None:
    study, measures = compared(tmp_path, seeds, sd=8)
    table = differences.differences(study, measures, generator())
    excluded = (table.difference_low > 0) | (table.difference_high < 0)
    assert excluded.tolist() == (table.p_holm <= 0.05).tolist()
    assert 0 < excluded.sum() < len(table)
    assert table.improvement_low.isna().all() == (seeds < 10)


def test_differences_are_of_all_seeds_that_an_environment_has(tmp_path: Path) -> None:
    whole, measures = compared(tmp_path, 10)
    runs = [run for run in whole.plan["runs"] if run["env"] == "hopper" or run["seed"] < 3]
    uneven = Study(whole.folder, {**whole.plan, "runs": runs})
    table = differences.differences(uneven, measures, generator())
    few = differences.differences(uneven.on("reacher"), measures, generator())
    many = differences.differences(whole.on("hopper"), measures, generator())
    for alone, env, count in ((few, "reacher", 6), (many, "hopper", 20)):
        shown = row(table, env=env, variant="clip_0.1")
        of_it = row(alone, env=env, variant="clip_0.1")
        assert (shown.difference, shown.p_value) == (of_it.difference, of_it.p_value)
        assert shown.runs == of_it.runs == count
        assert np.isnan(shown.improvement_low) == (env == "reacher")
    overall = row(table, env=summaries.OVERALL, variant="clip_0.1")
    each = table[table.env.isin(TWO) & (table.variant == "clip_0.1")]
    assert overall.difference == pytest.approx(each.difference.mean()) and overall.runs == 26
    assert overall.improvement == pytest.approx(each.improvement.mean())
    assert np.isnan(overall.improvement_low)


def test_a_ruined_run_counts_as_minus_one(tmp_path: Path) -> None:
    study = made_up.study(tmp_path, made_up.TABLE1[:2], TWO)
    measures = made_up.measures(study, u=lambda e, v, s: -30.0 if v == "no_clipping" else 0.5)
    table = differences.differences(study, measures, generator())
    assert (table.difference == 1.5).all()


def test_without_a_scale_there_is_nothing_to_compare(tmp_path: Path) -> None:
    study, measures = compared(tmp_path, 3)
    assert differences.differences(study, measures.assign(u=nan), generator()).empty
    only = measures.assign(u=measures.u.mask(measures.env == "hopper"))
    table = differences.differences(study, only, generator())
    assert set(table.env) == {summaries.OVERALL, "reacher"}
