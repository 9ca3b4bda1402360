"""`rossfs stat`: what is known of content."""

from __future__ import annotations

from typing import Any

import click

from rossfs.cli.names import complete, resolve
from rossfs.cli.output import print_fields, print_json, size_text, time_text
from rossfs.cli.settings import Settings, pass_settings
from rossfs.errors import BlobNotFound, Damaged
from rossfs.oci.manifest import Manifest
from rossfs.oci.recognise import parse_as
from rossfs.store.content import Content
from rossfs.store.paths import Area
from rossfs.store.store import Store

_KINDS = {Area.BLOBS: "blob", Area.MANIFESTS: "manifest", Area.INDEXES: "index"}

EPILOG = """\b
Examples:
  rossfs stat nginx
  rossfs stat --json DIGEST | jq .size
"""


@click.command(epilog=EPILOG)
@click.argument("names", metavar="NAME...", nargs=-1, required=True, shell_complete=complete)
@click.option("--bytes", "exact", is_flag=True, help="Print sizes as numbers of bytes.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object for each NAME.")
@pass_settings
def command(settings: Settings, names: tuple[str, ...], exact: bool, as_json: bool) -> None:
    """Show what is known of each NAME, a digest, its first digits, or a tag.

    Fails if the bytes are not what the digest says.  Times are those at which the content came and
    was last used, the latter to the day.
    """
    with Store.open(settings.store) as store:
        for number, name in enumerate(names):
            described = _describe(store, name)
            if as_json:
                print_json(described)
                continue
            if number:
                click.echo()
            _print(described, exact=exact)


def _describe(store: Store, name: str) -> dict[str, Any]:
    named = resolve(store, name)
    found = store.contents.settle(named.digest)
    if found is None:
        raise BlobNotFound(f"{named.digest} is not stored")
    store.verifier.check(found)
    described: dict[str, Any] = {
        "digest": str(found.digest),
        "kind": _KINDS[found.area],
        "media_type": found.media_type,
        "size": found.size,
        "created_at": found.created_at,
        "accessed_at": found.accessed_at,
        "path": found.path,
    }
    if named.reference is not None:
        described = {"tag": str(named.reference), **described}
    if found.area is not Area.BLOBS:
        described |= _document(store, found)
    return described


def _document(store: Store, found: Content) -> dict[str, Any]:
    data, media_type = store.get_manifest(found.digest)
    if len(data) != found.size:
        raise Damaged(f"{found.digest} changed while it was read")
    value = parse_as(data, media_type)
    if isinstance(value, Manifest):
        return {
            "config": str(value.config.digest),
            "layers": [
                {"digest": str(layer.digest), "size": layer.size, "media_type": layer.media_type}
                for layer in value.layers
            ],
        }
    return {
        "manifests": [
            {
                "digest": str(item.digest),
                "platform": None if item.platform is None else str(item.platform),
                "stored": store.contents.settle(item.digest) is not None,
            }
            for item in value.manifests
        ]
    }


def _print(described: dict[str, Any], *, exact: bool) -> None:
    fields = []
    for name, value in described.items():
        if name == "layers":
            for number, layer in enumerate(value):
                size = size_text(layer["size"], exact=exact)
                fields.append((f"layer {number}", f"{layer['digest']}  {size}"))
        elif name == "manifests":
            for item in value:
                missing = "" if item["stored"] else "  (not stored)"
                fields.append((item["platform"] or "manifest", f"{item['digest']}{missing}"))
        elif name == "size":
            fields.append((name, size_text(value, exact=exact)))
        elif name.endswith("_at"):
            fields.append((name.removesuffix("_at"), time_text(value)))
        else:
            fields.append((name.replace("_", " "), str(value)))
    print_fields(fields)
