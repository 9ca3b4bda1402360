from pathlib import Path

import pytest

from rossfs.tree.digestlisting import DigestListing, scan
from rossfs.tree.node import Entry
from tests.builders import OCTET_STREAM, RossStore, digest_of


def hashes(raw: bytes, width: int = 32) -> set[bytes]:
    found = [raw[start : start + width] for start in range(0, len(raw), width)]
    assert len(set(found)) == len(found), "listed twice"
    return set(found)


def area(ross: RossStore, name: str) -> str:
    return str(ross.root / name / "sha256")


def test_content_is_listed_and_its_meta_is_not(ross: RossStore) -> None:
    digests = {ross.put_blob(OCTET_STREAM, b"%d" % number).raw for number in range(50)}
    raw, bare = scan([area(ross, "blobs")], "sha256")
    assert hashes(raw) == digests
    assert not bare


def test_content_without_meta_is_told(ross: RossStore) -> None:
    whole = ross.put_blob(OCTET_STREAM, b"whole").raw
    torn = ross.put_blob(OCTET_STREAM, b"torn", meta=False).raw
    raw, bare = scan([area(ross, "blobs")], "sha256")
    assert hashes(raw) == {whole, torn}
    assert bare == {torn}


def test_other_names_are_passed_over(ross: RossStore, tmp_path: Path) -> None:
    digest = ross.put_blob(OCTET_STREAM, b"content")
    blobs = ross.root / "blobs" / "sha256"
    for name in ("F" * 64, "0" * 63, "0" * 65, "g" * 64, "00 " * 21 + "0", "x.meta", ".tmp"):
        (blobs / name).write_bytes(b"")
    raw, bare = scan([str(blobs)], "sha256")
    assert hashes(raw) == {digest.raw}
    assert not bare


def test_a_wrong_name_among_many_right_ones_spoils_none(tmp_path: Path) -> None:
    digests = [digest_of(b"%d" % number) for number in range(1100)]
    for digest in digests:
        (tmp_path / digest.hex).touch()
        (tmp_path / f"{digest.hex}.meta").touch()
    for name in ("F" * 64, "g" * 64, " " * 64):
        (tmp_path / name).touch()
    raw, bare = scan([str(tmp_path)], "sha256")
    assert hashes(raw) == {digest.raw for digest in digests}
    assert not bare


def test_what_lies_in_two_directories_is_listed_once(ross: RossStore) -> None:
    both = ross.put_blob(OCTET_STREAM, b"{}")
    ross.put_manifest(b"{}")
    one = ross.put_manifest(b"{ }")
    raw, _ = scan([area(ross, "blobs"), area(ross, "manifests"), area(ross, "indexes")], "sha256")
    assert hashes(raw) == {both.raw, one.raw}


def test_what_lies_elsewhere_too_can_be_left_out(ross: RossStore) -> None:
    manifest = ross.put_manifest(b"{ }")
    ross.put_manifest(b"{}", meta=False)
    ross.put_index(b"{}")
    raw, bare = scan([area(ross, "manifests")], "sha256", [area(ross, "indexes")])
    assert hashes(raw) == {manifest.raw}
    assert not bare


def test_a_directory_that_is_not_there_is_empty(tmp_path: Path) -> None:
    missing = str(tmp_path / "missing")
    assert scan([missing, missing], "sha256", [missing]) == (b"", frozenset())


def test_sha512_has_names_of_its_length(tmp_path: Path) -> None:
    digest = digest_of(b"content", "sha512")
    (tmp_path / digest.hex).write_bytes(b"content")
    (tmp_path / digest_of(b"content").hex).write_bytes(b"content")
    raw, bare = scan([str(tmp_path)], "sha512")
    assert raw == digest.raw
    assert bare == {digest.raw}


def test_entries_are_made_when_they_are_asked_for() -> None:
    digests = [digest_of(b"%d" % number) for number in range(5)]
    asked: list[bytes] = []

    def make(name: bytes) -> Entry:
        asked.append(name)
        return Entry(name, None)

    listing = DigestListing(b"".join(digest.raw for digest in digests), "sha256", make)
    assert len(listing) == 5
    assert not asked
    entry = listing[3]
    assert entry is not None
    assert entry.name == digests[3].hex.encode()
    assert asked == [entry.name]
    assert [made.name for made in listing[1:3] if made] == [d.hex.encode() for d in digests[1:3]]
    for index in (5, -1, 500):
        with pytest.raises(IndexError):
            listing[index]


def test_a_listing_takes_little_more_than_the_hashes() -> None:
    listing = DigestListing(bytes(32 * 100_000), "sha256", lambda name: Entry(name, None))
    assert len(listing) == 100_000
    assert not hasattr(listing, "__dict__")
