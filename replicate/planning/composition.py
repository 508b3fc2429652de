"""Composition: from ``conf/`` and overrides to runs.

The only module that knows Hydra.  Everything is composed and checked before anything runs.
"""

import itertools
import json
import math
import re
from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override, RangeSweep, ValueType
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import MarkedYAMLError, YAMLError

from replicate.messages import ConfigError, first_line
from replicate.settings import (
    ALGORITHMS,
    ExecutionSettings,
    RunSettings,
    documented_keys,
    nearest,
    validated,
)
from replicate.store.software import CONF

GROUPS = ("env", "algo", "recipe")
OPEN = ("env.kwargs.", "change.algo.")
"""Sections whose keys are not known here: the environment's, and those of any algorithm."""

NAME = re.compile("[a-z0-9_]{1,64}")
"""What a choice can be called: it becomes a part of file names, and a wildcard of the Snakefile."""

MAX_RUNS = 10_000
"""Most runs of one composition: more take minutes to compose, and are a slip of the finger."""


def _files(group: str) -> list[str]:
    return sorted(file.stem for file in (CONF / group).glob("*.yaml"))


def options(group: str) -> list[str]:
    """Choices of a config group: its files, but for those whose name cannot be one."""
    return [name for name in _files(group) if NAME.fullmatch(name)]


def check_choice(group: str, choice: str) -> None:
    """Refuse a choice that a config group does not have.

    Raises:
        ConfigError: there is no file of that name, or its name cannot be a choice.

    """
    if choice in options(group):
        return
    if choice in _files(group):
        name = re.sub("[^a-z0-9_]+", "_", choice.lower())[:64]
        raise ConfigError(
            f"conf/{group}/{choice}.yaml: a name is at most 64 of a-z, 0-9 and _; "
            f"nearest: {name}.yaml"
        )
    raise ConfigError(f"{group}={choice}: no such choice; {nearest(choice, options(group))}")


@cache
def _of_choices(conf: Path, choices: tuple[str, ...]) -> DictConfig:
    """What Hydra composes of the choices of the groups, which takes it a sixth of a second."""
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(conf), version_base="1.3"):
        return hydra_compose("config", list(choices))


@cache
def _composed(conf: Path, overrides: tuple[str, ...]) -> str:
    """The composition of overrides, as JSON; variants of the same choices cost one of Hydra's."""
    choices = tuple(text for text in overrides if text.partition("=")[0] in GROUPS)
    try:
        config = deepcopy(_of_choices(conf, choices))
        for override in _parsed(text for text in overrides if text not in choices):
            # As Hydra sets it.
            key, value, new = override.key_or_group, override.value(), override.is_force_add()
            OmegaConf.update(config, key, value, merge=True, force_add=new)
        data: Any = OmegaConf.to_container(config, throw_on_missing=True)
        text = json.dumps(data)
    except Exception as error:  # whatever Hydra makes of a broken file
        _check_files(overrides)
        raise ConfigError(_reason(error)) from None
    if not all(isinstance(data.get(group), dict) for group in GROUPS):
        _check_files(overrides)
    _refuse_interpolations(data)
    return text


def read_again() -> None:
    """Forget what was composed: a notebook outlives an edit of ``conf/``."""
    _of_choices.cache_clear()
    _composed.cache_clear()


def _refuse_interpolations(data: Any, key: str = "") -> None:
    """Refuse values that are looked up elsewhere: ``${oc.env:…}`` would store a secret with a run.

    Raises:
        ConfigError: there is one.

    """
    if isinstance(data, dict):
        for name, value in data.items():
            _refuse_interpolations(value, f"{key}.{name}" if key else str(name))
    elif isinstance(data, list):
        for value in data:
            _refuse_interpolations(value, key)
    elif isinstance(data, str) and "${" in data:
        raise ConfigError(f"{key}: {data!r} is not looked up; write the value itself")


def _check_files(overrides: tuple[str, ...]) -> None:
    """Look for a file that a composition reads and that cannot be read.

    Raises:
        ConfigError: there is one.

    """
    defaults = load_file(CONF / "config.yaml").get("defaults")
    entries = [e for e in defaults if isinstance(e, dict)] if isinstance(defaults, list) else []
    chosen = {str(group): str(choice) for entry in entries for group, choice in entry.items()}
    chosen |= {key: value for key, _, value in (text.partition("=") for text in overrides)}
    for group in GROUPS:
        if group not in chosen:
            raise ConfigError(f"conf/config.yaml: defaults: no choice of {group}")
        load_choice(group, chosen[group])


