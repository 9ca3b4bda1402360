"""`rossfs put`: files become content."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator

import click

from rossfs.cli.output import print_json
from rossfs.cli.settings import Settings, pass_settings
from rossfs.cli.stdin import standard_input
from rossfs.errors import UsageError
from rossfs.oci.digest import Digest
from rossfs.oci.quotation import quote
from rossfs.store.store import Store

_CHUNK = 1 << 20

EPILOG = """\b
Examples:
  rossfs put layer.tar.gz config.json
  rossfs put --digest sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a x
  tar -C root -c . | rossfs put -
"""


@click.command(epilog=EPILOG)
@click.argument(
    "files", metavar="FILE...", nargs=-1, required=True, type=click.Path(allow_dash=True)
)
@click.option("--media-type", metavar="TYPE", help="What it is.  [default: found out]")
@click.option("--digest", metavar="DIGEST", help="What FILE must hash to; for one FILE.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
@pass_settings
def command(
    settings: Settings,
    files: tuple[str, ...],
    media_type: str | None,
    digest: str | None,
    as_json: bool,
) -> None:
    """Store each FILE (- is standard input) and print its digest, one a line.

    What is a manifest or an index by its content is filed as one, and refused if what a manifest
    names is not stored yet; everything else is a blob.  Content that nothing names is removed by
    `rossfs gc` after an hour: tag a manifest that names it.
    """
    expected = None if digest is None else Digest.parse(digest)
    if expected is not None and len(files) > 1:
        raise UsageError("--digest goes with one FILE only")
    stored = []
    with Store.open(settings.store) as store:
        for name in files:
            found, size = store.put_blob(media_type, _pieces(name), expected)
            if not as_json:
                click.echo(str(found))
                sys.stdout.flush()
            info = store.stat_blob(found)
            kind = info.media_type if info is not None else media_type
            stored.append({"digest": str(found), "size": size, "media_type": kind, "file": name})
    if as_json:
        print_json(stored)


def _pieces(name: str) -> Iterator[bytes]:
    fd = standard_input().fileno() if name == "-" else os.open(name, os.O_RDONLY | os.O_CLOEXEC)
    try:
        while data := _read(fd, name):
            yield data
    finally:
        if name != "-":
            os.close(fd)


def _read(fd: int, name: str) -> bytes:
    try:
        return os.read(fd, _CHUNK)
    except IsADirectoryError as error:
        raise UsageError(f"{quote(name)} is a directory") from error
    except OSError as error:  # read(2) does not know the name
        error.filename = name
        raise
