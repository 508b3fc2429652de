"""What was found, for people: the first screen's answers, and a card for each claim."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from analysis.claims.configuration import CONF
from analysis.claims.ledger import (
    CONTRADICTED,
    IN_PART,
    INCONCLUSIVE,
    NO_EFFECT,
    NO_RULE,
    NOT_RUN,
    SUPPORTED,
)
from analysis.report.elements import Table, grid
from analysis.report.intervals import Forest, forest
from analysis.tables import LARGEST_PLAIN, NONE, number
from replicate.messages import DataError, counted, first_line

QUESTIONS = CONF / "questions.yaml"
OTHERS = "Others"
"""Topic of claims whose letter has none."""
SIGNS = {
    SUPPORTED: "✔",
    IN_PART: "◐",
    CONTRADICTED: "✘",
    NO_EFFECT: "=",
    INCONCLUSIVE: "?",
    NO_RULE: "○",
    NOT_RUN: "–",
}
"""Beside the words and the colour of a verdict."""
MEANINGS = {
    SUPPORTED: "the data back it",
    IN_PART: "some of it; no effect at all can look so, too",
    CONTRADICTED: "the data speak against it",
    NO_EFFECT: "any difference is smaller than matters",
    INCONCLUSIVE: "too few or too short runs to tell",
    NO_RULE: "shown, not judged",
}
BRACKETS = re.compile(r"( ?\[[^]]*\](?: %)?)")
"""An interval, with the blank before it: a phone shows neither."""
SPREAD = " spread"
STORED_PROBES = "reference/probes"
"""Where the records of probes lie that train."""
RETURNS = "source"
"""A column of the table that sets returns beside published ones."""


@dataclass(frozen=True)
class Answer:
    """A verdict as the first screen shows it."""

    claim: str
    verdict: str
    post_hoc: bool
    sentence: str
    runs: str


@dataclass(frozen=True)
class Card:
    """All that is shown of a claim.

    Args:
        record: of ``claims.json``.
        forests: by unit.
        plain: parts without an interval: label, text and verdict.
        tables: beside the verdict.
        scope: scale, recipes, seeds, environments, length and runs.

    """

    record: dict[str, Any]
    forests: list[Forest]
    plain: list[tuple[str, str, str]]
    tables: list[Table]
    scope: str


def read_questions(file: Path = QUESTIONS) -> dict[str, Any]:
    """``questions``, ``words`` and ``topics`` of the report.

    Raises:
        DataError: the file is not made like that.

    """
    try:
        data = yaml.safe_load(file.read_text(encoding="utf-8"))
        questions = [
            {"question": str(q["question"]), "claims": _texts(q["claims"])}
            for q in data["questions"]
        ]
        words, topics = _texts(data["words"]), _texts(data["topics"])
    except (OSError, yaml.YAMLError, AttributeError, KeyError, TypeError) as error:
        raise DataError(f"{file}: not the questions of a report ({first_line(error)})") from None
    return {"questions": questions, "words": words, "topics": topics}


def _texts(mapping: Mapping[object, object]) -> dict[str, str]:
    return {str(key): str(text) for key, text in mapping.items()}


def answers(
    claims: Iterable[dict[str, Any]],
    questions: Iterable[Mapping[str, Any]],
    words: Mapping[str, str],
) -> list[tuple[str, str, list[Answer]]]:
    """Each question with its answer in a few words, and the verdicts that it follows from.

    Args:
        claims: of ``claims.json``.
        questions: each with its ``claims``: name → what it is about, where there are several.
        words: verdict → a word or two.

    Raises:
        DataError: a question names a claim that is none.

    """
    known = {claim["claim"]: claim for claim in claims}
    answered = []
    for question in questions:
        for name in question["claims"]:
            if name not in known:
                raise DataError(f"{QUESTIONS}: {question['question']}: there is no claim {name}")
        text = [answer(known[name]) for name in question["claims"]]
        short = [
            f"{about}: {words.get(a.verdict, a.verdict)}" if about else words.get(a.verdict, "")
            for a, about in zip(text, question["claims"].values(), strict=True)
        ]
        answered.append((question["question"], "; ".join(short), text))
    return answered


def answer(claim: dict[str, Any]) -> Answer:
    """The sentence of a verdict; of a claim that was not run, what it would need."""
    sentence = claim["sentence"]
    if claim["verdict"] == NOT_RUN:
        missing = f" (it needs the studies {', '.join(claim['missing'])})"
        sentence = f"Not run here{missing if claim['missing'] else ''}."
    return Answer(claim["claim"], claim["verdict"], claim["post_hoc"], sentence, extent(claim))


def pieces(text: str) -> list[tuple[str, bool]]:
    """A text cut around its intervals, which are quieter: the second tells which."""
    return [(part, i % 2 == 1) for i, part in enumerate(BRACKETS.split(text)) if part]


def extent(claim: dict[str, Any]) -> str:
    """``36 runs, 3 seeds × 3 environments``; empty where nothing was trained for it."""
    if not claim["runs"]:
        if claim["verdict"] == NOT_RUN:
            return ""
        measured = any(Path(file).parent.match(STORED_PROBES) for file in claim["evidence"])
        return "single updates, no whole training" if measured else "exact, no training"
    envs = len(claim["envs"])
    where = f" × {counted(envs, 'environment')}" if envs else ""
    return f"{counted(claim['runs'], 'run')}, {_seeds(claim)}{where}"


def scope(claim: dict[str, Any]) -> str:
    """Scale, recipes, seeds, environments, length and runs of a claim."""
    if not claim["runs"]:
        return extent(claim)
    parts = [
        f"{_plural('scale', claim['scales'])} {', '.join(claim['scales'])}",
        f"{_plural('recipe', claim['recipes'])} {', '.join(claim['recipes'])}",
        _seeds(claim),
        ", ".join(claim["envs"].values()),
        f"{' or '.join(f'{steps:,}' for steps in claim['total_env_steps'])} env steps a run",
        counted(claim["runs"], "run") + (f" (n = {claim['n']:,})" if claim["n"] else ""),
    ]
    return " · ".join(part for part in parts if part)


def _seeds(claim: dict[str, Any]) -> str:
    """Of each study, where they have unlike numbers."""
    numbers = claim["seeds"]
    return f"{' or '.join(map(str, numbers))} seed{'' if numbers == [1] else 's'}"


def _plural(noun: str, things: list[Any]) -> str:
    return noun if len(things) == 1 else f"{noun}s"


def cards(claims: list[dict[str, Any]], topics: Mapping[str, str]) -> dict[str, list[Card]]:
    """Topic → cards of its claims that were run, in the order of the topics; others at the end."""
    by_topic: dict[str, list[Card]] = {topic: [] for topic in [*topics.values(), OTHERS]}
    for claim in claims:
        if claim["verdict"] != NOT_RUN:
            by_topic[topics.get(claim["claim"][0], OTHERS)].append(card(claim))
    return {topic: of_topic for topic, of_topic in by_topic.items() if of_topic}


def card(claim: dict[str, Any]) -> Card:
    """What is shown of a claim that was run."""
    drawn = [part for part in claim["parts"] if part["estimate"] is not None and _has_bounds(part)]
    units = dict.fromkeys(part["unit"] for part in drawn)
    forests = [forest([p for p in drawn if p["unit"] == unit], unit) for unit in units]
    rest = [part for part in claim["parts"] if part not in drawn]
    plain = [(p["label"], p["text"], p["verdict"] if p["judged"] else "") for p in rest]
    tables = [stored(t) for t in claim["tables"] if t["rows"] and RETURNS not in t["columns"]]
    return Card(claim, forests, plain, tables, scope(claim))


def _has_bounds(part: Mapping[str, Any]) -> bool:
    if part["aim"] == "guard":
        return bool(part["environments"])
    return part["low"] is not None


def not_run(claims: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Claims without a verdict."""
    return [claim for claim in claims if claim["verdict"] == NOT_RUN]


