"""Lines and operations of two updates, against a hand count and facts of the repository."""

from pathlib import Path

import pandas as pd
import pytest

from replicate.planning.imports import files_of
from replicate.probes import code_size
from replicate.probes.code_size import Code, code_lines, comparison

ROOT = Path(__file__).resolve().parents[2]

MADE_UP = {
    "a": '''"""Module a."""

import torch
from torch import Tensor

from m import LIMIT, Shape, shared, tools
from m import first as renamed

HALF = 0.5


# A comment.
def update(x: Tensor, shape: Shape | None) -> Tensor:
    """A docstring

    of three lines.
    """
    y = renamed(x) * HALF  # a trailing comment

    def inner(z: Tensor) -> Tensor:
        """Another."""
        return z.mul_(-1)

    text = """two
    lines"""
    assert shape is None or shape.area > 0, text
    return torch.minimum(inner(y), shared(x))
''',
    "b": """from m import Shape, shared, tools

def update(x, shape):
    first = shared(x)
    first -= tools.second(
        x
    )
    return first @ shape.grow()
""",
    "m": '''LIMIT: int = 3

def shared(x):
    return x.exp()

def first(x):
    return x + LIMIT

class Shape:
    """A class."""

    sides: int

    @property
    def area(self):
        return self.sides ** 2

    def grow(self):
        return self
''',
    "m.tools": "def second(x):\n    return x\n\n\ndef unused(x):\n    return x\n",
}
EXPECTED = [
    ("a", "a", "HALF", "constant", 1, ""),
    # def, y, def inner, return, text (2), assert, return
    ("a", "a", "update", "function", 8, "* > minimum mul"),
    ("a", "m", "LIMIT", "constant", 1, ""),
    ("a", "m", "Shape.area", "method", 3, "**"),
    ("a", "m", "first", "function", 2, "+"),
    ("b", "b", "update", "function", 6, "- @"),
    ("b", "m", "Shape.grow", "method", 2, ""),
    ("b", "m.tools", "second", "function", 2, ""),
    ("both", "m", "Shape", "class", 2, ""),
    ("both", "m", "shared", "function", 2, "exp"),
    ("objective", "m", "LIMIT", "constant", 1, ""),
    ("objective", "m", "first", "function", 2, "+"),
]


def test_a_hand_count_of_a_made_up_module() -> None:
    updates = {"a": ("a", "update"), "b": ("b", "update")}
    rows = comparison(Code(MADE_UP.get), updates, ("m", "first"))
    assert list(map(tuple, rows)) == EXPECTED


def test_what_is_no_code_does_not_count() -> None:
    source = 'x = 1\n\n# no\n"""no\nno\n"""\ny = """yes\nyes"""\nz = (\n    # no\n    1\n)\n'
    assert code_lines(source) == {1, 7, 8, 9, 11, 12}


def test_an_entry_that_a_table_gets_later_is_none_of_its_code() -> None:
    module = "T = {}\n\ndef f(x):\n    return x\n\nT['f'] = f\n\ndef update():\n    return T\n"
    assert Code({"a": module}.get).reached(("a", "update")) == {("a", "update"), ("a", "T")}


def test_a_name_that_a_function_binds_is_its_own() -> None:
    code = Code({"a": "def f(x):\n    return x\n\ndef update(f):\n    return f(1)\n"}.get)
    assert code.reached(("a", "update")) == {("a", "update")}


@pytest.fixture(scope="module")
def found() -> pd.DataFrame:
    rows = pd.DataFrame(code_size.code_size(), columns=code_size.COLUMNS)
    return rows.set_index("name")


@pytest.mark.parametrize(
    ("name", "needed_by"),
    [
        ("conjugate_gradient", "trpo"),
        ("backtracking_line_search", "trpo"),
        ("fisher_product", "trpo"),
        ("Policy.pushforward", "trpo"),
        ("DiagonalGaussian.fisher", "trpo"),
        ("fit_value", "trpo"),
        ("policy_loss_slope", "ppo"),
        ("clipped_surrogate_slope", "ppo"),
        ("kl_penalty", "ppo"),
        ("measured_kl", "ppo"),
        ("TrainingLanes.keep", "ppo"),
        ("Policy.pullback", "both"),
        ("adam_step_", "both"),  # TRPO fits its value function with it
        ("update_diagnostics", "both"),
        ("DiagonalGaussian.kl", "both"),
        ("clipped_surrogate", "objective"),
    ],
)
def test_who_needs_what(found: pd.DataFrame, name: str, needed_by: str) -> None:
    assert found.loc[[name]].needed_by.tolist() == [needed_by]


def test_what_no_update_needs_is_not_counted(found: pd.DataFrame) -> None:
    assert not {"gae", "policy_gradient", "check_objective", "RunningMoments"} & set(found.index)
    assert found.loc["update"].needed_by.tolist() == ["ppo", "trpo"]
    assert "replicate.settings" not in set(found.module)


def test_lines_that_a_reader_can_count(found: pd.DataFrame) -> None:
    assert found.lines["clipped_surrogate"] == 7 and found.lines["dot"] == 2
    assert found.operations["clipped_surrogate"] == "+ - == clamp maximum minimum"
    assert found.lines["full_step"] == 3 and found.operations["full_step"] == "* / > sqrt where"


def test_what_is_counted_is_an_input_of_its_rule(
    found: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    files = files_of("replicate.probes.code_size")
    assert {f"{module.replace('.', '/')}.py" for module in found.module} <= set(files)
