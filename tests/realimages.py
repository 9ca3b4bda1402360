"""Images that real tools make of this machine's own files, with all that is odd in layers.

`made` makes, with GNU tar, umoci and skopeo, one image of five layers:

    0  GNU tar        busybox with its links, and some thousand files of this machine
    1  umoci repack   sizes, links, xattrs, ACLs, modes, owners, devices, names, times
    2  umoci repack   whiteouts of files and whole directories, changes of type, changed attributes
    3  umoci insert   an opaque directory; an archive without an end
    4  GNU tar -S     sparse files as PAX 1.0, hard links, a directory's attributes changed

and copies of it: with zstd layers, as Docker has it, and not compressed.  Root is needed, for
devices and owners.  `layouts` finds further images: OCI layouts in the directory that the variable
ROSSFS_TEST_IMAGES names.
"""

from __future__ import annotations

import itertools
import os
import shutil
import stat
import subprocess
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.requirements import PATH

VARIABLE = "ROSSFS_TEST_IMAGES"

FILES = 2000
BYTES = 24 << 20

NEEDED = ("busybox", "tar", "umoci", "skopeo", "setcap", "setfacl")

_APPLETS = """
sh ls cat cp mv rm ln mkdir rmdir find sha256sum stat sleep true false echo mount umount id head
tail wc grep sort dd du touch chmod chown env date readlink test seq tar gzip
"""

_CHANGED = """
del/file del/dir/f del/dir/sub/g del/keep/k del/keep/gone opq/old/f opq/old/sub/g opq/kept
swap/file2dir swap/dir2file/x swap/dir2link/x swap/link-target/y swap/file2link
swap/content swap/chmod swap/xattr swap/owner swap/fifo2file/x
"""
"""Files, below odd/, of layer 1 that later layers change or remove."""


class RealImages(NamedTuple):
    """Where they are."""

    gzip: Path
    """OCI layouts with one image, `latest`."""
    zstd: Path
    docker: Path
    """Directories as skopeo writes them with dir:."""
    plain: Path


