"""A name in incoming/, as the place of a file that is being written."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rossfs.errors import DigestMismatch, InvalidDigest, MissingContent
from rossfs.oci.digest import HEX_LENGTHS, STORED_ALGORITHMS, Digest, is_hex_name
from rossfs.oci.quotation import quote
from rossfs.store import commit
from rossfs.store.filing import Stored
from rossfs.store.hashing import hash_file
from rossfs.store.ingest import Ingest
from rossfs.store.store import Store
from rossfs.store.uploads import Promise
from rossfs.tree.place import Place
from rossfs.tree.staged import Staged

if TYPE_CHECKING:
    from rossfs.tree.incomingnames import IncomingNames

# rsync closes its temporary file, opens it again and renames it.
_TEMPORARY = re.compile(rb"\..*\.[A-Za-z0-9]{6}", re.DOTALL)

_EMPTY = [Digest.of(b"", name) for name in STORED_ALGORITHMS]


def digest_of_name(name: bytes) -> Digest | None:
    """The digest that *name* is: `sha256:<hex>` or `<hex>`; None for any other name."""
    if b":" in name:
        try:
            digest = Digest.parse(name)
        except InvalidDigest:
            return None
        return digest if digest.is_stored else None
    for algorithm in STORED_ALGORITHMS:
        if len(name) == HEX_LENGTHS[algorithm] and is_hex_name(name, algorithm):
            return Digest(algorithm, name.decode())
    return None


def is_temporary(name: bytes) -> bool:
    """Whether a file of this name waits until it is renamed."""
    return _TEMPORARY.fullmatch(name) is not None


class Name(Place):
    """*name* in *directory*; *before*: the content that it names until now, to be written anew.

    Then it goes on naming that, for everybody who looks, until the last writer is gone.
    """

    __slots__ = ("_before", "_promise", "_store", "digest", "directory", "name")

    def __init__(
        self,
        store: Store,
        directory: IncomingNames,
        name: bytes,
        before: Digest | None = None,
    ) -> None:
        self._store = store
        self._before = before
        self._promise: Promise | None = None
        self.directory = directory
        self.name = name
        self.digest = digest_of_name(name)
        """What the content must hash to."""

    @property
    def full(self) -> bytes:
        """The path below incoming/."""
        return self.directory.below(self.name)

    @property
    def algorithm(self) -> str:
        return self.digest.algorithm if self.digest is not None else "sha256"

    @property
    def path(self) -> str:
        return self._store.incoming.path(self.full)

    @property
    def hidden(self) -> bool:
        return self._before is not None

    @property
    def reason(self) -> bytes | None:
        return self._store.incoming.reason(self.full)

    # Beginning

    def size(self) -> int:
        content = None if self._before is None else self._store.contents.find(self._before)
        return 0 if content is None else content.size

    def fill(self, ingest: Ingest) -> None:
        if self._before is None:
            return
        # Somebody else may have written it anew since it was looked up.
        self._before = self._store.incoming.digest(self.full) or self._before
        with self._store.open_blob(self._before) as reader:
            for piece in reader.chunks():
                ingest.append(piece)

    def revive(self) -> bool:
        """It may be written anew if the name still is what became of it."""
        self._before = self._store.incoming.digest(self.full)
        return self._before is not None

    def began(self, staged: Staged) -> None:
        self.directory.show(self.name, staged)

    # Judging

    def judge(self, ingest: Ingest) -> bool:
        """Empty and temporary files wait; the rest is recorded as to be committed.

        DigestMismatch, MissingContent, StoreFull.
        """
        if self._waits_in(ingest):
            self._store.incoming.forgive(ingest.path)
        if is_temporary(self.name) or not (ingest.size or self.digest in _EMPTY):
            ingest.sync()
            return False
        stored = self._told(ingest)
        with self._store.access.writing():
            # The path is this until the lock is free: a directory is renamed under it alone.
            self._promise = commit.accept(
                self._store.contents, self._store.incoming, ingest, self.full, stored
            )
        return True

    def check(self, ingest: Ingest) -> None:
        """DigestMismatch if the bytes so far are not those of its name."""
        if self.digest is None:
            ingest.sync()
        else:
            self._told(ingest)

    def withdraw(self) -> None:
        promise, self._promise = self._promise, None
        if promise is not None:
            promise.withdraw()

    # Moving

    def at(self, directory: IncomingNames, name: bytes) -> Name:
        """The place of the same file when it is renamed."""
        return Name(self._store, directory, name, self._before)

    def take(self, ingest: Ingest, before: Name) -> None:
        """The file *before* is renamed to this: its bytes come along if they lie under its name.

        DigestMismatch; and what else refuses it if it was a temporary file, which nobody closes
        again.
        """
        was_temporary = is_temporary(before.name) and not is_temporary(self.name)
        if ingest.size and (was_temporary or self.digest is not None):
            self._told(ingest)
        if self._waits_in(ingest):
            self._store.incoming.move(before.full, self.full)
            ingest.path = self.path

    def follow(self, old: bytes, ingest: Ingest) -> None:
        """The directory was renamed, in which this was *old*: say so where it is written down.
        Requires `Access.sweeping`."""
        if ingest.path == self._store.incoming.path(old):
            ingest.path = self.path
        promise = self._promise
        if promise is not None:
            record = promise.record._replace(
                name=self.full, data=self._store.incoming.name(ingest.path)
            )
            self._promise = promise.moved(self._store.access, record)

    # Ending

    def carry_out(self, ingest: Ingest) -> None:
        assert self._promise is not None, "nothing was accepted"
        commit.carry_out(self._store.contents, self._store.incoming, ingest, self._promise)
        self._promise = None

    def leave(self, ingest: Ingest, reason: str | None) -> bool:
        with self._store.access.writing():
            self._store.incoming.leave(ingest.path, self.full, reason)
        self._before = None
        ingest.detach()
        return True

    def ended(self, staged: Staged) -> None:
        self.directory.hide(self.name, staged)

    # Inside

    def _waits_in(self, ingest: Ingest) -> bool:
        """Whether the bytes lie under a name, not among the temporary files."""
        return not ingest.path.startswith(f"{self._store.paths.scratch}/")

    def _told(self, ingest: Ingest) -> Stored:
        """Finish the ingest; an error names the file."""
        digest = self.digest
        if digest is None and ingest.algorithm != self.algorithm:
            # It had a name of sha512 when it was opened.
            digest, _ = hash_file(ingest.fileno(), self.algorithm)
        try:
            return ingest.finish(digest)
        except (DigestMismatch, MissingContent) as error:
            where = quote(b"incoming/" + self.full, 300)
            raise type(error)(f"{where} is not committed: {error}") from None
