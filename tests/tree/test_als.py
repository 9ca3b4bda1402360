from __future__ import annotations

import base64
import errno
import json
import logging
import os
import stat
from pathlib import Path

import pytest
import trio

from rossfs.errors import BlobNotFound, Damaged, InvalidLayer, RossfsError
from rossfs.image.cache import Cache
from rossfs.image.layers import Layers
from rossfs.oci.digest import Digest
from rossfs.store import uses
from rossfs.store.paths import Area
from rossfs.store.store import Store
from rossfs.store.uses import Use
from rossfs.tree.als import AdditionalLayers, LayerPlace, LayerStore
from rossfs.tree.contentfile import ContentFile, ContentFiles
from rossfs.tree.imagetrees import ImageTrees
from rossfs.tree.node import Directory, File, Symlink, Unsettled
from rossfs.tree.numbers import Numbers
from rossfs.tree.overlaytrees import OverlayTrees
from rossfs.tree.trees import Trees
from rossfs.tree.uploads import Uploads
from tests.builders import OCI_CONFIG, digest_of
from tests.image.chunked import entries, estargz, put, zstd_chunked
from tests.layers import Layer, image_of
from tests.suites.directory_suite import CALLER, DirectorySuite, find, listed, refusal
from tests.tree.browsing import bottom, harm, lose, mend, middle

FLAGS = os.O_WRONLY | os.O_CREAT


def additional(store: Store, *, writable: bool = True) -> AdditionalLayers:
    """als/ of a mount of *store*."""
    numbers, trees = Numbers(b"a key of these tests"), Trees()
    layers = Layers(store, Cache(None))
    overlays = OverlayTrees(ImageTrees(store, layers, numbers, trees), numbers, trees)
    files = ContentFiles(store.contents, numbers)
    shared = LayerStore(store, files, layers, overlays, Uploads(store), numbers, writable=writable)
    return AdditionalLayers(shared)


@pytest.fixture
def als(store: Store) -> AdditionalLayers:
    return additional(store)


@pytest.fixture
def layer(store: Store) -> Digest:
    built = image_of(bottom(), middle())
    built.put(store)
    return built.layers[1]


def name_of(digest: Digest) -> bytes:
    return str(digest).encode()


async def place(als: AdditionalLayers, digest: Digest) -> LayerPlace:
    found = await find(als, name_of(digest))
    assert isinstance(found, LayerPlace)
    return found


async def use(als: AdditionalLayers, digest: Digest) -> int:
    """Say, as podman does, that a layer is in use; the errno."""
    return await refusal((await place(als, digest)).create(b"use", 0o666, FLAGS, CALLER))


async def release(als: AdditionalLayers, digest: Digest) -> int:
    """Say that it is not, once; the errno."""
    return await refusal(als.rmdir(name_of(digest), CALLER))


async def info(directory: LayerPlace) -> dict[str, object]:
    file = await find(directory, b"info")
    assert isinstance(file, File)
    handle = await file.open(os.O_RDONLY, CALLER)
    text = bytes(await handle.read(0, 4096))
    await handle.release()
    assert len(text) == file.attr().size
    fields: dict[str, object] = json.loads(text)
    return fields


class TestAls(DirectorySuite):
    @pytest.fixture
    async def directory(self, store: Store, als: AdditionalLayers, layer: Digest) -> Directory:
        await use(als, layer)
        return als


class TestUnusedAls(DirectorySuite):
    empty = True

    @pytest.fixture
    async def directory(self, als: AdditionalLayers, layer: Digest) -> Directory:
        return als


class TestOneLayer(DirectorySuite):
    @pytest.fixture
    async def directory(self, als: AdditionalLayers, layer: Digest) -> Directory:
        return await place(als, layer)


