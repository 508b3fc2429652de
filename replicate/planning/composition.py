"""Composition – from ``conf/`` and overrides to runs, from studies to cohorts.

The only module that knows Hydra.  Everything is composed and checked before anything runs.
"""

import itertools
import json
import re
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Annotated, Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import AfterValidator, Field
from yaml import YAMLError

from replicate.messages import first_line
from replicate.settings import (
    ALGORITHMS,
    Checked,
    ConfigError,
    ExecutionSettings,
    RunSettings,
    Section,
    documented_keys,
    nearest,
    validated,
)
from replicate.store.checkpoints import interrupted
from replicate.store.records import is_finished, is_reference
from replicate.training.cohorts import cohorts

CONF = Path(__file__).resolve().parents[2] / "conf"
GROUPS = ("env", "algo", "recipe")

RESERVED = ("runs", "finished", "cohorts", "logs", "probes", "set_aside")
"""What a scale cannot be called: folders of other data than that of a scale."""


def options(group: str) -> list[str]:
    """Choices of a config group."""
    return sorted(file.stem for file in (CONF / group).glob("*.yaml"))


@cache
def _composed(conf: Path, overrides: tuple[str, ...]) -> str:
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf), version_base="1.3"):
        try:
            config = hydra_compose("config", list(overrides))
            return json.dumps(OmegaConf.to_container(config, resolve=True, throw_on_missing=True))
        except (HydraException, OmegaConfBaseException) as error:
            raise ConfigError(first_line(error)) from None


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
    names = {
        json.loads(_composed(CONF, (f"algo={algo}",)))["algo"]["name"] for algo in chosen["algo"]
    }
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
        data: dict[str, Any] = json.loads(_composed(CONF, combination))
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
        raise ConfigError(f"{folder}: cannot be written to ({error.strerror})") from None


Names = Annotated[tuple[str, ...], Field(strict=False)]


def _each_once(envs: tuple[str, ...]) -> tuple[str, ...]:
    twice = [env for env in envs if envs.count(env) > 1]
    if twice:
        raise ValueError(f"envs: {twice[0]} is named twice; each environment once")
    return envs


Envs = Annotated[Names, AfterValidator(_each_once)]
"""Names of files of ``conf/env``: what everything is keyed by, here and in the analysis."""


class Variant(Section):
    """A named set of values of a study.

    Args:
        published: its row of ``results/published/ppo_table1.csv``, if it has one.
        overrides: in Hydra's syntax, after the study's own; one value each.

    """

    label: str
    overrides: Names
    published: str | None = None


class Study(Section):
    """A file of ``conf/study``: environments × variants that answer one question.

    Args:
        envs: what runs are keyed by; several may share a gymnasium id.
        figures, tables: modules of ``analysis.figures`` and ``analysis.tables`` that show it.
        overrides: of all variants.
        first_seed: runs take this seed and those that follow it; tuning has seeds of its own.

    """

    name: str
    title: str
    question: str
    envs: Envs
    variants: dict[str, Variant]
    figures: Names
    tables: Names
    overrides: Names = ()
    first_seed: int = Field(default=0, ge=0)


class Scale(Section):
    """A file of ``conf/scale``: how much of a study is run.

    Args:
        envs: those of a study that are run; None: all.

    """

    seeds: int = Field(ge=1)
    total_env_steps: int = Field(ge=1)
    envs: Envs | None = None


def load_file(file: Path) -> Any:
    """What a YAML file says.

    Raises:
        ConfigError: it cannot be read.

    """
    try:
        return OmegaConf.to_container(OmegaConf.load(file))
    except (OSError, YAMLError) as error:
        raise ConfigError(f"{file.name}: cannot be read ({first_line(error)})") from None


def _loaded(group: str, choice: str) -> Any:
    if choice not in options(group):
        raise ConfigError(f"{group}={choice}: no such choice; {nearest(choice, options(group))}")
    return load_file(CONF / group / f"{choice}.yaml")


def _checked_file(model: type[Checked], group: str, choice: str, **known: str) -> Checked:
    data = {**_loaded(group, choice), **known}
    try:
        return validated(model, data)
    except ConfigError as error:
        raise ConfigError(f"conf/{group}/{choice}.yaml: {error}") from None


