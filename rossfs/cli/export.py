"""`rossfs export`: an image for other tools."""

from __future__ import annotations

import sys

import click

from rossfs.cli import progress
from rossfs.cli.names import complete, resolve
from rossfs.cli.output import count_text, print_json, size_text
from rossfs.cli.settings import Settings, pass_settings
from rossfs.cli.termination import as_interrupt
from rossfs.errors import UsageError
from rossfs.image.export import export_image
from rossfs.image.transport import STREAM, parse_destination
from rossfs.oci.platform import Platform
from rossfs.store.store import Store

EPILOG = """\b
Examples:
  rossfs export nginx oci:images:nginx      into an OCI layout, as `nginx`
  rossfs export nginx nginx.tar             a tar archive of a layout
  rossfs export nginx --format docker - | docker load
  rossfs export lab/multi docker-archive:arm.tar --platform linux/arm64
"""


@click.command(epilog=EPILOG)
@click.argument("name", shell_complete=complete)
@click.argument("destination", type=click.Path(path_type=str, allow_dash=True))
@click.option(
    "--format",
    "form",
    type=click.Choice(["oci", "docker"]),
    help="What an archive is to be, where DESTINATION does not say.  [default: oci]",
)
@click.option(
    "--platform",
    metavar="OS/ARCH",
    help="Of an index, export the image for this platform only.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@pass_settings
def command(
    settings: Settings,
    name: str,
    destination: str,
    form: str | None,
    platform: str | None,
    as_json: bool,
) -> None:
    """Export the image NAME, a tag or a digest, to DESTINATION.

    DESTINATION is an OCI image layout, DIR or oci:DIR[:TAG], which is made or gets one more image;
    or an archive: FILE.tar or oci-archive:FILE, docker-archive:FILE for docker, - for standard
    output.  Digests stay as they are.  An index goes out with all of its images; a docker archive
    holds one, the one for this machine unless --platform says another.

    A new file or layout appears when it is complete, and not before.  The same image always gives
    the same archive, byte for byte.
    """
    place = parse_destination(destination, docker=None if form is None else form == "docker")
    if place.path == STREAM and sys.stdout.isatty():
        raise UsageError("standard output is a terminal: redirect it")
    chosen = None if platform is None else Platform.parse(platform)
    with as_interrupt(), Store.open(settings.store) as store, progress.shown() as drawn:
        named = resolve(store, name)
        done = export_image(
            store,
            named.digest,
            place,
            reference=named.reference,
            platform=chosen,
            progress=drawn,
        )
    to_stream = place.path == STREAM
    if as_json and not to_stream:
        print_json(
            {
                "digest": str(done.digest),
                "media_type": done.media_type,
                "path": place.path,
                "blobs_written": done.blobs,
                "bytes_written": done.size,
            }
        )
        return
    if not to_stream:
        click.echo(str(done.digest))
    written = f"{count_text(done.blobs, 'blob')}, {size_text(done.size)}"
    click.echo(f"exported {name}: {written}", err=True)
