"""Floor 5: composition – from ``conf/`` and overrides to runs, from studies to cohorts.

The only module that knows Hydra.  Everything is composed and checked before anything runs.
"""

import itertools
import json
import re
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from replicate.cohorts import cohorts
from replicate.records import is_finished, write_atomically
from replicate.settings import (
    ALGORITHMS,
    ConfigError,
    ExecutionSettings,
    RunSettings,
    digest_of,
    documented_keys,
    nearest,
    validated,
)

CONF = Path(__file__).resolve().parents[1] / "conf"
GROUPS = ("env", "algo", "recipe")


def options(group: str) -> list[str]:
    """Choices of a config group."""
    return sorted(file.stem for file in (CONF / group).glob("*.yaml"))


@cache
def _composed(overrides: tuple[str, ...]) -> str:
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        try:
            config = hydra_compose("config", list(overrides))
            return json.dumps(OmegaConf.to_container(config, resolve=True, throw_on_missing=True))
        except (HydraException, OmegaConfBaseException) as error:
            first_line = str(error).strip().splitlines()[0]
            raise ConfigError(first_line) from None


def _parsed(overrides: Iterable[str]) -> list[Override]:
    parser = OverridesParser.create()
    parsed = []
    for text in overrides:
        try:
            override = parser.parse_override(text)
        except HydraException:
            raise ConfigError(f"{text!r}: not an override; write key=value") from None
        if override.is_delete() or override.package is not None:
            raise ConfigError(f"{text!r}: not an override; write key=value")
        parsed.append(override)
    return parsed


def _values(override: Override) -> list[str]:
    if override.is_sweep_override():
        return list(override.sweep_string_iterator())
    return [override.get_value_element_as_str()]


def _check_keys(overrides: list[Override]) -> None:
    """Every key exists and every group option does."""
    chosen = {group: ["ppo"] if group == "algo" else [] for group in GROUPS}
    for override in overrides:
        key = override.key_or_group
        if key in GROUPS:
            chosen[key] = _values(override)
            for value in chosen[key]:
                if value not in options(key):
                    raise ConfigError(
                        f"{key}={value}: no such choice; {nearest(value, options(key))}"
                    )
    # trpo_baselines is trpo with other values: the file says which algorithm it is.
    names = {json.loads(_composed((f"algo={algo}",)))["algo"]["name"] for algo in chosen["algo"]}
    known = {key for name in names for key, _, _ in documented_keys(name)} | set(GROUPS)
    elsewhere = {key: name for name in ALGORITHMS for key, _, _ in documented_keys(name)}
    for override in overrides:
        key = override.key_or_group
        if key not in known and not key.startswith("env.kwargs."):
            other = f" (a key of {elsewhere[key]})" if key in elsewhere else ""
            raise ConfigError(f"{key}: unknown key{other}; {nearest(key, known)}")


@dataclass(frozen=True)
class Composition:
    """Runs, and where and on what to train them."""

    runs: list[RunSettings]
    execution: ExecutionSettings


def compose(*overrides: str, sweep: bool = True) -> Composition:
    """Runs from overrides; sweeps (``seed=range(0,3)``, ``algo.clip_epsilon=0.1,0.2``) multiply.

    Args:
        overrides: in Hydra's syntax.
        sweep: whether sweeps are allowed.

    Raises:
        ConfigError: one line with what is wrong, where, and the nearest valid choice.

    """
    parsed = _parsed(overrides)
    for override in parsed:
        if override.is_sweep_override() and not sweep:
            raise ConfigError(f"{override.input_line}: several values; add -m to train them all")
    _check_keys(parsed)
    seeds: list[int | str | None] = [None]
    axes = []
    for override in parsed:
        key = override.key_or_group
        if key == "seed":
            seeds = [int(v) if re.fullmatch("-?[0-9]+", v) else v for v in _values(override)]
        else:
            prefix = "++" if key.startswith("env.kwargs.") else ""
            axes.append([f"{prefix}{key}={value}" for value in _values(override)])
    repeated = {seed for seed in seeds if seeds.count(seed) > 1}
    if repeated:
        raise ConfigError(f"seed: {min(map(str, repeated))} is repeated; each seed once")
    runs, execution = [], None
    for combination in itertools.product(*axes):
        # One composition per combination (tens of milliseconds), then the seeds.
        data: dict[str, Any] = json.loads(_composed(combination))
        where = {key: data.pop(key) for key in ExecutionSettings.model_fields}
        execution = validated(ExecutionSettings, where)
        for seed in seeds:
            runs.append(validated(RunSettings, data if seed is None else {**data, "seed": seed}))
    assert execution is not None
    unique = {run.digest: run for run in runs}
    return Composition(list(unique.values()), execution)


