"""Learning curves of Stable-Baselines3 PPO and sb3-contrib TRPO under the `modern` details.

    python -m tests.parity.sb3_curves OUT.csv [--seeds 0 1 2 3 4] [--algorithms ppo trpo]
        [--envs HalfCheetah-v5 Hopper-v5]

One row per training episode: implementation, algorithm, environment, seed, env_step, return.
About 30 minutes on one core.
"""

import argparse
import csv
from pathlib import Path

import gymnasium
import torch
from sb3_contrib import TRPO
from stable_baselines3 import PPO
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv, VecNormalize

NETWORK = {"net_arch": {"pi": [64, 64], "vf": [64, 64]}, "activation_fn": torch.nn.Tanh}
SHARED = {"n_steps": 2048, "gamma": 0.99, "gae_lambda": 0.95, "policy_kwargs": NETWORK}


class EpisodeLog(BaseCallback):
    """Raw episode returns, as the Monitor wrapper below the normalisation saw them."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[tuple[int, float]] = []

    def _on_step(self) -> bool:
        for info in self.locals["infos"]:
            if "episode" in info:
                self.rows.append((self.num_timesteps, info["episode"]["r"]))
        return True


def make_model(algorithm: str, env_id: str, seed: int) -> BaseAlgorithm:
    """The library's algorithm with the details of `conf/recipe/modern.yaml`."""
    env = VecNormalize(
        DummyVecEnv([lambda: Monitor(gymnasium.make(env_id))]), clip_obs=10, clip_reward=10
    )
    if algorithm == "ppo":
        return PPO(
            "MlpPolicy",
            env,
            learning_rate=lambda left: 3e-4 * left,
            batch_size=64,
            n_epochs=10,
            seed=seed,
            device="cpu",
            **SHARED,
        )
    return TRPO(
        "MlpPolicy",
        env,
        learning_rate=lambda left: 1e-3 * left,
        batch_size=128,
        cg_max_steps=10,
        cg_damping=0.1,
        n_critic_updates=10,
        target_kl=0.01,
        seed=seed,
        device="cpu",
        **SHARED,
    )


def main() -> None:
    """Train them all, one row per episode."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--steps", type=int, default=200_000)
    parser.add_argument("--seeds", type=int, nargs="+", default=range(5))
    parser.add_argument("--algorithms", nargs="+", default=["ppo", "trpo"])
    parser.add_argument("--envs", nargs="+", default=["HalfCheetah-v5", "Hopper-v5"])
    options = parser.parse_args()
    torch.set_num_threads(1)
    with options.out.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(
            ["implementation", "algorithm", "env", "seed", "env_step", "episodic_return"]
        )
        for env_id in options.envs:
            for algorithm in options.algorithms:
                for seed in options.seeds:
                    log = EpisodeLog()
                    make_model(algorithm, env_id, seed).learn(options.steps, callback=log)
                    for step, value in log.rows:
                        writer.writerow(["sb3", algorithm, env_id, seed, step, f"{value:.6g}"])
                    file.flush()
                    print(algorithm, env_id, seed, "done", flush=True)


if __name__ == "__main__":
    main()
