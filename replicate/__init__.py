"""The reference replication of PPO vs TRPO vs naive policy gradient.

In a notebook::

    from replicate.interface import compose, train

    runs = compose("env=hopper", "algo=ppo", "seed=range(0,3)", "total_env_steps=40960")
    tables = train(runs)
    tables.episodes.groupby("seed").episodic_return.mean()
"""

import sys

from replicate.messages import end_quietly_until_begun

if sys.argv[:1] == ["-m"]:  # a program of this package is being imported, for half a second
    end_quietly_until_begun()
