"""Inode numbers: made from what a node is, so that nothing has to be remembered.

st_ino is also the kernel's node id, so two live nodes must never share one.

    1 .. 99          places that are always there (`Fixed`)
    below 2**40      files in incoming/, counted
    below 2**62      tree << 40 | index: whole trees, whose nodes are made again from their numbers
    2**62 and above  the keyed hash of what identifies a node: a digest, a tag and its target

The same identity has the same number for as long as the mount lives, also after the kernel forgot
the node; the key is new for each mount, so nobody can prepare two digests that collide.  62 bits
for a million nodes collide by chance once in nine million mounts; the inode table refuses then.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from enum import IntEnum
from hashlib import blake2b

TREE_SHIFT = 40
"""Bits of the number that a tree gives to its nodes; the number of the tree is above them."""

INDEX = (1 << TREE_SHIFT) - 1
"""Mask of those bits."""

FIRST_UPLOADED = 100
FIRST_OF_TREES = 1 << TREE_SHIFT
FIRST_HASHED = 1 << 62

_TREES = FIRST_HASHED >> TREE_SHIFT


class Fixed(IntEnum):
    """Numbers of the places that every mount has.  1 is FUSE_ROOT_ID (fuse.h)."""

    ROOT = 1
    README = 2
    TAGS = 3
    IMAGES = 4
    BLOBS = 5
    MANIFESTS = 6
    INDEXES = 7
    INCOMING = 8
    STATE = 9
    OCI = 10
    PODMAN = 11
    ALS = 12

    IMAGES_SHA256 = 20
    IMAGES_SHA512 = 21
    BLOBS_SHA256 = 22
    BLOBS_SHA512 = 23
    MANIFESTS_SHA256 = 24
    MANIFESTS_SHA512 = 25
    INDEXES_SHA256 = 26
    INDEXES_SHA512 = 27

    STATE_VERSION = 40
    STATE_STATS = 41
    STATE_DAMAGED = 42
    STATE_LOG = 43
    STATE_PROGRESS = 44


class Numbers:
    """The numbers of one mount; *key* (up to 64 bytes) only for tests that compare two."""

    __slots__ = ("_key", "_trees")

    def __init__(self, key: bytes | None = None) -> None:
        self._key = os.urandom(16) if key is None else key
        self._trees: dict[bytes, int] = {}

    def tree(self, identity: bytes) -> int:
        """The number of the tree that is identified so: the same each time, and no other's for as
        long as the mount lives."""
        number = self._trees.setdefault(identity, len(self._trees) + 1)
        if number >= _TREES:
            raise OSError(errno.ENFILE, "this mount has shown more trees than it can number")
        return number

    def family(self, name: bytes) -> Callable[[bytes], int]:
        """The function that numbers nodes of one kind (*name*, up to 16 bytes) by their
        identity."""
        # A copy of a hasher that has taken its key is a third cheaper than a new one.
        copy = blake2b(digest_size=8, key=self._key, person=name).copy

        def number(identity: bytes) -> int:
            hasher = copy()
            hasher.update(identity)
            return int.from_bytes(hasher.digest(), "little") >> 2 | FIRST_HASHED

        return number
