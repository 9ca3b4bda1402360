"""Tools of others that write OCI layouts, for tests: many at once, and somebody who reads.

    python -m tests.mount.layouting PATH

reads the file PATH, an index.json, again and again until its standard input ends, and prints one
line of JSON: how often it was valid, and what was wrong.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rossfs.oci.layout import LAYOUT_DOCUMENT, REF_NAME
from tests.builders import (
    OCI_MANIFEST,
    ImageParts,
    compact,
    config,
    descriptor,
    manifest,
    tar,
)

DEADLINE = 120.0
"""Seconds for one program, on a machine that does much else."""

NAME = "image"
"""The tag of the image in a layout that `layout_of` makes."""

TOP = Path(__file__).parent.parent.parent


def layout_of(path: Path, parts: ImageParts, name: str = NAME) -> ImageParts:
    """A layout with one image, as plain files in *path*."""
    blobs = path / "blobs/sha256"
    blobs.mkdir(parents=True)
    for data in (parts.manifest, *(data for _, data in parts.blobs())):
        (blobs / hashlib.sha256(data).hexdigest()).write_bytes(data)
    (path / "oci-layout").write_bytes(LAYOUT_DOCUMENT)
    entry = {**descriptor(parts.manifest, OCI_MANIFEST), "annotations": {REF_NAME: name}}
    (path / "index.json").write_bytes(compact({"schemaVersion": 2, "manifests": [entry]}))
    return parts


def large_image(seed: str, size: int) -> ImageParts:
    """An image with one layer of *size* random bytes, the same for the same *seed*."""
    data = hashlib.shake_256(seed.encode()).digest(size)
    plain = tar({"data": data})
    packed = gzip.compress(plain, 1, mtime=0)
    configured = config([f"sha256:{hashlib.sha256(plain).hexdigest()}"])
    return ImageParts(manifest(configured, [packed]), configured, (packed,), docker=False)


def sources(top: Path, count: int, layer: int = 20_000) -> list[Path]:
    """*count* layouts with an image each, with one layer of about *layer* random bytes."""
    found = []
    for number in range(count):
        path = top / f"source{number}"
        seed = f"{top.name} {number}"
        layout_of(path, large_image(seed, layer))
        found.append(path)
    return found


def index(path: Path) -> dict[str, Any]:
    """index.json of the layout *path*, parsed."""
    document: dict[str, Any] = json.loads((path / "index.json").read_bytes())
    return document


def tags(path: Path) -> dict[str, str]:
    """The tags of a layout, and the digest of each."""
    return {
        each["annotations"][REF_NAME]: each["digest"]
        for each in index(path)["manifests"]
        if each.get("annotations", {}).get(REF_NAME)
    }


def skopeo_copy(source: Path, target: Path, tag: str) -> list[str]:
    """The command that copies the image of *source* to *tag* in the layout *target*."""
    return ["skopeo", "copy", "-q", f"oci:{source}:{NAME}", f"oci:{target}:{tag}"]


def run(*command: str | Path, status: int = 0) -> str:
    """Run a program, which must end with *status*; what it printed."""
    ended = subprocess.run(
        [os.fspath(part) for part in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=DEADLINE,
        check=False,
    )
    printed = ended.stdout.decode(errors="replace")
    assert ended.returncode == status, f"{command} ended with {ended.returncode}: {printed}"
    return printed


def together(commands: Sequence[Sequence[str]]) -> list[str]:
    """Run all at once; what those that failed printed."""
    running: list[subprocess.Popen[bytes]] = []
    failed = []
    try:
        running.extend(map(_started, commands))
        for process, command in zip(running, commands, strict=True):
            printed, _ = process.communicate(timeout=DEADLINE)
            if process.returncode != 0:
                failed.append(f"{' '.join(command)}: {printed.decode(errors='replace')}")
    finally:
        for process in running:
            process.kill()
            process.communicate()
    return failed


def _started(command: Sequence[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


@contextmanager
def watching(path: Path) -> Iterator[dict[str, int]]:
    """Somebody reads the file *path* for the length of the block; the counts are there after it."""
    counts: dict[str, int] = {}
    with subprocess.Popen(
        [sys.executable, "-m", __name__, str(path)],
        cwd=TOP,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        try:
            yield counts
            printed, _ = process.communicate(timeout=DEADLINE)
            counts.update(json.loads(printed))
        finally:
            process.kill()


def watch(path: str) -> dict[str, int]:
    """Read the index.json *path* until standard input ends."""
    counts = {"valid": 0, "invalid": 0, "absent": 0, "versions": 0}
    last = b""
    while not select.select((sys.stdin,), (), (), 0)[0]:
        try:
            with open(path, "rb") as file:
                text = file.read()
        except FileNotFoundError:
            counts["absent"] += 1
            continue
        counts["versions"] += text != last
        last = text
        try:
            valid = json.loads(text)["schemaVersion"] == 2
        except (ValueError, KeyError, TypeError):
            valid = False
        counts["valid" if valid else "invalid"] += 1
    return counts


def lost(path: Path, wanted: dict[str, str]) -> list[str]:
    """The tags of *wanted* that the layout *path* lacks, or that name something else there."""
    there = tags(path)
    return sorted(tag for tag, digest in wanted.items() if there.get(tag) != digest)


if __name__ == "__main__":
    print(json.dumps(watch(sys.argv[1])))
