"""What other processes change in the store of a live mount: shown soon, never half, never wrong."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import threading
import time
from pathlib import Path

import pytest

from rossfs.oci.digest import Digest
from tests import builders
from tests.builders import RossStore, digest_of
from tests.conftest import Mount
from tests.mount.waiting import eventually, is_gone, leads_to, names_in, text_of
from tests.mounts import Mounted, rossfs
from tests.suites.mount_suite import everything_hashes_to_its_name, refused

pytestmark = pytest.mark.fuse

DEADLINE = 60.0


class Live:
    """A store of Ross and its mount."""

    def __init__(self, ross: RossStore, mounted: Mounted) -> None:
        self.ross = ross
        self.mounted = mounted
        self.mount = mounted.path

    def command(self, *arguments: str | Path) -> None:
        """Change the store by the command line."""
        done = rossfs("--store", self.ross.root, *arguments)
        assert done.returncode == 0, done

    def blob(self, digest: Digest) -> Path:
        """The file of a digest in the mount."""
        return self.mount / "blobs" / digest.algorithm / digest.hex

    def damaged(self) -> list[str]:
        """The digests in .ross/damaged."""
        lines = (self.mount / ".ross/damaged").read_text().splitlines()
        return [json.loads(line)["digest"] for line in lines]


@pytest.fixture
def live(tmp_path: Path, mount: Mount) -> Live:
    ross = builders.ross_store(tmp_path / "store")
    return Live(ross, mount(ross.root))


# --- tags ---


def test_tags_of_the_command_line_are_shown(live: Live) -> None:
    one, two = builders.image(live.ross, "one"), builders.image(live.ross, "two")
    link = live.mount / "tags/lab/app/v1"
    assert not os.path.lexists(link)  # what the kernel knows now is wrong later
    live.command("tag", str(one.manifest), "lab/app:v1")
    eventually(leads_to, link, one.manifest)
    assert os.listdir(link.parent) == ["v1"]
    live.command("tag", str(two.manifest), "lab/app:v1")
    eventually(leads_to, link, two.manifest)
    eventually(lambda: (link / "manifest.json").read_bytes() == two.parts.manifest)
    live.command("untag", "lab/app:v1")
    eventually(is_gone, link)
    eventually(lambda: "v1" not in names_in(link.parent))


def test_tags_of_the_mount_are_seen_by_the_command_line(live: Live) -> None:
    one = builders.image(live.ross, "one")
    (live.mount / "tags/lab/app").mkdir(parents=True)
    (live.mount / "tags/lab/app/v1").symlink_to(f"/sha256/{one.manifest.hex}")
    listed = rossfs("--store", live.ross.root, "tags", "lab/app", "--json")
    assert one.manifest.hex in listed.stdout.decode()


def test_tags_that_ross_writes_are_shown(live: Live) -> None:
    """In place, as Ross does it: for a moment the file is empty."""
    images = [builders.image(live.ross, f"image {n}") for n in range(3)]
    link = live.mount / "tags/lab/app/v1"
    for image in images * 2:
        live.ross.set_tag("lab/app", "v1", image.manifest)
        eventually(leads_to, link, image.manifest)
    shutil.rmtree(live.ross.root / "tags/lab")
    eventually(lambda: not (live.mount / "tags/lab").exists())
    eventually(lambda: os.listdir(live.mount / "tags") == [])


def test_a_listing_that_the_kernel_has_is_brought_up_to_date(live: Live) -> None:
    image = builders.image(live.ross, "one")
    directory = live.mount / "tags/lab/app"
    for n in range(40):
        live.ross.set_tag("lab/app", f"v{n}", image.manifest)
        assert directory.is_dir() or n == 0
    eventually(lambda: len(names_in(directory)) == 40)
    with os.scandir(directory) as entries:
        assert {entry.name for entry in entries if entry.is_symlink()} == {
            f"v{n}" for n in range(40)
        }
    for n in range(0, 40, 2):
        os.unlink(live.ross.root / f"tags/lab/app/v{n}")
    eventually(lambda: names_in(directory) == sorted(f"v{n}" for n in range(1, 40, 2)))
    for n in range(0, 40, 2):
        eventually(is_gone, directory / f"v{n}")


def test_repositories_come_go_and_are_renamed(live: Live) -> None:
    image = builders.image(live.ross, "one")
    root = live.ross.root / "tags"
    for n in range(3):
        live.ross.set_tag(f"lab/r{n}", "v1", image.manifest)
    eventually(lambda: names_in(live.mount / "tags/lab") == ["r0", "r1", "r2"])
    assert text_of(live.mount / "tags/lab/r0/v1")
    os.rename(root / "lab/r0", root / "lab/renamed")
    eventually(lambda: names_in(live.mount / "tags/lab") == ["r1", "r2", "renamed"])
    eventually(lambda: text_of(live.mount / "tags/lab/renamed/v1"))
    eventually(is_gone, live.mount / "tags/lab/r0/v1")
    os.rename(root / "lab", root / "moved")
    eventually(lambda: text_of(live.mount / "tags/moved/renamed/v1"))
    eventually(lambda: names_in(live.mount / "tags") == ["moved"])
    live.ross.set_tag("moved/renamed", "v2", image.manifest)
    eventually(lambda: text_of(live.mount / "tags/moved/renamed/v2"))


def test_a_tag_that_cannot_be_read_can_be_replaced(live: Live) -> None:
    image = builders.image(live.ross, "one", tag="lab/app:v1")
    (live.ross.root / "tags/lab/app/v2").write_bytes(b'{"digest_algorithm":"sha256"')
    bad = live.mount / "tags/lab/app/v2"
    eventually(lambda: os.path.lexists(bad))
    assert refused(bad.read_bytes) == "EIO"
    assert b"v2" in os.getxattr(bad, "user.ross.error")
    assert text_of(live.mount / "tags/lab/app/v1").endswith(image.manifest.hex)
    os.rename(live.mount / "tags/lab/app/v1", bad)
    assert text_of(bad).endswith(image.manifest.hex)
    live.mounted.expect_log("lab/app/v2")


# --- content ---


def test_content_of_the_command_line_is_shown_and_removed(live: Live, tmp_path: Path) -> None:
    data = b"put by another process"
    (tmp_path / "file").write_bytes(data)
    digest = digest_of(data)
    assert not live.blob(digest).exists()
    live.command("put", tmp_path / "file")
    eventually(live.blob(digest).exists)
    assert live.blob(digest).read_bytes() == data
    assert digest.hex in os.listdir(live.mount / "blobs/sha256")
    live.command("rm", str(digest))
    eventually(lambda: not live.blob(digest).exists())
    eventually(lambda: digest.hex not in os.listdir(live.mount / "blobs/sha256"))


def test_what_another_process_collects_is_gone(live: Live) -> None:
    kept = builders.image(live.ross, "kept", tag="lab/kept:v1")
    lost = builders.image(live.ross, "lost")
    stray = live.ross.put_blob(builders.OCTET_STREAM, b"stray")
    paths = [live.blob(stray), live.mount / "manifests/sha256" / lost.manifest.hex]
    paths += [live.mount / "images/sha256" / lost.manifest.hex / "manifest.json"]
    paths += [live.blob(layer) for layer in (*lost.layers, lost.config)]
    for path in paths:
        path.read_bytes()  # the kernel has names, attributes and pages
    held = open(paths[0], "rb")  # noqa: SIM115 - closed below
    live.command("gc", "--delete-untagged", "--grace", "0")
    for path in paths:
        eventually(is_gone, path)
    with held:
        assert held.read() == b"stray"
    everything_hashes_to_its_name(live.mount)
    assert len(os.listdir(live.mount / "blobs/sha256")) == 2 + len(kept.layers)
    again = builders.image(live.ross, "lost", tag="lab/lost:v1")
    eventually((live.mount / "tags/lab/lost/v1/manifest.json").exists)
    for digest in (again.manifest, again.config, *again.layers):
        eventually(live.blob(digest).exists)


def test_an_image_grows_as_its_parts_arrive(live: Live) -> None:
    parts = builders.image_parts("late")
    manifest = live.ross.put_manifest(parts.manifest)
    image = live.mount / "images/sha256" / manifest.hex
    eventually(image.exists)
    assert set(os.listdir(image)) == {"manifest.json", "layers", "archive"}
    assert refused(os.stat, image / "config.json") == "ENOENT"
    layers = sorted((image / "layers").glob("*.tar.gz"))
    for path in (layers[0], image / "layers" / layers[0].name[:15], image / "rootfs"):
        assert refused(os.stat, path) == "ENOENT"
    for (media_type, data), path in zip(
        parts.blobs(), [image / "config.json", *layers], strict=True
    ):
        live.ross.put_blob(media_type, data)
        eventually(path.exists)
        assert path.read_bytes() == data
    complete = {"manifest.json", "config.json", "layers", "archive", "rootfs"}
    assert set(os.listdir(image)) == complete
    for number, layer in enumerate(layers):
        assert (
            b"LAYER=%d" % number
            in (layer.with_name(layer.name[:15]) / "etc/os-release").read_bytes()
        )
    assert (image / "rootfs/etc/os-release").read_bytes() == b"NAME=late\nLAYER=1\n"


def test_the_platform_of_an_index_may_come_later(live: Live) -> None:
    parts = builders.image_parts("late")
    machine = f"{os.uname().sysname.lower()}/amd64"
    index = live.ross.put_index(builders.index([(parts.manifest, machine)]))
    image = live.mount / "images/sha256" / index.hex
    eventually(image.exists)
    before = set(os.listdir(image))
    assert before == {"index.json", "platforms", "archive"}
    for media_type, data in parts.blobs():
        live.ross.put_blob(media_type, data)
    live.ross.put_manifest(parts.manifest)
    eventually((image / "platforms/linux-amd64/manifest.json").exists)
    eventually(lambda: "manifest.json" in os.listdir(image))
    assert (image / "manifest.json").read_bytes() == parts.manifest


def test_content_that_ross_is_writing_appears_once_it_is_whole(live: Live) -> None:
    data = random.Random(5).randbytes(300_000)
    digest = digest_of(data)
    path = live.ross.path(digest)
    shown = live.blob(digest)
    with open(path, "wb") as file:
        for start in range(0, len(data), 100_000):
            assert not shown.exists()
            assert digest.hex not in os.listdir(live.mount / "blobs/sha256")
            file.write(data[start : start + 100_000])
            file.flush()
    eventually(shown.exists)
    assert shown.read_bytes() == data
    assert digest.hex in os.listdir(live.mount / "blobs/sha256")
    eventually(live.ross.meta_path(digest).exists)  # rebuilt


def test_a_reader_beside_ross_sees_all_or_nothing(live: Live) -> None:
    """Ross writes in place, and .meta afterwards: readers look all the time."""
    numbers = random.Random(6)
    contents = [numbers.randbytes(200_000) for _ in range(20)]
    wrong: list[str] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            for name in os.listdir(live.mount / "blobs/sha256"):
                try:
                    data = (live.mount / "blobs/sha256" / name).read_bytes()
                except FileNotFoundError:
                    continue
                if hashlib.sha256(data).hexdigest() != name:
                    wrong.append(name)

    readers = [threading.Thread(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    try:
        for data in contents:
            digest = digest_of(data)
            with open(live.ross.path(digest), "wb", buffering=0) as file:
                for start in range(0, len(data), 20_000):
                    file.write(data[start : start + 20_000])
                    time.sleep(0.001)
            live.ross.put_blob(builders.OCTET_STREAM, data)
        eventually(lambda: len(os.listdir(live.mount / "blobs/sha256")) == len(contents))
    finally:
        done.set()
        for reader in readers:
            reader.join(DEADLINE)
    assert not wrong
    everything_hashes_to_its_name(live.mount)


# --- damage ---


def test_wrong_bytes_are_not_served_and_nothing_else_suffers(live: Live) -> None:
    good = live.ross.put_blob(builders.OCTET_STREAM, b"good")
    bad = live.ross.put_blob(builders.OCTET_STREAM, b"evil bytes")
    live.ross.path(bad).write_bytes(b"EVIL bytes")
    image = builders.image(live.ross, "app", tag="lab/app:v1")
    broken = builders.image(live.ross, "broken", tag="lab/broken:v1")
    path = live.ross.path(broken.manifest, "manifests")
    path.write_bytes(path.read_bytes().replace(b"schemaVersion", b"schemaversion"))
    for _ in range(3):
        assert refused(live.blob(bad).read_bytes) == "EIO"
        assert refused((live.mount / "manifests/sha256" / broken.manifest.hex).read_bytes) == "EIO"
        assert refused(os.listdir, live.mount / "tags/lab/broken/v1") == "EIO"
    assert set(live.damaged()) == {str(bad), str(broken.manifest)}
    assert live.blob(good).read_bytes() == b"good"
    assert (live.mount / "tags/lab/app/v1/manifest.json").read_bytes() == image.parts.manifest
    assert bad.hex in os.listdir(live.mount / "blobs/sha256")
    assert os.stat(live.blob(bad)).st_size == 10
    live.mounted.expect_log("is damaged")
    live.ross.put_blob(builders.OCTET_STREAM, b"evil bytes")  # somebody mends it
    eventually(lambda: refused(live.blob(bad).read_bytes) == "")
    assert live.blob(bad).read_bytes() == b"evil bytes"
    assert live.damaged() == [str(broken.manifest)]


@pytest.mark.parametrize("size", [100, 3 << 20])
@pytest.mark.parametrize("writer", ["ross", "rossfs"])
def test_bytes_that_go_bad_after_they_were_checked(
    live: Live, tmp_path: Path, size: int, writer: str
) -> None:
    """The file is opened again after a native write: whoever wrote it, and whatever the kernel has
    of it."""
    data = random.Random(size).randbytes(size)
    digest = digest_of(data)
    if writer == "ross":
        live.ross.put_blob(builders.OCTET_STREAM, data)
    else:
        (tmp_path / "file").write_bytes(data)
        live.command("put", tmp_path / "file")
    eventually(live.blob(digest).exists)
    assert live.blob(digest).read_bytes() == data
    native = live.ross.path(digest)
    native.chmod(0o600)
    with open(native, "r+b") as file:
        file.seek(size // 2)
        file.write(b"bad!")
    assert refused(live.blob(digest).read_bytes) == "EIO"
    assert live.damaged() == [str(digest)]
    live.mounted.expect_log("is damaged")


def test_bytes_that_go_bad_under_an_open_file(live: Live) -> None:
    data = random.Random(12).randbytes(4 << 20)
    digest = live.ross.put_blob(builders.OCTET_STREAM, data)
    live.mounted.expect_log("damaged")
    with open(live.blob(digest), "rb", buffering=0) as file:
        assert os.pread(file.fileno(), 1000, 0) == data[:1000]
        with open(live.ross.path(digest), "r+b") as native:
            native.seek(3 << 20)
            native.write(b"EVIL")

        def read_anew() -> str:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            return refused(os.pread, file.fileno(), 1000, 3 << 20)

        eventually(lambda: read_anew() == "EIO")
    assert refused(live.blob(digest).read_bytes) == "EIO"
    assert live.damaged() == [str(digest)]


def test_a_blob_that_is_cut_off_while_it_is_read(live: Live) -> None:
    data = random.Random(7).randbytes(4 << 20)
    digest = live.ross.put_blob(builders.OCTET_STREAM, data)
    with open(live.blob(digest), "rb", buffering=0) as file:
        assert file.read(1000) == data[:1000]
        os.truncate(live.ross.path(digest), 1 << 20)
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        assert refused(os.pread, file.fileno(), 1000, 3 << 20) == "EIO"
    assert refused(live.blob(digest).read_bytes) == "EIO"
    assert live.damaged() == [str(digest)]
    live.mounted.expect_log("damaged|bytes are left|changed from")


def test_a_blob_that_is_replaced_by_its_equal_stays_readable(live: Live) -> None:
    """As two imports of the same layer do it: by a rename over it."""
    data = random.Random(8).randbytes(1 << 20)
    digest = live.ross.put_blob(builders.OCTET_STREAM, data)
    with open(live.blob(digest), "rb", buffering=0) as file:
        assert file.read(10) == data[:10]
        copy = live.ross.root / "copy"
        copy.write_bytes(data)
        os.replace(copy, live.ross.path(digest))
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        assert os.pread(file.fileno(), len(data), 0) == data
    assert live.blob(digest).read_bytes() == data
    assert live.damaged() == []
