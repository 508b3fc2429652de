"""Numbers of the tables and figures on studies with known answers."""

from math import isnan, nan
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from analysis import summary
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
    scores = made_up.scores(study, lambda e, v, s: places[e] + places[v] + s)
    found = summary.matrix(study, scores.sample(frac=1, random_state=0), "score", study.envs)
    assert found[0].tolist() == [[100, 101], [110, 111], [120, 121]]
    assert found[1].tolist() == [[200, 201], [210, 211], [220, 221]]


def test_scores_show_every_seed_and_what_happened(tmp_path: Path) -> None:
    study = made_up.study(tmp_path, made_up.TABLE1, TWO)
    scores = made_up.scores(
        study,
        lambda e, v, s: [1.0, 2.0, 6.0][s],
        episodes=lambda e, v, s: 10 + s,
        collapsed_70=lambda e, v, s: s == 0,
        diverged=lambda e, v, s: s == 2,
    )
    found = row(summary.score_summary(study, scores), env="reacher", variant="clip_0.1")
    low, high = stats.t.interval(0.95, 2, 3, stats.sem([1, 2, 6]))
    assert (found["mean"], found.mean_low, found.mean_high) == pytest.approx((3, low, high))
    assert found.method == "t" and found.scores == "1 2 6" and found.diverged == 1
    assert (found.episodes_min, found.episodes_max) == (10, 12)
    assert found[["collapsed_30", "collapsed_50", "collapsed_70"]].tolist() == [0, 0, 1 / 3]


def test_one_seed_has_no_interval(tmp_path: Path) -> None:
    study = made_up.study(tmp_path, made_up.TABLE1, TWO, seeds=1)
    scores = made_up.scores(study)
    table = summary.score_summary(study, scores)
    assert (table["mean"] == 50).all() and table.mean_low.isna().all()
    table = summary.table1_summary(study, scores, PUBLISHED, generator())
    assert table.ours.notna().all() and table.ours_low.isna().all()


# ------------------------------------------------------------------------------- the paper's table


def test_the_papers_statistic_by_hand(tmp_path: Path) -> None:
    """0 is the untrained policy and 1 the best single run of the table, whatever is frozen."""
    study = made_up.study(tmp_path, made_up.TABLE1, TWO)
    means = {"no_clipping": 10.0, "clip_0.1": 40.0, "clip_0.2": 60.0}
    scores = made_up.scores(
        study, lambda e, v, s: means[v] + 20 * (s - 1), untrained=10.0, best=1000.0
    )
    table = summary.table1_summary(study, scores, PUBLISHED, generator())
    assert table.variant.tolist() == study.variants
    # The best run scores 80: one unit is 70.
    assert table.ours.tolist() == pytest.approx([0, 30 / 70, 50 / 70])
    assert table.best_setting.tolist() == pytest.approx([0, 30 / 50, 1])
    assert table.published[[0, 2]].tolist() == [-0.39, 0.82] and isnan(table.published[1])
    assert table.difference[2] == pytest.approx(50 / 70 - 0.82)
    # Two environments with equal variances: 2 · (3 − 1) degrees of freedom.
    half = stats.t.ppf(0.975, 4) * np.sqrt(2 * (20 / 70) ** 2 / 3) / 2
    assert table.ours_high[2] - table.ours[2] == pytest.approx(half)
    assert set(table.ours_method) == {"Welch-Satterthwaite t"}
    assert (table.runs == 6).all() and (table.envs == 2).all() and (table.seeds == 3).all()
    assert table.reference.unique().tolist() == ["clip_0.2"]
    assert table.to_reference.tolist() == pytest.approx([-50 / 70, -20 / 70, 0])
    assert table.to_reference_low.notna().tolist() == [True, True, False]


def test_an_objective_of_ones_own_is_a_row_without_a_published_number(tmp_path: Path) -> None:
    own = {**made_up.clip(0.7), "label": "my objective"}
    study = made_up.study(tmp_path, [*made_up.TABLE1, own])
    scores = made_up.scores(study, made_up.noisy(dict.fromkeys(study.variants, 50.0)))
    found = row(summary.table1_summary(study, scores, PUBLISHED, generator()), variant="clip_0.7")
    assert isnan(found.published) and isnan(found.difference)
    assert found.ours_low < found.ours < found.ours_high and not isnan(found.to_reference)


def test_without_any_published_row_there_is_no_reference(tmp_path: Path) -> None:
    study = made_up.study(tmp_path, made_up.EPSILONS, TWO)
    scores = made_up.scores(study, made_up.noisy(dict.fromkeys(study.variants, 50.0)))
    table = summary.table1_summary(study, scores, PUBLISHED, generator())
    assert table.to_reference.isna().all() and set(table.reference) == {""}


