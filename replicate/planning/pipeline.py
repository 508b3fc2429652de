"""What the Snakefile knows – studies and scale, names of files, training jobs.

A process that Snakemake starts for a single job parses the Snakefile again.  It reads what the
first process wrote and plans nothing: which runs are missing changes while they are trained.
"""

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from replicate.messages import EXPECTED, ending
from replicate.planning.choices import Choice, choice_of, chosen_runs
from replicate.planning.cohorts import cohorts_to_train
from replicate.planning.composition import options
from replicate.planning.studies import PlannedRun, Study
from replicate.settings import RunSettings
from replicate.store.checkpoints import cohort_name, stored
from replicate.store.records import (
    ENV_TABLES,
    MANIFEST,
    REFERENCE,
    RUN_FILE,
    check_writable,
    is_finished,
    is_reference,
    read_json,
    sha256,
    tables_of_plan,
    write_atomically,
)
from replicate.store.software import CONF, code_digest

CLAIM_DIGESTS = CONF / "claims" / "digests.json"
PROBES = ("clipped_objective", "importance_sampling", "two_actions", "update_lines")
"""Of ``replicate.probes``, those of seconds that a claim is judged by: made with each report.

What the others found, which take minutes or read the clock, lies in the repository."""
ROUGH_SECONDS_PER_ENV_STEP = 1e-4
OF_EACH_ENV = ("learning_curves",)
"""Figures that are drawn once more of each environment alone."""
REFERENCE_SCALES = ("paper", "quick")
"""Of which the repository has data, or will have: the first is ``reference``."""


@dataclass(frozen=True)
class CohortJob:
    """Runs of one training job.

    Args:
        name: stable: made from environment, algorithm and the digests of the runs.
        manifest: file that lists them.
        stamps: one per run.
        env_steps: of all lanes; larger jobs first, so that no core waits at the end.

    """

    name: str
    manifest: str
    stamps: list[str]
    env_steps: int

    @property
    def priority(self) -> int:
        """For Snakemake, in thousands."""
        return self.env_steps // 1000


@contextmanager
def _exits_in_one_line() -> Iterator[None]:
    """End the process of the Snakefile where something is wrong that its user can put right."""
    try:
        yield
    except EXPECTED as error:
        sys.exit(ending(error, "snakemake, with -n too, writes there what is planned"))


@dataclass(frozen=True)
class Layout:
    """Names of files below ``results/``."""

    results: Path

    @property
    def root(self) -> Path:
        """What is made here; git ignores it."""
        return self.results / "replication"

    @property
    def store(self) -> Path:
        """Finished runs, by their digest."""
        return self.root / "runs"

    def stamp(self, run_id: str) -> Path:
        """What stands for a finished run in the pipeline.

        Snakemake deletes the outputs of jobs that fail and of those that it starts: no file of a
        run may be one.
        """
        return self.root / "finished" / run_id

    @property
    def manifests(self) -> Path:
        """Lists of the runs that train together."""
        return self.root / "cohorts"

    @cached_property
    def references(self) -> dict[str, str]:
        """Reports of the repository's data → their scales.

        ``reference`` is of the first scale that has data, ``reference_<scale>`` of the others.
        """
        plans = self.results / REFERENCE / "plans"
        found = [scale for scale in REFERENCE_SCALES if any((plans / scale).glob("*.json"))]
        return {f"{REFERENCE}_{scale}" if i else REFERENCE: scale for i, scale in enumerate(found)}

    def frozen_plan(self, scale: str, study: str) -> Path:
        """What the repository has of a study."""
        return self.results / REFERENCE / "plans" / scale / f"{study}.json"

    def plan(self, name: str, study: str) -> Path:
        """What the study consists of."""
        if is_reference(name):
            return self.frozen_plan(self.references.get(name, name), study)
        return self.root / name / "data" / study / "plan.json"


