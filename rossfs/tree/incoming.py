"""incoming/: what is written here becomes content, and its name a link to it.

Nothing of it is cached by the kernel: names change their kind whenever a file is closed.  A change
of a name first waits for what is under way there.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat

from rossfs.errors import BlobNotFound, InvalidDigest, InvalidDocument
from rossfs.oci.digest import Digest
from rossfs.oci.quotation import quote
from rossfs.store.store import Store
from rossfs.tree.contentfile import ContentFile
from rossfs.tree.incomingname import Name
from rossfs.tree.incomingnames import Inbox, IncomingNames, failure
from rossfs.tree.node import Caller, Directory, Node
from rossfs.tree.numbers import Fixed, Numbers
from rossfs.tree.pinlink import PinLink
from rossfs.tree.staged import Staged
from rossfs.tree.stagedhandle import StagedHandle
from rossfs.tree.uploads import Adopter, Uploads

_NOREPLACE = 1  # RENAME_NOREPLACE of renameat2(2)


def incoming_directory(store: Store, uploads: Uploads, numbers: Numbers) -> IncomingDirectory:
    """incoming/ itself."""
    return IncomingDirectory(Fixed.INCOMING, Inbox(store, uploads, numbers), None, b"")


class IncomingDirectory(IncomingNames):
    """incoming/ or a directory in it."""

    __slots__ = ()

    # Files

    async def rewrite(self, name: bytes, node: Node, flags: int, caller: Caller) -> Node | None:
        """A file to write in the place of the content that the pin *name* leads to by now.

        Who empties it (O_TRUNC) writes a file of his own, others write one together.  The one that
        is closed last is what the name is in the end: none is ever mixed up with another.
        """
        if not isinstance(node, ContentFile):
            return None
        if name in self.files:
            await self.files[name].settle()
        found = self.find(name)
        if isinstance(found, PinLink):
            return self._rewriting(name, flags, caller)
        return found if isinstance(found, Staged) else None

    def _rewriting(self, name: bytes, flags: int, caller: Caller) -> Staged | None:
        before = self.inbox.store.incoming.digest(self.below(name))
        if before is None:
            return None
        alone = bool(flags & os.O_TRUNC)
        together = [] if alone else self.rewriters(name)
        if together:
            return together[-1]
        key = name, caller.pid if alone else 0
        staged = self.rewritten.get(key)
        if staged is None or staged.over or staged.busy:
            staged = self.inbox.uploads.file(Name(self.inbox.store, self, name, before))
            self.rewritten[key] = staged
        return staged

    async def create(
        self, name: bytes, mode: int, flags: int, caller: Caller
    ) -> tuple[Staged, StagedHandle]:
        """Make and open a file.  FileExistsError for O_EXCL, EPERM for the reserved name."""
        await self.changing(name)
        found = self.find(name)
        if found is not None and flags & os.O_EXCL:
            raise failure(errno.EEXIST)
        if isinstance(found, Directory):
            raise failure(errno.EISDIR)
        if isinstance(found, Staged):
            staged = found
        else:
            new = Name(self.inbox.store, self, name)
            staged = self._rewriting(name, flags, caller) or self.inbox.uploads.file(new)
            staged.mode = stat.S_IMODE(mode)
        return staged, await staged.open(flags, caller)

    async def mknod(self, name: bytes, mode: int, rdev: int, caller: Caller) -> Node:
        """Make an empty file; EPERM for devices, pipes and sockets."""
        if stat.S_IFMT(mode) not in (0, stat.S_IFREG):
            raise failure(errno.EPERM)
        staged, handle = await self.create(name, mode, os.O_WRONLY | os.O_EXCL, caller)
        try:
            await handle.flush()
        finally:
            await handle.release()
        return staged

    async def symlink(self, name: bytes, target: bytes, caller: Caller) -> Node:
        """Pin stored content: ANYTHING/sha256/<hex>, the last two components count.

        EPERM for any other text; BlobNotFound, DigestMismatch, FileExistsError.
        """
        await self.changing(name)
        try:
            digest = Digest.parse(b":".join(target.rsplit(b"/", 2)[-2:]))
        except InvalidDigest:
            raise failure(errno.EPERM) from None
        if self.find(name) is not None:
            raise failure(errno.EEXIST)
        await self.require_name(name, digest)
        await self.inbox.uploads.work(self._link, self.below(name), digest)
        return self._found(name)

    def _link(self, path: bytes, digest: Digest) -> None:
        store = self.inbox.store
        with store.access.writing():
            if store.contents.settle(digest) is None:
                raise BlobNotFound(f"{digest} is not stored, so nothing can be linked to it")
            store.incoming.link(path, digest)

    async def unlink(self, name: bytes, caller: Caller) -> None:
        """Remove a pin or a file; one that is open goes on nameless and comes to nothing."""
        await self.changing(name)
        found = self.find(name)
        if found is None:
            raise failure(errno.ENOENT)
        if isinstance(found, Directory):
            raise failure(errno.EISDIR)
        incoming, path = self.inbox.store.incoming, self.below(name)
        await self.give_up(name, found)
        if incoming.status(path) is not None:
            await self.inbox.uploads.work(incoming.remove, path)

    # Directories

    async def mkdir(self, name: bytes, mode: int, caller: Caller) -> Node:
        """Make a directory.  FileExistsError, EPERM for the reserved name."""
        await self.changing(name)
        if self.find(name) is not None:
            raise failure(errno.EEXIST)
        make = self.inbox.store.incoming.make_directory
        await self.inbox.uploads.work(make, self.below(name))
        return self._found(name)

    async def rmdir(self, name: bytes, caller: Caller) -> None:
        """Remove a directory with nothing in it, not even an open file."""
        await self.changing(name)
        found = self.find(name)
        if found is None:
            raise failure(errno.ENOENT)
        if not isinstance(found, IncomingDirectory):
            raise failure(errno.ENOTDIR)
        if found.is_busy():
            raise failure(errno.ENOTEMPTY)
        remove = self.inbox.store.incoming.remove_directory
        await self.inbox.uploads.work(remove, self.below(name))

    # Renaming

    async def rename(
        self, name: bytes, target: Directory, target_name: bytes, flags: int, caller: Caller
    ) -> None:
        """Move a name, over what is there.

        DigestMismatch if the new name is the digest of other bytes.  A directory of another kind
        may adopt the content (`Adopter`); EXDEV where it does not.
        """
        if flags & ~_NOREPLACE:
            raise failure(errno.EINVAL)
        await self.changing(name)
        found = self.find(name)
        if found is None:
            raise failure(errno.ENOENT)
        if not isinstance(target, IncomingDirectory):
            await self._hand_over(name, found, target, target_name, flags, caller)
            return
        await target.changing(target_name)
        there = target.find(target_name)
        if flags & _NOREPLACE and there is not None:
            raise failure(errno.EEXIST)
        if there is found or (target is self and target_name == name):
            return
        if isinstance(found, IncomingDirectory):
            await self._rename_directory(found, target, target_name, there)
        elif isinstance(there, Directory):
            raise failure(errno.EISDIR)
        elif isinstance(found, Staged):
            await self._rename_file(found, target, target_name, there, caller)
        else:
            await self._rename_pin(name, target, target_name, there)

    async def _rename_pin(
        self, name: bytes, target: IncomingDirectory, target_name: bytes, there: Node | None
    ) -> None:
        inbox, old = self.inbox, self.below(name)
        digest = inbox.store.incoming.digest(old)
        if digest is None:
            raise failure(errno.ENOENT)
        await target.require_name(target_name, digest)
        await target.give_up(target_name, there)
        await inbox.uploads.work(inbox.store.incoming.move, old, target.below(target_name))
        await self._rename_rewriters(name, target, target_name)

    async def _rename_rewriters(
        self, name: bytes, target: IncomingDirectory, target_name: bytes
    ) -> None:
        for staged in self.rewriters(name):
            assert isinstance(staged.place, Name), "a file of incoming/ is in no other place"
            # One that is concluded just now keeps its name: that was before the rename.
            with contextlib.suppress(OSError):
                await staged.move(staged.place.at(target, target_name), lambda ingest: None)
                self.leave(name, staged)
                target.show(target_name, staged)

    async def _rename_file(
        self,
        staged: Staged,
        target: IncomingDirectory,
        target_name: bytes,
        there: Node | None,
        caller: Caller,
    ) -> None:
        inbox, before = self.inbox, staged.place
        assert isinstance(before, Name), "a file of incoming/ is in no other place"
        handle = await staged.open(os.O_WRONLY, caller)
        try:
            place = Name(inbox.store, target, target_name)
            await staged.move(place, lambda ingest: place.take(ingest, before))
            # No await before the names are right: nobody may see the file under both.
            if self.files.get(before.name) is staged:
                del self.files[before.name]
            target.files[target_name] = staged
            await target.give_up(target_name, there)
            if inbox.store.incoming.status(before.full) is not None:
                # The pin that it was renamed over.
                await inbox.uploads.work(inbox.store.incoming.remove, before.full)
            await self._rename_rewriters(before.name, target, target_name)
        finally:
            await handle.release()

    async def _rename_directory(
        self,
        found: IncomingDirectory,
        target: IncomingDirectory,
        target_name: bytes,
        there: Node | None,
    ) -> None:
        if there is not None and not isinstance(there, IncomingDirectory):
            raise failure(errno.ENOTDIR)
        if there is not None and there.is_busy():
            raise failure(errno.ENOTEMPTY)
        async with contextlib.AsyncExitStack() as turns:
            written = [staged for staged in self.inbox.uploads.active() if found.holds(staged)]
            for staged in sorted(written, key=lambda staged: staged.ino):
                await turns.enter_async_context(staged.turn)
            await self.inbox.uploads.work(found.take_place, target, target_name, written)

    async def _hand_over(
        self,
        name: bytes,
        found: Node,
        target: Directory,
        target_name: bytes,
        flags: int,
        caller: Caller,
    ) -> None:
        if isinstance(found, Directory) or not isinstance(target, Adopter):
            raise failure(errno.EXDEV)
        inbox, path = self.inbox, self.below(name)
        if isinstance(found, Staged):
            if found.busy:
                raise failure(errno.EBUSY)
            # It was refused, or waits: perhaps what it lacked is there by now.
            handle = await found.open(os.O_WRONLY, caller)
            try:
                await handle.flush()
            finally:
                await handle.release()
        digest = inbox.store.incoming.digest(path)
        if digest is None:
            raise InvalidDocument(
                f"{quote(b'incoming/' + path, 300)} is no manifest: empty or unfinished"
            )
        await target.adopt(target_name, digest, flags, caller)
        await inbox.uploads.work(inbox.store.incoming.remove, path)
