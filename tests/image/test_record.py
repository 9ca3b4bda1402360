"""One record, as bytes."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from rossfs.image.record import RECORD, RECORD_SIZE, Record

u16, u32, u64 = st.integers(0, 2**16 - 1), st.integers(0, 2**32 - 1), st.integers(0, 2**64 - 1)
i64 = st.integers(-(2**63), 2**63 - 1)
records = st.builds(Record, u32, u16, u16, u32, u32, i64, u64, u64, u32, u32, u32, u32, u32, u32)


@settings(deadline=None, database=None)
@given(records)
def test_a_record_is_what_was_packed(record: Record) -> None:
    data = RECORD.pack(*record)
    assert len(data) == RECORD_SIZE
    assert Record(*RECORD.unpack(data)) == record


def test_fields_are_where_the_documentation_says() -> None:
    offsets = {
        "name_offset": 0, "name_length": 4, "mode": 6, "uid": 8, "gid": 12, "mtime_ns": 16,
        "size": 24, "data": 32, "parent": 40, "nlink": 44, "inode": 48, "rare": 52, "flags": 56,
        "extra": 60,
    }  # fmt: skip
    assert tuple(offsets) == Record._fields
    nothing = Record(*[0] * len(offsets))
    for name, offset in offsets.items():
        data = RECORD.pack(*nothing._replace(**{name: 0x0101}))
        assert [place for place, byte in enumerate(data) if byte] == [offset, offset + 1]
