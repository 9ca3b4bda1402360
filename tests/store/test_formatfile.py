import os
from pathlib import Path

import msgpack
import pytest

from rossfs.errors import UnknownFormat
from rossfs.store import formatfile
from rossfs.store.paths import Paths


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    return Paths(str(tmp_path))


def put(paths: Paths, record: object) -> None:
    Path(paths.format).write_bytes(msgpack.packb(record))


def test_a_store_without_format_file_is_one_of_ross(paths: Paths) -> None:
    assert formatfile.check(paths) is False


def test_what_was_written_is_accepted(paths: Paths) -> None:
    formatfile.write(paths)
    assert formatfile.check(paths) is True


def test_another_version_is_refused(paths: Paths) -> None:
    put(paths, {"version": 2})
    with pytest.raises(UnknownFormat, match="version 2; this rossfs knows 1"):
        formatfile.check(paths)


def test_an_unknown_incompatible_feature_is_refused_by_name(paths: Paths) -> None:
    put(paths, {"version": 1, "incompatible": ["encrypted"]})
    with pytest.raises(UnknownFormat, match="'encrypted'"):
        formatfile.check(paths)


def test_an_unknown_compatible_feature_is_ignored(paths: Paths) -> None:
    put(paths, {"version": 1, "compatible": ["sparkling"], "more": None})
    assert formatfile.check(paths) is True


@pytest.mark.parametrize(
    "record", [b"", b"\xc1", b"not msgpack", b"\x90", b"\x81\xa7version\xa1x", b"\x80", b"\xc0"]
)
def test_what_cannot_be_read_is_refused(paths: Paths, record: bytes) -> None:
    Path(paths.format).write_bytes(record)
    with pytest.raises(UnknownFormat, match="format is damaged, or no format file of rossfs: put "):
        formatfile.check(paths)


@pytest.mark.parametrize("what", ["directory", "link", "fifo", "long"])
def test_what_is_no_file_of_ours_is_refused(paths: Paths, what: str) -> None:
    path = Path(paths.format)
    match what:
        case "directory":
            path.mkdir()
        case "link":
            path.symlink_to("elsewhere")
        case "fifo":
            os.mkfifo(path)
        case "long":
            path.write_bytes(bytes(100_000))
    with pytest.raises(UnknownFormat, match="is damaged, or no format file"):
        formatfile.check(paths)


def test_hostile_features_are_refused(paths: Paths) -> None:
    put(paths, {"version": 1, "incompatible": [{"a": 1}]})
    with pytest.raises(UnknownFormat):
        formatfile.check(paths)
