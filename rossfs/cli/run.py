"""`rossfs run`: an image run by podman, from the mount of the store."""

from __future__ import annotations

import json
import os
import shlex
import sys
from collections.abc import Sequence

import click

from rossfs.cli import podmanoptions
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
  rossfs run --rm --network none -v /srv:/srv lab/app:v1 ls /
  rossfs run --runtime runc --name=web nginx
  rossfs run --print debian
"""


OWN = {"--print": False, "--mountpoint": True, "--podman": True, "--help": False}
"""Our options, and whether they have a value; the others are for `podman run`."""

_CALL = "rossfs.run.call"


class RunCommand(click.Command):
    """Leaves to podman what click does not know."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Take the arguments apart, and give click our own."""
        # Before anything else -h is --hostname of podman.
        args = ["--help"] if args == ["-h"] else args
        made = podmanoptions.call(args, OWN, podmanoptions.help_of_podman)
        ctx.meta[_CALL] = made
        return super().parse_args(ctx, [*made.own, "--", *filter(None, [made.name])])


@click.command(
    cls=RunCommand,
    epilog=EPILOG,
    options_metavar="[OPTION]...",
    context_settings={"help_option_names": ["--help"]},
)
@click.option("--print", "only_print", is_flag=True, help="Print the command, and run nothing.")
@click.option(
    "--mountpoint", metavar="DIR", help="Where the store is mounted, if it is at several places."
)
@click.option(
    "--podman",
    "podman_options",
    multiple=True,
    metavar="OPTION",
    help="An option of podman itself, as in --podman=--runtime=runc.",
)
@click.argument("name", metavar="NAME [CMD]...")
@click.pass_context
@pass_settings
def command(
    settings: Settings,
    ctx: click.Context,
    only_print: bool,
    mountpoint: str | None,
    podman_options: tuple[str, ...],
    name: str,
) -> None:
    """Run CMD in the image NAME with podman: nothing is pulled, nothing copied.

    The store must be mounted; the image is read from there, and what the container writes goes to
    podman's own storage.  Other OPTIONs before NAME are those of `podman run`, as its help has
    them; -- may end them.  Options of the storage driver in storage.conf do not count for this run.
    """
    call: podmanoptions.Call = ctx.meta[_CALL]
    mount = mount_of(settings.store, mountpoint)
    directory = f"{mount.path}/podman"
    if "," in directory:
        raise UsageError(f"podman takes {quote(directory)} for several directories")
    image = _image(mount.source, name, directory)
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
