"""Data with known answers: studies with measures as they would come out of a world so made."""

import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.claims import rules
from analysis.claims.configuration import load_claims, load_ledger
from analysis.claims.fixed_data import probes
from analysis.claims.ledger import Finding, ledger
from analysis.claims.parts import Data
from analysis.study import Study
from tests.analysis.made_up import MEASURE_COLUMNS, PAPER

CLAIMS = load_claims()
SETTINGS = load_ledger()
RECIPES = {"comparison_modern": "modern"}
Value = Callable[[str, str, int], float]
"""Environment, variant and seed → a measure."""


def noise(sd: float, *key: object) -> float:
    """Normal, the same for the same key."""
    seed = [byte for part in key for byte in str(part).encode()]
    return sd * float(np.random.default_rng(seed).standard_normal())


def around(means: Mapping[str, float], sd: float = 0.02, name: str = "") -> Value:
    """Variant → mean, with normal noise of each run."""
    return lambda env, variant, seed: means[variant] + noise(sd, name, env, variant, seed)


def algo(variant: str) -> dict[str, Any]:
    return {"name": "trpo", "max_kl": 0.01} if variant == "trpo" else {"name": "ppo"}


def world(
    name: str,
    variants: Sequence[str],
    seeds: int = 5,
    envs: Mapping[str, str] = PAPER,
    **measures: Value | float | bool,
) -> Data:
    """One study with its measures; those that are not given are the same in every run."""
    runs = [
        {"env": env, "variant": variant, "seed": seed, "digest": f"{env}-{variant}-{seed}"}
        for env in envs
        for variant in variants
        for seed in range(seeds)
    ]
    plan = {
        "study": name,
        "title": name,
        "scale": "full",
        "recipe": RECIPES.get(name, "paper2017"),
        "num_steps": 2048,
        "total_env_steps": 999_424,
        "envs": dict(envs),
        "variants": [
            {"name": variant, "label": variant, "published": variant, "algo": algo(variant)}
            for variant in variants
        ],
        "runs": runs,
    }
    table = pd.DataFrame(runs)[["env", "variant", "seed"]]
    given: dict[str, Any] = {**MEASURE_COLUMNS, "u": 0.9, "final": 50.0, "score": 50.0, **measures}
    for column, value in given.items():
        keys = table[["env", "variant", "seed"]].itertuples(index=False)
        table[column] = [value(*key) for key in keys] if callable(value) else value
    return Data({name: Study(Path(), plan)}, {name: table}, probes(), {"ppo_table1": published()})


def published() -> pd.DataFrame:
    """Of three settings of Table 1; variants are called as they are in the paper."""
    return pd.DataFrame(
        {"setting": ["clip_0.1", "clip_0.2", "clip_0.3"], "score": [0.76, 0.82, 0.7]}
    )


def together(*worlds: Data) -> Data:
    studies = {name: study for world in worlds for name, study in world.studies.items()}
    measures = {name: table for world in worlds for name, table in world.measures.items()}
    return Data(studies, measures, worlds[0].probes, worlds[0].published)


def find(claim: str, data: Data) -> Finding:
    """The finding of one claim, as if no other had been run."""
    of_claim = rules.evidence_of(CLAIMS[claim], data)
    evidence = {} if of_claim is None else {claim: of_claim}
    return ledger(CLAIMS, evidence, SETTINGS, PAPER)[claim]


def log(value: float) -> float:
    return math.log(value)
