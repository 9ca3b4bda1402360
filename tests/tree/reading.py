"""Reading content through its files, for their tests."""

import os

from rossfs.oci.digest import Digest
from rossfs.store.contents import Contents
from rossfs.store.ingest import Ingest
from rossfs.tree.contentfile import ContentFile, ContentFiles, ContentHandle
from tests.builders import (
    OCTET_STREAM,
)
from tests.suites.directory_suite import CALLER

DATA = bytes(range(256)) * 40


def put(contents: Contents, data: bytes) -> Digest:
    """Store *data* as rossfs does, with a seal."""
    with Ingest.create(contents) as ingest:
        ingest.append(data)
        return ingest.commit(None, OCTET_STREAM).digest


def file_of(files: ContentFiles, digest: Digest) -> ContentFile:
    found = files.glance(digest)
    assert found is not None
    return found


async def open_file(files: ContentFiles, digest: Digest) -> ContentHandle:
    handle = await file_of(files, digest).open(os.O_RDONLY, CALLER)
    assert isinstance(handle, ContentHandle)
    return handle


async def read_whole(files: ContentFiles, digest: Digest) -> bytes:
    handle = await open_file(files, digest)
    try:
        return bytes(await handle.read(0, 1 << 20))
    finally:
        await handle.release()
