"""What is wrong with tags: files that cannot be read, that name nothing, or that are no tags."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator

from rossfs.errors import Damaged
from rossfs.oci.digest import Digest
from rossfs.store import documents, tagfile
from rossfs.store.areas import stored_size
from rossfs.store.finding import Cure, Fault, Finding, Kind, Severity, place
from rossfs.store.paths import Paths
from rossfs.store.recheck import Recheck
from rossfs.store.tagtree import is_prefix, is_repository, is_tag


def faults(paths: Paths, recheck: Recheck) -> Iterator[Fault]:
    """The faults of all of tags/; symbolic links are not followed."""
    pending = [""]
    while pending:
        directory = pending.pop()
        above = f"{directory}/" if directory else ""
        try:
            entries = os.scandir(f"{paths.tags}/{directory}")
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            if error.errno != errno.ENAMETOOLONG:
                raise
            yield _stray(paths, f"{paths.tags}/{directory}", "lies too deep to be looked at")
            continue
        taggable = is_repository(directory) if directory else False
        with entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    if not is_prefix(above + entry.name):
                        yield _stray(paths, entry.path, "cannot be a repository: it is not shown")
                    pending.append(above + entry.name)
                elif not entry.is_file(follow_symlinks=False):
                    yield _stray(paths, entry.path, "is no file")
                elif not taggable or not is_tag(entry.name):
                    yield _stray(paths, entry.path, "cannot be a tag: it is not shown")
                else:
                    yield from _tag(paths, recheck, entry.path)


def _tag(paths: Paths, recheck: Recheck, path: str) -> Iterator[Fault]:
    try:
        digest = tagfile.read(path).digest
    except FileNotFoundError:
        return
    except (Damaged, OSError) as error:
        if recheck.persists(lambda: is_bad(path)):
            # A file that is only forbidden may be right.
            cure = Cure.QUARANTINE_TAG if isinstance(error, Damaged) else Cure.NONE
            text = f"cannot be read: {error}"
            finding = Finding(Kind.BAD_TAG, Severity.DAMAGE, place(paths, path), text)
            yield Fault(finding, path, cure)
        return
    if documents.is_stored(paths, digest):
        return
    if recheck.persists(lambda: _dangles(paths, path, digest)):
        is_blob = stored_size(paths, digest) is not None
        what = "a blob and no manifest" if is_blob else "not stored"
        text = f"names {digest}, which is {what}"
        finding = Finding(Kind.DANGLING_TAG, Severity.DAMAGE, place(paths, path), text)
        yield Fault(finding, path, digest=digest)


def is_bad(path: str) -> bool:
    """Whether the tag file *path* is there and cannot be read."""
    try:
        tagfile.read(path)
    except FileNotFoundError:
        return False
    except (Damaged, OSError):
        return True
    return False


def _dangles(paths: Paths, path: str, digest: Digest) -> bool:
    try:
        named = tagfile.read(path).digest
    except (Damaged, OSError):
        return False
    return named == digest and not documents.is_stored(paths, digest)


def _stray(paths: Paths, path: str, text: str) -> Fault:
    return Fault(Finding(Kind.STRAY, Severity.NOTE, place(paths, path), text), path)