async def test_a_layer_has_its_files_its_description_and_its_bytes(
    als: AdditionalLayers, layer: Digest
) -> None:
    directory = await place(als, layer)
    assert {entry.name for entry in await listed(directory)} == {b"diff", b"info", b"blob"}
    diff = await find(directory, b"diff")
    assert isinstance(diff, Directory)
    assert diff.parent_ino() == directory.ino
    names = {entry.name: entry.kind for entry in await listed(diff)}
    assert names[b"gone"] == stat.S_IFCHR
    assert b".wh.gone" not in names
    blob = await find(directory, b"blob")
    assert isinstance(blob, ContentFile)
    assert blob.digest == layer
    assert (await info(directory))["compressed-diff-digest"] == str(layer)


async def test_what_is_not_stored_is_absent_and_opens_nothing(
    store: Store, als: AdditionalLayers
) -> None:
    for digest in (digest_of(b"x"), digest_of(b"x", "sha512"), Digest("blake3", "0" * 64)):
        assert await find(als, name_of(digest)) is None
    assert await listed(als) == []
    assert list(store.uses.asked()) == []


async def test_a_manifest_is_no_layer(store: Store, als: AdditionalLayers) -> None:
    assert await find(als, name_of(image_of(bottom()).put(store))) is None


async def test_a_layer_that_comes_later_is_found(store: Store, als: AdditionalLayers) -> None:
    built = image_of(bottom())
    (digest,) = built.layers
    assert await find(als, name_of(digest)) is None
    built.put(store)
    assert await find(als, name_of(digest)) is not None


# Names


def base64_of(reference: str) -> bytes:
    return base64.b64encode(reference.encode())


@pytest.mark.parametrize(
    "reference",
    [
        "localhost:5077/ross/als:v1",
        "docker.io/library/debian:latest",
        "quay.io/a/b@sha256:" + "0" * 64,
    ],
)
async def test_a_reference_leads_back_here(als: AdditionalLayers, reference: str) -> None:
    found = await find(als, base64_of(reference))
    assert isinstance(found, Symlink)
    assert found.target() == b"."
    again = await find(als, base64_of(reference))
    assert again is not None
    assert again.ino == found.ino


@pytest.mark.parametrize(
    "name",
    [
        b"latest",
        b"AAAA",
        base64_of("debian"),
        base64_of("docker.io/library/debian"),
        base64_of("docker.io/library/debian:latest\n"),
        base64_of("docker.io/library/debian:latest") + b"=",
        base64_of("docker.io/library/debian:latest")[:-1],
        base64_of("docker.io/lib\xe9:latest"),
    ],
)
async def test_what_is_no_reference_is_absent(als: AdditionalLayers, name: bytes) -> None:
    assert await find(als, name) is None


# Counting


def damaged_record(store: Store, asked: Digest) -> Path:
    path = Path(uses.path_of(store.paths, asked))
    path.parent.mkdir(parents=True)
    path.write_bytes(b"damaged")
    return path


async def test_a_use_is_counted_and_answered_with_enoent(
    store: Store, als: AdditionalLayers, layer: Digest
) -> None:
    assert await use(als, layer) == errno.ENOENT
    assert await use(als, layer) == errno.ENOENT
    directory = await place(als, layer)
    assert await find(directory, b"use") is None
    assert store.uses.get(layer) == Use(2, layer)
    assert directory.xattrs() == {
        b"user.ross.digest": name_of(layer),
        b"user.ross.uses": b"2",
    }
    assert [entry.name for entry in await listed(als)] == [name_of(layer)]
    assert await release(als, layer) == errno.ENOENT
    assert await release(als, layer) == errno.ENOENT
    assert store.uses.get(layer) is None
    assert await release(als, layer) == errno.ENOENT
    assert directory.xattrs()[b"user.ross.uses"] == b"0"
    assert await listed(als) == []


