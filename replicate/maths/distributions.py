"""Action distributions: log-probability, entropy, KL, sampling, and their derivatives.

A distribution is a small immutable record of its natural outputs (``parameters``): what the
policy network computes and what gradients are taken with respect to.  The ``*_pullback``
methods give cotangents of ``parameters`` from a cotangent ``[R, B]`` of the quantity.
"""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Self

import torch
from torch import Tensor


class Distribution(ABC):
    """What the algorithms ask of a distribution of actions."""

    @property
    @abstractmethod
    def parameters(self) -> tuple[Tensor, ...]:
        """What the policy network put out; the first varies with the state."""

    def at(self, *parameters: Tensor) -> Self:
        """The same kind of distribution at other parameters."""
        return type(self)(*parameters)

    def sample(self, noise: Tensor) -> Tensor:
        """Actions ``[R, B, …]`` from noise ``[R, B, A]``."""
        return self.sample_scaled(self.scaled(noise))

    @abstractmethod
    def scaled(self, noise: Tensor) -> Tensor:
        """Noise ``[…, R, B, A]`` in the units of the actions."""

    @abstractmethod
    def sample_scaled(self, noise: Tensor) -> Tensor:
        """Actions ``[R, B, …]`` from scaled noise ``[R, B, A]``."""

    @abstractmethod
    def log_prob(self, actions: Tensor) -> Tensor:
        """Log-probability log p(a), ``[R, B]``."""

    @abstractmethod
    def entropy(self) -> Tensor:
        """Entropy in nats, ``[R, B]``."""

    @abstractmethod
    def kl(self, other: Self) -> Tensor:
        """KL(self ‖ other) in nats, ``[R, B]``."""

    @abstractmethod
    def log_prob_pullback(self, actions: Tensor, cotangent: Tensor) -> tuple[Tensor, ...]:
        """Cotangents of ``parameters`` from one ``[R, B]`` of ``log_prob``."""

    @abstractmethod
    def kl_pullback(self, old: Self, cotangent: Tensor) -> tuple[Tensor, ...]:
        """Cotangents of ``parameters`` from one ``[R, B]`` of KL(old ‖ self)."""

    @abstractmethod
    def entropy_pullback(self, cotangent: Tensor) -> tuple[Tensor, ...]:
        """Cotangents of ``parameters`` from one ``[R, B]`` of ``entropy``."""

    @abstractmethod
    def fisher(self, *tangents: Tensor) -> tuple[Tensor, ...]:
        """The Fisher matrix of ``parameters`` times a tangent."""


@dataclass(frozen=True)
class DiagonalGaussian(Distribution):
    """N(mean, diag(exp(log_std))²) over actions in R^A.

    Args:
        mean: ``[R, B, A]``.
        log_std: ``[R, 1, A]`` (independent of the state) or ``[R, B, A]``.

    """

    mean: Tensor
    log_std: Tensor

    @property
    def parameters(self) -> tuple[Tensor, ...]:
        """What the policy network put out: ``(mean, log_std)``."""
        return (self.mean, self.log_std)

    def scaled(self, noise: Tensor) -> Tensor:
        """The product σ·noise, of standard normal ``noise``."""
        return self.log_std.exp() * noise

    def sample_scaled(self, noise: Tensor) -> Tensor:
        """Actions mean + σ·noise, ``[R, B, A]``, from σ·noise."""
        return self.mean + noise

    def log_prob(self, actions: Tensor) -> Tensor:
        """log p(a) = −Σ_i [ (a_i − μ_i)² / (2σ_i²) + log σ_i + ½ log 2π ], ``[R, B]``."""
        standardised = (actions - self.mean) * (-self.log_std).exp()
        constant = self.log_std.sum(-1) + 0.5 * math.log(2 * math.pi) * actions.shape[-1]
        return -0.5 * standardised.square().sum(-1) - constant

    def entropy(self) -> Tensor:
        """H = Σ_i [ log σ_i + ½ log 2πe ], ``[R, B]``."""
        entropy = (self.log_std + 0.5 * math.log(2 * math.pi * math.e)).sum(-1)
        # Contiguous: a sum over an expanded dimension is ordered by the number of lanes.
        return entropy.expand(self.mean.shape[:-1]).contiguous()

    def kl(self, other: Self) -> Tensor:
        """KL(self ‖ other), ``[R, B]``.

        Σ_i [ log σ'_i − log σ_i + (σ_i² + (μ_i − μ'_i)²) / (2σ'_i²) − ½ ], primes: ``other``.
        """
        difference = self.log_std - other.log_std
        shift = (self.mean - other.mean) * (-other.log_std).exp()
        terms = 0.5 * (torch.expm1(2 * difference) + shift.square()) - difference
        return terms.sum(-1)

    def log_prob_pullback(self, actions: Tensor, cotangent: Tensor) -> tuple[Tensor, ...]:
        """∂ log p/∂μ = z/σ, ∂ log p/∂ log σ = z² − 1, with z = (a − μ)/σ."""
        inverse_std = (-self.log_std).exp()
        standardised = (actions - self.mean) * inverse_std
        weight = cotangent[..., None]
        weighted = weight * standardised
        return weighted * inverse_std, self._shared(weighted * standardised - weight)

    def kl_pullback(self, old: Self, cotangent: Tensor) -> tuple[Tensor, ...]:
        """Of KL(old ‖ self): ∂/∂μ = (μ − μ_old)/σ², ∂/∂ log σ = 1 − (σ_old² + (μ − μ_old)²)/σ²."""
        precision = (-2 * self.log_std).exp()
        shift = self.mean - old.mean
        weight = cotangent[..., None]
        second = ((2 * old.log_std).exp() + shift.square()) * precision
        return weight * shift * precision, self._shared(weight * (1 - second))

    def entropy_pullback(self, cotangent: Tensor) -> tuple[Tensor, ...]:
        """∂H/∂μ = 0, ∂H/∂ log σ = 1."""
        weight = cotangent[..., None].expand_as(self.mean)
        return torch.zeros_like(self.mean), self._shared(weight)

    def _shared(self, cotangent: Tensor) -> Tensor:
        return cotangent.sum(1, keepdim=True) if self.log_std.shape[1] == 1 else cotangent

    def fisher(self, *tangents: Tensor) -> tuple[Tensor, ...]:
        """F·t for the Fisher matrix of ``parameters``: (t_μ / σ², 2·t_logσ).

        It is the Hessian of KL(self ‖ ·) and of KL(· ‖ self) at ``self``.
        The second entry is summed over the batch when ``log_std`` is shared by it.
        """
        mean_tangent, log_std_tangent = tangents
        batch = self.mean.shape[1] if self.log_std.shape[1] == 1 else 1
        return mean_tangent * (-2 * self.log_std).exp(), 2.0 * batch * log_std_tangent


