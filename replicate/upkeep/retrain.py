"""Set aside finished runs that other software made, so that ``snakemake`` trains them anew.

python -m replicate retrain [scale=paper] [studies=table1,epsilon] [unknown=set_aside]

Of the chosen studies: runs by software that does other than the one here
(``replicate.store.staleness``).  They are moved to ``results/replication/set_aside/``.  Runs of
which that is not known stay, and a line says what finds it out; ``unknown=set_aside`` moves them
too.  Nothing is deleted.
"""

import itertools
from collections.abc import Iterable
from pathlib import Path

from replicate.messages import ConfigError, counted, few, one_line_errors
from replicate.planning.choices import KEYS, Choice, choice_of, chosen_runs, key_values
from replicate.planning.layout import Layout
from replicate.settings import RunSettings
from replicate.store.records import is_finished, read_description
from replicate.store.staleness import Answer, command, compare

SET_ASIDE = "set_aside"


def free(path: Path) -> Path:
    """``path`` or, if that is taken, the first of ``path.2``, ``path.3``, … that is free."""
    numbered = (path.with_name(f"{path.name}.{number}") for number in itertools.count(2))
    return next(name for name in itertools.chain([path], numbered) if not name.exists())


def set_aside(
    runs: Iterable[RunSettings], store: Path, aside: Path, unknown: bool
) -> tuple[list[Path], list[Answer]]:
    """Move the stale ones of some runs.

    Args:
        unknown: whether those of which it is not known count as stale.

    Returns their new folders, and the answers for those that stay although it is not known.

    Raises:
        DataError: one cannot be read.
        OSError: one cannot be moved.

    """
    moved, left = [], []
    for run in {run.run_id: run for run in runs}.values():
        if not is_finished(store / run.run_id):
            continue
        description = read_description(store / run.run_id)
        answer = compare(description, [run.model_dump(mode="json")])
        if answer.same == "other" or (answer.same == "unknown" and unknown):
            target = free(aside / f"{run.run_id}.{description['code_digest'][:8]}")
            target.parent.mkdir(parents=True, exist_ok=True)
            (store / run.run_id).rename(target)
            moved.append(target)
        elif answer.same == "unknown":
            left.append(answer)
    return moved, left


def asked_for(arguments: list[str]) -> tuple[Choice, bool]:
    """Studies and scale, and whether what is not known is set aside too.

    Raises:
        ConfigError: an unknown key or value.

    """
    given = key_values(arguments, ("unknown", *KEYS))
    unknown = given.pop("unknown", None)
    if unknown not in (None, SET_ASIDE):
        raise ConfigError(f"unknown={unknown}: no such choice; did you mean {SET_ASIDE!r}?")
    return choice_of(given), unknown is not None


@one_line_errors
def main(arguments: list[str]) -> int:
    """The command; returns the exit code."""
    choice, unknown = asked_for(arguments)
    runs = [planned.run for _, some in chosen_runs(choice) for planned in some]
    layout = Layout(Path("results"))
    moved, left = set_aside(runs, layout.store, layout.root / SET_ASIDE, unknown)
    where = f" (now in {layout.root / SET_ASIDE}/)" if moved else ""
    print(f"{choice}: {counted(len(moved), 'run')} made by other software set aside{where}")
    if left:
        print(
            f"{counted(len(left), 'run')} made by {few(sorted({answer.why for answer in left}))}: "
            f"{command(left)} finds out whether they are stale; unknown={SET_ASIDE} sets them "
            "aside unasked"
        )
    return 0
