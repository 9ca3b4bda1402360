"""Tables that were cut or altered: refused if checked, and never more than wrong if not."""

from __future__ import annotations

import contextlib
import os
import random
import stat
import struct
import time

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rossfs.errors import InvalidTable
from rossfs.image import rare
from rossfs.image.tarscan import Refusal
from rossfs.image.tocformat import CHECKSUM_OFFSET, HEADER_SIZE, VERSION
from tests.image.tocs import (
    at,
    builder,
    directory,
    entry,
    link,
    opened,
    read_all,
    symlink,
    toc_of,
    written,
)

TABLE = written(
    builder(
        directory(b"d", xattrs={b"user.a": b"1"}), entry(b"d/f", size=10), link(b"g", b"d/f"),
        entry(b"s", size=90, stored=7, sparse=((3, 2), (50, 5))), symlink(b"l", b"d/f"),
        entry(b"c", stat.S_IFCHR, rdev=259), link(b"low", b"x/y"), entry(b"d/.wh.x"),
        entry(b"i/j/k"), Refusal(b"bad", "is bad"),
    )
)  # fmt: skip


def check_harmless(data: bytes | bytearray) -> None:
    """A table that nobody checked is refused, or answers everything, perhaps wrongly."""
    with contextlib.suppress(InvalidTable), opened(data, check=False) as toc:
        read_all(toc)


def test_the_table_itself_answers_everything() -> None:
    with opened(TABLE) as toc:
        assert read_all(toc) == 0


