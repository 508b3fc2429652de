"""Figures draw what a study with known answers says, and the same bytes every time."""

import importlib
import json
import math
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import Collection, FillBetweenPolyCollection, LineCollection
from matplotlib.figure import Figure
from scipy import stats

from analysis import manifest, products, slider, style
from analysis.claims.fixed_data import probes, updates_of_one_batch
from analysis.figures import (
    front,
    learning_curves,
    performance_profile,
    time_shares,
    update_size,
    variant_groups,
)
from analysis.probe_figures import clipped_objective, update_line, update_passes
from analysis.study import Study, read_study
from replicate.probes import clipped_objective as probe
from replicate.store.files import MANIFEST
from replicate.store.plans import FIGURE_FILES
from tests.analysis import made_up

ENVS = {"hopper": "Hopper-v5", "reacher": "Reacher-v5"}
SEEDS = 3
BINS = 4
TOTAL = BINS * 2048
DIVERGED = ("reacher", "free", 2)
VARIANTS: list[dict[str, Any]] = [
    {"name": "trust", "label": "TRPO", "algo": {"name": "trpo", "max_kl": 0.01}},
    {"name": "clip", "label": "PPO, ε = 0.2", "algo": {"name": "ppo", "objective": "clip"}},
    {"name": "free", "label": "no clip <&>", "algo": {"name": "ppo", "objective": "none"}},
]
MODULES = ["learning_curves", "performance_profile", "update_size", "time_shares"]


def ppo(name: str, objective: str) -> dict[str, Any]:
    return {"name": name, "label": name, "algo": {"name": "ppo", "objective": objective}}


TABLE1 = [
    ppo("none", "none"),
    *(ppo(f"clip_{i}", "clip") for i in range(3)),
    *(ppo(f"adaptive_{i}", "adaptive_kl") for i in range(3)),
    *(ppo(f"fixed_{i}", "fixed_kl") for i in range(4)),
]


def of_kind(figure: Figure, kind: type[Collection]) -> list[Any]:
    return [it for axis in figure.axes for it in axis.collections if isinstance(it, kind)]


def bands(figure: Figure) -> list[Any]:
    return of_kind(figure, FillBetweenPolyCollection)


def value(env: str, variant: int, seed: int, place: int) -> float:
    """Return of the only episode of a bin."""
    return (100 if env == "hopper" else -10) * (1 + variant) * (1 + place) + 7 * seed**2


def run_of(key: dict[str, Any]) -> tuple[str, str, int]:
    return key["env"], key["variant"], key["seed"]


def made(folder: Path, variants: list[dict[str, Any]] = VARIANTS, seeds: int = SEEDS) -> Study:
    """A study whose every number is known; its measures lie beside it."""
    keys = [
        made_up.planned(env, variant["name"], seed)
        for env in ENVS
        for variant in variants
        for seed in range(seeds)
    ]
    plan = {
        "study": "known",
        "title": "A known study",
        "recipe": "paper2017",
        "num_steps": 2048,
        "total_env_steps": TOTAL,
        "envs": ENVS,
        "data": {env: [env] for env in ENVS},
        "variants": variants,
        "runs": keys,
    }
    (folder / "plan.json").write_text(json.dumps(plan))
    names = [variant["name"] for variant in variants]
    for env in ENVS:
        episodes, updates, runs = [], [], []
        for key in (k for k in keys if k["env"] == env):
            variant, seed = names.index(key["variant"]), key["seed"]
            diverged = run_of(key) == DIVERGED
            count = 2 if diverged else BINS
            algorithm = variants[variant]["algo"]["name"]
            for place in range(count):
                step = 2048 * (place + 1)
                returned = value(env, variant, seed, place)
                row = {"run": key["run_id"], "env_step": step}
                episodes.append({**row, "episodic_return": returned})
                updates.append(
                    {
                        **row,
                        "update": place,
                        "kl": 0.004 * (1 + place) * (1 + variant),
                        "filter_kl": 0.0 if place == 0 else 1e-4,
                        "step_accepted": float(place != 1) if algorithm == "trpo" else np.nan,
                        "backtracks": 2.0 if algorithm == "trpo" else np.nan,
                    }
                )
            # Three of the ten lanes of a cohort are ours; each algorithm has one cohort.
            update = 1.0 if algorithm == "trpo" else 4.0
            seconds = {"rollout": 3.0, "env_step": 2.0, "advantages": 0.5, "update": update}
            runs.append(
                {
                    **key,
                    "status": "diverged" if diverged else "finished",
                    "diverged_at_env_step": 2 * 2048 if diverged else None,
                    "env_steps": TOTAL,
                    "cohort": {"lanes": 10, "seconds": seconds},
                    "cpu": "A CPU",
                    "started": algorithm,
                    "ended": env,
                }
            )
        for name, rows in {"episodes": episodes, "updates": updates}.items():
            pd.DataFrame(rows).to_parquet(folder / f"{env}.{name}.parquet", index=False)
        (folder / f"{env}.runs.json").write_text(json.dumps(runs))
        made_up.list_tables(folder, env)
    measures = pd.DataFrame(keys)[["env", "variant", "seed"]]
    measures["u"] = [(names.index(k["variant"]) + k["seed"] / seeds) / len(names) for k in keys]
    measures["diverged"] = [run_of(key) == DIVERGED for key in keys]
    measures["untrained"] = 0.0
    measures.to_csv(folder / "measures.csv", index=False)
    return read_study(folder / "plan.json")


