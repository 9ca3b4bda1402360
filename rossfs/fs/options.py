"""The options of a mount, as they stand behind -o.

Ours, libfuse's, and what mount(8), fstab(5) and systemd add without asking: accepted and, where it
means nothing to a mount of this kind, ignored.  What nobody knows is an error that names it: a
misspelt option must not be half a mount.
"""

from __future__ import annotations

import os
import pwd
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from rossfs.errors import InvalidOption, RossfsError
from rossfs.oci.platform import Platform
from rossfs.oci.quotation import quote

DAY = 86400.0
READAHEAD = 2048
"""KiB; the kernel's default of 128 is half as fast for stored content.  Requests cap at 1 MiB: with
two, a layer is decoded on while the first is on its way; more is no faster."""


class MountOptions(NamedTuple):
    """What was asked of one mount.  None: nothing was said."""

    read_only: bool = False
    allow_other: bool | None = None
    """Others than the mounting user may use it; for root yes unless told otherwise."""
    default_permissions: bool = True
    """The kernel checks modes and owners."""
    uid: int | None = None
    gid: int | None = None
    umask: int | None = None
    readahead: int = READAHEAD
    """KiB that the kernel reads ahead."""
    platform: Platform | None = None
    pin_age: float | None = None
    """Seconds for which a symlink in incoming/ protects what it names, from now on."""
    foreground: bool = False
    debug: bool = False
    log: str | None = None
    """File for the log."""
    cache: str | None = None
    """Directory for the tables of layers."""
    cache_size: int | None = None
    """Bytes that they may take."""
    user_cache: str | None = None
    """The mounting user's cache directory, for a store that cannot be written; no option sets
    it."""
    dev: bool = False
    suid: bool = False
    executable: bool = True
    atime: bool = True
    wakeful: bool = True
    """Processors do not sleep while requests follow one another; root only."""


_FLAGS: dict[str, tuple[str, bool]] = {
    "ro": ("read_only", True),
    "rw": ("read_only", False),
    "allow_other": ("allow_other", True),
    "noallow_other": ("allow_other", False),
    "default_permissions": ("default_permissions", True),
    "nodefault_permissions": ("default_permissions", False),
    "foreground": ("foreground", True),
    "debug": ("debug", True),
    "dev": ("dev", True),
    "nodev": ("dev", False),
    "suid": ("suid", True),
    "nosuid": ("suid", False),
    "exec": ("executable", True),
    "noexec": ("executable", False),
    "atime": ("atime", True),
    "noatime": ("atime", False),
    "wakeful": ("wakeful", True),
    "nowakeful": ("wakeful", False),
}

_IGNORED = frozenset(
    [
        "defaults",
        "auto",
        "noauto",
        "user",
        "nouser",
        "users",
        "owner",
        "group",
        "nofail",
        "_netdev",
        "async",
        "sync",
        "dirsync",
        "relatime",
        "norelatime",
        "strictatime",
        "nostrictatime",
        "diratime",
        "nodiratime",
        "lazytime",
        "nolazytime",
        "mand",
        "nomand",
        "iversion",
        "noiversion",
        "silent",
        "loud",
    ]
)
"""mount(8), "Filesystem-independent mount options", and fstab(5)."""

_IGNORED_PREFIXES = ("x-", "X-", "comment=", "user=")

_DURATION = re.compile(r"(\d+(?:\.\d+)?)([smhdw]?)")
_SIZE = re.compile(r"(\d+(?:\.\d+)?)([kmgtKMGT]?)(?:i?[bB])?")
_SECONDS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": DAY, "w": 7 * DAY}


def parse(text: str, options: MountOptions | None = None, *, sloppy: bool = False) -> MountOptions:
    """Read options separated by commas; what *text* says replaces what *options* had.

    `\\,` and `\\\\` stand for a comma and a backslash in a value.  InvalidOption for an option that
    does not exist (unless *sloppy*: mount(8), -s) or a value that it cannot take.
    """
    values: dict[str, Any] = {}
    for option in _split(text):
        name, equals, value = option.partition("=")
        if not equals and name in _FLAGS:
            field, setting = _FLAGS[name]
            values[field] = setting
        elif equals and name in _VALUES:
            values[name] = _value(name, value)
        elif name in _FLAGS:
            raise InvalidOption(f"mount option {name} takes no value")
        elif name in _VALUES:
            raise InvalidOption(f"mount option {name} needs a value: {name}=...")
        elif option == "remount":
            raise InvalidOption(
                "mount option remount: nothing changes while it is mounted: "
                "unmount, and mount again"
            )
        elif option not in _IGNORED and not option.startswith(_IGNORED_PREFIXES) and not sloppy:
            raise InvalidOption(f"unknown mount option {quote(option)}")
    return (options or MountOptions())._replace(**values)


