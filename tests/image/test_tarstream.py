"""Headers of archives, against Python's tarfile and by hand."""

from __future__ import annotations

import io
import tarfile
import tracemalloc
from collections.abc import Iterator

import pytest

from rossfs.errors import InvalidSource
from rossfs.image.tarstream import BLOCK, Kind, TarReader

LONG = "d" * 90 + "/" + "n" * 120 + "/file"


def reader(data: bytes, *, skipping: bool = False) -> TarReader:
    stream = io.BytesIO(data)

    def skip(size: int) -> None:
        stream.seek(size, io.SEEK_CUR)

    return TarReader(stream.read, "a.tar", skip if skipping else None)


def archive(
    files: dict[str, bytes], form: int = tarfile.PAX_FORMAT, **links: tuple[bytes, str]
) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form) as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
        for name, (kind, target) in links.items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = kind, target
            tar.addfile(member)
    return stream.getvalue()


def with_checksum(header: bytearray) -> bytes:
    header[148:156] = b" " * 8
    header[148:156] = b"%06o\0 " % sum(header)
    return bytes(header)


@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
@pytest.mark.parametrize("skipping", [False, True])
def test_entries_and_content_are_those_that_tarfile_sees(form: int, skipping: bool) -> None:
    files = {"a": b"1", "empty": b"", LONG[:150]: b"x" * 1000, "last": b"y" * BLOCK}
    data = archive(files, form)
    with tarfile.open(fileobj=io.BytesIO(data)) as oracle:
        expected = [(member.name, member.size, member.offset_data) for member in oracle]
    tar = reader(data, skipping=skipping)
    assert [(entry.name, entry.size, entry.offset) for entry in tar] == expected


def test_content_is_read_where_it_is_asked_for() -> None:
    tar = reader(archive({"a": b"first", "b": b"second", "c": b"x" * 3_000_000}))
    read = {entry.name: b"".join(tar.chunks()) for entry in tar if entry.name != "b"}
    assert read == {"a": b"first", "c": b"x" * 3_000_000}


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_long_names_and_link_targets_come_whole(form: int) -> None:
    data = archive({LONG: b""}, form, link=(tarfile.SYMTYPE, LONG))
    assert [(entry.name, entry.kind, entry.target) for entry in reader(data)] == [
        (LONG, Kind.FILE, ""),
        ("link", Kind.SYMLINK, LONG),
    ]


def test_names_that_are_not_utf8_are_kept() -> None:
    data = archive({"caf\udce9": b""}, tarfile.GNU_FORMAT)
    assert next(iter(reader(data))).name == "caf\udce9"


def test_links_directories_and_devices_have_no_content() -> None:
    data = archive(
        {},
        hard=(tarfile.LNKTYPE, "a"),
        directory=(tarfile.DIRTYPE, ""),
        device=(tarfile.CHRTYPE, ""),
    )
    assert [(entry.kind, entry.size) for entry in reader(data)] == [
        (Kind.HARDLINK, 0),
        (Kind.OTHER, 0),
        (Kind.OTHER, 0),
    ]


def test_a_size_in_base_256_counts() -> None:
    header = bytearray(tarfile.TarInfo("big").tobuf(tarfile.USTAR_FORMAT))
    header[124:136] = b"\x80" + (5).to_bytes(11, "big")
    data = with_checksum(header) + b"12345" + bytes(507) + bytes(1024)
    tar = reader(data)
    assert [(entry.size, b"".join(tar.chunks())) for entry in tar] == [(5, b"12345")]


def test_the_end_may_lack_its_blocks_and_the_last_padding() -> None:
    data = archive({"a": b"1", "b": b"22"})
    cut = data[: 3 * BLOCK + 2]
    assert [entry.name for entry in reader(cut)] == ["a", "b"]


