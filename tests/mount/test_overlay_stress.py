"""Overlays under load: over a root filesystem of rossfs and over what umoci unpacked, the same.

stress-ng's filesystem stressors and fio with verification run in an overlay whose lower directory
is the one, then the other; what they report must be equal, and so must what is left.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from tests import mounts, realimages
from tests.layers import Layer, image_of
from tests.mount.realmount import RealMount
from tests.mounts import ROOT
from tests.requirements import PATH, require_root, require_tools

pytestmark = [pytest.mark.fuse, pytest.mark.timeout(240)]

OVERLAY = """
set -eu
work=$1 options=$2 lower=$3
shift 3
mkdir -p "$work"
mount -t tmpfs -o mode=755,size=1g upper "$work"
mkdir "$work/upper" "$work/work" "$work/all"
escaped=$(echo "$lower" | sed 's/:/\\\\:/g')
mount -t overlay -o "lowerdir=$escaped,upperdir=$work/upper,workdir=$work/work$options" \\
  all "$work/all"
cd "$work/all"
"$@"
"""
"""What runs a command in an overlay; in a mount namespace, so that all of it is gone afterwards."""

STRESSORS = (
    *("access", "bind-mount", "chattr", "chdir", "chmod", "chown", "copy-file", "dentry", "dir"),
    *("dirdeep", "dirmany", "dnotify", "dup", "eventfd", "fallocate", "fanotify", "fcntl"),
    *("fiemap", "file-ioctl", "filename", "flock", "fpunch", "fsize", "fstat", "getdent"),
    *("handle", "hdd", "inode-flags", "inotify", "io", "iomix", "ioprio", "lease", "link"),
    *("locka", "lockf", "lockofd", "mknod", "open", "rename", "symlink", "sync-file", "touch"),
    *("utime", "verity", "xattr"),
)
"""The class filesystem of stress-ng 0.15, without binderfs and procfs, which are filesystems of
their own."""

SHORT = (
    *("access", "chdir", "chmod", "chown", "copy-file", "dentry", "dir", "dirdeep", "fallocate"),
    *("fcntl", "filename", "flock", "fstat", "getdent", "handle", "hdd", "iomix", "lease", "link"),
    *("mknod", "open", "rename", "symlink", "sync-file", "utime", "xattr"),
)

BYTES = {
    **dict.fromkeys(("fallocate", "hdd", "iomix", "sync-file"), "16M"),
    "copy-file": "128M",  # the least that it takes
}
"""Stressors that would fill the disk, and what they may have of it."""

OPTIONS = ("", ",metacopy=on,redirect_dir=on,index=on,xino=on")
"""Of the overlay: the default, and all that changes how it finds what is below."""

IMMUTABLE = re.compile(r"^tmp-stress-ng-chattr-.*\n", re.MULTILINE)
"""A file that the stressor chattr cannot remove when its time is over between making the file
immutable and undoing that (stress-chattr.c, do_chattr): on busy processors that was in 2 of
150 runs over the native tree."""

MEBIBYTE = 1 << 20
PATTERN = 8 * MEBIBYTE


class Lowers(NamedTuple):
    """The same tree twice."""

    rossfs: Path
    native: Path


class Overlays:
    """Runs commands in an overlay over each of *lowers* in turn."""

    def __init__(self, lowers: Lowers, work: Path) -> None:
        self._lowers = lowers
        self._work = work

    def run(self, *command: str, options: str = "", deadline: float = 100.0) -> list[str]:
        """What a command printed over rossfs and over the native tree; it must succeed."""
        printed = []
        for name, lower in zip(Lowers._fields, self._lowers, strict=True):
            done = subprocess.run(
                [
                    *("unshare", "-m", "sh", "-c", OVERLAY, "sh"),
                    *(str(self._work / name), options, str(lower), *command),
                ],
                cwd=ROOT,
                env={**os.environ, "PATH": PATH, "PYTHONPATH": str(ROOT)},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="surrogateescape",
                timeout=deadline,
                check=False,
            )
            assert done.returncode == 0, f"{command} over {name}: {done.stdout}"
            printed.append(done.stdout)
        return printed


# --- stress-ng ---


def stress(
    overlays: Overlays, path: str, stressors: Sequence[str], seconds: int, options: str = ""
) -> list[dict[str, object]]:
    """Run stressors at once in the directory *path*; over each: exit status, and which of them
    failed or were skipped."""
    asked = [word for name in stressors for word in (f"--{name}", "1")]
    for name in {*BYTES} & {*stressors}:
        asked += [f"--{name}-bytes", BYTES[name]]
    script = f'stress-ng --temp-path "$PWD/{path}" "$@"; echo status $?; ls -A "{path}" | sort'
    limits = ("--timeout", str(seconds), "--no-rand-seed", "--verify", "--oomable")
    command = ("sh", "-c", script, "sh", *limits, *asked)
    printed = overlays.run(*command, options=options, deadline=60.0 + 4 * seconds)
    return [_outcome(text) for text in printed]


def _outcome(text: str) -> dict[str, object]:
    status = re.findall(r"^status (\d+)\n((?:.*\n)*)", text, re.MULTILINE)
    assert len(status) == 1, text
    return {
        "status": int(status[0][0]),
        "failed": set(re.findall(r"fail: +\[\d+\] ([a-z-]+):", text)),
        "skipped": set(re.findall(r"\[\d+\] ([a-z-]+): .*skipping", text)),
        # What it names after its processes it has removed.
        "left": IMMUTABLE.sub("", status[0][1]),
    }


@pytest.fixture
def overlays(real: RealMount, tmp_path: Path) -> Overlays:
    """Over the image that real tools made."""
    require_tools("stress-ng")
    lowers = Lowers(real.rootfs("zstd").resolve(), real.content.unpacked)
    return Overlays(lowers, tmp_path)


def test_stressors_have_the_same_results(overlays: Overlays) -> None:
    rossfs, native = stress(overlays, "odd/wide", SHORT, 3)
    assert rossfs == native
    assert rossfs["status"] == 0
    assert rossfs["failed"] == set()


@pytest.mark.long
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("path", ["odd/wide", "usr"])
def test_each_stressor_has_the_same_result(overlays: Overlays, path: str, options: str) -> None:
    results = {name: stress(overlays, path, [name], 2, options) for name in STRESSORS}
    differing = {name: pair for name, pair in results.items() if pair[0] != pair[1]}
    assert differing == {}


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("path", ["odd", "usr"])
def test_all_stressors_at_once_have_the_same_results(
    overlays: Overlays, path: str, options: str
) -> None:
    rossfs, native = stress(overlays, path, STRESSORS, 60, options)
    assert rossfs == native


CHANGES = """
import os, sys
from pathlib import Path
from random import Random

