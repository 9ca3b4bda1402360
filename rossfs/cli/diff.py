"""`rossfs diff`: how the files of two images differ."""

from __future__ import annotations

import os
from collections.abc import Iterator

import click

from rossfs.cli.entry import as_json, extent_text, mode_text, owner_text, target_text, type_text
from rossfs.cli.inside import looking_inside
from rossfs.cli.main import complain, status_of
from rossfs.cli.names import complete
from rossfs.cli.output import name_text, print_json_array, size_text, time_text
from rossfs.cli.platform import platform_option
from rossfs.cli.settings import Settings, pass_settings
from rossfs.errors import RossfsError
from rossfs.image.differences import Difference, Side, differences
from rossfs.oci.digest import Digest
from rossfs.oci.platform import Platform
from rossfs.store.store import Store

_DIFFERENT = 1
_TROUBLE = 2

EPILOG = """\b
Examples:
  rossfs diff nginx:1.24 nginx:1.25
  rossfs diff nginx:1.24 nginx:1.25 | grep '^[AC] /etc/'
  rossfs diff --json old new | jq -r '.[] | select(.change == "added") | .path'
  rossfs diff --quiet lab/app:v1 lab/app:rebuilt && echo same
"""


@click.command(epilog=EPILOG)
@click.argument("old", shell_complete=complete)
@click.argument("new", shell_complete=complete)
@click.option("--times", is_flag=True, help="Compare modification times too.")
@click.option("--exit-code", is_flag=True, help="Exit with status 1 if anything differs.")
@click.option("-q", "--quiet", is_flag=True, help="Print nothing; implies --exit-code.")
@platform_option
@click.option("--bytes", "exact", is_flag=True, help="Print sizes as numbers of bytes.")
@click.option("--json", "as_json_", is_flag=True, help="Print a JSON array.")
@click.pass_context
@pass_settings
def command(
    settings: Settings,
    ctx: click.Context,
    old: str,
    new: str,
    times: bool,
    exit_code: bool,
    quiet: bool,
    platform: Platform | None,
    exact: bool,
    as_json_: bool,
) -> None:
    """Show how the files of the image NEW differ from those of OLD; both are tags or digests.

    One line for each path that is added (A), removed (D) or changed (C), as `podman diff` has it,
    with the size or what changed: type, mode, owner, size, content, target, device, xattrs, time.
    Layers do not matter, only what a container would see.  A summary goes to standard error.

    The exit status is 0 whether or not anything differs.  With --exit-code it is as that of
    diff(1): 0 for no difference, 1 for some, 2 or more if there was trouble.
    """
    total = _Total()
    try:
        with Store.open(settings.store) as store, looking_inside(store) as opened:
            before, after = opened(old, platform), opened(new, platform)
            found = differences(before, after, times=times)
            if quiet:
                total.add_first(found)
            elif as_json_:
                print_json_array(_as_json(each) for each in total.adding(found))
            else:
                for each in total.adding(found):
                    click.echo(_line(each, exact=exact))
    except BrokenPipeError:
        raise  # no trouble of ours: main.py has a status for it
    except (RossfsError, OSError) as error:
        if not (exit_code or quiet) or status_of(error) != _DIFFERENT:
            raise
        complain("rossfs", error)
        ctx.exit(_TROUBLE)
    if not quiet and not as_json_:
        click.echo(total.text(exact=exact), err=True)
    if total.changes and (exit_code or quiet):
        ctx.exit(_DIFFERENT)


class _Total:
    """Paths and bytes that were added, removed and changed."""

    def __init__(self) -> None:
        self.changes = 0
        self._paths = {"added": 0, "removed": 0, "changed": 0}
        self._bytes = {"added": 0, "removed": 0, "changed": 0}
        self._linked: set[tuple[Digest, int]] = set()

    def adding(self, found: Iterator[Difference]) -> Iterator[Difference]:
        """Give *found*, counted."""
        for each in found:
            kind = _kind(each)
            self.changes += 1
            self._paths[kind] += 1
            self._bytes[kind] += self._size(each.new) - self._size(each.old)
            yield each

    def add_first(self, found: Iterator[Difference]) -> None:
        """Count whether there is any."""
        next(self.adding(found), None)

    def text(self, *, exact: bool) -> str:
        """The summary."""
        if not self.changes:
            return "no differences"
        parts = []
        for kind, paths in self._paths.items():
            size = self._bytes[kind]
            sign = "-" if size < 0 else "+"
            parts.append(f"{paths} {kind} ({sign}{size_text(abs(size), exact=exact)})")
        return ", ".join(parts)

    def _size(self, side: Side | None) -> int:
        """Bytes of a file; a file with several names counts at the first of them."""
        if side is None or type_text(side) != "file":
            return 0
        if side.record.nlink > 1 and side.layer is not None:
            inode = side.layer.digest, side.place.index
            if inode in self._linked:
                return 0
            self._linked.add(inode)
        return side.record.size


def _kind(difference: Difference) -> str:
    if difference.old is None:
        return "added"
    return "removed" if difference.new is None else "changed"


_LETTERS = {"added": "A", "removed": "D", "changed": "C"}


def _line(difference: Difference, *, exact: bool) -> str:
    path = name_text(b"/" + difference.path)
    text = f"{_LETTERS[_kind(difference)]} {path}"
    side = difference.new or difference.old
    assert side is not None, "a path that is in neither image is in no difference"
    if difference.old is not None and difference.new is not None:
        old, new = difference.old, difference.new
        return (
            f"{text}  {', '.join(_told(what, old, new, exact=exact) for what in difference.what)}"
        )
    target = target_text(side)
    if target:
        return f"{text} -> {target}"
    if type_text(side) == "directory":
        return text if not difference.path else f"{text}/"
    return f"{text}  {extent_text(side, exact=exact)}"


def _told(what: str, old: Side, new: Side, *, exact: bool) -> str:
    """One thing that changed, with what it was and what it is."""
    match what:
        case "type":
            pair = type_text(old), type_text(new)
        case "mode":
            pair = mode_text(old), mode_text(new)
        case "owner":
            pair = owner_text(old), owner_text(new)
        case "size" | "device":
            pair = extent_text(old, exact=exact), extent_text(new, exact=exact)
        case "target":
            pair = target_text(old), target_text(new)
        case "time":
            pair = _time(old), _time(new)
        case _:
            return what
    return f"{what} {pair[0]} -> {pair[1]}"


def _time(side: Side) -> str:
    return time_text(side.record.mtime_ns // 10**9)


def _as_json(difference: Difference) -> dict[str, object]:
    old, new = difference.old, difference.new
    return {
        "path": os.fsdecode(b"/" + difference.path),
        "change": _kind(difference),
        "what": list(difference.what),
        "old": None if old is None else as_json(old),
        "new": None if new is None else as_json(new),
    }
