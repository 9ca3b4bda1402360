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

    What they named stays until `rossfs gc --delete-untagged` removes it.  If one of the tags does
    not exist, none is removed.
    """
    with Store.open(settings.store) as store:
        found = dict.fromkeys(tag_in(store, name) for name in names)
        for repository, tag in found:
            if not force and not store.tags.is_tag(repository, tag):
                raise TagNotFound(f"no tag {repository}:{tag}; none was removed")
        for repository, tag in found:
            store.delete_tag(repository, tag)
