"""Claim T2: what one update costs against the number of the policy's parameters.

python -m replicate.probes.update_cost OUT.csv [MANIFEST]

Time, memory and floating-point operations of PPO's and TRPO's own updates, one lane on a made-up
batch of Hopper's shapes, and of an explicit Fisher matrix.  Minutes, 9 GB of memory, and a machine
with nothing else to do: the core share that it says at the end is then 1.

A lane that is alone is computed beside a copy of itself (``networks.lane_matmul``): what PPO and
TRPO cost here is up to twice what one of many lanes costs; ratios and exponents are the same.  The
explicit matrix has a lane for each state and no copies.
"""

import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from replicate import probes
from replicate.algorithms.learner import Batch, Learner, distribution_on, values_on
from replicate.engine.cohort import lane_values, update_algorithm
from replicate.engine.state import CohortState
from replicate.maths.distributions import Distribution
from replicate.maths.returns import standardise
from replicate.messages import say
from replicate.networks import Policy
from replicate.planning.composition import compose
from replicate.probes.update_anatomy import copied
from replicate.settings import RunSettings

HIDDEN = (25, 64, 93, 165, 309, 555, 1000)
"""Units of each of two hidden layers h: 1e3 to 1e6 parameters, (D+1)h + h(h+1) + (h+1)A + A."""
FISHER_HIDDEN = (25, 64, 93, 113, 137, 165, 200, 309)
"""Of the explicit matrix: five sizes from 1e4 parameters to the limit, and one beyond it."""
METHODS = {
    "ppo_pass": ("algo=ppo", "algo.update_epochs=1"),
    "ppo": ("algo=ppo",),
    "trpo": ("algo=trpo",),
    "trpo_step": ("algo=trpo", "algo.value_epochs=0"),
}
"""One pass of PPO over the batch, a whole update, TRPO's, and TRPO's without its value fit."""
FISHER = "explicit_fisher"
SAMPLES = 2048
FISHER_SAMPLES = 8
"""States that the explicit matrix is summed over here, and at a time.

With more of them its memory is the same, and its time longer in proportion, but for the time that
laying out the matrix takes."""
MEMORY_LIMIT = 8_000_000_000
"""Bytes of an explicit matrix: a larger one is not built."""
REPEATS = 5
COLUMNS = [
    "method",
    "hidden",
    "parameters",
    "samples",
    "repeat",
    "seconds",
    "peak_bytes",
    "flops",
]


@dataclass(frozen=True)
class Case:
    """A method at a size.

    Args:
        parameters: of the policy.
        work: one update from the same start, which it leaves as it was.

    """

    method: str
    hidden: int
    parameters: int
    samples: int
    work: Callable[[], object]

    @property
    def fits(self) -> bool:
        """Whether an explicit matrix of float32 stays within the limit."""
        return self.method != FISHER or 4 * self.parameters**2 <= MEMORY_LIMIT

    @property
    def row(self) -> list[object]:
        """The first of ``COLUMNS``."""
        return [self.method, self.hidden, self.parameters, self.samples]


def made_up_batch(learner: Learner, samples: int) -> Batch:
    """A batch ``[1, samples, …]`` of one lane with normal observations, advantages and errors."""
    generator = torch.Generator().manual_seed(0)

    def normal(*shape: int) -> Tensor:
        return torch.randn(1, samples, *shape, generator=generator)

    policy, value = learner.policy, learner.value_function
    observations = normal(policy.network.sizes[0])
    old = distribution_on(policy, learner.policy_state.parameters, observations)
    actions = old.sample(normal(policy.num_actions))
    values = values_on(value, learner.value_state.parameters, observations)
    return Batch(
        observations=observations,
        actions=actions,
        old=old,
        old_log_prob=old.log_prob(actions),
        advantages=standardise(normal(), 0.0),
        value_targets=values + normal(),
        old_values=values,
    )


def fresh(hidden: int, overrides: tuple[str, ...]) -> tuple[RunSettings, Learner]:
    """A run on Hopper and its learner before the first update."""
    sizes = f"algo.hidden_sizes=[{hidden},{hidden}]"
    (run,) = compose("env=hopper", "recipe=paper2017", *overrides, sizes).runs
    state = CohortState.fresh([run], "cpu")
    state.envs.close()
    return run, state.learner


def update_case(method: str, hidden: int, samples: int = SAMPLES) -> Case:
    """The algorithm's own ``update`` of a copy of the learner; making the copy is part of it."""
    run, learner = fresh(hidden, METHODS[method])
    batch, lane = made_up_batch(learner, samples), lane_values([run], "cpu")

    def work() -> object:
        return update_algorithm(copied(learner), batch, run, lane)

    return Case(method, hidden, learner.policy.num_parameters, samples, work)


