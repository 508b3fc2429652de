"""Objectives of one's own: their slope, and their check on a made-up batch of three lanes.

What one returns is given to autograd and summed over lanes and samples.  A function that returns a
mean, takes another lane into account or changes what it is given would train, and be wrong.
"""

import traceback

import torch
from torch import Tensor

from replicate.algorithms.learner import gradients
from replicate.maths.objectives import SURROGATES, Surrogate
from replicate.messages import ConfigError
from replicate.settings import BUILT_IN

LANES, SAMPLES = 3, 64
WIDTHS = (0.1, 0.2, 0.3)
LARGEST_LOG_RATIO = 1.0
TOLERANCE = 1e-5
"""Relative difference that equal lanes may have: the CPU may round the last entries of an array,
which fill no vector register, differently."""
LEAST_CORRELATION = 0.1
"""Of slope and advantage at r = 1; it is 1 for r·Â."""
TINY = 1e-30


def slope_in_log_ratio(
    objective: Surrogate, log_ratio: Tensor, advantages: Tensor, clip_epsilon: Tensor
) -> Tensor:
    """∂ objective/∂ log r = r·∂ objective/∂r, ``[R, B]``, by autograd; 0 where that is 0.

    A ratio that float32 cannot hold is infinite: a clip is flat there, and 0·∞ would be NaN.

    Args:
        log_ratio, advantages: ``[R, B]``.
        clip_epsilon: ``[R]``.

    """
    ratio = log_ratio.exp()
    (slope,), _ = gradients(lambda r: objective(r, advantages, clip_epsilon), ratio)
    return torch.where(slope == 0, 0.0, slope * ratio)


def check_objective(name: str) -> None:
    """Refuse an objective that would be silently wrong; built-in ones are not checked.

    It must map ratio ``[R, B]``, advantages ``[R, B]`` and ε ``[R]`` to a float32 ``[R, B]``, with
    values and gradient in the ratio that are finite for ratios between 1/e and e, change none of
    its arguments, give a lane the same beside any other, and have a slope at r = 1 that rises
    with the advantage.

    Raises:
        ConfigError: what is wrong with it, in one line.

    """
    if name in BUILT_IN:
        return
    if name not in SURROGATES:
        raise ConfigError(
            f"algo.objective={name}: a choice without a function; register it as "
            f"SURROGATES[{name!r}] in replicate/maths/objectives.py"
        )
    objective = SURROGATES[name]
    if wrong := _fault(objective):
        called = getattr(objective, "__name__", type(objective).__name__)
        raise ConfigError(f"algo.objective={name}: {called} {wrong}")


def _fault(objective: Surrogate) -> str:
    """What is wrong with an objective; empty: nothing."""
    log_ratio, advantages, epsilon = _made_up()
    ratio = log_ratio.exp()
    given = [ratio.clone(), advantages.clone(), epsilon.clone()]
    try:
        result = objective(*given)
    except Exception as error:
        return _raised(error)
    if wrong := _wrong_result(result):
        return wrong
    for what, before, after in zip(
        ("ratio", "advantages", "clip_epsilon"), (ratio, advantages, epsilon), given, strict=True
    ):
        if not torch.equal(before, after):
            return f"changes its argument {what} in place; work on a copy"
    try:
        slope = slope_in_log_ratio(objective, log_ratio, advantages, epsilon)
    except RuntimeError:
        return "does not depend on the ratio in a way that autograd sees (detached, or without it?)"
    if not slope.isfinite().all():
        return "has a gradient in the ratio that is not finite"
    for lane in range(LANES):
        alone = [part[lane : lane + 1] for part in (log_ratio, advantages, epsilon)]
        apart = objective(alone[0].exp(), *alone[1:])
        for what, beside, single in (
            ("value", result[lane], apart[0]),
            ("gradient", slope[lane], slope_in_log_ratio(objective, *alone)[0]),
        ):
            if not torch.allclose(beside, single, rtol=TOLERANCE, atol=TOLERANCE):
                return (
                    f"mixes lanes: the {what} of lane {lane} is another beside other lanes; only "
                    "the last axis, of a lane's samples, may be reduced"
                )
    at_one = slope_in_log_ratio(objective, torch.zeros_like(log_ratio), advantages, epsilon)
    if not bool((_correlation(at_one, advantages) > LEAST_CORRELATION).all()):
        return (
            "does not make better actions more frequent: at r = 1 its slope must rise with the "
            "advantage (it returns what is to be maximised)"
        )
    return ""


def _correlation(slope: Tensor, advantages: Tensor) -> Tensor:
    """Pearson's, over the samples of each lane, ``[R]``; 0 of a slope that is constant."""
    apart, other = (x - x.mean(1, keepdim=True) for x in (slope, advantages))
    # Of a constant only rounding is left, which is small beside the slope itself.
    length = apart.norm(dim=1) + TOLERANCE * slope.norm(dim=1)
    correlation: Tensor = (apart * other).sum(1) / (length * other.norm(dim=1) + TINY)
    return correlation


def _made_up() -> tuple[Tensor, Tensor, Tensor]:
    """A batch: log r ``[R, B]``, with a 0 in each lane, advantages of both signs, ε ``[R]``."""
    generator = torch.Generator().manual_seed(0)
    log_ratio = 2 * torch.rand(LANES, SAMPLES, generator=generator) - 1
    log_ratio[:, 0] = 0.0
    advantages = torch.randn(LANES, SAMPLES, generator=generator)
    return LARGEST_LOG_RATIO * log_ratio, advantages, torch.tensor(WIDTHS)


def _wrong_result(result: object) -> str:
    if not isinstance(result, Tensor):
        return f"returned a {type(result).__name__}, not a tensor"
    if result.shape != (LANES, SAMPLES):
        return (
            f"returned shape {list(result.shape)} for ratios [{LANES}, {SAMPLES}] (lanes, "
            "samples); it must return a number for each sample"
        )
    if result.dtype != torch.float32:
        return f"returned {result.dtype}, not torch.float32 as its arguments"
    if not result.isfinite().all():
        return "returned numbers that are not finite for ratios between 1/e and e"
    return ""


def _raised(error: Exception) -> str:
    """The exception in one line, with its place."""
    place = traceback.extract_tb(error.__traceback__)[-1]
    first = (str(error).strip().splitlines() or ["no message"])[0]
    return f"raised {type(error).__name__}: {first} ({place.filename}:{place.lineno})"