async def test_mknod_counts_as_well(store: Store, als: AdditionalLayers, layer: Digest) -> None:
    directory = await place(als, layer)
    made = directory.mknod(b"use", 0o666 | stat.S_IFREG, 0, CALLER)
    assert await refusal(made) == errno.ENOENT
    assert store.uses.get(layer) == Use(1, layer)


async def test_nothing_else_can_be_changed(
    store: Store, als: AdditionalLayers, layer: Digest
) -> None:
    directory = await place(als, layer)
    for name in (b"used", b"info", b"blob", b"new"):
        assert await refusal(directory.create(name, 0o666, FLAGS, CALLER)) == errno.EROFS
        assert await refusal(directory.unlink(name, CALLER)) == errno.EROFS
    assert await refusal(directory.rmdir(b"diff", CALLER)) == errno.EROFS
    assert await refusal(als.mkdir(b"new", 0o755, CALLER)) == errno.EROFS
    assert await refusal(als.create(b"use", 0o666, FLAGS, CALLER)) == errno.EROFS
    assert await refusal(als.rmdir(b"nothing", CALLER)) == errno.ENOENT
    assert list(store.uses.asked()) == []


async def test_where_nothing_can_be_written_podman_is_told(store: Store, layer: Digest) -> None:
    als = additional(store, writable=False)
    assert als.attr().mode & 0o222 == 0
    assert await use(als, layer) == errno.EROFS
    assert await release(als, layer) == errno.EROFS
    assert list(store.uses.asked()) == []


async def test_a_layer_in_use_survives_collection_and_another_mount_releases_it(
    store: Store, als: AdditionalLayers, layer: Digest
) -> None:
    await use(als, layer)
    for digest in list(store.list_manifests()):
        store.delete_manifest(digest)
    store.garbage_collect()
    assert list(store.list_blobs()) == [layer]
    again = additional(store)
    assert isinstance(await find(await place(again, layer), b"diff"), Directory)
    assert await release(again, layer) == errno.ENOENT
    assert store.garbage_collect().blobs_removed == 1
    assert await find(again, name_of(layer)) is None


@pytest.mark.damages_store
async def test_a_layer_that_goes_at_this_moment_is_not_counted(
    store: Store, als: AdditionalLayers, layer: Digest, expects_warnings: list[logging.LogRecord]
) -> None:
    directory = await place(als, layer)
    lose(store, layer)
    with pytest.raises(BlobNotFound):
        await directory.create(b"use", 0o666, FLAGS, CALLER)
    assert list(store.uses.asked()) == []
    assert await find(als, name_of(layer)) is None
    assert str(layer) in expects_warnings[-1].getMessage()


@pytest.mark.damages_store
@pytest.mark.parametrize("known", [False, True])
async def test_a_damaged_layer_cannot_be_used(
    store: Store,
    als: AdditionalLayers,
    layer: Digest,
    expects_warnings: list[logging.LogRecord],
    known: bool,
) -> None:
    if known:
        # Its tables are from before.
        assert await find(await place(als, layer), b"diff")
        als = additional(store)
    harm(store, layer)
    directory = await place(als, layer)
    for name in (b"diff", b"info"):
        with pytest.raises((Damaged, InvalidLayer)):
            await find(directory, name)
    for making in (
        directory.create(b"use", 0o666, FLAGS, CALLER),
        directory.mknod(b"use", 0o666 | stat.S_IFREG, 0, CALLER),
    ):
        with pytest.raises((Damaged, InvalidLayer)):
            await making
    assert list(store.uses.asked()) == []
    assert str(layer) in expects_warnings[-1].getMessage()
    assert await release(als, layer) == errno.ENOENT


async def test_what_is_no_layer_cannot_be_used(
    store: Store, als: AdditionalLayers, expects_warnings: list[logging.LogRecord]
) -> None:
    digest, _ = store.put_blob(OCI_CONFIG, b'{"no": "layer"}' * 100)
    with pytest.raises(InvalidLayer):
        await (await place(als, digest)).create(b"use", 0o666, FLAGS, CALLER)
    assert list(store.uses.asked()) == []
    assert expects_warnings


