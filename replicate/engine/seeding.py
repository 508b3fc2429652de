"""Random streams of a run, all derived from its seed; nothing else is random."""

from typing import Literal

import numpy as np
import torch
from torch import Tensor

STREAMS = {"initialisation": 1, "training": 2}


def generator(seed: int, stream: Literal["initialisation", "training"]) -> torch.Generator:
    """The generator of one random stream of a run."""
    # Three words, where environments are seeded with two (seed, episode): no streams coincide.
    words = np.random.SeedSequence([seed, 0, STREAMS[stream]]).generate_state(1, np.uint64)
    return torch.Generator().manual_seed(int(words[0]))


def action_noise(
    generators: list[torch.Generator], kind: str, steps: int, num_actions: int
) -> Tensor:
    """Noise for a whole rollout, time-major ``[T, R, A]``, each lane's from its own generator.

    ``normal``: standard normal; ``gumbel``: standard Gumbel.
    """
    shape = (steps, num_actions)
    if kind == "normal":
        noise = [torch.randn(shape, generator=g) for g in generators]
    else:
        tiny = torch.finfo(torch.float32).tiny
        uniform = [torch.rand(shape, generator=g).clamp_min(tiny) for g in generators]
        noise = [-torch.log(-torch.log(u)) for u in uniform]
    return torch.stack(noise, 1)
