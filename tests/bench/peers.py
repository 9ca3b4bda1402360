"""The programs that rossfs is measured beside, each started, awaited and taken away again.

A peer that is not installed is None where it would be a mount; `scripts/install --bench` installs
them all.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from tests.bench.mounted import mounted, serving
from tests.bench.report import Report
from tests.bench.specimen import Specimen

Mount = Callable[[], AbstractContextManager[str]]
"""Mounts something afresh; gives the directory to look at."""

_OWN = Path(__file__).parents[2] / ".venv-peers/bin"
"""Where scripts/install puts those of PyPI."""


def find(program: str) -> str | None:
    """The path of a peer's program."""
    return shutil.which(program, path=f"{_OWN}:{os.environ.get('PATH', os.defpath)}")


def rossfs(specimen: Specimen, store: str) -> Mount:
    """The image in a mount of *store*."""

    @contextlib.contextmanager
    def mount() -> Iterator[str]:
        with mounted(store) as (point, _server):
            yield specimen.rootfs(point)

    return mount


def native(tree: str) -> Mount:
    """The tree itself."""
    return lambda: contextlib.nullcontext(tree)


def squashfuse(image: str | None) -> Mount | None:
    """squashfuse_ll of the squashfs *image*."""
    program = find("squashfuse_ll")
    if program is None or image is None:
        return None
    return lambda: _serving([program, "-f", image])


def fuse_overlayfs(tree: str) -> Mount | None:
    """fuse-overlayfs of one lower directory, its lightest case."""
    program = find("fuse-overlayfs")
    if program is None:
        return None
    return lambda: _serving([program, "-f", "-o", f"lowerdir={tree}"])


def ratarmount(layers: Sequence[str], indexes: str) -> Mount | None:
    """ratarmount of *layers*, bottom first, with its indexes kept in the directory *indexes*."""
    program = find("ratarmount")
    if program is None:
        return None
    os.makedirs(indexes, exist_ok=True)
    command = [program, "-f", "-d", "0", "--index-folders", indexes, *layers]
    return lambda: _serving(command)


@contextlib.contextmanager
def _serving(command: Sequence[str]) -> Iterator[str]:
    """Run *command* with a fresh mount point after it."""
    with (
        tempfile.TemporaryDirectory(prefix="rossfs-bench-") as point,
        serving([*command, point], point, read_ahead=0, output=subprocess.DEVNULL),
    ):
        yield point


def there(report: Report, sides: Mapping[str, Mount | None]) -> dict[str, Mount]:
    """Those of *sides* that are installed and mount, with a line for each other one."""
    good = {}
    for name, mount in sides.items():
        if mount is None:
            report.absent(name, "not installed: scripts/install --bench")
            continue
        try:
            with mount() as root:
                os.listdir(root)
        except RuntimeError as error:
            if name == "rossfs":
                raise
            report.absent(name, str(error))
        else:
            good[name] = mount
    return good
