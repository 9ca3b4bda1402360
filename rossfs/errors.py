"""Every deliberate error of rossfs, with the errno that the kernel gets and the exit status that a
shell gets.

    RossfsError                 EIO       1
        UsageError              EINVAL    2   what was asked cannot be meant
            InvalidOption
        NotFound                ENOENT    3
            BlobNotFound  ManifestNotFound  TagNotFound  RepositoryNotFound  StoreNotFound
            MissingContent                    a manifest names what is not here
            PathNotFound                      no such path in a root filesystem or a layer
        InvalidName             EINVAL    2   outside the grammar of the specification
            InvalidDigest  AmbiguousDigest  InvalidReference  InvalidPlatform
            NameTooLong (ENAMETOOLONG)
        InvalidDocument         EBADMSG   4   JSON that is no manifest, index or config
            IndexTooLong (EFBIG)              index.json of a repository of very many tags
        InvalidSource           EBADMSG   4   no image archive or layout, or a broken one
        DigestMismatch          EBADMSG   4   a writer's bytes are not what their name says
        Damaged                 EIO       4   stored bytes are wrong
            DiffIdMismatch                    a layer is not what the config says of it
        InvalidLayer            EIO       4   a layer that is no tar archive, or a broken one
        InvalidTable            EIO       4   a table in cache/ is cut, altered or too new
        IndexingFailed          EIO       1   the table of a layer could not be made this time
        InodeCollision          EIO       1   two places of a mount have one inode number
        Conflict                EEXIST    5
            TagConflict                       a tag where a repository is, or the other way round
        Referenced              EBUSY     5   something still needs it
        Busy                    EBUSY     5   another process holds what is needed
        ReadOnlyStore           EROFS     6
        UnknownFormat           EPROTONOSUPPORT  6
        RangeError              EINVAL    2
        StoreFull               ENOSPC    7
        CacheFull               ENOSPC    7   no room for what is derived
        TooManyFiles            EMFILE    1   this process, or the machine, may open no more files
        MountFailed             EIO       8
        Interrupted             EINTR     130

An error's text is one line for people: what happened, and to which digest, tag or file.
`fs/boundary.py` turns the errno into the kernel's answer, `cli/main.py` the exit status into the
process's.
"""

from __future__ import annotations

import errno as _errno


class RossfsError(Exception):
    """Base of every deliberate error: `errno` for the kernel, `exit_status` for the shell."""

    errno = _errno.EIO
    exit_status = 1


class UsageError(RossfsError):
    """What was asked cannot be meant."""

    errno = _errno.EINVAL
    exit_status = 2


class InvalidOption(UsageError):
    """A mount option that does not exist, or a value that it cannot take."""


class NotFound(RossfsError):
    """Something that was named is not there."""

    errno = _errno.ENOENT
    exit_status = 3


class BlobNotFound(NotFound):
    """No blob of this digest is stored."""


class ManifestNotFound(NotFound):
    """No manifest or index of this digest is stored."""


class TagNotFound(NotFound):
    """No such tag."""


class RepositoryNotFound(NotFound):
    """No such repository."""


class StoreNotFound(NotFound):
    """There is no store at this path."""


class MissingContent(NotFound):
    """A manifest or index names content that is not in the store."""


class PathNotFound(NotFound):
    """A path leads nowhere in a root filesystem or a layer; `errno` may say ENOTDIR or ELOOP."""


class InvalidName(RossfsError):
    """A name that the grammar of the specification does not allow."""

    errno = _errno.EINVAL
    exit_status = 2


class InvalidDigest(InvalidName):
    """Text that is no digest, or one of an algorithm that cannot be used here."""


class AmbiguousDigest(InvalidName):
    """The beginning of several digests."""


class InvalidReference(InvalidName):
    """A repository, tag or reference outside the grammar."""


class InvalidPlatform(InvalidName):
    """Text that is no platform: os/architecture, perhaps with /variant."""


class NameTooLong(InvalidName):
    """A name or path longer than the filesystem can hold."""

    errno = _errno.ENAMETOOLONG


class InvalidDocument(RossfsError):
    """JSON that is no manifest, index or config, or that is over a limit against hostile input."""

    errno = _errno.EBADMSG
    exit_status = 4


class IndexTooLong(InvalidDocument):
    """A repository has more tags than index.json of its layout can list."""

    errno = _errno.EFBIG


class InvalidSource(RossfsError):
    """An archive or a directory that holds no image, or that is truncated or damaged."""

    errno = _errno.EBADMSG
    exit_status = 4


class DigestMismatch(RossfsError):
    """A writer's bytes do not hash to the digest that names them; nothing was committed."""

    errno = _errno.EBADMSG
    exit_status = 4


class Damaged(RossfsError):
    """Stored bytes do not hash to the digest that they are filed under; they are not served."""

    errno = _errno.EIO
    exit_status = 4


class DiffIdMismatch(Damaged):
    """A layer whose uncompressed bytes do not hash to the diff ID that the config has for it."""


class InvalidTable(RossfsError):
    """A derived table in cache/ that is cut, altered or of another version; made again."""

    errno = _errno.EIO
    exit_status = 4


class InvalidLayer(RossfsError):
    """A layer that is no tar archive, or a truncated or damaged one; its digest may be right."""

    errno = _errno.EIO
    exit_status = 4


class IndexingFailed(RossfsError):
    """The table of a layer could not be made, through no fault of the layer; trying again helps."""


class InodeCollision(RossfsError):
    """Two places of a mount have one inode number; the second is not shown."""


class Conflict(RossfsError):
    """Something else is already there."""

    errno = _errno.EEXIST
    exit_status = 5


class TagConflict(Conflict):
    """A tag where a repository directory is, or a repository where a tag is."""


class Referenced(RossfsError):
    """A manifest, an index, a tag or a pin still needs what was to be removed."""

    errno = _errno.EBUSY
    exit_status = 5


class Busy(RossfsError):
    """Another process holds what is needed."""

    errno = _errno.EBUSY
    exit_status = 5


class ReadOnlyStore(RossfsError):
    """The store was opened for reading, or lies where nothing can be written."""

    errno = _errno.EROFS
    exit_status = 6


class UnknownFormat(RossfsError):
    """The store says that it needs a newer rossfs."""

    errno = _errno.EPROTONOSUPPORT
    exit_status = 6


class RangeError(RossfsError):
    """A range that lies past the end of the content."""

    errno = _errno.EINVAL
    exit_status = 2


class StoreFull(RossfsError):
    """The store's filesystem has no room, or its quota is used up."""

    errno = _errno.ENOSPC
    exit_status = 7


class CacheFull(RossfsError):
    """Neither the cache directory nor memory has room for a file that reading a layer needs."""

    errno = _errno.ENOSPC
    exit_status = 7


class TooManyFiles(RossfsError):
    """This process may open no more files, or the machine (`errno` says ENFILE then).  No OSError:
    who passes over files that cannot be opened must not take this for one of them."""

    errno = _errno.EMFILE


class MountFailed(RossfsError):
    """The mount did not come up, or could not be taken down."""

    exit_status = 8


class Interrupted(RossfsError):
    """The user ended it with a signal."""

    errno = _errno.EINTR
    exit_status = 130
