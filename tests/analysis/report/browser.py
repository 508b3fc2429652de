"""A real browser, without a screen and without a network."""

import html
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome")
FLAGS = (
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    *("--enable-logging=stderr", "--hide-scrollbars", "--virtual-time-budget=5000"),
)
POLICY = "Content-Security-Policy"
FRAME = """<!doctype html><body style="margin:0"><iframe style="border:0" srcdoc="{page}"></iframe>
<pre></pre><script>
const frame = document.querySelector("iframe");
frame.addEventListener("load", () => {{
  const page = frame.contentDocument, found = [];
  {script}
  document.querySelector("pre").textContent = JSON.stringify(found);
}});
</script>"""
WIDTHS = """
if ({unfold}) for (const part of page.querySelectorAll("details")) part.open = true;
for (const width of {widths}) {{
  frame.width = width; frame.height = 900;
  const beyond = [];
  for (const part of page.querySelectorAll("body *")) {{
    const box = part.getBoundingClientRect();
    if (box.width && box.right > width + 1 && !part.closest("svg")) beyond.push(part.outerHTML);
  }}
  const last = page.querySelector(".legend").getBoundingClientRect();
  found.push({{width, scroll: page.documentElement.scrollWidth, beyond: beyond.slice(0, 5),
    answered: last.bottom + frame.contentWindow.scrollY}});
}}"""


def find() -> str:
    """Chromium's command; without it the test is skipped, but not in CI."""
    browser = next(filter(None, map(shutil.which, NAMES)), None)
    if browser is None and "CI" not in os.environ:
        pytest.skip("no Chromium here")
    assert browser is not None, "CI must have Chromium"
    return browser


def run(profile: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Chromium with a fresh profile."""
    command = [find(), *FLAGS, f"--user-data-dir={profile}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=180, check=True)


def measured(
    page: str, widths: list[int], folder: Path, unfold: bool = True
) -> list[dict[str, Any]]:
    """How wide a page is in a window of each width, and what sticks out.

    In a frame: a window cannot be as narrow as a phone.

    Args:
        page: its text.
        widths: CSS pixels.
        folder: for files.
        unfold: opens what is folded away first.

    Returns:
        For each width ``width, scroll`` (of the whole page), ``beyond`` (up to five elements that
        reach further to the right) and ``answered`` (where the first screen's legend ends).

    """
    return found(page, WIDTHS.format(widths=widths, unfold=json.dumps(unfold)), folder)


def found(page: str, script: str, folder: Path) -> list[dict[str, Any]]:
    """What a script beside a page finds out about it.

    Args:
        page: its text.
        script: JavaScript that pushes objects onto ``found``; ``page`` is the document.
        folder: for files.

    """
    file = folder / "frame.html"
    file.write_text(FRAME.format(page=html.escape(page), script=script))
    done = run(folder / "profile", "--dump-dom", file.as_uri())
    text = done.stdout.rpartition("<pre>")[2].partition("</pre>")[0]
    objects: list[dict[str, Any]] = json.loads(html.unescape(text))
    return objects