def _parsed(overrides: Iterable[str]) -> list[Override]:
    """Overrides as Hydra reads them.

    Raises:
        ConfigError: one is no ``key=value``.

    """
    parser = OverridesParser.create()
    parsed = []
    for text in overrides:
        try:
            override = parser.parse_override(text)
        except (HydraException, ValueError, RecursionError):  # ValueError: a number of 5000 digits
            raise ConfigError(f"{text[:60]!r}: not an override; write key=value") from None
        if override.is_delete() or override.package is not None:
            raise ConfigError(f"{text!r}: not an override; write key=value")
        parsed.append(override)
    return parsed


def _values(override: Override) -> list[str]:
    """What an override gives its key: one value, or the several of a sweep.

    Raises:
        ConfigError: there are none, or more than can be meant.

    """
    if not override.is_sweep_override():
        try:
            return [override.get_value_element_as_str()]
        except OmegaConfBaseException:  # a sweep within a list
            raise ConfigError(f"{override.input_line}: not a value") from None
    if override.is_range_sweep():
        _check_range(override)
    elif override.value_type is ValueType.GLOB_CHOICE_SWEEP or not override.is_choice_sweep():
        raise ConfigError(
            f"{override.input_line}: several values are written 0.1,0.2 or range(start,stop,step)"
        )
    return list(override.sweep_string_iterator())


def _check_range(override: Override) -> None:
    """Refuse a range without values, or with more than ``MAX_RUNS``.

    Raises:
        ConfigError: it is one.

    """
    sweep, text = override.value(), override.input_line
    assert isinstance(sweep, RangeSweep) and sweep.start is not None and sweep.stop is not None
    try:
        count = math.ceil(Fraction(sweep.stop - sweep.start) / Fraction(sweep.step))
    except (ArithmeticError, ValueError):  # a step of 0, or an end that is no number
        raise ConfigError(f"{text}: not a range; write range(start,stop,step)") from None
    if count < 1:
        raise ConfigError(f"{text}: no value in it; range(0,3) is 0,1,2")
    if count > MAX_RUNS:
        raise ConfigError(f"{text}: too many values; at most {MAX_RUNS}")


def _check_keys(overrides: list[Override]) -> None:
    """Refuse keys and choices that do not exist."""
    chosen: dict[str, list[str]] = {group: [] for group in GROUPS}
    for override in overrides:
        key = override.key_or_group
        if key in GROUPS:
            chosen[key] = _values(override)
            for value in chosen[key]:
                check_choice(key, value)
    names = {_algorithm(choice) for choice in chosen["algo"] or [""]}
    known = {key for name in names for key, _, _ in documented_keys(name)} | set(GROUPS)
    elsewhere = {key: name for name in ALGORITHMS for key, _, _ in documented_keys(name)}
    for override in overrides:
        key = override.key_or_group
        if key not in known and not key.startswith(OPEN):
            other = f" (a key of {elsewhere[key]})" if key in elsewhere else ""
            raise ConfigError(f"{key}: unknown key{other}; {nearest(key, known)}")


def _algorithm(choice: str) -> str:
    """Which algorithm a file of ``conf/algo`` is of: trpo_baselines is trpo with other values.

    Args:
        choice: empty: that of ``conf/config.yaml``.

    Raises:
        ConfigError: it does not say, or there is no such algorithm.

    """
    file = f"conf/algo/{choice}.yaml" if choice else "conf/config.yaml: algo"
    section = json.loads(_composed(CONF, (f"algo={choice}",) if choice else ())).get("algo")
    if not isinstance(section, dict) or "name" not in section:
        raise ConfigError(f"{file}: name: missing; {nearest(choice, ALGORITHMS)}")
    name = str(section["name"])
    if name not in ALGORITHMS:
        raise ConfigError(f"{file}: name: unknown algorithm {name!r}; {nearest(name, ALGORITHMS)}")
    return name


def keys_of(overrides: Iterable[str]) -> list[str]:
    """The key, or the config group, that each override sets.

    Raises:
        ConfigError: one is no ``key=value``.

    """
    return [override.key_or_group for override in _parsed(overrides)]


@dataclass(frozen=True)
class Composition:
    """Runs, and where and on what to train them."""

    runs: list[RunSettings]
    execution: ExecutionSettings


def check_given_once(overrides: Iterable[str]) -> None:
    """Refuse a key that is given twice: Hydra would silently take the last.

    Raises:
        ConfigError: one is, or an argument is no ``key=value``.

    """
    keys = keys_of(overrides)
    for key in keys:
        if keys.count(key) > 1:
            raise ConfigError(f"{key} is given twice; once is meant, several values are {key}=A,B")