@dataclass(frozen=True)
class Pipeline:
    """Names and jobs for the rules.  The methods take Snakemake's wildcards."""

    layout: Layout
    choice: Choice
    jobs: list[CohortJob]

    @cached_property
    def _plans(self) -> dict[tuple[str, str], dict[str, Any]]:
        return {}

    def plan(self, name: str, study: str) -> dict[str, Any]:
        """The plan of a study, as written."""
        if (name, study) not in self._plans:
            with _exits_in_one_line():
                self._plans[name, study] = read_json(self.layout.plan(name, study))
        return self._plans[name, study]

    @property
    def code_digest(self) -> str:
        """Of the training code that is here now: the report says which runs others made."""
        return code_digest()

    @property
    def names(self) -> list[str]:
        """What a report can be named after."""
        return [*self.layout.references, *options("scale")]

    def studies(self, name: str) -> list[str]:
        """Studies at scale ``name``, or those with data in the repository."""
        if not is_reference(name):
            return list(self.choice.studies)
        return sorted(path.stem for path in self.layout.plan(name, "").parent.glob("*.json"))

    def runs(self, wildcards: Any) -> list[str]:
        """Stamps of the runs on one environment that the chosen studies have at a scale.

        With those that other studies had there: what was made of them stays as it is.
        """
        chosen = self.plans(wildcards)
        before = self.layout.plan(wildcards.name, "*").relative_to(self.layout.results)
        names = set()
        for path in {*map(Path, chosen), *self.layout.results.glob(str(before))}:
            for run in self._runs_on(path, wildcards.env):
                stamp = self.layout.stamp(run)
                finished = stamp.is_file() and is_finished(self.layout.store / run)
                if finished or str(path) in chosen:
                    names.add(str(stamp))
        return sorted(names)

    def _runs_on(self, plan: Path, env: str) -> list[str]:
        with _exits_in_one_line():
            return [run["run_id"] for run in read_json(plan)["runs"] if run["env"] == env]

    @property
    def stamps(self) -> list[str]:
        """Of all runs: one that is missing is trained, whatever was drawn from it before."""
        plans = [self.plan(self.choice.scale, study) for study in self.choice.studies]
        names = {entry["run_id"] for plan in plans for entry in plan["runs"]}
        return [str(self.layout.stamp(name)) for name in sorted(names)]

    def data(self, wildcards: Any) -> list[str]:
        """The plan of a study and its tables."""
        name, study = wildcards.name, wildcards.study
        return [str(self.layout.plan(name, study)), *self.tables(name, study)]

    def tables(self, name: str, study: str) -> list[str]:
        """Of every environment; beside those that were made here, their manifest."""
        # The repository's manifest lists other data too: its times say nothing of a study.
        parts = ENV_TABLES if is_reference(name) else (*ENV_TABLES, MANIFEST)
        stems = tables_of_plan(self.layout.plan(name, study), self.plan(name, study))
        return [f"{stem}.{part}" for found in stems.values() for stem in found for part in parts]

    def plans(self, wildcards: Any) -> list[str]:
        """The plan of every study of a report."""
        name = wildcards.name
        return [str(self.layout.plan(name, study)) for study in self.studies(name)]

    def measures(self, wildcards: Any) -> list[str]:
        """The measures of every study of a report."""
        name = wildcards.name
        return [f"{self.layout.root}/{name}/measures/{study}.csv" for study in self.studies(name)]

    @property
    def probes(self) -> list[str]:
        """The records that claims are judged by; they depend on no study and no scale."""
        made = [f"{self.layout.root}/probes/{probe}.csv" for probe in PROBES]
        stored = (self.layout.results / REFERENCE / "probes").glob("*.csv")
        return [*made, *sorted(map(str, stored))]

    @property
    def error_rates(self) -> list[str]:
        """How often verdicts are wrong, where it was simulated."""
        file = self.layout.results / REFERENCE / "error_rates.csv"
        return [str(file)] if file.is_file() else []

    @property
    def rules_of_claims(self) -> list[str]:
        """Statements, margins and wording."""
        return sorted(map(str, Path("conf/claims").glob("*.yaml")))

    def targets(self, name: str) -> list[str]:
        """The report and all that it is made of: what is missing is made again."""
        tables = [file for study in self.studies(name) for file in self.tables(name, study)]
        made = [f"{self.layout.root}/{name}/{file}" for file in ("report.html", "claims.json")]
        return [*made, *self.products(name), *tables]

    def products(self, name: str) -> list[str]:
        """Every figure and table of a report; some figures of each environment too."""
        found = []
        for study in self.studies(name):
            plan = self.plan(name, study)
            figures = [*plan["figures"]]
            figures += [f"{env}/{f}" for env in plan["envs"] for f in figures if f in OF_EACH_ENV]
            files = [f"figures/{study}/{figure}.svg" for figure in figures]
            # The report reads the Markdown, and offers the numbers.
            files += [f"tables/{study}/{t}{end}" for t in plan["tables"] for end in (".csv", ".md")]
            found += [f"{self.layout.root}/{name}/{file}" for file in files]
        return found


