"""Sparse files of all forms, and maps that are wrong."""

from __future__ import annotations

import io
import stat
import tarfile

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rossfs.image import sparse
from tests.image.scanning import check, content, scan
from tests.layers import BLOCK, GNU, Layer, block, octal

ordinary = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])

FORMS = ("gnu", "0.0", "0.1", "1.0")
PIECES = st.lists(st.tuples(st.integers(0, 5000), st.binary(max_size=700)), min_size=1, max_size=60)


def sparse_file(form: str, pieces: list[tuple[int, bytes]], size: int) -> Layer:
    if form == "gnu":
        return Layer().gnu_sparse("dir/a", pieces, size)
    return Layer().pax_sparse("dir/a", pieces, size, form)


@ordinary
@given(PIECES, st.integers(0, 5000), st.sampled_from(FORMS), st.integers(1, 1500))
def test_files_come_out_with_their_holes(
    gaps: list[tuple[int, bytes]], tail: int, form: str, size: int
) -> None:
    pieces, end, whole = [], 0, b""
    for gap, data in gaps:
        pieces.append((end + gap, data))
        whole += bytes(gap) + data
        end = len(whole)
    whole += bytes(tail)
    tar = sparse_file(form, pieces, len(whole)).file("last").closed()
    found = scan(tar, range(size, len(tar), size))
    entry, last = found.entries
    check(entry, len(tar))
    assert (entry.path, entry.kind, entry.size, last.path) == (
        b"dir/a",
        stat.S_IFREG,
        len(whole),
        b"last",
    )
    assert content(tar, entry) == whole
    with tarfile.open(fileobj=io.BytesIO(tar)) as oracle:
        member = oracle.next()
        assert member is not None
        assert (member.name, member.size, member.offset_data) == ("dir/a", entry.size, entry.offset)
        file = oracle.extractfile(member)
        assert file is not None
        assert file.read() == whole


@pytest.mark.parametrize("form", FORMS)
def test_a_file_may_be_larger_than_any_disk(form: str) -> None:
    size = (1 << 63) - 1
    entry, _ = scan(sparse_file(form, [(size - 1, b"x")], size).file("last").closed()).entries
    assert (entry.size, entry.stored, entry.sparse) == (size, 1, ((size - 1, 1),))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(
    ("pieces", "size"),
    [
        ([(0, b"abc")], 2),
        ([(100, b"abc")], 102),
        ([(100, b"abc"), (102, b"d")], 1000),
        ([(100, b"abc"), (0, b"d")], 1000),
        ([(101, b""), (100, b"d")], 1000),
        ([(1001, b"")], 1000),
        ([(0, b"a")], 1 << 63),
        ([(1 << 62, b"a")] * 2, (1 << 63) - 1),
    ],
)
def test_a_map_that_is_wrong_is_refused(
    pieces: list[tuple[int, bytes]], size: int, form: str
) -> None:
    found = scan(sparse_file(form, pieces, size).file("last", b"x").closed())
    assert found.paths == [b"last"]
    assert [refusal.path for refusal in found.refusals] == [b"dir/a"]
    assert "sparse" in found.refusals[0].reason


@pytest.mark.parametrize(
    "records",
    [
        {"GNU.sparse.map": b"0,1"},
        {"GNU.sparse.size": b"x", "GNU.sparse.map": b"0,1"},
        {"GNU.sparse.size": b"-5", "GNU.sparse.map": b"0,1"},
        {"GNU.sparse.size": b"100", "GNU.sparse.map": b"0"},
        {"GNU.sparse.size": b"100", "GNU.sparse.map": b"0,1,"},
        {"GNU.sparse.size": b"100", "GNU.sparse.map": b",0,1"},
        {"GNU.sparse.size": b"100", "GNU.sparse.map": b"0,-1"},
        {"GNU.sparse.size": b"100", "GNU.sparse.map": b"0,1,x"},
        {"GNU.sparse.size": b"100", "GNU.sparse.map": b"0,2"},
        {"GNU.sparse.size": b"100"},
        {"GNU.sparse.major": b"1", "GNU.sparse.minor": b"0"},
        {"GNU.sparse.major": b"1", "GNU.sparse.minor": b"0", "GNU.sparse.realsize": b"9"},
        {"GNU.sparse.major": b"1", "GNU.sparse.minor": b"1", "GNU.sparse.realsize": b"9"},
        {"GNU.sparse.major": b"2", "GNU.sparse.minor": b"0", "GNU.sparse.realsize": b"9"},
    ],
)
def test_records_that_make_no_map_are_refused(records: dict[str, bytes]) -> None:
    found = scan(Layer().file("a", b"x", pax=records).file("last", b"x").closed())
    assert (found.paths, [refusal.path for refusal in found.refusals]) == ([b"last"], [b"a"])


@pytest.mark.parametrize(
    "lines",
    [
        b"",
        b"1\n0\n",
        b"1\n0\n1\n",
        b"x\n",
        b"-1\n",
        b"1048577\n",
        b"99999999999999999999\n",
        b"1\n0\n" + b"9" * 600,
        b"2\n0\n1\n" * 100,
        b"\n",
    ],
)
def test_content_that_holds_no_map_is_refused(lines: bytes) -> None:
    records = {"GNU.sparse.major": b"1", "GNU.sparse.minor": b"0", "GNU.sparse.realsize": b"99"}
    data = lines + bytes(-len(lines) % BLOCK)
    layer = Layer().file("a", data, pax=records).file("last", b"x")
    found = scan(layer.closed())
    assert (found.paths, [refusal.path for refusal in found.refusals]) == ([b"last"], [b"a"])


def test_the_records_of_a_sparse_file_mean_nothing_for_a_directory() -> None:
    records = {"GNU.sparse.size": b"100", "GNU.sparse.map": b"0,1"}
    entry = scan(Layer().directory("a", pax=records).closed()).entry
    assert (entry.kind, entry.size, entry.sparse) == (stat.S_IFDIR, 0, None)


def test_the_blocks_of_a_map_are_passed_over_when_its_file_is_refused() -> None:
    pieces = [(1000 * i, b"x") for i in range(100)]
    layer = Layer().gnu_sparse("../a", pieces, 100_000).file("last")
    found = scan(layer.closed())
    assert (found.paths, found.refusals) == ([b"last"], [(b"../a", "leads out of the root")])


def test_a_chain_of_blocks_without_end_is_refused_and_not_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sparse, "PIECE_LIMIT", 1000)
    tail = bytes(41) + bytes(96) + b"\1" + octal(1 << 40, 12)
    more = (octal(0, 12) + octal(0, 12)) * 21 + b"\1" + bytes(7)
    layer = Layer().raw(block(b"a", b"S", magic=GNU, tail=tail))
    layer.raw(more * 100).raw(bytes(BLOCK)).file("last")
    found = scan(layer.closed())
    assert found.paths == [b"last"]
    assert found.refusals == [(b"a", "is a sparse file of more than 1000 pieces")]


def test_old_maps_end_at_the_first_field_without_a_number() -> None:
    fields = octal(0, 12) + octal(3, 12) + bytes(24) + octal(512, 12) + octal(1, 12)
    tail = bytes(41) + fields.ljust(96, b"\0") + b"\0" + octal(1000, 12)
    tar = Layer().raw(block(b"a", b"S", size=3, magic=GNU, tail=tail)).padded(b"abc").closed()
    assert content(tar, scan(tar).entry) == b"abc".ljust(1000, b"\0")
