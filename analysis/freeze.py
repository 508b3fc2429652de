"""Make finished runs the data of the repository.

python -m analysis.freeze SCALE PART [studies=table1,epsilon] [env=hopper,swimmer] [seeds=3,4]
    [store=results/replication/runs] [--replace] [--stale]
snakemake figures
python -m analysis.freeze --pictures

The first takes the runs of the studies at that scale straight from the store of runs, from every
environment on which all of them are finished (``env=`` insists on some), and writes

- ``results/reference/runs/PART/<environment>.<table>``: those that no other part has.  Written
  once, since history keeps every version: to give the command again changes nothing, other content
  is refused, and more seeds or studies are another part.  ``--replace`` writes all the same.
- ``results/reference/plans/SCALE/<study>.json``: what a study has in all parts: the environments
  and seeds on which every variant is there.  Later parts make plans longer.
- the data dictionary and the manifest.

Runs by software that does other than the one here, or of which that is not known, are refused;
``--stale`` takes them.  The last command copies the pictures of README.md and results/FINDINGS.md,
drawn from the data.
"""

import argparse
import itertools
import os.path
import re
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis import manifest
from analysis.aggregate import StoredRun, runs_below, tables_of_runs
from analysis.measures import COLUMNS
from replicate.messages import ConfigError, DataError, Parser, one_line_errors
from replicate.planning.choices import Choice, choice_of, key_values
from replicate.planning.layout import REFERENCE_SCALES, Layout
from replicate.planning.plans import (
    claims_of,
    plan_of,
    run_ids,
    write_if_changed,
    written_plans,
)
from replicate.planning.studies import Scale, load_scale, load_study, study_runs
from replicate.settings import nearest
from replicate.store.columns import SCHEMAS
from replicate.store.description import RUN_FIELDS
from replicate.store.files import read_json, write_atomically
from replicate.store.plans import read_plan
from replicate.store.records import RUN, is_finished, read_description
from replicate.store.software import CLAIM_DIGESTS, CONF
from replicate.store.staleness import command, compare

RESULTS = Path("results")
REFERENCE = RESULTS / "reference"
MADE = RESULTS / "replication"
MAX_FILE_BYTES = 10_000_000
PICTURES = (
    "reference/figures/table1/table1",
    "reference/figures/epsilon/epsilon",
    "reference/figures/comparison/learning_curves",
    "figures/clipped_objective",
    "figures/update_passes",
)
"""What README.md and results/FINDINGS.md show, below ``results/replication``."""


class FreezeError(DataError):
    """What stands in the way, in one line."""


@dataclass(frozen=True)
class Asked:
    """What is to be frozen.

    Args:
        choice: studies and scale.
        part: folder that gets the files.
        envs: that must be finished; None: those that are.
        seeds: None: the scale's.
        store: of the runs.
        replace: whether files that are there may change.
        stale: whether runs by other software count.

    """

    choice: Choice
    part: Path
    envs: tuple[str, ...] | None
    seeds: tuple[int, ...] | None
    store: Path
    replace: bool
    stale: bool

    @property
    def training(self) -> str:
        """The command that trains what is missing, as far as the scale has it."""
        return (
            f"snakemake --config scale={self.choice.scale} studies={','.join(self.choice.studies)}"
        )


def freeze(asked: Asked) -> list[str]:
    """Write what is finished, and say what that is.

    Raises:
        FreezeError: an environment is not finished, or a file would change; then nothing is
            written.
        AlteredDataError: so is nothing where data is not what the manifest lists.

    """
    scale = load_scale(asked.choice.scale)
    there = runs_below(REFERENCE / "runs")
    said, new = [], {}
    for env, runs in planned_on(asked, scale).items():
        ids, text = to_freeze(asked, env, runs, there)
        said.append(f"{env}: {text}")
        if ids:
            new[asked.part / env] = ids
    tables = {
        stem: {
            stem.with_name(f"{stem.name}.{table}"): content
            for table, content in tables_of_runs(asked.store, ids).items()
        }
        for stem, ids in new.items()
    }
    files = {file: content for of_env in tables.values() for file, content in of_env.items()}
    check_files(files, asked.replace)
    there = {run: stored for run, stored in there.items() if stored.stem not in new}
    for stem, ids in new.items():
        there |= {run: StoredRun(stem, read_description(asked.store / run)) for run in ids}
    plans = plans_of(asked, scale, there)
    listed = manifest.listed(REFERENCE)
    manifest.check(file for file in listed if file not in files)
    # An environment's tables are listed together: half of them are refused until the same command
    # has completed what was interrupted.
    for of_env in tables.values():
        for file, content in of_env.items():
            write_atomically(file, content)
        manifest.update(REFERENCE, list(of_env))
    for file, plan in plans.items():
        if plan is None:
            file.unlink()
            said.append(f"{file}: taken out, none of its runs is left")
        else:
            write_if_changed(file, plan)
        manifest.update(REFERENCE, [] if plan is None else [file])
    write_atomically(REFERENCE / "DATA.md", dictionary().encode())
    others = [REFERENCE / f"{name}.csv" for name in ("untrained", "coverage", "error_rates")]
    others += [*(REFERENCE / "probes").glob("*.csv"), *(REFERENCE / "runs").glob("*/[!.]*")]
    known = {*manifest.listed(REFERENCE)}
    manifest.update(REFERENCE, [f for f in others if f.is_file() and f not in known])
    size = sum(file.stat().st_size for file in (REFERENCE / "runs").rglob("*.*"))
    return [*said, f"{REFERENCE / 'runs'}: {size / 1e6:.1f} MB in all"]