@pytest.mark.damages_store
async def test_a_count_that_nobody_knows_is_told(
    store: Store, als: AdditionalLayers, layer: Digest
) -> None:
    damaged_record(store, layer)
    assert [found.repaired for found in store.fsck(repair=True)] == [True]
    assert (await place(als, layer)).xattrs()[b"user.ross.uses"] == b"unknown"
    assert await use(als, layer) == errno.ENOENT
    assert await release(als, layer) == errno.ENOENT
    assert (await place(als, layer)).xattrs()[b"user.ross.uses"] == b"unknown"


@pytest.mark.damages_store
async def test_a_layer_in_use_that_is_lost_can_still_be_released(
    store: Store, als: AdditionalLayers, layer: Digest
) -> None:
    await use(als, layer)
    lose(store, layer)
    directory = await place(als, layer)
    assert await listed(directory) == []
    assert await find(directory, b"blob") is None
    assert await release(als, layer) == errno.ENOENT
    assert await find(als, name_of(layer)) is None


@pytest.mark.damages_store
async def test_a_damaged_record_is_an_error_and_counts_nothing(
    store: Store, als: AdditionalLayers, layer: Digest, expects_warnings: list[logging.LogRecord]
) -> None:
    path = damaged_record(store, layer)
    assert await use(als, layer) == Damaged.errno
    assert await release(als, layer) == Damaged.errno
    assert b"user.ross.uses" not in (await place(als, layer)).xattrs()
    assert str(path) in expects_warnings[-1].getMessage()


async def test_many_uses_at_once_are_all_counted(
    store: Store, als: AdditionalLayers, layer: Digest
) -> None:
    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(use, als, layer)
    assert store.uses.get(layer) == Use(10, layer)


# What is no layer


async def test_what_is_no_layer_is_an_error_and_podman_pulls_it(
    store: Store, als: AdditionalLayers, expects_warnings: list[logging.LogRecord]
) -> None:
    digest, _ = store.put_blob(OCI_CONFIG, b'{"no": "layer"}' * 100)
    directory = await place(als, digest)
    with pytest.raises(RossfsError) as caught:
        await find(directory, b"diff")
    assert isinstance(caught.value, InvalidLayer)
    assert str(digest) in expects_warnings[-1].getMessage()


@pytest.mark.damages_store
async def test_a_damaged_layer_is_not_described(
    store: Store, als: AdditionalLayers, layer: Digest, expects_warnings: list[logging.LogRecord]
) -> None:
    harm(store, layer)
    with pytest.raises((Damaged, InvalidLayer)):
        await info(await place(als, layer))
    assert expects_warnings


# Tables of contents


def chunked_layer() -> Layer:
    return Layer().directory("etc").file("etc/motd", b"hello\n" * 1000)


@pytest.mark.parametrize("make", [estargz, zstd_chunked])
async def test_a_layer_is_found_by_its_table_of_contents(
    store: Store, als: AdditionalLayers, make: object
) -> None:
    assert callable(make)
    chunked = make(chunked_layer())
    put(store, chunked)
    directory = await place(als, chunked.toc)
    assert directory.content == chunked.digest
    fields = await info(directory)
    assert fields["toc-digest"] == str(chunked.toc)
    assert fields["diff-digest"] == str(chunked.diff_id)
    blob = await find(directory, b"blob")
    assert isinstance(blob, ContentFile)
    assert blob.digest == chunked.digest
    diff = await find(directory, b"diff")
    assert isinstance(diff, Directory)
    assert await find(diff, b"etc") is not None
    # By its own digest it is another place, and has no table as far as anybody asks.
    own = await place(als, chunked.digest)
    assert own.ino != directory.ino
    assert "toc-digest" not in await info(own)


