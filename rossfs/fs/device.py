"""/dev/fuse itself: every request of a mount is read here, and some are answered here.

The others are handed on to libfuse, and so to pyfuse3.  libfuse reads requests from its descriptor
and writes replies to it.  For the moment of reading, its descriptor is exchanged (dup2(2)) for a
file in memory with the one request in it; from the first thing that pyfuse3 does about it, which is
to ask `Handlers` for the handler, replies go straight to the device again.  Nothing else runs in
between: pyfuse3 reads as soon as it was told that it can (turns.py), and notices have a descriptor
of their own (notices.py).
"""

from __future__ import annotations

import errno
import logging
import os
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from typing import TypeVar

import trio
from pyfuse3 import FUSEError

from rossfs.fs import wire
from rossfs.fs.direct import NONE, Answer, Body
from rossfs.fs.ending import asked_to_end
from rossfs.fs.notices import Notices
from rossfs.tree.node import is_writing

log = logging.getLogger("rossfs.fs")

T = TypeVar("T")

_header = wire.IN_HEADER.unpack_from
_reply = wire.OUT_HEADER.pack

MOST = 1 << 28
"""Bytes of a buffer with which read(2) has no reason to fail for its size
(/proc/sys/fs/fuse/max_pages_limit)."""

PATIENT = frozenset(("lookup", "open"))
"""Handlers that may wait until a layer is read or content is hashed, and leave nothing half done
when they are cancelled."""

WATCH = 0.1
"""Seconds between two looks at who waits, and took one signal already."""

NOTHING = (errno.EINTR, errno.ENOENT)
"""read(2): there was a request, and who made it gave up; or a signal came."""


