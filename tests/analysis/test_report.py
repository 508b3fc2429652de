"""The report opens anywhere and trusts nothing it is given."""

import json
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd

from analysis import report

HOSTILE = "<img src=x onerror=alert(1)></script>"


class Elements(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def made(tmp_path: Path) -> str:
    runs = [{"env": "e", "variant": "v", "label": HOSTILE, "seed": s} for s in (0, 1)]
    plan = {
        "study": "comparison",
        "scale": "smoke",
        "title": HOSTILE,
        "total_env_steps": 4096,
        "runs": runs,
    }
    (tmp_path / "plan.json").write_text(json.dumps(plan))
    labels = {"env": ["e", "e"], "variant": ["v", "v"], "seed": [0, 1]}
    episodes = pd.DataFrame({"env_step": [5, 5], "episodic_return": [10.0, 30.0], **labels})
    episodes.to_parquet(tmp_path / "episodes.parquet")
    pd.DataFrame({"kl": [0.01, 0.03], **labels}).to_parquet(tmp_path / "updates.parquet")
    (tmp_path / "curve.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg'/>")
    names = ["plan.json", "episodes.parquet", "updates.parquet", "report.html", "curve.svg"]
    assert report.main([str(tmp_path / name) for name in names]) == 0
    return (tmp_path / "report.html").read_text()


def test_it_is_self_contained_and_escaped(tmp_path: Path) -> None:
    html = made(tmp_path)
    parser = Elements()
    parser.feed(html)
    policy = [a["content"] for tag, a in parser.found if tag == "meta" and "http-equiv" in a]
    assert policy and "default-src 'none'" in str(policy[0])
    sources = [a[key] for _, a in parser.found for key in ("src", "href") if key in a]
    assert sources and all(str(s).startswith("data:") for s in sources)
    assert not any(tag == "script" or "onerror" in a for tag, a in parser.found)


def test_it_shows_the_numbers(tmp_path: Path) -> None:
    html = made(tmp_path)
    assert "<td>20</td>" in html and "10, 30" in html
    assert "<td>0.02</td>" in html and "<td>0.03</td>" in html