def check_writable(folder: Path) -> None:
    """Make ``folder``, unless files cannot be written to it.

    Raises:
        ConfigError: they cannot; nothing is left behind.

    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ConfigError(f"out: {folder} cannot be written to ({error.strerror})") from None


@dataclass(frozen=True)
class PlannedRun:
    """A run and its place in a study."""

    variant: str
    label: str
    run: RunSettings


@dataclass(frozen=True)
class CohortJob:
    """Runs of one training job of the pipeline.

    Args:
        name: stable: made from environment, algorithm and the digests of the runs.
        manifest: file that lists them.
        outputs: one per run, written last.
        priority: larger jobs first.

    """

    name: str
    manifest: str
    outputs: list[str]
    priority: int


def _loaded(group: str, choice: str) -> Any:
    if choice not in options(group):
        raise ConfigError(f"{group}={choice}: no such choice; {nearest(choice, options(group))}")
    return OmegaConf.to_container(OmegaConf.load(CONF / group / f"{choice}.yaml"))


def study_settings(study: str) -> dict[str, Any]:
    """A file of ``conf/study``.

    Raises:
        ConfigError: no such study.

    """
    found: dict[str, Any] = _loaded("study", study)
    return found


def study_runs(study: str, scale: str) -> list[PlannedRun]:
    """All runs of a study at a scale.

    Raises:
        ConfigError: no such study or scale, or a run of it is not valid.

    """
    plan, size = study_settings(study), _loaded("scale", scale)
    length = [f"total_env_steps={size['total_env_steps']}", f"seed=range(0,{size['seeds']})"]
    return [
        PlannedRun(name, variant["label"], run)
        for env in plan["envs"]
        for name, variant in plan["variants"].items()
        for run in compose(f"env={env}", *plan["overrides"], *variant["overrides"], *length).runs
    ]


@dataclass(frozen=True)
class Pipeline:
    """What the Snakefile needs to know of a study: names of files, and the jobs."""

    name: str
    folder: str
    logs: str
    plan: str
    runs: list[str]
    jobs: list[CohortJob]

    @property
    def figures(self) -> list[str]:
        """Vector pictures, one per figure."""
        return [f"{self.folder}/learning_curves.svg"]

    @property
    def report(self) -> str:
        """The last file."""
        return f"{self.folder}/report.html"


def pipeline(config: dict[str, Any], root: Path) -> Pipeline:
    """Plan the study that Snakemake's ``config`` names (``study``, ``scale``).

    Writes the list of its runs and a manifest for each cohort of missing runs, each only if
    its content changed: a finished run never has a training job again.  Ends the process with
    code 2 and one line where the configuration is wrong.
    """
    try:
        unknown = set(config) - {"study", "scale"}
        if unknown:
            key = min(unknown)
            raise ConfigError(f"{key}: unknown key of --config; {nearest(key, ['study', 'scale'])}")
        return _planned(config.get("study", "comparison"), config.get("scale", "paper"), root)
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)


def _planned(study: str, scale: str, root: Path) -> Pipeline:
    store, folder = root / "runs", root / study / scale
    planned = study_runs(study, scale)
    entries = [
        {
            "variant": p.variant,
            "label": p.label,
            "env": p.run.env.id,
            "seed": p.run.seed,
            "run_id": p.run.run_id,
            "digest": p.run.digest,
        }
        for p in planned
    ]
    plan = folder / "plan.json"
    heading = {"study": study, "scale": scale, "title": study_settings(study)["title"]}
    steps = planned[0].run.num_updates * planned[0].run.algo.num_steps
    _write_if_changed(
        plan, {**heading, "total_env_steps": steps, "store": str(store), "runs": entries}
    )
    jobs = []
    for runs in cohorts(missing((p.run for p in planned), store)):
        digest = digest_of(sorted(run.digest for run in runs))[:12]
        name = f"{runs[0].env.id.lower().replace('-', '_')}_{runs[0].algo.name}_{digest}"
        manifest = root / "cohorts" / f"{name}.json"
        _write_if_changed(
            manifest, {"store": str(store), "runs": [run.model_dump(mode="json") for run in runs]}
        )
        outputs = [str(store / run.run_id / "run.json") for run in runs]
        # Longest first, so that no core waits at the end.
        size = len(runs) * runs[0].num_updates
        jobs.append(CohortJob(name, str(manifest), outputs, size))
    return Pipeline(
        name=f"{study}_{scale}",
        folder=str(folder),
        logs=str(root / "logs"),
        plan=str(plan),
        runs=[str(store / p.run.run_id / "run.json") for p in planned],
        jobs=jobs,
    )


def missing(runs: Iterable[RunSettings], store: Path) -> list[RunSettings]:
    """Those that ``store`` has not finished, each once however often it is planned."""
    unique = {run.digest: run for run in runs}.values()
    return [run for run in unique if not is_finished(store / run.run_id)]


def _write_if_changed(path: Path, data: Any) -> None:
    text = json.dumps(data, indent=1, sort_keys=True) + "\n"
    if not path.is_file() or path.read_text() != text:
        write_atomically(path, text.encode())
