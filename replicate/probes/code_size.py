"""Claim P2: what PPO's update is made of that TRPO's is not, and the other way round.

python -m replicate.probes.code_size OUT.csv [MANIFEST]

Counted in the very code that trains: from ``update`` of each algorithm along the names that it
uses, through the algorithms, their maths and the networks.  What both reach counts for neither.
"""

import ast
import inspect
import io
import sys
import tokenize
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module

import torch

from replicate import probes
from replicate.algorithms import ppo, trpo
from replicate.maths import objectives

FOLLOWED = ("replicate.algorithms", "replicate.maths", "replicate.networks")
"""Packages and modules whose definitions count; what lies elsewhere (torch, settings) is used."""
UPDATES = {"ppo": (ppo.__name__, "update"), "trpo": (trpo.__name__, "update")}
OBJECTIVE = (objectives.__name__, "clipped_surrogate")
"""As it is written to be read; PPO trains by its slope, which is among what ``update`` needs."""
COLUMNS = ["needed_by", "module", "name", "kind", "lines", "operations"]

OPERATORS: dict[type[ast.AST], str] = {
    **{ast.Add: "+", ast.Sub: "-", ast.Mult: "*", ast.Div: "/", ast.FloorDiv: "//"},
    **{ast.Mod: "%", ast.Pow: "**", ast.MatMult: "@", ast.USub: "-", ast.Invert: "~"},
    **{ast.BitAnd: "&", ast.BitOr: "|", ast.Lt: "<", ast.LtE: "<=", ast.Gt: ">", ast.GtE: ">="},
    **{ast.Eq: "==", ast.NotEq: "!="},
}
NO_CODE = {
    *(tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT),
    tokenize.ENDMARKER,
}
FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef

Key = tuple[str, str]
"""A module, and a name in it; of a method ``Class.method``."""


def code_lines(source: str) -> set[int]:
    """Numbers of the lines, from 1, that have more than blanks, a comment or a docstring.

    A docstring is a string that stands alone as a statement, wherever it does.
    """
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in NO_CODE:
            lines.update(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(source)):
        if (
            isinstance(node, ast.Expr)
            and isinstance(node.value, ast.Constant)
            and isinstance(node.value.value, str)
        ):
            lines.difference_update(_span(node))
    return lines


def _span(node: ast.stmt) -> range:
    """Lines of a statement, its decorators included."""
    decorators = getattr(node, "decorator_list", [])
    first = min([node.lineno, *(decorator.lineno for decorator in decorators)])
    assert node.end_lineno is not None
    return range(first, node.end_lineno + 1)


@dataclass(frozen=True)
class Definition:
    """A function, method, class without its methods, or constant of a module.

    Args:
        lines: non-blank, non-comment, non-docstring lines of it.
        nodes: its syntax; of a class what is not a method.

    """

    kind: str
    lines: int
    nodes: tuple[ast.AST, ...]


@dataclass(frozen=True)
class Module:
    """What a module defines and imports.

    Args:
        definitions: by name; of methods ``Class.method``.
        imports: local name → (module, name there; empty: the module itself).

    """

    definitions: dict[str, Definition]
    imports: dict[str, Key]


def module_of(source: str) -> Module:
    """The definitions of a module and the names that it imports from others."""
    lines, definitions, imports = code_lines(source), {}, {}

    def define(name: str, kind: str, node: ast.stmt) -> None:
        definitions[name] = Definition(kind, len(lines & set(_span(node))), (node,))

    for node in ast.parse(source).body:
        if isinstance(node, FUNCTION):
            define(node.name, "function", node)
        elif isinstance(node, ast.ClassDef):
            methods = [each for each in node.body if isinstance(each, FUNCTION)]
            for method in methods:
                define(f"{node.name}.{method.name}", "method", method)
            own = set(_span(node)).difference(*map(_span, methods))
            rest = [each for each in node.body if each not in methods]
            parts = (*node.bases, *node.decorator_list, *rest)
            definitions[node.name] = Definition("class", len(lines & own), parts)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            # Not the entries that a table gets later, as SURROGATES[…] = …: no rule needs them all.
            names = (each for target in targets for each in _names(target))
            for name in {each.id for each in names if isinstance(each.ctx, ast.Store)}:
                define(name, "constant", node)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                imports[alias.asname or alias.name] = (node.module, alias.name)
        elif isinstance(node, ast.Import):
            for alias in node.names:
                imports[alias.asname or alias.name] = (alias.name, "")
    return Module(definitions, imports)


def _run(node: ast.AST) -> Iterator[ast.AST]:
    """The node and what is below it, but for annotations."""
    yield node
    for name, value in ast.iter_fields(node):
        if name not in ("annotation", "returns"):
            for each in value if isinstance(value, list) else [value]:
                if isinstance(each, ast.AST):
                    yield from _run(each)


def _names(node: ast.AST) -> Iterator[ast.Name]:
    return (each for each in ast.walk(node) if isinstance(each, ast.Name))