def measures_of(folder: Path) -> pd.DataFrame:
    return pd.read_csv(folder / "measures.csv")


def run(module: str, folder: Path, out: Path, *env: str) -> list[Path]:
    inputs = [folder / "plan.json", folder / "measures.csv"]
    made_up.list_beside(folder / "measures.csv")
    asked = "/".join(("figures", *env, module))
    assert products.main([*map(str, (*inputs, out)), asked]) == 0
    stem = out.joinpath("figures", "known", *env, module)
    *outputs, listed = (stem.with_suffix(suffix) for suffix in FIGURE_FILES)
    manifest.verify(listed, outputs)
    return outputs


@pytest.mark.parametrize("module", MODULES)
def test_the_command_line_writes_the_same_files_twice(module: str, tmp_path: Path) -> None:
    made(tmp_path)
    first = {path.name: path.read_bytes() for path in run(module, tmp_path, tmp_path)}
    assert len(first) == 4 and all(first.values())
    assert first[f"{module}.png"].startswith(b"\x89PNG")
    caption = first[f"{module}.caption.txt"].decode()
    assert caption.startswith("A known study: ") and caption.count("\n") == 1
    svg = ElementTree.fromstring(first[f"{module}.svg"])
    texts = {text.text for text in svg.iter("{http://www.w3.org/2000/svg}text")}
    if module != "performance_profile":
        assert set(ENVS.values()) <= texts
    if module != "time_shares":
        assert {variant["label"] for variant in VARIANTS} <= texts
    assert {path.name: path.read_bytes() for path in run(module, tmp_path, tmp_path)} == first


@pytest.mark.parametrize("module", MODULES)
@pytest.mark.parametrize(("variants", "seeds"), [(TABLE1, 2), (VARIANTS[:1], 1)])
def test_many_variants_and_single_runs_are_drawn(
    module: str, variants: list[dict[str, Any]], seeds: int, tmp_path: Path
) -> None:
    made(tmp_path, variants, seeds)
    # Of many variants those of one environment are as much as a picture holds.
    envs = ["hopper"] if module == "learning_curves" and variants is TABLE1 else []
    assert all(path.stat().st_size for path in run(module, tmp_path, tmp_path, *envs))