@dataclass(frozen=True)
class Categorical(Distribution):
    """softmax(logits) over A actions; an action is its index, stored as ``[R, B, 1]``.

    Args:
        logits: ``[R, B, A]``.

    """

    logits: Tensor

    @property
    def parameters(self) -> tuple[Tensor, ...]:
        """What the policy network put out: ``(logits,)``."""
        return (self.logits,)

    def scaled(self, noise: Tensor) -> Tensor:
        """Standard Gumbel ``noise`` as it is."""
        return noise

    def sample_scaled(self, noise: Tensor) -> Tensor:
        """argmax(logits + noise), ``[R, B, 1]``, with standard Gumbel ``noise`` ``[R, B, A]``."""
        return (self.logits + noise).argmax(-1, keepdim=True)

    def log_prob(self, actions: Tensor) -> Tensor:
        """log softmax(logits)[a], ``[R, B]``."""
        log_probs = self.logits.log_softmax(-1)
        return log_probs.gather(-1, actions.long()).squeeze(-1)

    def entropy(self) -> Tensor:
        """H = −Σ_k p_k log p_k, ``[R, B]`` (log K when uniform)."""
        log_probs = self.logits.log_softmax(-1)
        return -(log_probs.exp() * log_probs).sum(-1)

    def kl(self, other: Self) -> Tensor:
        """KL(self ‖ other) = Σ_k p_k (log p_k − log p'_k), ``[R, B]``."""
        ours, theirs = self.logits.log_softmax(-1), other.logits.log_softmax(-1)
        return (ours.exp() * (ours - theirs)).sum(-1)

    def log_prob_pullback(self, actions: Tensor, cotangent: Tensor) -> tuple[Tensor, ...]:
        """∂ log p_a/∂ logit_k = [k = a] − p_k."""
        gradient = -self.logits.softmax(-1)
        ones = torch.ones_like(gradient[..., :1])
        return (cotangent[..., None] * gradient.scatter_add(-1, actions.long(), ones),)

    def kl_pullback(self, old: Self, cotangent: Tensor) -> tuple[Tensor, ...]:
        """Of KL(old ‖ self): ∂/∂ logit_k = p_k − p_old,k."""
        difference = self.logits.softmax(-1) - old.logits.softmax(-1)
        return (cotangent[..., None] * difference,)

    def entropy_pullback(self, cotangent: Tensor) -> tuple[Tensor, ...]:
        """∂H/∂ logit_k = −p_k (log p_k + H)."""
        log_probs = self.logits.log_softmax(-1)
        probabilities = log_probs.exp()
        entropy = -(probabilities * log_probs).sum(-1, keepdim=True)
        return (-cotangent[..., None] * probabilities * (log_probs + entropy),)

    def fisher(self, *tangents: Tensor) -> tuple[Tensor, ...]:
        """F·t = p ∘ t − p (p·t): the Hessian of the KL in the logits."""
        (tangent,) = tangents
        probabilities = self.logits.softmax(-1)
        weighted = probabilities * tangent
        return (weighted - probabilities * weighted.sum(-1, keepdim=True),)