numbers = Random(int(sys.argv[1]))
for step in range(int(sys.argv[2])):
    paths = sorted(path for top in ("odd", "etc") for path in Path(top).rglob("*"))
    files = [p for p in paths if p.is_file() and not p.is_symlink() and p.stat().st_size < 99999]
    path, other = numbers.choice(paths), numbers.choice(paths)
    how = numbers.randrange(9)
    try:
        if how == 0:
            os.chmod(path, numbers.randrange(0o1000), follow_symlinks=False)
        elif how == 1:
            os.chown(path, numbers.randrange(100), 5, follow_symlinks=False)
        elif how == 2:
            numbers.choice(files).write_bytes(numbers.randbytes(5000))
        elif how == 3:
            with open(numbers.choice(files), "ab") as file:
                file.write(b"more")
        elif how == 4:
            os.truncate(numbers.choice(files), numbers.randrange(9000))
        elif how == 5:
            os.rename(path, other.with_name(f"moved{step}"))
        elif how == 6:
            os.rmdir(path) if path.is_dir() and not path.is_symlink() else os.unlink(path)
        elif how == 7:
            os.link(numbers.choice(files), other.with_name(f"linked{step}"))
        else:
            os.setxattr(numbers.choice(files), "user.changed", b"%d" % step)
        print(step, how, "done")
    except OSError as error:
        print(step, how, error.errno)
    os.chmod("odd", 0o755)
from tests.treecompare import picture
for path, entry in sorted(picture(".").items()):
    if not path.startswith((b"odd", b"etc")):
        continue
    entry.pop("mtime", None)
    print(path, sorted(entry.items()))