def pipeline(config: Mapping[str, Any], is_main_process: bool, results: Path) -> Pipeline:
    """Plan what Snakemake's ``config`` names.

    Writes the plan of each study and a manifest for each cohort of missing runs, each only if
    its content changed: a finished run never has a training job again.  Ends the process with
    code 2 and one line where the configuration is wrong or ``results`` cannot be written.
    """
    layout = Layout(results)
    with _exits_in_one_line():
        choice = choice_of(config)
        jobs = _plan(layout, choice) if is_main_process else list(written_jobs(layout))
    return Pipeline(layout, choice, jobs)


def _plan(layout: Layout, choice: Choice) -> list[CohortJob]:
    runs: list[RunSettings] = []
    known = read_json(CLAIM_DIGESTS)
    begun = _begun(layout.store)
    written = written_plans(layout.root)
    for study, planned in chosen_runs(choice):
        runs += [p.run for p in planned]
        path = layout.plan(choice.scale, study.name)
        plan = plan_of(study, choice.scale, planned)
        plan["claims"] = claims_of(plan, written.get(path), list(written.values()), begun, known)
        write_if_changed(path, plan)
    for run in runs:
        _renew_stamp(layout, run)
    jobs = []
    for cohort in cohorts_to_train(runs, layout.store):
        entries = [run.model_dump(mode="json") for run in cohort]
        path = layout.manifests / f"{cohort_name(cohort)}.json"
        steps = sum(run.num_updates * run.algo.num_steps for run in cohort)
        stamps = [str(layout.stamp(run.run_id)) for run in cohort]
        data = {"store": str(layout.store), "env_steps": steps, "stamps": stamps}
        write_if_changed(path, {**data, "runs": entries})
        jobs.append(CohortJob(path.stem, str(path), stamps, steps))
    if jobs:
        check_writable(layout.root)
    announce(runs, jobs)
    return jobs


def claims_of(
    plan: Mapping[str, Any],
    before: Mapping[str, Any] | None,
    others: list[dict[str, Any]],
    begun: Callable[[str], bool],
    known: Mapping[str, str],
) -> dict[str, str | None]:
    """Claim → the digest of its rule from before the first of the plan's runs was begun.

    Where no run was begun, today's.  Else what was recorded first stays: in the study's own plan,
    or, of a new plan, in those that had its runs before.  None: the rule is not known to be older
    than the runs, and what it says of them is *post hoc*.

    Args:
        before: the study's plan as it was written last.
        others: all plans.
        begun: whether a run, by its id, is finished or in a checkpoint.
        known: today's digests.

    """
    runs = {entry["run_id"] for entry in plan["runs"] if begun(entry["run_id"])}
    if not runs:
        return dict(known)
    if before is not None and runs & _run_ids(before):
        return {claim: before.get("claims", {}).get(claim) for claim in known}
    # The plans that had each run: a digest counts if all runs have it.
    holders = [[other for other in others if run in _run_ids(other)] for run in sorted(runs)]
    return {
        claim: digest
        if all(
            any(other.get("claims", {}).get(claim) == digest for other in plans)
            for plans in holders
        )
        else None
        for claim, digest in known.items()
    }