@dataclass(frozen=True)
class Code:
    """Modules, and which definitions need which.

    Args:
        source_of: of a module by its name; None: it is not followed.

    """

    source_of: Callable[[str], str | None]

    @cached_property
    def _modules(self) -> dict[str, Module | None]:
        return {}

    def module(self, name: str) -> Module | None:
        """The module, where it is followed."""
        if name not in self._modules:
            source = self.source_of(name)
            self._modules[name] = None if source is None else module_of(source)
        return self._modules[name]

    def definition(self, key: Key) -> Definition:
        """What the name stands for."""
        module = self.module(key[0])
        assert module is not None
        return module.definitions[key[1]]

    def reached(self, start: Key) -> set[Key]:
        """The definition itself, all that it needs, and what these need.

        A name stands for what the module defines or imports under it, unless the function binds it
        itself.  The class of an object is not known before it runs: an attribute stands for each
        method or property so called of any class that the modules in reach define.
        """
        reached: set[Key] = set()
        left, classes = [start], self._classes(start[0])
        while left:
            key = left.pop()
            if key not in reached:
                reached.add(key)
                left += self._needed(key, classes)
        return reached

    def _classes(self, start: str) -> list[Key]:
        """Classes of a module and of all that it imports, directly or not."""
        classes, left, seen = [], [start], set()
        while left:
            name = left.pop()
            module = None if name in seen else self.module(name)
            seen.add(name)
            if module is not None:
                kinds = module.definitions.items()
                classes += [(name, each) for each, what in kinds if what.kind == "class"]
                for origin, part in module.imports.values():
                    left += [origin, f"{origin}.{part}"]
        return sorted(classes)

    def _needed(self, key: Key, classes: list[Key]) -> Iterator[Key]:
        name, _, method = key[1].partition(".")
        if method:
            yield key[0], name
        definition = self.definition(key)
        if definition.kind == "class":
            special = (f"{name}.__init__", f"{name}.__post_init__")
            yield from ((key[0], each) for each in special if self._defines((key[0], each)))
        nodes = [each for node in definition.nodes for each in ast.walk(node)]
        bound = {each.arg for each in nodes if isinstance(each, ast.arg)}
        if definition.kind in ("function", "method"):
            bound |= {
                each.id
                for each in nodes
                if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store)
            }
        for node in nodes:
            if isinstance(node, ast.Name) and node.id not in bound:
                yield from self._named(key[0], node.id)
            elif isinstance(node, ast.Attribute):
                of_module = (
                    isinstance(node.value, ast.Name)
                    and node.value.id not in bound
                    and self._imported_module(key[0], node.value.id)
                )
                if of_module:
                    yield from self._named(of_module, node.attr)
                else:
                    for home, owner in classes:
                        if self._defines((home, f"{owner}.{node.attr}")):
                            yield home, f"{owner}.{node.attr}"

    def _defines(self, key: Key) -> bool:
        module = self.module(key[0])
        return module is not None and key[1] in module.definitions

    def _imported_module(self, home: str, name: str) -> str:
        """The followed module that a local name stands for; empty: none."""
        module = self.module(home)
        assert module is not None
        origin, part = module.imports.get(name, ("", ""))
        whole = f"{origin}.{part}" if part else origin
        return whole if origin and self.module(whole) is not None else ""

    def _named(self, home: str, name: str) -> Iterator[Key]:
        """What a global name of a module stands for, if it is followed."""
        if self._defines((home, name)):
            yield home, name
            return
        module = self.module(home)
        assert module is not None
        origin = module.imports.get(name)
        if origin is not None and self._defines(origin):
            yield origin

    def operations(self, key: Key) -> list[str]:
        """Operators, and functions and methods of torch that are called, each once.

        A call counts by its last name where torch or its tensors have one so called and none of
        the code that is followed has; in place (``mul_``) or not is the same operation.
        """
        ours = {name.rpartition(".")[2] for _, name in self._all_definitions()}
        names = set()
        for node in (each for top in self.definition(key).nodes for each in _run(top)):
            if isinstance(node, ast.BinOp | ast.AugAssign):
                names.add(OPERATORS.get(type(node.op), ""))
            elif isinstance(node, ast.UnaryOp) and not isinstance(node.operand, ast.Constant):
                names.add(OPERATORS.get(type(node.op), ""))  # −1 is a number
            elif isinstance(node, ast.Compare):
                names.update(OPERATORS.get(type(each), "") for each in node.ops)
            elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                name = node.func.attr
                if name not in ours and (hasattr(torch, name) or hasattr(torch.Tensor, name)):
                    names.add(name.strip("_"))
        return sorted(names - {""})

    def _all_definitions(self) -> Iterator[Key]:
        for home, module in self._modules.items():
            if module is not None:
                yield from ((home, name) for name in module.definitions)


def source_of(module: str) -> str | None:
    """The source of a module of ``FOLLOWED``; of another, or of what is no module, None."""
    if not any(module == each or module.startswith(f"{each}.") for each in FOLLOWED):
        return None
    try:
        return inspect.getsource(import_module(module))
    except ModuleNotFoundError:
        return None  # a name of a module, not one below it
    except OSError:
        return ""  # an empty file has no source


def comparison(code: Code, updates: dict[str, Key], objective: Key) -> list[list[object]]:
    """Rows of ``COLUMNS``: every definition that is counted, and for whom.

    ``needed_by`` is the one algorithm that needs it, ``both``, or ``objective``: what PPO's
    objective is made of, whoever else needs it.  ``lines`` are non-blank, non-comment,
    non-docstring ones, as the formatter breaks them; imports are not among them.  ``operations``
    are distinct within the definition, separated by blanks.
    """
    needed = {name: code.reached(start) for name, start in updates.items()}
    groups = {
        name: mine.difference(*(others for other, others in needed.items() if other != name))
        for name, mine in needed.items()
    }
    groups["both"] = set.intersection(*needed.values())
    groups["objective"] = code.reached(objective)
    rows: list[list[object]] = []
    for group, keys in groups.items():
        for key in sorted(keys):
            what = code.definition(key)
            rows.append([group, *key, what.kind, what.lines, " ".join(code.operations(key))])
    return rows


def code_size() -> list[list[object]]:
    """:func:`comparison` of PPO's and TRPO's updates as they are here."""
    return comparison(Code(source_of), UPDATES, OBJECTIVE)


def main(arguments: list[str]) -> int:
    """The command line."""
    return probes.main("code_size", COLUMNS, code_size, arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
