"""Verdicts as people see them."""

import math
from pathlib import Path

import pytest

from analysis.claims.ledger import VERDICTS
from analysis.report import cards
from replicate.messages import DataError
from tests.analysis.report.pages import judged


def test_intervals_are_quieter_than_what_they_are_of() -> None:
    pieces = cards.pieces("it is +0.1 u [−0.1, +0.3] and 0 of 9 [0, 33] %.")
    assert [text for text, quiet in pieces if quiet] == [" [−0.1, +0.3]", " [0, 33] %"]
    assert "".join(text for text, _ in pieces) == "it is +0.1 u [−0.1, +0.3] and 0 of 9 [0, 33] %."


def test_every_verdict_has_a_sign_of_its_own() -> None:
    assert set(cards.SIGNS) == set(VERDICTS)
    assert len(set(cards.SIGNS.values())) == len(VERDICTS)


def test_the_questions_are_answered_by_verdicts() -> None:
    claims = judged()
    told = cards.read_questions()
    answered = cards.answers(claims, told["questions"], told["words"])
    by_claim = {claim["claim"]: claim for claim in claims}
    for _, word, of_question in answered:
        for answer in of_question:
            assert told["words"][answer.verdict] in word
            assert answer.sentence == by_claim[answer.claim]["sentence"] != ""
            trained = answer.claim != "C4"
            assert answer.runs.endswith("environments") == ("3 seeds" in answer.runs) == trained
    assert [question for question, _, _ in answered][:4] == [
        "Why does PPO clip, and does it?",
        "Does the clip help?",
        "Does PPO match or beat TRPO?",
        "Is the paper's ε = 0.2 the best setting of its Table 1?",
    ]
    assert answered[4][1].startswith("larger updates: ")
    not_run = {**by_claim["C5"], "verdict": "not run", "sentence": "", "missing": ["comparison"]}
    answer = cards.answer({**not_run, "runs": 0})
    assert answer.sentence == "Not run here (it needs the studies comparison)."
    with pytest.raises(DataError, match="there is no claim X9"):
        cards.answers(claims, [{"question": "Why?", "claims": {"X9": ""}}], {})


def test_every_claim_has_a_topic_and_is_a_card_or_not_run() -> None:
    claims = judged()
    by_topic = cards.cards(claims, cards.read_questions()["topics"])
    shown = [card.record["claim"] for of_topic in by_topic.values() for card in of_topic]
    missing = [claim["claim"] for claim in cards.not_run(claims)]
    assert sorted(shown + missing) == sorted(claim["claim"] for claim in claims)
    for of_topic in by_topic.values():
        for card in of_topic:
            record = card.record
            if record["runs"]:
                for text in ("scale fixed", "3 seeds", "env steps", *record["envs"].values()):
                    assert text in card.scope


def test_a_letter_without_a_topic_is_among_the_others() -> None:
    claims = judged()
    ours = next(claim for claim in claims if claim["claim"] == "E1")
    by_topic = cards.cards([*claims, {**ours, "claim": "R1"}], {"E": "The clip range ε"})
    assert [card.record["claim"] for card in by_topic["Others"]][-1] == "R1"


def test_a_claim_of_runs_of_two_scales_says_both() -> None:
    record = next(claim for claim in judged() if claim["claim"] == "E1")
    record |= {"scales": ["paper", "ledger"], "total_env_steps": [204_800, 999_424]}
    record |= {"seeds": [3, 10]}
    scope = cards.scope(record)
    assert "· 3 or 10 seeds ·" in scope and ", 3 or 10 seeds × " in cards.extent(record)
    assert "scales paper, ledger ·" in scope and "204,800 or 999,424 env steps a run" in scope


def test_damaged_questions_are_one_line(tmp_path: Path) -> None:
    file = tmp_path / "questions.yaml"
    file.write_text("questions: [1]\n")
    with pytest.raises(DataError, match="not the questions of a report"):
        cards.read_questions(file)


def test_spreads_stand_in_brackets() -> None:
    columns = ["environment", "source", "PPO", "PPO spread", "seeds"]
    rows = [["Hopper-v5", "here", 2316.04, math.pi, 3], ["Hopper-v2", "there", 5.0, "7.0", None]]
    rows.append(["Reacher-v5", "-1.0", -7, "-7.0", None])
    table = cards.stored({"title": "Returns", "columns": columns, "rows": rows})
    assert table.header == ["environment", "source", "PPO (spread)", "seeds"]
    assert table.rows[0] == ["Hopper-v5", "here", "2,316 (3.14)", "3"]
    assert table.rows[1] == ["Hopper-v2", "there", "5 (7)", "–"]
    assert table.rows[2] == ["Reacher-v5", "−1", "−7 (−7)", "–"]
    assert table.by_environment


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("results/replication/probes/two_actions.csv", "exact, no training"),
        ("results/reference/probes/update_anatomy.csv", "single updates, no whole training"),
    ],
)
def test_what_no_study_was_run_for_says_what_it_is_of(file: str, said: str) -> None:
    claim = {"runs": 0, "verdict": "supported", "evidence": [file]}
    assert cards.extent(claim) == said == cards.scope(claim)
    assert cards.extent({**claim, "verdict": "not run"}) == ""