def _run_ids(plan: Mapping[str, Any]) -> set[str]:
    return {entry["run_id"] for entry in plan["runs"]}


def written_plans(root: Path) -> dict[Path, dict[str, Any]]:
    """Every plan that was written to a ``results/replication``, at any scale."""
    return {path: read_json(path) for path in sorted(root.glob("*/data/*/plan.json"))}


def _begun(store: Path) -> Callable[[str], bool]:
    """Whether a run, by its id, is finished or in a checkpoint."""
    interrupted = {run for checkpoint in stored(store)[0] for run in checkpoint.run_ids}
    return lambda run: run in interrupted or is_finished(store / run)


def announce(runs: list[RunSettings], jobs: list[CohortJob]) -> None:
    """Say what is not finished, before Snakemake says which of it the target needs."""
    planned = len({run.digest for run in runs})
    to_train = sum(len(job.stamps) for job in jobs)
    steps = sum(job.env_steps for job in jobs)
    hours = steps * ROUGH_SECONDS_PER_ENV_STEP / 3600
    text = f"{planned} runs planned, {planned - to_train} finished"
    if jobs:
        text += (
            f"; to train where asked for: {to_train} in {len(jobs)} cohorts, {steps:,} env steps, "
            f"roughly {hours:.1f} core hours (python -m replicate estimate measures it)"
        )
    print(text, file=sys.stderr)


def plan_of(study: Study, scale: str, planned: list[PlannedRun]) -> dict[str, Any]:
    """What a study consists of at a scale, for the analysis and for people."""
    settings = {p.variant: p.run.model_dump(mode="json") for p in planned}
    first = planned[0].run
    return {
        "study": study.name,
        "scale": scale,
        "title": study.title,
        "question": study.question,
        "figures": list(study.figures),
        "tables": list(study.tables),
        "recipe": first.recipe.name,
        "num_steps": first.algo.num_steps,
        "total_env_steps": first.num_updates * first.algo.num_steps,
        "envs": {p.env: p.run.env.id for p in planned},
        # Where the tables of each environment are, from the plan's folder on.
        "data": {p.env: [f"../{p.env}"] for p in planned},
        "variants": [
            {
                "name": name,
                "label": variant.label,
                "published": variant.published,
                "algo": settings[name]["algo"],
                "recipe": settings[name]["recipe"],
            }
            for name, variant in study.variants.items()
        ],
        "runs": [
            {
                "env": p.env,
                "variant": p.variant,
                "seed": p.run.seed,
                "run_id": p.run.run_id,
                "digest": p.run.digest,
            }
            for p in planned
        ],
    }


def written_jobs(layout: Layout) -> Iterator[CohortJob]:
    """A job for each manifest there is, old ones too: Snakemake asks a child for one by name."""
    for path in sorted(layout.manifests.glob("*.json")):
        # Not validated: an old one need not fit today's schema.
        data = read_json(path)
        if "stamps" in data:
            yield CohortJob(path.stem, str(path), data["stamps"], data["env_steps"])


def _renew_stamp(layout: Layout, run: RunSettings) -> None:
    """Let the stamp say what the store has, from when it has it.

    To Snakemake a small file with new times and old content has not changed.
    """
    stamp, made = layout.stamp(run.run_id), layout.store / run.run_id / RUN_FILE
    if not made.is_file():
        stamp.unlink(missing_ok=True)
    elif not stamp.is_file() or stamp.read_text(encoding="utf-8") != sha256(made):
        stamp.parent.mkdir(parents=True, exist_ok=True)
        stamp.write_text(sha256(made))
        os.utime(stamp, ns=(made.stat().st_mtime_ns,) * 2)


def write_if_changed(path: Path, data: Any) -> None:
    """JSON, unless it is there as it is: what depends on it is not made anew."""
    text = json.dumps(data, indent=1) + "\n"
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        write_atomically(path, text.encode())
