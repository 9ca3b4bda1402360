"""`rossfs diff`."""

from __future__ import annotations

import gzip
import os
import tarfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rossfs.oci.manifest import Manifest
from rossfs.store.store import Store
from tests.cli.conftest import Rossfs, unread
from tests.stacking import layer, member, stack

BASE = layer(
    member("etc", type=tarfile.DIRTYPE, mode=0o755),
    member("etc/passwd", b"root\n", mode=0o644),
    member("etc/shadow", b"secret\n", mode=0o644),
    member("etc/same", b"as it was\n"),
    member("lib", type=tarfile.SYMTYPE, linkname="usr/lib"),
    member("null", type=tarfile.CHRTYPE, mode=0o666, devmajor=1, devminor=3),
    member("usr", type=tarfile.DIRTYPE, mode=0o755),
    member("usr/old", type=tarfile.DIRTYPE, mode=0o755),
    member("usr/old/a", b"x" * 1500),
    member("usr/old/b", type=tarfile.LNKTYPE, linkname="usr/old/a"),
    member("usr/turns", b"file"),
)
CHANGES = layer(
    member("etc/passwd", b"toor\n", mode=0o644),
    member("etc/shadow", b"secret\n", mode=0o600, uid=1, gid=42),
    member("etc/more", b"y" * 10),
    member("lib", type=tarfile.SYMTYPE, linkname="lib64"),
    member("null", type=tarfile.CHRTYPE, mode=0o666, devmajor=1, devminor=5),
    member("usr/.wh.old"),
    member("usr/turns", type=tarfile.DIRTYPE, mode=0o755),
    member("usr/turns/inside", b"z"),
    member("new", type=tarfile.SYMTYPE, linkname="etc"),
)


@pytest.fixture
def pair(store: Store) -> Store:
    """A store with images old:v1 and new:v1."""
    stack(store, [BASE], "library/old:v1")
    stack(store, [BASE, CHANGES], "library/new:v1")
    return store


def test_every_kind_of_difference_is_a_line(rossfs: Rossfs, pair: Store) -> None:
    ended = rossfs("diff", "old:v1", "new:v1")
    assert ended.out.splitlines() == [
        "A /etc/more  10 B",
        "C /etc/passwd  content",
        "C /etc/shadow  mode 0644 -> 0600, owner 0:0 -> 1:42",
        "C /lib  target usr/lib -> lib64",
        "A /new -> etc",
        "C /null  device 1,3 -> 1,5",
        "D /usr/old/",
        "D /usr/old/a  1.5 kB",
        "D /usr/old/b  1.5 kB",
        "C /usr/turns  type file -> directory, mode 0644 -> 0755",
        "A /usr/turns/inside  1 B",
    ]
    # The two names of one file are 1,500 bytes together.
    assert ended.err == "3 added (+11 B), 3 removed (-1.5 kB), 5 changed (-4 B)\n"


def test_the_other_direction_is_the_reverse(rossfs: Rossfs, pair: Store) -> None:
    there = rossfs("diff", "old:v1", "new:v1", "--json").json
    back = rossfs("diff", "new:v1", "old:v1", "--json").json
    assert [row["path"] for row in there] == [row["path"] for row in back]
    for one, other in zip(there, back, strict=True):
        assert (one["old"], one["new"], one["what"]) == (other["new"], other["old"], other["what"])


def test_json_has_both_sides(rossfs: Rossfs, pair: Store) -> None:
    rows = {row["path"]: row for row in rossfs("diff", "old:v1", "new:v1", "--json").json}
    shadow = rows["/etc/shadow"]
    assert (shadow["change"], shadow["what"]) == ("changed", ["mode", "owner"])
    assert (shadow["old"]["mode"], shadow["new"]["mode"], shadow["new"]["gid"]) == (
        "0644",
        "0600",
        42,
    )
    assert rows["/etc/more"]["old"] is None
    assert rows["/usr/old/a"]["new"] is None
    assert rossfs("diff", "old:v1", "old:v1", "--json").json == []


def test_the_same_is_told(rossfs: Rossfs, pair: Store) -> None:
    ended = rossfs("diff", "old:v1", "old:v1")
    assert (ended.out, ended.err) == ("", "no differences\n")


def test_the_exit_status_is_that_of_diff_where_it_is_wanted(rossfs: Rossfs, pair: Store) -> None:
    assert "A /etc/more" in rossfs("diff", "--exit-code", "old:v1", "new:v1", status=1).out
    rossfs("diff", "--exit-code", "old:v1", "old:v1")
    for names in (["old:v1", "new:v1"], ["new:v1", "old:v1"]):
        ended = rossfs("diff", "-q", *names, status=1)
        assert (ended.out, ended.err) == ("", "")
    rossfs("diff", "--quiet", "new:v1", "new:v1")
    rossfs("diff", "--quiet", "new:v1", "absent", status=3)


