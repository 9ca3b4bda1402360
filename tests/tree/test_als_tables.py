"""als/: layers by the digests of their tables of contents."""

from __future__ import annotations

import errno
import logging
import os

import pytest
import trio

from rossfs.image.layers import Layers
from rossfs.oci.digest import Digest
from rossfs.store.paths import Area
from rossfs.store.store import Store
from rossfs.store.uses import Use
from rossfs.tree.als import AdditionalLayers
from rossfs.tree.contentfile import ContentFile
from rossfs.tree.node import Directory, Unsettled
from tests.builders import digest_of
from tests.image.chunked import entries, estargz, put, zstd_chunked
from tests.layers import Layer
from tests.suites.directory_suite import find, listed
from tests.tree.alslooking import additional, info, name_of, place, release, use
from tests.tree.browsing import harm, mend


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
