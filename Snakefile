from pathlib import Path
from snakemake.utils import min_version
from replicate.plan import pipeline

min_version("9.19")


STUDY = pipeline(config, Path("results/replication"))


localrules:
    all,
    figures,


rule all:
    input:
        STUDY.report,


rule figures:
    input:
        STUDY.figures,


for job in STUDY.jobs:

    rule:
        name:
            f"train_{job.name}"
        input:
            ancient(job.manifest),
        output:
            job.outputs,
        log:
            f"{STUDY.logs}/{job.name}.log",
        priority: job.priority
        retries: 0
        conda:
            "environment.yaml"
        threads: 1
        shell:
            "python -m replicate --cohort {input:q} > {log:q} 2>&1"


rule aggregate:
    input:
        plan=STUDY.plan,
        runs=STUDY.runs,
    output:
        episodes=f"{STUDY.folder}/episodes.parquet",
        updates=f"{STUDY.folder}/updates.parquet",
    log:
        f"{STUDY.logs}/aggregate_{STUDY.name}.log",
    conda:
        "environment.yaml"
    shell:
        "python -m analysis.aggregate {input.plan:q}"
        " {output.episodes:q} {output.updates:q} > {log:q} 2>&1"


rule learning_curves:
    input:
        plan=STUDY.plan,
        episodes=rules.aggregate.output.episodes,
        code=["analysis/learning_curves.py", "analysis/style.py"],
    output:
        figure=multiext(f"{STUDY.folder}/learning_curves", ".svg", ".png", ".csv"),
    log:
        f"{STUDY.logs}/learning_curves_{STUDY.name}.log",
    conda:
        "environment.yaml"
    shell:
        "python -m analysis.learning_curves {input.plan:q} {input.episodes:q}"
        " {output.figure:q} > {log:q} 2>&1"


rule report:
    input:
        plan=STUDY.plan,
        episodes=rules.aggregate.output.episodes,
        updates=rules.aggregate.output.updates,
        figures=STUDY.figures,
        code="analysis/report.py",
    output:
        STUDY.report,
    log:
        f"{STUDY.logs}/report_{STUDY.name}.log",
    conda:
        "environment.yaml"
    shell:
        "python -m analysis.report {input.plan:q} {input.episodes:q} {input.updates:q}"
        " {output:q} {input.figures:q} > {log:q} 2>&1"
