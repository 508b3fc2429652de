"""What a claim is judged by: its parts, each an estimate and what is claimed of it.

Differences are paired by seed within an environment (runs of one seed share networks, noise and
environments); the mean over environments has each environment once.
"""

import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import pandas as pd

from analysis.claims.configuration import Claim
from analysis.measures import LEAST_SPREAD_U, WORST, ruined_or_collapsed
from analysis.statistics import Estimate, mean_estimate, mean_over_environments
from analysis.study import Study, env_labels

Aim = Literal["above", "not below", "within", "often", "rises", "never", "guard", "shown"]
"""What a part claims of its estimate.

``above``: it is above 0, and reaches the margin.  ``not below``: it is above −margin.  ``within``:
it is between −margin and margin.  ``often``: a share, above the margin.  ``rises``: a permutation
or sign test says so.  ``never``: no case of so many.  ``guard``: no environment is wholly below
−margin, at a level for all at once.  ``shown``: nothing, it stands beside the others.
"""

FACTOR = "factor"
"""Unit of natural logarithms that are shown as factors."""

EXPONENT = "exponent"
"""Unit of the power with which one quantity grows with another."""
PROPORTION = "proportion"
"""Unit of shares, which are shown in per cent."""
SHARE = "share"
"""Unit of differences of shares, which are shown in percentage points."""

U = "u"
LEVEL = 0.95
"""Of intervals that are shown and not judged."""


@dataclass(frozen=True)
class Data:
    """What there is to judge from.

    Args:
        studies, measures: by name of the study.
        probes: by name of the module of ``replicate.probes``.
        published: by name of the file of ``results/published``.

    """

    studies: Mapping[str, Study] = field(default_factory=dict)
    measures: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    probes: Mapping[str, pd.DataFrame] = field(default_factory=dict)
    published: Mapping[str, pd.DataFrame] = field(default_factory=dict)


@dataclass(frozen=True)
class Part:
    """One thing that is claimed, and what the data say of it.

    Args:
        key: its name in the sentences of ``conf/claims``.
        label: for people.
        aim: what is claimed.
        estimate: over all environments; None: nothing was run that it could be made of.
        margin: smallest effect of interest, in the estimate's unit (of a factor its logarithm).
        by_env: the estimate on each environment.
        reached: of a difference in u, the better side's mean *final* u on each environment.
        seeds: per environment, the least; of trends the mean; 0 where it has no meaning.
        p_values: of ``rises``: one-sided, for and against.
        count: cases of the claim's event, and how many could have been one.
        cases_per_seed: of a share, how many could be one with one seed more.
        test: parts of one test stand and fall together; each test has one p in its family.
        at_least: whether the true value may be larger: then nothing speaks against the claim.
        absent: what is said of it where it has no estimate.

    """

    key: str
    label: str
    aim: Aim
    estimate: Estimate | None
    margin: float = 0.0
    by_env: Mapping[str, Estimate] = field(default_factory=dict)
    reached: Mapping[str, float] = field(default_factory=dict)
    seeds: int = 0
    p_values: tuple[float, float] | None = None
    count: tuple[int, int] | None = None
    cases_per_seed: int = 0
    test: str = ""
    at_least: bool = False
    absent: str = "not run"


ENVIRONMENT = "environment"
"""Heading of a column that names environments: the reader of a report can choose one."""


@dataclass(frozen=True)
class Table:
    """Numbers to be shown with a claim.

    Args:
        rows: text and numbers, in the order of ``columns``.

    """

    title: str
    columns: list[str]
    rows: list[list[Any]]


@dataclass(frozen=True)
class Evidence:
    """What a claim's function makes of the data.

    Args:
        undecided: why the data cannot decide, whatever they say; empty: they can.
        seeds_needed: for what ``undecided`` says.
        variants: whose runs it read, of all its studies; empty: all.
        judged: study → environments whose runs it judged; empty: those of the parts, of all
            studies.
        told: what the sentences can name beside the parts: name → text.  It judges nothing.
        tables: makes what is shown beside the verdict.

    """

    parts: list[Part]
    undecided: str = ""
    seeds_needed: int | None = None
    variants: tuple[str, ...] = ()
    judged: Mapping[str, Collection[str]] = field(default_factory=dict)
    told: Mapping[str, str] = field(default_factory=dict)
    tables: Callable[[], list[Table]] = list


