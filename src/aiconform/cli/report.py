"""``aiconform report``: documents from a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from aiconform.errors import UsageError

if TYPE_CHECKING:
    from aiconform.report.source import Source

FORMATS = ("html", "markdown", "json", "junit")


@click.command()
@click.argument("bundle", type=click.Path(path_type=Path, exists=True))
@click.option(
    "--format", "form", type=click.Choice(FORMATS), default="html", show_default=True, help="Of the document."
)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="File to write; standard output if absent.")
def report(bundle: Path, form: str, output: Path | None) -> None:
    """Render BUNDLE, a directory or its archive, as a page, Markdown, JSON or JUnit."""
    from aiconform.evidence.reader import open_bundle

    text = render(open_bundle(bundle), form)
    if output is None:
        click.echo(text, nl=not text.endswith("\n"))
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as problem:
        raise UsageError(f"cannot write {output}: {problem.strerror}", hint="name another file with -o") from problem


def render(bundle: Source, form: str) -> str:
    """A bundle in one of the formats."""
    from aiconform import report as documents

    renderers = {
        "html": documents.render_html,
        "markdown": documents.render_markdown,
        "json": documents.render_json,
        "junit": documents.render_junit,
    }
    return renderers[form](bundle)
