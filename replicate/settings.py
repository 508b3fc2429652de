"""Floor 0: the schema of a run – names, bounds, units, canonical form, digest.

The values live in ``conf/``; here stands what a value may be.  The module is free of torch, so that
the Snakefile starts fast.

A key that a published result was made without may be added with a default that means "as
before": the canonical form leaves such a key out at its default, and old digests stay valid.
"""

import difflib
import hashlib
import json
import math
from collections.abc import Iterable, Iterator
from functools import reduce
from operator import or_
from typing import TYPE_CHECKING, Annotated, Any, Generic, Literal, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from replicate.messages import ConfigError


def nearest(word: str, choices: Iterable[str]) -> str:
    """Ask ``did you mean …?`` with the closest choice, or list them if none is close."""
    options = sorted(set(choices))
    close = difflib.get_close_matches(word, options, n=1, cutoff=0.5)
    return f"did you mean {close[0]!r}?" if close else f"one of: {', '.join(options)}"


def Key(unit: str, text: str, *, lane: bool = False, **bounds: Any) -> Any:  # noqa: N802
    """A documented key.  ``lane=True``: it may differ between the lanes of one cohort."""
    return Field(description=text, json_schema_extra={"unit": unit, "lane": lane}, **bounds)


class Section(BaseModel):
    """Base of all sections: unknown keys, wrong types and infinities are errors."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, frozen=True)


# Keys of a recipe that are without effect where nothing is clipped.
CLIP_SCHEDULE = ("clip_epsilon_schedule", "clip_epsilon_end")
# Those that PPO alone reads.
PPOS_OWN = ("value_clip", "max_gradient_norm", *CLIP_SCHEDULE)
# What float32 can hold and divide by.
Positive = Annotated[float, Field(ge=1e-30, le=1e30)]
NotNegative = Annotated[float, Field(ge=0, le=1e30)]
# Columns of env steps are int32; a thousand passes over a batch is a slip of the finger.
MOST_ENV_STEPS = 2**31 - 1
MOST_PASSES = 1000


def lane_keys(model: type[BaseModel]) -> list[str]:
    """Keys of a section that may differ between the lanes of one cohort."""
    return [key for key, field in model.model_fields.items() if field_note(field)["lane"]]


def lane_numbers(section: Section) -> dict[str, float]:
    """Values of a section's lane-wise keys; null is infinity."""
    values = {key: getattr(section, key) for key in lane_keys(type(section))}
    return {key: math.inf if value is None else value for key, value in values.items()}


SomeSection = TypeVar("SomeSection", bound=Section)


class Shared(Generic[SomeSection]):
    """The settings that the lanes of a cohort share: the section of any of them.

    What may differ between lanes cannot be read here: the first lane's ε is not every lane's.
    """

    def __init__(self, section: SomeSection) -> None:
        self._section = section
        self._lane_wise = frozenset(lane_keys(type(section)))

    def __getattr__(self, key: str) -> Any:
        """A key of the section.

        Raises:
            AttributeError: it may differ between lanes.

        """
        if key in self._lane_wise:
            raise AttributeError(f"{key} may differ between lanes: it is a lane-wise value")
        return getattr(self._section, key)


class EnvSettings(Section):
    """Which environment, and how it is made."""

    id: str = Key("gymnasium id", "environment")
    kwargs: dict[str, bool | int | float | str] = Key("–", "passed to gymnasium.make")

    @model_validator(mode="after")
    def _can_be_trained_on(self) -> "EnvSettings":
        # Some modes open a window, and end the process on a machine without a screen.
        if "render_mode" in self.kwargs:
            raise ValueError("env.kwargs.render_mode: training shows no pictures; leave it out")
        # Gymnasium takes a negative number without a word, and steps for hours with 10^9.
        frames = self.kwargs.get("frame_skip", 1)
        if isinstance(frames, str) or not 1 <= frames <= MOST_PASSES:
            raise ValueError(f"env.kwargs.frame_skip: it must be 1 to {MOST_PASSES}")
        return self

    @property
    def file_name(self) -> str:
        """The id as a part of names of files: lower case, ``_`` for all but letters and digits."""
        return "".join(c if c.isalnum() else "_" for c in self.id.lower())


