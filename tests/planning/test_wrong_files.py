"""Files of ``conf/`` that are wrong: one line each, from whatever reads them."""

import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from replicate.__main__ import main
from replicate.messages import ConfigError
from replicate.planning import composition
from replicate.planning.choices import choice_of, chosen_runs
from replicate.planning.pipeline import pipeline


def plan_epsilon() -> None:
    list(chosen_runs(choice_of({"scale": "smoke", "studies": "epsilon"})))


def test_a_scale_with_none_of_a_studys_environments_is_refused(conf: Path) -> None:
    scale = "seeds: 1\ntotal_env_steps: 2048\nenvs: [cart_pole]\n"
    (conf / "scale/one_task.yaml").write_text(scale)
    choice = choice_of({"scale": "one_task", "studies": "epsilon"})
    with pytest.raises(ConfigError, match="study=epsilon: none of its environments is in scale=on"):
        list(chosen_runs(choice))


NO_FILES = {
    "tab": (b"id: a\n\tname: b\n", "line 2: found character '\\t'"),
    "duplicate key": (b"id: a\nid: b\n", "line 2: found duplicate key id"),
    "tag of Python": (b"!!python/object/apply:os.system ['true']\n", "line 1: could not"),
    "binary": (bytes(range(256)), "not UTF-8"),
    "not UTF-8": ("id: Höpper\n".encode("latin-1"), "not UTF-8"),
    "null byte": (b"id: a\0b\n", "unacceptable character"),
    "nested": (b"id: " + b"[" * 5000, "nested too deeply"),
    "huge number": (b"id: " + b"9" * 5000, "limit"),
    "two documents": (b"id: a\n---\nid: b\n", "line 2"),
    "a number": (b"3\n", "int"),
    "a list": (b"- a\n- b\n", "not a mapping"),
}


@pytest.mark.parametrize("file", ["env/hopper", "algo/ppo", "study/epsilon", "scale/smoke"])
@pytest.mark.parametrize("case", NO_FILES)
def test_a_file_that_is_no_mapping_in_yaml_is_one_line_that_names_it(
    conf: Path, file: str, case: str
) -> None:
    content, expected = NO_FILES[case]
    (conf / f"{file}.yaml").write_bytes(content)
    with pytest.raises(ConfigError, match=re.escape(expected)) as raised:
        plan_epsilon() if file.startswith("s") else composition.compose()
    assert str(raised.value).startswith(f"conf/{file}.yaml: ") and "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "conf/config.yaml: defaults: no choice of env"),
        ("defaults: 3\n", "conf/config.yaml: defaults: no choice of env"),
        ("- a\n", "conf/config.yaml: not a mapping"),
        ("defaults: [{env: hopper}, {algo: ppo}, {recipe: modern}, _self_]\n", "out: missing"),
    ],
)
def test_a_config_without_its_parts_is_one_line(conf: Path, text: str, expected: str) -> None:
    (conf / "config.yaml").write_text(text)
    with pytest.raises(ConfigError) as raised:
        composition.compose()
    assert str(raised.value).startswith(expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("num_steps: 64\n", "conf/algo/mine.yaml: name: missing"),
        ("name: poo\n", "conf/algo/mine.yaml: name: unknown algorithm 'poo'; did you mean 'ppo'?"),
        ("name: [1]\n", "conf/algo/mine.yaml: name: unknown algorithm"),
        ("name: ???\n", "algo.name: Missing mandatory value"),
    ],
)
def test_an_algorithm_file_says_which_algorithm_it_is_of(
    conf: Path, text: str, expected: str
) -> None:
    (conf / "algo/mine.yaml").write_text(text)
    with pytest.raises(ConfigError) as raised:
        composition.compose("algo=mine")
    assert str(raised.value).startswith(expected)


