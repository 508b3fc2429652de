"""Composition against Hydra's own."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from replicate.messages import ConfigError
from replicate.planning import composition
from replicate.planning.composition import compose, options
from replicate.planning.studies import load_study
from replicate.settings import RunSettings, validated
from replicate.store.software import CONF


def by_hydra(*overrides: str) -> RunSettings:
    """What Hydra makes of the overrides, all at once."""
    GlobalHydra.instance().clear()
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = hydra_compose("config", list(overrides))
    data: Any = OmegaConf.to_container(config)
    return validated(RunSettings, {key: data[key] for key in RunSettings.model_fields})


@pytest.mark.parametrize("name", options("study"))
def test_a_variant_is_what_hydra_composes(name: str) -> None:
    """The variant of a study that sets the most."""
    study = load_study(name)
    most = max(study.variants.values(), key=lambda variant: len(variant.overrides))
    overrides = *study.overrides, *most.overrides
    added = [f"++{text}" if text.startswith("change.") else text for text in overrides]
    (run,) = compose(*overrides).runs
    assert run == by_hydra(*added)


@pytest.mark.parametrize(
    "overrides",
    [
        ("algo.clip_epsilon=0.3", "algo=ppo"),  # values in front of choices
        ("algo.clip_epsilon=0.3", "algo.clip_epsilon=0.1"),
        ("algo.hidden_sizes=[8,8]", "change={at_share:0.5,updates:1,algo:{learning_rate:0.1}}"),
        ("++env.kwargs.max_episode_steps=5", "++env.kwargs.name='a b'"),
    ],
)
def test_overrides_are_set_as_hydra_sets_them(overrides: tuple[str, ...]) -> None:
    (run,) = compose(*(text.lstrip("+") for text in overrides)).runs
    assert run == by_hydra(*overrides)


def test_values_leave_no_trace_in_what_hydra_composed(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def counting(config: str, overrides: list[str]) -> Any:
        asked.append(overrides)
        return hydra_compose(config, overrides)

    monkeypatch.setattr(composition, "hydra_compose", counting)
    composition.read_again()
    (narrow,) = compose("algo=ppo", "algo.clip_epsilon=0.07").runs
    (usual,) = compose("algo=ppo", "seed=3").runs
    assert narrow.algo.clip_epsilon == 0.07 and usual.algo.clip_epsilon == 0.2
    assert asked == [["algo=ppo"]]


def test_the_usual_algorithm_is_that_of_the_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(composition.CONF, tmp_path / "conf")
    file = tmp_path / "conf/config.yaml"
    file.write_text(re.sub("algo: ppo", "algo: trpo", file.read_text()))
    monkeypatch.setattr(composition, "CONF", tmp_path / "conf")
    (run,) = compose("algo.max_kl=0.02").runs
    assert run.algo.name == "trpo"
    with pytest.raises(ConfigError, match=r"clip_epsilon: unknown key \(a key of ppo\)"):
        compose("algo.clip_epsilon=0.1")
