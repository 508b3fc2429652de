from pathlib import Path
from snakemake.utils import min_version
from replicate.planning.failures import tell_at_exit
from replicate.planning.imports import files_of
from replicate.planning.pipeline import PROBES, pipeline
from replicate.store.files import MANIFEST
from replicate.store.plans import FIGURE_FILES
from replicate.store.records import ENV_TABLES

min_version("9.19")


PLAN = pipeline(config, workflow.is_main_process, Path("results"))
ROOT = PLAN.layout.root
LOGS = f"{ROOT}/logs"
PUBLISHED = [
    f"results/published/{name}.csv"
    for name in ("ppo_table1", "chapter_epsilon", "reference_returns")
]
STORED_PROBES = "results/reference/probes"
# Figure → where the record is that it shows, and its files.
PROBE_FIGURES = {
    "clipped_objective": (
        f"{ROOT}/probes",
        (".svg", ".png", ".caption.txt", ".slider.json", f".{MANIFEST}"),
    ),
    "update_line": (
        STORED_PROBES,
        (*FIGURE_FILES[:-1], ".slider.json", f".{MANIFEST}"),
    ),
    "update_passes": (STORED_PROBES, FIGURE_FILES),
}


wildcard_constraints:
    name="|".join(PLAN.names),
    study="[a-z0-9_]+",
    env="[a-z0-9_]+",
    probe="|".join(PROBES),


localrules:
    all,
    figures,


onerror:
    tell_at_exit(log)


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
        conda:
            "environment.yaml"
        threads: 1
        shell:
            "python -m replicate --cohort {input:q} threads={threads} > {log:q} 2>&1"


rule aggregate:
    input:
        runs=PLAN.runs,
        code=files_of("analysis.aggregate"),
    output:
        multiext(
            f"{ROOT}/{{name}}/data/{{env}}",
            *(f".{table}" for table in (*ENV_TABLES, MANIFEST)),
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
        code=files_of("analysis.measures"),
    output:
        multiext(f"{ROOT}/{{name}}/measures/{{study}}", ".csv", ".manifest.json"),
    log:
        f"{LOGS}/{{name}}_{{study}}_measures.log",
    # Claims wait for all measures and probes, the report for claims: these before pictures.
    priority: 1
    conda:
        "environment.yaml"
    shell:
        "python -m analysis.measures {input.data[0]:q} {input.untrained:q}"
        " {input.published:q} {output:q} > {log:q} 2>&1"


# One rule per study of a report.
for job in PLAN.products_jobs:

    rule:
        name:
            f"products_{job.name}_{job.study}"
        input:
            data=PLAN.data_of(job.name, job.study),
            measures=f"{ROOT}/{job.name}/measures/{job.study}.csv",
            published=PUBLISHED,
            code=sorted({file for each in job.modules for file in files_of(each)}),
        output:
            job.files,
        log:
            f"{LOGS}/{job.name}_{job.study}_products.log",
        conda:
            "environment.yaml"
        params:
            folder=subpath(input.measures, ancestor=2),
            products=job.products,
        shell:
            "python -m analysis.products {input.data[0]:q} {input.measures:q} {params.folder:q}"
            " {params.products:q} > {log:q} 2>&1"


rule probe:
    input:
        code=lambda wildcards: files_of(f"replicate.probes.{wildcards.probe}"),
    output:
        multiext(f"{ROOT}/probes/{{probe}}", ".csv", ".manifest.json"),
    log:
        f"{LOGS}/probe_{{probe}}.log",
    priority: 1
    conda:
        "environment.yaml"
    shell:
        "python -m replicate.probes.{wildcards.probe} {output:q} > {log:q} 2>&1"


rule claims:
    input:
        plans=PLAN.plans,
        measures=PLAN.measures,
        probes=PLAN.probes,
        published=PUBLISHED,
        rules=PLAN.rules_of_claims,
        untrained="results/reference/untrained.csv",
        code=files_of("analysis.claims.__main__"),
    output:
        multiext(f"{ROOT}/{{name}}/claims", ".json", ".csv", ".manifest.json"),
    log:
        f"{LOGS}/{{name}}_claims.log",
    priority: 1
    conda:
        "environment.yaml"
    shell:
        "python -m analysis.claims {wildcards.name} {output:q} --plans {input.plans:q}"
        " --measures {input.measures:q} --probes {input.probes:q}"
        " --published {input.published:q} > {log:q} 2>&1"


# One rule per figure of a probe: drawn once, for all reports.
for figure, (folder, suffixes) in PROBE_FIGURES.items():

    rule:
        name:
            figure
        input:
            data=f"{folder}/{figure}.csv",
            code=files_of(f"analysis.probe_figures.{figure}"),
        output:
            multiext(f"{ROOT}/figures/{figure}", *suffixes),
        log:
            f"{LOGS}/{figure}.log",
        conda:
            "environment.yaml"
        params:
            program=f"analysis.probe_figures.{figure}",
        shell:
            "python -m {params.program} {input.data:q} {output:q} > {log:q} 2>&1"


rule forest:
    input:
        claims=rules.claims.output[0],
        code=files_of("analysis.forest"),
    output:
        multiext(f"{ROOT}/{{name}}/figures/forest", *FIGURE_FILES),
    log:
        f"{LOGS}/{{name}}_forest.log",
    priority: 1
    conda:
        "environment.yaml"
    shell:
        "python -m analysis.forest {input.claims:q} {output:q} > {log:q} 2>&1"


rule report:
    input:
        plans=PLAN.plans,
        measures=PLAN.measures,
        products=lambda wildcards: PLAN.product_files(wildcards.name),
        probe_figures=[
            f"{ROOT}/figures/{figure}{suffix}"
            for figure, (_, suffixes) in PROBE_FIGURES.items()
            for suffix in suffixes
        ],
        forest=rules.forest.output,
        claims=rules.claims.output,
        coverage="results/reference/coverage.csv",
        error_rates="results/reference/error_rates.csv",
        questions="conf/claims/questions.yaml",
        lock="requirements.lock",
        citation="CITATION.cff",
        traces=["results/reference/traces.csv", "results/reference/traces_panel.csv"],
        code=files_of("analysis.report.__main__"),
        page=[
            f"analysis/report/{part}"
            for part in ("page.html.jinja", "parts.html.jinja", "page.css", "page.js")
        ],
    output:
        # Who looks at a report keeps it where its renewal is refused.
        update(f"{ROOT}/{{name}}/report.html"),
    log:
        f"{LOGS}/{{name}}_report.log",
    conda:
        "environment.yaml"
    params:
        root=ROOT,
        # Not of the command: it tells which runs other code made.
        code_digest=PLAN.code_digest,
    shell:
        "python -m analysis.report {wildcards.name} {params.root:q} {output:q}"
        " --plans {input.plans:q} --coverage {input.coverage:q}"
        " --error-rates {input.error_rates:q} > {log:q} 2>&1"