def test_a_name_that_is_no_algorithm_is_one_line() -> None:
    for value in ("[1]", "{a: 1}", "null", "poo"):
        with pytest.raises(ConfigError, match=r"^algo(\.name)?: ") as raised:
            composition.compose(f"algo.name={value}")
        assert "\n" not in str(raised.value)


NO_NAMES = ["a-b", "A", "a b", "<b>", "{x}", "it's", "ä", "a.b", "x" * 65]


@pytest.mark.parametrize("name", NO_NAMES)
@pytest.mark.parametrize("group", ["scale", "study", "env"])
def test_a_name_that_can_be_no_wildcard_is_refused_before_anything_is_planned(
    conf: Path, capsys: Any, group: str, name: str
) -> None:
    source = {"scale": "smoke", "study": "epsilon", "env": "hopper"}[group]
    shutil.copy(conf / group / f"{source}.yaml", conf / group / f"{name}.yaml")
    assert name not in composition.options(group)  # it spoils nothing of the others
    with pytest.raises(ConfigError) as raised:
        composition.check_choice(group, name)
    assert str(raised.value).startswith(f"conf/{group}/{name}.yaml: a name is at most 64 of a-z")
    if group == "env":
        return
    config = {"scale": name} if group == "scale" else {"scale": "smoke", "studies": name}
    with pytest.raises(SystemExit) as stopped:
        pipeline(config, True, conf / "results")
    assert stopped.value.code == 2 and not (conf / "results").exists()
    assert capsys.readouterr().err == f"error: {raised.value}\n"


@pytest.mark.parametrize("name", [*NO_NAMES[1:7], "''", "x" * 65])
def test_a_variant_s_name_is_checked_when_the_study_is_read(conf: Path, name: str) -> None:
    study = conf / "study/epsilon.yaml"
    written = f'"{name}"' if name != "''" else name
    study.write_text(study.read_text().replace("  clip_0.05:", f"  {written}:"))
    with pytest.raises(ConfigError) as raised:
        plan_epsilon()
    assert str(raised.value).startswith("conf/study/epsilon.yaml: variants: ")
    assert "is no name" in str(raised.value)


def test_a_study_without_variants_is_refused(conf: Path) -> None:
    study = conf / "study/epsilon.yaml"
    study.write_text(study.read_text().partition("variants:")[0] + "variants: {}\n")
    with pytest.raises(ConfigError, match=r"conf/study/epsilon.yaml: variants"):
        plan_epsilon()


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        ("[algo.kl_target=0.03]", "bare: the same runs as own; what it changes has no effect"),
        ("[algo.clip_epsilon=0.1, algo.clip_epsilon=0.3]", "own: algo.clip_epsilon is given twice"),
    ],
)
def test_a_variant_that_compares_a_run_with_itself_is_refused(
    conf: Path, overrides: str, expected: str
) -> None:
    study = conf / "study/epsilon.yaml"
    variants = f"  own: {{label: a, overrides: {overrides}}}\n  bare: {{label: b, overrides: []}}\n"
    study.write_text(study.read_text().partition("variants:")[0] + f"variants:\n{variants}")
    with pytest.raises(ConfigError) as raised:
        plan_epsilon()
    assert str(raised.value).startswith(f"conf/study/epsilon.yaml: {expected}")


def test_an_environment_twice_under_two_names_is_refused(conf: Path) -> None:
    shutil.copy(conf / "env/hopper.yaml", conf / "env/hopper_again.yaml")
    study = conf / "study/epsilon.yaml"
    study.write_text(study.read_text().replace("- hopper", "- hopper\n  - hopper_again"))
    (conf / "scale/smoke.yaml").write_text("seeds: 1\ntotal_env_steps: 4096\n")
    with pytest.raises(ConfigError, match="the same environment as hopper"):
        plan_epsilon()


