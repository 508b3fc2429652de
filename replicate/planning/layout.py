"""Names of files below ``results/``."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from replicate.store.records import REFERENCE, is_reference

REFERENCE_SCALES = ("paper", "ledger"), ("quick",)
"""Scales of which the repository may have data; those that share a report stand together.

The first that have some are ``reference``.  A study with data at two of them is shown at the first.
"""


@dataclass(frozen=True)
class Layout:
    """Names of files below ``results/``."""

    results: Path

    @property
    def root(self) -> Path:
        """Folder of what is made here; git ignores it."""
        return self.results / "replication"

    @property
    def store(self) -> Path:
        """Folder of finished runs."""
        return self.root / "runs"

    def stamp(self, run_id: str) -> Path:
        """The file that stands for a finished run in the pipeline.

        Snakemake deletes the outputs of jobs that fail and of those that it starts: no file of a
        run may be one.
        """
        return self.root / "finished" / run_id

    @property
    def manifests(self) -> Path:
        """Folder of the lists of runs that train together."""
        return self.root / "cohorts"

    @cached_property
    def references(self) -> dict[str, dict[str, Path]]:
        """Name of a report of the repository's data → the plan of each of its studies.

        ``reference`` is of the first scales that have data, ``reference_<scale>`` of the others.
        """
        reports: dict[str, dict[str, Path]] = {}
        for scales in REFERENCE_SCALES:
            found: dict[str, Path] = {}
            for scale in scales:
                for path in self.frozen_plans(scale).glob("*.json"):
                    found.setdefault(path.stem, path)
            if found:
                name = f"{REFERENCE}_{scales[0]}" if reports else REFERENCE
                reports[name] = dict(sorted(found.items()))
        return reports

    def frozen_plan_file(self, scale: str, study: str) -> Path:
        """The plan of what the repository has of a study."""
        return self.frozen_plans(scale) / f"{study}.json"

    def frozen_plans(self, scale: str) -> Path:
        """The folder of the plans of what the repository has at a scale."""
        return self.results / REFERENCE / "plans" / scale

    def plan_file(self, name: str, study: str) -> Path:
        """The plan of a study in a report."""
        if is_reference(name):
            missing = self.frozen_plan_file(name, study)
            return self.references.get(name, {}).get(study, missing)
        return self.root / name / "data" / study / "plan.json"
