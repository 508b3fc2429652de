"""How often are verdicts wrong?  By simulation, with the noise of real runs.

python -m analysis.claims.error_rates OUT.csv MEASURES.csv…

In each scenario it is known what is true: nothing differs, one part of a claim is missing, or an
effect has just the size of the margin.  The runs around that truth are residuals of the given runs:
a run's measures minus the mean of its environment and variant, all of a run together but whether it
came to ruin, which is drawn apart; each environment with its own.  Every claim is judged as the
last of its family, at the whole α: the largest error that a verdict can have.
"""

import csv
import io
import math
import multiprocessing
import signal
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.random import Generator
from rich.console import Console
from rich.progress import track

from analysis import manifest
from analysis.claims import rules
from analysis.claims.clip import SIZES
from analysis.claims.configuration import Claim, LedgerSettings, load_claims, load_ledger
from analysis.claims.epsilon import VARIANTS
from analysis.claims.fixed_data import METHODS, SETTINGS, STUDIES, probes
from analysis.claims.ledger import (
    CONTRADICTED,
    IN_PART,
    INCONCLUSIVE,
    NO_EFFECT,
    SUPPORTED,
    ledger,
)
from analysis.claims.parts import Data, Evidence
from analysis.claims.strategies import SCHEDULES, TARGETS
from analysis.measures import WORST, ruined_or_collapsed
from analysis.statistics import Array
from analysis.study import Study
from replicate.messages import DataError, Parser, one_line_errors
from replicate.store.files import write_atomically

SEEDS = (3, 5, 10)
DATA_SETS = 250
LEARNT = 0.9
"""Mean u of what has learnt enough to be compared."""
LARGE = 1.0
"""An effect that no noise hides, in u and in logarithms."""
OUTCOMES = (SUPPORTED, IN_PART, CONTRADICTED, NO_EFFECT, INCONCLUSIVE)
"""Verdicts of a claim that was run."""
COLUMNS = ["claim", "truth", "environments", "seeds", "data_sets", *OUTCOMES, "wrong", "error"]

NOISY = {
    "u": ["u", "early_u"],
    "log": ["mean_log_kl", "log_kl_95", "log_kl_max", "mean_log_ratio_deviation_99"],
}


@dataclass(frozen=True)
class Scenario:
    """A truth, and the verdicts that are wrong if it is one.

    Args:
        u, log: variant of a study → what is added to its measures in u, or in logarithms.

    """

    claim: str
    truth: str
    wrong: tuple[str, ...]
    u: Mapping[tuple[str, str], float] = field(default_factory=dict)
    log: Mapping[tuple[str, str], float] = field(default_factory=dict)


def _steps(*steps: float) -> dict[tuple[str, str], float]:
    """Of the ε study: what each ε has more than the one before."""
    levels = np.concatenate([[0.0], np.cumsum(steps)])
    return {("epsilon", name): float(level) for name, level in zip(VARIANTS, levels, strict=True)}


