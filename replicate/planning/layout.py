"""Names of files below ``results/``."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from replicate.store.records import REFERENCE, is_reference

REFERENCE_SCALES = ("paper", "quick")
"""Scales of which the repository may have data; the first that has some is ``reference``."""


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
    def references(self) -> dict[str, str]:
        """Name of a report of the repository's data → its scale.

        ``reference`` is of the first scale that has data, ``reference_<scale>`` of the others.
        """
        plans = self.results / REFERENCE / "plans"
        scales = [scale for scale in REFERENCE_SCALES if any((plans / scale).glob("*.json"))]
        return {f"{REFERENCE}_{scale}" if i else REFERENCE: scale for i, scale in enumerate(scales)}

    def frozen_plan_file(self, scale: str, study: str) -> Path:
        """The plan of what the repository has of a study."""
        return self.results / REFERENCE / "plans" / scale / f"{study}.json"

    def plan_file(self, name: str, study: str) -> Path:
        """The plan of a study in a report."""
        if is_reference(name):
            return self.frozen_plan_file(self.references.get(name, name), study)
        return self.root / name / "data" / study / "plan.json"
