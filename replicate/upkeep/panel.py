"""The panel of short runs whose results are the traces: ``conf/traces.yaml``."""

from collections.abc import Iterable, Iterator

from pydantic import Field

from replicate.messages import ConfigError
from replicate.planning.composition import compose, load_file, options
from replicate.planning.studies import Names
from replicate.settings import RunSettings, Section, digest_of, nearest, validated
from replicate.store import software
from replicate.store.staleness import DIGITS

FILE = software.CONF / "traces.yaml"
TRACE_VERSION = 1
"""Part of each row's digest: raise it with any change of ``trace_of`` or ``train_rows`` in
``replicate.upkeep.tracing``, and all traces are new."""


class PanelRow(Section):
    """A variant of ``conf/traces.yaml``: a row for each of its environments.

    Args:
        algo: one of the panel's ``algorithms``.
        overrides: in Hydra's syntax, after those of the panel and of the algorithm.
        envs: names of files of ``conf/env``; None: all.

    """

    algo: str
    overrides: Names = ()
    envs: Names | None = None


class Panel(Section):
    """What ``conf/traces.yaml`` says.

    Args:
        seeds: lanes of a row.
        overrides: of all rows.
        algorithms: name → overrides of all rows of it.

    """

    seeds: int = Field(ge=1)
    overrides: Names
    algorithms: dict[str, Names]
    rows: dict[str, PanelRow]


def load_panel() -> dict[str, list[RunSettings]]:
    """Name of a row → its lanes.

    Raises:
        ConfigError: the file is wrong.

    """
    try:
        return dict(_lanes(validated(Panel, load_file(FILE))))
    except ConfigError as error:
        raise ConfigError(f"conf/{FILE.name}: {error}") from None


def _lanes(panel: Panel) -> Iterator[tuple[str, list[RunSettings]]]:
    # Composing takes time: each environment is composed once, and the rest once per variant.
    sections = {env: compose(f"env={env}").runs[0].env for env in options("env")}
    for name, row in panel.rows.items():
        for env in row.envs or ():
            if env not in sections:
                raise ConfigError(f"{name}: envs: no {env!r}; {nearest(env, sections)}")
        if row.algo not in panel.algorithms:
            raise ConfigError(f"{name}: algo: {nearest(row.algo, panel.algorithms)}")
        of_all = (*panel.algorithms[row.algo], *panel.overrides)
        (base,) = compose(*of_all, *row.overrides, sweep=False).runs
        for env in row.envs or sections:
            section = sections[env].model_dump()
            section["kwargs"] |= base.env.kwargs
            data = {**base.model_dump(), "env": section}
            yield (
                f"{name}/{env}",
                [validated(RunSettings, {**data, "seed": seed}) for seed in range(panel.seeds)],
            )


def row_digest(lanes: Iterable[RunSettings]) -> str:
    """Digest of a row: of what is trained, not of its name."""
    return digest_of([TRACE_VERSION, *(run.digest for run in lanes)])[:DIGITS]
