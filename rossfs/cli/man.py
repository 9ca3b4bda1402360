"""`rossfs man`: the manual page."""

from __future__ import annotations

import click

from rossfs.cli.main import rossfs
from rossfs.cli.manual import render

EPILOG = """\b
Examples:
  rossfs man | man -l -
  rossfs man > /usr/local/share/man/man1/rossfs.1
"""


@click.command(epilog=EPILOG)
def command() -> None:
    """Print the manual page, for man(1) to read."""
    click.echo(render(rossfs), nl=False)