def scenarios(claims: Mapping[str, Claim]) -> list[Scenario]:
    """What is simulated; effects at the margin are those of ``conf/claims``."""
    either = (SUPPORTED, CONTRADICTED)
    e1 = math.log(claims["E1"].margins["factor"])
    u5, p1 = claims["E5"].margins["u"], claims["P1"].margins["u"]
    c5, c5_factor = claims["C5"].margins["u"], math.log(claims["C5"].margins["factor"])
    no_clip = {("comparison", "ppo_noclip"): LARGE, ("comparison_modern", "ppo_noclip"): LARGE}
    worse = {("table1", name): -LARGE for name in SETTINGS if name not in ("clip_0.2", "clip_0.3")}
    trpo = ("comparison", "trpo"), ("comparison_modern", "trpo")
    c3, c3_factor = claims["C3"].margins["u"], math.log(claims["C3"].margins["factor"])
    c6, c10 = claims["C6"].margins["u"], claims["C10"].margins["u"]
    e6, s1, s2 = (claims[name].margins["u"] for name in ("E6", "S1", "S2"))
    s3, t3 = claims["S3"].margins["u"], claims["T3"].margins["u"]
    sizes = [("no_clip_step_size", f"none_{size}") for size in SIZES]
    falling = [("clip_schedule", name) for name in SCHEDULES]
    targets = [("early_stopping", f"target_{target:g}") for target in TARGETS.values()]
    return [
        Scenario("E1", "no step changes KL", either),
        Scenario("E1", "three steps change KL, one does not", either, log=_steps(1, 1, 0, 1)),
        Scenario("E1", "steps of just the margin", (NO_EFFECT, CONTRADICTED),
                 log=_steps(e1, e1, e1, e1)),
        Scenario("E2", "no ε is faster", either),
        Scenario("E2", "ε = 0.3 is as fast as 0.2", either, u=_steps(0.1, 0.1, 0, 0)),
        Scenario("E2", "ε = 0.5 is slower than 0.2 by the margin", either,
                 u=_steps(0.1, 0.1, 0.1, -0.1 - claims["E2"].margins["not_slower"])),
        Scenario("E3", "ε does not matter", either),
        Scenario("E5", "all settings are alike", either),
        Scenario("E5", "one setting is as good as ε = 0.2", either, u=worse),
        Scenario("E5", "ε = 0.2 is better by just the margin", (NO_EFFECT, CONTRADICTED),
                 u={("table1", "clip_0.2"): u5}),
        Scenario("C5", "the clip does nothing", either),
        Scenario("C5", "the clip is worth nothing under one recipe", either,
                 u={("comparison", "ppo_noclip"): -LARGE}, log=no_clip),
        Scenario("C5", "all effects are just the margin", (NO_EFFECT, CONTRADICTED),
                 u={(study, "ppo_noclip"): -c5 for study, _ in no_clip},
                 log={(study, "ppo_noclip"): c5_factor for study, _ in no_clip}),
        Scenario("I2", "the bound does nothing", either),
        Scenario("P1", "PPO and TRPO are alike", (CONTRADICTED,)),
        Scenario("P1", "PPO is worse by just the margin under both recipes", either,
                 u=dict.fromkeys(trpo, p1)),
        Scenario("P1", "PPO is worse by just the margin under one recipe", either,
                 u={trpo[0]: p1}),
        Scenario("C3", "max is as min", either),
        Scenario("C3", "all effects are just the margin", (NO_EFFECT, CONTRADICTED),
                 u={("bound", "min"): c3}, log={("bound", "max"): c3_factor}),
        Scenario("C6", "SPO is as the clip", either),
        Scenario("C6", "SPO's ratios are nearer to 1, its return is worse by just the margin",
                 either, u={("quadratic_penalty", "spo"): -c6},
                 log={("quadratic_penalty", "clip"): LARGE}),
        Scenario("C10", "no clip is as the clip at every step size", (CONTRADICTED,)),
        Scenario("C10", "no clip is worse by just the margin at every step size", either,
                 u=dict.fromkeys(sizes, -c10)),
        Scenario("E6", "ε does not matter", either),
        Scenario("E6", "ε = 0.05 is slower and ends lower by just the margin", either,
                 u=_steps(e6, 0, 0, 0)),
        Scenario("S1", "an ε that falls is as a constant one", either),
        Scenario("S1", "an ε that falls is better by just the margin", (NO_EFFECT, CONTRADICTED),
                 u=dict.fromkeys(falling, s1)),
        Scenario("S2", "the number of passes does not matter", either),
        Scenario("S2", "all effects are just the margin", (NO_EFFECT, CONTRADICTED),
                 u={("epochs", "clip_1"): -s2, ("epochs", "none_30"): -s2}),
        Scenario("S3", "a target does nothing", either),
        Scenario("S3", "a target keeps KL down and costs just the margin", either,
                 u=dict.fromkeys(targets, -s3), log={("early_stopping", "clip"): LARGE}),
        Scenario("T3", "more exact is as good", (CONTRADICTED,)),
        Scenario("T3", "more exact is better by just the margin in one way", either,
                 u={("trpo_exactness", "cg_40"): t3}),
    ]  # fmt: skip


