"""`rossfs report`: one picture of the store."""

from __future__ import annotations

import os
import time

import click

from rossfs import __version__
from rossfs.cli.output import count_text, name_text, size_text, time_text
from rossfs.cli.page import page
from rossfs.cli.picture import FINEST, Scene, Slice, draw
from rossfs.cli.settings import Settings, pass_settings
from rossfs.cli.termination import as_interrupt
from rossfs.errors import Conflict, RossfsError, UsageError
from rossfs.image.configuration import read_config
from rossfs.image.layerhistory import steps
from rossfs.image.outfile import open_output
from rossfs.image.resolve import Image, read
from rossfs.image.sharing import Sharing, share
from rossfs.image.transport import STREAM
from rossfs.image.usage import Amount, Usage, files_in, survey, untagged
from rossfs.oci.digest import Digest
from rossfs.oci.manifest import Manifest
from rossfs.store import durable
from rossfs.store.store import Store

_ROWS = 40
_PATH = 64  # characters of the store's path in the title

EPILOG = """\b
Examples:
  rossfs report store.html
  rossfs report --images 100 store.svg
  rossfs report --format svg - | rsvg-convert -o store.png
"""


@click.command(epilog=EPILOG)
@click.argument("out", type=click.Path(path_type=str, allow_dash=True))
@click.option(
    "--format",
    "form",
    type=click.Choice(["svg", "html"]),
    help="What to write, where the name of OUT does not say it.",
)
@click.option(
    "--images",
    "limit",
    type=click.IntRange(min=1, max=2000),
    default=_ROWS,
    show_default=True,
    metavar="N",
    help="Draw the N images that take most; the others become one line.",
)
@pass_settings
def command(settings: Settings, out: str, form: str | None, limit: int) -> None:
    """Draw the store: its images, the layers that they share, and where the bytes are.

    OUT is FILE.svg, a picture, or FILE.html, a page with the picture and a table of all images; -
    is standard output.  Either is one file that every browser shows, in light or dark as it is set,
    with more about each layer where the pointer rests; there are no scripts in it, and nothing is
    fetched.  A file that exists is replaced once the new one is complete.
    """
    kind = form or _form_of(out)
    if os.path.isdir(out):
        raise Conflict(f"{name_text(out)} is a directory")
    with as_interrupt():
        with Store.open(settings.store) as store:
            usage = survey(store)
            scene = _scene(store, usage, limit)
        for fault in usage.faults:
            click.echo(f"rossfs: {fault}", err=True)
        if kind == "svg":
            document = f'<?xml version="1.0" encoding="UTF-8"?>\n{draw(scene)}'
        else:
            document = page(scene, usage.images)
        with open_output(out) as (fd, path):
            durable.write_all(fd, document.encode(), path)


def _form_of(out: str) -> str:
    extension = os.path.splitext(out)[1].lower()
    if extension == ".svg":
        return "svg"
    if extension in (".html", ".htm"):
        return "html"
    what = "standard output" if out == STREAM else name_text(out)
    raise UsageError(f"{what} does not say what to write: name it .svg or .html, or use --format")


def _scene(store: Store, usage: Usage, limit: int) -> Scene:
    sharing = share(usage, limit, FINEST)
    rest, tables = untagged(store, usage), files_in(store.paths.cache)
    tagged, shared = usage.tagged, usage.shared
    alone = Amount(tagged.number - shared.number, tagged.size - shared.size)
    slices = (
        _slice("shared", "In several images", shared, "content"),
        _slice("alone", "In one image", alone, "content"),
        _slice("untagged", "Not tagged", rest, "content"),
        _slice("cache", "Cache of layer tables", tables, "file"),
    )
    saved = sum(image.total for image in usage.images) - tagged.size
    facts = [count_text(len(usage.images), "image"), f"{size_text(tagged.size)} stored"]
    if saved:
        facts.append(f"{size_text(saved)} saved by sharing")
    return Scene(
        f"Images in {_place(store.paths.root)}",
        " · ".join(facts) if usage.images else "No tag names an image.",
        slices,
        sharing,
        _steps(store, sharing),
        f"rossfs {__version__}, {time_text(int(time.time()))}",
    )


def _place(path: str) -> str:
    """The end of a long path says more than its beginning."""
    return name_text(path if len(path) <= _PATH else f"…{path[-_PATH:]}")


def _slice(kind: str, label: str, amount: Amount, noun: str) -> Slice:
    return Slice(kind, label, amount.size, count_text(amount.number, noun))


def _steps(store: Store, sharing: Sharing) -> dict[Digest, str]:
    """The build steps of the layers that are drawn, where a config tells them."""
    found: dict[Digest, str] = {}
    for row in sharing.rows:
        if all(layer in found for layer in row.layers):
            continue
        try:
            document = read(store, row.digest)
            if not isinstance(document.value, Manifest) or not document.value.is_image:
                continue
            image = Image(row.digest, document.media_type, document.data, document.value)
            config = read_config(store, image)
        except RossfsError:
            continue
        for step in steps(config, image.manifest.layers):
            if step.layer is not None:
                told = " ".join(step.history.created_by.split())
                found.setdefault(step.layer.digest, told.removeprefix("/bin/sh -c #(nop) "))
    return found
