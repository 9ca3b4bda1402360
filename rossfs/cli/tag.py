"""`rossfs tag`: one more name for an image."""

from __future__ import annotations

import click

from rossfs.cli.names import complete, parse_tag, resolve
from rossfs.cli.settings import Settings, pass_settings
from rossfs.oci.reference import Reference
from rossfs.store.store import Store

EPILOG = """\b
Examples:
  rossfs tag nginx nginx:stable
  rossfs tag sha256:44136fa3... localhost:5000/lab/app:v1
"""


@click.command(epilog=EPILOG)
@click.argument("image", shell_complete=complete)
@click.argument("name", shell_complete=complete)
@pass_settings
def command(settings: Settings, image: str, name: str) -> None:
    """Make the tag NAME name what IMAGE, a tag or a digest, names now.

    A tag that exists is moved.  Prints the digest, and what the tag named before.
    """
    repository, tag = parse_tag(name)
    with Store.open(settings.store) as store:
        digest = resolve(store, image).digest
        previous = store.set_tag(repository, tag, digest)
    moved = f" (was {previous})" if previous not in (None, digest) else ""
    click.echo(f"{digest} {Reference(repository, tag, None).familiar()}{moved}")
