"""Ordinary programs on root filesystems: they see what they would see of unpacked files."""

from __future__ import annotations

import hashlib
import mmap
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from tests.builders import digest_of
from tests.layers import Layer, image_of
from tests.mount.lab import Lab
from tests.mount.realmount import RealMount
from tests.mount.test_rootfs_images import KNOWN
from tests.suites.mount_suite import refused
from tests.treecompare import compare, unexpected

pytestmark = pytest.mark.fuse

DEADLINE = 100.0


def run(*command: str | Path, status: int = 0) -> bytes:
    """What a program prints, which must end with *status* and say nothing to standard error."""
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=DEADLINE,
        check=False,
        env={**os.environ, "LC_ALL": "C.UTF-8"},
    )
    assert (done.returncode, done.stderr) == (status, b""), command
    return done.stdout


def hash_of_tar(directory: Path, *options: str) -> str:
    """The SHA-256 of what tar makes of a directory."""
    with subprocess.Popen(
        ["tar", "-C", directory, *options, "-cf", "-", "."], stdout=subprocess.PIPE
    ) as tar:
        assert tar.stdout is not None
        digest = hashlib.file_digest(tar.stdout, "sha256").hexdigest()  # type: ignore[arg-type]
        assert tar.wait(DEADLINE) == 0
    return digest


def test_tar_packs_the_same_twice(real: RealMount) -> None:
    """Also from another form of the image, and in the order in which the mount lists names."""
    first = hash_of_tar(real.rootfs())
    assert hash_of_tar(real.rootfs()) == first
    assert hash_of_tar(real.rootfs("zstd")) == first
    # Extended attributes are packed in the order in which a filesystem lists them.
    options = ("--acls", "--sort=name", "--format=posix")
    times = "--pax-option=delete=atime,delete=ctime"
    ours, theirs = (
        hash_of_tar(tree, *options, times) for tree in (real.rootfs(), real.content.unpacked)
    )
    assert ours == theirs


def test_tarfile_packs_what_it_finds(real: RealMount, tmp_path: Path) -> None:
    """Its members are those of the tree by umoci, links and all."""
    members = []
    for number, top in enumerate((real.rootfs(), real.content.unpacked)):
        tree = top / "odd"
        path = tmp_path / f"{number}.tar"
        with tarfile.open(path, "w", errors="surrogateescape") as archive:
            archive.add(tree, ".")
        with tarfile.open(path, errors="surrogateescape") as archive:
            found = {}
            for member in archive:
                data = archive.extractfile(member) if member.isreg() else None
                found[member.name] = (
                    member.type if member.type != tarfile.LNKTYPE else tarfile.REGTYPE,
                    member.mode,
                    (member.uid, member.gid),
                    member.mtime,
                    member.linkname if member.issym() else "",
                    hashlib.sha256(data.read()).digest() if data else b"",
                )
        members.append(found)
    ours, theirs = members
    assert ours.keys() == theirs.keys()
    # Which name of a file comes first, with its content, is up to the order of names.
    linked = {name for name in ours if ours[name][5:] != theirs[name][5:]}
    assert all(name.startswith(("./hl/", "./sparse/")) or "link" in name for name in linked)
    assert {name: each[:5] for name, each in ours.items()} == {
        name: each[:5] for name, each in theirs.items()
    }


def test_rsync_finds_nothing_to_do(real: RealMount) -> None:
    command = ("rsync", "-aHAX", "--dry-run", "--itemize-changes", "--delete", "--checksum")
    for kind in ("gzip", "docker"):
        assert run(*command, f"{real.rootfs(kind)}/", f"{real.content.unpacked}/") == b""
    assert run(*command, f"{real.content.unpacked}/", f"{real.rootfs('zstd')}/") == b""


def test_cp_copies_all_of_it(real: RealMount, tmp_path: Path) -> None:
    run("cp", "-a", real.rootfs("plain"), tmp_path / "copy")
    assert unexpected(compare(tmp_path / "copy", real.content.unpacked), KNOWN) == []