def run(*command: str | Path, home: Path, timeout: float = 100) -> str:
    """Run a tool, which must succeed; return what it printed.  skopeo and umoci remember things in
    *home*."""
    done = subprocess.run(
        list(map(str, command)),
        env={**os.environ, "PATH": PATH, "HOME": str(home), "LC_ALL": "C.UTF-8"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="surrogateescape",
        timeout=timeout,
        check=False,
    )
    assert done.returncode == 0, f"{command}: {done.stderr}"
    return done.stdout


def layouts() -> list[Path]:
    """The OCI layouts in $ROSSFS_TEST_IMAGES, if that is set."""
    directory = os.environ.get(VARIABLE)
    if not directory:
        return []
    return sorted(path.parent for path in Path(directory).glob("*/oci-layout"))


def unpack(layout: Path, bundle: Path, home: Path, tag: str = "latest") -> Path:
    """What umoci makes of an image: the path of its root filesystem."""
    run("umoci", "unpack", "--image", f"{layout}:{tag}", bundle, home=home)
    return bundle / "rootfs"


def made(work: Path) -> RealImages:
    """Make the images in the empty directory *work*."""
    layout, bundle = work / "gzip", work / "bundle"
    image = f"{layout}:latest"

    def umoci(*command: str | Path) -> None:
        run("umoci", *command, home=work)

    umoci("init", "--layout", layout)
    umoci("new", "--image", image)
    umoci("raw", "add-layer", "--image", image, _base(work))
    umoci("unpack", "--image", image, bundle)
    root = bundle / "rootfs"
    for change in (_oddities, _changes):
        change(root)
        umoci("repack", "--refresh-bundle", "--image", image, bundle)
    fresh = work / "fresh"
    (fresh / "sub").mkdir(parents=True)
    (fresh / "new").write_text("new\n")
    umoci("insert", "--opaque", "--image", image, fresh, "/odd/opq/old")
    umoci("raw", "add-layer", "--image", image, _sparse(work))
    umoci("gc", "--layout", layout)
    shutil.rmtree(bundle)
    copies = {
        "zstd": ("--dest-compress", "--dest-compress-format", "zstd", f"oci:{work}/zstd:latest"),
        "docker": ("--format", "v2s2", f"dir:{work}/docker"),
        "plain": ("--dest-decompress", f"dir:{work}/plain"),
    }
    for options in copies.values():
        run("skopeo", "copy", "-q", *options[:-1], f"oci:{image}", options[-1], home=work)
    return RealImages(layout, *(work / name for name in copies))


def _base(work: Path) -> Path:
    root = work / "base"
    for name in ("bin", "etc", "proc", "sys", "dev", "root", "usr", "run"):
        (root / name).mkdir(parents=True)
    (root / "tmp").mkdir()
    (root / "tmp").chmod(0o1777)
    busybox = shutil.which("busybox")
    assert busybox
    shutil.copyfile(busybox, root / "bin/busybox")
    (root / "bin/busybox").chmod(0o755)
    for name in _APPLETS.split():
        (root / "bin" / name).symlink_to("busybox")
    (root / "etc/passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (root / "etc/group").write_text("root:x:0:\n")
    (root / "etc/issue").write_text("an image of tests\n")
    names = work / "names"
    names.write_bytes(b"".join(b"%b\0" % name for name in _own_files()))
    archive = work / "base.tar"
    form = ("--numeric-owner", "--sort=name", "--no-recursion", "--warning=no-file-changed")
    run("tar", "-C", root, "--numeric-owner", "--sort=name", "-cf", archive, ".", home=work)
    run("tar", "-C", "/", *form, "--null", "-T", names, "-rf", archive, home=work)
    shutil.rmtree(root)
    return archive


def _own_files() -> Iterator[bytes]:
    """Names below / of files and links of this machine, each after its directories."""
    known: set[Path] = set()
    room = BYTES
    places = ("/usr/share", sysconfig.get_path("stdlib"), "/usr/lib")
    walks = (os.walk(place) for place in places)
    for top, directories, files in itertools.chain(*walks):
        directories[:] = sorted(set(directories) - {"__pycache__", "site-packages"})
        for name in sorted(files):
            path = Path(top, name)
            status = path.lstat()
            if stat.S_ISREG(status.st_mode):
                if status.st_size > 1 << 18:
                    continue
                room -= status.st_size
            if room < 0 or len(known) >= FILES:
                return
            for part in (*reversed(path.parents), path):
                if part not in known and part != Path("/"):
                    known.add(part)
                    yield os.fsencode(part.relative_to("/"))


def _write(path: Path, data: bytes | str = b"") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def _oddities(root: Path) -> None:
    odd = root / "odd"
    for size in (0, 1, 4095, 4096, 4097, 131_072, 131_073):
        _write(odd / f"size/{size}", (b"%d " % size * size)[:size])
    (odd / "size/large").write_bytes(os.urandom(5 << 20))
    with open(odd / "size/holes", "wb") as file:
        file.truncate(8 << 20)
        file.seek(1 << 20)
        file.write(b"middle")
    # Hard links: three names in two directories, and two of a symlink.
    linked = _write(odd / "hl/a", "linked\n")
    (odd / "hl/sub").mkdir()
    (odd / "hl/b").hardlink_to(linked)
    (odd / "hl/sub/c").hardlink_to(linked)
    (odd / "hl/sym").symlink_to("a")
    os.link(odd / "hl/sym", odd / "hl/sym2", follow_symlinks=False)
    _write(odd / "sl/dir/t", "t")
    for name, target in {
        "todir": "dir",
        "rel": "dir/t",
        "abs": "/odd/sl/dir/t",
        "dangling": "nowhere",
        "loop": "loop",
        "escape": "../../../../../../etc/passwd",
        "long": "x" * 250 + "/" + "y" * 250,
        "longest": "z/" * 2047 + "z",
    }.items():
        (odd / "sl" / name).symlink_to(target)
    _attributes(odd)
    for kind, mode, device in (
        ("null", stat.S_IFCHR | 0o666, os.makedev(1, 3)),
        ("block", stat.S_IFBLK | 0o640, os.makedev(259, 300)),
        ("tty", stat.S_IFCHR | 0o620, os.makedev(5, 1)),
        ("fifo", stat.S_IFIFO | 0o600, 0),
    ):
        (odd / "dev").mkdir(exist_ok=True)
        os.mknod(odd / "dev" / kind, mode, device)
    _names(odd)
    for name, ns in {
        "ns": 1_614_834_367_123_456_789,
        "zero": 0,
        "before1970": -315_619_200 * 10**9,
        "after2038": 4_102_444_800 * 10**9 + 1,
    }.items():
        os.utime(_write(odd / "time" / name, name), ns=(ns, ns))
    for number in range(800):
        _write(odd / f"wide/f{number:04}", b"%d\n" % number)
    for name in _CHANGED.split():
        _write(odd / name, "before")
    (odd / "swap/link2dir").symlink_to("link-target")


def _attributes(odd: Path) -> None:
    file = _write(odd / "xa/f", "x")
    (odd / "xa/d").mkdir()
    for name, value in {
        "user.simple": b"hello",
        "user.binary": b"\0\xff\n\0",
        "user.big": b"z" * 2000,
        "user.n\u00e4me": b"uni",
        "trusted.rossfs": b"t",
    }.items():
        os.setxattr(file, name, value)
    os.setxattr(odd / "xa/d", "user.ondir", b"dir")
    _write(odd / "xa/cap", "program")
    _write(odd / "xa/acl", "a")
    run("setcap", "cap_net_raw,cap_net_bind_service+ep", odd / "xa/cap", home=odd)
    run("setfacl", "-m", "u:33:rw,g:33:r", odd / "xa/acl", home=odd)
    run("setfacl", "-d", "-m", "u:33:rwx", odd / "xa/d", home=odd)
    for mode in (0o000, 0o400, 0o644, 0o755, 0o4755, 0o2755, 0o6755, 0o1644, 0o222):
        path = _write(odd / f"mode/{mode:04o}", oct(mode))
        os.chown(path, 33, 33)
        path.chmod(mode)
    _write(odd / "mode/shut/in", "in")
    for name, mode in {"shut": 0o000, "sticky": 0o1777, "group": 0o2775}.items():
        (odd / "mode" / name).mkdir(exist_ok=True)
        (odd / "mode" / name).chmod(mode)
    os.chown(_write(odd / "mode/owner", "u"), 3_000_000, 4_000_000_000)


def _names(odd: Path) -> None:
    for name in (
        b"n" * 255,
        b"caf\xc3\xa9",
        b"cafe\xcc\x81",
        "\U0001f984-日本語-Ω".encode(),
        b"latin1-\xe9\xff",
        b"with space",
        b"new\nline",
        b"-dash",
        b"back\\slash",
        b"...",
        b".hidden",
        b"\xc3\xa9" * 127,
        b"\x01\x1b[31m",
    ):
        _write(odd / "name" / os.fsdecode(name), name)
    deep = odd / "name"
    for number in range(6):
        deep /= f"deep{number}-" + "d" * 190
    os.link(_write(deep / "file", "deep"), deep / "link")


def _changes(root: Path) -> None:
    odd = root / "odd"
    swap = odd / "swap"
    for name in ("del/file", "del/keep/gone", "hl/b", "swap/file2dir", "swap/link2dir"):
        (odd / name).unlink()
    for name in ("del/dir", "swap/dir2file", "swap/dir2link", "swap/fifo2file"):
        shutil.rmtree(odd / name)
    (root / "etc/issue").unlink()
    (swap / "file2link").unlink()
    _write(swap / "file2dir/n", "now")
    _write(swap / "dir2file", "now")
    (swap / "dir2link").symlink_to("link-target")
    os.mkfifo(swap / "fifo2file")
    _write(swap / "link2dir/z", "now")
    (swap / "file2link").symlink_to("content")
    _write(swap / "content", "after, and longer")
    (swap / "chmod").chmod(0o600)
    os.chown(swap / "owner", 7, 8)
    os.setxattr(swap / "xattr", "user.added", b"later")
    (odd / "hl/a").unlink()  # what was linked to it stays as it was
    _write(odd / "hl/a", "linked no more\n")
    for number in range(300):
        (odd / f"wide/f{number:04}").unlink()


def _sparse(work: Path) -> Path:
    root = work / "sparse"
    for name, (size, *places) in {
        "some": (16 << 20, 0, 1 << 20, (16 << 20) - 3),
        "hole": (4 << 20,),
        "first": (1 << 20, 0),
        "many": (4 << 20, *range(4096, 4 << 20, 65_536)),
    }.items():
        path = root / "odd/sparse" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "wb") as file:
            for place in places:
                file.seek(place)
                file.write(b"abc")
            file.truncate(size)
    (root / "odd/sparse/linked").hardlink_to(root / "odd/sparse/some")
    (root / "odd").chmod(0o750)
    os.utime(root / "odd", ns=(0, 1_234_567_890_123_456_789))
    archive = work / "sparse.tar"
    form = ("--format=posix", "--numeric-owner", "--sort=name", "-S")
    run("tar", "-C", root, *form, "-cf", archive, ".", home=work)
    shutil.rmtree(root)
    return archive
