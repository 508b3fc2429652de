"""What the page is made of: tables, pictures, and the files behind them."""

import base64
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from analysis import manifest, slider
from analysis.claims.parts import ENVIRONMENT
from analysis.slider import Slider
from replicate.store.records import is_reference

MAX_DOWNLOAD_BYTES = 300_000
NUMBER = re.compile(r"[−<+×]? ?\d")


@dataclass(frozen=True)
class Source:
    """The file behind something shown, and the command that makes it.

    Args:
        path: as the command names it.
        file: name for the download.
        command: for a shell in the repository.
        download: the file in base64; None: too large to be in the page.

    """

    path: str
    file: str
    command: str
    download: str | None


@dataclass(frozen=True)
class Table:
    """Text in rows.

    Args:
        name: in a few words.
        caption: a sentence.
        header, rows: cells.
        words: columns that hold no numbers.
        env_column: which column names environments.
        more: the rest of the caption.
        source: None: made for the page alone.

    """

    name: str
    caption: str
    header: list[str]
    rows: list[list[str]]
    words: list[int]
    env_column: int | None
    more: str = ""
    source: Source | None = None

    @property
    def by_environment(self) -> bool:
        """Whether it has a row for each environment."""
        return self.env_column is not None


@dataclass(frozen=True)
class Picture:
    """A picture that the pipeline drew.

    Args:
        name: in a few words; also what those read who do not see it.
        svg: the file in base64.
        caption, more: its caption, cut after the first sentence.
        source: the data that it shows.
        env: what people read of the only environment that it is about.
        slider: the same, once for each value of something; its pictures in base64.

    """

    name: str
    svg: str
    caption: str
    more: str
    source: Source
    env: str | None = None
    slider: Slider | None = None


def base64_text(data: bytes) -> str:
    """As a data URI takes it."""
    return base64.b64encode(data).decode()


def amount(number: float) -> str:
    """12.3M, 4.1k, 512."""
    rounded = float(f"{number:.3g}")
    for size, suffix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if rounded >= size:
            return f"{rounded / size:.3g}{suffix}"
    return f"{rounded:.3g}"


def cut(caption: str) -> tuple[str, str]:
    """The first sentence of a caption, and the rest."""
    first, end, rest = caption.strip().partition(". ")
    return first + end.rstrip(), rest


def grid(caption: str, header: list[str], rows: Iterable[Iterable[Any]], name: str = "") -> Table:
    """A table of the page."""
    places = [i for i, cell in enumerate(header) if cell.lower() == ENVIRONMENT]
    texts = [[str(cell) for cell in row] for row in rows]
    columns = zip(*texts, strict=True)
    words = [i for i, column in enumerate(columns) if not any(map(NUMBER.match, column))]
    first, more = cut(caption)
    return Table(name, first, header, texts, words, places[0] if places else None, more)


def narrowed(table: Table, columns: Iterable[int]) -> Table:
    """Some columns of a table."""
    kept = list(columns)
    header = [table.header[i] for i in kept]
    small = grid("", header, [[row[i] for i in kept] for row in table.rows])
    return replace(small, caption=table.caption, more=table.more, source=table.source)


def markdown_rows(text: str) -> list[list[str]]:
    """Cells of a Markdown table, header first."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [
        [cell.strip().replace("\0", "|") for cell in line.replace("\\|", "\0")[1:-1].split("|")]
        for line in lines
    ]
    return [row for row in cells if set("".join(row)) - set("-: ")]


def source(file: Path, name: str, study: str | None = None) -> Source:
    """What is behind something shown in the report ``name``.

    Raises:
        AlteredDataError: it is not the file that the pipeline made.

    """
    manifest.check([file])
    data = file.read_bytes()
    choice = f"scale={name}" + (f" studies={study}" if study else "")
    return Source(
        str(file),
        f"{file.parent.name}_{file.name}",
        "snakemake figures" if is_reference(name) else f"snakemake --config {choice} -- {file}",
        base64_text(data) if len(data) <= MAX_DOWNLOAD_BYTES else None,
    )


def _words(stem: Path) -> str:
    return stem.name.replace("_", " ")


def stored_table(stem: Path, name: str, study: str) -> Table:
    """A table that the pipeline wrote.

    Raises:
        AlteredDataError: one of its files was changed since.

    """
    manifest.check(stem.with_suffix(suffix) for suffix in (".md", ".caption.txt"))
    header, *rows = markdown_rows(stem.with_suffix(".md").read_text(encoding="utf-8"))
    caption = stem.with_suffix(".caption.txt").read_text(encoding="utf-8")
    table = grid(caption, header, rows, _words(stem))
    return replace(table, source=source(stem.with_suffix(".csv"), name, study))


def stored_picture(
    stem: Path,
    name: str,
    study: str | None = None,
    data: Path | None = None,
    env: str | None = None,
) -> Picture:
    """A picture that the pipeline drew.

    Args:
        stem: of its files.
        name: of the report.
        study: that it is of, if of one.
        data: what it shows, where that does not lie beside it.
        env: what people read of the only environment that it is about.

    Raises:
        AlteredDataError: one of its files was changed since.

    """
    manifest.check(stem.with_suffix(suffix) for suffix in (".svg", ".caption.txt"))
    caption, more = cut(stem.with_suffix(".caption.txt").read_text(encoding="utf-8"))
    return Picture(
        _words(stem) + (f" on {env}" if env else ""),
        base64_text(stem.with_suffix(".svg").read_bytes()),
        caption,
        more,
        source(data or stem.with_suffix(".csv"), name, study),
        env,
    )


def moving_picture(stem: Path, name: str, data: Path | None = None) -> Picture:
    """A picture that the pipeline drew for each value of a slider, too.

    Args:
        stem, name, data: of :func:`stored_picture`.

    Raises:
        AlteredDataError: one of its files was changed since.

    """
    file = stem.with_suffix(slider.SUFFIX)
    manifest.check([file])
    steps = slider.read(file)
    encoded = replace(steps, svgs=[base64_text(svg.encode()) for svg in steps.svgs])
    return replace(stored_picture(stem, name, data=data), slider=encoded)