def test_grep_and_find_print_the_same(real: RealMount) -> None:
    rootfs, unpacked = real.rootfs().resolve(), real.content.unpacked
    for command in (
        ("grep", "-r", "--exclude-dir=dev", "-c", "the", "usr", "etc"),
        ("grep", "-rl", "now", "odd/swap"),
        ("find", ".", "-type", "f", "-size", "+16k", "-printf", "%p %s %m %U:%G %T@ %n %y\n"),
        ("find", ".", "-newer", "odd/time/ns", "-name", "*e*", "-print"),
        ("find", ".", "!", "-newer", "odd/time/ns", "-type", "f", "-print"),
        ("find", ".", "-perm", "/6000", "-ls"),
        ("find", ".", "-type", "l", "-printf", "%p %l\n"),
        ("find", ".", "-links", "+1", "-type", "f", "-print"),
        ("find", ".", "-empty", "-print"),
        ("find", "odd/name", "-print0"),
        ("du", "--apparent-size", "-B1", "-a", "odd/size", "odd/wide"),
        ("ls", "-lR", "--time-style=full-iso", "odd/sl", "odd/dev", "odd/time"),
        ("sha256sum", "bin/busybox", "odd/size/large"),
        ("getfattr", "-R", "-d", "-m", "-", "-e", "hex", "--absolute-names", "odd/xa"),
        ("getfacl", "-R", "odd/xa"),
        ("getcap", "-r", "odd/xa"),
        ("stat", "-c", "%n %F %a %u %g %s %t %T %Y", "odd/dev/block", "odd/mode/owner"),
    ):
        outputs = []
        for tree in (rootfs, unpacked):
            printed = subprocess.run(
                command,
                cwd=tree,
                capture_output=True,
                timeout=DEADLINE,
                check=True,
                env={**os.environ, "LC_ALL": "C.UTF-8"},
            )
            assert printed.stderr == b"", command
            outputs.append(_comparable(command, printed.stdout))
        assert outputs[0] == outputs[1], command
        assert outputs[0], command


def _comparable(command: tuple[str, ...], printed: bytes) -> list[bytes]:
    """Lines without what is up to the filesystem: inode numbers, blocks, sizes of directories."""
    lines = printed.split(b"\0" if command[-1] == "-print0" else b"\n")
    if command[0] == "find" and command[-1] == "-ls":
        lines = [b" ".join(line.split()[2:]) for line in lines if line and b" d" not in line[:40]]
    elif command[0] == "du":
        lines = [line for line in lines if line.count(b"/") > 1]
    elif command[0] == "ls":
        lines = [line for line in lines if not line.startswith((b"total", b"d"))]
    return sorted(lines)


def test_du_counts_what_is_stored(real: RealMount) -> None:
    """A file takes what it holds; one that is all holes may take nothing."""
    assert os.lstat(real.rootfs() / "odd/size/131073").st_blocks * 512 >= 131_073
    assert os.lstat(real.rootfs() / "odd/size/0").st_blocks == 0
    printed = run("du", "-s", "-B1", real.rootfs() / "odd/size/large")
    assert int(printed.split()[0]) >= 5 << 20


# --- what can be asked of a path ---


def test_each_path_says_its_layer_and_step(lab: Lab) -> None:
    base = Layer().directory("d").file("d/a", b"1").file("d/b", b"2").symlink("l", "d")
    top = Layer().file("d/b", b"3").file("new/c", b"4").link("d/linked", "d/a")
    image = image_of(base, top)
    rootfs = lab.show(image) / "rootfs"
    layers = [str(digest).encode() for digest in image.layers]
    for path, number in (("d/a", 0), ("d/b", 1), ("new/c", 1), ("new", 1), ("d", 0)):
        assert os.getxattr(rootfs / path, "user.ross.layer") == layers[number], path
        assert os.getxattr(rootfs / path, "user.ross.history") == b"COPY step %d" % number, path
        assert os.listxattr(rootfs / path) == []
    assert os.getxattr(rootfs / "d/linked", "user.ross.layer") == layers[0]
    assert refused(os.getxattr, rootfs / "d/a", "user.ross.unknown") == "ENODATA"
    getfattr = ("getfattr", "--absolute-names")
    printed = run(*getfattr, "--only-values", "-n", "user.ross.layer", rootfs / "d/b")
    assert printed == layers[1]
    assert run(*getfattr, "-d", "-m", "-", rootfs / "d/b") == b""


