"""Time and memory of a table of a million entries: python -m tests.image.milliontable [COUNT]

Seconds are of the processor: others may be at work.  Each step is a process, with a peak of its
own: the entries alone, a table of them, a table from a tar with scanner and all, the table opened,
names found.
"""

from __future__ import annotations

import io
import os
import random
import resource
import stat
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator

from rossfs.image.tarscan import TarEntry, TarScanner
from rossfs.image.toc import Toc
from rossfs.image.tocbuilder import TocBuilder
from rossfs.oci.digest import Digest

DIGEST = Digest.of(b"million")


def entries(count: int) -> Iterator[TarEntry]:
    """Files of some thousands of packages, as in a layer of a language's libraries."""
    chance = random.Random(1)
    made = package = 0
    while made < count:
        directory = b"usr/lib/python%d/site-packages/package%d" % (package % 7, package)
        yield TarEntry(directory, stat.S_IFDIR, 0o755, mtime_ns=package)
        made += 1
        for number in range(min(chance.randrange(1, 40), count - made)):
            yield TarEntry(
                b"%s/module_%d_%d.py" % (directory, number, package if number % 2 else 0),
                stat.S_IFREG, 0o644, size=number, stored=number, offset=1024 * made, mtime_ns=made,
            )  # fmt: skip
            made += 1
        package += 1


def tar(count: int) -> Iterator[bytes]:
    """The same as a tar, a mebibyte at a time."""
    parts = bytearray()
    for entry in entries(count):
        member = tarfile.TarInfo(os.fsdecode(entry.path))
        member.type = tarfile.DIRTYPE if entry.kind == stat.S_IFDIR else tarfile.REGTYPE
        member.size = 0
        parts += member.tobuf(tarfile.USTAR_FORMAT)
        if len(parts) >= 1 << 20:
            yield bytes(parts)
            parts.clear()
    yield bytes(parts) + bytes(1024)


def make_entries(path: str, count: int) -> str:
    for _ in entries(count):
        pass
    return ""


def build(path: str, count: int) -> str:
    builder = TocBuilder()
    for entry in entries(count):
        builder.add(entry)
    added = time.process_time()
    write(builder, path)
    return f"of which the writing {time.process_time() - added:.2f} s"


def write(builder: TocBuilder, path: str) -> None:
    with open(path, "wb") as file:
        builder.write(file, digest=DIGEST, diff_id=DIGEST, length=0)


def write_tar(path: str, count: int) -> str:
    with open(path + ".tar", "wb") as file:
        file.writelines(tar(count))
    return f"{os.path.getsize(path + '.tar')} bytes"


def scan(path: str, count: int) -> str:
    with open(path + ".tar", "rb") as file:
        feed(TarScanner(lambda entry: None), file)
    return ""


def scan_and_build(path: str, count: int) -> str:
    builder = TocBuilder()
    with open(path + ".tar", "rb") as file:
        feed(TarScanner(builder.add, builder.refuse), file)
    write(builder, path)
    return ""


def feed(scanner: TarScanner, file: io.BufferedReader) -> None:
    while data := file.read(1 << 20):
        scanner.feed(data)
    scanner.finish()


def open_checked(path: str, count: int) -> str:
    with Toc.open(path) as toc:
        return f"{toc.count} records, {os.path.getsize(path)} bytes"


def open_unchecked(path: str, count: int) -> str:
    with Toc.open(path, check=False) as toc:
        return f"{toc.count} records"


def stat_all(path: str, count: int) -> str:
    with Toc.open(path, check=False) as toc:
        record = toc.record
        for index in range(toc.count):
            record(index)
    return ""


def find_all(path: str, count: int) -> str:
    with Toc.open(path, check=False) as toc:
        todo = [0]
        for directory in todo:
            for child in toc.children(directory):
                assert toc.find(directory, toc.name(child)) == child
                todo.append(child)
    return ""


STEPS: list[Callable[[str, int], str]] = [
    make_entries, build, write_tar, scan, scan_and_build, open_checked, open_unchecked, stat_all,
    find_all,
]  # fmt: skip


def main() -> None:
    if len(sys.argv) == 4:
        _, name, path, count = sys.argv
        [step] = [step for step in STEPS if step.__name__ == name]
        before = time.process_time()
        note = step(path, int(count))
        spent = time.process_time() - before
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        print(f"{name:15} {spent:8.3f} s {peak:6} MiB  {note}", flush=True)
        return
    wanted = sys.argv[1] if len(sys.argv) > 1 else "1000000"
    with tempfile.TemporaryDirectory() as directory:
        for step in STEPS:
            command = [sys.executable, "-m", "tests.image.milliontable"]
            place = os.path.join(directory, "table")
            subprocess.run([*command, step.__name__, place, wanted], check=True)


if __name__ == "__main__":
    main()
