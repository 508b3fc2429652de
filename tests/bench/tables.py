"""What the benchmark measured, as tables."""

import platform
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from typing import Any

from replicate.training.provenance import provenance

Sample = dict[str, float]
"""µs per env step by name; ``total`` is all of it."""

SPEED_UP = {"Hopper-v5": 6.0, "HalfCheetah-v5": 10.0}
"""Env steps per second of ours over SB3 PPO, at least."""
MAX_NOT_PHYSICS = 30.0
"""µs per env step beside ``mj_step``, at most."""
MAX_PEAK_MB = 1500.0
MAX_CHECKPOINT_PERCENT = 2.0
"""Of the time between two checkpoints."""
OUR_ALGORITHMS = ("ppo", "trpo", "vpg")
PEERS = {"ppo": "SB3 PPO", "trpo": "sb3-contrib TRPO"}
PARTS = (
    *("physics", "not physics"),
    *("rest of environment", "rest of rollout", "advantages", "update"),
)


@dataclass
class Measurements:
    """What the benchmarks leave behind.

    Args:
        speed: environment id → who → cost of an env step.
        lanes: number of lanes → cost of an env step.
        threads: environment id → threads of the physics → cost of an env step.
        checkpoint: seconds of one, seconds between two, and its size.
        peak_mib: algorithm → peak memory of a process.
        core_shares: CPU time over wall time of each benchmark; below 1 the core was shared.
        load_averages: of the machine when each benchmark began.
    """

    speed: dict[str, dict[str, Sample]] = field(default_factory=dict)
    lanes: dict[str, Sample] = field(default_factory=dict)
    threads: dict[str, dict[str, Sample]] = field(default_factory=dict)
    checkpoint: dict[str, float] = field(default_factory=dict)
    peak_mib: dict[str, float] = field(default_factory=dict)
    core_shares: list[float] = field(default_factory=list)
    load_averages: list[float] = field(default_factory=list)


@dataclass
class Table:
    """A heading, column names and cells."""

    title: str
    columns: list[str]
    rows: list[list[str]]

    def markdown(self) -> str:
        """Aligned, so that it reads well as plain text too."""
        cells = [self.columns, *self.rows]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        first, *others = widths
        lines = [
            " | ".join([row[0].ljust(first), *map(str.rjust, row[1:], others)]) for row in cells
        ]
        rule = "|".join(["-" * (first + 2), *("-" * (width + 1) + ":" for width in others)])
        head, *body = [f"| {line} |" for line in lines]
        return "\n".join([f"**{self.title}**", "", head, f"|{rule}|", *body])


def machine(measurements: Measurements) -> dict[str, Any]:
    """Where this was measured."""
    about = provenance("cpu")
    names = ("stable-baselines3", "sb3-contrib")
    shares, loads = measurements.core_shares, measurements.load_averages
    return {
        "cpu": about["cpu"],
        "simd": about["simd"],
        "threads": about["threads"],
        "system": platform.system(),
        "python": about["python"],
        **about["versions"],
        **{name: version(name) for name in names},
        **({"core share": f"{min(shares):.2f}"} if shares else {}),
        **({"load average": f"{max(loads):.2f}"} if loads else {}),
    }


def speed_table(env_id: str, costs: dict[str, Sample]) -> Table:
    """Env steps per second and where the time goes."""
    rows = []
    for name, cost in costs.items():
        who = f"ours, {name}" if name in OUR_ALGORITHMS else name
        parts = [f"{cost[part]:.1f}" if part in cost else "" for part in PARTS]
        rate = f"{1e6 / cost['total']:,.0f}"
        spread = f"{cost['least']:.1f}–{cost['most']:.1f}"
        rows.append([who, rate, f"{cost['total']:.1f}", spread, *parts])
    columns = [env_id, "env steps/s", "µs/env step", "range", *PARTS]
    return Table(f"{env_id}: one core, µs per env step", columns, rows)


