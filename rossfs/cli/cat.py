"""`rossfs cat`: the bytes of a file of an image, or of content."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator

import click

from rossfs.cli.names import complete, resolve, split_path
from rossfs.cli.platform import image_named, platform_option
from rossfs.cli.settings import Settings, pass_settings
from rossfs.errors import UsageError
from rossfs.oci.platform import Platform
from rossfs.oci.quotation import quote
from rossfs.store.reader import clip
from rossfs.store.store import Store

_PIECE = 1 << 20

EPILOG = """\b
Examples:
  rossfs cat nginx:/etc/os-release
  rossfs cat lab/app:v1:/srv/app/config.json | jq .
  rossfs cat nginx | jq .layers
  rossfs cat sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a
  rossfs cat --offset 1048576 --length 512 DIGEST | xxd
"""


@click.command(epilog=EPILOG)
@click.argument("names", metavar="NAME[:PATH]", nargs=-1, required=True, shell_complete=complete)
@click.option("--offset", type=click.IntRange(min=0), default=0, help="Begin at this byte.")
@click.option(
    "--length", type=int, default=-1, help="Print this many bytes.  [default: to the end]"
)
@platform_option
@pass_settings
def command(
    settings: Settings,
    names: tuple[str, ...],
    offset: int,
    length: int,
    platform: Platform | None,
) -> None:
    """Print the bytes of the file PATH of the image NAME; or of NAME alone: a digest, or a tag,
    which gives its manifest or index.  Six digits or more are enough of a digest that is stored
    where no other image, or else no other blob, begins with them.

    PATH begins with /: the first `:/` is where NAME ends, whatever colons are in it, as in
    nginx:latest:/etc/passwd or sha256:<hex>:/etc/passwd.  Symbolic links are followed inside the
    image.

    Nothing is printed of content that is damaged.  A range that goes past the end is an error.
    """
    name, *more = names
    image, path = split_path(name)
    if more:
        meant = f", as in {name}:/{more[0].lstrip('/')}" if path is None else ""
        raise UsageError(f"one name at a time; a file of an image is NAME:/PATH{meant}")
    with Store.open(settings.store) as store:
        if path is not None:
            _write(_file(store, image, path, platform, offset, length))
            return
        chosen = image_named(store, name, platform) if platform else resolve(store, name)
        with store.open_blob(chosen.digest) as reader:
            _write(reader.chunks(offset, length))


def _write(pieces: Iterator[bytes]) -> None:
    out = sys.stdout.buffer
    for piece in pieces:
        out.write(piece)
    out.flush()


def _file(
    store: Store, name: str, path: str, platform: Platform | None, offset: int, length: int
) -> Iterator[bytes]:
    """The bytes of a file of an image, in pieces."""
    # Most of what looks into layers is loaded only where somebody does.
    from rossfs.cli.inside import looking_inside
    from rossfs.image.merged import Merged

    with looking_inside(store) as opened:
        image = opened(name, platform)
        found = image.rootfs.resolve(os.fsencode(path))
        if isinstance(found, Merged):
            raise UsageError(f"{quote(path)} is a directory")
        record = image.rootfs.record(found)
        if not stat.S_ISREG(record.mode):
            raise UsageError(f"{quote(path)} is no regular file")
        end = offset + clip(record.size, offset, length)
        layer = image.layers[found.position]
        for at in range(offset, end, _PIECE):
            yield layer.read(found.index, at, min(_PIECE, end - at))