@pytest.mark.parametrize(("seeds", "draws"), [(2, 0), (3, 1), (5, 10)])
def test_three_of_three_seeds_are_one_draw(tmp_path: Path, seeds: int, draws: int) -> None:
    study = made_up.study(tmp_path, made_up.TABLE1, TWO, seeds=seeds)
    scores = made_up.scores(study, made_up.noisy(dict.fromkeys(study.variants, 50.0)))
    table = summary.table1_summary(study, scores, PUBLISHED, generator())
    assert (table.redrawn_draws == draws).all()
    assert table.redrawn_median.notna().all() == (draws > 1)


def test_from_ten_seeds_on_the_best_run_is_inside_the_bootstrap(tmp_path: Path) -> None:
    study = made_up.study(tmp_path, made_up.TABLE1, TWO, seeds=10)
    means = {"no_clipping": 10.0, "clip_0.1": 40.0, "clip_0.2": 60.0}
    scores = made_up.scores(study, made_up.noisy(means))
    table = summary.table1_summary(study, scores, PUBLISHED, generator())
    assert set(table.ours_method) == {"percentile bootstrap"}
    assert (table.ours_low <= table.ours).all() and (table.ours <= table.ours_high).all()
    assert (table.iqm_low < table.iqm).all() and (table.iqm < table.iqm_high).all()
    # A resample's best run is at most the best: the scores rise, and the interval leans upwards.
    best = row(table, variant="clip_0.2")
    assert best.ours_high - best.ours > best.ours - best.ours_low
    assert best.given == pytest.approx(best.ours)
    assert best.given_high - best.given == pytest.approx(best.given - best.given_low)
    assert (table.redrawn_low < table.redrawn_high).all()


def test_an_environment_where_nothing_learns_is_left_out_and_named(tmp_path: Path) -> None:
    study = made_up.study(tmp_path, made_up.TABLE1, TWO)
    scores = made_up.scores(study, lambda e, v, s: 50.0 + s if e == "hopper" else -1.0)
    # Without a frozen constant such an environment has no scale at all.
    none = scores.env == "reacher"
    scores = scores.assign(
        normalised=scores.normalised.mask(none), frozen=False, early_area=0.2, drawdown=nan
    )
    table = summary.table1_summary(study, scores, PUBLISHED, generator())
    assert (table.envs == 1).all() and (table.runs == 3).all() and table.ours.notna().all()
    assert "no run beats no training: reacher" in summary.provenance(study, scores)
    assert summary.unlike_the_paper(study, scores)[0].startswith("1 of the paper's 7")


def test_where_nothing_learns_anywhere_the_table_is_empty_but_there(tmp_path: Path) -> None:
    study = made_up.study(tmp_path, made_up.EPSILONS, TWO)
    scores = made_up.scores(study, -1.0, normalised=nan, early_area=nan, drawdown=nan)
    table = summary.table1_summary(study, scores, PUBLISHED, generator())
    assert table.ours.isna().all() and table.variant.tolist() == study.variants
    assert len(summary.seed_scores(study, scores)) == 0
    assert set(summary.differences(study, scores, generator()).env) == set(study.envs)
    found = summary.epsilon_summary(study, scores)
    assert found[found.measure == "spread over seeds"].estimate.isna().all()
    trends = summary.epsilon_trends(study, scores, generator())
    assert "worst drawdown" not in set(trends.measure)


def test_what_differs_from_the_paper(tmp_path: Path) -> None:
    study = made_up.study(tmp_path / "a", made_up.TABLE1)
    assert summary.unlike_the_paper(study, made_up.scores(study)) == []
    envs = {"hopper": "Hopper-v5", "ant": "Ant-v5"}
    short = made_up.study(tmp_path / "b", made_up.TABLE1, envs, total_env_steps=81_920)
    assert summary.unlike_the_paper(short, made_up.scores(short)) == [
        "1 of the paper's 7 environments and 1 other",
        "81,920 env steps instead of 1,000,000",
    ]


def test_the_published_numbers_have_the_names_of_the_study() -> None:
    from replicate.plan import load_study

    names = {variant.published for variant in load_study("table1").variants.values()}
    assert names == set(summary.published_table1())


# ----------------------------------------------------------------------------------- the ε table


