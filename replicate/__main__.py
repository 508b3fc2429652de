"""The command line.

python -m replicate env=hopper algo=ppo recipe=modern seed=3        one run
python -m replicate -m 'seed=range(0,10)' algo.clip_epsilon=0.1,0.2 a sweep, as lanes
python -m replicate --cohort FILE                                   a cohort of the pipeline
python -m replicate COMMAND ...                                     what is not training
"""

import json
import os
import re
import signal
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

from replicate.messages import (
    EXPECTED,
    ConfigError,
    Parser,
    begin,
    ending,
    first_line,
    say,
)
from replicate.planning.cohorts import cohorts_to_train
from replicate.planning.composition import (
    GROUPS,
    check_given_once,
    compose,
    keys_of,
    options,
)
from replicate.settings import (
    ALGORITHMS,
    ExecutionSettings,
    RunSettings,
    documented_keys,
    nearest,
    validated,
)
from replicate.store import checkpoints
from replicate.store.files import check_writable, parsed_json
from replicate.store.records import read_description

COMMANDS = {
    "doctor": ("replicate.upkeep.doctor", "what may be wrong here"),
    "estimate": ("replicate.upkeep.estimate", "what a choice of studies will cost here"),
    "retrain": ("replicate.upkeep.retrain", "set aside runs that other software made"),
    "mirror": ("replicate.training.mirror", "mirror finished runs to Weights & Biases"),
    "traces": ("replicate.upkeep.traces", "what the training code does, as bytes"),
}
"""Name → the module whose ``main`` runs it and whose docstring is its help; what it is for."""

KEPT = "finished runs and checkpoints are kept, and the same command goes on from them"


def help_text() -> str:
    """The help: every key with unit and default, every choice of every group."""
    lines = [
        (__doc__ or "").strip(),
        "",
        "Commands (python -m replicate COMMAND --help says more):",
    ]
    lines += [f"  {name:10} {purpose}" for name, (_, purpose) in COMMANDS.items()]
    lines += ["", "Groups (GROUP=CHOICE):"]
    lines += [f"  {group:8} {', '.join(options(group))}" for group in GROUPS]
    shown: set[tuple[str, str]] = set()
    for algo in ALGORITHMS:
        composition = compose(f"algo={algo}")
        values = composition.runs[0].model_dump() | composition.execution.model_dump()
        keys = [k for k in documented_keys(algo) if (k[0], k[2]) not in shown]
        title = "Keys (KEY=VALUE), defaults of" if algo == "ppo" else "Further keys, defaults of"
        lines += ["", f"{title} algo={algo}:"]
        for key, unit, meaning in keys:
            shown.add((key, meaning))
            value: Any = values
            for part in key.split("."):
                value = value[part] if value is not None else None  # there is no change
            lines.append(f"  {key:36} {json.dumps(value):24} [{unit}] {meaning}")
    return "\n".join(lines)


def parser() -> Parser:
    """The parser of the flags; every other argument is an override."""
    flags = Parser(prog="python -m replicate", add_help=False, allow_abbrev=False)
    flags.add_argument("-h", "--help", action="store_true")
    flags.add_argument("-m", "--multirun", action="store_true")
    flags.add_argument("--cohort", type=Path)
    return flags


def train(runs: list[RunSettings], execution: ExecutionSettings) -> None:
    """Train what is missing, cohort by cohort, and say where the files are."""
    from replicate.engine.cohort import update_of
    from replicate.envs import check_env
    from replicate.training.memory import check_memory
    from replicate.training.mirror import mirroring
    from replicate.training.progress import reporter
    from replicate.training.provenance import cores
    from replicate.training.runs import cuda_is_available, train_cohort

    store, device = Path(execution.out), execution.device
    envs = {run.env.model_dump_json(): run.env for run in runs}
    specs = {name: check_env(settings) for name, settings in envs.items()}
    if device == "cuda" and not cuda_is_available():
        raise ConfigError("device: no CUDA device here; nearest valid choice: cpu")
    to_train = cohorts_to_train(runs, store)
    for cohort in to_train if device == "cpu" else []:
        check_memory(cohort, specs[cohort[0].env.model_dump_json()])
    if to_train:
        check_writable(store)
    for algorithm in {cohort[0].algo.name for cohort in to_train}:
        update_of(algorithm)  # now: not after hours of training others, nor as it is edited by then
    threads = execution.threads or (cores() if len(to_train) == 1 else 1)
    with mirroring(execution.logger if to_train else "none", store) as watch:
        for number, cohort in enumerate(to_train, 1):
            first = cohort[0]
            label = f"{first.env.id} {first.algo.name} ({number}/{len(to_train)})"
            with reporter(label) as report:
                every = execution.checkpoint_every_updates
                train_cohort(cohort, store, device, every, report, watch, threads)
    if not to_train:  # a kill after the last run's files leaves their checkpoint behind
        checkpoints.remove_served(store, checkpoints.cohort_name(runs))
        checkpoints.remove_if_empty(store)
    fresh = {run.digest for cohort in to_train for run in cohort}
    for run in runs:
        note = "" if run.digest in fresh else "  (was finished before)"
        print(f"{store / run.run_id}/{note}")
    for run in runs:
        tell_if_diverged(store / run.run_id)