Column = Callable[[pd.DataFrame], pd.Series]
"""Runs → the quantity of each."""


def held_u(runs: pd.DataFrame, column: str = "u") -> pd.Series:
    """The published scale as it goes into means: below −1 counts as −1."""
    return runs[column].clip(lower=WORST)


def final_u(runs: pd.DataFrame) -> pd.Series:
    """*final* on the published scale."""
    return held_u(runs)


def early_u(runs: pd.DataFrame) -> pd.Series:
    """Speed: u over the first quarter of a run."""
    return held_u(runs, "early_u")


def log_kl(runs: pd.DataFrame) -> pd.Series:
    """Mean over updates of log KL(old‖new)."""
    return runs.mean_log_kl


def log_kl_95(runs: pd.DataFrame) -> pd.Series:
    """Logarithm of the 95 % quantile of KL over updates."""
    return np.log(runs.kl_95)


def log_kl_max(runs: pd.DataFrame) -> pd.Series:
    """Logarithm of the largest KL of an update."""
    return np.log(runs.kl_max)


def log_ratio_99(runs: pd.DataFrame) -> pd.Series:
    """Mean over updates of the logarithm of the 99 % quantile of |r − 1|."""
    return runs.mean_log_ratio_deviation_99


Samples = Mapping[str, pd.Series]
"""Environment → a quantity by seed."""


def samples(
    data: Data, study: str, variant: str, column: Column, without: Iterable[str] = ()
) -> dict[str, pd.Series]:
    """Environment → a quantity of a variant's runs, by seed, in the order of the plan.

    Environments where the quantity is not known of every run are left out: those without a
    published scale, and all where the study or the variant is not there.
    """
    if study not in data.measures:
        return {}
    table = data.measures[study]
    runs = table[(table.variant == variant).to_numpy()]
    values, seeds = column(runs).to_numpy(np.float64), runs.seed.to_numpy()
    places, envs = pd.factorize(runs.env)
    left_out = set(without)
    by_env = {}
    for place, env in enumerate(map(str, envs)):
        here = places == place
        if env not in left_out and not np.isnan(values[here]).any():
            by_env[env] = pd.Series(values[here], index=seeds[here])
    return by_env


def reached_u(
    data: Data, study: str, variants: Iterable[str], without: Iterable[str]
) -> dict[str, float]:
    """Environment → the best of the variants' mean *final* u."""
    best: dict[str, float] = {}
    for variant in variants:
        for env, values in samples(data, study, variant, final_u, without).items():
            best[env] = max(best.get(env, -math.inf), float(values.mean()))
    return best


def paired(
    x: Mapping[str, pd.Series], y: Mapping[str, pd.Series], unit: str
) -> dict[str, Estimate]:
    """Environment → mean over seeds of ``x − y``, on the environments and seeds of both.

    The standard deviation over seeds of a difference in u counts as 0.01 where it is less.
    """
    least = LEAST_SPREAD_U if unit == U else 0.0
    estimates = {}
    for env in x:
        if env in y:
            differences = (x[env] - y[env]).dropna()
            if len(differences):
                estimates[env] = mean_estimate(differences.to_numpy(), unit, least)
    return estimates


def chosen_elsewhere(
    data: Data, study: str, variants: Sequence[str], without: Iterable[str], *, worst: bool = False
) -> dict[str, pd.Series]:
    """Environment → *final* u by seed of the variant that is best (or worst) on all other seeds.

    Best is the largest mean over environments of the mean over seeds; so a seed is never compared
    with what was chosen by its own result.  Nothing where there is one seed alone, or a variant is
    missing.
    """
    finals = [pd.DataFrame(samples(data, study, name, final_u, without)) for name in variants]
    if any(table.empty for table in finals) or len(finals[0]) < 2:
        return {}
    pick = np.argmin if worst else np.argmax
    chosen = {
        seed: finals[pick([table.drop(index=seed).mean().mean() for table in finals])].loc[seed]
        for seed in finals[0].index
    }
    return {env: pd.Series({s: u[env] for s, u in chosen.items()}) for env in finals[0].columns}