def test_update_sizes_are_means_over_environments(tmp_path: Path) -> None:
    study = made_up.study(tmp_path, made_up.EPSILONS, TWO)
    kl = {"hopper": [0.01, 0.02, 0.03], "reacher": [0.05, 0.06, 0.07]}
    scores = made_up.scores(study, kl=lambda e, v, s: kl[e][s])
    table = summary.epsilon_summary(study, scores)
    found = row(table, env=summary.OVERALL, variant="clip_0.2", measure="KL(old‖new), nats")
    half = stats.t.ppf(0.975, 4) * np.sqrt(2 * 0.01**2 / 3) / 2
    assert (found.estimate, found.high) == pytest.approx((0.04, 0.04 + half))
    assert (found.chapter, found.epsilon, found.runs) == ("medium", 0.2, 6)
    hopper = row(table, env="hopper", variant="clip_0.2", measure="KL(old‖new), nats")
    assert hopper.estimate == pytest.approx(0.02) and hopper.method == "t"
    assert hopper.low == 0  # 0.02 ± 0.025: a divergence is never negative
    unclipped = table[table.variant == "no_clipping"]
    assert unclipped.epsilon.isna().all() and set(unclipped.chapter) == {""}


def test_runs_that_never_get_half_way_count_in_the_median(tmp_path: Path) -> None:
    study = made_up.study(tmp_path, made_up.EPSILONS, TWO)
    steps = {"clip_0.05": [nan, nan, 5.0], "clip_0.1": [nan, 7.0, 5.0]}
    scores = made_up.scores(study, steps_to_half=lambda e, v, s: steps.get(v, [1.0, 2.0, 3.0])[s])
    table = summary.epsilon_summary(study, scores)
    table = table[(table.env == summary.OVERALL) & (table.measure == "env steps to half-way")]
    slow, slower = row(table, variant="clip_0.1"), row(table, variant="clip_0.05")
    assert (slow.estimate, slow.hits) == (7.0, 2) and isnan(slower.estimate) and slower.hits == 4


def test_a_run_that_diverged_before_its_first_episode_learnt_nothing(tmp_path: Path) -> None:
    study = made_up.study(tmp_path, made_up.EPSILONS, TWO)
    scores = made_up.scores(
        study,
        diverged=lambda e, v, s: s == 0,
        early_area=lambda e, v, s: nan if s == 0 else 0.3,
        kl=lambda e, v, s: np.inf if s == 0 else 0.01,
    )
    table = summary.epsilon_summary(study, scores)
    table = table[(table.env == summary.OVERALL) & (table.variant == "clip_0.2")]
    area = row(table, measure="mean of the first quarter")
    assert area.estimate == pytest.approx(0.2) and area.runs == 6
    kl = row(table, measure="KL(old‖new), nats")
    assert kl.estimate == pytest.approx(0.01) and kl.runs == 4


def test_collapses_have_wilsons_interval() -> None:
    found = summary.wilson(0, 21)
    z = stats.norm.ppf(0.975)
    assert (found.low, found.high) == pytest.approx((0, z**2 / (21 + z**2)))
    assert isnan(summary.wilson(0, 0).estimate)


def test_the_spread_is_a_mean_of_standard_deviations() -> None:
    found = summary.spread([np.array([1.0, 2.0, 3.0]), np.array([0.0, 4.0, 8.0])])
    assert found.estimate == pytest.approx((1 + 4) / 2)
    assert 0 < found.estimate < found.high
    assert isnan(summary.spread([np.array([1.0, 2.0])]).high)
    assert isnan(summary.spread([np.array([1.0])]).estimate)


def test_the_interval_of_the_spread_holds_the_truth_about_as_often_as_it_says() -> None:
    random = generator()
    draws = random.normal(size=(300, 7, 3)) * np.linspace(0.05, 0.4, 7)[:, None]
    truth = np.linspace(0.05, 0.4, 7).mean()
    found = [summary.spread(list(draw)) for draw in draws]
    assert np.mean([f.low <= truth <= f.high for f in found]) > 0.93


def trends_of(tmp_path: Path, **columns: object) -> pd.DataFrame:
    study = made_up.study(tmp_path, made_up.EPSILONS[::-1])
    return summary.epsilon_trends(study, made_up.scores(study, **columns), generator())


def test_the_claimed_order_is_found_whatever_the_order_of_the_plan(tmp_path: Path) -> None:
    epsilons = {f"clip_{e:g}": e for e in made_up.WIDTHS} | {"no_clipping": -1.0}
    table = trends_of(
        tmp_path,
        kl=lambda e, v, s: epsilons[v] ** 2,
        steps_to_half=lambda e, v, s: nan if v == "clip_0.05" else 1 / epsilons[v],
        early_area=lambda e, v, s: -epsilons[v],
        score=lambda e, v, s: 50 + epsilons[v] * s,
    )
    kl, steps = row(table, measure="KL(old‖new), nats"), row(table, measure="env steps to half-way")
    assert kl.tau == 1 and kl.claim == "rises" and kl.p_holm < 1e-6 and kl.blocks == 21
    assert steps.tau == 1 and steps.claim == "falls"
    area = row(table, measure="mean of the first quarter")
    assert area.tau == -1 and area.p_value > 0.99
    spread = row(table, measure="spread over seeds")
    assert spread.tau == 1 and spread.blocks == 7
    # Nothing collapses more often anywhere: no order, and no evidence.
    assert row(table, measure="collapsed").tau == 0 and table.p_holm.max() == 1
    assert (table.p_holm >= table.p_value).all() and "clip fraction" not in set(table.measure)