def to_freeze(
    asked: Asked, env: str, runs: set[str], there: Mapping[str, StoredRun]
) -> tuple[set[str], str]:
    """Runs on an environment that the part is to have, if it is to be written, and why or not.

    Raises:
        FreezeError: the environment was asked for, and is not finished; the part has other runs of
            it; or they are by other software.

    """
    stem = asked.part / env
    if runs <= there.keys() and not asked.replace:
        return set(), f"its {len(runs)} runs are there already"
    elsewhere = {run for run, stored in there.items() if stored.stem != stem}
    ids = runs - elsewhere
    if any(stored.stem == stem for stored in there.values()) and not asked.replace:
        raise FreezeError(
            f"{stem}.*: there with other runs, and written once; name another part, or --replace"
        )
    missing = sorted(run for run in ids if not is_finished(asked.store / run))
    if missing:
        text = f"{len(missing)} of {len(runs)} runs are missing, the first {missing[0]}"
        if asked.envs:
            raise FreezeError(f"{env}: {text}; {asked.training}")
        return set(), text
    check_software(asked, ids)
    return ids, f"{len(ids)} runs, {len(runs) - len(ids)} in other parts"


def planned_on(asked: Asked, scale: Scale) -> dict[str, set[str]]:
    """Environment → ids of the runs that the chosen studies have there; of those asked for.

    Raises:
        FreezeError: an environment that was asked for is in none of them.

    """
    run_ids: dict[str, set[str]] = {}
    for study in asked.choice.studies:
        for planned in study_runs(load_study(study), scale, asked.seeds):
            run_ids.setdefault(planned.env, set()).add(planned.run.run_id)
    for env in asked.envs or ():
        if env not in run_ids:
            raise FreezeError(f"env={env}: in none of these studies; {nearest(env, run_ids)}")
    return {env: run_ids[env] for env in asked.envs or sorted(run_ids)}


def check_software(asked: Asked, runs: Iterable[str]) -> None:
    """Look for runs by software that does other than the one here.

    Raises:
        FreezeError: there are, or that is not known of some.

    """
    if asked.stale:
        return
    for run in sorted(runs):
        description = read_description(asked.store / run)
        answer = compare(description, [description["settings"]])
        if answer.same != "same":
            what = f"to find out, {command([answer])}; " if answer.same == "unknown" else ""
            raise FreezeError(f"{asked.store / run}: by {answer.why}; {what}--stale takes it")


def check_files(files: dict[Path, bytes], replace: bool) -> None:
    """Look for files that must not be written.

    Raises:
        FreezeError: one is there with other content, or is too large.

    """
    for file, content in files.items():
        if len(content) > MAX_FILE_BYTES:
            raise FreezeError(
                f"{file}: larger than {MAX_FILE_BYTES:,} bytes; seeds= makes smaller parts"
            )
        if file.is_file() and file.read_bytes() != content and not replace:
            raise FreezeError(
                f"{file}: is there with other content; name another part, or --replace"
            )


def plans_of(
    asked: Asked, scale: Scale, there: Mapping[str, StoredRun]
) -> dict[Path, dict[str, Any] | None]:
    """File → plan, of the chosen studies and of those that have data at the scale.

    None: with ``--replace``, of one that has no data any more.

    Raises:
        FreezeError: a study would lose runs that it had.

    """
    folder = Layout(RESULTS).frozen_plans(asked.choice.scale)
    before = {path.stem: read_plan(path) for path in sorted(folder.glob("*.json"))}
    others = [*written_plans(asked.store.parent).values(), *before.values()]
    known = read_json(CLAIM_DIGESTS)
    plans: dict[Path, dict[str, Any] | None] = {}
    for name in sorted({*asked.choice.studies, *before}):
        known_study = (CONF / "study" / f"{name}.yaml").is_file()
        plan = plan_of_data(name, asked.choice.scale, scale, there) if known_study else None
        former = before.get(name)
        lost = run_ids(former) - run_ids(plan)
        if lost and not asked.replace:
            raise FreezeError(
                f"{folder / name}.json: {len(lost)} of its runs are no longer those of the study; "
                "--replace takes them out"
            )
        if plan is not None:
            first = None if asked.replace and name in asked.choice.studies else former
            plan["claims"] = claims_of(plan, first, others, lambda run: True, known)
        if plan is not None or former is not None:
            plans[folder / f"{name}.json"] = plan
    return plans


