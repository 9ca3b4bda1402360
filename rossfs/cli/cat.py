"""`rossfs cat`: the bytes of content."""

from __future__ import annotations

import sys

import click

from rossfs.cli.names import complete, resolve
from rossfs.cli.settings import Settings, pass_settings
from rossfs.store.store import Store

EPILOG = """\b
Examples:
  rossfs cat nginx | jq .layers
  rossfs cat sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a
  rossfs cat --offset 1048576 --length 512 DIGEST | xxd
"""


@click.command(epilog=EPILOG)
@click.argument("name", shell_complete=complete)
@click.option("--offset", type=click.IntRange(min=0), default=0, help="Begin at this byte.")
@click.option(
    "--length", type=int, default=-1, help="Print this many bytes.  [default: to the end]"
)
@pass_settings
def command(settings: Settings, name: str, offset: int, length: int) -> None:
    """Print the bytes of NAME: a digest, or a tag, which gives its manifest or index.

    Nothing is printed of content that is damaged.  A range that goes past the end is an error.
    """
    with Store.open(settings.store) as store:
        with store.open_blob(resolve(store, name).digest) as reader:
            out = sys.stdout.buffer
            for piece in reader.chunks(offset, length):
                out.write(piece)
        out.flush()
