"""Makes the pictures of the README from a real bundle: ``tools/pictures.py runs/<id>/bundle``.

The screen is drawn by replaying the bundle: the same events in the same words, requirements one after another. The page
is a screenshot in Chromium.
"""

from __future__ import annotations

import io
import subprocess
import sys
import tempfile
from pathlib import Path

import anyio
from rich.console import Console
from rich.terminal_theme import DIMMED_MONOKAI

from aiconform.checks import all_checks
from aiconform.cli.console import Screen
from aiconform.engine import events
from aiconform.engine.conduct import conduct
from aiconform.engine.stage import ReplayStage
from aiconform.evidence.reader import Bundle, open_bundle
from aiconform.report import render_html

IMAGES = Path(__file__).parents[1] / "docs" / "images"
WIDTH = 110
CHROMIUM = ("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars")


def screen(bundle: Bundle, path: Path) -> str:
    """The finished lines of the run's screen, as SVG."""
    console = Console(file=io.StringIO(), record=True, force_terminal=True, width=WIDTH, highlight=False)
    shown = Screen(console.file, console=console)
    checks = {check.requirement: all_checks()[check.requirement] for check in bundle.plan.checks if check.probes}
    console.print("[bold]$[/] aiconform run --local")
    shown.handle(events.RunStarted(bundle.plan, path))

    async def replayed() -> None:
        stage = ReplayStage(bundle)
        await conduct(stage, bundle.plan, checks, shown.handle, keep=False, side_by_side=False)

    anyio.run(replayed)
    elapsed = bundle.records[-1].mono / 1e6
    shown.handle(events.RunFinished(bundle.verdicts, path, bundle.root_sha256, elapsed))
    shown.conclude(path.with_name("report.html"))
    return console.export_svg(title="aiconform", theme=DIMMED_MONOKAI)


def picture(page: Path, target: Path, width: int, height: int) -> None:
    """A screenshot of a file."""
    size = f"--window-size={width},{height}"
    command = [*CHROMIUM, size, "--force-device-scale-factor=1", f"--screenshot={target}", page.as_uri()]
    subprocess.run(command, check=True, capture_output=True)


def main() -> None:
    """Write both pictures."""
    path = Path(sys.argv[1])
    bundle = open_bundle(path)
    with tempfile.TemporaryDirectory() as scratch:
        drawn = screen(bundle, Path("runs") / bundle.plan.run / "bundle")
        box = drawn.partition('viewBox="0 0 ')[2].partition('"')[0].split()
        svg, html = Path(scratch) / "screen.svg", Path(scratch) / "report.html"
        svg.write_text(drawn)
        html.write_text(render_html(bundle))
        picture(svg, IMAGES / "screen.png", round(float(box[0])), round(float(box[1])))
        picture(html, IMAGES / "report.png", 1200, 1500)


if __name__ == "__main__":
    main()