@dataclass(frozen=True)
class Noise:
    """Residuals of runs on one environment: ``[R, columns of NOISY]``, and who came to ruin."""

    residuals: Array
    unsafe: Array


def noise_of(measures: pd.DataFrame) -> dict[str, Noise]:
    """Environment → residuals, widened by √(S / (S − 1)) as the mean was taken from the same runs.

    Raises:
        DataError: no environment has a variant with two runs.

    """
    table = measures.assign(log_kl_95=np.log(measures.kl_95), log_kl_max=np.log(measures.kl_max))
    table[NOISY["u"]] = table[NOISY["u"]].clip(lower=WORST)
    columns = [*NOISY["u"], *NOISY["log"]]
    table = table[table.u.notna()]
    groups = table.groupby(["study", "env", "variant"])
    count = groups.u.transform("size")
    table = table.assign(wider=np.sqrt(count / (count - 1).clip(lower=1)))[count > 1]
    if table.empty:
        raise DataError("no variant has two runs on one environment: there is no noise to learn of")
    means = table.groupby(["study", "env", "variant"])[columns].transform("mean")
    table[columns] = (table[columns] - means).mul(table.wider, axis=0)
    return {
        str(env): Noise(
            runs[columns].to_numpy(np.float64),
            ruined_or_collapsed(runs).to_numpy(np.float64),
        )
        for env, runs in table.groupby("env", sort=False)
    }


class World:
    """The runs of a scenario's studies, drawn again and again."""

    def __init__(self, claim: Claim, noise: Mapping[str, Noise], seeds: int) -> None:
        self.noise = noise
        self.envs = [env for env in noise if env not in claim.without]
        self.probes = probes()
        self.tables: dict[str, pd.DataFrame] = {}
        self.studies: dict[str, Study] = {}
        for name in claim.studies:
            recipe, variants = STUDIES[name]
            variants = METHODS[1:] if variants == METHODS else variants
            keys = [(e, v, s) for e in self.envs for v in variants for s in range(seeds)]
            table = pd.DataFrame(keys, columns=["env", "variant", "seed"])
            # Categories, since they are compared in every data set.
            self.tables[name] = table.astype({"env": "category", "variant": "category"})
            plan = {
                "study": name,
                "recipe": recipe,
                "total_env_steps": 1_000_000,
                "envs": {env: env for env in self.envs},
                "variants": [{"name": v, "label": v, "published": v} for v in variants],
                "runs": [],
            }
            self.studies[name] = Study(Path(), plan)

    def draw(self, scenario: Scenario, generator: Generator) -> Data:
        """Measures of one replication of the scenario."""
        measures = {name: self._draw(name, scenario, generator) for name in self.tables}
        table1 = pd.DataFrame({"setting": [], "score": []})
        return Data(self.studies, measures, self.probes, {"ppo_table1": table1})

    def _draw(self, name: str, scenario: Scenario, generator: Generator) -> pd.DataFrame:
        keys = self.tables[name]
        drawn, unsafe = [], []
        each = len(keys) // len(self.envs)  # rows are in the order of the environments
        for env in self.envs:
            pool = self.noise[env]
            drawn.append(pool.residuals[generator.integers(len(pool.residuals), size=each)])
            unsafe.append(pool.unsafe[generator.integers(len(pool.unsafe), size=each)] > 0)
        residuals = dict(zip([*NOISY["u"], *NOISY["log"]], np.concatenate(drawn).T, strict=True))
        u, log = (
            np.array([shifts.get((name, variant), 0.0) for variant in keys.variant])
            for shifts in (scenario.u, scenario.log)
        )
        return keys.assign(
            u=LEARNT + u + residuals["u"],
            early_u=LEARNT / 2 + u + residuals["early_u"],
            mean_log_kl=log - 5 + residuals["mean_log_kl"],
            kl_95=np.exp(log - 4 + residuals["log_kl_95"]),
            kl_max=np.exp(log - 3 + residuals["log_kl_max"]),
            mean_log_ratio_deviation_99=log - 1 + residuals["mean_log_ratio_deviation_99"],
            ruined=False,
            collapsed=np.concatenate(unsafe),
            final=0.0,
            score=0.0,
            untrained=0.0,
            peak_u=LEARNT,
            drawdown=0.0,
            steps_to_half=np.inf,
        )