def test_many_variants_on_many_environments_are_too_much_for_one_picture(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made(tmp_path, TABLE1)
    with pytest.raises(AssertionError):
        run("learning_curves", tmp_path, tmp_path)
    assert "draw figures/hopper/learning_curves and so on" in capsys.readouterr().err


def test_one_environment_alone_is_drawn(tmp_path: Path) -> None:
    study, measures = made(tmp_path, TABLE1), measures_of(tmp_path)
    for module in MODULES:
        draw = importlib.import_module(f"analysis.figures.{module}").draw
        data, _, _ = draw(study.on("hopper"), measures[measures.env == "hopper"])
        if "env" in data:
            assert set(data.env) == {"hopper"}


def test_curves_are_means_and_every_seed(tmp_path: Path) -> None:
    study = made(tmp_path)
    data, figure, caption = learning_curves.draw(study, measures_of(tmp_path))
    assert not bands(figure)
    assert len(data) == len(ENVS) * len(VARIANTS) * BINS
    for row in data.to_dict("records"):
        variant = study.variants.index(row["variant"])
        place = int(row["env_step"] // 2048)
        assert row["env_step"] == 2048 * place + 1024
        values = [value(row["env"], variant, seed, place) for seed in range(SEEDS)]
        if (row["env"], row["variant"]) == DIVERGED[:2] and place >= 2:
            # A mean over the survivors would hide the one that failed.
            assert np.isnan([row["mean"], row["low"], row["high"], row["seed_2"]]).all()
            assert [row["seed_0"], row["seed_1"]] == values[:2]
            continue
        assert [row[f"seed_{seed}"] for seed in range(SEEDS)] == values
        assert row["mean"] == pytest.approx(np.mean(values))
        assert np.isnan([row["low"], row["high"]]).all()  # too few seeds for a band
    assert "diverged (1 of 18 runs)" in caption


def test_from_ten_seeds_on_there_is_a_band_within_what_is_possible(tmp_path: Path) -> None:
    study = made(tmp_path, seeds=10)
    data, figure, caption = learning_curves.draw(study, measures_of(tmp_path))
    assert "every seed (10 seeds)" in caption and "band: 95 % t-interval of the mean;" in caption
    assert len(bands(figure)) == len(ENVS) * len(VARIANTS)
    rows = data[data.env == "hopper"].set_index(["variant", "env_step"])
    values = [value("hopper", 1, seed, 1) for seed in range(10)]
    low, high = stats.t.interval(0.95, 9, np.mean(values), stats.sem(values))
    row = rows.loc[("clip", 2048 + 1024)]
    np.testing.assert_allclose([row["mean"], row.low, row.high], [np.mean(values), low, high])
    # One run in ten above 0: the interval would reach below, where no episode ever was.
    one = study.on("hopper")
    one.episodes["episodic_return"] = (one.episodes.seed == 9) * 100
    lows = learning_curves._curves_on_one(one).low
    assert len(lows) and (lows == 0).all()
    assert stats.t.interval(0.95, 9, 10, stats.sem([0] * 9 + [100]))[0] < 0


@pytest.mark.parametrize("module", ["learning_curves", "update_size"])
def test_seeds_that_an_environment_alone_has_are_drawn(tmp_path: Path, module: str) -> None:
    whole = made(tmp_path)
    of_all = pd.read_csv(run(module, tmp_path, tmp_path / "all")[2])
    runs = [run for run in whole.plan["runs"] if run["env"] == "hopper" or run["seed"] < 1]
    (tmp_path / "plan.json").write_text(json.dumps({**whole.plan, "runs": runs}))
    drawn = pd.read_csv(run(module, tmp_path, tmp_path / "uneven")[2])
    of_hopper = [table[table.env == "hopper"] for table in (drawn, of_all)]
    pd.testing.assert_frame_equal(*of_hopper, check_dtype=False)
    assert not drawn[drawn.env == "reacher"].equals(of_all[of_all.env == "reacher"])


def test_every_panel_has_all_seeds_of_its_environment(tmp_path: Path) -> None:
    whole, measures = made(tmp_path, seeds=10), measures_of(tmp_path)
    runs = [run for run in whole.plan["runs"] if run["env"] == "hopper" or run["seed"] < SEEDS]
    study = Study(whole.folder, {**whole.plan, "runs": runs})
    data, figure, caption = learning_curves.draw(study, measures)
    assert "every seed (3 to 10 seeds)" in caption and "of the mean, from 10 seeds on;" in caption
    drawn = [len(lines.get_segments()) for lines in of_kind(figure, LineCollection)]
    assert drawn == [10] * len(VARIANTS) + [SEEDS] * len(VARIANTS)
    assert len(bands(figure)) == len(VARIANTS)
    rows = data.set_index(["env", "variant", "env_step"])
    few = rows.loc[("reacher", "trust", 1024)]
    assert few["mean"] == np.mean([value("reacher", 0, seed, 0) for seed in range(SEEDS)])
    assert np.isnan([few.low, few.high, few.seed_9]).all()
    assert rows.loc[("hopper", "trust", 1024)].seed_9 == value("hopper", 0, 9, 0)


def test_ppo_stands_out(tmp_path: Path) -> None:
    variants = [*VARIANTS[:1], {**VARIANTS[1], "algo": made_up.clip(0.2)["algo"]}, VARIANTS[2]]
    study = made(tmp_path, variants)
    assert front(study) == "clip" and front(made(tmp_path, VARIANTS)) is None
    twice = [*variants, {**variants[1], "name": "stopped"}]
    assert front(made(tmp_path, twice)) is None
    twice[1] = {**variants[1], "algo": {**variants[1]["algo"], "bound": "max"}}
    assert front(made(tmp_path, twice)) == "stopped"
    twice[1] = {**variants[1], "algo": {**variants[1]["algo"], "value_learning_rate": 1e-3}}
    assert front(made(tmp_path, twice)) == "stopped"
    changed = [
        {**variants[1], "name": f"to_{width}", "change": {"algo": {"clip_epsilon": width}}}
        for width in (0.05, 0.2, 0.5)
    ]
    assert front(made(tmp_path, changed)) == "to_0.2"
    looks = style.lines(study.variants, "clip")
    others = [look for name, look in looks.items() if name != "clip"]
    assert all(look["lw"] < looks["clip"]["lw"] for look in others)
    assert all(look["zorder"] < looks["clip"]["zorder"] for look in others)
    # Told apart without colour too.
    assert len({str(look["dashes"]) for look in looks.values()}) == 3


def test_one_ruined_run_does_not_flatten_the_others() -> None:
    rows = pd.DataFrame({"env": "a", "variant": ["x", "x"], "env_step": [1, 2], "mean": np.nan})
    rows = rows.assign(low=np.nan, high=np.nan, seed_0=[-10.0, 100.0], seed_1=[0.0, -26_000.0])
    # From half as far below the first values as the best is above them.
    low, high = learning_curves.limits(rows, untrained=0.0)
    assert low == pytest.approx(-5 - 105 / 2, abs=10) and high == pytest.approx(100, abs=10)
    assert learning_curves._runs_below(rows, low) == 1
    calm = rows.assign(seed_1=[0.0, 50.0])
    assert learning_curves.limits(calm, untrained=0.0)[0] == pytest.approx(-10, abs=10)
    assert learning_curves.limits(rows.assign(seed_0=np.nan, seed_1=np.nan), 0.0) == (0, 1)


def test_one_environment_is_drawn_on_the_command_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made(tmp_path)
    outputs = run("learning_curves", tmp_path, tmp_path, "hopper")
    assert set(pd.read_csv(outputs[2]).env) == {"hopper"}
    assert "learning curves on Hopper-v5" in outputs[3].read_text()
    with pytest.raises(AssertionError):
        run("learning_curves", tmp_path, tmp_path, "hoper")
    assert "no environment 'hoper'; did you mean 'hopper'?" in capsys.readouterr().err


def test_what_is_drawn_is_what_the_table_says(tmp_path: Path) -> None:
    data, figure, _ = learning_curves.draw(made(tmp_path), measures_of(tmp_path))
    rows = data[(data.env == "hopper") & (data.variant == "clip")]
    thick = [line for line in figure.axes[0].lines if line.get_linewidth() > 1]
    np.testing.assert_array_equal(thick[1].get_xdata(), rows.env_step)
    np.testing.assert_array_equal(thick[1].get_ydata(), rows["mean"])
    crosses = [line for axis in figure.axes for line in axis.lines if line.get_marker() == "x"]
    assert len(crosses) == 1


def test_profiles_are_shares_of_runs(tmp_path: Path) -> None:
    data, _, caption = performance_profile.draw(made(tmp_path), measures_of(tmp_path))
    # Of `clip`: 3/9, 4/9 and 5/9 on both environments.
    clip = data[data.variant == "clip"].set_index("u")
    assert [clip.share[at] for at in (-0.2, 0.32, 0.34, 0.44, 0.46, 0.56, 1.0)] == pytest.approx(
        [1, 1, 2 / 3, 2 / 3, 1 / 3, 0, 0]
    )
    assert data.low.isna().all() and "fewer than 10 seeds" in caption
    data, _, _ = performance_profile.draw(made(tmp_path, seeds=10), measures_of(tmp_path))
    inside = data[(data.share > 0.1) & (data.share < 0.9)]
    assert (inside.low < inside.share).all() and (inside.share < inside.high).all()


def test_an_environment_without_a_scale_is_left_out_of_profiles(tmp_path: Path) -> None:
    study, measures = made(tmp_path), measures_of(tmp_path)
    measures.loc[measures.env == "reacher", "u"] = np.nan
    data, _, caption = performance_profile.draw(study, measures)
    assert len(data) and "left out: Reacher-v5" in caption
    measures["u"] = np.nan
    assert performance_profile.draw(study, measures).data.empty


def test_update_sizes_are_quantiles_over_all_updates(tmp_path: Path) -> None:
    data, _, caption = update_size.draw(made(tmp_path), measures_of(tmp_path))
    rows = data.set_index(["env", "variant", "quantity"])
    trust = rows.loc[("hopper", "trust", "kl")]
    assert trust.updates == SEEDS * BINS
    np.testing.assert_allclose([trust["median"], trust.most, trust.bound], [0.01, 0.016, 0.01])
    assert trust.above == 6  # 0.012 and 0.016 of 0.004, 0.008, 0.012, 0.016
    moved = rows.loc[("hopper", "trust", "filter_kl")]
    assert moved.q05 == 1e-8 and moved.most == 1e-4 and np.isnan(moved.bound)
    assert rows.loc[("reacher", "free", "kl")].updates == 2 * BINS + 2
    assert "12 of 24 updates above δ = 0.01, in 6 of 6 runs (95 % interval 54% to 100%);" in caption
    assert "18 of 24 steps accepted" in caption
    assert "2.00 backtracks" in caption


def test_updates_that_a_change_gave_another_bound_do_not_break_it(tmp_path: Path) -> None:
    change = {"at_share": 0.5, "algo": {"max_kl": 8.0}, "updates": 1}
    changed = [{**v, "change": change if v["name"] == "trust" else None} for v in VARIANTS]
    study = made(tmp_path, changed)
    data, _, caption = update_size.draw(study, measures_of(tmp_path))
    trust = data.set_index(["env", "variant", "quantity"]).loc[("hopper", "trust", "kl")]
    # The third of four, of each seed: one of the two that are above 0.01.
    assert (trust.above, trust.bound_updates) == (3, SEEDS * (BINS - 1))
    assert "6 of 18 updates above δ = 0.01" in caption and "6 made with another δ" in caption


def test_an_infinite_kl_is_the_largest_and_not_left_out(tmp_path: Path) -> None:
    study = made(tmp_path)
    study.updates.loc[study.updates.index[0], "kl"] = np.inf
    rows = update_size.sizes(study).set_index(["env", "variant", "quantity"])
    assert rows.loc[("hopper", "trust", "kl")].most == 100
    assert rows.loc[("hopper", "trust", "kl")].updates == SEEDS * BINS


def test_each_cohort_counts_once(tmp_path: Path) -> None:
    data, _, caption = time_shares.draw(made(tmp_path), measures_of(tmp_path))
    assert len(data) == 4 and (data.cohorts == 1).all()  # PPO's two variants trained together
    assert (data.env_steps == 10 * TOTAL).all()
    rows = data.set_index(["env", "algorithm"])
    parts = rows.loc[("hopper", "ppo"), ["env_step", "rest_of_rollout", "advantages", "update"]]
    expected = np.array([2, 1, 0.5, 4]) / (10 * TOTAL) * 1e6
    np.testing.assert_allclose(parts.astype(float), expected)
    assert "A CPU" in caption and "4 cohorts" in caption


def test_many_variants_are_grouped_by_their_objective(tmp_path: Path) -> None:
    groups = variant_groups(made(tmp_path, TABLE1))
    assert {heading: len(names) for heading, names in groups.items()} == {
        "clipping": 4,
        "adaptive KL penalty": 3,
        "fixed KL penalty": 4,
    }
    steps = [{"name": f"s{i}", "label": "", "algo": {"name": "vpg"}} for i in range(7)]
    cut = variant_groups(made(tmp_path, steps))
    assert list(cut) == ["VPG, 1 of 2", "VPG, 2 of 2"]
    assert [name for names in cut.values() for name in names] == [f"s{i}" for i in range(7)]
    assert variant_groups(made(tmp_path)) == {"": ["trust", "clip", "free"]}
    many_clips = [ppo(f"clip_{i}", "clip") for i in range(7)]
    halves = [ppo(f"{kind}_{i}", kind) for kind in ("clip", "none") for i in range(4)]
    apart = variant_groups(made(tmp_path, halves))
    assert {heading: {name[:4] for name in names} for heading, names in apart.items()} == {
        "clipping": {"clip"},
        "no clipping": {"none"},
    }
    falling = {"recipe": {"clip_epsilon_schedule": "linear"}}
    falls = [{**variant, **(falling if i < 2 else {})} for i, variant in enumerate(many_clips)]
    schedules = variant_groups(made(tmp_path, falls))
    assert {heading: len(names) for heading, names in schedules.items()} == {
        "clipping": 5,
        "clipping, ε falls": 2,
    }


@pytest.mark.parametrize("first", ["clip", None])
def test_a_method_looks_alike_in_every_picture(first: str | None) -> None:
    studies = (["vpg", "vpg_best", "ppo_noclip", "trpo"], ["own", "trpo"], ["trpo", "none", "own"])
    looks = [style.lines(["clip", *names], first) for names in studies]
    assert looks[0]["trpo"] == looks[1]["trpo"] == looks[2]["trpo"]
    assert looks[0]["ppo_noclip"] == looks[2]["none"]
    looks.append(style.lines(["trpo", "clip", "clip_0.3"], first))  # of one place
    for of_study in looks:
        assert len({str(look["color"]) for look in of_study.values()}) == len(of_study)


def test_an_svg_has_short_paths_and_whole_texts() -> None:
    figure, axes = style.wrapped_panels(1)
    axes[0].plot([0, np.pi], [0, np.e])
    axes[0].set_title("1.234567")
    svg = ElementTree.fromstring(style.svg_text(figure))
    paths = [path.get("d", "") for path in svg.iter("{http://www.w3.org/2000/svg}path")]
    decimals = [n.partition(".")[2] for path in paths for n in path.split() if "." in n]
    assert decimals and max(map(len, decimals)) <= 2
    assert "1.234567" in [text.text for text in svg.iter("{http://www.w3.org/2000/svg}text")]


def test_the_clipped_objective_is_drawn_from_the_probe(tmp_path: Path) -> None:
    probe.main([str(tmp_path / "in.csv"), str(tmp_path / f"in.{MANIFEST}")])
    suffixes = (".svg", ".png", ".caption.txt", ".slider.json", f".{MANIFEST}")
    outputs = [tmp_path / f"out{suffix}" for suffix in suffixes]
    arguments = [str(path) for path in (tmp_path / "in.csv", *outputs)]
    assert clipped_objective.main(arguments) == 0
    first = [path.read_bytes() for path in outputs]
    assert "ε = 0.2" in first[2].decode() and "r > 1.2 for A > 0 and r < 0.8" in first[2].decode()
    assert clipped_objective.main(arguments) == 0
    assert [path.read_bytes() for path in outputs] == first
    steps = slider.read(outputs[3])
    assert steps.names == [f"ε = {epsilon:g}" for epsilon in probe.EPSILONS]
    assert ">1.2</text>" in steps.svgs[steps.start] and len(set(steps.svgs)) == 5
    data = pd.read_csv(tmp_path / "in.csv")
    data = data[data.epsilon == clipped_objective.EPSILON]
    assert clipped_objective.flat(data[data.advantage > 0]) == (1.2, 2.0)
    assert clipped_objective.flat(data[data.advantage < 0]) == (0.0, 0.8)


def test_steps_of_a_slider_stay_in_place(tmp_path: Path) -> None:
    def step(value: float) -> Figure:
        figure, ((axis,),) = style.panels(1, 1)
        axis.plot([0, 1], [0, value])
        figure.suptitle("Large numbers need more room")
        return figure

    slider.write(tmp_path / "it.slider.json", "value", "2", {"1": step(1e6), "2": step(1)})
    svgs = slider.read(tmp_path / "it.slider.json").svgs
    frames = {re.search(r'<g id="patch_2">\s*<path d="([^"]*)"', svg)[1] for svg in svgs}
    assert len(set(svgs)) == 2 and len(frames) == 1
    alone = style.svg_text(step(1e6))
    assert re.search(r'<g id="patch_2">\s*<path d="([^"]*)"', alone)[1] not in frames


def test_long_names_of_lines_do_not_squeeze_the_panels() -> None:
    assert style.fit_beside(["ε = 0.2", "adaptive KL, target 0.003"])
    assert not style.fit_beside(["ε = 0.2", "no clip, advantages not standardised"])


def test_the_passes_of_an_update_are_drawn_and_the_title_says_how_far_they_go(
    tmp_path: Path,
) -> None:
    # KL after the first and after the tenth pass: 0.01 and 0.03 with the clip, 0.7 without.
    passes = probes()["update_passes"]
    farther = passes.assign(env="half_cheetah")
    farther.loc[(farther.method == "ppo_noclip") & (farther.passes == 10), "kl"] = math.nan
    pd.concat([passes, farther]).to_csv(tmp_path / "in.csv", index=False)
    made_up.list_beside(tmp_path / "in.csv")
    suffixes = (".svg", ".png", ".csv", ".caption.txt", f".{MANIFEST}")
    outputs = [tmp_path / f"out{suffix}" for suffix in suffixes]
    arguments = [str(path) for path in (tmp_path / "in.csv", *outputs)]
    assert update_passes.main(arguments) == 0
    first = [path.read_bytes() for path in outputs]
    assert "3.0 times with the clip and 70 to inf times without it" in first[0].decode()
    assert "Hopper-v5 0.50 with the clip, 1.00 without" in first[3].decode()
    assert "(2 in all, 1 seeds" in first[3].decode()
    drawn = pd.read_csv(tmp_path / "out.csv")
    assert len(drawn) == 2 * 2 * 10 and drawn["0.5"].max() == math.inf
    assert update_passes.main(arguments) == 0
    assert [path.read_bytes() for path in outputs] == first


@pytest.mark.parametrize("turns", [True, False])
def test_the_line_of_an_update_is_drawn_and_its_title_says_what_is_so(
    tmp_path: Path, turns: bool
) -> None:
    line = updates_of_one_batch()[1].query("method in ['ppo', 'trpo']")
    # The clipped surrogate is largest at t = 1 there, the other where the line ends.
    earlier = line.assign(env_steps=-1, surrogate=np.nan)
    if not turns:
        line = line.assign(clipped_surrogate=line.surrogate)
    pd.concat([earlier, line]).to_csv(tmp_path / "in.csv", index=False)
    made_up.list_beside(tmp_path / "in.csv")
    suffixes = (".svg", ".png", ".csv", ".caption.txt", ".slider.json", f".{MANIFEST}")
    outputs = [tmp_path / f"out{suffix}" for suffix in suffixes]
    arguments = [str(path) for path in (tmp_path / "in.csv", *outputs)]
    assert update_line.main(arguments) == 0
    first = [path.read_bytes() for path in outputs]
    assert (update_line.TURNS in first[0].decode()) == turns
    peak = "on Hopper-v5 at t = 1, unclipped at t = 1.5" if turns else "Hopper-v5 at t = 1.5, un"
    assert peak in first[3].decode() and "mean over the 3 seeds" in first[3].decode()
    steps = slider.read(outputs[4])
    assert steps.names[steps.start] == "t = 1" and len(steps.names) == len(steps.svgs)
    assert update_line.NAMES["hopper"] in steps.svgs[0] and len(set(steps.svgs)) == len(steps.svgs)
    drawn = pd.read_csv(tmp_path / "out.csv")
    assert len(drawn) == len(line) and drawn.notna().all(axis=None)
    assert update_line.main(arguments) == 0
    assert [path.read_bytes() for path in outputs] == first
