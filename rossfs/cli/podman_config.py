"""`rossfs podman-config`: the lines of storage.conf that let podman run images from a mount."""

from __future__ import annotations

import click

from rossfs.cli.settings import Settings, pass_settings
from rossfs.errors import UsageError
from rossfs.fs.mountof import mount_of
from rossfs.oci.quotation import quote

_LINES = """\
# For /etc/containers/storage.conf, or a file that CONTAINERS_STORAGE_CONF names: podman runs the
# images of the store {store} in place, from its mount, as root.  While nothing is
# mounted there, every podman command fails.
[storage]
driver = "overlay"
# Where podman keeps what is its own; these are its defaults, but have to be said.
runroot = "/run/containers/storage"
graphroot = "/var/lib/containers/storage"

[storage.options]
additionalimagestores = ["{directory}"]
"""

EPILOG = """\b
Examples:
  rossfs podman-config
  rossfs podman-config /mnt/ross >/etc/containers/storage.conf
"""


@click.command(epilog=EPILOG)
@click.argument("mountpoint", required=False)
@pass_settings
def command(settings: Settings, mountpoint: str | None) -> None:
    """Print the lines of storage.conf with which podman runs images from the mount on MOUNTPOINT,
    or from the mount of the store."""
    mount = mount_of(settings.store, mountpoint)
    directory = f"{mount.path}/podman"
    # What would need an escape in TOML, or is one of two directories for podman.
    if not directory.isprintable() or any(sign in directory for sign in '"\\,'):
        raise UsageError(f"podman can be told no directory such as {quote(directory)}")
    store = quote(mount.source) if not mount.source.isprintable() else mount.source
    click.echo(_LINES.format(store=store, directory=directory), nl=False)