def lanes_table(costs: dict[str, Sample]) -> Table:
    """Cost of an env step against the number of lanes."""
    rows = [
        [
            lanes,
            *(f"{cost[name]:.1f}" for name in ("total", "least", "most", "not physics")),
            f"{1e6 / cost['total']:,.0f}",
        ]
        for lanes, cost in costs.items()
    ]
    columns = ["lanes", "µs/env step", "least", "most", "not physics", "env steps/s"]
    return Table("HalfCheetah-v5, PPO: cost against lanes", columns, rows)


def threads_table(costs: dict[str, dict[str, Sample]]) -> Table:
    """What more threads of the physics do for one cohort."""
    rows = [
        [env_id, threads, f"{cost['total']:.1f}", f"{cost['least']:.1f}–{cost['most']:.1f}"]
        for env_id, of_env in costs.items()
        for threads, cost in of_env.items()
    ]
    columns = ["environment", "threads of the physics", "µs/env step", "range"]
    return Table("PPO, 33 lanes, one cohort alone on the machine", columns, rows)


def targets_table(measurements: Measurements) -> Table:
    """What was aimed at, and whether it was reached."""
    rows = []

    def add(what: str, value: float, relation: str, target: float, form: str) -> None:
        reached = value >= target if relation == "≥" else value <= target
        goal = f"{relation} {format(target, form)}"
        rows.append([what, format(value, form), goal, "yes" if reached else "NO"])

    for env_id, costs in measurements.speed.items():
        rate = {name: 1e6 / cost["total"] for name, cost in costs.items()}
        add(
            f"{env_id}: ours / SB3 PPO",
            rate["ppo"] / rate[PEERS["ppo"]],
            "≥",
            SPEED_UP[env_id],
            ".2f",
        )
        against = rate["trpo"] / rate[PEERS["trpo"]]
        rows.append([f"{env_id}: ours / sb3-contrib TRPO", f"{against:.2f}", "", ""])
        for algo in ("trpo", "vpg"):
            add(f"{env_id}: {algo} / ppo, ours", rate[algo] / rate["ppo"], "≥", 1.0, ".2f")
        for algo in OUR_ALGORITHMS:
            spent = costs[algo]["not physics"]
            add(f"{env_id}: {algo}, not physics, µs", spent, "≤", MAX_NOT_PHYSICS, ".1f")
    if cost := measurements.checkpoint:
        what = (
            f"checkpoint, 33 lanes on Hopper after 1M env steps ({cost['megabytes']:.0f} MB, "
            f"{cost['seconds'] * 1000:.0f} ms every {cost['seconds between']:.0f} s), % of time"
        )
        percent = 100 * cost["seconds"] / cost["seconds between"]
        add(what, percent, "≤", MAX_CHECKPOINT_PERCENT, ".2f")
    for algo, peak in measurements.peak_mib.items():
        megabytes = peak * 2**20 / 1e6
        add(f"peak memory, 33 lanes, {algo}, MB", megabytes, "≤", MAX_PEAK_MB, ".0f")
    return Table("Targets", ["quantity", "measured", "target", "reached"], rows)


def tables(measurements: Measurements) -> list[Table]:
    """All that was measured; what was not is left out."""
    made = [speed_table(env_id, costs) for env_id, costs in measurements.speed.items()]
    if measurements.lanes:
        made.append(lanes_table(measurements.lanes))
    if measurements.threads:
        made.append(threads_table(measurements.threads))
    if measurements.speed or measurements.peak_mib or measurements.checkpoint:
        made.append(targets_table(measurements))
    return made


def as_markdown(measurements: Measurements) -> str:
    """The machine, then the tables."""
    about = ", ".join(f"{name} {value}" for name, value in machine(measurements).items())
    notes = (
        f"{about}.\n\nMedians of interleaved rounds after one that warms up; the range is over the "
        "rounds. Physics is `mj_step` timed alone, in the same rounds, on states that the policies "
        "came through, which had been trained a little. Core share is CPU time over wall time "
        "(lowest of all benchmarks) and load average the highest: 1.00 and about 1 on a quiet "
        "machine."
    )
    return "\n\n".join([notes, *(table.markdown() for table in tables(measurements))]) + "\n"


def as_json(measurements: Measurements) -> dict[str, Any]:
    """The machine and the numbers behind the tables."""
    return {"machine": machine(measurements), **asdict(measurements)}
