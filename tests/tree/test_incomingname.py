"""What a name in incoming/ asks of its content, and what content is."""

from __future__ import annotations

import errno
import os

import pytest

from rossfs.errors import DigestMismatch, MissingContent
from rossfs.oci.mediatype import OCI_INDEX, OCI_LAYER_GZIP, OCI_MANIFEST
from rossfs.store.store import Store
from rossfs.tree.incoming import IncomingDirectory, incoming_directory
from rossfs.tree.node import Directory
from rossfs.tree.numbers import Numbers
from rossfs.tree.uploads import Uploads
from tests.builders import digest_of, image_parts, index
from tests.suites.directory_suite import CALLER, find, listed
from tests.tree.writing import (
    close,
    content,
    error_of,
    pinned,
    reason,
    scratch,
    waiting,
    write,
)

DATA = b"bytes of a file\n" * 300
OTHER = b"other bytes"


@pytest.fixture
async def directory(store: Store, numbers: Numbers) -> IncomingDirectory:
    return incoming_directory(store, Uploads(store), numbers)


@pytest.fixture
async def again(store: Store, numbers: Numbers) -> IncomingDirectory:
    """incoming/ of another mount of the same store."""
    return incoming_directory(store, Uploads(store), numbers)


async def names(directory: Directory) -> set[bytes]:
    return {entry.name for entry in await listed(directory)}


# Names that are digests


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
async def test_a_name_that_is_the_digest_of_its_bytes_is_committed(
    directory: IncomingDirectory, store: Store, algorithm: str
) -> None:
    digest = digest_of(DATA, algorithm)
    for name in (digest.hex.encode(), str(digest).encode()):
        await write(directory, name, DATA)
        assert await pinned(directory, name) == digest
    assert store.get_blob(digest) == DATA


@pytest.mark.parametrize("name", [b"1" * 64, b"sha256:" + b"1" * 64, b"sha512:" + b"1" * 128])
async def test_a_name_that_is_another_digest_is_refused_and_remembered(
    directory: IncomingDirectory, again: IncomingDirectory, store: Store, name: bytes
) -> None:
    with pytest.raises(DigestMismatch, match="not committed") as caught:
        await write(directory, name, DATA)
    assert caught.value.errno == errno.EBADMSG
    assert list(store.list_blobs()) == []
    for mount in (directory, again):
        node = await waiting(mount, name)
        assert b"hash to" in reason(node)
        assert await content(node) == DATA
    # Under another name it is right.
    await again.rename(name, again, b"name", 0, CALLER)
    assert await pinned(directory, b"name") == digest_of(DATA)
    assert await find(directory, name) is None


@pytest.mark.parametrize(
    "name",
    [b"1" * 63, b"A" * 64, b"sha256:" + b"1" * 63, b"md5:" + b"1" * 32, b"blake3:" + b"1" * 64],
)
async def test_what_looks_like_a_digest_and_is_none_is_a_name(
    directory: IncomingDirectory, name: bytes
) -> None:
    await write(directory, name, DATA)
    assert await pinned(directory, name) == digest_of(DATA)


# What content is


async def test_a_manifest_is_filed_as_one(directory: IncomingDirectory, store: Store) -> None:
    parts = image_parts()
    for number, (_, data) in enumerate(parts.blobs()):
        await write(directory, b"%d" % number, data)
    await write(directory, b"manifest.json", parts.manifest)
    assert await pinned(directory, b"manifest.json") == parts.digest
    assert store.get_manifest(parts.digest) == (parts.manifest, OCI_MANIFEST)
    found = store.stat_blob(digest_of(parts.layers[0]))
    assert found is not None
    assert found.media_type == OCI_LAYER_GZIP


async def test_an_index_may_lack_its_manifests(directory: IncomingDirectory, store: Store) -> None:
    data = index([(image_parts("absent").manifest, "linux/arm64")])
    await write(directory, b"index.json", data)
    assert await pinned(directory, b"index.json") == digest_of(data)
    assert store.get_index(digest_of(data)) == (data, OCI_INDEX)


async def test_a_manifest_that_lacks_its_layers_waits_until_they_are_there(
    directory: IncomingDirectory, store: Store
) -> None:
    parts = image_parts()
    with pytest.raises(MissingContent):
        await write(directory, b"m.json", parts.manifest)
    node = await waiting(directory, b"m.json")
    assert str(digest_of(parts.layers[0])).encode() in reason(node)
    assert list(store.list_manifests()) == []
    for number, (_, data) in enumerate(parts.blobs()):
        await write(directory, b"%d" % number, data)
    await close(await node.open(os.O_WRONLY, CALLER))
    assert await pinned(directory, b"m.json") == parts.digest


async def test_what_is_almost_a_manifest_is_a_blob(
    directory: IncomingDirectory, store: Store
) -> None:
    for number, data in enumerate((b"{", b'{"config": 1}', b"[]", b'{"layers": []}')):
        await write(directory, b"%d" % number, data)
        assert await pinned(directory, b"%d" % number) == digest_of(data)
    assert list(store.list_manifests()) == []


# Temporary files of rsync


@pytest.mark.parametrize("name", [b".name.AbC123", b".a.b.c.000000", b"...abcdef", b".\n.abcdef"])
async def test_a_temporary_file_waits_and_can_be_opened_again(
    directory: IncomingDirectory, store: Store, name: bytes
) -> None:
    await write(directory, name, DATA[:10])
    node = await waiting(directory, name)
    handle = await node.open(os.O_RDWR, CALLER)
    await handle.write(10, DATA[10:])
    await close(handle)
    assert await content(await waiting(directory, name)) == DATA
    assert list(store.list_blobs()) == []
    await directory.rename(name, directory, b"name", 0, CALLER)
    assert await pinned(directory, b"name") == digest_of(DATA)
    assert await names(directory) == {b"name"}
    assert scratch(store) == []


@pytest.mark.parametrize("name", [b"name.AbC123", b".AbC123", b".name.AbC12", b".name.AbC1234"])
async def test_other_hidden_names_are_committed(directory: IncomingDirectory, name: bytes) -> None:
    await write(directory, name, DATA)
    assert await pinned(directory, name) == digest_of(DATA)


async def test_a_temporary_file_is_checked_when_it_gets_its_name(
    directory: IncomingDirectory, store: Store
) -> None:
    right = digest_of(DATA).hex.encode()
    await write(directory, b"." + right + b".AbC123", DATA)
    await write(directory, b".x.AbC123", OTHER)
    moved = directory.rename(b".x.AbC123", directory, right, 0, CALLER)
    assert isinstance(await error_of(moved), DigestMismatch)
    assert await content(await waiting(directory, b".x.AbC123")) == OTHER
    await directory.rename(b"." + right + b".AbC123", directory, right, 0, CALLER)
    assert await pinned(directory, right) == digest_of(DATA)
    parts = image_parts()
    await write(directory, b".m.AbC123", parts.manifest)
    moved = directory.rename(b".m.AbC123", directory, b"m", 0, CALLER)
    assert isinstance(await error_of(moved), MissingContent)
    assert await names(directory) == {b".x.AbC123", b".m.AbC123", right}
