"""Set aside finished runs that other software made, so that ``snakemake`` trains them anew.

python -m replicate.retrain [scale=paper] [studies=table1,epsilon]

Of the chosen studies: runs of other training code or package versions than those here, or of a
checkout with uncommitted changes.  They are moved to ``results/replication/set_aside/``; nothing is
deleted.
"""

import itertools
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from replicate.pipeline import Layout, choice_of
from replicate.plan import load_scale, load_study, study_runs
from replicate.records import DataError, is_finished, read_description
from replicate.settings import ConfigError, RunSettings
from replicate.software import made_by


def is_stale(description: dict[str, Any]) -> bool:
    """Whether a run was not made by the software that is here, committed."""
    checkouts = [description, *description.get("resumed", [])]
    here = all(description.get(name) == value for name, value in made_by().items())
    return not here or any(checkout.get("dirty") for checkout in checkouts)


def free(path: Path) -> Path:
    """``path``, or where that is taken the first of ``path.2``, ``path.3``, … that is not."""
    numbered = (path.with_name(f"{path.name}.{number}") for number in itertools.count(2))
    return next(name for name in itertools.chain([path], numbered) if not name.exists())


def set_aside(runs: Iterable[RunSettings], store: Path, aside: Path) -> list[Path]:
    """Move the stale ones of some runs; their new folders.

    Raises:
        DataError: one cannot be read.
        OSError: one cannot be moved.

    """
    moved = []
    for name in dict.fromkeys(run.run_id for run in runs):
        if not is_finished(store / name):
            continue
        description = read_description(store / name)
        if is_stale(description):
            target = free(aside / f"{name}.{description['code_digest'][:8]}")
            target.parent.mkdir(parents=True, exist_ok=True)
            (store / name).rename(target)
            moved.append(target)
    return moved


def main(arguments: list[str]) -> int:
    """The command line; returns the exit code."""
    try:
        choice = choice_of(
            {key: value for key, _, value in (text.partition("=") for text in arguments)}
        )
        scale = load_scale(choice.scale)
        runs = [p.run for name in choice.studies for p in study_runs(load_study(name), scale)]
        layout = Layout(Path("results"))
        moved = set_aside(runs, layout.store, layout.root / "set_aside")
    except (ConfigError, DataError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except OSError as error:
        print(f"error: {error.filename}: {error.strerror or error}", file=sys.stderr)
        return 2
    where = f" (now in {layout.root / 'set_aside'}/)" if moved else ""
    print(
        f"scale={choice.scale} studies={','.join(choice.studies)}: {len(moved)} runs made by other "
        f"training code, package versions or from uncommitted changes{where}"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
