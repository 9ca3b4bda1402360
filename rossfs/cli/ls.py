"""`rossfs ls`: the files of an image."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator

import click

from rossfs.cli.entry import as_json, extent_text, layer_text, owner_text, target_text
from rossfs.cli.inside import looking_inside
from rossfs.cli.names import complete, split_path
from rossfs.cli.output import name_text, print_json_array, time_text
from rossfs.cli.platform import platform_option
from rossfs.cli.settings import Settings, pass_settings
from rossfs.errors import UsageError
from rossfs.image.differences import Side, side_of
from rossfs.image.merged import Merged
from rossfs.image.opened import OpenedImage
from rossfs.image.walk import Item, walk
from rossfs.oci.platform import Platform
from rossfs.oci.quotation import quote
from rossfs.store.store import Store

EPILOG = """\b
Examples:
  rossfs ls nginx
  rossfs ls -l nginx /etc/nginx
  rossfs ls -l nginx:/etc/nginx
  rossfs ls -lhR --layers nginx /usr/lib | grep '^02-'
  rossfs ls -R --json nginx | jq -r '.[] | select(.size > 1e7) | .path'
"""


# -h is what ls(1) has it for; the help of this command has only its long name.
@click.command(epilog=EPILOG, context_settings={"help_option_names": ["--help"]})
@click.argument("name", metavar="NAME[:PATH]", shell_complete=complete)
@click.argument("path", required=False)
@click.option("-l", "long", is_flag=True, help="Show mode, links, owner, size, time and target.")
@click.option("-R", "--recursive", is_flag=True, help="Show everything below PATH.")
@click.option("-d", "--directory", is_flag=True, help="Show a directory itself, not what is in it.")
@click.option("-h", "--human-readable", "human", is_flag=True, help="With -l: sizes as 86.1 MB.")
@click.option("--layers", is_flag=True, help="Show in front which layer each path comes from.")
@click.option("-0", "--null", is_flag=True, help="End names with a zero byte, and print them raw.")
@platform_option
@click.option(
    "--json", "as_json_", is_flag=True, help="Print a JSON array, with all that is known."
)
@pass_settings
def command(
    settings: Settings,
    name: str,
    path: str | None,
    long: bool,
    recursive: bool,
    directory: bool,
    human: bool,
    layers: bool,
    null: bool,
    platform: Platform | None,
    as_json_: bool,
) -> None:
    """List the directory PATH of the image NAME, a tag or a digest, or the file PATH.  NAME:/PATH
    is the same, as `rossfs cat` has it.

    What is shown is the image as a container would see it: all layers merged.  Symbolic links are
    followed inside the image, the last one not with -l, as ls(1) has it.  Owners are numbers, times
    are UTC.  Names that begin with a dot are listed; those that a terminal might act on are in
    quotes, with escapes.  With -R, names are paths below PATH.

    The first look into a layer makes a table of it, in cache/ of the store or, where that cannot be
    written, in ~/.cache/rossfs; from then on it takes no time.
    """
    image_name, inside = split_path(name)
    if inside is not None and path is not None:
        raise UsageError(f"two paths: {quote(inside)} and {quote(path)}")
    with Store.open(settings.store) as store, looking_inside(store) as opened:
        image = opened(image_name, platform)
        wanted = os.fsencode(path or inside or "/")
        follow = not (long or directory) or wanted.endswith(b"/")
        found = image.rootfs.resolve(wanted, follow_last=follow)
        if directory or not isinstance(found, Merged):
            rows = iter([(wanted, found)])
            above = b""
        else:
            rows = walk(image.rootfs, found) if recursive else iter(image.rootfs.entries(found))
            above = wanted
        if as_json_:
            print_json_array(_objects(image, above, rows))
            return
        out, end = sys.stdout.buffer, b"\0" if null else b"\n"
        for shown, item in rows:
            side = side_of(image, item)
            text = os.fsdecode(shown) if null else name_text(shown)
            if long:
                text = _long(side, text, human=human)
            if layers:
                text = f"{layer_text(side)} {text}"
            # Not click.echo(): that takes for colours what is part of a name.
            out.write(os.fsencode(text) + end)
        out.flush()


def _long(side: Side, name: str, *, human: bool) -> str:
    record = side.record
    target = target_text(side)
    return (
        f"{stat.filemode(record.mode)} {record.nlink:>2} {owner_text(side):<7} "
        f"{extent_text(side, exact=not human):>10} {time_text(record.mtime_ns // 10**9)} {name}"
        f"{f' -> {target}' if target else ''}"
    )


def _objects(
    image: OpenedImage, above: bytes, rows: Iterator[tuple[bytes, Item]]
) -> Iterator[dict[str, object]]:
    for shown, item in rows:
        path = b"/" + b"/".join(part for part in (above.strip(b"/"), shown.strip(b"/")) if part)
        yield {"path": os.fsdecode(path), **as_json(side_of(image, item))}