class Algorithm(Section):
    """Base of the algorithms' settings: the keys that all have, and what other modules ask."""

    name: str
    num_steps: int = Key("env steps", "rollout length, one update each", ge=2, le=MOST_ENV_STEPS)
    hidden_sizes: tuple[Annotated[int, Field(ge=1)], ...] = Key(
        "units",
        "hidden tanh layers of policy and value network",
        min_length=1,
        max_length=100,
        strict=False,
    )
    gamma: float = Key("per env step", "discount", lane=True, gt=0, le=1)
    gae_lambda: float = Key("–", "λ of generalised advantage estimation", lane=True, ge=0, le=1)

    @property
    def samples_at_once(self) -> int:
        """Samples of a minibatch; ``num_steps`` is a multiple of it."""
        return self.num_steps

    @property
    def initial_kl_beta(self) -> float:
        """β of a KL penalty before the first update; 0: no penalty."""
        return 0.0

    @property
    def own_objective(self) -> str | None:
        """The name of an objective of one's own, which the lanes of a cohort share."""
        return None

    def lane_values(self) -> dict[str, float]:
        """The lane-wise keys as numbers, "off" (null) as infinity."""
        return lane_numbers(self)

    def without_effect(self) -> tuple[list[str], list[str]]:
        """Keys of the algorithm, and keys of the recipe, that make no difference here.

        They are no part of a run's identity.  An algorithm of one's own may read all of them, but
        for those that other keys of the recipe switch off.
        """
        return [], []


Objective = Literal["clip", "none", "fixed_kl", "adaptive_kl", "spo", "clip_higher"]
UNCLIPPED = ("none", "fixed_kl", "adaptive_kl")
"""Objectives without a use for ε."""
BUILT_IN = ("clip", *UNCLIPPED)
"""Objectives that may share a cohort, since they are one formula: ε = ∞ in it where nothing is
clipped, β = 0 without a penalty.  Any other name is one of
``replicate.maths.objectives.SURROGATES``."""


class PPOSettings(Algorithm):
    """Proximal policy optimisation."""

    name: Literal["ppo"]
    objective: Objective = Key("–", " | ".join(get_args(Objective)), lane=True)
    clip_epsilon: Positive = Key("ratio", "ε of the clip, and of clip_fraction", lane=True)
    bound: Literal["min", "max", "clipped"] = Key(
        "–", "min is PPO; max, and the clipped term alone, are ablations (claim C3)"
    )
    kl_beta: Positive = Key("–", "β of the KL penalty (its start, if adaptive)", lane=True)
    kl_target: Positive = Key("nats", "d_targ of adaptive_kl", lane=True)
    learning_rate: Positive = Key("–", "Adam step size of the policy", lane=True)
    value_learning_rate: Positive | None = Key(
        "–", "Adam step size of the value function; null: learning_rate", lane=True, default=None
    )
    update_epochs: int = Key("passes", "passes over a batch", ge=1, le=MOST_PASSES)
    minibatch_size: int = Key("samples", "divides num_steps", ge=2)
    value_coefficient: NotNegative = Key("–", "weight of the value loss", lane=True)
    entropy_coefficient: NotNegative = Key("–", "weight of the entropy bonus", lane=True)
    target_kl: Positive | None = Key(
        "nats", "early stop of a batch's epochs; null: none", lane=True
    )
    target_kl_factor: Positive = Key("–", "stop above factor × target_kl")
    target_kl_estimator: Literal["exact", "k1", "k3"] = Key("–", "which KL is compared")
    target_kl_check: Literal["batch_each_epoch", "last_minibatch_each_epoch", "each_minibatch"] = (
        Key("–", "where and when it is measured")
    )
    target_kl_stops: Literal["policy", "policy_and_value"] = Key("–", "what an early stop stops")

    @model_validator(mode="after")
    def _minibatches(self) -> "PPOSettings":
        _check_divides(self.minibatch_size, self.num_steps, "algo.minibatch_size")
        return self

    @property
    def own_objective(self) -> str | None:
        """What ``objective`` names, unless it is built in."""
        return None if self.objective in BUILT_IN else self.objective

    @property
    def samples_at_once(self) -> int:
        """Samples of a minibatch."""
        return self.minibatch_size

    @property
    def initial_kl_beta(self) -> float:
        """β before the first update; 0 where the objective has no penalty."""
        return self.kl_beta if self.objective in ("fixed_kl", "adaptive_kl") else 0.0

    def lane_values(self) -> dict[str, float]:
        """The lane-wise keys: ε = ∞ where nothing is clipped, d_targ = NaN where β is fixed.

        A value function without a step size of its own has its policy's.
        """
        numbers = lane_numbers(self)
        del numbers["objective"]  # no number: it is told by ε, β and d_targ
        del numbers["kl_beta"]  # changes in training: it is part of the learner
        if self.objective in UNCLIPPED:
            numbers["clip_epsilon"] = math.inf
        if self.objective != "adaptive_kl":
            numbers["kl_target"] = math.nan
        if self.value_learning_rate is None:
            numbers["value_learning_rate"] = self.learning_rate
        return numbers

    def without_effect(self) -> tuple[list[str], list[str]]:
        """Keys that the objective makes no use of, and those of an early stop if there is none."""
        keys = {
            "clip": ["kl_beta", "kl_target"],
            "none": ["clip_epsilon", "bound", "kl_beta", "kl_target"],
            "fixed_kl": ["clip_epsilon", "bound", "kl_target"],
            "adaptive_kl": ["clip_epsilon", "bound"],
        }.get(self.objective, ["bound", "kl_beta", "kl_target"])
        if self.target_kl is None:
            keys += [f"target_kl_{part}" for part in ("factor", "estimator", "check", "stops")]
        return keys, [*CLIP_SCHEDULE] if self.objective in UNCLIPPED else []