def fisher_case(hidden: int, samples: int = FISHER_SAMPLES) -> Case:
    """:func:`explicit_fisher` of TRPO's policy on a few states."""
    _, learner = fresh(hidden, METHODS["trpo"])
    policy, parameters = learner.policy, learner.policy_state.parameters
    observations = made_up_batch(learner, samples).observations
    return Case(
        FISHER,
        hidden,
        policy.num_parameters,
        samples,
        lambda: explicit_fisher(policy, parameters, observations),
    )


def explicit_fisher(policy: Policy, parameters: Tensor, observations: Tensor) -> Tensor:
    """F = mean over states of Jᵀ M J, ``[P, P]``: what TRPO multiplies with, as a matrix.

    J is the Jacobian of the distribution's parameters in the policy's, M the Fisher matrix of the
    former: each output i of the policy adds (Jᵀ M e_i)(Jᵀ e_i)ᵀ of each state.  For the engine's
    ``pullback``, which sums over a lane's samples, each state is a lane of its own.

    Args:
        parameters: ``[1, P]``.
        observations: ``[1, B, D]``.

    """
    states = observations[0, :, None]
    total = parameters.new_zeros(parameters.shape[1], parameters.shape[1])
    for chunk in torch.split(states, FISHER_SAMPLES):
        copies = parameters.repeat(len(chunk), 1)
        distribution, activations = policy.forward(copies, chunk)
        weighted, plain = [], []
        for unit in unit_vectors(distribution):
            weighted.append(policy.pullback(copies, activations, distribution.fisher(*unit)))
            plain.append(policy.pullback(copies, activations, unit))
        # In place, but not as addmm_, whose operations torch does not count.
        torch.addmm(total, torch.cat(weighted).mT, torch.cat(plain), out=total)
    return total.div_(len(states))


def unit_vectors(distribution: Distribution) -> Iterator[tuple[Tensor, ...]]:
    """e_i for each entry i of the distribution's parameters, ``[R, 1, A]`` each, in every lane."""
    for index, parameter in enumerate(distribution.parameters):
        for entry in range(parameter.shape[-1]):
            unit = tuple(torch.zeros_like(each) for each in distribution.parameters)
            unit[index][..., entry] = 1.0
            yield unit


def peak_and_flops(work: Callable[[], object]) -> tuple[int, int]:
    """Bytes that the work holds at most beyond what was there before, and its operations.

    Every allocation of torch's CPU allocator tells the profiler its size, and so does every
    release: the largest running sum is exact to the byte and the same on every machine, whatever
    the process holds besides or the C library keeps for later.  What BLAS takes for itself and what
    Python needs are not in it.  Operations are torch's own count, two for each multiplication and
    addition of a matrix product as it is called; elementwise work counts nothing.
    """
    with (
        profile(activities=[ProfilerActivity.CPU], profile_memory=True) as recorded,
        FlopCounterMode(display=False) as counter,
    ):
        work()
    assert recorded.profiler is not None and recorded.profiler.kineto_results is not None
    events = [
        (event.start_ns(), event.nbytes())
        for event in recorded.profiler.kineto_results.events()
        if event.name() == "[memory]"
    ]
    held = peak = 0
    for _, size in sorted(events, key=lambda event: event[0]):
        held += size
        peak = max(peak, held)
    return peak, int(counter.get_total_flops())


def measured(cases: list[Case], repeats: int = REPEATS) -> Iterator[list[object]]:
    """Rows of ``COLUMNS``: one for each timed update; cases take turns.

    ``seconds`` of wall time; ``peak_bytes`` and ``flops`` of :func:`peak_and_flops`, counted in a
    run of its own, which also warms up.  A case that does not fit has one row without numbers.
    """
    counted = {}
    for case in cases:
        what = f"{case.method}: {case.parameters:,} parameters"
        if case.fits:
            peak, flops = counted[case.method, case.hidden] = peak_and_flops(case.work)
            say(f"{what}, {peak / 1e6:,.1f} MB, {flops / 1e9:,.2f} GFLOP")
        else:
            say(f"{what} would take {4 * case.parameters**2 / 1e9:.1f} GB: not built")
            yield [*case.row, "", "", "", ""]
    wall, busy = time.perf_counter(), time.process_time()
    for repeat in range(repeats):
        for case in cases:
            if case.fits:
                begin = time.perf_counter()
                case.work()
                seconds = time.perf_counter() - begin
                numbers = counted[case.method, case.hidden]
                yield [*case.row, repeat, f"{seconds:.6g}", *numbers]
    share = (time.process_time() - busy) / (time.perf_counter() - wall)
    say(f"core share {share:.2f} (1: nothing else ran there)")


@torch.no_grad()
def update_cost() -> list[list[object]]:
    """Rows of every method at every size, on one thread."""
    torch.set_num_threads(1)
    cases = [update_case(method, hidden) for hidden in HIDDEN for method in METHODS]
    return list(measured([*cases, *map(fisher_case, FISHER_HIDDEN)]))


def main(arguments: list[str]) -> int:
    """The command line."""
    return probes.main("update_cost", COLUMNS, update_cost, arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
