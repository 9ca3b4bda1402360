"""`rossfs umount`."""

from __future__ import annotations

import click

from rossfs.fs.mountpoint import canonical
from rossfs.fs.unmount import unmount

EPILOG = """\b
Examples:
  rossfs umount /mnt/ross
  rossfs umount --lazy /mnt/ross
"""


@click.command(epilog=EPILOG)
@click.argument("mountpoint")
@click.option(
    "-l", "--lazy", is_flag=True, help="Take the mount out of the tree now, even if it is in use."
)
def command(mountpoint: str, lazy: bool) -> None:
    """Unmount the store on MOUNTPOINT and wait until its server has ended.

    A mount that is in use is tried again for a second.  A dead mount is cleared away.
    """
    unmount(canonical(mountpoint), lazy=lazy)
