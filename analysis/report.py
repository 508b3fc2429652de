"""The report: one self-contained HTML file.

python -m analysis.report PLAN.json EPISODES.parquet UPDATES.parquet OUT.html FIGURE.svg…
"""

import base64
import json
import sys
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment

from analysis.curves import final_scores, in_order
from replicate.records import write_atomically

TEMPLATE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>{{ title }}</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 0 auto; padding: 1rem;
 color: #222; }
h1 { line-height: 1.2; } figure { margin: 1.5rem 0; } img { width: 100%; height: auto; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; }
th, td { padding: .3rem .7rem; border-bottom: 1px solid #ccc; text-align: right;
 white-space: nowrap; }
th:first-child, td:first-child { text-align: left; } caption { text-align: left; padding: .4rem 0; }
code { background: #f2f2f2; padding: .1rem .3rem; }
</style>
</head>
<body>
<h1>{{ title }}</h1>
<p>{{ runs }} runs: {{ envs | join(", ") }}; {{ seeds }} seeds each;
{{ "{:,}".format(steps) }} env steps a run; scale <code>{{ scale }}</code>.</p>
{% for figure in figures %}
<figure><img alt="{{ figure.name }}" src="data:image/svg+xml;base64,{{ figure.data }}"></figure>
{% endfor %}
<div class="scroll">
<table>
<caption>Score of a run: mean undiscounted return of its last 100 training episodes (of all, if
fewer). Mean over seeds, and every seed.</caption>
<thead><tr><th>environment</th><th>variant</th><th>mean</th><th>seeds</th><th>episodes</th></tr>
</thead>
<tbody>
{% for row in scores %}
<tr><td>{{ row.env }}</td><td>{{ row.label }}</td><td>{{ "%.0f" | format(row.mean) }}</td>
<td>{{ row.seeds }}</td><td>{{ row.episodes }}</td></tr>
{% endfor %}
</tbody>
</table>
</div>
<div class="scroll">
<table>
<caption>Size of an update: exact KL(old‖new) over its batch, all updates of all seeds.</caption>
<thead><tr><th>environment</th><th>variant</th><th>median</th><th>95 %</th><th>largest</th></tr>
</thead>
<tbody>
{% for row in kl %}
<tr><td>{{ row.env }}</td><td>{{ row.label }}</td><td>{{ "%.2g" | format(row.median) }}</td>
<td>{{ "%.2g" | format(row.high) }}</td><td>{{ "%.2g" | format(row.largest) }}</td></tr>
{% endfor %}
</tbody>
</table>
</div>
<p>Made by <code>snakemake --config study={{ study }} scale={{ scale }}</code>.  Thin on purpose:
three seeds show a picture, not a verdict.</p>
</body>
</html>
"""


def score_rows(episodes: pd.DataFrame, plan: dict[str, Any]) -> list[dict[str, Any]]:
    """Final scores by environment and variant."""
    labels = {entry["variant"]: entry["label"] for entry in plan["runs"]}
    scores = final_scores(episodes)
    rows = []
    for env in in_order(plan, "env"):
        for variant in in_order(plan, "variant"):
            found = scores[(scores.env == env) & (scores.variant == variant)]
            rows.append(
                {
                    "env": env,
                    "label": labels[variant],
                    "mean": found.score.mean(),
                    "seeds": ", ".join(f"{score:.0f}" for score in found.score),
                    "episodes": ", ".join(map(str, found.episodes)),
                }
            )
    return rows


def kl_rows(updates: pd.DataFrame, plan: dict[str, Any]) -> list[dict[str, Any]]:
    """Distribution of KL(old‖new) by environment and variant."""
    labels = {entry["variant"]: entry["label"] for entry in plan["runs"]}
    rows = []
    for env in in_order(plan, "env"):
        for variant in in_order(plan, "variant"):
            kl = updates[(updates.env == env) & (updates.variant == variant)].kl
            spread = {"median": kl.median(), "high": kl.quantile(0.95), "largest": kl.max()}
            rows.append({"env": env, "label": labels[variant], **spread})
    return rows


def main(arguments: list[str]) -> int:
    """The command line."""
    plan_file, episodes_file, updates_file, out, *figures = map(Path, arguments)
    plan = json.loads(plan_file.read_text())
    episodes, updates = pd.read_parquet(episodes_file), pd.read_parquet(updates_file)
    html = (
        Environment(autoescape=True)
        .from_string(TEMPLATE)
        .render(
            title=plan["title"],
            study=plan["study"],
            scale=plan["scale"],
            runs=len(plan["runs"]),
            envs=in_order(plan, "env"),
            seeds=len(in_order(plan, "seed")),
            steps=plan["total_env_steps"],
            figures=[
                {
                    "name": f.stem.replace("_", " "),
                    "data": base64.b64encode(f.read_bytes()).decode(),
                }
                for f in figures
            ],
            scores=score_rows(episodes, plan),
            kl=kl_rows(updates, plan),
        )
    )
    write_atomically(out, html.encode())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
