"""`rossfs import`: images from files of other tools."""

from __future__ import annotations

import click

from rossfs.cli import progress
from rossfs.cli.layercache import layer_cache
from rossfs.cli.output import count_text, print_json, size_text
from rossfs.cli.settings import Settings, pass_settings
from rossfs.cli.stdin import standard_input
from rossfs.cli.termination import as_interrupt
from rossfs.errors import UsageError
from rossfs.image.import_ import Import, import_images
from rossfs.image.transport import STREAM, parse_source
from rossfs.store.store import Store

EPILOG = """\b
Examples:
  rossfs import debian/                 an OCI layout; each of its tags becomes a tag of debian
  rossfs import oci:images:v1 lab/app   the image v1 of a layout, as lab/app:latest
  docker save nginx | rossfs import -
  rossfs import app.tar.gz lab/app:v2
"""


@click.command(epilog=EPILOG)
@click.argument("source", type=click.Path(path_type=str, allow_dash=True))
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@pass_settings
def command(settings: Settings, source: str, name: str | None, as_json: bool) -> None:
    """Import images from SOURCE and tag them.

    SOURCE is an OCI image layout (a directory, or a tar archive of one), an archive of `docker
    save` or `podman save`, a directory that skopeo wrote with dir:, or - for an archive on standard
    input; archives may be compressed with gzip.  What it is, is found out; a transport in front
    (oci:, oci-archive:, docker-archive:, dir:) says it, and may choose one image of several, as in
    oci:DIR:TAG, oci:DIR:@0 or docker-archive:FILE:NAME.

    The images get the names that SOURCE has for them, or NAME.  Everything is checked against its
    digest, and only what the store lacks is copied.  If anything is wrong or missing, no tag
    changes.  Layers are looked into on the way: what is wrong inside them is a warning.

    Prints the digest and the tag of each image.
    """
    place = parse_source(source)
    if place.path == STREAM and standard_input().isatty():
        raise UsageError("standard input is a terminal: pipe an archive into `rossfs import -`")
    with as_interrupt(), Store.open(settings.store) as store, progress.shown() as drawn:
        done = import_images(store, place, name, drawn, layer_cache(store))
    for warning in done.warnings:
        click.echo(f"rossfs: warning: {warning}", err=True)
    if as_json:
        print_json(_as_json(done))
        return
    for image in done.images:
        for reference in image.references:
            click.echo(f"{image.digest} {reference.familiar()}")
    copied = f"{count_text(done.blobs_copied, 'new blob')}, {size_text(done.bytes_copied)}"
    click.echo(f"imported {count_text(len(done.images), 'image')}: {copied}", err=True)


def _as_json(done: Import) -> dict[str, object]:
    return {
        "images": [
            {
                "digest": str(image.digest),
                "media_type": image.media_type,
                "tags": [str(reference) for reference in image.references],
            }
            for image in done.images
        ],
        "blobs_copied": done.blobs_copied,
        "bytes_copied": done.bytes_copied,
        "warnings": list(done.warnings),
    }
