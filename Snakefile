from pathlib import Path
from snakemake.utils import min_version
from replicate.pipeline import pipeline

min_version("9.19")


PLAN = pipeline(config, workflow.is_main_process, Path("results"))
ROOT = PLAN.layout.root
LOGS = f"{ROOT}/logs"
PUBLISHED = [
    f"results/published/{name}.csv"
    for name in ("ppo_table1", "chapter_epsilon", "reference_returns")
]
SHARED_CODE = [
    f"analysis/{name}.py"
    for name in (
        "statistics",
        "aggregates",
        "significance",
        "measures",
        "study",
        "summaries/__init__",
        "summaries/table1",
        "summaries/epsilon",
    )
]


wildcard_constraints:
    name="|".join(PLAN.names),
    study="[a-z0-9_]+",
    env="[a-z0-9_]+",
    figure="[a-z0-9_]+",
    table="[a-z0-9_]+",


localrules:
    all,
    figures,


rule all:
    input:
        PLAN.targets(PLAN.choice.scale),
        PLAN.stamps,


# From the data of the repository: trains nothing.
rule figures:
    input:
        [PLAN.targets(name) for name in PLAN.layout.references],


# One rule per cohort of runs that are not finished; a finished run has none.
for job in PLAN.jobs:

    rule:
        name:
            f"train_{job.name}"
        input:
            ancient(job.manifest),
        output:
            touch(job.stamps),
        log:
            f"{LOGS}/{job.name}.log",
        priority: job.priority
        retries: 0
        conda:
            "environment.yaml"
        threads: 1
        shell:
            "python -m replicate --cohort {input:q} threads={threads} > {log:q} 2>&1"


rule aggregate:
    input:
        runs=PLAN.runs,
        code=["analysis/aggregate.py", "analysis/manifest.py", "replicate/records.py"],
    output:
        multiext(
            f"{ROOT}/{{name}}/data/{{env}}",
            ".episodes.parquet",
            ".updates.parquet",
            ".runs.json",
            ".manifest.json",
        ),
    log:
        f"{LOGS}/{{name}}_{{env}}_aggregate.log",
    conda:
        "environment.yaml"
    params:
        store=PLAN.layout.store,
    shell:
        "python -m analysis.aggregate {params.store:q} {input.runs:q} --out {output:q}"
        " > {log:q} 2>&1"


rule measures:
    input:
        data=PLAN.data,
        untrained="results/reference/untrained.csv",
        published="conf/claims/published_scale.yaml",
        code=["analysis/measures.py", "analysis/study.py"],
    output:
        f"{ROOT}/{{name}}/measures/{{study}}.csv",
    log:
        f"{LOGS}/{{name}}_{{study}}_measures.log",
    conda:
        "environment.yaml"
    shell:
        "python -m analysis.measures {input.data[0]:q} {input.untrained:q}"
        " {input.published:q} {output:q} > {log:q} 2>&1"


rule figure:
    input:
        data=PLAN.data,
        measures=rules.measures.output,
        published=PUBLISHED,
        code=[
            "analysis/figures/{figure}.py",
            *SHARED_CODE,
            "analysis/style.py",
            "analysis/figures/__init__.py",
        ],
    output:
        multiext(
            f"{ROOT}/{{name}}/figures/{{study}}/{{figure}}",
            ".svg",
            ".png",
            ".csv",
            ".caption.txt",
        ),
    log:
        f"{LOGS}/{{name}}_{{study}}_figure_{{figure}}.log",
    conda:
        "environment.yaml"
    shell:
        "python -m analysis.figures.{wildcards.figure} {input.data[0]:q} {input.measures:q}"
        " {output:q} > {log:q} 2>&1"


rule table:
    input:
        data=PLAN.data,
        measures=rules.measures.output,
        published=PUBLISHED,
        code=["analysis/tables/{table}.py", *SHARED_CODE, "analysis/tables/__init__.py"],
    output:
        multiext(
            f"{ROOT}/{{name}}/tables/{{study}}/{{table}}",
            ".csv",
            ".md",
            ".tex",
            ".caption.txt",
        ),
    log:
        f"{LOGS}/{{name}}_{{study}}_table_{{table}}.log",
    conda:
        "environment.yaml"
    shell:
        "python -m analysis.tables.{wildcards.table} {input.data[0]:q} {input.measures:q}"
        " {output:q} > {log:q} 2>&1"


rule probe:
    input:
        code=["replicate/probes/{figure}.py", "replicate/maths/objectives.py"],
    output:
        f"{ROOT}/probes/{{figure}}.csv",
    log:
        f"{LOGS}/probe_{{figure}}.log",
    conda:
        "environment.yaml"
    shell:
        "python -m replicate.probes.{wildcards.figure} {output:q} > {log:q} 2>&1"


rule claims:
    input:
        plans=PLAN.plans,
        measures=PLAN.measures,
        probes=PLAN.probes,
        published=PUBLISHED,
        rules=PLAN.rules_of_claims,
        untrained="results/reference/untrained.csv",
        code=["analysis/ledger.py", "analysis/measures.py", *SHARED_CODE],
    output:
        multiext(f"{ROOT}/{{name}}/claims", ".json", ".csv"),
    log:
        f"{LOGS}/{{name}}_claims.log",
    conda:
        "environment.yaml"
    shell:
        "python -m analysis.claims {wildcards.name} {output:q} --plans {input.plans:q}"
        " --measures {input.measures:q} --probes {input.probes:q}"
        " --published {input.published:q} > {log:q} 2>&1"


rule clipped_objective:
    input:
        data=f"{ROOT}/probes/clipped_objective.csv",
        code=["analysis/clipped_objective.py", "analysis/style.py"],
    output:
        multiext(
            f"{ROOT}/{{name}}/figures/clipped_objective",
            ".svg",
            ".png",
            ".caption.txt",
        ),
    log:
        f"{LOGS}/{{name}}_clipped_objective.log",
    conda:
        "environment.yaml"
    shell:
        "python -m analysis.clipped_objective {input.data:q} {output:q} > {log:q} 2>&1"


rule report:
    input:
        plans=PLAN.plans,
        measures=PLAN.measures,
        products=lambda wildcards: PLAN.products(wildcards.name),
        clipped=rules.clipped_objective.output,
        claims=rules.claims.output,
        coverage="results/reference/coverage.csv",
        lock="requirements.lock",
        traces=["results/reference/traces.csv", "results/reference/traces_panel.csv"],
        code=[
            "analysis/report.py",
            "analysis/report.html.jinja",
            "analysis/report.css",
            "analysis/report.js",
            "analysis/figures/learning_curves.py",
            "analysis/figures/time_shares.py",
        ],
    output:
        f"{ROOT}/{{name}}/report.html",
    log:
        f"{LOGS}/{{name}}_report.log",
    conda:
        "environment.yaml"
    params:
        root=ROOT,
        # Not of the command: it tells which runs other code made.
        code_digest=PLAN.code_digest,
    shell:
        "python -m analysis.report {wildcards.name} {params.root:q} {input.coverage:q}"
        " {output:q} {input.plans:q} > {log:q} 2>&1"
