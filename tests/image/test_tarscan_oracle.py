"""Archives that tarfile writes, read as tarfile reads them, however their bytes are cut."""

from __future__ import annotations

import io
import os
import posixpath
import stat
import tarfile
from decimal import Decimal

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rossfs.image.tarscan import HARDLINK, TarEntry
from tests.image.scanning import check, content, fields, scan

ordinary = settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.too_slow])

KINDS = {
    tarfile.REGTYPE: stat.S_IFREG,
    tarfile.AREGTYPE: stat.S_IFREG,
    tarfile.CONTTYPE: stat.S_IFREG,
    tarfile.LNKTYPE: HARDLINK,
    tarfile.SYMTYPE: stat.S_IFLNK,
    tarfile.CHRTYPE: stat.S_IFCHR,
    tarfile.BLKTYPE: stat.S_IFBLK,
    tarfile.DIRTYPE: stat.S_IFDIR,
    tarfile.FIFOTYPE: stat.S_IFIFO,
}

COMPONENTS = st.one_of(
    st.sampled_from([b".", b".wh.a", b"a b", b"\xff\xfe", b"\n"]),
    st.binary(min_size=1, max_size=90).map(
        lambda name: name.replace(b"/", b"_").replace(b"\0", b"_").replace(b"..", b"__")
    ),
)
NAMES = st.builds(
    lambda lead, components: lead + b"/".join(components),
    st.sampled_from([b"", b"", b"./", b"/"]),
    st.lists(COMPONENTS, min_size=1, max_size=5),
)
XATTRS = st.dictionaries(
    st.text("abc.", min_size=1, max_size=10), st.binary(max_size=300), max_size=2
)


@st.composite
def members(draw: st.DrawFn, form: int) -> tuple[tarfile.TarInfo, bytes]:
    """A member of an archive, and its content."""
    ustar = form == tarfile.USTAR_FORMAT
    member = tarfile.TarInfo(os.fsdecode(draw(NAMES)[: 99 if ustar else None]))
    member.type = draw(st.sampled_from(list(KINDS)))
    member.mode = draw(st.integers(0, 0o7777))
    if ustar:
        ids, times = st.integers(0, 0o7777777), st.integers(0, 0o77777777777)
    else:
        ids = st.integers(0, (1 << 31) - 1)
        times = st.integers(-(1 << 33), 1 << 34)
    member.uid, member.gid, member.mtime = draw(ids), draw(ids), draw(times)
    if member.islnk() or member.issym():
        member.linkname = os.fsdecode(draw(NAMES)[: 100 if ustar else None])
    if member.ischr() or member.isblk():
        member.devmajor, member.devminor = draw(st.integers(0, 4095)), draw(st.integers(0, 1048575))
    if form == tarfile.PAX_FORMAT:
        headers = {}
        if draw(st.booleans()):
            nanoseconds = draw(st.integers(-(10**18), 10**19))
            headers["mtime"] = f"{Decimal(nanoseconds).scaleb(-9):f}"
        for name, value in draw(XATTRS).items():
            headers[f"SCHILY.xattr.user.{name}"] = os.fsdecode(value)
        member.pax_headers = headers
    data = draw(st.binary(max_size=1500)) if member.isreg() else b""
    member.size = len(data)
    return member, data


@st.composite
def archives(draw: st.DrawFn) -> bytes:
    form = draw(st.sampled_from([tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT]))
    added = draw(st.lists(members(form), max_size=5))
    stream = io.BytesIO()
    with tarfile.open(
        fileobj=stream, mode="w", format=form, encoding="utf-8", errors="surrogateescape"
    ) as tar:
        for member, data in added:
            tar.addfile(member, io.BytesIO(data))
    return stream.getvalue()


def expected(member: tarfile.TarInfo) -> dict[str, object]:
    """What an entry says of which tarfile says *member*."""
    path = _normal(member.name)
    kind = KINDS[member.type]
    time = Decimal(member.pax_headers.get("mtime", int(member.mtime)))
    xattrs = {
        os.fsencode(key.removeprefix("SCHILY.xattr.")): os.fsencode(value)
        for key, value in member.pax_headers.items()
        if key.startswith("SCHILY.xattr.")
    }
    link = member.linkname
    return {
        "path": path,
        "kind": kind,
        "mode": member.mode & 0o7777,
        "uid": member.uid,
        "gid": member.gid,
        "size": member.size,
        "mtime_ns": max(-(1 << 63), min(int(time.scaleb(9)), (1 << 63) - 1)),
        "rdev": os.makedev(member.devmajor, member.devminor) if member.isdev() else 0,
        "linkname": _normal(link) if kind == HARDLINK else os.fsencode(link),
        "offset": member.offset_data,
        "stored": member.size,
        "sparse": None,
        "xattrs": xattrs or None,
    }


def _normal(name: str) -> bytes:
    return os.fsencode(posixpath.normpath("/" + name).lstrip("/"))


@ordinary
@given(archives(), st.data())
def test_entries_are_those_of_tarfile(tar: bytes, data: st.DataObject) -> None:
    cuts = data.draw(st.lists(st.integers(0, len(tar)), max_size=30), label="cuts")
    found = scan(tar, cuts)
    assert (found.refusals, found.length) == ([], len(tar))
    with tarfile.open(
        fileobj=io.BytesIO(tar), encoding="utf-8", errors="surrogateescape"
    ) as oracle:
        oracles = oracle.getmembers()
        assert list(map(fields, found.entries)) == list(map(expected, oracles))
        for entry, member in zip(found.entries, oracles, strict=True):
            check(entry, len(tar))
            if entry.kind == stat.S_IFREG:
                file = oracle.extractfile(member)
                assert file is not None
                assert content(tar, entry) == file.read()


@ordinary
@given(archives(), st.integers(1, 600))
def test_how_the_bytes_are_cut_makes_no_difference(tar: bytes, size: int) -> None:
    def told(entries: list[TarEntry]) -> list[dict[str, object]]:
        return list(map(fields, entries))

    whole, pieces = scan(tar), scan(tar, range(size, len(tar), size))
    assert told(pieces.entries) == told(whole.entries)
    assert pieces.refusals == whole.refusals


def test_archives_come_byte_by_byte() -> None:
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        member = tarfile.TarInfo("é" * 200)
        member.size = 700
        tar.addfile(member, io.BytesIO(b"x" * 700))
        tar.addfile(tarfile.TarInfo("b"))
    data = stream.getvalue()
    found = scan(data, range(len(data)))
    assert (found.paths, found.length) == (["é".encode() * 100, b"b"], len(data)) or found.refusals
    assert [refusal.reason for refusal in found.refusals] == ["has a name of 400 bytes"]
