"""The reference replication of PPO vs TRPO vs naive policy gradient.

In a notebook::

    from replicate.interface import compose, train

    runs = compose("env=hopper", "algo=ppo", "seed=range(0,3)", "total_env_steps=40960")
    tables = train(runs)
    tables.episodes.groupby("seed").episodic_return.mean()
"""

from replicate.messages import end_quietly_until_begun

end_quietly_until_begun()