def stored(table: Mapping[str, Any]) -> Table:
    """A table of ``claims.json``; a column's spread goes into its brackets."""
    columns = table["columns"]
    spread = {name for name in columns if name.endswith(SPREAD)}
    header = [name for name in columns if name not in spread]
    rows = []
    for row in table["rows"]:
        cells = dict(zip(columns, row, strict=True))
        rows.append(
            [
                _cell(cells[name])
                + (f" ({_cell(width)})" if (width := cells.get(name + SPREAD)) is not None else "")
                for name in header
            ]
        )
    header = [f"{name} (spread)" if name + SPREAD in spread else name for name in header]
    return grid(table["title"], header, rows)


def _cell(value: Any) -> str:
    if value is None:
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, str):
        text = value.removesuffix(".0")  # of a column that holds words too
        return f"−{text[1:]}" if re.match(r"-\d", text) else text
    # The digits of a larger one would be those of its floating point.
    whole = abs(value) < LARGEST_PLAIN and value == int(value)
    return number(value, 0) if whole else number(value)


def published_returns(claims: Iterable[dict[str, Any]]) -> list[Table]:
    """Returns here beside those of the literature."""
    tables = [table for claim in claims for table in claim["tables"]]
    return [stored(table) for table in tables if table["rows"] and RETURNS in table["columns"]]
