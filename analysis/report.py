"""The report: one self-contained HTML file that opens anywhere.

python -m analysis.report NAME ROOT COVERAGE.csv OUT.html PLAN.json…

NAME is a scale, ``reference`` or ``reference_<scale>``; ROOT the folder that holds NAME/figures,
NAME/tables, NAME/measures and the finished runs.  Nothing is loaded from outside, every text is
escaped, and the content security policy admits this file's own style sheet and script only.
"""

import base64
import hashlib
import re
import sys
from collections.abc import Iterable, Mapping
from io import BytesIO
from math import isnan
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from analysis import manifest, style
from analysis.errors import one_line_errors
from analysis.figures.learning_curves import draw as draw_learning_curves
from analysis.figures.time_shares import PARTS, cohorts
from analysis.study import Study, read_study
from replicate.records import MANIFEST, DataError, is_reference, write_atomically
from replicate.staleness import CPU_CLASS, Answer, command, compare

HERE = Path(__file__).parent
TITLE = "PPO, TRPO and naive policy gradient: a replication"
MAX_DOWNLOAD_BYTES = 300_000
ENV_COLUMNS = ("environment", "env")
SECONDS_PER_HOUR = 3600

NUMBER = re.compile(r"[−<]? ?\d")

Table = dict[str, Any]
"""``caption``, ``header``, ``rows`` (text), ``words`` (columns without numbers), ``env_column``;
where stored, what is behind it."""


def sha256_base64(text: str) -> str:
    """As a content security policy names an inline script or style."""
    return base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def amount(number: float) -> str:
    """12.3M, 4.1k, 512."""
    for size, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if number >= size:
            return f"{number / size:.3g}{suffix}"
    return f"{number:.3g}"


def unique_runs(studies: Iterable[Study]) -> list[dict[str, Any]]:
    """The runs of all studies, those they share once."""
    return list({run["digest"]: run for study in studies for run in study.runs}.values())


def grid(caption: str, header: list[str], rows: Iterable[Iterable[Any]]) -> Table:
    """A table of the page; a column of environments lets the reader choose one."""
    places = [i for i, cell in enumerate(header) if cell.lower() in ENV_COLUMNS]
    texts = [[str(cell) for cell in row] for row in rows]
    columns = zip(*texts, strict=True)
    return {
        "caption": caption,
        "header": header,
        "rows": texts,
        "words": [i for i, column in enumerate(columns) if not any(map(NUMBER.match, column))],
        "env_column": places[0] if places else None,
        "command": None,
    }


