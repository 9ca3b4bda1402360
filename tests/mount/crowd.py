"""Processes that use a store or a mount at once, for tests of what they do to each other.

    python -m tests.mount.crowd write MOUNT NAME       into incoming/ until the mount dies
    python -m tests.mount.crowd keep MOUNT NAME SECONDS      into incoming/, and see that it stays
    python -m tests.mount.crowd import STORE NAME SECONDS    images, and see that they stay
    python -m tests.mount.crowd collect STORE SECONDS        garbage, again and again

`write` prints "NAME DIGEST" once close(2) has returned for a file; the others print one number at
the end, how often they did it, and fail with what they miss.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from rossfs.image.import_ import import_images
from rossfs.image.transport import parse_source
from rossfs.oci.digest import Digest
from rossfs.store.store import Store
from tests import builders
from tests.image.sources import layout_of, write_tree
from tests.mounts import ROOT

KEPT = 5
"""Files and images that each process keeps; it gives up older ones, for the collection."""


def start(*arguments: object) -> subprocess.Popen[bytes]:
    """Start one of the processes above; its standard output is a pipe."""
    return subprocess.Popen(
        [sys.executable, "-m", "tests.mount.crowd", *map(str, arguments)],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
    )


def write(mount: str, name: str) -> None:
    """Write files in all ways until the mount dies."""
    numbers = random.Random(name)
    number = 0
    with contextlib.suppress(OSError):
        while True:
            number += 1
            data = numbers.randbytes(int(300_000 * numbers.random() ** 3) + 1)
            digest = hashlib.sha256(data).hexdigest()
            file = f"{name}-{number}" if numbers.random() < 0.8 else f"sha256:{digest}"
            _WAYS[number % len(_WAYS)](f"{mount}/incoming", file, data)
            os.write(1, f"{file} {digest}\n".encode())


def _at_once(incoming: str, name: str, data: bytes) -> None:
    fd = os.open(f"{incoming}/{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        os.write(fd, data)
    except BaseException:
        with contextlib.suppress(OSError):
            os.close(fd)
        raise
    os.close(fd)


def _in_pieces(incoming: str, name: str, data: bytes) -> None:
    with open(f"{incoming}/{name}", "wb", buffering=0) as file:
        for start in range(0, len(data), 10_000):
            file.write(data[start : start + 10_000])
        os.fsync(file.fileno())


def _backwards(incoming: str, name: str, data: bytes) -> None:
    with open(f"{incoming}/{name}", "w+b", buffering=0) as file:
        for start in reversed(range(0, len(data), 50_000)):
            os.pwrite(file.fileno(), data[start : start + 50_000], start)


def _renamed(incoming: str, name: str, data: bytes) -> None:
    temporary = f"{incoming}/.{name[-64:]}.aB3dE6"
    _at_once(incoming, os.path.basename(temporary), data)
    os.rename(temporary, f"{incoming}/{name}")


_WAYS = (_at_once, _in_pieces, _backwards, _renamed)


def keep(mount: str, name: str, seconds: float) -> int:
    """Write files, keep the pins of the last few, and look at them all the time."""
    kept: list[tuple[str, bytes]] = []
    number, end = 0, time.monotonic() + seconds
    while time.monotonic() < end or not number:
        data = random.Random(f"{name} {number}").randbytes(20_000)
        path = f"{mount}/incoming/{name}-{number}"
        Path(path).write_bytes(data)
        kept.append((path, data))
        if len(kept) > KEPT:
            os.unlink(kept.pop(0)[0])
        for path, expected in kept:
            assert os.readlink(path).endswith(hashlib.sha256(expected).hexdigest()), path
            assert Path(path).read_bytes() == expected, path
        number += 1
    return number


def import_(store_path: str, name: str, seconds: float) -> int:
    """Import images with parts that others have too, keep the tags of the last few."""
    number, end = 0, time.monotonic() + seconds
    with Store.open(store_path) as store, tempfile.TemporaryDirectory() as top:
        while time.monotonic() < end or not number:
            # Every image comes again and again, so that content is removed and stored at once.
            parts = builders.image_parts(f"image {number % (KEPT * 2)}", layers=3)
            directory = write_tree(Path(top, "layout"), layout_of({"v1": parts}))
            repository = f"lab/{name}{number % KEPT}"
            import_images(store, parse_source(str(directory)), f"{repository}:v1")
            shutil.rmtree(directory)
            for tag in range(min(number + 1, KEPT)):
                _require(store, f"lab/{name}{tag}")
            number += 1
    return number


def _require(store: Store, repository: str) -> None:
    """An image that is tagged is there, with all that it needs."""
    digest, _ = store.resolve_tag(repository, "v1")
    manifest, _ = store.get_manifest(digest)
    document = json.loads(manifest)
    for item in (document["config"], *document["layers"]):
        data = store.get_blob(Digest.parse(item["digest"]))
        assert str(builders.digest_of(data)) == item["digest"]


def collect(store_path: str, seconds: float) -> int:
    """Collect garbage without any grace; how much was removed."""
    removed, end = 0, time.monotonic() + seconds
    with Store.open(store_path) as store:
        while time.monotonic() < end or not removed:
            done = store.garbage_collect()
            removed += done.blobs_removed + done.manifests_removed
            time.sleep(0.001)
            assert time.monotonic() < end + 60, "there was nothing to collect"
    return removed


def main(role: str, *arguments: str) -> None:
    """One process."""
    if role == "write":
        write(*arguments)
        return
    place, seconds = arguments[0], float(arguments[-1])
    if role == "collect":
        print(collect(place, seconds))
    else:
        print((import_ if role == "import" else keep)(place, arguments[1], seconds))


if __name__ == "__main__":
    main(*sys.argv[1:])
