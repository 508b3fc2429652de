"""What the Snakefile knows – studies and scale, names of files, training jobs.

A process that Snakemake starts for a single job parses the Snakefile again.  It reads what the
first process wrote and plans nothing: which runs are missing changes while they are trained.
"""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from replicate.messages import EXPECTED, ConfigError, DamagedRunError, ending
from replicate.planning.choices import Choice, choice_of, chosen_runs
from replicate.planning.cohorts import cohort_env_steps, cohorts_to_train, env_steps_left
from replicate.planning.composition import options
from replicate.planning.layout import Layout
from replicate.planning.plans import (
    begun_in,
    claims_of,
    plan_of,
    write_if_changed,
    written_plans,
)
from replicate.settings import RunSettings
from replicate.store.checkpoints import cohort_name, updates_done
from replicate.store.files import MANIFEST, check_writable, read_json, sha256
from replicate.store.plans import (
    FIGURE_FILES,
    TABLE_FILES,
    figures_of_plan,
    read_plan,
    tables_of_plan,
)
from replicate.store.records import (
    ENV_TABLES,
    REFERENCE,
    RUN_FILE,
    is_finished,
    is_reference,
    settings_are_known,
)
from replicate.store.software import CLAIM_DIGESTS, code_digest

PROBES = (
    "clipped_objective",
    "code_size",
    "entropy_bias",
    "importance_sampling",
    "kl_per_sample",
    "two_actions",
)
"""The probes that take seconds and that a claim is judged by: they are made with each report.

Records of the others, which take minutes or read the clock, lie in the repository."""
ROUGH_SECONDS_PER_ENV_STEP = 1.5e-4
"""Of a core: what the stored runs took in the mean, within a factor of two."""
QUESTIONS = Path("conf/claims/questions.yaml")


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
        """Snakemake's priority of the job: its env steps, in thousands."""
        return self.env_steps // 1000


@dataclass(frozen=True)
class ProductsJob:
    """Figures and tables that one process makes of a study.

    Args:
        name: of the report.
        study: that they are of.
        products: as ``analysis.products`` takes them.
        files: all that it writes.

    """

    name: str
    study: str
    products: list[str]
    files: list[str]

    @property
    def modules(self) -> list[str]:
        """The programs behind them."""
        parts = (product.split("/") for product in self.products)
        made = dict.fromkeys(f"analysis.{part[0]}.{part[-1]}" for part in parts)
        return ["analysis.products", *made]


@contextmanager
def _exits_in_one_line() -> Iterator[None]:
    """End the process of the Snakefile where something is wrong that its user can put right."""
    try:
        yield
    except EXPECTED as error:
        sys.exit(ending(error, "snakemake, with -n too, writes there what is planned"))