@pytest.mark.parametrize("options", [[], ["--exit-code"], ["--exit-code", "--json"]])
def test_a_reader_that_is_gone_is_silence(pair: Store, options: list[str]) -> None:
    ended = unread("--store", pair.paths.root, "diff", *options, "old:v1", "new:v1")
    assert (ended.returncode, ended.stderr) == (141, b"")


def test_layers_do_not_matter(rossfs: Rossfs, store: Store) -> None:
    whole = layer(member("a", b"1"), member("b", b"2" * 5000))
    parts = [layer(member("b", b"?"), member("c", b"3")), layer(member("a", b"1"))]
    top = layer(member("b", b"2" * 5000), member(".wh.c"))
    stack(store, [whole], "lab/whole:v1")
    stack(store, [*parts, top], "lab/parts:v1")
    assert rossfs("diff", "lab/whole:v1", "lab/parts:v1").out == ""


def test_times_count_only_where_that_is_asked_for(rossfs: Rossfs, store: Store) -> None:
    stack(store, [layer(member("a", b"1", mtime=0))], "lab/old:v1")
    stack(store, [layer(member("a", b"1", mtime=86400))], "lab/new:v1")
    rossfs("diff", "--exit-code", "lab/old:v1", "lab/new:v1")
    assert rossfs("diff", "--times", "lab/old:v1", "lab/new:v1").out == (
        "C /a  time 1970-01-01T00:00:00Z -> 1970-01-02T00:00:00Z\n"
    )


def test_extended_attributes_count(rossfs: Rossfs, store: Store) -> None:
    for name, value in (("old", "1"), ("new", "2")):
        headers = {"SCHILY.xattr.user.x": value}
        stack(store, [layer(member("a", b"", pax_headers=headers))], f"lab/{name}:v1")
    assert rossfs("diff", "lab/old:v1", "lab/new:v1").out == "C /a  xattrs\n"
    (row,) = rossfs("diff", "lab/old:v1", "lab/new:v1", "--json").json
    assert (row["old"]["xattrs"], row["new"]["xattrs"]) == ({"user.x": "1"}, {"user.x": "2"})


def test_files_that_differ_late_are_read_that_far(rossfs: Rossfs, store: Store) -> None:
    data = bytearray(os.urandom(3_000_000))
    stack(store, [layer(member("large", bytes(data)), member("z", b"1"))], "lab/old:v1")
    stack(store, [layer(member("z", b"1"), member("large", bytes(data)))], "lab/same:v1")
    data[2_999_999] ^= 1
    stack(store, [layer(member("z", b"1"), member("large", bytes(data)))], "lab/new:v1")
    assert rossfs("diff", "lab/old:v1", "lab/same:v1").out == ""
    assert rossfs("diff", "lab/old:v1", "lab/new:v1").out == "C /large  content\n"


def test_names_are_fit_for_a_terminal(rossfs: Rossfs, store: Store) -> None:
    stack(store, [layer(member("plain"))], "lab/old:v1")
    odd = [member("\x1b[2J"), member("l", type=tarfile.SYMTYPE, linkname="a\nb")]
    stack(store, [layer(*odd)], "lab/new:v1")
    assert rossfs("diff", "lab/old:v1", "lab/new:v1").out.splitlines() == [
        'A "/\\x1b[2J"  0 B',
        'A /l -> "a\\nb"',
        "D /plain  0 B",
    ]


@pytest.mark.damages_store
def test_damage_is_no_difference(rossfs: Rossfs, store: Store) -> None:
    data = os.urandom(200_000)
    stack(store, [layer(member("a", data))], "lab/old:v1")
    new = stack(store, [layer(member("a", data), member("b"))], "lab/new:v1")
    rossfs("diff", "lab/old:v1", "lab/new:v1")
    found = store.contents.find(Manifest.parse(store.get_manifest(new)[0]).layers[0].digest)
    assert found is not None
    with open(found.path, "r+b") as file:
        file.seek(1000)
        file.write(b"\0\0\0\0")
    assert "damaged" in rossfs("diff", "--exit-code", "lab/old:v1", "lab/new:v1", status=4).err


FILES = st.dictionaries(
    st.tuples(st.sampled_from("ab"), st.sampled_from("cdef")).map("/".join),
    st.sampled_from([b"", b"1", b"2", b"22" * 300]),
    max_size=6,
)


