"""A mount that hangs: what a killed server leaves when one of its threads is stuck in the kernel.

    python -m tests.hanging MOUNTPOINT

A FUSE server, as small as one can be, that answers INIT and nothing else, and a thread of the same
process that asks the mount.  When it prints `stuck` the request has been read.  Killed then, the
process cannot end: the thread waits for an answer that only the process could give, and holds the
descriptors whose closing would end the connection.  Needs root.
"""

from __future__ import annotations

import ctypes
import os
import signal
import struct
import sys
import threading

from rossfs.fs.presence import Presence, find

# linux/fuse.h
_IN_HEADER = struct.Struct("<IIQQIIII")  # len, opcode, unique, nodeid, uid, gid, pid, padding
_OUT_HEADER = struct.Struct("<IiQ")  # len, error, unique
_INIT_OUT = struct.Struct("<IIIIHHIIHHIIIIIII")
_INIT = 26
_VERSION = (7, 31)

_NOSUID_NODEV = 2 | 4  # mount(2)


def serve(mountpoint: str) -> None:
    """Mount, get stuck, and wait to be killed."""
    device = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0,allow_other"
    libc = ctypes.CDLL(None, use_errno=True)
    flags = ctypes.c_ulong(_NOSUID_NODEV)
    if libc.mount(b"hang", mountpoint.encode(), b"fuse.rossfs", flags, options.encode()) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    request = os.read(device, 1 << 20)
    _, opcode, unique, *_ = _IN_HEADER.unpack_from(request)
    assert opcode == _INIT
    answer = _INIT_OUT.pack(*_VERSION, 0, 0, 12, 9, 4096, 1, 1, *[0] * 8)
    os.write(device, _OUT_HEADER.pack(_OUT_HEADER.size + len(answer), 0, unique) + answer)
    with open("/proc/self/mountinfo") as file:
        (line,) = (line.split() for line in file if line.split()[4] == mountpoint)
    minor = int(line[2].split(":")[1])
    Presence(minor)
    while find(minor) is None:
        pass
    threading.Thread(target=os.stat, args=(mountpoint,), daemon=True).start()
    os.read(device, 1 << 20)
    print("stuck", flush=True)
    signal.pause()


if __name__ == "__main__":
    serve(sys.argv[1])