def compose(*overrides: str, sweep: bool = True) -> Composition:
    """Runs from overrides; sweeps (``seed=range(0,3)``, ``algo.clip_epsilon=0.1,0.2``) multiply.

    Args:
        overrides: in Hydra's syntax.
        sweep: whether sweeps are allowed.

    Raises:
        ConfigError: one line with what is wrong, where, and the nearest valid choice.

    """
    given = _parsed(overrides)
    for override in given:
        if override.is_sweep_override() and override.key_or_group in ExecutionSettings.model_fields:
            raise ConfigError(f"{override.input_line}: one value, for all runs")
        if override.is_sweep_override() and not sweep:
            raise ConfigError(f"{override.input_line}: several values; add -m to train them all")
    _check_keys(given)
    seeds: list[int | str | None] = [None]
    axes = []
    for override in given:
        key = override.key_or_group
        if key == "seed":
            seeds = [int(v) if re.fullmatch("-?[0-9]+", v) else v for v in _values(override)]
        else:
            prefix = "++" if f"{key}.".startswith(("change.", *OPEN)) else ""
            axes.append([f"{prefix}{key}={value}" for value in _values(override)])
    repeated = {seed for seed in seeds if seeds.count(seed) > 1}
    if repeated:
        raise ConfigError(f"seed: {min(map(str, repeated))} is repeated; each seed once")
    count = math.prod(map(len, axes)) * len(seeds)
    if count > MAX_RUNS:
        raise ConfigError(f"{count} runs; at most {MAX_RUNS} at once")
    runs, execution = [], None
    digests: dict[tuple[str, ...], str] = {}
    for combination in itertools.product(*axes):
        # One composition per combination (tens of milliseconds), then the seeds.
        data: dict[str, Any] = json.loads(_composed(CONF, combination))
        where = {key: data.pop(key) for key in ExecutionSettings.model_fields if key in data}
        execution = validated(ExecutionSettings, where)
        for seed in seeds:
            runs.append(validated(RunSettings, data if seed is None else {**data, "seed": seed}))
        digests[combination] = runs[-1].digest
    assert execution is not None
    _check_effect(axes, digests)
    unique = {run.digest: run for run in runs}
    return Composition(list(unique.values()), execution)


def _check_effect(axes: list[list[str]], digests: Mapping[tuple[str, ...], str]) -> None:
    """Refuse values of a key that are repeated, or that make no two runs differ.

    Args:
        axes: the values of each key.
        digests: of a run of each combination.

    Raises:
        ConfigError: a key is like that.

    """
    for place, values in enumerate(axes):
        key = values[0].lstrip("+").partition("=")[0]
        if repeated := {value for value in values if values.count(value) > 1}:
            value = min(repeated).partition("=")[2]
            raise ConfigError(f"{key}: {value} is repeated; each value once")
        seen: dict[tuple[str, ...], set[str]] = {}
        for combination, digest in digests.items():
            rest = combination[:place] + combination[place + 1 :]
            seen.setdefault(rest, set()).add(digest)
        if len(values) > 1 and all(len(of_rest) == 1 for of_rest in seen.values()):
            raise ConfigError(f"{key}: several values, but it has no effect beside the rest")


def load_file(file: Path) -> dict[str, Any]:
    """The mapping in a YAML file.

    Raises:
        ConfigError: it cannot be read, or says something else.

    """
    shown = file.relative_to(CONF.parent) if file.is_relative_to(CONF.parent) else file
    try:
        data = OmegaConf.to_container(OmegaConf.load(file))
    except (OSError, ValueError, RecursionError, YAMLError, OmegaConfBaseException) as error:
        raise ConfigError(f"{shown}: cannot be read ({_reason(error)})") from None
    if not isinstance(data, dict):
        raise ConfigError(f"{shown}: not a mapping; write key: value lines")
    return {str(key): value for key, value in data.items()}


def _reason(error: Exception) -> str:
    """Why a file cannot be read, with the line where that is known."""
    if isinstance(error, MarkedYAMLError) and error.problem_mark:
        return f"line {error.problem_mark.line + 1}: {error.problem}"
    if isinstance(error, UnicodeDecodeError):
        return "not UTF-8"
    if isinstance(error, RecursionError):
        return "nested too deeply"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    if isinstance(error, OmegaConfBaseException) and error.full_key:
        return f"{error.full_key}: {first_line(error)}"
    return first_line(error)


def load_choice(group: str, choice: str) -> dict[str, Any]:
    """The mapping in the file of a choice of a config group.

    Raises:
        ConfigError: no such choice, or its file cannot be read.

    """
    check_choice(group, choice)
    return load_file(CONF / group / f"{choice}.yaml")