def plan_of_data(
    name: str, scale_name: str, scale: Scale, there: Mapping[str, StoredRun]
) -> dict[str, Any] | None:
    """A study's plan, of the environments and seeds on which all its variants are there, if any."""
    study = load_study(name)
    seeds = sorted({stored.description["settings"]["seed"] for stored in there.values()})
    planned = [p for p in study_runs(study, scale, seeds) if p.run.run_id in there]
    count = Counter((p.env, p.run.seed) for p in planned)
    planned = [p for p in planned if count[p.env, p.run.seed] == len(study.variants)]
    if not planned:
        return None
    plan = plan_of(study, scale_name, planned)
    folder = Layout(RESULTS).frozen_plan_file(scale_name, name).parent
    plan["data"] = {
        env: sorted(
            {os.path.relpath(there[p.run.run_id].stem, folder) for p in planned if p.env == env}
        )
        for env in plan["envs"]
    }
    return plan


def dictionary() -> str:
    """What every column of the data means, from the schemas that wrote it."""
    parts = ["# Data dictionary", "", "Generated by `python -m analysis.freeze`; do not edit.", ""]
    parts += [
        "Each run is in one part (`runs/<part>/`), once, whatever studies use it. Which variant of "
        "which study it is, `plans/<scale>/<study>.json` says: `runs` names environment (a file of "
        "`conf/env`), variant, seed and run, `data` the files of each environment that have them.",
        "",
    ]
    for name, columns in SCHEMAS.items():
        parts += [f"## `runs/<part>/<environment>.{name}.parquet`", ""]
        parts += ["| column | type | unit | meaning |", "|---|---|---|---|"]
        parts += [f"| `{c.name}` | {c.type} | {c.unit} | {_cell(c.meaning)} |" for c in columns]
        parts += [f"| `{RUN}` | string | – | id of the run that the row belongs to |", ""]
    parts += [
        "## `runs/<part>/<environment>.runs.json`",
        "",
        "One `run.json` a line:",
        "",
        "| field | meaning |",
        "|---|---|",
        *(f"| `{name}` | {_cell(meaning)} |" for name, meaning in RUN_FIELDS.items()),
        "",
        "## Measures (`snakemake figures` writes them to "
        "`results/replication/reference/measures/`)",
        "",
        "| column | meaning |",
        "|---|---|",
    ]
    parts += [f"| `{name}` | {_cell(text)} |" for name, text in COLUMNS.items()]
    return "\n".join(parts) + "\n"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def copy_pictures() -> None:
    """What ``snakemake figures`` drew, for README.md and results/FINDINGS.md.

    Raises:
        FreezeError: it has not been run.

    """
    for picture in PICTURES:
        drawn = MADE / f"{picture}.png"
        if not drawn.is_file():
            raise FreezeError(f"{drawn}: missing; run snakemake figures")
        write_atomically(REFERENCE / "pictures" / drawn.name, drawn.read_bytes())


KEYS = ("studies", "env", "seeds", "store")


def asked_for(options: argparse.Namespace) -> Asked:
    """What the command line asks for.

    Raises:
        ConfigError: an unknown key, scale, study or seed, or no name of a part.

    """
    if not re.fullmatch(r"[a-z0-9_-]+", options.part or ""):
        raise ConfigError(f"{options.part or 'PART'}: name a part with a-z, 0-9, _ and -")
    given = key_values(options.choices, KEYS)
    chosen = {"studies": given["studies"]} if "studies" in given else {}
    choice = choice_of({"scale": options.scale, **chosen})
    if choice.scale not in (scales := list(itertools.chain(*REFERENCE_SCALES))):
        raise ConfigError(f"{choice.scale}: no report is drawn of its data; {', '.join(scales)}")
    seeds = given.get("seeds")
    if seeds and not re.fullmatch(r"\d+(,\d+)*", seeds):
        raise ConfigError(f"seeds={seeds}: not numbers with commas between")
    return Asked(
        choice,
        part=REFERENCE / "runs" / options.part,
        envs=tuple(given["env"].split(",")) if "env" in given else None,
        seeds=tuple(map(int, seeds.split(","))) if seeds else None,
        store=Path(given.get("store", Layout(RESULTS).store)),
        replace=options.replace,
        stale=options.stale,
    )


@one_line_errors
def main(arguments: list[str]) -> int:
    """The command line."""
    parser = Parser(
        prog="python -m analysis.freeze",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("scale", nargs="?", metavar="SCALE")
    parser.add_argument("part", nargs="?", metavar="PART")
    parser.add_argument("choices", nargs="*", metavar="KEY=VALUE")
    for flag in ("pictures", "replace", "stale"):
        parser.add_argument(f"--{flag}", action="store_true")
    options = parser.parse_args(arguments)
    if options.pictures:
        if len(arguments) > 1:
            raise ConfigError("--pictures: a command of its own, without anything beside it")
        copy_pictures()
        return 0
    for line in freeze(asked_for(options)):
        print(line)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
