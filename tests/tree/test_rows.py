import os
import stat

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rossfs.image.toc import Toc
from rossfs.store.store import Store
from rossfs.tree.layerinodes import attr_of
from rossfs.tree.node import Row
from rossfs.tree.rows import rows_of
from tests.layers import Layer
from tests.tree.browsing import Browser, bottom

FILES, DIRECTORIES = 5 << 40, 6 << 40


@pytest.fixture
def toc(store: Store, browser: Browser) -> Toc:
    """The table of a layer with everything in it."""
    blob = store.put_blob("application/octet-stream", bottom().closed())[0]
    return browser.layers.open(blob).toc


def by_record(toc: Toc, index: int) -> Row:
    """The row of one record, field by field."""
    record = toc.record(index)
    attr = attr_of(record)
    is_directory = stat.S_ISDIR(record.mode)
    return Row(
        toc.name(index),
        DIRECTORIES | index if is_directory else FILES | record.inode,
        attr.mode,
        attr.size,
        attr.nlink,
        record.uid,
        record.gid,
        toc.rdev(index),
        attr.mtime_ns,
    )


def test_each_record_is_a_row(toc: Toc) -> None:
    seen = set()
    for directory in range(toc.count):
        children = toc.children(directory)
        rows = [Row._make(row) for row in rows_of(toc, children, FILES, DIRECTORIES)]
        assert rows == [by_record(toc, index) for index in children]
        seen |= {stat.S_IFMT(row.mode) for row in rows}
    kinds = {stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO}
    assert seen == kinds


def test_a_part_of_a_directory_has_the_rows_of_that_part(toc: Toc) -> None:
    children = toc.children(0)
    everything = list(rows_of(toc, children, FILES, DIRECTORIES))
    for start in range(len(children) + 1):
        assert list(rows_of(toc, children[start:], FILES, DIRECTORIES)) == everything[start:]
    assert not list(rows_of(toc, range(0), FILES, DIRECTORIES))


def test_devices_have_numbers_and_nothing_else_has(toc: Toc) -> None:
    dev = toc.find(0, b"dev")
    rows = [Row._make(row) for row in rows_of(toc, toc.children(dev), FILES, DIRECTORIES)]
    assert {row.name: row.rdev for row in rows} == {
        b"cap": 0,
        b"null": os.makedev(1, 3),
        b"pipe": 0,
        b"sda": os.makedev(8, 0),
    }


def test_hard_links_have_one_number(toc: Toc) -> None:
    lib = toc.find(toc.find(0, b"usr"), b"lib")
    numbers = {row[0]: row[1] for row in rows_of(toc, toc.children(lib), FILES, DIRECTORIES)}
    assert numbers[b"libc.so"] == numbers[b"libc.so.6"]
    assert len(set(numbers.values())) == len(numbers) - 1


_names = st.binary(min_size=1, max_size=20).filter(
    lambda name: not {b"/"[0], 0} & set(name) and name not in (b".", b"..")
)
_fields = st.fixed_dictionaries(
    {
        "mode": st.integers(0, 0o7777),
        "uid": st.integers(0, 0xFFFFFFFE),
        "gid": st.integers(0, 0xFFFFFFFE),
        "mtime": st.integers(-(1 << 33), 1 << 33),
    }
)


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.dictionaries(_names, _fields, max_size=12))
def test_whatever_an_entry_says_its_row_says(
    store: Store, browser: Browser, files: dict[bytes, dict[str, int]]
) -> None:
    layer = Layer()
    files = {name: said for name, said in files.items() if not name.startswith(b".wh.")}
    for name, said in files.items():
        layer.file(name, name, **said)
    blob = store.put_blob("application/octet-stream", layer.closed())[0]
    toc = browser.layers.open(blob).toc
    rows = [Row._make(row) for row in rows_of(toc, toc.children(0), FILES, DIRECTORIES)]
    assert [row.name for row in rows] == sorted(files)
    for row in rows:
        said = files[row.name]
        assert row.mode == stat.S_IFREG | said["mode"]
        assert (row.uid, row.gid) == (said["uid"], said["gid"])
        assert row.mtime_ns == said["mtime"] * 10**9
        assert (row.size, row.nlink, row.rdev) == (len(row.name), 1, 0)
