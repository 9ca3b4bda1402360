"""`rossfs rm`: content that nothing needs."""

from __future__ import annotations

import click

from rossfs.cli.names import resolve
from rossfs.cli.settings import Settings, pass_settings
from rossfs.errors import BlobNotFound
from rossfs.store.store import Store

EPILOG = """\b
Example:
  rossfs untag lab/app:old && rossfs rm DIGEST
"""


@click.command(epilog=EPILOG)
@click.argument("names", metavar="DIGEST...", nargs=-1, required=True)
@click.option("-f", "--force", is_flag=True, help="Content that is not stored is no error.")
@pass_settings
def command(settings: Settings, names: tuple[str, ...], force: bool) -> None:
    """Delete blobs, manifests and indexes by DIGEST.

    What a tag names, a manifest or an index needs, or a name in incoming/ leads to is not deleted;
    the error says which.  To delete an image, remove its tags with `rossfs untag` and run
    `rossfs gc --delete-untagged`.
    """
    with Store.open(settings.store) as store:
        for name in names:
            digest = resolve(store, name).digest
            if not store.references.remove_unreferenced(digest) and not force:
                raise BlobNotFound(f"{digest} is not stored")
