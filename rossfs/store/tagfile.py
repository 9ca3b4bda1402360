"""The file of one tag, in Ross's own JSON: {"digest_algorithm","digest_hash","updated_at"}.

`updated_at` is in Unix seconds.  Keys that are not known here are passed over.
"""

from __future__ import annotations

import errno
import json
import os
import re
from typing import NamedTuple

from rossfs.errors import Damaged, InvalidDigest, InvalidDocument
from rossfs.oci.digest import Digest
from rossfs.oci.document import parse_document
from rossfs.oci.quotation import quote
from rossfs.store import smallfile

_LIMIT = 64 * 1024
"""Bytes: Ross writes about 150."""

_TIME_LIMIT = 1 << 62

# What Ross and rossfs write, byte for byte.  Anything else is parsed, which takes ten times as
# long.
_USUAL = re.compile(
    rb'\{"digest_algorithm":"sha256","digest_hash":"([0-9a-f]{64})","updated_at":'
    rb"(0|[1-9][0-9]{0,17})\}"
)


class TagRecord(NamedTuple):
    """What the file says."""

    digest: Digest
    updated_at: int


def read(path: str) -> TagRecord:
    """Read the tag file *path*.

    FileNotFoundError if no regular file is there; Damaged, naming it, if it does not say a digest.
    """
    try:
        data = smallfile.read(path, _LIMIT)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ELOOP, errno.EINVAL):
            raise FileNotFoundError(errno.ENOENT, "no tag file", path) from error
        if error.errno == errno.EFBIG:
            raise Damaged(f"the tag file {quote(path, 400)} is too long") from error
        raise
    usual = _USUAL.fullmatch(data)
    if usual is not None:
        return TagRecord(Digest("sha256", usual[1].decode()), int(usual[2]))
    try:
        record = parse_document(data, "tag file")
        digest = Digest.parse(f"{record['digest_algorithm']}:{record['digest_hash']}")
    except KeyError as error:
        raise Damaged(f"the tag file {quote(path, 400)} has no {error.args[0]}") from error
    except (InvalidDocument, InvalidDigest) as error:
        raise Damaged(f"the tag file {quote(path, 400)} cannot be read: {error}") from error
    updated_at = record.get("updated_at")
    # `type is int`: True is no time.
    if type(updated_at) is not int or not 0 <= updated_at < _TIME_LIMIT:
        updated_at = int(os.lstat(path).st_mtime)
    return TagRecord(digest, updated_at)


def encode(digest: Digest, updated_at: int) -> bytes:
    """The bytes of a tag file, as Ross (serde_json::to_string) writes them."""
    record = {
        "digest_algorithm": digest.algorithm,
        "digest_hash": digest.hex,
        "updated_at": updated_at,
    }
    return json.dumps(record, separators=(",", ":")).encode()