@given(old=st.lists(FILES, min_size=1, max_size=3), new=st.lists(FILES, min_size=1, max_size=3))
@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_a_difference_is_that_of_the_merged_files(
    rossfs: Rossfs, store: Store, old: list[dict[str, bytes]], new: list[dict[str, bytes]]
) -> None:
    merged = []
    for name, layers in (("old", old), ("new", new)):
        files: dict[str, bytes] = {}
        blobs = []
        for each in layers:
            gone = [f"{path[:2]}.wh.{path[2:]}" for path in files.keys() - each.keys()]
            made = [member(path, data) for path, data in each.items()]
            blobs.append(layer(*made, *map(member, gone)))
            files = each
        stack(store, blobs, f"lab/{name}:v1")
        merged.append({"/" + path: data for path, data in files.items()})
    before, after = merged
    rows = rossfs("diff", "lab/old:v1", "lab/new:v1", "--json").json
    found = {
        row["path"]: row["what"] or row["change"]
        for row in rows
        if "directory" not in {side["type"] for side in (row["old"], row["new"]) if side}
    }
    expected: dict[str, object] = {}
    for path in before.keys() | after.keys():
        if path not in before:
            expected[path] = "added"
        elif path not in after:
            expected[path] = "removed"
        elif before[path] != after[path]:
            same = len(before[path]) == len(after[path])
            expected[path] = ["content"] if same else ["size"]
    assert found == expected


def test_a_hard_link_into_lower_layers_is_compared_by_what_it_leads_to(
    rossfs: Rossfs, store: Store
) -> None:
    link = layer(
        member("d", type=tarfile.DIRTYPE, mode=0o755),
        member("d/link", type=tarfile.LNKTYPE, linkname="file"),
    )
    for name, data in (("old", b"one"), ("new", b"two")):
        stack(store, [layer(member("file", data)), link], f"lab/{name}:v1")
    assert rossfs("diff", "lab/old:v1", "lab/new:v1").out.splitlines() == [
        "C /d/link  content",
        "C /file  content",
    ]


def test_a_directory_that_follows_a_link_is_compared_where_it_is(
    rossfs: Rossfs, store: Store
) -> None:
    tool = layer(member("bin/tool", b"#!"))
    linked = layer(
        member("bin", type=tarfile.SYMTYPE, linkname="usr/bin"),
        member("usr/bin", type=tarfile.DIRTYPE, mode=0o755),
    )
    plain = layer(member("usr/bin", type=tarfile.DIRTYPE, mode=0o755))
    stack(store, [linked, tool], "lab/old:v1")
    stack(store, [plain, tool], "lab/new:v1")
    shown = rossfs("diff", "lab/old:v1", "lab/new:v1").out.splitlines()
    assert [line.split("  ")[0] for line in shown] == [
        "C /bin",
        "A /bin/tool",
        "D /usr/bin/tool",
    ]


def test_what_a_link_brings_into_a_directory_of_one_layer_is_seen(
    rossfs: Rossfs, store: Store
) -> None:
    top = layer(
        member("usr", type=tarfile.DIRTYPE, mode=0o755),
        member("usr/lib", type=tarfile.DIRTYPE, mode=0o755),
        member("lib/x", b"1"),
    )
    link = layer(member("lib", type=tarfile.SYMTYPE, linkname="usr/lib", mode=0o755))
    stack(store, [link, top], "lab/old:v1")
    stack(store, [layer(), top], "lab/new:v1")
    assert rossfs("diff", "lab/old:v1", "lab/new:v1").out.splitlines() == [
        "C /lib  type symlink -> directory",
        "A /lib/x  1 B",
        "D /usr/lib/x  1 B",
    ]


def test_sparse_files_are_compared_without_reading_their_holes(
    rossfs: Rossfs, store: Store
) -> None:
    huge = 1 << 50

    def sparse(data: bytes) -> bytes:
        headers = {
            "GNU.sparse.size": str(huge),
            "GNU.sparse.numblocks": "1",
            "GNU.sparse.map": f"{1 << 49},{len(data)}",
        }
        return layer(member("hole", data, pax_headers=headers))

    stack(store, [sparse(b"some")], "lab/old:v1")
    more = layer(member("other"))
    stack(store, [more, sparse(b"some")], "lab/same:v1")
    repacked = gzip.compress(gzip.decompress(sparse(b"some")), 9, mtime=1)
    stack(store, [repacked], "lab/repacked:v1")
    stack(store, [sparse(b"same")], "lab/new:v1")
    assert rossfs("diff", "lab/old:v1", "lab/same:v1").out == "A /other  0 B\n"
    assert rossfs("diff", "lab/old:v1", "lab/repacked:v1").out == ""
    assert rossfs("diff", "lab/old:v1", "lab/new:v1").out == "C /hole  content\n"
