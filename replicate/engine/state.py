"""The whole training state of a cohort, in one place.

All that training changes is in here or follows from it and the settings: networks, optimisers,
filters, β, generators, and each environment as (episode, actions since its reset).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from replicate.algorithms.learner import Learner, Trained
from replicate.engine.seeding import generator
from replicate.envs import Envs, make_envs
from replicate.maths.lanes import named_tensors
from replicate.maths.moments import RunningMoments
from replicate.messages import ReplayError
from replicate.networks import make_networks
from replicate.settings import RunSettings


@dataclass
class Filters:
    """Running statistics of the observations and of the discounted return.

    Args:
        observation_moments: over ``[R, D]``.
        return_moments: over ``[R, 1]``.
        discounted_return: ``[R, 1]`` float64, of the running episode (reward scaling).
        observations: ``[R, D]``, the current observations as the policy sees them.

    """

    observation_moments: RunningMoments
    return_moments: RunningMoments
    discounted_return: Tensor
    observations: Tensor


@dataclass
class CohortState:
    """Everything that training changes.

    Args:
        alive: ``[R]`` bool; a diverged lane is not.
        update: updates done.

    """

    learner: Learner
    filters: Filters
    envs: Envs
    alive: Tensor
    update: int = 0

    @staticmethod
    def fresh(runs: list[RunSettings], device: str, threads: int = 1) -> "CohortState":
        """State before the first step; every lane from its own seed alone."""
        first = runs[0]
        recipe = first.recipe
        envs = make_envs(first.env, [run.seed for run in runs], threads)
        spec, lanes = envs.spec, len(runs)
        policy, value = make_networks(
            spec.observation_size, spec.num_actions, spec.continuous, first.algo.hidden_sizes
        )
        policies, value_functions = [], []
        for run in runs:
            g = generator(run.seed, "initialisation")
            policies.append(
                policy.initialise(
                    g,
                    recipe.initialisation,
                    recipe.hidden_gain,
                    recipe.policy_gain,
                    recipe.log_std_init,
                )
            )
            value_functions.append(
                value.network.initialise(
                    g, recipe.initialisation, recipe.hidden_gain, recipe.value_gain
                )
            )
        learner = Learner(
            policy,
            value,
            Trained.fresh(torch.stack(policies).to(device)),
            Trained.fresh(torch.stack(value_functions).to(device)),
            torch.tensor([run.algo.initial_kl_beta for run in runs], device=device),
            [generator(run.seed, "training") for run in runs],
        )
        size, prior = spec.observation_size, recipe.observation_prior_count
        filters = Filters(
            RunningMoments.prior(lanes, size, prior, device),
            RunningMoments.prior(lanes, 1, prior, device),
            torch.zeros(lanes, 1, dtype=torch.float64, device=device),
            torch.zeros(lanes, size, device=device),
        )
        return CohortState(learner, filters, envs, torch.ones(lanes, dtype=torch.bool))

    def tensors(self) -> dict[str, Tensor]:
        """All of it as named tensors, lanes first: what a checkpoint stores."""
        by_name = {name: owner[key] for name, owner, key in named_tensors(self)}
        by_name["update"] = torch.tensor([self.update])
        by_name["generators"] = torch.stack([g.get_state() for g in self.learner.generators])
        by_name["episodes"] = torch.from_numpy(self.envs.episodes)
        # Where a replay of the actions must lead.
        by_name["raw_observations"] = torch.from_numpy(self.envs.observations)
        by_name["episodic_returns"] = torch.from_numpy(self.envs.episodic_returns)
        for lane in range(len(self.envs.seeds)):
            by_name[f"actions.{lane}"] = torch.from_numpy(self.envs.actions_of(lane))
        return {name: tensor.clone() for name, tensor in by_name.items()}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Take over the state that ``tensors()`` gave, environments included.

        Raises:
            ReplayError: an environment does not come to where it was.

        """
        for name, owner, key in named_tensors(self):
            owner[key].copy_(tensors[name])
        self.update = int(tensors["update"])
        for g, saved in zip(self.learner.generators, tensors["generators"], strict=True):
            g.set_state(saved.clone())  # set_state reads the storage, not the view
        actions = [tensors[f"actions.{lane}"].numpy() for lane in range(len(self.envs.seeds))]
        self.envs.replay(tensors["episodes"].numpy(), actions)
        reached = np.column_stack((self.envs.observations, self.envs.episodic_returns))
        expected = np.column_stack((tensors["raw_observations"], tensors["episodic_returns"]))
        alive = self.alive.numpy()
        if not np.array_equal(reached[alive], expected[alive], equal_nan=True):
            raise ReplayError(
                "the same actions after the same reset lead elsewhere; episodes of this "
                "environment depend on more than their seed"
            )


def take_lanes_of_tensors(tensors: Mapping[str, Tensor], lanes: list[int]) -> dict[str, Tensor]:
    """``CohortState.tensors()`` of some of its lanes, in the order of ``lanes``."""
    taken = {"update": tensors["update"]}
    for name, tensor in tensors.items():
        if name not in taken and not name.startswith("actions."):
            taken[name] = tensor[lanes]
    return taken | {f"actions.{i}": tensors[f"actions.{lane}"] for i, lane in enumerate(lanes)}
