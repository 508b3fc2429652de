r"""Tables of a study.  Each module has ``make(study, measures) -> Table``.

The measures are those of ``analysis.measures``, a row for each run.  ``python -m
analysis.products`` makes them.  The CSV holds the numbers; Markdown and LaTeX
(``\usepackage{booktabs}``) hold the same table, formatted for people.
"""

from collections.abc import Iterable, Sequence
from math import floor, isnan, log10
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from analysis import manifest
from replicate.store.files import write_atomically
from replicate.store.plans import TABLE_FILES

NONE = "–"
TOO_FEW = "too few"
SIGNIFICANT_DIGITS = 3
LARGEST_PLAIN = 1e9
SMALLEST_PLAIN = 1e-5
INTERVALS = f"Brackets: 95 % interval (“{TOO_FEW}”: too few runs for one)"

TEX = {
    "\\": r"\textbackslash{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": "$<$",
    ">": "$>$",
    "|": r"$\vert$",
    "‖": r"$\Vert$",
    "−": "$-$",
    "×": r"$\times$",
    "≤": r"$\le$",
    "≥": r"$\ge$",
    "ε": r"$\varepsilon$",
    "β": r"$\beta$",
    "δ": r"$\delta$",
    "τ": r"$\tau$",
    "–": "--",
    "…": r"\dots{}",
    "“": "``",
    "”": "''",
}


class Table(NamedTuple):
    """Numbers, and how people read them.

    Args:
        data: tidy, at full precision.
        shown: text; column names are headings.  A column ``environment`` can be filtered.
        caption: what it shows, over how many runs, with which intervals; plain text.

    """

    data: pd.DataFrame
    shown: pd.DataFrame
    caption: str


def save(table: Table, stem: Path) -> None:
    """Write ``TABLE_FILES``: the table in three forms, caption and the manifest that lists them."""
    csv, md, tex, caption, listed = (stem.with_suffix(suffix) for suffix in TABLE_FILES)
    texts = {
        csv: table.data.to_csv(index=False, float_format="%.6g"),
        md: markdown(table.shown),
        tex: latex(table.shown),
        caption: table.caption.strip() + "\n",
    }
    for path, text in texts.items():
        write_atomically(path, text.encode())
    manifest.write(listed, texts)


def number(value: float, decimals: int | None = None) -> str:
    """A number as text, ``1,234`` or ``−2.50``: three significant digits, or so many decimals."""
    return _number(value, _decimals([value]) if decimals is None else decimals)


def with_interval(estimate: float, low: float, high: float, decimals: int | None = None) -> str:
    """A value with its interval as text: ``0.82 [0.75, 0.89]``.

    All three have the decimals that the largest needs.
    """
    if isnan(estimate):
        return NONE
    if decimals is None:
        decimals = _decimals([x for x in (estimate, low, high) if not isnan(x)])
    texts = [_number(x, decimals) for x in (estimate, low, high)]
    bounds = TOO_FEW if isnan(low) or isnan(high) else f"{texts[1]}, {texts[2]}"
    return f"{texts[0]} [{bounds}]"


def p_text(p_value: float) -> str:
    """A p-value as text: ``0.03``, ``< 0.001``."""
    if isnan(p_value):
        return NONE
    return "< 0.001" if p_value < 0.001 else f"{p_value:.2g}"


def _decimals(values: Sequence[float]) -> int:
    largest = max(map(abs, values), default=0.0)
    if largest == 0 or isnan(largest):
        return 0
    return max(0, SIGNIFICANT_DIGITS - 1 - floor(log10(largest)))


def _number(value: float, decimals: int) -> str:
    if isnan(value):
        return NONE
    tiny = 0 < abs(value) < SMALLEST_PLAIN and decimals > SIGNIFICANT_DIGITS
    if tiny or abs(value) >= LARGEST_PLAIN:
        return f"{value:.1e}".replace("e+", "e").replace("-", "−")
    rounded = round(value, decimals) + 0.0  # not −0
    return f"{rounded:,.{decimals}f}".replace("-", "−")


def markdown(shown: pd.DataFrame) -> str:
    """A pipe table."""
    rows = [list(shown.columns), ["---"] * shown.shape[1], *shown.to_numpy().tolist()]
    return "".join(f"| {' | '.join(_markdown_cell(cell) for cell in row)} |\n" for row in rows)


def _markdown_cell(text: str) -> str:
    return " ".join(str(text).replace("|", "\\|").split())


def latex(shown: pd.DataFrame) -> str:
    """A ``tabular`` with the rules of booktabs; a thin rule between environments."""
    lines = [rf"\begin{{tabular}}{{{'l' * shown.shape[1]}}}", r"\toprule"]
    lines += [_latex_row(shown.columns), r"\midrule"]
    before = None
    for row in shown.itertuples(index=False):
        if before is not None and shown.columns[0] == "environment" and row[0] != before:
            lines.append(r"\addlinespace")
        lines.append(_latex_row(row))
        before = row[0]
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}"]) + "\n"


def _latex_row(cells: Iterable[str]) -> str:
    # Braces keep an opening bracket from being read as an argument of the line end before it.
    return " & ".join("{" + escaped(str(cell)) + "}" for cell in cells) + r" \\"


def escaped(text: str) -> str:
    """Text as LaTeX source."""
    return "".join(TEX.get(sign, sign) for sign in text)