def test_two_widths_make_no_trend(tmp_path: Path) -> None:
    study = made_up.study(tmp_path, made_up.TABLE1)
    assert len(summary.epsilon_trends(study, made_up.scores(study), generator())) == 0


# ------------------------------------------------------------------------------------ comparisons


def test_differences_are_the_last_variant_minus_each_other(tmp_path: Path) -> None:
    study = made_up.study(tmp_path, made_up.TABLE1, TWO, seeds=5)
    means = {"no_clipping": 10.0, "clip_0.1": 55.0, "clip_0.2": 60.0}
    scores = made_up.scores(study, made_up.noisy(means))
    table = summary.differences(study, scores, generator())
    assert set(table.reference) == {"clip_0.2"} and len(table) == 3 * 2
    hopper = scores[scores.env == "hopper"].set_index("variant").score
    found = row(table, env="hopper", variant="clip_0.1")
    test = stats.ttest_ind(hopper["clip_0.2"], hopper["clip_0.1"], equal_var=False)
    interval = test.confidence_interval()
    assert (found.difference_low, found.difference_high) == pytest.approx(tuple(interval))
    assert found.p_value == pytest.approx(test.pvalue, rel=1e-6) and found.scale == "return"
    overall = row(table, env=summary.OVERALL, variant="clip_0.1")
    each = table[(table.variant == "clip_0.1") & (table.scale == "return")]
    assert overall.difference == pytest.approx(each.difference.mean() / 100)
    assert overall.scale == "normalised" and overall.runs == 20
    # Two comparisons overall; four on single environments.
    two = table[table.env == summary.OVERALL].p_value
    assert overall.p_holm == pytest.approx(min(1, max(overall.p_value, 2 * two.min())))


def test_three_against_three_is_too_few_for_a_probability(tmp_path: Path) -> None:
    study = made_up.study(tmp_path, made_up.TABLE1, TWO)
    means = {"no_clipping": 10.0, "clip_0.1": 55.0, "clip_0.2": 60.0}
    table = summary.differences(study, made_up.scores(study, made_up.noisy(means)), generator())
    assert (table.improvement[table.variant == "no_clipping"] == 1).all()
    assert table.improvement_low.isna().all()


def test_equal_constants_differ_by_nothing_and_unequal_ones_have_no_p_value(
    tmp_path: Path,
) -> None:
    study = made_up.study(tmp_path, made_up.TABLE1, TWO)
    means = {"no_clipping": 10.0, "clip_0.1": 60.0, "clip_0.2": 60.0}
    table = summary.differences(study, made_up.scores(study, made_up.noisy(means, 0)), generator())
    assert (table.p_holm[table.variant == "clip_0.1"] == 1).all()
    assert table.p_holm[table.variant == "no_clipping"].isna().all()


def test_the_same_seed_of_the_generator_gives_the_same_numbers(tmp_path: Path) -> None:
    study = made_up.study(tmp_path, made_up.TABLE1, seeds=10)
    scores = made_up.scores(study, made_up.noisy(dict.fromkeys(study.variants, 50.0)))
    first, second = (
        summary.table1_summary(study, scores, PUBLISHED, generator()) for _ in range(2)
    )
    pd.testing.assert_frame_equal(first, second)


def test_collapse_is_unknown_where_nothing_beats_the_untrained_policy(tmp_path: Path) -> None:
    study = made_up.study(tmp_path, made_up.EPSILONS, {"a": "A-v5", "b": "B-v5"}, seeds=3)
    normalised = lambda env, variant, seed: nan if env == "a" else 0.5  # noqa: E731
    scores = made_up.scores(study, normalised=normalised, collapsed_50=lambda e, v, s: s == 0)
    table = summary.score_summary(study, scores)
    assert table[table.env == "a"].collapsed_50.isna().all()
    assert table[table.env == "b"].collapsed_50.tolist() == pytest.approx([1 / 3] * 6)
    epsilon = summary.epsilon_summary(study, scores)
    rates = epsilon[(epsilon.measure == "collapsed") & (epsilon.variant == "clip_0.2")]
    assert rates.set_index("env").runs.to_dict() == {"all environments": 3, "a": 0, "b": 3}
