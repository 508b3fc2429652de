"""Studies and scales: the files of ``conf/study`` and ``conf/scale``, and the runs they ask for."""

import itertools
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, Field, ValidationInfo

from replicate.messages import ConfigError
from replicate.planning.composition import (
    check_given_once,
    compose,
    keys_of,
    load_choice,
    options,
)
from replicate.settings import (
    MOST_ENV_STEPS,
    Checked,
    ExecutionSettings,
    RunSettings,
    Section,
    nearest,
    validated,
)
from replicate.store.records import is_reference
from replicate.store.software import PACKAGE

RESERVED = ("runs", "finished", "cohorts", "logs", "probes", "figures", "set_aside")
"""Names that a scale cannot have: folders that stand beside those of the scales."""

MOST_SEEDS = 1000
"""Most seeds of a scale: all runs of a study are listed before the first is trained."""

Names = Annotated[tuple[str, ...], Field(strict=False)]


def _each_once(names: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ValueError(f"{info.field_name}: {twice[0]} is named twice; each once")
    return names


Once = Annotated[Names, AfterValidator(_each_once)]
Envs = Once
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


def _named(variants: dict[str, Variant]) -> dict[str, Variant]:
    for name in variants:
        if not re.fullmatch("[a-z0-9_.-]{1,64}", name):
            raise ValueError(
                f"variants: {name!r} is no name; at most 64 of a-z, 0-9, _, - and ., nearest: "
                f"{re.sub('[^a-z0-9_.-]+', '_', name.lower())[:64] or '_'}"
            )
    return variants


class StudySettings(Section):
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
    variants: Annotated[dict[str, Variant], AfterValidator(_named), Field(min_length=1)]
    figures: Once
    tables: Once
    overrides: Names = ()
    first_seed: int = Field(default=0, ge=0, lt=2**31 - MOST_SEEDS)


class Scale(Section):
    """A file of ``conf/scale``: how much of a study is run.

    Args:
        envs: those of a study that are run; None: all.

    """

    seeds: int = Field(ge=1, le=MOST_SEEDS)
    total_env_steps: int = Field(ge=1, le=MOST_ENV_STEPS)
    envs: Envs | None = None


def _checked_file(model: type[Checked], group: str, choice: str, **known: str) -> Checked:
    read = load_choice(group, choice)
    for key in known.keys() & read.keys():
        raise ConfigError(f"conf/{group}/{choice}.yaml: {key}: the file's own name is it")
    data = {**read, **known}
    try:
        return validated(model, data)
    except ConfigError as error:
        raise ConfigError(f"conf/{group}/{choice}.yaml: {error}") from None


def load_study(name: str) -> StudySettings:
    """A file of ``conf/study``.

    Raises:
        ConfigError: no such study, or a key or name in it that is not one.

    """
    study = _checked_file(StudySettings, "study", name, name=name)
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
    files = (PACKAGE.parent / "analysis" / kind).glob("*.py")
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


def study_runs(
    study: StudySettings, scale: Scale, seeds: Iterable[int] | None = None
) -> list[PlannedRun]:
    """All runs of a study at a scale.

    Args:
        study: what is varied, and where.
        scale: how much of it.
        seeds: instead of the scale's; below its first seed a study has none, whoever trained such
            runs.

    Raises:
        ConfigError: one of them is not valid.

    """
    envs = [env for env in study.envs if scale.envs is None or env in scale.envs]
    if seeds is None:
        seeds = range(study.first_seed, study.first_seed + scale.seeds)
    seeds = [seed for seed in seeds if seed >= study.first_seed]
    # Composing takes time: each environment is composed once, and the rest once per variant.
    sections = {env: _env_section(env) for env in envs}
    for env, other in itertools.combinations(envs, 2):
        if sections[env] == sections[other]:
            raise ConfigError(
                f"conf/env/{other}.yaml: the same environment as {env}.yaml; each once in a study"
            )
    planned = []
    shared: tuple[Any, ...] | None = None
    owner: dict[str, str] = {}
    for name, variant in study.variants.items():
        try:
            for given in (study.overrides, variant.overrides):
                check_given_once(given)
            overrides = *study.overrides, *variant.overrides
            base = _variant_settings(overrides, scale.total_env_steps)
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
                run = validated(RunSettings, data)
                if (other := owner.setdefault(run.digest, name)) != name:
                    raise ConfigError(
                        f"conf/study/{study.name}.yaml: {name}: the same runs as {other}; what it "
                        "changes has no effect beside the rest"
                    )
                planned.append(PlannedRun(env, name, run))
    return planned


def _env_section(env: str) -> dict[str, Any]:
    where = f"conf/env/{env}.yaml"
    try:
        return compose(f"env={env}").runs[0].env.model_dump()
    except ConfigError as error:
        if where in str(error):
            raise
        raise ConfigError(f"{where}: {error}") from None


def _variant_settings(overrides: tuple[str, ...], total_env_steps: int) -> dict[str, Any]:
    """Settings of a run of a variant, on any one environment.

    Raises:
        ConfigError: an override is wrong, or of what is not a variant's to say.

    """
    for key in keys_of(overrides):
        if key in ("seed", "total_env_steps") or key.split(".")[0] == "env":
            raise ConfigError(
                f"{key}: the study and the scale say where, how long and with which seeds"
            )
        if key in ExecutionSettings.model_fields:
            raise ConfigError(f"{key}: no part of a variant; it changes nothing that a run learns")
    length = f"total_env_steps={total_env_steps}"
    return compose(*overrides, length, sweep=False).runs[0].model_dump(mode="json")