class ValueFit(Algorithm):
    """A value function fitted by itself (vpg, trpo)."""

    value_learning_rate: Positive = Key("–", "Adam step size of the value function", lane=True)
    value_epochs: int = Key("passes", "passes of the value fit over a batch", ge=0, le=MOST_PASSES)
    value_minibatch_size: int = Key("samples", "divides num_steps", ge=2)

    @model_validator(mode="after")
    def _minibatches(self) -> "ValueFit":
        _check_divides(self.value_minibatch_size, self.num_steps, "algo.value_minibatch_size")
        return self

    @property
    def samples_at_once(self) -> int:
        """Samples of a minibatch of the value fit."""
        return self.value_minibatch_size


class VPGSettings(ValueFit):
    """Naive policy gradient: one gradient step per batch."""

    name: Literal["vpg"]
    learning_rate: Positive = Key("–", "Adam step size of the policy", lane=True)

    def without_effect(self) -> tuple[list[str], list[str]]:
        """Keys of the recipe that PPO alone reads."""
        return [], [*PPOS_OWN]


class TRPOSettings(ValueFit):
    """Trust region policy optimisation."""

    name: Literal["trpo"]
    max_kl: Positive = Key("nats", "δ, radius of the trust region", lane=True)
    accept_kl_factor: Positive = Key("–", "a step is accepted up to factor × max_kl", lane=True)
    cg_iterations: int = Key("products", "conjugate gradient iterations", ge=1, le=MOST_PASSES)
    cg_residual_tolerance: NotNegative = Key("–", "stop at this squared residual")
    damping: NotNegative = Key("–", "added to the Fisher matrix, times identity", lane=True)
    fisher_stride: int = Key("samples", "every n-th sample makes the Fisher matrix", ge=1)
    backtrack_shrink: float = Key("–", "factor of the line search", gt=0, lt=1)
    max_backtracks: int = Key("–", "trials of the line search", ge=1, le=MOST_PASSES)

    def without_effect(self) -> tuple[list[str], list[str]]:
        """Keys of the recipe that PPO alone reads."""
        return [], [*PPOS_OWN]


