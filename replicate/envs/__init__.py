"""Floor 1: the environments of a cohort, one per lane.

``make_envs`` gives them: MuJoCo tasks that ``mujoco_tasks`` describes step in one call for all
lanes (``mujoco_batch``), everything else steps in turn through gymnasium (``loop``).

Episodes are seeded one by one: episode ``k`` of a run with seed ``s`` starts from
``episode_seed(s, k)``.  The state of an environment is thereby (seed, k, the actions since the
reset), whatever the simulator keeps inside.
"""

from replicate.envs.lanes import Envs, Episode
from replicate.envs.loop import EnvLoop
from replicate.envs.mujoco_batch import MujocoBatch
from replicate.envs.mujoco_tasks import task_of
from replicate.envs.single import EnvSpec, check_env, episode_seed, make_env
from replicate.settings import EnvSettings

__all__ = ["EnvSpec", "Envs", "Episode", "check_env", "episode_seed", "make_envs"]


def make_envs(settings: EnvSettings, seeds: list[int], threads: int = 1) -> Envs:
    """One environment per seed.

    Args:
        threads: of the physics of a batch; the numbers do not depend on it.

    Raises:
        ConfigError: unknown id, or spaces we do not train on.

    """
    env = make_env(settings)
    task = task_of(env, settings.kwargs)
    if task is not None:
        return MujocoBatch(env, task, seeds, threads)
    return EnvLoop([env, *(make_env(settings) for _ in seeds[1:])], seeds)
