"""`rossfs untag`: names go, content stays."""

from __future__ import annotations

import click

from rossfs.cli.names import complete, tag_in
from rossfs.cli.settings import Settings, pass_settings
from rossfs.errors import TagNotFound
from rossfs.store.store import Store

EPILOG = """\b
Example:
  rossfs untag lab/app:v1 lab/app:v2
"""


@click.command(epilog=EPILOG)
@click.argument("names", metavar="NAME...", nargs=-1, required=True, shell_complete=complete)
@click.option("-f", "--force", is_flag=True, help="A tag that does not exist is no error.")
@pass_settings
def command(settings: Settings, names: tuple[str, ...], force: bool) -> None:
    """Remove the tags NAME.

    What they named stays until `rossfs gc --delete-untagged` removes it.
    """
    with Store.open(settings.store) as store:
        # All are read before the first is removed: one that cannot be leaves everything there.
        for repository, tag in [tag_in(store, name) for name in names]:
            if not store.delete_tag(repository, tag) and not force:
                raise TagNotFound(f"no tag {repository}:{tag}")
