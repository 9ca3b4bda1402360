"""`rossfs systemd`: a unit that mounts a store at boot."""

from __future__ import annotations

import os
import re
import sys

import click

from rossfs.errors import UsageError
from rossfs.fs.options import parse
from rossfs.oci.quotation import quote

_UNIT = """\
# Install as /etc/systemd/system/{name}.service, then: systemctl enable --now {name}
[Unit]
Description=Ross store {store} on {mountpoint}
Documentation=man:rossfs(1)
RequiresMountsFor={needed}
After=local-fs.target

[Service]
Type=notify
NotifyAccess=main
ExecStart={command} mount --foreground{options} -- {store_word} {mountpoint_word}
Restart=on-failure
TimeoutStartSec=90
TimeoutStopSec=60
KillMode=mixed

[Install]
WantedBy=multi-user.target
"""

EPILOG = """\b
Examples:
  rossfs systemd /var/lib/ross /mnt/ross > /etc/systemd/system/rossfs-ross.service
  rossfs systemd -o ro,platform=linux/arm64 /var/lib/ross /mnt/arm
"""


@click.command(epilog=EPILOG)
@click.argument("store")
@click.argument("mountpoint")
@click.option("-o", "options", multiple=True, metavar="OPTIONS", help="Options of the mount.")
def command(store: str, mountpoint: str, options: tuple[str, ...]) -> None:
    """Print a systemd service that mounts STORE on MOUNTPOINT."""
    store, mountpoint = os.path.abspath(store), os.path.abspath(mountpoint)
    joined = ",".join(options)
    # Better refused here than at boot.
    parse(joined)
    for text in (store, mountpoint, joined):
        _check(text)
    click.echo(
        _UNIT.format(
            name="rossfs-" + re.sub(r"[^A-Za-z0-9_.-]", "-", os.path.basename(mountpoint)),
            store=_text(store),
            mountpoint=_text(mountpoint),
            needed=f"{_word(store)} {_word(os.path.dirname(mountpoint))}",
            command=_argument(_program()),
            options=f" -o {_argument(joined)}" if joined else "",
            store_word=_argument(store),
            mountpoint_word=_argument(mountpoint),
        ),
        nl=False,
    )


def _program() -> str:
    """The absolute path of the command that runs now."""
    program = os.path.abspath(sys.argv[0])
    return program if os.path.basename(program) == "rossfs" else "/usr/local/bin/rossfs"


def _text(path: str) -> str:
    """*path* in a description: % begins a specifier (systemd.unit(5))."""
    return path.replace("%", "%%")


def _check(text: str) -> None:
    """UsageError if *text* would end a line of the unit, or join it with the next, or is no UTF-8,
    which systemd wants (systemd.syntax(7))."""
    odd = any(c < " " or c == "\x7f" or "\udc80" <= c <= "\udcff" for c in text)
    if odd or text.endswith("\\"):
        raise UsageError(f"no unit can hold {quote(text)}")


def _argument(text: str) -> str:
    """*text* as one word of a command line, in which $ begins a variable (systemd.service(5),
    "Command lines")."""
    return _word(text).replace("$", "$$")


def _word(text: str) -> str:
    """*text* as one of several words (systemd.syntax(7), "Quoting")."""
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%")
    return (
        escaped if text and all(c.isalnum() or c in "/._-=,:+@" for c in text) else f'"{escaped}"'
    )
