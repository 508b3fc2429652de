"""Renew the baselines of the returns gate.

python -m tests.regression.accept --reason "..."      or: make accept REASON="..."

Trains the seeds of the baseline and those of the gate, shows old and new means, and writes the
baselines if the gate passes on them.
"""

import sys
from collections.abc import Callable, Iterable
from pathlib import Path

from analysis import manifest
from replicate.messages import Parser, one_line_errors
from replicate.store.files import write_json
from tests.regression.baselines import BASELINES, Acceptance, BaselineError, read, renewed
from tests.regression.cells import Cell, Design, Sample, measure_all, read_design
from tests.regression.gate import judge, table

Measure = Callable[[Iterable[Cell], str], dict[str, Sample]]


def old_and_new(old: Acceptance | None, new: Acceptance) -> str:
    """Means of the cells before and after."""
    lines = ["Accepted means, old → new:"]
    for name, mean in new.means.items():
        before = old.means.get(name) if old else None
        shown = "none" if before is None else f"{before:.1f}"
        lines.append(f"  {name:24} {shown:>8} → {mean:.1f}")
    return "\n".join(lines)


def accept(reason: str, design: Design, path: Path, measure: Measure = measure_all) -> int:
    """Measure, show, and write unless the gate fails on its own baseline; the exit code.

    Raises:
        BaselineError: the file that would be renewed is corrupt: its history would be lost.

    """
    history = read(path).history if path.exists() else []
    baseline = measure(design.cells, design.baseline_seeds)
    current = measure(design.cells, design.current_seeds)
    new = renewed(history, design, baseline, reason)
    verdicts = judge(design, baseline, current)
    print(old_and_new(history[-1] if history else None, new.history[-1]))
    print(f"\nThe gate on the new baselines:\n{table(design, verdicts)}\n")
    if any(verdict.worse for verdict in verdicts):
        print(
            "error: the code fails its own baselines, whose seeds were lucky: nothing is written; "
            "choose other baseline_seeds in conf/regression.yaml",
            file=sys.stderr,
        )
        return 1
    write_json(path, new.model_dump(mode="json"))
    manifest.renew(path)
    print(f"Written: {path}")
    return 0


@one_line_errors
def main(arguments: list[str], path: Path = BASELINES, measure: Measure = measure_all) -> int:
    """The command line; the exit code."""
    parser = Parser(prog="python -m tests.regression.accept")
    parser.add_argument("--reason", default="", help="why the returns are to be the new baselines")
    reason = parser.parse_args(arguments).reason.strip()
    if not reason:
        raise BaselineError('a reason is needed: make accept REASON="why returns changed"')
    return accept(reason, read_design(), path, measure)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
