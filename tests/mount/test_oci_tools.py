"""Layouts of a real mount, with the tools that read and write layouts."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from rossfs.oci.layout import LAYOUT_DOCUMENT
from rossfs.store.store import Store
from tests import builders, mounts
from tests.builders import OCI_INDEX, compact, descriptor, image_parts
from tests.mount import layouting
from tests.mount.inbox import failure, shell
from tests.mount.layouting import NAME, index, layout_of, run, skopeo_copy, tags
from tests.mounts import Mounted
from tests.requirements import require_root, require_tools

pytestmark = pytest.mark.fuse


class Lab:
    """A mount, its store, and an image of a plain layout beside."""

    def __init__(self, mounted: Mounted, store: Path, top: Path) -> None:
        self.mounted = mounted
        self.store = store
        self.top = top
        self.source = layouting.sources(top, 1)[0]
        self.digest = tags(self.source)[NAME]

    @property
    def oci(self) -> Path:
        return self.mounted.path / "oci"

    def tags(self, repository: str) -> dict[str, str]:
        """What `rossfs tags` lists: tags and digests."""
        done = mounts.rossfs("--store", self.store, "tags", repository)
        lines = done.stdout.decode().splitlines()[1:]
        return {line.split()[0]: line.split()[1] for line in lines}

    def log(self) -> str:
        return (self.mounted.path / ".ross/log").read_text()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    top = tmp_path_factory.mktemp("layouts")
    Store.create(str(top / "store")).close()
    with mounts.mounted(top / "store", top / "mnt", top / "log") as mounted:
        yield Lab(mounted, top / "store", top)
    with Store.open(str(top / "store")) as store:
        assert list(store.fsck()) == []
        assert os.listdir(store.paths.scratch) == []


def require_valid(layout: Path) -> None:
    """oci-image-tool must find nothing wrong with all references of a layout."""
    if shutil.which("oci-image-tool") is not None:
        run("oci-image-tool", "validate", "--type", "image", layout)


def test_skopeo_copies_in_and_out(lab: Lab, tmp_path: Path) -> None:
    require_tools("skopeo", "oci-image-tool")
    (lab.oci / "skopeo").mkdir()
    layout = lab.oci / "skopeo/deep"
    run(*skopeo_copy(lab.source, layout, "v1"))
    assert lab.tags("skopeo/deep") == {"v1": lab.digest} == tags(layout)
    run(*skopeo_copy(lab.source, layout, "v1"))
    run(*skopeo_copy(lab.source, layout, "v2"))
    assert lab.tags("skopeo/deep") == {"v1": lab.digest, "v2": lab.digest} == tags(layout)
    require_valid(layout)
    run("skopeo", "copy", "-q", f"oci:{layout}:v1", f"oci:{tmp_path}/out:v1")
    assert tags(tmp_path / "out") == {"v1": lab.digest}
    shared = f"{lab.mounted.path}/blobs"
    command = ["skopeo", "copy", "-q", "--src-shared-blob-dir", shared]
    run(*command, f"oci:{layout}:v2", f"oci:{tmp_path}/shared:v2")
    assert tags(tmp_path / "shared") == {"v2": lab.digest}


def test_skopeo_copies_an_index(lab: Lab, tmp_path: Path) -> None:
    require_tools("skopeo")
    parts = [image_parts("multi", architecture=name) for name in ("amd64", "arm64")]
    source = tmp_path / "source"
    layout_of(source, parts[0])
    layout_of(tmp_path / "other", parts[1])
    shutil.copytree(tmp_path / "other/blobs", source / "blobs", dirs_exist_ok=True)
    text = builders.index([(parts[0].manifest, "linux/amd64"), (parts[1].manifest, "linux/arm64")])
    (source / "blobs/sha256" / hashlib.sha256(text).hexdigest()).write_bytes(text)
    (source / "index.json").write_bytes(
        compact({"schemaVersion": 2, "manifests": [descriptor(text, OCI_INDEX)]})
    )
    run("skopeo", "copy", "-q", "--all", f"oci:{source}", f"oci:{lab.oci}/multi:v1")
    assert tags(lab.oci / "multi") == {"v1": f"sha256:{hashlib.sha256(text).hexdigest()}"}
    run("skopeo", "copy", "-q", "--all", f"oci:{lab.oci}/multi:v1", f"oci:{tmp_path}/out:v1")
    assert tags(tmp_path / "out") == tags(lab.oci / "multi")


def test_umoci_works_in_a_layout(lab: Lab, tmp_path: Path) -> None:
    require_tools("umoci", "oci-image-tool")
    layout = lab.oci / "umoci"
    (tmp_path / "file").write_text("content\n")
    run("umoci", "init", "--layout", layout)
    run("umoci", "new", "--image", f"{layout}:a")
    run("umoci", "insert", "--image", f"{layout}:a", tmp_path / "file", "/file")
    run("umoci", "config", "--image", f"{layout}:a", "--config.cmd", "/bin/true", "--tag", "b")
    run("umoci", "tag", "--image", f"{layout}:b", "c")
    run("umoci", "tag", "--image", f"{layout}:b", "d")
    run("umoci", "rm", "--image", f"{layout}:c")
    assert lab.tags("umoci").keys() == {"a", "b", "d"}
    assert lab.tags("umoci") == tags(layout)
    before = set(os.listdir(layout / "blobs/sha256"))
    run("umoci", "gc", "--layout", layout)
    after = set(os.listdir(layout / "blobs/sha256"))
    assert after < before
    require_valid(layout)
    with Store.open(str(lab.store)) as store:
        store.garbage_collect()
        assert list(store.fsck()) == []
    require_valid(layout)
    assert run("umoci", "ls", "--layout", layout).split() == ["a", "b", "d"]
    run("umoci", "raw", "unpack", "--image", f"{layout}:b", tmp_path / "rootfs")
    assert (tmp_path / "rootfs/file").read_text() == "content\n"


def test_buildah_builds_from_and_into_layouts(lab: Lab, tmp_path: Path) -> None:
    require_root("let buildah mount")
    require_tools("buildah", "skopeo")
    run(*skopeo_copy(lab.source, lab.oci / "base", "v1"))
    roots = ["--root", f"{tmp_path}/root", "--runroot", f"{tmp_path}/run"]
    buildah = ["buildah", *roots, "--storage-driver", "vfs"]
    run(*buildah, "from", "--name", "work", f"oci:{lab.oci}/base:v1")
    run(*buildah, "config", "--cmd", "/bin/true", "work")
    run(*buildah, "commit", "-q", "work", f"oci:{lab.oci}/built:v1")
    run(*buildah, "commit", "-q", "work", f"oci:{lab.oci}/built:v2")
    run(*buildah, "rm", "work")
    assert lab.tags("built").keys() == {"v1", "v2"}
    assert lab.tags("built") == tags(lab.oci / "built")
    require_valid(lab.oci / "built")


def test_a_layout_is_copied_as_files(lab: Lab, tmp_path: Path) -> None:
    (source,) = layouting.sources(tmp_path, 1)
    layout = lab.oci / "files"
    shell('mkdir "$2" && cp -r "$1/blobs" "$1/oci-layout" "$1/index.json" "$2"', source, layout)
    assert lab.tags("files") == tags(source)
    shell('cp -r "$1" "$2" && diff -r "$2" "$3"', layout, tmp_path / "out", source)
    shell('rm -r "$1"', layout)
    assert not layout.exists()
    assert lab.tags("files") == {}


def test_a_refused_index_says_why(lab: Lab) -> None:
    layout = lab.oci / "refused"
    layout_in_place(lab, layout)
    before = (layout / "index.json").read_bytes()
    missing = image_parts("nobody has this")
    for text in (b"{", compact(document_of(missing))):
        assert failure((layout / "index.json").write_bytes, text) == "EBADMSG"
        assert (layout / "index.json").read_bytes() == before
        reason = os.getxattr(layout / "index.json", "user.ross.error").decode()
        assert reason.startswith("oci/refused/index.json is not published: ")
        assert reason in lab.log()
    wrong = layout / "blobs/sha256" / ("0" * 64)
    assert failure(wrong.write_bytes, b"wrong") == "EBADMSG"
    assert not wrong.exists()
    (layout / "oci-put-blob1").write_bytes(b"wrong")
    assert failure(os.rename, layout / "oci-put-blob1", wrong) == "EBADMSG"
    assert b"hash to" in os.getxattr(layout / "oci-put-blob1", "user.ross.error")
    os.unlink(layout / "oci-put-blob1")


def test_readers_see_the_old_or_the_new(lab: Lab) -> None:
    layout = lab.oci / "readers"
    layout_in_place(lab, layout)
    before = (layout / "index.json").read_bytes()
    with open(layout / "index.json", "rb") as old, open(layout / "index.json", "wb") as new:
        assert (layout / "index.json").read_bytes() == before
        new.write(b'{"schemaVersion":2,"manifests":[')
        new.flush()
        assert (layout / "index.json").read_bytes() == before == old.read()
        new.write(b'],"annotations":{"a":"b"}}')
        new.close()
        assert index(layout) == {"schemaVersion": 2, "manifests": [], "annotations": {"a": "b"}}
        old.seek(0)
        assert old.read() == before
    assert lab.tags("readers") == {}
    shell('echo "$2" > "$1"', layout / "index.json", before.decode())
    assert tags(layout) == {NAME: lab.digest}


def test_what_others_tag_shows_at_once(lab: Lab) -> None:
    layout = lab.oci / "me/others"
    layout_in_place(lab, layout)
    command: list[str | Path] = ["--store", lab.store, "tag"]
    assert mounts.rossfs(*command, f"me/others:{NAME}", "me/others:more").returncode == 0
    assert tags(layout) == {NAME: lab.digest, "more": lab.digest}
    assert mounts.rossfs("--store", lab.store, "untag", "me/others:more").returncode == 0
    assert tags(layout) == {NAME: lab.digest}
    (lab.mounted.path / "tags/me/others/linked").symlink_to(f"sha256/{lab.digest[7:]}")
    assert tags(layout) == {NAME: lab.digest, "linked": lab.digest}
    os.unlink(lab.mounted.path / "tags/me/others/linked")


def test_files_put_aside_are_files(lab: Lab) -> None:
    layout = lab.oci / "aside"
    layout_in_place(lab, layout)
    (layout / ".umoci-1").mkdir(0o700)
    directory = os.open(layout / ".umoci-1", os.O_RDONLY)
    fcntl.flock(directory, fcntl.LOCK_EX | fcntl.LOCK_NB)
    for name in (".umoci-1/blob-1", "oci-put-blob7", f"blobs/sha256/{'a' * 64}7"):
        path = layout / name
        fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        os.write(fd, name.encode())
        os.fchmod(fd, 0o644)
        os.fsync(fd)
        assert os.pread(fd, 100, 0) == name.encode()
        assert failure(os.open, path, os.O_CREAT | os.O_EXCL) == "EEXIST"
        os.close(fd)
        assert path.stat().st_mode & 0o777 == 0o644
        assert path.name in os.listdir(path.parent)
        digest = hashlib.sha256(name.encode()).hexdigest()
        os.rename(path, layout / "blobs/sha256" / digest)
        assert (layout / "blobs/sha256" / digest).read_bytes() == name.encode()
        assert not path.exists()
    os.close(directory)
    os.rmdir(layout / ".umoci-1")
    assert sorted(os.listdir(layout)) == ["blobs", "index.json", "oci-layout"]


def test_what_is_put_aside_goes_with_the_mount(lab: Lab, tmp_path: Path) -> None:
    with mounts.mounted(lab.store, tmp_path / "mnt", tmp_path / "log") as mounted:
        (mounted.path / "oci/left/.umoci-1").mkdir(parents=True)
        for name in ("oci-put-blob1", ".umoci-1/blob-1"):
            (mounted.path / "oci/left" / name).write_bytes(b"left")
        assert len(os.listdir(lab.store / "incoming/.tmp")) == 2
        with Store.open(str(lab.store)) as store:
            store.garbage_collect()
            assert list(store.fsck()) == []
        assert (mounted.path / "oci/left/.umoci-1/blob-1").read_bytes() == b"left"
    assert os.listdir(lab.store / "incoming/.tmp") == []
    assert os.listdir(lab.oci / "left") == []


def test_content_is_mapped_and_replaced_by_itself(lab: Lab) -> None:
    layout = lab.oci / "same"
    layout_in_place(lab, layout)
    blob = layout / "blobs/sha256" / lab.digest.removeprefix("sha256:")
    data, number = blob.read_bytes(), blob.stat().st_ino
    with open(blob, "rb") as old:
        blob.write_bytes(data)
        (layout / "tmp").write_bytes(data)
        os.replace(layout / "tmp", blob)
        assert old.read() == data
        assert os.fstat(old.fileno()).st_ino == number == blob.stat().st_ino
    assert failure(blob.write_bytes, data[:-1]) == "EBADMSG"
    assert blob.read_bytes() == data


def test_a_read_only_mount_changes_nothing(lab: Lab, tmp_path: Path) -> None:
    layout_in_place(lab, lab.oci / "fixed")
    with mounts.mounted(lab.store, tmp_path / "mnt", tmp_path / "log", "ro") as mounted:
        layout = mounted.path / "oci/fixed"
        assert tags(layout) == {NAME: lab.digest}
        assert failure((layout / "index.json").write_bytes, b"{}") == "EROFS"
        assert failure((layout / "new").write_bytes, b"") == "EROFS"
        assert failure(os.mkdir, mounted.path / "oci/new") == "EROFS"


def test_collections_beside_copies_lose_nothing(lab: Lab) -> None:
    require_tools("skopeo", "umoci")
    layout = lab.oci / "collected"
    images = layouting.sources(lab.top / "beside", 4)
    stop = threading.Event()
    failures: list[BaseException] = []

    def collect() -> None:
        try:
            with Store.open(str(lab.store)) as store:
                while not stop.wait(0.02):
                    store.garbage_collect()
        except BaseException as error:
            failures.append(error)

    collector = threading.Thread(target=collect)
    collector.start()
    try:
        wanted = {}
        for turn in range(3):
            copies = []
            for number, image in enumerate(images):
                name = f"t{turn}-{number}"
                wanted[name] = tags(image)[NAME]
                copies.append(skopeo_copy(image, layout, name))
            assert layouting.together(copies) == []
            run("umoci", "gc", "--layout", layout)
    finally:
        stop.set()
        collector.join()
    assert failures == []
    assert layouting.lost(layout, wanted) == []
    for digest in wanted.values():
        manifest = (layout / "blobs/sha256" / digest.removeprefix("sha256:")).read_bytes()
        for needed in (json.loads(manifest)["config"], *json.loads(manifest)["layers"]):
            data = (layout / "blobs/sha256" / needed["digest"].removeprefix("sha256:")).read_bytes()
            assert hashlib.sha256(data).hexdigest() == needed["digest"].removeprefix("sha256:")


def layout_in_place(lab: Lab, layout: Path) -> None:
    """Write the source's layout file by file, in place, as the simplest of tools would."""
    (layout / "blobs/sha256").mkdir(parents=True)
    (layout / "oci-layout").write_bytes(LAYOUT_DOCUMENT)
    manifest = lab.digest.removeprefix("sha256:")
    blobs = (lab.source / "blobs/sha256").iterdir()
    for path in sorted(blobs, key=lambda path: path.name == manifest):
        (layout / "blobs/sha256" / path.name).write_bytes(path.read_bytes())
    (layout / "index.json").write_bytes((lab.source / "index.json").read_bytes())


def document_of(parts: builders.ImageParts) -> dict[str, object]:
    """An index.json with one image."""
    return {"schemaVersion": 2, "manifests": [descriptor(parts.manifest, parts.media_type)]}
