import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rossfs.errors import Damaged, RangeError
from rossfs.store.access import Access
from rossfs.store.contents import Contents
from rossfs.store.hashing import BUFFER
from rossfs.store.reader import Reader, clip
from tests.builders import OCTET_STREAM, RossStore

DATA = bytes(range(256)) * (BUFFER // 100)


def open_reader(ross: RossStore, data: bytes) -> Reader:
    contents = Contents(Access.open(str(ross.root)))
    found = contents.settle(ross.put_blob(OCTET_STREAM, data))
    assert found is not None
    return Reader(contents, found)


@given(st.integers(0, 50), st.integers(-3, 60), st.integers(-3, 60))
def test_a_range_is_what_slicing_gives_or_an_error(size: int, offset: int, length: int) -> None:
    end = offset + length if length > 0 else size
    if 0 <= offset <= end <= size:
        assert clip(size, offset, length) == end - offset
    else:
        with pytest.raises(RangeError):
            clip(size, offset, length)


def test_ranges_are_read(ross: RossStore) -> None:
    with open_reader(ross, DATA) as reader:
        assert reader.size == len(DATA)
        assert reader.read() == DATA
        assert reader.read(10, 20) == DATA[10:30]
        assert reader.read(len(DATA) - 5, 0) == DATA[-5:]
        assert reader.read(len(DATA)) == b""
        with pytest.raises(RangeError, match=f"in content of {len(DATA)} bytes"):
            reader.read(len(DATA) + 1)
        with pytest.raises(RangeError):
            reader.read(len(DATA) - 1, 2)


def test_chunks_are_bounded_and_complete(ross: RossStore) -> None:
    with open_reader(ross, DATA) as reader:
        chunks = list(reader.chunks())
        assert b"".join(chunks) == DATA
        assert max(map(len, chunks)) == BUFFER
        assert b"".join(reader.chunks(7, BUFFER + 1)) == DATA[7 : BUFFER + 8]
        with pytest.raises(RangeError):
            reader.chunks(len(DATA) + 1)


def test_empty_content_is_read(ross: RossStore) -> None:
    with open_reader(ross, b"") as reader:
        assert reader.read() == b""
        assert list(reader.chunks()) == []


def test_damaged_content_is_not_opened(ross: RossStore) -> None:
    contents = Contents(Access.open(str(ross.root)))
    digest = ross.put_blob(OCTET_STREAM, b"right")
    ross.path(digest).write_bytes(b"wrong")
    found = contents.settle(digest)
    assert found is not None
    before = len(os.listdir("/proc/self/fd"))
    with pytest.raises(Damaged):
        Reader(contents, found)
    assert len(os.listdir("/proc/self/fd")) == before


def test_content_cut_short_while_open_is_damaged(ross: RossStore) -> None:
    with open_reader(ross, DATA) as reader:
        os.truncate(ross.path(reader.content.digest), 100)
        with pytest.raises(Damaged, match="cut short"):
            reader.read()


def test_removed_content_can_be_read_to_its_end(ross: RossStore) -> None:
    with open_reader(ross, DATA) as reader:
        ross.path(reader.content.digest).unlink()
        assert reader.read() == DATA


def test_a_closed_reader_reads_nothing(ross: RossStore) -> None:
    reader = open_reader(ross, DATA)
    reader.close()
    reader.close()
    with pytest.raises(ValueError, match="closed"):
        reader.read()