def part(
    key: str,
    label: str,
    aim: Aim,
    by_env: Mapping[str, Estimate],
    margin: float = 0.0,
    reached: Mapping[str, float] | None = None,
    test: str = "",
) -> Part:
    """A part whose estimate is the mean over environments; without any it was not run."""
    if not by_env:
        return Part(key, label, aim, None, margin, test=test)
    known = {} if reached is None else {env: reached[env] for env in by_env}
    seeds = min(estimate.n for estimate in by_env.values())
    overall = mean_over_environments(list(by_env.values()))
    return Part(key, label, aim, overall, margin, by_env, known, seeds, test=test)


def often(
    key: str,
    label: str,
    hits: int,
    total: int,
    margin: float,
    seeds: int = 0,
    cases_per_seed: int = 0,
) -> Part:
    """A part whose estimate is a share of cases; without a case it was not run."""
    if not total:
        return Part(key, label, "often", None, margin)
    return Part(
        key,
        label,
        "often",
        Estimate(hits / total, math.nan, 1.0, total, PROPORTION),
        margin,
        seeds=seeds,
        count=(hits, total),
        cases_per_seed=cases_per_seed,
    )


def difference(
    data: Data,
    study: str,
    variants: tuple[str, str],
    column: Column,
    *,
    key: str,
    label: str,
    aim: Aim,
    unit: str = U,
    margin: float = 0.0,
    without: Iterable[str] = (),
    test: str = "",
) -> Part:
    """The first variant minus the second, paired by seed, mean over environments."""
    x, y = (samples(data, study, variant, column, without) for variant in variants)
    reached = reached_u(data, study, variants, without) if unit == U else None
    by_env = paired(x, y, unit)
    if reached is not None:
        by_env = {env: estimate for env, estimate in by_env.items() if env in reached}
    return part(key, label, aim, by_env, margin, reached, test)


def final_difference(
    data: Data,
    claim: Claim,
    study: str,
    variants: tuple[str, str],
    *,
    key: str,
    label: str,
    aim: Aim,
    test: str = "",
) -> Part:
    """:func:`difference` in *final* u, with the claim's margin and without what it leaves out."""
    return difference(
        data,
        study,
        variants,
        final_u,
        key=key,
        label=label,
        aim=aim,
        margin=claim.margins["u"],
        without=claim.without,
        test=test,
    )


def factor_difference(
    data: Data,
    claim: Claim,
    study: str,
    variants: tuple[str, str],
    column: Column,
    *,
    key: str,
    label: str,
    aim: Aim = "above",
    test: str = "",
) -> Part:
    """:func:`difference` of a logarithm, shown as a factor, with the claim's margin.

    As in :func:`final_difference`, without the environments that the claim leaves out.
    """
    return difference(
        data,
        study,
        variants,
        column,
        key=key,
        label=label,
        aim=aim,
        unit=FACTOR,
        margin=math.log(claim.margins["factor"]),
        without=claim.without,
        test=test,
    )


def of_one_length(data: Data, studies: Iterable[str]) -> bool:
    """Whether the runs of these studies, as far as they are there, have one number of env steps."""
    there = [data.studies[study] for study in studies if study in data.studies]
    return len({study.total_env_steps for study in there}) <= 1


def interaction(
    data: Data,
    pairs: tuple[tuple[str, str, str], tuple[str, str, str]],
    label: str,
    without: Iterable[str] = (),
) -> Part:
    """What one change is worth in *final* u minus what another is, paired by seed; shown.

    Nothing of studies whose runs are not of one length.

    Args:
        pairs: twice a study and two of its variants; a change is worth the first minus the second.

    """
    if not of_one_length(data, (study for study, *_ in pairs)):
        return part("interaction", label, "shown", {})
    worth = []
    for study, *variants in pairs:
        x, y = (samples(data, study, variant, final_u, without) for variant in variants)
        worth.append({env: x[env] - y[env] for env in x if env in y})
    return part("interaction", label, "shown", paired(worth[0], worth[1], U))