async def test_a_layer_that_its_table_does_not_describe_is_not_given_out(
    store: Store, als: AdditionalLayers
) -> None:
    right = chunked_layer()
    listed_right = entries(bytes(right))
    wrong = estargz(Layer().directory("etc").file("etc/motd", b"HELLO\n" * 1000), listed_right)
    true = estargz(chunked_layer(), listed_right)
    assert wrong.toc == true.toc
    put(store, wrong)
    assert await find(als, name_of(wrong.toc)) is None
    assert await find(als, name_of(wrong.toc)) is None
    put(store, true)
    assert (await place(als, true.toc)).content == true.digest


async def test_a_table_in_use_names_the_layer_when_its_manifest_is_gone(
    store: Store, als: AdditionalLayers
) -> None:
    chunked = zstd_chunked(chunked_layer())
    manifest = put(store, chunked)
    assert await use(als, chunked.toc) == errno.ENOENT
    assert store.uses.get(chunked.toc) == Use(1, chunked.digest)
    store.delete_manifest(manifest)
    store.garbage_collect()
    assert list(store.list_blobs()) == [chunked.digest]
    again = additional(store)
    assert (await place(again, chunked.toc)).content == chunked.digest
    assert [entry.name for entry in await listed(again)] == [name_of(chunked.toc)]
    assert await release(again, chunked.toc) == errno.ENOENT
    assert await find(again, name_of(chunked.toc)) is None


async def test_a_layer_that_is_gone_is_not_found_by_its_table(
    store: Store, als: AdditionalLayers
) -> None:
    chunked = estargz(chunked_layer())
    manifest = put(store, chunked)
    await place(als, chunked.toc)
    store.delete_manifest(manifest)
    store.delete_blob(chunked.digest)
    assert await find(als, name_of(chunked.toc)) is None


async def test_an_absent_digest_costs_no_wait_once_all_manifests_are_known(
    store: Store, als: AdditionalLayers, layer: Digest
) -> None:
    directory = store.paths.area(Area.MANIFESTS)
    os.utime(directory, (1_600_000_000, 1_600_000_000))
    assert await find(als, name_of(digest_of(b"first"))) is None
    assert als.lookup(name_of(digest_of(b"second"))) is None
    put(store, estargz(chunked_layer()))
    with pytest.raises(Unsettled):
        als.lookup(name_of(digest_of(b"third")))


async def test_several_who_ask_for_one_table_wait_for_one_proof(
    store: Store, als: AdditionalLayers, monkeypatch: pytest.MonkeyPatch
) -> None:
    chunked = estargz(chunked_layer())
    put(store, chunked)
    proofs = list[Digest]()

    def prove(layers: Layers, content: Digest, toc: Digest) -> None:
        proofs.append(content)

    monkeypatch.setattr("rossfs.tree.tocs.prove", prove)

    async def ask() -> None:
        assert (await place(als, chunked.toc)).content == chunked.digest

    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(ask)
    assert proofs == [chunked.digest]


async def test_a_layer_that_comes_back_is_found_by_its_table(
    store: Store, als: AdditionalLayers
) -> None:
    chunked = estargz(chunked_layer())
    put(store, chunked)
    store.delete_blob(chunked.digest)
    assert await find(als, name_of(chunked.toc)) is None
    store.put_blob(chunked.media_type, chunked.blob)
    assert (await place(als, chunked.toc)).content == chunked.digest


async def test_a_damaged_layer_that_is_mended_is_found_by_its_table(
    store: Store, als: AdditionalLayers, expects_warnings: list[logging.LogRecord]
) -> None:
    chunked = estargz(chunked_layer())
    put(store, chunked)
    harm(store, chunked.digest)
    assert await find(als, name_of(chunked.toc)) is None
    assert any(str(chunked.toc) in record.getMessage() for record in expects_warnings)
    mend(store, chunked.digest, chunked.blob)
    assert (await place(als, chunked.toc)).content == chunked.digest