@pytest.mark.parametrize("eighth", range(8))
def test_every_flipped_bit_is_refused_if_checked_and_harmless_if_not(eighth: int) -> None:
    data = bytearray(TABLE)
    for bit in range(eighth, 8 * len(data), 8):
        data[bit // 8] ^= 1 << bit % 8
        with pytest.raises(InvalidTable), opened(data):
            pass
        check_harmless(data)
        data[bit // 8] ^= 1 << bit % 8


def test_a_table_that_was_cut_anywhere_is_refused() -> None:
    for length in range(len(TABLE)):
        for check in (True, False):
            with pytest.raises(InvalidTable, match="cut"), opened(TABLE[:length], check):
                pass


def test_a_table_with_more_bytes_is_refused() -> None:
    with pytest.raises(InvalidTable), opened(TABLE + b"\0", check=False):
        pass


def test_a_table_of_another_version_or_byte_order_is_refused_with_its_version() -> None:
    for version in (VERSION + 1, 0, int.from_bytes(VERSION.to_bytes(4, "little"), "big")):
        data = TABLE[:8] + struct.pack("=I", version) + TABLE[12:]
        with pytest.raises(InvalidTable, match=f"version {version}, not {VERSION}"), opened(data):
            pass


def test_another_file_is_refused() -> None:
    for data in (bytes(4096), os.urandom(5000), b"rossftoc" + bytes(3000)):
        with pytest.raises(InvalidTable), opened(data, check=False):
            pass


def test_a_directory_above_itself_ends_a_walk_down_and_a_walk_up() -> None:
    data = bytearray(TABLE)
    with opened(data) as toc:
        inner = at(toc, b"i/j")
        place = toc.records_offset + 64 * inner
    struct.pack_into("=Q", data, place + 32, inner - 1)  # its first child
    struct.pack_into("=I", data, place + 40, inner)  # its parent
    with opened(data, check=False) as toc:
        with pytest.raises(InvalidTable, match="altered"):
            toc.children(inner)
        with pytest.raises(InvalidTable, match="altered"):
            toc.path(inner)
        assert toc.find(inner, b"j") == -1


@pytest.mark.parametrize("first", [2**31, 2**63 - 1, 2**64 - 1])
def test_children_outside_the_table_are_not_looked_for(first: int) -> None:
    data = bytearray(TABLE)
    with opened(data) as toc:
        place = toc.records_offset
    struct.pack_into("=Q", data, place + 32, first)
    with opened(data, check=False) as toc:
        with pytest.raises(InvalidTable):
            toc.children(0)
        with contextlib.suppress(InvalidTable):
            assert toc.find(0, b"d") == -1


def test_an_index_outside_the_map_is_an_altered_table() -> None:
    with toc_of(entry(b"f")) as toc:
        for call in (toc.record, toc.name, toc.parent, toc.children, toc.path, toc.xattrs):
            with pytest.raises(InvalidTable):
                call(2**32 - 1)
        with pytest.raises(InvalidTable):
            toc.find(2**32 - 1, b"f")


@pytest.mark.parametrize(
    "notes",
    [
        b"", b"\xc1", msgpack.packb(5), msgpack.packb([1]), msgpack.packb([1, 2]),
        msgpack.packb([1, [[b"a"]]]), msgpack.packb([1, [["a", "b"]]]), msgpack.packb(["1", []]),
        msgpack.packb([float("inf"), []]), msgpack.packb([1, [[2**40, "b"]]]),
        msgpack.packb([1, {"a": "b"}]),
        msgpack.packb([-1, []]), msgpack.packb([0, [[b"a", "b"]]]), b"\xdd\xff\xff\xff\xff",
    ],
)  # fmt: skip
def test_altered_notes_are_no_refusals(notes: bytes) -> None:
    made = builder()
    data = bytearray(written(made))
    (start,) = struct.unpack_from("=Q", data, 16 + 80)
    struct.pack_into("=QQ", data, 16 + 80, start, len(notes))
    data[start:] = notes
    struct.pack_into("=Q", data, 16 + 8, len(data))
    with opened(data, check=False) as toc:
        with pytest.raises(InvalidTable):
            _ = toc.refusals
        with pytest.raises(InvalidTable):
            _ = toc.refused


@pytest.mark.parametrize(
    "thing",
    [
        b"", bytes(15), struct.pack("=QQ", 1, 0), struct.pack("=QQ", 2**63, 0),
        struct.pack("=QQ", 0, 1), struct.pack("=QQ", 0, 1) + b"\xc1",
        *[
            struct.pack("=QQ", 0, len(packed)) + packed
            for packed in map(
                msgpack.packb, ([], 1, {b"a": 1}, {"a": b"b"}, {b"a": "b"}, [[{}]])
            )
        ],
    ],
)  # fmt: skip
def test_altered_attributes_are_no_attributes(thing: bytes) -> None:
    with pytest.raises(InvalidTable):
        rare.xattrs(memoryview(thing))


def test_pieces_that_are_cut_are_no_pieces() -> None:
    with pytest.raises(InvalidTable):
        rare.pieces(memoryview(rare.pack(None, ((0, 1), (5, 6))))[:40])


@settings(deadline=None, database=None, max_examples=200)
@given(
    st.lists(
        st.tuples(st.integers(0, len(TABLE) - 8), st.integers(0, 2**64 - 1)), min_size=1, max_size=9
    )
)
def test_any_words_may_be_altered(changes: list[tuple[int, int]]) -> None:
    data = bytearray(TABLE)
    for place, word in changes:
        struct.pack_into("=Q", data, place, word)
    check_harmless(data)


def fuzz(seconds: float, seed: int) -> int:
    """Alter tables at random for *seconds*; answers how many."""
    chance = random.Random(seed)
    end = time.monotonic() + seconds
    done = 0
    while time.monotonic() < end:
        data = bytearray(TABLE)
        for _ in range(chance.choice((1, 2, 3, 20))):
            # The header, the records, and the rest, in which msgpack is.
            start, stop = chance.choice(
                ((0, CHECKSUM_OFFSET), (HEADER_SIZE, HEADER_SIZE + 64 * 12), (0, len(data) - 8))
            )
            place = chance.randrange(start, stop)
            if chance.random() < 0.5:
                data[place] = chance.randrange(256)
            else:
                value = chance.choice((0, 1, 2**16 - 1, 2**31, 2**32 - 1, chance.getrandbits(32)))
                struct.pack_into("=I", data, place & ~3, value)
        if chance.random() < 0.1:
            del data[chance.randrange(len(data)) :]
        try:
            check_harmless(data)
        except Exception as error:
            error.add_note(f"seed {seed}, table {done}: {data.hex()}")
            raise
        done += 1
    return done


def test_tables_altered_at_random_are_harmless() -> None:
    assert fuzz(1.0, 1) > 10


@pytest.mark.long
@pytest.mark.timeout(900)
def test_tables_altered_at_random_for_ten_minutes_are_harmless() -> None:
    assert fuzz(600.0, random.SystemRandom().getrandbits(64)) > 100_000
