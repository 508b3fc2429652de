"""Figures and tables of a study, in one process: starting one takes longer than drawing.

python -m analysis.products PLAN.json MEASURES.csv FOLDER PRODUCT…

A PRODUCT is ``figures/NAME``, ``figures/ENV/NAME`` (on this environment alone) or ``tables/NAME``,
NAME a module of ``analysis.figures`` or ``analysis.tables`` and ENV a file of ``conf/env``.  Its
files are ``FOLDER/figures/STUDY/NAME.…`` and so on.  It is of the seeds that every environment has,
or where the module says ``ALL_SEEDS`` of all that each has.
"""

import argparse
import importlib
import sys
from pathlib import Path

import pandas as pd

from analysis import figures, manifest, style, tables
from analysis.study import Study, read_study
from replicate.messages import DataError, Parser, one_line_errors
from replicate.settings import nearest
from replicate.store.plans import FIGURE_FILES

PACKAGES = {"figures": figures, "tables": tables}


def make(study: Study, measures: pd.DataFrame, folder: Path, product: str) -> None:
    """Draw a figure or make a table, and write its files.

    Args:
        study, measures: ``analysis.measures``, one row per run.
        folder: of a report.
        product: as on the command line, :func:`known`.

    Raises:
        DataError: the study has no such environment, or its environments have no seed in common.

    """
    kind, *envs, name = product.split("/")
    module = importlib.import_module(f"analysis.{kind}.{name}")
    stem = folder.joinpath(kind, study.name, *envs, name)
    for env in envs:
        if env not in study.envs:
            raise DataError(f"{study.name}: no environment {env!r}; {nearest(env, study.envs)}")
        study, measures = study.on(env), measures[measures.env == env]
    if not getattr(module, "ALL_SEEDS", False):
        study = study.even
        measures = measures[measures.seed.isin(study.seeds)]
    stem.parent.mkdir(parents=True, exist_ok=True)
    if kind == "figures":
        style.use()
        files = [stem.with_suffix(suffix) for suffix in FIGURE_FILES]
        figures.save(module.draw(study, measures), files)
    else:
        tables.save(module.make(study, measures), stem)


def known(product: str) -> str:
    """A product, if there is its module.

    Raises:
        argparse.ArgumentTypeError: there is none.

    """
    kind, name = product.partition("/")[0], product.rpartition("/")[2]
    if kind not in PACKAGES:
        raise argparse.ArgumentTypeError(f"{product}: no such product; {nearest(kind, PACKAGES)}")
    names = {file.stem for file in Path(PACKAGES[kind].__path__[0]).glob("[a-z]*.py")}
    if name not in names:
        raise argparse.ArgumentTypeError(f"{product}: no such product; {nearest(name, names)}")
    return product


@one_line_errors
def main(arguments: list[str]) -> int:
    """The command line."""
    parser = Parser(prog="python -m analysis.products")
    parser.add_argument("plan", type=Path, metavar="PLAN.json")
    parser.add_argument("measures", type=Path, metavar="MEASURES.csv")
    parser.add_argument("folder", type=Path, metavar="FOLDER")
    parser.add_argument("products", type=known, nargs="+", metavar="PRODUCT")
    given = parser.parse_args(arguments)
    manifest.check([given.measures])
    study, measures = read_study(given.plan), pd.read_csv(given.measures)
    for product in given.products:
        make(study, measures, given.folder, product)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