@dataclass(frozen=True)
class Pipeline:
    """Names, files and jobs for the rules.  ``wildcards`` are Snakemake's."""

    layout: Layout
    choice: Choice
    jobs: list[CohortJob]

    @cached_property
    def _plans(self) -> dict[tuple[str, str], dict[str, Any]]:
        return {}

    def plan(self, name: str, study: str) -> dict[str, Any]:
        """The plan of a study, as its file has it."""
        if (name, study) not in self._plans:
            file = self.layout.plan_file(name, study)
            with _exits_in_one_line():
                if name != self.choice.scale and not is_reference(name) and not file.is_file():
                    raise ConfigError(f"{file}: not planned; add --config scale={name}")
                self._plans[name, study] = read_plan(file)
        return self._plans[name, study]

    @property
    def code_digest(self) -> str:
        """Digest of the training code here: a report says which runs were made by other code."""
        return code_digest()

    @property
    def names(self) -> list[str]:
        """Names that a report can have."""
        return [*self.layout.references, *options("scale")]

    def studies(self, name: str) -> list[str]:
        """Studies at scale ``name``, or those with data in the repository."""
        if not is_reference(name):
            return list(self.choice.studies)
        return list(self.layout.references.get(name, ()))

    def runs(self, wildcards: Any) -> list[str]:
        """Stamps of the runs on one environment that the chosen studies have at a scale.

        Finished runs of other studies there are among them, so that their tables stay as they are.
        """
        chosen = self.plans(wildcards)
        before = self.layout.plan_file(wildcards.name, "*").relative_to(self.layout.results)
        stamps = set()
        for path in {*map(Path, chosen), *self.layout.results.glob(str(before))}:
            for run in self._runs_on(path, wildcards.env):
                stamp = self.layout.stamp(run)
                if str(path) in chosen or (stamp.is_file() and self._is_known(run)):
                    stamps.add(str(stamp))
        return sorted(stamps)

    def _is_known(self, run_id: str) -> bool:
        """Whether a run is finished, and of settings that there still are."""
        folder = self.layout.store / run_id
        with suppress(DamagedRunError):  # whoever reads it tells
            return is_finished(folder) and settings_are_known(folder)
        return True

    def _runs_on(self, plan_file: Path, env: str) -> list[str]:
        with _exits_in_one_line():
            return [run["run_id"] for run in read_plan(plan_file)["runs"] if run["env"] == env]

    @property
    def stamps(self) -> list[str]:
        """Stamps of all runs: a run without one is trained, even if all figures are there."""
        plans = [self.plan(self.choice.scale, study) for study in self.choice.studies]
        run_ids = {entry["run_id"] for plan in plans for entry in plan["runs"]}
        return [str(self.layout.stamp(run_id)) for run_id in sorted(run_ids)]

    def data(self, wildcards: Any) -> list[str]:
        """:meth:`data_of` a rule's study."""
        return self.data_of(wildcards.name, wildcards.study)

    def data_of(self, name: str, study: str) -> list[str]:
        """The plan of a study and its tables."""
        return [str(self.layout.plan_file(name, study)), *self.tables(name, study)]

    def tables(self, name: str, study: str) -> list[str]:
        """Tables of every environment; with their manifests where they were made here."""
        # The repository's manifest lists other data too: its times say nothing of a study.
        parts = ENV_TABLES if is_reference(name) else (*ENV_TABLES, MANIFEST)
        stems = tables_of_plan(self.layout.plan_file(name, study), self.plan(name, study))
        return [f"{stem}.{part}" for of_env in stems.values() for stem in of_env for part in parts]

    def plans(self, wildcards: Any) -> list[str]:
        """The plan of every study of a report."""
        name = wildcards.name
        return [str(self.layout.plan_file(name, study)) for study in self.studies(name)]

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
    def rules_of_claims(self) -> list[str]:
        """Files with statements, margins and wording of the claims.

        What the report asks of them is no part of a verdict.
        """
        return sorted(map(str, set(Path("conf/claims").glob("*.yaml")) - {QUESTIONS}))

    def targets(self, name: str) -> list[str]:
        """The report and all that it is made of: what is missing is made again."""
        tables = [file for study in self.studies(name) for file in self.tables(name, study)]
        made = [f"{self.layout.root}/{name}/{file}" for file in ("report.html", "claims.json")]
        return [*made, *self.product_files(name), *tables]

    @property
    def products_jobs(self) -> list[ProductsJob]:
        """What is drawn of each study, at the chosen scale and of the repository's data."""
        names = dict.fromkeys((*self.layout.references, self.choice.scale))
        return [self._products_job(name, study) for name in names for study in self.studies(name)]

    def _products_job(self, name: str, study: str) -> ProductsJob:
        plan = self.plan(name, study)
        figures, tables = figures_of_plan(plan), plan["tables"]
        kinds = ("figures", figures, FIGURE_FILES), ("tables", tables, TABLE_FILES)
        folder = f"{self.layout.root}/{name}"
        return ProductsJob(
            name,
            study,
            [f"{kind}/{product}" for kind, products, _ in kinds for product in products],
            [
                f"{folder}/{kind}/{study}/{product}{suffix}"
                for kind, products, suffixes in kinds
                for product in products
                for suffix in suffixes
            ],
        )

    def product_files(self, name: str) -> list[str]:
        """The files of every figure and table of a report."""
        return [f for study in self.studies(name) for f in self._products_job(name, study).files]


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
    begun = begun_in(layout.store)
    written = written_plans(layout.root)
    for study, planned in chosen_runs(choice):
        runs += [p.run for p in planned]
        path = layout.plan_file(choice.scale, study.name)
        plan = plan_of(study, choice.scale, planned)
        plan["claims"] = claims_of(plan, written.get(path), list(written.values()), begun, known)
        write_if_changed(path, plan)
    for run in runs:
        _renew_stamp(layout, run)
    jobs, left = [], 0
    done = updates_done(layout.store)
    for cohort in cohorts_to_train(runs, layout.store):
        left += env_steps_left(cohort, done)
        entries = [run.model_dump(mode="json") for run in cohort]
        path = layout.manifests / f"{cohort_name(cohort)}.json"
        steps = cohort_env_steps(cohort)
        stamps = [str(layout.stamp(run.run_id)) for run in cohort]
        data = {"store": str(layout.store), "env_steps": steps, "stamps": stamps}
        write_if_changed(path, {**data, "runs": entries})
        jobs.append(CohortJob(path.stem, str(path), stamps, steps))
    if jobs:
        check_writable(layout.root)
    announce(runs, jobs, left)
    return jobs


def announce(runs: list[RunSettings], jobs: list[CohortJob], steps: int) -> None:
    """Say what is not finished, before Snakemake says which of it the target needs.

    Args:
        runs: all that were planned.
        jobs: of those that are not finished.
        steps: env steps that are left to make.

    """
    planned = len({run.digest for run in runs})
    to_train = sum(len(job.stamps) for job in jobs)
    hours = steps * ROUGH_SECONDS_PER_ENV_STEP / 3600
    text = f"{planned} runs planned, {planned - to_train} finished"
    if jobs:
        text += (
            f"; to train where the target needs them: {to_train} in {len(jobs)} cohorts, {steps:,} "
            f"env steps, roughly {hours:.1f} core hours (python -m replicate estimate measures it)"
        )
    print(text, file=sys.stderr)


def written_jobs(layout: Layout) -> Iterator[CohortJob]:
    """A job for each cohort manifest, old ones too: a child of Snakemake needs its job by name."""
    for path in sorted(layout.manifests.glob("*.json")):
        # Not validated: an old one need not fit today's schema.
        data = read_json(path)
        if "stamps" in data:
            yield CohortJob(path.stem, str(path), data["stamps"], data["env_steps"])


def _renew_stamp(layout: Layout, run: RunSettings) -> None:
    """Make the stamp of a run agree with the store: it has the digest of ``run.json``.

    The digest, since to Snakemake a small file with a new time and old content has not changed.  A
    stamp that the job has just made gets the time of ``run.json``, too; one that was of another run
    keeps the present: what was made of that run is older.
    """
    stamp, made = layout.stamp(run.run_id), layout.store / run.run_id / RUN_FILE
    if not made.is_file():
        stamp.unlink(missing_ok=True)
    elif not stamp.is_file() or stamp.read_text(encoding="utf-8") != sha256(made):
        of_another = stamp.is_file() and stamp.stat().st_size > 0
        stamp.parent.mkdir(parents=True, exist_ok=True)
        stamp.write_text(sha256(made))
        if not of_another:
            os.utime(stamp, ns=(made.stat().st_mtime_ns,) * 2)