def _split(text: str) -> list[str]:
    parts = re.findall(r"(?:[^,\\]|\\.|\\$)+", text, re.DOTALL)
    return [re.sub(r"\\(.)", r"\1", part, flags=re.DOTALL) for part in parts]


def _value(name: str, value: str) -> object:
    try:
        return _VALUES[name](value)
    except (ValueError, KeyError, RossfsError) as error:
        reason = str(error) if isinstance(error, RossfsError) else _EXPECTED[name]
        raise InvalidOption(f"mount option {name}={quote(value)}: {reason}") from error


def _user(value: str) -> int:
    return _id(value) if value.isdecimal() else pwd.getpwnam(value).pw_uid


def _group(value: str) -> int:
    import grp

    return _id(value) if value.isdecimal() else grp.getgrnam(value).gr_gid


def _id(value: str) -> int:
    number = int(value)
    if number >= 2**32 - 1:  # -1 means "leave it" to chown(2)
        raise ValueError(value)
    return number


def _umask(value: str) -> int:
    mask = int(value, 8)
    if not 0 <= mask <= 0o777:
        raise ValueError(value)
    return mask


def _kib(value: str) -> int:
    number = int(value)
    if not 0 <= number <= 1 << 20:
        raise ValueError(value)
    return number


def _size(value: str) -> int:
    found = _SIZE.fullmatch(value)
    if found is None:
        raise ValueError(value)
    return int(float(found[1]) * 1024 ** " kmgt".index(found[2].lower() or " "))


def _duration(value: str) -> float:
    found = _DURATION.fullmatch(value)
    if found is None:
        raise ValueError(value)
    return float(found[1]) * _SECONDS[found[2]]


def _path(value: str) -> str:
    if not value:
        raise ValueError(value)
    return os.path.abspath(value)


_VALUES: dict[str, Callable[[str], object]] = {
    "uid": _user,
    "gid": _group,
    "umask": _umask,
    "readahead": _kib,
    "platform": Platform.parse,
    "pin_age": _duration,
    "cache": _path,
    "cache_size": _size,
    "log": _path,
}
_EXPECTED = {
    "uid": "not a user",
    "gid": "not a group",
    "umask": "not an octal number up to 777",
    "readahead": "not a number of KiB up to 1048576",
    "platform": "not a platform such as linux/arm64/v8",
    "pin_age": "not a duration such as 90, 30m, 12h or 7d",
    "cache": "not a path",
    "cache_size": "not a size such as 500M or 4G",
    "log": "not a path",
}


def for_libfuse(options: MountOptions, store: str, *, root: bool) -> set[str]:
    """The options that libfuse and the kernel get (fuse(8)).

    max_read is never among them: pyfuse3 dies of it.  dev and suid are left to root: fusermount3
    refuses them.
    """
    allow_other = root if options.allow_other is None else options.allow_other
    chosen = {
        "ro": options.read_only,
        "allow_other": allow_other,
        "default_permissions": options.default_permissions,
        "dev": options.dev and root,
        "nodev": not options.dev,
        "suid": options.suid and root,
        "nosuid": not options.suid,
        "noexec": not options.executable,
        "noatime": not options.atime,
    }
    name = store.replace("\\", "\\\\").replace(",", "\\,")
    return {
        _FileName(f"fsname={name}"),
        "subtype=rossfs",
        *(option for option, wanted in chosen.items() if wanted),
    }


class _FileName(str):
    """An option with a path in it.  pyfuse3 encodes options as ASCII; a path is any bytes."""

    __slots__ = ()

    def encode(self, encoding: str = "utf-8", errors: str = "strict") -> bytes:
        return os.fsencode(str(self))
