"""What ``run.json`` says of a run – one schema, for writing and for reading."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from replicate.settings import RunSettings, Section

Sha256 = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
Commit = Annotated[str, Field(pattern="^[0-9a-f]{4,64}$")]
Count = Annotated[int, Field(ge=0)]


class Machine(Section):
    """What the numbers of a run are computed with."""

    cpu: str = Field(description="processor")
    simd: str = Field(description="instructions that PyTorch uses")
    mkl_cbwr: str | None = Field(description="code path that MKL is held to")
    device: str = Field(description="`cpu`, or name of the GPU")
    threads: int = Field(description="of the process", ge=1)


class Software(Section):
    """The software that trains."""

    python: str = Field(description="version")
    versions: dict[str, str] = Field(description="of the packages that can change the numbers")
    code_digest: Sha256 = Field(
        description="SHA-256 of the code that makes runs, comments and docstrings left out"
    )
    lock_digest: Sha256 | None = Field(description="SHA-256 of `requirements.lock`")
    commit: Commit | None = Field(description="of the checkout, or null")
    dirty: bool | None = Field(description="whether tracked files had uncommitted changes, or null")


class Resumption(Machine, Software):
    """Where a training went on from a checkpoint."""

    update: Count
    at: str


class CohortNote(Section):
    """Who trained together, and where their time went."""

    lanes: int = Field(ge=1)
    threads: int = Field(ge=1)
    seconds: dict[str, Annotated[float, Field(ge=0)]]


class RunDescription(Machine, Software):
    """All of ``run.json``."""

    run_id: str = Field(description="folder of the run")
    digest: Sha256 = Field(description="SHA-256 of the canonical settings: the run's identity")
    settings: RunSettings = Field(description="all of them")
    env_kwargs: dict[str, Any] = Field(
        description="what the environment was made with, gymnasium's own and its time limit "
        "included"
    )
    status: Literal["finished", "diverged"] = Field(
        description="`finished`, or `diverged`: it left the finite numbers"
    )
    diverged_at_env_step: Count | None = Field(description="where it did, or null")
    env_steps: Count = Field(description="that the run did")
    episodes: Count = Field(description="that ended")
    started: str = Field(description="time of day, UTC")
    ended: str = Field(description="time of day, UTC")
    resumed: list[Resumption] = Field(
        description="where it went on from a checkpoint: update, time, machine, software; "
        "mostly empty"
    )
    cohort: CohortNote = Field(
        description="lanes that trained together, their threads and their seconds"
    )
    files: dict[str, Sha256] = Field(description="SHA-256 of the run's Parquet files")

    @model_validator(mode="after")
    def _consistent(self) -> "RunDescription":
        if self.digest != self.settings.digest:
            raise ValueError("its digest is not that of its settings")
        if self.run_id != self.settings.run_id:
            raise ValueError("its run_id is not that of its settings")
        if (self.status == "diverged") != (self.diverged_at_env_step is not None):
            raise ValueError(f"{self.status}, and diverged_at_env_step {self.diverged_at_env_step}")
        num_steps = self.settings.algo.num_steps
        if self.diverged_at_env_step is None:
            ends = self.env_steps == self.settings.env_steps
        else:
            # It diverged somewhere in the last update that was made.
            ends = self.env_steps - num_steps <= self.diverged_at_env_step <= self.env_steps
        if not ends or self.env_steps % num_steps:
            raise ValueError(f"env_steps: a run of these settings does not end at {self.env_steps}")
        return self


RUN_FIELDS = {
    name: field.description or ""
    for name, field in sorted(
        RunDescription.model_fields.items(),
        key=lambda item: item[0] not in RunDescription.__annotations__,
    )
}
"""What ``run.json`` says, and what it means: of the run, then of where it was made."""