def tell_if_diverged(folder: Path) -> None:
    """Print a line if a finished run diverged, and so ended early.

    Raises:
        DamagedRunError: it cannot be read.

    """
    step = read_description(folder)["diverged_at_env_step"]
    if step is not None:
        say(f"{folder}/: diverged at env step {step}; its tables end there")


def cohort_of(manifest: Path) -> tuple[list[RunSettings], Path]:
    """The runs of a cohort manifest of the pipeline, and the folder they go to.

    Raises:
        ConfigError: it cannot be read.

    """
    try:
        data = parsed_json(manifest.read_text(encoding="utf-8"))
        entries, store = list(data["runs"]), Path(data["store"])
        if not entries:
            raise ValueError("no runs")
        return [validated(RunSettings, {**entry}) for entry in entries], store
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"--cohort {manifest}: cannot be read ({first_line(error)})") from None


def check_of_execution(overrides: list[str]) -> None:
    """Refuse keys that say what a run is, or where it goes, beside a cohort that says both.

    Raises:
        ConfigError: there is one.

    """
    known = set(ExecutionSettings.model_fields) - {"out"}
    for key in keys_of(overrides):
        if key not in known:
            raise ConfigError(f"{key}: told by the file of --cohort; {nearest(key, known)}")


def run_command(name: str, arguments: list[str]) -> int:
    """Run one of ``COMMANDS``; returns its exit code."""
    module = import_module(COMMANDS[name][0])
    if {"-h", "--help"} & set(arguments):
        print((module.__doc__ or "").strip())
        return 0
    return int(module.main(arguments))


OUT_OF_MEMORY = ("out of memory", "can't allocate memory", "alloc_failed")
"""How PyTorch says it, of a CPU and of CUDA."""


def is_out_of_memory(error: Exception) -> bool:
    """Whether memory could not be had; PyTorch says so by a ``RuntimeError``."""
    text = str(error).lower()
    return isinstance(error, MemoryError) or any(words in text for words in OUT_OF_MEMORY)


def main(arguments: list[str]) -> int:
    """The command line; returns the exit code."""
    try:
        begin()
        if arguments and arguments[0] in COMMANDS:
            return run_command(arguments[0], arguments[1:])
        known, overrides = parser().parse_known_args(arguments)
        for text in overrides:
            if text.startswith("-"):
                raise ConfigError(f"{text}: unknown flag; -m, --cohort or --help")
            if re.fullmatch("[a-z]+", text):
                raise ConfigError(
                    f"{text}: write key=value, or a command first; {nearest(text, COMMANDS)}"
                )
        check_given_once(overrides)
        if known.help:
            print(help_text())
        elif known.cohort:
            if known.multirun:
                raise ConfigError("-m: the file of --cohort says what is trained")
            check_of_execution(overrides)
            runs, store = cohort_of(known.cohort)
            execution = compose(*overrides, sweep=False).execution
            train(runs, execution.model_copy(update={"out": str(store)}))
        else:
            composed = compose(*overrides, sweep=known.multirun)
            train(composed.runs, composed.execution)
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read the output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 128 + signal.SIGPIPE
    except EXPECTED as error:
        return ending(error, KEPT)
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise
        return ending(ConfigError(f"out of memory: {first_line(error)}; {KEPT}"))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
