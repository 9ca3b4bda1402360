"""The file of seek points: written, opened, cut, altered, and thinned out."""

from __future__ import annotations

import hashlib
import itertools
import os
from pathlib import Path

import pytest

from rossfs.errors import InvalidTable
from rossfs.image import seekpoints
from rossfs.image.seekpoints import SeekPoint, SeekPointBuilder, SeekPoints
from rossfs.oci.digest import Digest
from tests.image.gzips import DIGEST, content, opened, written

POINTS = [
    SeekPoint(80, 0, b""),
    SeekPoint(8_003, 1 << 20, content("text", 32_768)),
    SeekPoint(16_007, 2 << 20, content("random", 32_768)),
    SeekPoint(24_001, 3 << 20, content("zeros", 32_768), 2_001, content("random", 251)),
    SeekPoint(32_000, 4 << 20, b"short"),
    SeekPoint(40_000, 5 << 20, b"", 3, b"\x03"),
]
SMALL = [
    SeekPoint(80, 0, b""),
    SeekPoint(8_003, 1 << 20, content("text", 700)),
    SeekPoint(24_001, 3 << 20, content("zeros", 32_768), 2_001, content("random", 251)),
    SeekPoint(40_000, 5 << 20, b"", 3, b"\x03"),
]
LENGTH = 6 << 20
SIZE = 6_000


def built(points: list[SeekPoint] = POINTS) -> SeekPointBuilder:
    builder = SeekPointBuilder()
    for point in points:
        builder.add(point)
    builder.length, builder.size = LENGTH, SIZE
    return builder


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "points"
    path.write_bytes(written(built()))
    table = SeekPoints.open(str(path))
    assert [table.point(number) for number in range(len(table))] == POINTS
    assert (table.digest, table.length, table.size) == (DIGEST, LENGTH, SIZE)
    table.close()


@pytest.mark.parametrize("algorithm", ["sha256", "sha512"])
def test_the_digest_is_that_of_the_blob(algorithm: str) -> None:
    digest = Digest.from_raw(algorithm, hashlib.new(algorithm, b"blob").digest())
    table = opened(written(built(), digest))
    assert table.digest == digest
    table.close()


def test_the_point_before_an_offset_is_found() -> None:
    table = opened(written(built()))
    for number in range(6):
        for offset in (number << 20, (number << 20) + 1, ((number + 1) << 20) - 1):
            assert table.find(offset) == number
        assert (table.start(number), table.end(number)) == (number << 20, (number + 1) << 20)
    assert table.find(1 << 40) == 5
    table.close()


def test_of_several_points_at_one_offset_the_last_is_found() -> None:
    points = [SeekPoint(80, 0, b""), SeekPoint(99_000, 0, b""), SeekPoint(200_000, 0, b"")]
    table = opened(written(built(points)))
    assert table.find(0) == 2
    assert [table.end(number) for number in range(3)] == [0, 0, LENGTH]
    table.close()


def test_windows_are_compressed() -> None:
    points = [SeekPoint(n * 80, n << 20, content("zeros", 32_768)) for n in range(100)]
    assert len(written(built(points))) < 100 * 100


def test_an_altered_byte_is_found_when_opening_or_using_it() -> None:
    whole = bytearray(written(built(SMALL)))
    for position in range(len(whole)):
        whole[position] ^= 1 + position % 255
        try:
            table = opened(bytes(whole))
        except InvalidTable:
            pass
        else:
            refused = 0
            for number, point in enumerate(SMALL):
                try:
                    assert table.point(number) == point
                except InvalidTable:
                    refused += 1
            assert refused == 1
            table.close()
        whole[position] ^= 1 + position % 255


def test_a_cut_file_is_refused() -> None:
    whole = written(built(SMALL))
    for length in range(len(whole)):
        with pytest.raises(InvalidTable):
            opened(whole[:length])


def test_a_file_that_has_more_is_refused() -> None:
    with pytest.raises(InvalidTable, match="cut or altered"):
        opened(written(built()) + b"\0")


def test_a_file_of_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = written(built())
    monkeypatch.setattr(seekpoints, "VERSION", seekpoints.VERSION + 1)
    with pytest.raises(InvalidTable, match="another version"):
        opened(whole)


def test_a_refused_file_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "points"
    path.write_bytes(bytes(1000))
    fd = os.open(path, os.O_RDONLY)
    with pytest.raises(InvalidTable):
        SeekPoints.from_fd(fd)
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(fd)


def test_the_file_is_closed_with_the_last_reference() -> None:
    before = len(os.listdir("/proc/self/fd"))
    table = opened(written(built()))
    assert len(os.listdir("/proc/self/fd")) == before + 1
    del table
    assert len(os.listdir("/proc/self/fd")) == before


def test_a_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidTable, match="cannot be read"):
        SeekPoints.open(str(tmp_path))


def test_a_file_that_is_altered_or_cut_after_opening_gives_nothing_wrong(tmp_path: Path) -> None:
    path = tmp_path / "points"
    whole = written(built())
    path.write_bytes(whole)
    table = SeekPoints.open(str(path))
    for change in (b"", whole[:-1], whole[:2000], bytes(len(whole)), b"\xff" * len(whole)):
        with path.open("r+b") as file:
            file.truncate(0)
            file.write(change)
        for number in range(len(table)):
            try:
                assert table.point(number) == POINTS[number]
            except InvalidTable:
                continue
            assert change == whole[:-1]
    with path.open("r+b") as file:
        file.write(whole)
    assert [table.point(number) for number in range(len(table))] == POINTS
    table.close()


def test_two_points_that_change_places_are_found(tmp_path: Path) -> None:
    path = tmp_path / "points"
    whole = written(built())
    path.write_bytes(whole)
    table = SeekPoints.open(str(path))
    one, other = whole[-56:], whole[-112:-56]
    path.write_bytes(whole[:-112] + one + other)
    with pytest.raises(InvalidTable, match="seek point 4 of sha256:0f0f"):
        table.point(4)
    with pytest.raises(InvalidTable):
        table.point(5)
    table.close()


def test_more_points_than_there_is_room_for_lie_further_apart(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(seekpoints, "BUDGET", 50_000)
    builder = SeekPointBuilder(10)
    offset = 0
    while offset < 40_000:
        builder.add(SeekPoint(80 + offset, offset, content("random", 500, offset)))
        offset += builder.interval
    builder.length = offset
    table = opened(written(builder))
    offsets = [table.start(number) for number in range(len(table))]
    assert offsets[0] == 0
    assert builder.interval > 10
    gaps = [after - before for before, after in itertools.pairwise(offsets)]
    assert max(gaps) <= builder.interval
    assert len(written(builder)) < 60_000
    for number, start in enumerate(offsets):
        assert table.point(number).offset == start
    table.close()
