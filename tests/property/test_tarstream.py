"""Archives from strangers: read as tarfile reads them, or refused, whatever is in them."""

from __future__ import annotations

import io
import tarfile

from hypothesis import given, settings
from hypothesis import strategies as st

from rossfs.errors import InvalidSource
from rossfs.image.tarstream import Kind, TarReader

NAMES = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0/"), min_size=1, max_size=150
)
FORMATS = st.sampled_from([tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])


def archive(files: dict[str, bytes], form: int) -> bytes:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=form) as tar:
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return stream.getvalue()


@given(st.dictionaries(NAMES, st.binary(max_size=2000), max_size=8), FORMATS)
def test_what_was_put_in_comes_out(files: dict[str, bytes], form: int) -> None:
    reader = TarReader(io.BytesIO(archive(files, form)).read, "a.tar")
    assert {entry.name: b"".join(reader.chunks()) for entry in reader} == files


@settings(max_examples=300)
@given(
    st.dictionaries(NAMES, st.binary(max_size=600), min_size=1, max_size=3),
    FORMATS,
    st.lists(st.tuples(st.integers(0, 1 << 20), st.integers(0, 255)), min_size=1, max_size=8),
    st.integers(0, 1 << 20),
)
def test_a_changed_or_cut_archive_is_read_or_refused(
    files: dict[str, bytes], form: int, changes: list[tuple[int, int]], cut: int
) -> None:
    data = bytearray(archive(files, form))
    for position, value in changes:
        data[position % len(data)] = value
    stream = io.BytesIO(data[: cut % (len(data) + 1)] if cut & 1 else data)
    reader = TarReader(stream.read, "a.tar")
    try:
        for entry in reader:
            if entry.kind is Kind.FILE:
                assert sum(map(len, reader.chunks())) == entry.size
    except InvalidSource:
        pass


@given(st.binary(max_size=2048))
def test_noise_is_refused(noise: bytes) -> None:
    reader = TarReader(io.BytesIO(noise).read, "a.tar")
    try:
        entries = list(reader)
    except InvalidSource:
        return
    # Without a valid checksum there is no entry; zeros are an empty archive.
    assert entries == []
