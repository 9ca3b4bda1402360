"""`rossfs info`: the whole store, counted."""

from __future__ import annotations

import click

from rossfs.cli.output import print_fields, print_json, size_text
from rossfs.cli.settings import Settings, pass_settings
from rossfs.store.store import Store

EPILOG = """\b
Example:
  rossfs --store /srv/ross info --json
"""


@click.command(epilog=EPILOG)
@click.option("--bytes", "exact", is_flag=True, help="Print the size as a number of bytes.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@pass_settings
def command(settings: Settings, exact: bool, as_json: bool) -> None:
    """Show how much the store holds: bytes, blobs, manifests and indexes,
    tags, and layouts that oci/ keeps beside them."""
    with Store.open(settings.store) as store:
        info = store.get_store_info()
        root, writable = store.paths.root, store.writable
    if as_json:
        print_json({"store": root, "writable": writable, **info._asdict()})
        return
    print_fields(
        [
            ("store", root if writable else f"{root} (cannot be written)"),
            ("size", size_text(info.bytes, exact=exact)),
            ("blobs", str(info.blobs)),
            ("manifests", str(info.manifests)),
            ("tags", str(info.tags)),
            ("layouts", str(info.layouts)),
        ]
    )