def verdicts(
    scenario: Scenario,
    claim: Claim,
    settings: LedgerSettings,
    noise: Mapping[str, Noise],
    seeds: int,
    data_sets: int,
) -> Counter[str]:
    """How often each verdict is given; the same for the same arguments."""
    alone = claim.model_copy(update={"family": claim.name})
    world = World(alone, noise, seeds)
    key = [seeds, *f"{scenario.claim} {scenario.truth}".encode()]
    generator = np.random.default_rng(key)
    counts: Counter[str] = Counter()
    for _ in range(data_sets):
        evidence = _evidence(alone, world.draw(scenario, generator))
        counts[
            ledger({claim.name: alone}, {claim.name: evidence}, settings)[claim.name].verdict
        ] += 1
    return counts


def _evidence(claim: Claim, data: Data) -> Evidence:
    evidence = rules.evidence_of(claim, data)
    assert evidence is not None
    return evidence


def row(scenario: Scenario, counts: Counter[str], environments: int, seeds: int) -> list[object]:
    """A row of ``COLUMNS``; shares of the data sets."""
    total = sum(counts.values())
    shares = [counts[verdict] / total for verdict in OUTCOMES]
    error = sum(counts[verdict] for verdict in scenario.wrong) / total
    wrong = " or ".join(scenario.wrong)
    start = [scenario.claim, scenario.truth, environments, seeds, total]
    return [*start, *(f"{share:.3f}" for share in shares), wrong, f"{error:.3f}"]


@one_line_errors
def main(arguments: list[str], data_sets: int = DATA_SETS) -> int:
    """The command line."""
    parser = Parser(prog="python -m analysis.claims.error_rates")
    parser.add_argument("out", type=Path, metavar="OUT.csv")
    parser.add_argument("files", type=Path, nargs="+", metavar="MEASURES.csv")
    out, files = vars(parser.parse_args(arguments)).values()
    manifest.check(files)
    noise = noise_of(pd.concat([pd.read_csv(file).assign(study=file.stem) for file in files]))
    claims, settings = load_claims(), load_ledger()
    rules.check(claims)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    cases = [(case, claims[case.claim], seeds) for case in scenarios(claims) for seeds in SEEDS]
    # Ctrl-C is for this process to tell; it ends the others.
    ignore = signal.signal, (signal.SIGINT, signal.SIG_IGN)
    with multiprocessing.get_context("spawn").Pool(None, *ignore) as pool:
        waiting = [
            pool.apply_async(verdicts, (case, claim, settings, noise, seeds, data_sets))
            for case, claim, seeds in cases
        ]
        every = list(zip(cases, waiting, strict=True))
        for (case, claim, seeds), counts in track(every, "truths", console=Console(stderr=True)):
            environments = len([env for env in noise if env not in claim.without])
            cells = row(case, counts.get(), environments, seeds)
            writer.writerow(cells)
            print(*cells, sep="  ", file=sys.stderr, flush=True)
    write_atomically(out, text.getvalue().encode())
    manifest.renew(out)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
