"""`rossfs init`: an empty store."""

from __future__ import annotations

import os

import click

from rossfs.cli.settings import Settings, pass_settings
from rossfs.errors import StoreNotFound
from rossfs.store.store import Store


@click.command(epilog="\b\nExample:\n  rossfs init /srv/ross")
@click.argument("directory", required=False, type=click.Path(path_type=str))
@pass_settings
def command(settings: Settings, directory: str | None) -> None:
    """Make an empty store in DIRECTORY (default: what --store says).

    The directory may be missing or empty.  A store that is there already, of Ross or of rossfs,
    stays as it is.
    """
    path = os.path.abspath(directory or settings.store)
    try:
        Store.open(path, read_only=True).close()
    except (StoreNotFound, PermissionError):
        # What cannot be looked at cannot be made either: that says why.
        Store.create(path).close()
        click.echo(f"made an empty store in {path}")
    else:
        click.echo(f"there is a store in {path} already")