def test_the_digest_of_a_path(lab: Lab) -> None:
    """What is asked for by name is not listed: copies are not to carry it."""
    rootfs = lab.rootfs(Layer().file("a", b"content").directory("d").file("d/x"))
    value = os.getxattr(rootfs / "a", "user.ross.digest")
    assert value.startswith(b"sha256:")
    assert len(value) == len("sha256:") + 64
    assert os.listxattr(rootfs / "a") == []
    assert refused(os.setxattr, rootfs / "a", "user.ross.digest", b"x") in {"EROFS", "EPERM"}


def test_an_xattr_of_the_layer_with_our_name_is_not_believed(lab: Lab) -> None:
    layer = Layer().file("a", xattrs={"user.ross.layer": b"sha256:lie", "user.x": b"1"})
    image = image_of(layer)
    rootfs = lab.show(image) / "rootfs"
    assert os.getxattr(rootfs / "a", "user.ross.layer") == str(image.layers[0]).encode()
    assert os.listxattr(rootfs / "a") in (["user.x"], ["user.ross.layer", "user.x"])


def test_nothing_can_be_changed(lab: Lab, tmp_path: Path) -> None:
    rootfs = lab.rootfs(Layer().directory("d", 0o777).file("d/a", b"1", 0o666).symlink("l", "d"))
    assert refused(os.open, rootfs / "d/a", os.O_WRONLY) == "EROFS"
    assert refused(os.open, rootfs / "d/new", os.O_WRONLY | os.O_CREAT) == "EROFS"
    assert refused(os.mkdir, rootfs / "d/new") == "EROFS"
    assert refused(os.unlink, rootfs / "d/a") == "EROFS"
    assert refused(os.rename, rootfs / "d/a", rootfs / "d/b") == "EROFS"
    assert refused(os.rmdir, rootfs / "d") == "EROFS"
    assert refused(os.link, rootfs / "d/a", rootfs / "d/b") in {"EROFS", "EPERM"}
    assert refused(os.symlink, "x", rootfs / "d/s") == "EROFS"
    assert refused(os.truncate, rootfs / "d/a", 0) == "EROFS"
    assert refused(os.setxattr, rootfs / "d/a", "user.x", b"1") in {"EROFS", "EPERM"}
    assert refused(os.mknod, rootfs / "d/n") == "EROFS"
    assert (rootfs / "d/a").read_bytes() == b"1"


def test_files_are_mapped_and_read_anywhere(lab: Lab, tmp_path: Path) -> None:
    """From the beginning, from the end, in between, and through memory."""
    content = os.urandom(3_000_001)
    path = lab.rootfs(Layer().file("before", b"x" * 1000).file("a", content)) / "a"
    (tmp_path / "a").write_bytes(content)
    run("cmp", path, tmp_path / "a")
    run("diff", path, tmp_path / "a")
    assert run("tail", "-c", "12345", path) == content[-12345:]
    assert (
        run("dd", f"if={path}", "bs=777", "skip=1000", "count=3", "status=none")
        == (content[777_000 : 777_000 + 3 * 777])
    )
    assert digest_of(path.read_bytes()) == digest_of(content)
    with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as memory:
        assert memory[2_000_000:2_000_100] == content[2_000_000:2_000_100]
        assert memory.rfind(content[-20:]) == len(content) - 20
