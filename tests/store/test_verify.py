import os
import threading
import time
from pathlib import Path

import pytest

from rossfs.errors import BlobNotFound, Damaged
from rossfs.oci.digest import Digest
from rossfs.store import verify
from rossfs.store.access import Access
from rossfs.store.content import Content, seal
from rossfs.store.contents import Contents
from rossfs.store.hashing import hash_file
from rossfs.store.verify import Identity, Verifier, identity_of
from tests.builders import OCTET_STREAM, RossStore, digest_of

DATA = b"a" * 100_000


def find(contents: Contents, digest: Digest) -> Content:
    found = contents.settle(digest)
    assert found is not None
    return found


def flip(path: Path) -> None:
    """Change one byte in place, as another program or a bad disk would."""
    with path.open("r+b") as file:
        file.seek(5)
        file.write(b"b")


def test_what_ross_wrote_is_hashed_once(ross: RossStore, contents: Contents) -> None:
    content = find(contents, ross.put_blob(OCTET_STREAM, DATA))
    assert contents.verifier.needs_check(content)
    contents.verifier.check(content)
    assert not contents.verifier.needs_check(content)
    # Were it read again, this would be noticed.
    ross.path(content.digest).unlink()
    contents.verifier.check(content)


def test_sealed_content_is_not_hashed(ross: RossStore, contents: Contents) -> None:
    digest = ross.put_blob(OCTET_STREAM, DATA)
    os.utime(ross.path(digest), ns=(0, seal(digest, 1_700_000_000)))
    content = find(contents, digest)
    assert content.proven
    assert not contents.verifier.needs_check(content)
    ross.path(digest).unlink()
    contents.verifier.check(content)


def test_a_write_breaks_the_seal(ross: RossStore, contents: Contents) -> None:
    digest = ross.put_blob(OCTET_STREAM, DATA)
    os.utime(ross.path(digest), ns=(0, seal(digest, int(time.time()))))
    flip(ross.path(digest))
    content = find(contents, digest)
    assert not content.proven
    with pytest.raises(Damaged, match=f"{digest} is damaged: its 100000 bytes hash to sha256:"):
        contents.verifier.check(content)


@pytest.mark.parametrize("change", [b"", b"a", DATA + b"a", DATA[:-1] + b"b"])
def test_changed_bytes_are_damaged(ross: RossStore, contents: Contents, change: bytes) -> None:
    digest = ross.put_blob(OCTET_STREAM, DATA)
    contents.verifier.check(find(contents, digest))
    ross.path(digest).write_bytes(change)
    content = find(contents, digest)
    for _ in range(2):
        with pytest.raises(Damaged):
            contents.verifier.check(content)
    assert [one for one, _ in contents.verifier.damaged()] == [digest]


def test_damage_is_forgotten_when_the_file_was_mended(ross: RossStore, contents: Contents) -> None:
    digest = ross.put_blob(OCTET_STREAM, DATA)
    flip(ross.path(digest))
    with pytest.raises(Damaged):
        contents.verifier.check(find(contents, digest))
    ross.path(digest).write_bytes(DATA)
    assert contents.verifier.damaged() == []
    contents.verifier.check(find(contents, digest))


def test_damage_is_forgotten_when_the_file_was_removed(ross: RossStore, contents: Contents) -> None:
    digest = ross.put_blob(OCTET_STREAM, DATA)
    flip(ross.path(digest))
    with pytest.raises(Damaged):
        contents.verifier.check(find(contents, digest))
    ross.path(digest).unlink()
    assert contents.verifier.damaged() == []


def test_a_forged_modification_time_does_not_bring_a_verdict_back(
    ross: RossStore, contents: Contents
) -> None:
    digest = ross.put_blob(OCTET_STREAM, DATA)
    contents.verifier.check(find(contents, digest))
    status = ross.path(digest).stat()
    flip(ross.path(digest))
    os.utime(ross.path(digest), ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(Damaged):
        contents.verifier.check(find(contents, digest))


def test_proving_does_not_believe_a_seal(ross: RossStore, contents: Contents) -> None:
    digest = ross.put_blob(OCTET_STREAM, DATA)
    path = ross.path(digest)
    flip(path)
    os.utime(path, ns=(0, seal(digest, 1_700_000_000)))
    content = find(contents, digest)
    contents.verifier.check(content)
    with pytest.raises(Damaged):
        contents.verifier.prove(digest, content.path)
    # Once it is known, the seal helps no more.
    with pytest.raises(Damaged):
        contents.verifier.check(content)


def test_proving_says_which_file_it_hashed(ross: RossStore) -> None:
    digest = ross.put_blob(OCTET_STREAM, DATA)
    path = ross.path(digest)
    verifier = Verifier()
    assert verifier.verdict(str(path), identity_of(path.stat())) is None
    assert verifier.prove(digest, str(path)) == identity_of(path.stat())
    assert verifier.verdict(str(path), identity_of(path.stat())) is True


def test_what_is_no_file_cannot_be_proven(tmp_path: Path) -> None:
    digest = digest_of(b"")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to("/dev/null")
    for name in ("none", "fifo", "link", "."):
        with pytest.raises(BlobNotFound):
            Verifier().prove(digest, str(tmp_path / name))


def test_sha512_is_verified(ross: RossStore) -> None:
    digest = digest_of(DATA, "sha512")
    ross.path(digest).parent.mkdir()
    ross.path(digest).write_bytes(DATA)
    Verifier().prove(digest, str(ross.path(digest)))
    flip(ross.path(digest))
    with pytest.raises(Damaged):
        Verifier().prove(digest, str(ross.path(digest)))


def test_many_threads_hash_once(ross: RossStore, monkeypatch: pytest.MonkeyPatch) -> None:
    digest = ross.put_blob(OCTET_STREAM, DATA * 50)
    contents = Contents(Access.open(str(ross.root)))
    content = find(contents, digest)
    hashed = []

    def counting(fd: int, algorithm: str) -> tuple[Digest, int]:
        hashed.append(fd)
        return hash_file(fd, algorithm)

    monkeypatch.setattr("rossfs.store.verify.hash_file", counting)
    threads = [threading.Thread(target=contents.verifier.check, args=(content,)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert len(hashed) == 1
    assert not contents.verifier.needs_check(content)


def test_only_so_many_verdicts_are_kept(
    ross: RossStore, contents: Contents, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(verify, "REMEMBERED", 3)
    found = [
        find(contents, ross.put_blob(OCTET_STREAM, str(number).encode())) for number in range(5)
    ]
    for content in found:
        contents.verifier.check(content)
    needed = [contents.verifier.needs_check(content) for content in found]
    assert needed == [True, True, False, False, False]


def test_damage_may_be_listed_while_it_is_checked(
    ross: RossStore, contents: Contents, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = ross.put_blob(OCTET_STREAM, DATA)
    content = find(contents, digest)
    flip(ross.path(digest))
    with pytest.raises(Damaged):
        contents.verifier.check(find(contents, digest))
    ross.path(digest).write_bytes(DATA)
    mended = find(contents, digest)
    assert mended.changed_ns != content.changed_ns
    real = verify._identity

    def listed(found: Content) -> Identity:
        contents.verifier.damaged()
        return real(found)

    monkeypatch.setattr(verify, "_identity", listed)
    contents.verifier.check(mended)