class Device:
    """The connection of one mount.  *answers* as Direct.answers; *failure* as Boundary.failure;
    *ahead*: does a little of what may be asked for next, and says whether there was any."""

    def __init__(
        self,
        answers: Mapping[int, Answer],
        failure: Callable[[str, Exception], FUSEError],
        notices: Notices,
        ahead: Callable[[], bool] = bool,
    ) -> None:
        self._answers = {**answers, wire.INTERRUPT: self._interrupt}
        self._failure = failure
        self._notices = notices
        self.ahead = ahead
        self._request = memoryview(bytearray(wire.LARGEST))
        self._buffers = (self._request,)
        self._given = os.memfd_create("rossfs-request")
        self._length = 0
        """Bytes of the request in that file."""
        self._libfuse = -1
        self._away = False
        """libfuse's descriptor is that file."""
        self._awaited: dict[int, tuple[trio.CancelScope, int]] = {}
        """What may take long, and who waits for it: the number of a thread."""
        self._start: Callable[..., object] = trio.lowlevel.spawn_system_task
        self.fd = -1

    def answer_in(self, nursery: trio.Nursery) -> None:
        """Let *nursery* have the tasks of what is answered later."""
        self._start = nursery.start_soon

    def connect(self, libfuse: int) -> None:
        """Serve the device that the descriptor *libfuse* of libfuse is open on."""
        self._libfuse = libfuse
        self.fd = os.dup(libfuse)
        os.set_blocking(self.fd, False)
        self._notices.begin(self.fd)

    def close(self) -> None:
        """Let go of the device; the connection ends when libfuse did, too."""
        self._notices.close()
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
        if self._given >= 0:
            os.close(self._given)
            self._given = -1

    def serve(self) -> bool | None:
        """Read a request and answer it; True: libfuse shall read it; None: there is none."""
        request = self._request
        try:
            length = os.readv(self.fd, self._buffers)
        except BlockingIOError:
            return None
        except OSError as error:
            if error.errno == errno.EINVAL and len(request) < MOST:
                self._make_room()  # the kernel sends larger ones than we knew
                return False
            # Whatever else it is, libfuse will find it, too, and knows what to make of it.
            return None if error.errno in NOTHING else True
        opcode, unique, ino = _header(request)
        answer = self._answers.get(opcode)
        reply: Body | int | Coroutine[None, None, Body] | None
        if answer is None:
            reply = None if opcode in wire.SERVED else errno.ENOSYS
        else:
            try:
                reply = answer(ino, request[wire.IN : length])
            except Exception as error:
                reply = self._failure(wire.NAMES[opcode], error).errno
        if reply is None:
            return self._hand_on(length, unique)
        if not isinstance(reply, (bytes, memoryview, int, bytearray)):
            scope = trio.CancelScope()  # here: who gives up may say so before the task runs
            self._awaited[unique] = scope, *wire.IN_PID.unpack_from(request)
            self._start(self._reply_later, opcode, unique, reply, scope)
        elif reply is not NONE:
            self._send(unique, reply)
        return False

    def _send(self, unique: int, reply: Body | int) -> None:
        try:
            if isinstance(reply, int):
                os.write(self.fd, _reply(wire.OUT, -reply, unique))
            else:
                os.writev(self.fd, (_reply(wire.OUT + len(reply), 0, unique), reply))
        except FileNotFoundError:
            pass  # who asked waits no more
        except (OSError, BufferError):
            log.exception("a reply could not be sent")
            self._refuse(unique)

    async def _reply_later(
        self,
        opcode: int,
        unique: int,
        answer: Coroutine[None, None, Body],
        scope: trio.CancelScope,
    ) -> None:
        """Send what *answer* returns; EINTR if *scope* is cancelled before."""
        reply: Body | int = errno.EINTR
        with scope:
            try:
                reply = await answer
            except Exception as error:
                reply = self._failure(wire.NAMES[opcode], error).errno
            finally:
                del self._awaited[unique]
        self._send(unique, reply)

    def _interrupt(self, _ino: int, body: memoryview) -> Body:
        """Who asked for something has a signal to take.  libfuse takes note of it, too, but pyfuse3
        asks nobody about that: there is nothing to hand on."""
        (unique,) = wire.HANDLE.unpack_from(body)
        waiting = self._awaited.get(unique)
        if waiting is not None:
            scope, pid = waiting
            if asked_to_end(pid):
                scope.cancel()
            else:
                self._start(self._watch, unique)
        return NONE

    async def _watch(self, unique: int) -> None:
        """Look now and then whether who waits for *unique*, and took a signal that is nothing to
        us, is asked to end: the kernel says so of the first signal only."""
        await trio.sleep(WATCH)
        while (waiting := self._awaited.get(unique)) is not None:
            scope, pid = waiting
            if asked_to_end(pid):
                scope.cancel()
                return
            await trio.sleep(WATCH)

    def _make_room(self) -> None:
        self._request = memoryview(bytearray(2 * len(self._request)))
        self._buffers = (self._request,)

    def _refuse(self, unique: int) -> None:
        with suppress(OSError):
            os.write(self.fd, _reply(wire.OUT, -errno.EIO, unique))

    def _hand_on(self, length: int, unique: int) -> bool:
        """Give the request to libfuse, which would answer a part of one to its own descriptor: to
        nobody."""
        given = self._given
        try:
            if os.pwrite(given, self._request[:length], 0) < length:
                raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))  # ulimit -f
        except OSError as error:
            log.warning("a request could not be handed on: %s", error)
            os.ftruncate(given, 0)
            self._length = 0
            self._refuse(unique)
            return False
        if length < self._length:
            os.ftruncate(given, length)
        self._length = length
        os.lseek(given, 0, os.SEEK_SET)
        os.dup2(given, self._libfuse, inheritable=False)
        self._away = True
        return True

    def patient(self, handler: Callable[..., Awaitable[T]]) -> Callable[..., Awaitable[T]]:
        """*handler*, asked about what was handed on last; EINTR if who waits gives up."""
        opcode, unique, _ = _header(self._request)
        (pid,) = wire.IN_PID.unpack_from(self._request)
        if opcode == wire.OPEN and is_writing(*wire.FLAGS.unpack_from(self._request, wire.IN)):
            return handler  # it may have cut the file

        async def ask(*arguments: object) -> T:
            with trio.CancelScope() as scope:
                self._awaited[unique] = scope, pid
                try:
                    return await handler(*arguments)
                finally:
                    del self._awaited[unique]
            raise FUSEError(errno.EINTR)

        return ask

    def back(self) -> None:
        """libfuse has read its request: what it writes goes to the device."""
        if self._away:
            self._away = False
            os.dup2(self.fd, self._libfuse, inheritable=False)

    def waits(self) -> None:
        """libfuse waits for the next request.  If it answered the last one without asking for a
        handler, that stands behind the request."""
        if self._away:
            self.back()
            answer = os.pread(self._given, wire.LARGEST, self._length)
            if answer:
                os.ftruncate(self._given, self._length)
                with suppress(OSError):  # who asked waits no more
                    os.write(self.fd, answer)


class Handlers:
    """The handlers as pyfuse3 sees them: to ask for one means that a request was read."""

    def __init__(self, handlers: object, device: Device) -> None:
        self._handlers = handlers
        self._device = device

    def __getattr__(self, name: str) -> object:
        device = self._device
        device.back()
        handler = getattr(self._handlers, name)
        return device.patient(handler) if name in PATIENT else handler
