"""Floor 2: one file per algorithm.

``vpg`` and ``trpo`` share a skeleton, so that their diff is their comparison; ``ppo`` makes its own
steps on minibatches.
"""
