"""`rossfs mount`, and `mount.rossfs`, which mount(8) calls.

    rossfs mount STORE MOUNTPOINT [-o OPTIONS] [-f]
    mount.rossfs STORE MOUNTPOINT [-sfnv] [-o OPTIONS] [-t TYPE]
    rossfs STORE MOUNTPOINT [-o OPTIONS]      by mount.fuse(8), for the type fuse.rossfs

The helper's flags are mount(8)'s (there -f is fake: check, do not mount), its exit statuses too.
"""

from __future__ import annotations

import getopt
import os
import shlex
import sys
from collections.abc import Sequence
from typing import NamedTuple

import click

from rossfs.cli.layercache import user_cache
from rossfs.cli.main import complain
from rossfs.errors import RossfsError, UsageError
from rossfs.fs.mount import Supervisor, check, mount
from rossfs.fs.options import MountOptions, parse

# mount(8), "EXIT STATUS"
_USAGE = 1
_FAILED = 32

_HELPER_USAGE = (
    "usage: mount.rossfs STORE MOUNTPOINT [-sfnv] [-o OPTIONS] (see `rossfs mount --help`)"
)

OPTIONS_HELP = """\b
Options behind -o, separated by commas:
  ro                    refuse every change
  allow_other           others may use the mount (default for root; noallow_other)
  default_permissions   the kernel checks modes and owners (default; nodefault_permissions)
  uid=, gid=            owner of everything but what is in layers and rootfs/, which is as the
                        tar has it (default: who mounts)
  umask=OCTAL           permissions that nobody gets, in layers and rootfs/ too
  platform=OS/ARCH      whose image an index shows (default: this machine's)
  pin_age=DURATION      how long names in incoming/ protect their blobs, kept (default: 1d)
  cache=DIR             where tables of layers are kept (default: cache/ of the store, or
                        the user's cache where that cannot be written)
  cache_size=SIZE       how much they may take, as 500M or 4G (default: 4G)
  readahead=KIB         how far the kernel reads ahead (default: 2048, where the mounting user
                        may set it)
  nowakeful             let processors sleep between two requests that follow one another
                        (saves power, answers later; only root can keep them awake)
  dev, suid             devices and setuid bits count (default: nodev,nosuid)
  log=FILE              write the log there; SIGUSR1 adds the stacks of all threads
  debug                 log everything
  foreground            do not become a daemon

\b
Examples:
  rossfs mount /var/lib/ross /mnt/ross
  rossfs mount -o ro,platform=linux/arm64 store mnt
  mount -t rossfs -o ro /var/lib/ross /mnt/ross     the same by mount(8), as root
  mount -t fuse.rossfs /var/lib/ross /mnt/ross      likewise, but for dev and suid: never
"""


@click.command(epilog=OPTIONS_HELP)
@click.argument("store")
@click.argument("mountpoint")
@click.option("-o", "options", multiple=True, metavar="OPTIONS", help="Mount options; see below.")
@click.option("-f", "--foreground", is_flag=True, help="Stay in the foreground, log to stderr.")
def command(store: str, mountpoint: str, options: tuple[str, ...], foreground: bool) -> None:
    """Mount the store in directory STORE on MOUNTPOINT.

    Returns when the mount answers, or says why there is none.  SIGTERM and SIGINT end the server
    and unmount; a dead mount that a killed server left on MOUNTPOINT is replaced.
    """
    text = ",".join(options)
    _refuse_remount(text, store, mountpoint)
    chosen = parse(text)._replace(user_cache=user_cache())
    if foreground:
        chosen = chosen._replace(foreground=True)
    supervisor = Supervisor(
        os.environ.pop("NOTIFY_SOCKET", None), journal="JOURNAL_STREAM" in os.environ
    )
    mount(store, mountpoint, chosen, supervisor)


class HelperCall(NamedTuple):
    """What mount(8) asks its helper for."""

    store: str
    mountpoint: str
    options: MountOptions
    fake: bool = False
    verbose: bool = False


def parse_helper(argv: Sequence[str], *, by_fuse: bool = False) -> HelperCall:
    """Read the arguments of `mount.rossfs`; UsageError if they cannot be meant.

    *by_fuse*: mount.fuse calls, which adds `dev` and `suid` for root whoever wants them or not;
    they do not count.
    """
    try:
        flags, places = getopt.gnu_getopt(list(argv), "sfnvrwo:t:N:")
    except getopt.GetoptError as error:
        raise UsageError(error.msg) from error
    if len(places) != 2:
        raise UsageError(_HELPER_USAGE)
    given = {flag for flag, _ in flags}
    text = ",".join(value for flag, value in flags if flag == "-o")
    _refuse_remount(text, *places)
    options = parse(text, sloppy="-s" in given)
    if by_fuse:
        options = options._replace(dev=False, suid=False)
    if "-r" in given:
        options = options._replace(read_only=True)
    return HelperCall(places[0], places[1], options, fake="-f" in given, verbose="-v" in given)


def _refuse_remount(options: str, store: str, mountpoint: str) -> None:
    """UsageError if *options* ask for a change of what is mounted.

    Before they are parsed: mount(8) adds those of the kernel's table, which are not ours.
    """
    if "remount" in options.split(","):
        store, mountpoint = shlex.quote(store), shlex.quote(mountpoint)
        raise UsageError(
            f"rossfs cannot be remounted: unmount it and mount it again, as in "
            f"`umount {mountpoint} && mount -t rossfs -o OPTIONS {store} {mountpoint}`"
        )


def helper(argv: Sequence[str], *, by_fuse: bool = False) -> int:
    """Run `mount.rossfs` with *argv*; returns the exit status of mount(8).  *by_fuse*: see
    `parse_helper`."""
    if any(argument in ("-h", "--help") for argument in argv):
        print(_HELPER_USAGE)
        return 0
    try:
        call = parse_helper(argv, by_fuse=by_fuse)
    except RossfsError as error:
        complain("mount.rossfs", error)
        return _USAGE
    try:
        if call.fake:
            check(call.store, call.mountpoint)
        else:
            chosen = call.options._replace(user_cache=user_cache())
            mount(call.store, call.mountpoint, chosen, Supervisor())
    except (RossfsError, OSError, KeyboardInterrupt) as error:
        complain("mount.rossfs", error)
        return _FAILED
    if call.verbose:
        print(f"mount.rossfs: {call.store} mounted on {call.mountpoint}.", file=sys.stdout)
    return 0
