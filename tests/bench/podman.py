"""Starting a container with podman: from podman/ of a mount, and pulled from a registry beside it.

From the start of the first command to the first byte that the container prints, each time with an
empty storage.  The mount is a fresh one; the layers have their tables, which were made when the
image was imported, but in the figure that says otherwise.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.bench.mounted import DEADLINE, mounted
from tests.bench.report import Report, Times
from tests.bench.specimen import NAME, Specimen
from tests.mount.registry import registry
from tests.requirements import PATH, missing_tools

ROUNDS = 3

_TOOLS = ("podman", "runc", "docker-registry", "skopeo")
_LIMIT = 300.0
_ALLOWED = 1.0  # MB that podman keeps of its own

_RUN = (
    *("run", "--rm", "--pull=never", "--network=none"),
    *("--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024"),
)


def run(report: Report, directory: str) -> None:
    """Start a container in both ways in turns."""
    if missing := missing_tools(*_TOOLS):
        report.absent("start of a container with podman", f"not installed: {', '.join(missing)}")
        return
    specimen = Specimen(directory)
    store = specimen.store()
    place, pulled, first = Times(), Times(), Times()
    sizes = []
    with registry(Path(directory)) as there:
        there.push(f"oci:{specimen.layout}:latest", NAME)
        remote = f"{there.host}/{NAME}:latest"
        for _ in range(ROUNDS):
            with mounted(store) as (point, _server), _storage() as podman:
                place.add(_started([*podman, *_images(point)], NAME))
                sizes.append(_size(podman))
            with _storage() as podman:
                pulled.add(_pulled(podman, remote))
        shutil.rmtree(f"{store}/cache")
        with mounted(store) as (point, _server), _storage() as podman:
            first.add(_started([*podman, *_images(point)], NAME))
    report.bound(
        "podman pull and run / podman run from podman/",
        pulled.median / place.median,
        ">=",
        5,
        note=f"rossfs {place}, pulled {pulled}",
    )
    report.figure(
        "the same, where layers have no tables yet", pulled.median / first.best, note=f"{first}"
    )
    report.bound("podman's own storage after it", max(sizes), "<=", _ALLOWED, "MB")


def _images(point: str) -> list[str]:
    return ["--storage-opt", f"additionalimagestore={point}/podman"]


@contextlib.contextmanager
def _storage() -> Iterator[list[str]]:
    """podman with an empty storage: the beginning of its command line."""
    # It takes a runroot of up to 50 characters only.
    top = tempfile.mkdtemp(prefix="rossfs-podman-")
    try:
        yield ["podman", f"--root={top}/root", f"--runroot={top}/run", "--runtime=runc"]
    finally:
        unmount = ["umount", "-l", f"{top}/root/overlay"]
        end = time.monotonic() + DEADLINE
        # A process of podman in the background may still be at work.
        while os.path.exists(top) and time.monotonic() < end:
            subprocess.run(unmount, check=False, stderr=subprocess.DEVNULL, timeout=DEADLINE)
            shutil.rmtree(top, ignore_errors=True)
            time.sleep(0.05)


def _started(podman: Sequence[str], image: str) -> float:
    """Seconds from the start of `podman run` to the first byte that the container prints."""
    command = [*podman, *_RUN, image, "sh", "-c", "echo begun"]
    start = time.perf_counter()
    process = subprocess.Popen(
        command, env=_env(), stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    with process.stdout as output:
        begun = output.read(1) == b"b"
        seconds = time.perf_counter() - start
        output.read()
    if process.wait(DEADLINE) != 0 or not begun:
        raise RuntimeError(f"{' '.join(command)} failed")
    return seconds


def _pulled(podman: Sequence[str], image: str) -> float:
    """As `_started`, with the pull before it."""
    command = [*podman, "pull", "-q", "--tls-verify=false", image]
    start = time.perf_counter()
    subprocess.run(command, check=True, env=_env(), stdout=subprocess.DEVNULL, timeout=_LIMIT)
    return time.perf_counter() - start + _started(podman, image)


def _size(podman: Sequence[str]) -> float:
    """MB of all files in podman's graph root."""
    root = podman[1].removeprefix("--root=")
    size = 0
    for place, directories, names in os.walk(root):
        # What is mounted in it is not its own.
        directories[:] = [one for one in directories if not os.path.ismount(f"{place}/{one}")]
        size += sum(os.lstat(f"{place}/{name}").st_size for name in names)
    return size / 1e6


def _env() -> dict[str, str]:
    return {**os.environ, "PATH": PATH}
