"""What a command line chooses, as ``key=value``: studies and a scale, and their runs."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from replicate.messages import ConfigError
from replicate.planning.composition import check_choice
from replicate.planning.studies import PlannedRun, StudySettings, load_scale, load_study, study_runs
from replicate.settings import nearest

DEFAULT_STUDIES = ("comparison", "comparison_modern", "table1", "epsilon")
DEFAULT_SCALE = "paper"
KEYS = ("scale", "studies")


def key_values(arguments: Iterable[str], keys: Iterable[str]) -> dict[str, str]:
    """The ``key=value`` arguments of a command.

    Args:
        keys: those it knows.

    Raises:
        ConfigError: an argument is not ``key=value``, its key is not known or is given twice.

    """
    given: dict[str, str] = {}
    for argument in arguments:
        key, equals, value = argument.partition("=")
        if key not in keys:
            raise ConfigError(f"{key}: unknown key; {nearest(key, keys)}")
        if not equals or not value:
            raise ConfigError(f"{argument}: write {key}=value")
        if key in given:
            raise ConfigError(f"{argument}: {key} is given twice; once is meant")
        given[key] = value
    return given


@dataclass(frozen=True)
class Choice:
    """Some studies at a scale."""

    studies: tuple[str, ...]
    scale: str

    def __str__(self) -> str:
        """As it is given on a command line."""
        return f"scale={self.scale} studies={','.join(self.studies)}"


def choice_of(config: Mapping[str, Any]) -> Choice:
    """``studies`` (names, separated by commas) and ``scale``, from arguments or Snakemake's config.

    Raises:
        ConfigError: an unknown key, study or scale.

    """
    for key in set(config) - set(KEYS):
        raise ConfigError(f"{key}: unknown key of --config; {nearest(key, KEYS)}")
    for key, value in config.items():
        if value in (None, ""):
            raise ConfigError(f"{key}=: no value; leave it out for the default")
    scale = str(config.get("scale", DEFAULT_SCALE))
    names = tuple(str(config.get("studies", ",".join(DEFAULT_STUDIES))).split(","))
    for group, choices in (("scale", (scale,)), ("study", names)):
        for name in choices:
            check_choice(group, name)
    return Choice(tuple(dict.fromkeys(names)), scale)


def chosen_runs(choice: Choice) -> Iterator[tuple[StudySettings, list[PlannedRun]]]:
    """Each study of a choice, and its runs at the scale.

    Raises:
        ConfigError: a file of ``conf/`` is wrong, or the scale has none of a study's environments.

    """
    scale = load_scale(choice.scale)
    for name in choice.studies:
        study = load_study(name)
        runs = study_runs(study, scale)
        if not runs:
            raise ConfigError(f"study={name}: none of its environments is in scale={choice.scale}")
        yield study, runs
