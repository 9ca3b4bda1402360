"""Finding out what a source is, and opening it.

What only some sources need is imported when it is needed: starting takes longer than importing a
small image.
"""

from __future__ import annotations

import contextlib
import io
import os
import stat
from collections.abc import Callable, Iterator

from rossfs.errors import InvalidSource
from rossfs.image.directory import DirectoryFiles
from rossfs.image.files import Files, read
from rossfs.image.intake import Intake
from rossfs.image.layoutsource import LayoutSource
from rossfs.image.source import Source
from rossfs.image.transport import STREAM, Place, Transport
from rossfs.oci.layout import INDEX_FILE, LAYOUT_FILE

_COMPRESSIONS = {
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\xfd7zXZ\x00": "xz",
    b"BZh": "bzip2",
}
_DOCKER_FILE = "manifest.json"
_GZIP = b"\x1f\x8b"
_MAGIC = 512
_BUFFER = 1 << 18


@contextlib.contextmanager
def open_source(place: Place, intake: Intake) -> Iterator[Source]:
    """Open what *place* names; OSError if it cannot be opened, InvalidSource if it is no source.

    What comes through a pipe is put into the store on the way (received.py).
    """
    files = _open_files(place.path, intake)
    try:
        yield _recognise(files, place.transport, intake)
    finally:
        files.close()


def _recognise(files: Files, transport: Transport | None, intake: Intake) -> Source:
    if transport is None:
        transport = _transport_of(files)
    match transport:
        case Transport.OCI | Transport.OCI_ARCHIVE:
            return LayoutSource(files)
        case Transport.DOCKER_ARCHIVE:
            from rossfs.image.dockersource import DockerSource

            return DockerSource(files, intake)
        case Transport.DIRECTORY:
            from rossfs.image.dirsource import DirSource

            return DirSource(files)


def _transport_of(files: Files) -> Transport:
    # Newer archives of `docker save` hold both; only the layout has every name and digest.
    if files.size(LAYOUT_FILE) is not None and files.size(INDEX_FILE) is not None:
        return Transport.OCI
    data = read(files, _DOCKER_FILE)
    if data is not None:
        is_list = data.lstrip()[:1] == b"["
        return Transport.DOCKER_ARCHIVE if is_list else Transport.DIRECTORY
    raise InvalidSource(
        f"{files.name} holds no image: neither {LAYOUT_FILE} with {INDEX_FILE} nor {_DOCKER_FILE}"
    )


def _open_files(path: str, intake: Intake) -> Files:
    if path == STREAM:
        return _receive(0, "standard input", intake)
    if os.path.isdir(path):
        return DirectoryFiles(path)
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        head = os.pread(fd, _MAGIC, 0) if stat.S_ISREG(os.fstat(fd).st_mode) else None
        if head is not None and not head.startswith((_GZIP, *_COMPRESSIONS)):
            from rossfs.image.archive import ArchiveFiles

            return ArchiveFiles(path, fd)
        files = _receive(fd, path, intake)
    except BaseException:
        os.close(fd)
        raise
    os.close(fd)
    return files


def _receive(fd: int, name: str, intake: Intake) -> Files:
    from rossfs.image.received import ReceivedFiles

    with io.BufferedReader(io.FileIO(fd, closefd=False), _BUFFER) as raw:
        head = raw.peek(_MAGIC)
        if not head:
            raise InvalidSource(f"{name} is empty")
        for magic, compression in _COMPRESSIONS.items():
            if head.startswith(magic):
                raise InvalidSource(
                    f"{name} is compressed with {compression}: decompress it into `rossfs import -`"
                )
        if head.startswith(_GZIP):
            import gzip

            with gzip.GzipFile(fileobj=raw) as plain:
                return ReceivedFiles(_explained(plain.read, name), name, intake)
        return ReceivedFiles(raw.read, name, intake)


def _explained(read_plain: Callable[[int], bytes], name: str) -> Callable[[int], bytes]:
    import gzip
    import zlib

    def read_gzip(size: int) -> bytes:
        try:
            return read_plain(size)
        except EOFError as error:
            raise InvalidSource(f"{name} is truncated") from error
        except (gzip.BadGzipFile, zlib.error) as error:
            raise InvalidSource(f"{name} is damaged: {error}") from error

    return read_gzip