def _check_divides(part: int, whole: int, key: str) -> None:
    if whole % part:
        small = [d for d in range(1, math.isqrt(whole) + 1) if whole % d == 0]
        divisors = {*small, *(whole // d for d in small)} - {1}
        close = min(divisors, key=lambda d: (abs(d - part), d))
        raise ValueError(
            f"{key}: {part} does not divide num_steps = {whole}; nearest that does: {close}"
        )


class RecipeSettings(Section):
    """Code-level details."""

    name: str = Key("–", "label; not part of a run's identity")
    observation_filter: Literal[
        "none", "per_batch_before_update", "per_batch_after_update", "per_step"
    ] = Key("–", "when the running moments of observations move")
    observation_clip: Positive = Key("std", "filtered observations are clipped to ±")
    observation_variance_floor: NotNegative = Key("–", "least variance of the filter")
    observation_prior_count: Positive = Key("samples", "weight of the N(0, 1) prior of the moments")
    reward_scaling: bool = Key("–", "divide rewards by the running std of the discounted return")
    reward_clip: Positive | None = Key("std", "scaled rewards are clipped to ±; null: not")
    norm_epsilon: NotNegative = Key("–", "added to variances of filter and reward scaling")
    advantage_normalization: Literal["none", "batch", "minibatch"] = Key("–", "standardised over")
    advantage_std: Literal["population", "sample"] = Key("–", "which standard deviation")
    advantage_epsilon: NotNegative = Key("–", "added to that standard deviation")
    initialisation: Literal["normc", "orthogonal"] = Key("–", "weights")
    hidden_gain: Positive = Key("–", "gain of hidden layers")
    policy_gain: Positive = Key("–", "gain of the policy's last layer")
    value_gain: Positive = Key("–", "gain of the value function's last layer")
    log_std_init: Annotated[float, Field(ge=-1e30, le=1e30)] = Key(
        "log action", "initial log standard deviation"
    )
    adam_epsilon: Positive = Key("–", "ε of Adam")
    learning_rate_schedule: Literal["constant", "linear"] = Key("–", "all step sizes; linear: to 0")
    clip_epsilon_schedule: Literal["constant", "linear"] = Key(
        "–", "ε of PPO; linear: to clip_epsilon_end"
    )
    clip_epsilon_end: NotNegative = Key("ratio", "where a linear ε ends", lane=True, default=0.0)
    max_gradient_norm: Positive | None = Key(
        "–", "ppo: global norm over policy and value together; null: not clipped", lane=True
    )
    value_clip: bool = Key("–", "ppo: clip the value loss to ±ε around the old value")
    clip_actions: bool = Key("–", "clip actions to the box before env.step")
    bootstrap_truncated: bool = Key("–", "false: a time limit counts as terminal")


class ChangeSettings(Section):
    """What changes in the middle of a run: physics, values of the algorithm, or both."""

    at_share: float = Key("share", "of the run's updates that are made before it", ge=0, lt=1)
    gravity: Positive = Key("factor", "on gravity, to the end (MuJoCo)", default=1.0)
    friction: Positive = Key("factor", "on all friction, to the end (MuJoCo)", default=1.0)
    mass: Positive = Key("factor", "on all masses and inertias, to the end (MuJoCo)", default=1.0)
    algo: dict[str, float] = Key("–", "lane-wise keys of the algorithm: new values", default={})
    updates: int | None = Key(
        "updates", "how many have these values; null: to the end", ge=1, default=None
    )

    def first_update(self, num_updates: int) -> int:
        """Number of the first update after it, in a run of so many."""
        return math.floor(self.at_share * num_updates + 1e-9)  # 0.29 of 100 are 28.999…

    def covers(self, update: int, num_updates: int) -> bool:
        """Whether an update has the values of ``algo``."""
        after = update - self.first_update(num_updates)
        return after >= 0 and (self.updates is None or after < self.updates)

    @property
    def of_physics(self) -> bool:
        """Whether the environment becomes another."""
        return (self.gravity, self.friction, self.mass) != (1.0, 1.0, 1.0)


def _check_change(change: ChangeSettings, algo: Algorithm) -> None:
    if change.updates is not None and not change.algo:
        raise ValueError("change.updates: how long the values of change.algo last; it has none")
    if not (change.of_physics or change.algo):
        raise ValueError(
            "change.at_share: nothing changes there; give change.gravity, mass, … or algo.KEY"
        )
    known = set(algo.lane_values())
    for key in change.algo:
        if key not in known:
            raise ValueError(f"change.algo.{key}: no value of a lane; {nearest(key, known)}")
    try:
        changed = type(algo).model_validate({**algo.model_dump(), **change.algo})
    except ValidationError as error:
        raise ValueError(f"change.algo.{_one_line(error, type(algo), change.algo)}") from None
    for key in changed.without_effect()[0]:
        if key in change.algo:
            raise ValueError(f"change.algo.{key}: the rest of algo.* makes no use of it")


ALGORITHMS: dict[str, type[Algorithm]] = {
    "ppo": PPOSettings,
    "vpg": VPGSettings,
    "trpo": TRPOSettings,
}
"""The table of algorithms: name → settings.  Its update is ``replicate.algorithms.<name>.update``,
its values are in ``conf/algo/<name>.yaml``."""

if TYPE_CHECKING:
    AlgoSettings = Algorithm
else:
    AlgoSettings = Annotated[reduce(or_, ALGORITHMS.values()), Field(discriminator="name")]


class RunSettings(Section):
    """One run: what is trained, and nothing of where or how fast."""

    env: EnvSettings
    algo: AlgoSettings
    recipe: RecipeSettings
    seed: int = Key("–", "seed of all random streams of the run", ge=0, lt=2**31)
    total_env_steps: int = Key("env steps", "length; whole updates only", ge=1, le=MOST_ENV_STEPS)
    change: ChangeSettings | None = Key("–", "in mid-run; null: none", default=None)

    @model_validator(mode="after")
    def _consistent(self) -> "RunSettings":
        if self.total_env_steps < self.algo.num_steps:
            raise ValueError(
                f"total_env_steps: {self.total_env_steps} is less than one update; "
                f"nearest valid: {self.algo.num_steps} (algo.num_steps)"
            )
        if self.change is not None:
            _check_change(self.change, self.algo)
        return self

    @property
    def num_updates(self) -> int:
        """Whole updates that fit into ``total_env_steps``."""
        return self.total_env_steps // self.algo.num_steps

    @property
    def env_steps(self) -> int:
        """Env steps of the whole updates."""
        return self.num_updates * self.algo.num_steps

    @property
    def first_changed_update(self) -> int:
        """Number of the first update after the change; without one, that of no update."""
        if self.change is None:
            return self.num_updates
        return self.change.first_update(self.num_updates)

    def is_changed(self, update: int) -> bool:
        """Whether an update has the algorithm's values of the change."""
        return self.change is not None and self.change.covers(update, self.num_updates)

    def canonical(self) -> dict[str, Any]:
        """What the run depends on: labels and keys without effect left out."""
        data = self.model_dump(mode="json", exclude_defaults=True)
        data["recipe"].pop("name")
        data["total_env_steps"] = self.env_steps
        of_algo, of_recipe = self.algo.without_effect()
        if self.change is not None:  # it may give some of them an effect
            still = self.algo.model_copy(update=self.change.algo).without_effect()[0]
            of_algo = [key for key in of_algo if key in still]
        for section, keys in (
            ("algo", of_algo),
            ("recipe", [*of_recipe, *_switched_off(self.recipe)]),
        ):
            for key in keys:
                data[section].pop(key, None)
        if self._has_one_step_size:
            data["algo"].pop("value_learning_rate", None)
        return data

    @property
    def _has_one_step_size(self) -> bool:
        """Whether PPO's ``value_learning_rate`` says what null says, before a change and after."""
        if not isinstance(self.algo, PPOSettings) or self.algo.value_learning_rate is None:
            return False
        null = self.algo.model_copy(update={"value_learning_rate": None})
        other = self.model_copy(update={"algo": null})
        key = "value_learning_rate"
        return all(
            self.lane_values(changed)[key] == other.lane_values(changed)[key]
            for changed in (False, True)
        )

    @property
    def digest(self) -> str:
        """SHA-256 of the canonical form, hexadecimal."""
        return digest_of(self.canonical())

    @property
    def run_id(self) -> str:
        """A folder name: environment, algorithm and seed for people, the digest for identity."""
        return f"{self.env.file_name}-{self.algo.name}-s{self.seed}-{self.digest[:12]}"

    def cohort_key(self) -> str:
        """Runs with equal keys can train as lanes of one cohort."""
        data = self.model_dump(mode="json")
        data.pop("seed")
        data["recipe"].pop("name")
        data["total_env_steps"] = self.num_updates
        data["own_objective"] = self.algo.own_objective
        for section, model in (("algo", type(self.algo)), ("recipe", RecipeSettings)):
            for key in lane_keys(model):
                data[section].pop(key)
        if data["change"]:
            data["change"].pop("algo")
        return json.dumps(data, sort_keys=True)

    def lane_values(self, changed: bool = False) -> dict[str, float]:
        """All that may differ between the lanes of a cohort, as numbers.

        Args:
            changed: as they are after the change.

        """
        algo = self.algo
        if changed and self.change is not None:
            algo = algo.model_copy(update=self.change.algo)
        return {**algo.lane_values(), **lane_numbers(self.recipe)}


class ExecutionSettings(Section):
    """Where and on what a run is trained; no part of its identity."""

    out: str = Key("folder", "a run's files are OUT/<run id>/", min_length=1)
    device: Literal["cpu", "cuda"] = Key("–", "of networks and batches; environments use the CPU")
    threads: Annotated[int, Field(ge=1, le=1024)] | None = Key(
        "–", "of the physics; null: all cores for a cohort alone, 1 beside others"
    )
    checkpoint_every_updates: int = Key(
        "updates", "what an interruption costs at most; kept in OUT/checkpoints/", ge=1
    )
    logger: Literal["none", "wandb"] = Key(
        "–", "wandb: a mirror in OUT/wandb/, offline unless WANDB_MODE=online"
    )


def _switched_off(recipe: RecipeSettings) -> list[str]:
    """Keys of a recipe that other keys of it switch off."""
    unused = []
    if recipe.clip_epsilon_schedule == "constant":
        unused += ["clip_epsilon_end"]
    if recipe.observation_filter == "none":
        unused += ["observation_clip", "observation_variance_floor"]
    if not recipe.reward_scaling:
        unused += ["reward_clip"]
    if recipe.observation_filter == "none" and not recipe.reward_scaling:
        unused += ["norm_epsilon", "observation_prior_count"]
    if recipe.advantage_normalization == "none":
        unused += ["advantage_std", "advantage_epsilon"]
    return unused


def digest_of(data: Any) -> str:
    """SHA-256 of canonical JSON, hexadecimal."""
    text = json.dumps(data, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def field_note(field: Any) -> dict[str, Any]:
    """Unit and lane flag of a pydantic field."""
    extra = field.json_schema_extra
    return {"unit": "–", "lane": False, **(extra if isinstance(extra, dict) else {})}


def documented_keys(algo: str) -> Iterator[tuple[str, str, str]]:
    """(dotted key, unit, meaning) of every key of a run of ``algo``."""
    sections: list[tuple[str, type[BaseModel]]] = [
        ("env.", EnvSettings),
        ("algo.", ALGORITHMS[algo]),
        ("recipe.", RecipeSettings),
        ("change.", ChangeSettings),
        ("", RunSettings),
        ("", ExecutionSettings),
    ]
    for prefix, model in sections:
        for key, field in model.model_fields.items():
            if field.description:
                yield f"{prefix}{key}", field_note(field)["unit"], field.description


Checked = TypeVar("Checked", bound=Section)


def validated(model: type[Checked], data: dict[str, Any]) -> Checked:
    """Data as settings, checked.

    Raises:
        ConfigError: one line with what is wrong, where, and the nearest valid choice.

    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise ConfigError(_one_line(error, model, data)) from None


def _one_line(error: ValidationError, model: type[BaseModel], data: dict[str, Any]) -> str:
    # A mistyped key makes two errors, unknown and missing; the unknown one explains more.
    errors = error.errors()
    first = next((e for e in errors if e["type"] == "extra_forbidden"), errors[0])
    path = _path(first["loc"])
    key, kind, context = ".".join(path), first["type"], first.get("ctx", {})
    if path[-2:-1] == ["kwargs"]:
        return f"{key}: {first['input']!r} is not valid; it must be a number, true, false or text"
    if kind == "extra_forbidden":
        if model is RunSettings:
            section = data.get("algo")
            algo = str(section.get("name")) if isinstance(section, dict) else ""
            known = [name for name, _, _ in documented_keys(algo if algo in ALGORITHMS else "ppo")]
        else:
            parent = ".".join(path[:-1]) + "." if path[1:] else ""
            known = [
                parent + name
                for part in (model, *Section.__subclasses__())
                if part.__module__ == model.__module__
                for name in part.model_fields
            ]
        return f"{key}: unknown key; {nearest(key, known)}"
    if kind == "literal_error":
        choices = [c.strip(" '") for c in context["expected"].replace(" or ", ",").split(",")]
        return f"{key}: {first['input']!r} is not a choice; {nearest(str(first['input']), choices)}"
    if kind == "union_tag_invalid":
        tag = context["tag"]
        return f"{key}.name: unknown algorithm {tag!r}; {nearest(tag, ALGORITHMS)}"
    if kind == "union_tag_not_found":
        return f"{key}: no mapping with a name; algo.name is {nearest('', ALGORITHMS)}"
    if kind == "value_error":
        return str(context["error"])
    if kind in BOUNDS:
        limit = next(iter(context.values()))
        return f"{key}: {first['input']!r} is out of range; it must be {BOUNDS[kind]} {limit}"
    if kind == "missing":
        return f"{key}: missing"
    message = first["msg"].replace("Input should be", "it must be")
    return f"{key}: {first['input']!r} is not valid; {message}"


def _path(places: tuple[int | str, ...]) -> list[str]:
    """The keys that lead to an error, without the branches of unions that pydantic puts there."""
    path = [str(part) for part in places]
    if "kwargs" in path:
        return path[: path.index("kwargs") + 2]
    before = ["", *path]
    return [part for i, part in enumerate(path) if before[i] != "algo" or part not in ALGORITHMS]


BOUNDS = {
    "greater_than": "greater than",
    "greater_than_equal": "at least",
    "less_than": "less than",
    "less_than_equal": "at most",
}