def without_env(whole: Part, env: str, name: str) -> list[Part]:
    """The same beside it, without one of several environments; nothing where it has none."""
    if whole.estimate is None or env not in whole.by_env or len(whole.by_env) < 2:
        return []
    rest = {other: estimate for other, estimate in whole.by_env.items() if other != env}
    label = f"{whole.label}, without {name}"
    reached = whole.reached or None  # of a factor nothing is known
    return [part(f"{whole.key}_without_{env}", label, "shown", rest, reached=reached)]


def levels_of(
    data: Data, studies: Iterable[str], without: Iterable[str], title: str = "What runs end at"
) -> Table:
    """*final* u of every variant, mean over environments, and how many of its runs went wrong."""
    rows: list[list[object]] = []
    for name in studies:
        for variant in data.studies[name].variants if name in data.studies else ():
            by_env = samples(data, name, variant, final_u, without)
            if not by_env:
                continue
            wrong = samples(data, name, variant, ruined_or_collapsed, without)
            means = {
                env: mean_estimate(u.to_numpy(), U, LEAST_SPREAD_U) for env, u in by_env.items()
            }
            overall = mean_over_environments(list(means.values()))
            study = data.studies[name]
            rows.append(
                [
                    study.recipe,
                    study.labels[variant],
                    len(by_env),
                    overall.value,
                    *overall.bounds(LEVEL),
                    int(sum(of_env.sum() for of_env in wrong.values())),
                    sum(map(len, by_env.values())),
                ]
            )
    columns = ["recipe", "variant", "environments", "final u", "low", "high"]
    return Table(
        f"{title}, mean over environments (95 % intervals)",
        [*columns, "ruined or collapsed", "of runs"],
        rows,
    )


def mean_differences(title: str, pairs: Mapping[str, tuple[Samples, Samples]]) -> Table:
    """Differences of *final* u, paired by seed, mean over environments; those that were run.

    Args:
        pairs: what is compared → :func:`samples` of both.

    """
    rows: list[list[object]] = []
    for label, (x, y) in pairs.items():
        if by_env := paired(x, y, U):
            estimate = mean_over_environments(list(by_env.values()))
            rows.append([label, estimate.value, *estimate.bounds(LEVEL), len(by_env)])
    columns = ["difference in final, u", "mean over environments", "low", "high", "environments"]
    return Table(f"{title} (95 % intervals)", columns, rows)


def on_each(data: Data, whole: Part) -> Table:
    """A difference or factor on each of its environments, which a mean may hide."""
    labels = env_labels(data.studies.values())
    rows = [[labels[env], *_with_bounds(estimate)] for env, estimate in whole.by_env.items()]
    columns = ["environment", "mean over seeds", "low", "high"]
    return Table(f"{whole.label}, by environment (95 % intervals)", columns, rows)


def _with_bounds(estimate: Estimate) -> list[float]:
    """Value, low and high, as they are read: a factor, not its logarithm."""
    read = math.exp if estimate.unit == FACTOR else float
    return [read(number) for number in (estimate.value, *estimate.bounds(LEVEL))]


def without_each(data: Data, parts: Iterable[Part]) -> Table:
    """What differences are without one of their environments: whether one of them makes it all."""
    labels = env_labels(data.studies.values())
    rows: list[list[Any]] = []
    for whole in parts:
        for env in whole.by_env if whole.aim != "guard" else ():
            for rest in without_env(whole, env, labels[env]):
                assert rest.estimate is not None
                rows.append([whole.label, labels[env], *_with_bounds(rest.estimate)])
    columns = ["difference or factor", "without", "mean over the others", "low", "high"]
    return Table("Without one environment (95 % intervals)", columns, rows)
