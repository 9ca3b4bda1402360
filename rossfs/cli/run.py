"""`rossfs run`: an image run by podman, from the mount of the store."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Sequence
from typing import NamedTuple

import click

from rossfs.cli.names import resolve
from rossfs.cli.platform import image_named
from rossfs.cli.settings import Settings, pass_settings
from rossfs.errors import NotFound, UsageError
from rossfs.fs.mountof import mount_of
from rossfs.oci.quotation import quote
from rossfs.store.store import Store

EPILOG = """\b
Examples:
  rossfs run --rm -it debian
  rossfs run --rm --network=none lab/app:v1 ls /
  rossfs run --podman=--runtime=runc --name=web nginx
  rossfs run --print debian
"""


class Call(NamedTuple):
    """The arguments, taken apart."""

    options: tuple[str, ...]
    """For `podman run`."""
    name: str
    words: tuple[str, ...]
    """The command in the container."""


def parse(arguments: Sequence[str]) -> Call:
    """Options come first and are one word each.  UsageError if there is no name after them."""
    for position, argument in enumerate(arguments):
        if not argument.startswith("-"):
            options, words = arguments[:position], arguments[position + 1 :]
            return Call(tuple(options), argument, tuple(words))
    raise UsageError("the name of an image is missing; options with a value are --option=value")


@click.command(
    epilog=EPILOG,
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.option("--print", "only_print", is_flag=True, help="Print the command, and run nothing.")
@click.option("--mount", "mountpoint", metavar="DIR", help="The mount, if the store has several.")
@click.option(
    "--podman",
    "podman_options",
    multiple=True,
    metavar="OPTION",
    help="An option for podman itself, as in --podman=--runtime=runc.",
)
@click.argument(
    "arguments",
    nargs=-1,
    type=click.UNPROCESSED,
    metavar="[OPTION]... NAME [CMD]...",
    required=True,
)
@pass_settings
def command(
    settings: Settings,
    only_print: bool,
    mountpoint: str | None,
    podman_options: tuple[str, ...],
    arguments: tuple[str, ...],
) -> None:
    """Run CMD in the image NAME with podman: nothing is pulled, nothing copied.

    The store must be mounted; the image is read from there, and what the container writes goes to
    podman's own storage.  Other OPTIONs before NAME are those of `podman run`, in one word each:
    --network=none, not --network none.  Options of the storage driver in storage.conf do not count
    for this run.
    """
    call = parse(arguments)
    mount = mount_of(settings.store, mountpoint)
    directory = f"{mount.path}/podman"
    if "," in directory:
        raise UsageError(f"podman takes {quote(directory)} for several directories")
    image = _image(mount.source, call.name, directory)
    words = ["podman", *podman_options, "--storage-opt", f"additionalimagestore={directory}"]
    words += ["run", "--pull=never", *call.options, image, *call.words]
    if only_print:
        click.echo(shlex.join(words))
        return
    sys.stdout.flush()
    try:
        os.execvp(words[0], words)
    except FileNotFoundError:
        raise NotFound("podman is not installed") from None


def _image(path: str, name: str, directory: str) -> str:
    """The id of the image *name* of the store at *path*, as podman finds it in *directory*."""
    with open(f"{directory}/overlay-images/images.json", "rb") as file:
        images = json.load(file)
    with Store.open(path, read_only=True) as store:
        digest = resolve(store, name).digest
        # Podman's own word for an image is the digest of its config.
        if any(image["id"] == digest.hex for image in images):
            return digest.hex
        found = _with(images, f"manifest-{digest}")
        if found is None:
            # An index that no tag names is not there; its image is.
            found = _with(images, f"manifest-{image_named(store, name, None).digest}")
    if found is None:
        raise NotFound(
            f"{name} cannot be run here: {os.path.dirname(directory)}/.ross/log says why"
        )
    return found


def _with(images: Sequence[dict[str, object]], document: str) -> str | None:
    """The id of the image that has *document*."""
    for image in images:
        names = image["big-data-names"]
        if isinstance(names, list) and document in names:
            return str(image["id"])
    return None
