"""`rossfs status`: what a mount says of itself in .ross/."""

from __future__ import annotations

import json
from typing import Any

import click

from rossfs.cli.output import print_json, time_text
from rossfs.errors import MountFailed, NotFound
from rossfs.fs.mountinfo import Mount, mounts_on
from rossfs.fs.mountpoint import Health, canonical, health

_LOG_LINES = 10
_WIDTH = 24

EPILOG = """\b
Examples:
  rossfs status /mnt/ross
  rossfs status --json /mnt/ross | jq .stats.requests
"""


@click.command(epilog=EPILOG)
@click.argument("mountpoint")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def command(mountpoint: str, as_json: bool) -> None:
    """Show the state of the mount on MOUNTPOINT: its store, its server, its counters.

    Fails if nothing of rossfs is mounted there, or if the mount is dead or does not answer.
    """
    path = canonical(mountpoint)
    mount = _mounted(path)
    state = health(mount)
    status: dict[str, Any] = {
        "mountpoint": path,
        "store": mount.source,
        "state": state.value,
        "options": list(dict.fromkeys(mount.options.split(","))),
    }
    if state is Health.ANSWERS:
        status |= _told(path)
    if as_json:
        print_json(status)
    else:
        _print(status)
    if state is not Health.ANSWERS:
        raise MountFailed(
            f"the server of {path} is gone; mount again, or run `rossfs umount`"
            if state is Health.DEAD
            else f"{path} does not answer"
        )


def _mounted(path: str) -> Mount:
    there = mounts_on(path)
    if not there or not there[-1].ours:
        raise NotFound(f"no rossfs is mounted on {path}")
    return there[-1]


def _told(path: str) -> dict[str, Any]:
    """What the files of .ross/ say."""
    state = f"{path}/.ross"
    damaged = [json.loads(line) for line in _read(f"{state}/damaged").splitlines()]
    return {
        "version": _read(f"{state}/version").strip(),
        "stats": json.loads(_read(f"{state}/stats") or "{}"),
        "damaged": damaged,
        "log": _read(f"{state}/log").splitlines(),
    }


def _read(path: str) -> str:
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def _print(status: dict[str, Any]) -> None:
    for name in ("mountpoint", "store", "state", "version"):
        if name in status:
            click.echo(f"{name + ':':{_WIDTH}}{status[name]}")
    click.echo(f"{'options:':{_WIDTH}}{','.join(status['options'])}")
    for name, value in _flat("", status.get("stats", {})):
        if name not in status:
            click.echo(f"{name + ':':{_WIDTH}}{_readable(name, value)}")
    for item in status.get("damaged", []):
        click.echo(f"{'damaged:':{_WIDTH}}{item['digest']} {item['reason']}")
    for line in status.get("log", [])[-_LOG_LINES:]:
        click.echo(f"{'log:':{_WIDTH}}{line}")


def _readable(name: str, value: Any) -> str:
    if name == "mounted_at":
        return time_text(value)
    return f"{value} s" if name == "uptime" else str(value)


def _flat(prefix: str, values: dict[str, Any]) -> list[tuple[str, Any]]:
    """Nested objects as names joined by dots."""
    rows: list[tuple[str, Any]] = []
    for name, value in values.items():
        if isinstance(value, dict):
            rows += _flat(f"{prefix}{name}.", value)
        else:
            rows.append((f"{prefix}{name}", value))
    return rows
