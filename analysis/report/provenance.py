"""Where the numbers come from: software, machines, seeds and costs of the runs."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import isnan
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from analysis.report.elements import Table, amount, grid
from analysis.statistics import FEW_SEEDS
from analysis.study import Study, env_labels
from replicate.messages import counted
from replicate.store.records import is_reference
from replicate.store.staleness import Answer, command, compare, cpu_class

SECONDS_PER_HOUR = 3600
ADDED = {
    "paper": "At scale paper seeds 3 and 4 were added after a look at what seeds 0 to 2 had, and 5 "
    "to 9 on four tasks after one at those; the levels of intervals are those of one look."
}
"""What a reader must know of the data that come with the repository, by scale."""
PHASES = ("rollout", "advantages", "update")
"""What a cohort's clock readings come to; the environment's steps are a part of the rollout."""


def unique_runs(studies: Iterable[Study]) -> list[dict[str, Any]]:
    """The runs of all studies, those they share once."""
    return list({run["digest"]: run for study in studies for run in study.runs}.values())


def of_other_software(studies: list[Study]) -> list[tuple[str, list[Answer]]]:
    """What of the runs the software here would not make, or not as far as is known.

    Returns sentences, each with the answers that it counts.
    """
    runs = unique_runs(studies)
    answers = [compare(run, [run["settings"]]) for run in runs]
    groups = []
    for kind, why in (
        ("other", "by software that does other than the present"),
        ("unknown", "by software of which it is not known whether it does as the present"),
    ):
        if told := [answer for answer in answers if answer.same == kind]:
            made_by = "; ".join(sorted({answer.why for answer in told}))
            text = f"{len(told)} of {len(runs)} runs were made {why}: {made_by}"
            groups.append((text, told))
    return groups


def elsewhere(runs: list[dict[str, Any]]) -> int:
    """Runs that went on on another class of CPU or device than they began on."""
    return sum(
        any(cpu_class({**run, **part}) != cpu_class(run) for part in run.get("resumed", []))
        for run in runs
    )


def checkouts(run: dict[str, Any]) -> list[dict[str, Any]]:
    """Where a run began, and where it went on from checkpoints: ``commit``, ``dirty``."""
    return [run, *run.get("resumed", [])]


def by_scale(studies: Iterable[Study]) -> dict[str, list[Study]]:
    """Scale → its studies, in the order in which they come."""
    groups: dict[str, list[Study]] = {}
    for study in studies:
        groups.setdefault(study.plan["scale"], []).append(study)
    return groups


@dataclass(frozen=True)
class Extent:
    """How much was run at a scale."""

    scale: str
    seeds: list[int]
    total_env_steps: int
    envs: list[str]


def extents(studies: Iterable[Study]) -> list[Extent]:
    """Of each scale: numbers of seeds, length of a run, environments; the longest runs first."""
    found = [
        Extent(
            scale,
            sorted({len(study.on(env).seeds) for study in group for env in study.envs}),
            max(study.total_env_steps for study in group),
            list(dict.fromkeys(env_labels(group).values())),
        )
        for scale, group in by_scale(studies).items()
    ]
    return sorted(found, key=lambda extent: -extent.total_env_steps)


def software_notes(name: str, studies: list[Study]) -> list[tuple[str, str]]:
    """Which runs are of other software than the present, and the command that helps."""
    told = []
    for scale, group in by_scale(studies).items():
        choice = f"scale={scale} studies={','.join(study.name for study in group)}"
        # Those of the repository stay: what is trained lies beside them.
        aside = "" if is_reference(name) else f"python -m replicate retrain {choice} && "
        train = f"{aside}snakemake --config {choice}"
        told += [
            (f"{text}. To find out", command(answers))
            if answers[0].same == "unknown"
            else (f"{text}. To train them anew", train)
            for text, answers in of_other_software(group)
        ]
    return told


def notes(name: str, measures: pd.DataFrame, runs: list[dict[str, Any]]) -> list[str]:
    """What a reader must know before the numbers."""
    texts = []
    of_each = measures.groupby(["scale", "study", "env", "variant"]).seed.nunique()
    numbers = of_each.groupby("scale").agg(["min", "max"])
    few = [
        (f"{least} seeds" if least == most else f"{least} to {most} seeds")
        + (f" at scale {scale}" if len(numbers) > 1 else "")
        for scale, least, most in numbers.itertuples()
        if least < FEW_SEEDS
    ]
    if few:
        texts.append(
            f"With {' and '.join(few)}, intervals are wide and pictures are no verdicts: the "
            "tables at the end say how often such intervals hold the truth and such verdicts are "
            "wrong."
        )
    diverged = sum(run["status"] == "diverged" for run in runs)
    if diverged:
        texts.append(
            f"{counted(diverged, 'run')} diverged (to infinity or NaN); what diverged counts as "
            "the worst everywhere."
        )
    if moved := elsewhere(runs):
        texts.append(
            f"{counted(moved, 'run')} went on, after an interruption, on another class of CPU or "
            "device: they count, but nobody can repeat them bit by bit."
        )
    if is_reference(name):
        texts += [text for scale, text in ADDED.items() if scale in numbers.index]
    return texts


def facts(studies: list[Study]) -> list[tuple[str, str]]:
    """Where and with what the runs were made, from their own records."""
    runs = unique_runs(studies)
    steps = sum(run["env_steps"] for run in runs)

    def of(key: str) -> str:
        return ", ".join(sorted({str(run[key]) for run in runs}))

    versions = {f"{k} {v}" for run in runs for k, v in run["versions"].items()}
    commits = {commit_text(checkout) for run in runs for checkout in checkouts(run)}
    resumed = sum(bool(run.get("resumed")) for run in runs)
    return [
        ("Env steps", f"{steps:,} in {len(runs)} runs"),
        ("Time", "; ".join(time_texts(studies))),
        ("Processor", f"{of('cpu')} ({of('simd')}), {of('threads')} thread a process"),
        ("Device", of("device")),
        ("Seeds", "one per run: network, action noise, minibatch order and environment"),
        (
            "Tuning",
            "naive policy gradient's step size 1e-2, the best of seven at quick scale, on seeds "
            "that no other study uses (study vpg_step_size), the sizes of N2's destructive updates "
            "(study no_undo) and, on other seeds, C10's step sizes of policy and value function; "
            "nothing else that came with the suite",
        ),
        ("Software", f"Python {of('python')}, {', '.join(sorted(versions))}"),
        ("Training code", ", ".join(sorted({run["code_digest"][:12] for run in runs}))),
        ("Commit", ", ".join(sorted(commits))),
        ("Interrupted", f"{resumed} runs went on from a checkpoint, {len(runs) - resumed} did not"),
        ("To cite", cited()),
        ("Lock file", ", ".join(sorted({str(run["lock_digest"])[:12] for run in runs}))),
    ]


def cited(file: Path = Path("CITATION.cff")) -> str:
    """Title, version and date of the suite."""
    known = yaml.safe_load(file.read_text(encoding="utf-8"))
    return f"{known['title']}, version {known['version']}, {known['date-released']} ({file.name})"


def commit_text(checkout: dict[str, Any]) -> str:
    """Where code came from, as far as the run says."""
    commit = checkout.get("commit")
    if commit is None:
        return "not recorded"
    return f"{commit[:12]}{' with uncommitted changes' if checkout['dirty'] else ''}"


def cost_table(studies: list[Study]) -> Table:
    """µs per env step by environment and algorithm, and what all runs of the page come to."""
    labels = env_labels(studies)
    sums = costs(studies).groupby(["env", "algorithm"], sort=False)[["env_steps", "seconds"]].sum()
    rows = [
        (
            labels[env],
            algo,
            amount(cost.env_steps),
            f"{cost.seconds:.0f}",
            f"{cost.seconds / cost.env_steps * 1e6:.0f}",
        )
        for (env, algo), cost in sums.iterrows()
    ]
    header = ["environment", "algorithm", "env steps", "core seconds", "µs per env step"]
    caption = (
        "What these runs cost, with lanes in lockstep, one core per cohort. Cohorts are of unlike "
        "size: what an update of each algorithm costs is claim T2."
    )
    return grid(caption, header, rows)


def costs(studies: Iterable[Study]) -> pd.DataFrame:
    """Of each run, once: ``env, algorithm, machine, env_steps`` and ``seconds`` of a core.

    A run's share of its cohort's time is that of one lane, wherever the others are.
    """
    rows = {}
    for study in studies:
        algorithms = {v["name"]: v["algo"]["name"] for v in study.plan["variants"]}
        for run in study.runs:
            cohort = run["cohort"]
            rows[run["digest"]] = {
                "env": run["env"],
                "algorithm": algorithms[run["variant"]],
                "machine": f"{run['cpu']} ({run['simd']})",
                "env_steps": run["env_steps"],
                "seconds": sum(cohort["seconds"][part] for part in PHASES) / cohort["lanes"],
            }
    return pd.DataFrame(list(rows.values()))


def time_texts(studies: Iterable[Study]) -> list[str]:
    """Core hours and pace of all runs, by the kind of processor that they were trained on."""
    sums = costs(studies).groupby("machine", sort=False)[["env_steps", "seconds"]].sum()
    return [
        f"{machine}: {cost.seconds / SECONDS_PER_HOUR:.2f} core hours of training, "
        f"{cost.env_steps / cost.seconds:,.0f} env steps a second and core"
        for machine, cost in sums.iterrows()
    ]


def scale_table(measures: pd.DataFrame, labels: Mapping[str, str]) -> Table:
    """0 and 1 of the published scale."""
    known = measures.groupby("env")[["untrained", "reference_return"]].first()
    rows = [
        (
            labels[env],
            f"{n.untrained:.4g}".replace("-", "−"),
            "–" if isnan(n.reference_return) else f"{n.reference_return:g}".replace("-", "−"),
        )
        for env, n in known.iterrows()
    ]
    header = ["environment", "u = 0: untrained policy", "u = 1: the literature"]
    return grid("The published scale: returns that count as u = 0 and as u = 1.", header, rows)