@pytest.mark.parametrize("cut", [100, BLOCK + 3, 2 * BLOCK + 100])
def test_an_archive_that_ends_in_the_middle_is_truncated(cut: int) -> None:
    data = archive({"a": b"12345", "b": b"22"})
    with pytest.raises(InvalidSource, match="truncated"):
        list(reader(data[:cut]))


def test_what_is_no_tar_is_refused() -> None:
    for data in (b"hello" * 200, b"\xff" * 1024, b"0" * 512):
        with pytest.raises(InvalidSource, match="no tar archive"):
            list(reader(data))


def test_a_header_that_was_changed_is_noticed() -> None:
    data = bytearray(archive({"a": b"12345", "b": b"22"}))
    data[2 * BLOCK] ^= 1
    with pytest.raises(InvalidSource, match="at byte 1024"):
        list(reader(bytes(data)))


@pytest.mark.parametrize("kind", [b"x", b"L"])
def test_a_header_of_gigabytes_is_not_read(kind: bytes) -> None:
    member = tarfile.TarInfo("x")
    member.type, member.size = kind, 8 << 30
    with pytest.raises(InvalidSource, match="header of 8589934592 bytes"):
        list(reader(member.tobuf(tarfile.GNU_FORMAT)))


def test_a_negative_or_huge_size_is_refused() -> None:
    header = bytearray(tarfile.TarInfo("big").tobuf(tarfile.USTAR_FORMAT))
    for field in (b"\xff" * 12, b"\x80" + b"\xff" * 11, b"-0000000012\0"):
        header[124:136] = field
        with pytest.raises(InvalidSource, match="no tar archive"):
            list(reader(with_checksum(header)))


@pytest.mark.parametrize(
    "record", [b"12 path=x", b"0 path=x\n", b"99 path=x\n", b"path=x\n", b"-3 a=b\n", b"9 path+x\n"]
)
def test_a_pax_header_that_cannot_be_read_is_refused(record: bytes) -> None:
    member = tarfile.TarInfo("x")
    member.type, member.size = b"x", len(record)
    data = member.tobuf(tarfile.USTAR_FORMAT) + record.ljust(BLOCK, b"\0") + bytes(1024)
    with pytest.raises(InvalidSource, match="PAX header"):
        list(reader(data))


@pytest.mark.parametrize("size", ["-1", "9" * 30, "1e3", ""])
def test_a_size_in_a_pax_header_must_be_a_number(size: str) -> None:
    member = tarfile.TarInfo("x")
    member.pax_headers = {"size": size}
    with pytest.raises(InvalidSource, match="bytes"):
        list(reader(member.tobuf(tarfile.PAX_FORMAT) + bytes(1024)))


def test_sparse_files_are_not_taken_for_content() -> None:
    member = tarfile.TarInfo("x")
    member.pax_headers = {"GNU.sparse.major": "1"}
    [entry] = reader(member.tobuf(tarfile.PAX_FORMAT) + bytes(1024))
    assert entry.kind is Kind.OTHER


def test_headers_without_an_entry_take_no_memory() -> None:
    size, count = 1 << 20, 40

    def pieces() -> Iterator[bytes]:
        for number in range(count):
            value = b"x" * (size - 40)
            record = b"%d GNU.sparse.%05d=%s\n" % (len(value) + 26, number, value)
            member = tarfile.TarInfo("x")
            member.type, member.size = b"x", len(record)
            yield member.tobuf(tarfile.USTAR_FORMAT) + record + bytes(-len(record) % BLOCK)
        yield tarfile.TarInfo("last").tobuf(tarfile.USTAR_FORMAT)

    given, rest = pieces(), bytearray()

    def read(length: int) -> bytes:
        while len(rest) < length and (piece := next(given, b"")):
            rest.extend(piece)
        taken = bytes(rest[:length])
        del rest[:length]
        return taken

    tracemalloc.start()
    try:
        [entry] = TarReader(read, "a.tar")
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (entry.name, entry.kind) == ("last", Kind.OTHER)
    assert peak < 10 * size