def markdown_rows(text: str) -> list[list[str]]:
    """Cells of a Markdown table, header first."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [
        [cell.strip().replace("\0", "|") for cell in line.replace("\\|", "\0")[1:-1].split("|")]
        for line in lines
    ]
    return [row for row in cells if set("".join(row)) - set("-: ")]


def behind(file: Path, name: str, study: str | None = None) -> dict[str, Any]:
    """The file behind something shown, and the command that makes it."""
    manifest.check([file])
    choice = f"scale={name}" + (f" studies={study}" if study else "")
    data = file.read_bytes()
    small = len(data) <= MAX_DOWNLOAD_BYTES
    return {
        "path": str(file),
        "file": f"{file.parent.name}_{file.name}",
        "command": "snakemake figures"
        if is_reference(name)
        else f"snakemake --config {choice} -- {file}",
        "download": base64.b64encode(data).decode() if small else None,
    }


def stored_table(stem: Path, name: str, study: str) -> Table:
    """A table that the pipeline wrote."""
    manifest.check(stem.with_suffix(suffix) for suffix in (".md", ".caption.txt"))
    header, *rows = markdown_rows(stem.with_suffix(".md").read_text())
    caption = stem.with_suffix(".caption.txt").read_text().strip()
    return {**grid(caption, header, rows), **behind(stem.with_suffix(".csv"), name, study)}


def stored_figure(stem: Path, data: Path, name: str, study: str | None = None) -> dict[str, Any]:
    """A figure that the pipeline drew, and the data it drew."""
    manifest.check(stem.with_suffix(suffix) for suffix in (".svg", ".caption.txt"))
    return {
        "alt": stem.name.replace("_", " "),
        "svg": base64.b64encode(stem.with_suffix(".svg").read_bytes()).decode(),
        "caption": stem.with_suffix(".caption.txt").read_text().strip(),
        **behind(data, name, study),
    }


def environment_curves(
    stem: Path, name: str, study: Study, measures: pd.DataFrame
) -> list[dict[str, Any]]:
    """Learning curves, one picture per environment: legible on a phone.

    ``stem`` names the pipeline's own figure of all of them, whose data stands behind each.
    """
    found = []
    for env in study.envs:
        part = study.on(env)
        _, figure, caption = draw_learning_curves(part, measures[measures.env == env])
        image = BytesIO()
        style.save_svg(figure, image)
        found.append(
            {
                "env": study.env_labels[env],
                "alt": f"learning curves on {study.env_labels[env]}",
                "svg": base64.b64encode(image.getvalue()).decode(),
                "caption": caption,
                **behind(stem.with_suffix(".csv"), name, study.name),
            }
        )
    return found


def section(name: str, folder: Path, study: Study, measures: pd.DataFrame) -> dict[str, Any]:
    """What the page shows of a study."""
    figures = [figure for figure in study.plan["figures"] if figure != "learning_curves"]
    drawn = folder / "figures" / study.name
    return {
        "name": study.name,
        "title": study.plan["title"],
        "question": study.plan["question"],
        "tables": [
            stored_table(folder / "tables" / study.name / table, name, study.name)
            for table in study.plan["tables"]
        ],
        "figures": [
            stored_figure(drawn / f, drawn / f"{f}.csv", name, study.name) for f in figures
        ],
        "curves": environment_curves(drawn / "learning_curves", name, study, measures),
    }


def of_other_software(studies: list[Study]) -> list[tuple[str, list[Answer]]]:
    """What of the runs the software here would not make, or not as far as is known.

    Returns sentences, each with the answers that it counts.
    """
    runs = {run["digest"]: (study, run) for study in studies for run in study.runs}
    answers = [compare(run, [settings_of(study, run)]) for study, run in runs.values()]
    found = []
    for kind, why in (
        ("other", "by software that does other than the present"),
        ("unknown", "by software of which it is not known whether it does as the present"),
    ):
        if counted := [answer for answer in answers if answer.same == kind]:
            made_by = "; ".join(sorted({answer.why for answer in counted}))
            text = f"{len(counted)} of {len(runs)} runs were made {why}: {made_by}"
            found.append((text, counted))
    return found


def settings_of(study: Study, run: dict[str, Any]) -> dict[str, Any]:
    """What a run of a study was asked to do, as far as the plan tells."""
    variant = next(v for v in study.plan["variants"] if v["name"] == run["variant"])
    return {
        "env": {"id": study.plan["envs"][run["env"]], "kwargs": {}},
        "algo": variant.get("algo"),
        "recipe": variant.get("recipe"),
        "seed": run["seed"],
        "total_env_steps": study.total_env_steps,
    }


def elsewhere(runs: list[dict[str, Any]]) -> int:
    """Runs that went on on another class of CPU or device than they began on."""
    return sum(
        any(part.get(key) != run.get(key) for part in run.get("resumed", []) for key in CPU_CLASS)
        for run in runs
    )


def checkouts(run: dict[str, Any]) -> list[dict[str, Any]]:
    """Where a run began, and where it went on from checkpoints: ``commit``, ``dirty``."""
    return [run, *run.get("resumed", [])]


def software_notes(name: str, studies: list[Study]) -> list[tuple[str, str]]:
    """Which runs are of other software than the present, and the command that helps."""
    choice = f"scale={studies[0].plan['scale']} studies={','.join(s.name for s in studies)}"
    # Those of the repository stay: what is trained lies beside them.
    aside = "" if is_reference(name) else f"python -m replicate.retrain {choice} && "
    train = f"{aside}snakemake --config {choice}"
    return [
        (f"{text}. To find out", command(answers))
        if answers[0].same == "unknown"
        else (f"{text}. To train them anew", train)
        for text, answers in of_other_software(studies)
    ]


def notes(name: str, measures: pd.DataFrame, runs: list[dict[str, Any]]) -> list[str]:
    """What a reader must know before the numbers."""
    found = []
    seeds = measures.groupby(["study", "env", "variant"]).seed.nunique().min()
    if seeds < 10:
        found.append(
            f"With {seeds} seeds, intervals are wide and pictures are not verdicts: the coverage "
            "table below says how often such intervals hold the truth."
        )
    diverged = sum(run["status"] == "diverged" for run in runs)
    if diverged:
        found.append(f"{diverged} runs left the finite numbers and are counted as diverged.")
    if moved := elsewhere(runs):
        found.append(
            f"{moved} runs went on, after an interruption, on another class of CPU or device: they "
            "count, but nobody can repeat them bit by bit."
        )
    if is_reference(name):
        found.append("Drawn from the data that came with the repository.")
    return found


def facts(studies: list[Study]) -> list[tuple[str, str]]:
    """Where and with what the runs were made, from their own records."""
    runs, counted = unique_runs(studies), env_steps(studies)
    seconds = sum(counted[key] * pace for key, pace in paces(studies).items())
    steps = sum(run["env_steps"] for run in runs)

    def of(key: str) -> str:
        return ", ".join(sorted({str(run[key]) for run in runs}))

    versions = {f"{k} {v}" for run in runs for k, v in run["versions"].items()}
    commits = {commit_text(checkout) for run in runs for checkout in checkouts(run)}
    resumed = sum(bool(run.get("resumed")) for run in runs)
    return [
        ("Env steps", f"{steps:,} in {len(runs)} runs"),
        ("Time", f"{seconds / SECONDS_PER_HOUR:.2f} core hours of training"),
        ("Processor", f"{of('cpu')} ({of('simd')}), {of('threads')} thread a process"),
        ("Device", of("device")),
        ("Seeds", "one per run: network, action noise, minibatch order and environment"),
        (
            "Tuning",
            "naive policy gradient's step size 1e-2, the best of seven at quick scale, on seeds "
            "that no other study uses (study vpg_step_size); nothing else that came with the suite",
        ),
        ("Software", f"Python {of('python')}, {', '.join(sorted(versions))}"),
        ("Training code", ", ".join(sorted({run["code_digest"][:12] for run in runs}))),
        ("Commit", ", ".join(sorted(commits))),
        ("Interrupted", f"{resumed} runs went on from a checkpoint, {len(runs) - resumed} did not"),
        ("Lock file", ", ".join(sorted({str(run["lock_digest"])[:12] for run in runs}))),
    ]


def commit_text(checkout: dict[str, Any]) -> str:
    """Where code came from, as far as the run says."""
    commit = checkout.get("commit")
    if commit is None:
        return "not recorded"
    return f"{commit[:12]}{' with uncommitted changes' if checkout['dirty'] else ''}"


def cost_table(studies: list[Study]) -> Table:
    """µs per env step by environment and algorithm, and what all runs of the page come to."""
    pace, steps = paces(studies), env_steps(studies)
    rows = [
        (
            env,
            algo,
            amount(steps[env, algo]),
            f"{seconds * steps[env, algo]:.0f}",
            f"{seconds * 1e6:.0f}",
        )
        for (env, algo), seconds in pace.items()
    ]
    header = ["environment", "algorithm", "env steps", "core seconds", "µs per env step"]
    return grid("What these runs cost, lanes in lockstep, one core per cohort.", header, rows)


def paces(studies: list[Study]) -> dict[tuple[str, str], float]:
    """(environment, algorithm) → core seconds per env step, of the cohorts that trained these runs.

    A cohort may have trained runs that are not here: its pace counts, not its total.
    """
    table = pd.concat(cohorts(study) for study in studies).drop_duplicates()
    sums = table.groupby(["env", "algorithm"])[["env_steps", *PARTS]].sum()
    pace = sums[[*PARTS]].sum(axis=1) / sums.env_steps
    return {(env, algo): float(value) for (env, algo), value in pace.items()}


def env_steps(studies: list[Study]) -> dict[tuple[str, str], int]:
    """(environment, algorithm) → env steps of the runs, those that studies share once."""
    counted: dict[str, tuple[str, str, int]] = {}
    for study in studies:
        algorithms = {v["name"]: v["algo"]["name"] for v in study.plan["variants"]}
        for run in study.runs:
            counted[run["digest"]] = run["env"], algorithms[run["variant"]], run["env_steps"]
    found: dict[tuple[str, str], int] = {}
    for env, algo, steps in counted.values():
        found[env, algo] = found.get((env, algo), 0) + steps
    return found


def scale_table(measures: pd.DataFrame, labels: Mapping[str, str]) -> Table:
    """0 and 1 of the published scale."""
    known = measures.groupby("env")[["untrained", "reference_return"]].first()
    rows = [
        (
            labels[env],
            f"{n.untrained:.4g}",
            "–" if isnan(n.reference_return) else f"{n.reference_return:g}",
        )
        for env, n in known.iterrows()
    ]
    header = ["environment", "u = 0: untrained policy", "u = 1: the literature"]
    return grid("The published scale: returns that count as u = 0 and as u = 1.", header, rows)


def coverage_table(coverage: pd.DataFrame) -> Table:
    """How often nominal 95 % intervals hold the truth."""
    keys = ["statistic", "method", "environments", "distribution"]
    wide = coverage.pivot_table(index=keys, columns="seeds", values="coverage", sort=True)
    header = [*keys, *(f"{seeds} seeds" for seeds in wide.columns)]
    rows = [
        (*key, *(f"{value:.0%}" for value in row))
        for key, row in zip(wide.index, wide.values, strict=True)
    ]
    caption = (
        "Simulated coverage of nominal 95 % intervals, by kind of interval and distribution of "
        "scores (python -m analysis.coverage)."
    )
    return grid(caption, header, rows)


def render(name: str, root: Path, studies: list[Study], coverage: pd.DataFrame) -> str:
    """The whole file."""
    folder = root / name
    files = {study.name: folder / "measures" / f"{study.name}.csv" for study in studies}
    manifest.check(files.values())
    by_study = {study: pd.read_csv(file) for study, file in files.items()}
    measures = pd.concat(table.assign(study=name) for name, table in by_study.items())
    sheet, script = ((HERE / f"report.{kind}").read_text() for kind in ("css", "js"))
    runs = unique_runs(studies)
    labels = {env: label for study in studies for env, label in study.env_labels.items()}
    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined
    )
    return environment.get_template("report.html.jinja").render(
        title=TITLE,
        name=name,
        style=Markup(sheet),  # a file of ours
        style_hash=sha256_base64(sheet),
        script=Markup(script),
        script_hash=sha256_base64(script),
        runs=len(runs),
        steps=amount(sum(run["env_steps"] for run in runs)),
        recipes=sorted({study.recipe for study in studies}),
        seeds=" or ".join(map(str, sorted({len(study.seeds) for study in studies}))),
        total_env_steps=max(study.total_env_steps for study in studies),
        envs=list(dict.fromkeys(labels.values())),
        notes=notes(name, measures, runs),
        software_notes=software_notes(name, studies),
        studies=[section(name, folder, study, by_study[study.name]) for study in studies],
        clipped=stored_figure(
            folder / "figures" / "clipped_objective", root / "probes/clipped_objective.csv", name
        ),
        facts=facts(studies),
        costs=cost_table(studies),
        scale=scale_table(measures, labels),
        coverage=coverage_table(coverage),
    )


@one_line_errors
def main(arguments: list[str]) -> int:
    """The command line."""
    name, root, coverage, out, *plans = arguments
    if not plans:
        raise DataError(f"{name}: no study with data to report on")
    studies = [read_study(Path(plan)) for plan in plans]
    manifest.verify(Path(coverage).parent / MANIFEST, [Path(coverage)])
    page = render(name, Path(root), studies, pd.read_csv(coverage))
    write_atomically(Path(out), page.encode())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
