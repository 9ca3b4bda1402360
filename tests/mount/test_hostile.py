"""Stores and names made to do harm: shown as far as they mean something, refused otherwise, and
never the end of the mount."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from rossfs.oci.digest import Digest
from tests import builders, mounts
from tests.builders import RossStore, compact, descriptor, digest_of
from tests.conftest import Mount
from tests.mounts import Mounted, rossfs
from tests.suites.mount_suite import CHECKS, Check, name_of, refused

pytestmark = pytest.mark.fuse

EMPTY = descriptor(b"{}", "application/vnd.oci.empty.v1+json")


def _of_type(**fields: object) -> bytes:
    return compact({"schemaVersion": 2, "mediaType": builders.OCI_MANIFEST, **fields})


def _layers(*layers: object) -> bytes:
    return _of_type(config=EMPTY, layers=list(layers))


def _layer(**fields: object) -> dict[str, object]:
    return {**descriptor(b"x", builders.OCI_LAYER_GZIP), **fields}


NO_IMAGES = {
    "nothing": b"",
    "no JSON": b"hello",
    "cut off": _layers(_layer())[:-3],
    "no UTF-8": b'{"schemaVersion":2,"config":"\xff\xfe"}',
    "a list": b"[1,2,3]",
    "a number": b"1e400",
    "NaN": b'{"schemaVersion":NaN}',
    "deep": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "deep list": b'{"config":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
    "a long number": b'{"schemaVersion":' + b"9" * 100_000 + b"}",
    "many values": b'{"layers":[' + b"1," * 300_000 + b"1]}",
    "a key twice": b'{"schemaVersion":2,"config":{},"config":{},"layers":[],"layers":[]}',
    "too long": b'{"schemaVersion":2,"padding":"' + b"x" * (4 << 20) + b'"}',
    "config is text": _of_type(config="text", layers=[]),
    "layers is an object": _of_type(config=EMPTY, layers={}),
    "a layer is a number": _layers(7),
    "negative size": _layers(_layer(size=-1)),
    "fractional size": _layers(_layer(size=1.5)),
    "huge size": _layers(_layer(size=1 << 70)),
    "digest is a path": _layers(_layer(digest="sha256:../../../../../../etc/passwd")),
    "digest with a null": _layers(_layer(digest="sha256:" + "\0" * 64)),
    "digest in upper case": _layers(_layer(digest="sha256:" + "A" * 64)),
    "media type of control characters": _layers(_layer(mediaType="\x1b[31m\n/x")),
}
"""Bytes in manifests/ that are no manifest that could be shown."""


@pytest.fixture(scope="module")
def hostile(
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[Mounted, dict[str, Digest]]]:
    """A mount of all of them, and a good image."""
    top = tmp_path_factory.mktemp("hostile")
    store = builders.ross_store(top / "store")
    builders.image(store, "good", tag="lab/good:v1")
    digests = {}
    for number, (name, data) in enumerate(NO_IMAGES.items()):
        digests[name] = store.put_manifest(data)
        store.set_tag("lab/bad", f"n{number}", digests[name])
    with mounts.mounted(store.root, top / "mnt", top / "log") as mounted:
        mounted.expect_log("cannot be shown as an image|no manifest for")
        yield mounted, digests


@pytest.mark.parametrize("name", NO_IMAGES)
def test_what_is_no_manifest_is_shown_as_it_is(
    hostile: tuple[Mounted, dict[str, Digest]], name: str
) -> None:
    mounted, digests = hostile
    digest = digests[name]
    image = mounted.path / "images/sha256" / digest.hex
    assert os.listdir(image) == ["manifest.json"]
    assert digest_of((image / "manifest.json").read_bytes()) == digest
    assert digest_of((mounted.path / "blobs/sha256" / digest.hex).read_bytes()) == digest
    assert os.getxattr(image, "user.ross.digest") == str(digest).encode()


@pytest.mark.parametrize("check", CHECKS, ids=name_of)
def test_a_hostile_mount_is_a_mount(
    hostile: tuple[Mounted, dict[str, Digest]], check: Check
) -> None:
    check(hostile[0].path)


def test_the_log_has_no_control_characters(hostile: tuple[Mounted, dict[str, Digest]]) -> None:
    mounted, digests = hostile
    for digest in digests.values():
        os.listdir(mounted.path / "images/sha256" / digest.hex)
    log = (mounted.path / ".ross/log").read_bytes()
    assert b"cannot be shown" in log
    assert not any(byte < 32 and byte != 10 for byte in log)
    assert max(map(len, log.splitlines())) < 1000


# --- documents that lead astray ---


def test_an_index_that_contains_itself(mount: Mount, tmp_path: Path) -> None:
    """Its bytes cannot hash to its name, so it is damaged before it is a loop."""
    store = builders.ross_store(tmp_path / "store")
    name = digest_of(b"an index that contains itself")
    data = compact(
        {
            "schemaVersion": 2,
            "mediaType": builders.OCI_INDEX,
            "manifests": [
                {"mediaType": builders.OCI_INDEX, "digest": str(name), "size": 1, "platform": None}
            ],
        }
    )
    written = store.put_index(data)
    os.rename(store.path(written, "indexes"), store.path(name, "indexes"))
    os.rename(store.meta_path(written, "indexes"), store.meta_path(name, "indexes"))
    store.set_tag("lab/loop", "v1", name)
    mounted = mount(store.root)
    assert refused(os.listdir, mounted.path / "tags/lab/loop/v1") == "EIO"
    assert refused((mounted.path / "indexes/sha256" / name.hex).read_bytes) == "EIO"
    assert str(name) in (mounted.path / ".ross/damaged").read_text()
    mounted.expect_log("is damaged")
    assert rossfs("--store", store.root, "gc", "--delete-untagged").returncode != 0
    assert store.path(name, "indexes").exists()


def test_indexes_within_indexes_end_somewhere(mount: Mount, tmp_path: Path) -> None:
    store = builders.ross_store(tmp_path / "store")
    image = builders.image(store, "app")
    system = os.uname().sysname.lower()
    inner, inner_type = image.parts.manifest, builders.OCI_MANIFEST
    digests = []
    for _ in range(300):
        entry = descriptor(inner, inner_type, platform={"os": system, "architecture": "amd64"})
        inner_type = builders.OCI_INDEX
        inner = compact({"schemaVersion": 2, "mediaType": inner_type, "manifests": [entry]})
        digests.append(store.put_index(inner))
    store.set_tag("lab/deep", "v1", digests[-1])
    mounted = mount(store.root, f"platform={system}/amd64")
    mounted.expect_log("more than 8 indexes deep")
    path = mounted.path
    deep = path / "tags/lab/deep/v1"
    assert set(os.listdir(deep)) == {"index.json", "platforms", "archive"}
    with pytest.raises(OSError, match=os.strerror(errno.EBADMSG)):
        (deep / "archive/oci.tar").stat()
    shallow = path / "images/sha256" / digests[1].hex
    assert (shallow / "manifest.json").read_bytes() == image.parts.manifest
    link = path / "tags/lab/deep/v1"
    for _ in range(20):  # as far as the kernel follows links within a path, by and by
        link = (link / "platforms" / f"{system}-amd64").resolve()
    assert (link / "index.json").exists()


def test_texts_of_documents_cannot_name_other_places(mount: Mount, tmp_path: Path) -> None:
    """Platforms and media types become names."""
    store = builders.ross_store(tmp_path / "store")
    image = builders.image(store, "app")
    kinds = ("application/../../../etc", "application/x+../../gzip", "application/" + "x" * 200)
    layered = store.put_manifest(_layers(*[_layer(mediaType=kind) for kind in kinds]))
    indexes = [_index(store, image.parts.manifest, platform) for platform in _PLATFORMS]
    mounted = mount(store.root)
    mounted.expect_log("cannot be shown|no manifest for")
    images = mounted.path / "images/sha256"
    layers = os.listdir(images / layered.hex / "layers")
    assert sorted(layers) == [f"0{n}-{digest_of(b'x').hex[:12]}.bin" for n in range(3)]
    for index in indexes:
        if os.listdir(images / index.hex) == ["manifest.json"]:
            continue  # taken for no index at all
        [link] = (images / index.hex / "platforms").iterdir()
        assert link.name.isprintable()
        assert link.resolve() == images / image.manifest.hex


_PLATFORMS = (
    {"os": "..", "architecture": "/etc/passwd"},
    {"os": "../../..", "architecture": "x"},
    {"os": "a/b", "architecture": "\n"},
    {"os": "x" * 300, "architecture": "y" * 300},
    {"os": "", "architecture": ""},
    {"os": "linux", "architecture": "amd64", "variant": "../v1"},
)


def _index(store: RossStore, manifest: bytes, platform: dict[str, str]) -> Digest:
    entry = descriptor(manifest, builders.OCI_MANIFEST, platform=platform)
    return store.put_index(
        compact({"schemaVersion": 2, "mediaType": builders.OCI_INDEX, "manifests": [entry]})
    )


def test_sixteen_thousand_layers(mount: Mount, tmp_path: Path) -> None:
    store = builders.ross_store(tmp_path / "store")
    layers = [
        {"mediaType": builders.OCI_LAYER_GZIP, "digest": f"sha256:{number:064x}", "size": number}
        for number in range(16_000)
    ]
    store.put_blob(builders.OCI_CONFIG, b"{}")
    digest = store.put_manifest(_of_type(config=EMPTY, layers=layers))
    path = mount(store.root).path / "images/sha256" / digest.hex / "layers"
    names = sorted(os.listdir(path))
    assert len(names) == 16_000
    assert names[0] == f"00000-{0:012x}.tar.gz"
    assert os.readlink(path / names[-1]).endswith(f"{15_999:064x}")
    assert refused(os.stat, path / names[-1].partition(".")[0]) == "ENOENT"
    assert refused(os.stat, path.parent / "rootfs") in ("ENOENT", "EIO")


def test_one_layer_many_times(mount: Mount, tmp_path: Path) -> None:
    store = builders.ross_store(tmp_path / "store")
    data = builders.layer({"x": b"y"})
    store.put_blob(builders.OCI_LAYER_GZIP, data)
    store.put_blob(builders.OCI_CONFIG, b"{}")
    digest = store.put_manifest(_layers(*[descriptor(data, builders.OCI_LAYER_GZIP)] * 200))
    path = mount(store.root).path / "images/sha256" / digest.hex / "layers"
    assert len(os.listdir(path)) == 3 * 200
    assert (
        len({(path / name).stat().st_ino for name in os.listdir(path) if name[16:] == ".tar"}) == 1
    )
    links = [name for name in os.listdir(path) if name.endswith(".tar.gz")]
    assert len(links) == 200
    assert all((path / name).read_bytes() == data for name in links)
    assert all((path / name[:16] / "x").read_bytes() == b"y" for name in links)