"""
"""Changes of what is in the lower directory, chosen at random but the same each time."""


@pytest.mark.parametrize(
    "seed", [0, *(pytest.param(seed, marks=pytest.mark.long) for seed in range(1, 10))]
)
def test_the_same_changes_have_the_same_results(overlays: Overlays, seed: int) -> None:
    rossfs, native = overlays.run(sys.executable, "-c", CHANGES, str(seed), "120")
    assert rossfs.splitlines() == native.splitlines()
    assert rossfs.count("done") > 40


# --- fio ---


def fio(*options: str) -> tuple[str, ...]:
    """A job; fio puts a checksum into each block, and checks it."""
    return (
        *("fio", "--name=job", "--fallocate=none", "--thread"),
        *("--verify_fatal=1", "--verify_state_save=0", "--minimal", *options),
    )


@pytest.fixture(scope="module")
def patterns(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lowers]:
    """Files that fio wrote, in layers of an image."""
    require_root("mount overlays")
    require_tools("fio", "umoci")
    top = tmp_path_factory.mktemp("patterns")
    subprocess.run(
        (
            *fio("--verify=crc32c", "--rw=write", "--bs=4k", "--do_verify=0"),
            f"--size={PATTERN}",
            "--filename=pattern",
        ),
        cwd=top,
        capture_output=True,
        timeout=100,
        check=True,
    )
    data = (top / "pattern").read_bytes()
    lower = Layer().directory("data").file("data/gzip", data).file("data/hidden", data)
    upper = Layer().file("data/zstd", data).whiteout("data/hidden").link("data/hard", "data/zstd")
    image = image_of(lower, upper, packing=["gzip", "zstd"])
    # umoci 0.4.7 reads no zstd.
    layout = image_of(lower, upper).write_layout(top / "layout")
    native = realimages.unpack(layout, top / "bundle", top)
    zstd = image.write_layout(top / "zstd")
    store = top / "store"
    for arguments in (("init",), ("import", f"oci:{zstd}", "lab/patterns")):
        assert mounts.rossfs("--store", store, *arguments).returncode == 0
    with mounts.mounted(store, top / "mnt", top / "log") as mounted:
        yield Lowers((mounted.path / "tags/lab/patterns/latest/rootfs").resolve(), native)


def verified(patterns: Lowers, work: Path, path: str, *options: str) -> str:
    """Run a job on a file of both overlays; the hash of what it left, the same in both."""
    script = (
        'file=$1; shift; "$@" --filename="$file" >&2; sha256sum <"$file"; stat -c "%s %h" "$file"'
    )
    command = ("sh", "-ec", script, "sh", path, *fio(*options))
    results = [text.splitlines()[-2:] for text in Overlays(patterns, work).run(*command)]
    assert results[0] == results[1]
    return results[0][0]


WRITTEN = ("--verify=pattern", "--verify_pattern=%o", "--randseed=7")
"""Each block says where it is: other checks of fio have the time of day in them."""

READ = ("--verify=crc32c", "--rw=randread", "--bs=4k", f"--size={PATTERN}", "--allow_file_create=0")


@pytest.mark.parametrize(("name", "engine"), [("gzip", "psync"), ("zstd", "mmap")])
def test_fio_reads_back_what_is_in_a_layer(
    patterns: Lowers, tmp_path: Path, name: str, engine: str
) -> None:
    before = verified(patterns, tmp_path, f"data/{name}", *READ, f"--ioengine={engine}")
    (native,) = subprocess.check_output(
        ("sha256sum", patterns.native / "data" / name), text=True
    ).splitlines()
    assert before.split()[0] == native.split()[0]


@pytest.mark.parametrize(("how", "engine"), [("randwrite", "mmap"), ("randrw", "psync")])
def test_fio_writes_over_what_is_in_a_layer(
    patterns: Lowers, tmp_path: Path, how: str, engine: str
) -> None:
    options = (f"--rw={how}", f"--ioengine={engine}", "--bsrange=4k-64k")
    verified(patterns, tmp_path, "data/zstd", *WRITTEN, *options, f"--size={PATTERN}")


@pytest.mark.long
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("engine", ["psync", "mmap", "libaio", "sync", "pvsync", "posixaio"])
@pytest.mark.parametrize("how", ["read", "write", "randread", "randwrite", "rw", "randrw"])
@pytest.mark.parametrize("name", ["gzip", "zstd", "hard"])
def test_fio_in_every_way(
    patterns: Lowers, tmp_path: Path, name: str, how: str, engine: str
) -> None:
    options = [f"--rw={how}", f"--ioengine={engine}", f"--size={PATTERN}"]
    if how in ("read", "randread"):
        options += ["--verify=crc32c", "--bs=4k"]
    else:
        smallest = "4k" if engine == "mmap" else "512"
        options += [*WRITTEN, f"--bsrange={smallest}-128k", "--fsync=50"]
    options += ["--iodepth=8"] if "aio" in engine else []
    verified(patterns, tmp_path, f"data/{name}", *options)
