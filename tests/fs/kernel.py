"""What pyfuse3 hands to handlers, made without a kernel, and asking handlers that wait for nothing.

pyfuse3 lets nobody else make contexts, so their C struct is filled in place, as pyfuse3 3.4 and 3.5
lay it out; `context` checks what pyfuse3 reads back.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Coroutine
from types import SimpleNamespace
from typing import Any, TypeVar, cast

import pyfuse3

T = TypeVar("T")

_HEAD = object.__basicsize__


def context(
    pid: int = 4321, uid: int = 1000, gid: int = 1000, umask: int = 0o022
) -> pyfuse3.RequestContext:
    """Who makes a request."""
    made = pyfuse3.RequestContext()
    fields = struct.pack("=IiII", uid, pid, gid, umask)
    ctypes.memmove(id(made) + _HEAD, fields, len(fields))
    assert (made.uid, made.pid, made.gid, made.umask) == (uid, pid, gid, umask)
    return made


def changed(**what: bool) -> pyfuse3.SetattrFields:
    """Which attributes a SETATTR request changes: changed(mode=True)."""
    names = ("atime", "mtime", "ctime", "mode", "uid", "gid", "size")
    fields = {f"update_{name}": what.pop(name, False) for name in names}
    assert not what
    return cast(pyfuse3.SetattrFields, SimpleNamespace(**fields))


def at_once(coroutine: Coroutine[Any, Any, T]) -> T:
    """The result of a handler that must not wait for anything."""
    try:
        coroutine.send(None)
    except StopIteration as end:
        return cast(T, end.value)
    coroutine.close()
    raise AssertionError("the handler waited")