def load_study(name: str) -> Study:
    """A file of ``conf/study``.

    Raises:
        ConfigError: no such study, or a key or name in it that is not one.

    """
    study = _checked_file(Study, "study", name, name=name)
    known = {"envs": options("env"), **{kind: _modules(kind) for kind in ("figures", "tables")}}
    for key, choices in known.items():
        _check_names(f"conf/study/{name}.yaml: {key}", getattr(study, key), choices)
    return study


def _check_names(where: str, names: Iterable[str], choices: list[str]) -> None:
    for name in names:
        if name not in choices:
            raise ConfigError(f"{where}: no {name!r}; {nearest(name, choices)}")


def _modules(kind: str) -> list[str]:
    """Names of ``analysis/figures`` or ``analysis/tables``, which this floor does not import."""
    files = (CONF.parent / "analysis" / kind).glob("*.py")
    return sorted(file.stem for file in files if file.stem != "__init__")


def load_scale(name: str) -> Scale:
    """A file of ``conf/scale``.

    Raises:
        ConfigError: no such scale, a reserved name, or a key, name or value in it that is not one.

    """
    if name in RESERVED or is_reference(name):
        raise ConfigError(f"conf/scale/{name}.yaml: {name!r} is reserved; rename the file")
    scale = _checked_file(Scale, "scale", name)
    _check_names(f"conf/scale/{name}.yaml: envs", scale.envs or (), options("env"))
    return scale


@dataclass(frozen=True)
class PlannedRun:
    """A run and its place in a study.

    Args:
        env: name of a file of ``conf/env``.

    """

    env: str
    variant: str
    run: RunSettings


def study_runs(study: Study, scale: Scale, seeds: Iterable[int] | None = None) -> list[PlannedRun]:
    """All runs of a study at a scale.

    Args:
        study: what is varied, and where.
        scale: how much of it.
        seeds: instead of the scale's.

    Raises:
        ConfigError: one of them is not valid.

    """
    envs = [env for env in study.envs if scale.envs is None or env in scale.envs]
    if seeds is None:
        seeds = range(study.first_seed, study.first_seed + scale.seeds)
    seeds = list(seeds)
    length = f"total_env_steps={scale.total_env_steps}"
    # An environment is a section of its own: composed once, and once per variant the rest.
    sections = {env: compose(f"env={env}").runs[0].env.model_dump() for env in envs}
    for env, other in itertools.combinations(envs, 2):
        if sections[env] == sections[other]:
            raise ConfigError(
                f"conf/env/{other}.yaml: the same environment as {env}.yaml; each once in a study"
            )
    found = []
    shared: tuple[Any, ...] | None = None
    for name, variant in study.variants.items():
        try:
            base = _variant_settings(*study.overrides, *variant.overrides, length)
        except ConfigError as error:
            raise ConfigError(f"conf/study/{study.name}.yaml: {name}: {error}") from None
        recipe, num_steps = base["recipe"]["name"], base["algo"]["num_steps"]
        if shared not in (None, (recipe, num_steps)):
            raise ConfigError(
                f"conf/study/{study.name}.yaml: {name}: recipe {recipe} and num_steps {num_steps} "
                f"differ from {shared}; a study has one of each"
            )
        shared = recipe, num_steps
        for env in envs:
            for seed in seeds:
                data = {**base, "env": sections[env], "seed": seed}
                found.append(PlannedRun(env, name, validated(RunSettings, data)))
    return found


def _variant_settings(*overrides: str) -> dict[str, Any]:
    """A run of a variant, on whatever environment."""
    for override in _parsed(overrides):
        key = override.key_or_group
        if key == "seed" or key.split(".")[0] == "env":
            raise ConfigError(f"{key}: the study and the scale say where and with which seeds")
    return compose(*overrides, sweep=False).runs[0].model_dump(mode="json")


def missing(runs: Iterable[RunSettings], store: Path) -> list[RunSettings]:
    """Those that ``store`` has not finished, each once however often it is planned."""
    unique = {run.digest: run for run in runs}.values()
    return [run for run in unique if not is_finished(store / run.run_id)]


def cohorts_to_train(runs: Iterable[RunSettings], store: Path) -> list[list[RunSettings]]:
    """What is missing, in cohorts: those that a checkpoint holds together, the rest anew."""
    return cohorts(missing(runs, store), interrupted=interrupted(store))
