"""als/: what podman says that it uses, counted."""

from __future__ import annotations

import errno
import logging
import stat
from pathlib import Path

import pytest
import trio

from rossfs.errors import BlobNotFound, Damaged, InvalidLayer
from rossfs.oci.digest import Digest
from rossfs.store import uses
from rossfs.store.store import Store
from rossfs.store.uses import Use
from rossfs.tree.als import AdditionalLayers
from rossfs.tree.node import Directory
from tests.builders import OCI_CONFIG
from tests.suites.directory_suite import CALLER, find, listed, refusal
from tests.tree.alslooking import FLAGS, additional, name_of, place, release, use
from tests.tree.browsing import harm, lose


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