def test_the_command_line_tells_of_a_broken_file(conf: Path, capsys: Any) -> None:
    (conf / "recipe/modern.yaml").write_bytes(b"\tname: modern\n")
    assert main(["recipe=modern"]) == 2
    printed = capsys.readouterr().err
    assert printed.startswith("error: conf/recipe/modern.yaml: ") and printed.count("\n") == 1


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("total_env_steps=64", "how long"),
        ("out=x", "no part of a variant"),
        ("device=cuda", "no part of a variant"),
        ("logger=wandb", "no part of a variant"),
        ("threads=2", "no part of a variant"),
    ],
)
@pytest.mark.parametrize("whose", ["the study's", "a variant's"])
def test_what_a_variant_cannot_change_is_not_ignored(
    conf: Path, key: str, expected: str, whose: str
) -> None:
    study = conf / "study/epsilon.yaml"
    old = "[algo=ppo," if whose == "the study's" else "[algo.clip_epsilon=0.05"
    assert old in study.read_text()
    comma = "," if old.endswith(",") else ""
    study.write_text(study.read_text().replace(old, f"{old.rstrip(',')}, {key}{comma}"))
    with pytest.raises(ConfigError, match=expected) as raised:
        plan_epsilon()
    assert key.partition("=")[0] in str(raised.value)


@pytest.mark.parametrize("config", [{"studies": None}, {"studies": ""}, {"scale": None}])
def test_an_empty_choice_is_not_the_default_one(config: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="no value; leave it out for the default"):
        choice_of(config)


@pytest.mark.parametrize(
    ("file", "old", "new", "expected"),
    [
        ("study/epsilon", "label: no clip", "lable: no clip", "no_clipping.lable: unknown key"),
        ("study/epsilon", "figures: [epsilon", "figures: [epsilom", "did you mean 'epsilon'?"),
        ("study/epsilon", "- hopper", "- hoper", "did you mean 'hopper'?"),
        (
            "study/epsilon",
            "[algo.clip_epsilon=0.05]",
            "['algo.clip_epsilon=1,2']",
            "several values",
        ),
        ("study/epsilon", "clip_epsilon=0.05", "clip_epsilon=0", "out of range"),
        ("study/epsilon", "[algo.objective=none]", "[recipe=modern]", "a study has one of each"),
        ("study/epsilon", "[algo.objective=none]", "[seed=3]", "the scale say"),
        ("scale/smoke", "seeds: 2", "seed: 2", "seed: unknown key"),
        ("study/epsilon", "- hopper", "- hopper\n  - hopper", "hopper is named twice"),
        ("scale/smoke", "[hopper,", "[hoper,", "did you mean 'hopper'?"),
        ("scale/smoke", "[hopper,", "[hopper, hopper,", "hopper is named twice"),
        ("env/inverted_pendulum", "id: InvertedPendulum", "id: Hopper", "same environment"),
        ("scale/smoke", "seeds: 2", "seeds: 1000000000", "seeds: 1000000000 is out of range"),
        ("scale/smoke", "4096", "1000000000000", "total_env_steps: 1000000000000 is out of"),
        ("study/epsilon", "figures:", "first_seed: 2147483647\nfigures:", "first_seed"),
        ("study/epsilon", "figures:", "name: other\nfigures:", "name: the file's own name is it"),
        ("study/epsilon", "[epsilon, learning", "[epsilon, epsilon, learning", "named twice"),
        ("env/hopper", "kwargs: {}", "kwargs: {frame_skip: -1}", "env.kwargs.frame_skip"),
        ("env/hopper", "kwargs: {}", "kwargs: {frame_skip: x}", "env.kwargs.frame_skip"),
    ],
)
def test_a_wrong_value_of_a_file_is_one_line(
    conf: Path, file: str, old: str, new: str, expected: str
) -> None:
    wrong = conf / f"{file}.yaml"
    assert old in wrong.read_text()
    wrong.write_text(wrong.read_text().replace(old, new, 1))
    with pytest.raises(ConfigError, match=re.escape(expected)) as raised:
        plan_epsilon()
    assert f"conf/{file}.yaml" in str(raised.value) and "\n" not in str(raised.value)
