"""Composition: from ``conf/`` and overrides to runs.

The only module that knows Hydra.  Everything is composed and checked before anything runs.
"""

import itertools
import json
import re
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
from yaml import YAMLError

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
    """Overrides as Hydra reads them.

    Raises:
        ConfigError: one is no ``key=value``.

    """
    parser = OverridesParser.create()
    found = []
    for text in overrides:
        try:
            override = parser.parse_override(text)
        except HydraException:
            raise ConfigError(f"{text!r}: not an override; write key=value") from None
        if override.is_delete() or override.package is not None:
            raise ConfigError(f"{text!r}: not an override; write key=value")
        found.append(override)
    return found


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


def load_file(file: Path) -> Any:
    """What a YAML file says.

    Raises:
        ConfigError: it cannot be read.

    """
    try:
        return OmegaConf.to_container(OmegaConf.load(file))
    except (OSError, YAMLError) as error:
        raise ConfigError(f"{file.name}: cannot be read ({first_line(error)})") from None


def load_choice(group: str, choice: str) -> Any:
    """What the file of a choice of a config group says.

    Raises:
        ConfigError: no such choice, or its file cannot be read.

    """
    if choice not in options(group):
        raise ConfigError(f"{group}={choice}: no such choice; {nearest(choice, options(group))}")
    return load_file(CONF / group / f"{choice}.yaml")
