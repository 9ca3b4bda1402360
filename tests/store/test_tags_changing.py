"""Changing tags: by one, by several at once, and dying at it."""

import errno
import json
import subprocess
import sys
import threading
from collections.abc import Callable

import pytest

from rossfs.errors import (
    Conflict,
    InvalidReference,
    ManifestNotFound,
    ReadOnlyStore,
    RepositoryNotFound,
    TagConflict,
    TagNotFound,
)
from rossfs.oci.digest import Digest
from rossfs.store import durable
from rossfs.store.tags import TagInfo, TagName, Tags
from tests.builders import CREATED, RossStore, digest_of, image, image_parts, index
from tests.store.tagging import open_tags

REPOSITORY = "library/nginx"


# Changing


def test_ross_can_read_what_is_written(ross: RossStore, tags: Tags, first: Digest) -> None:
    assert tags.set(REPOSITORY, "latest", first) is None
    data = (ross.root / "tags" / REPOSITORY / "latest").read_bytes()
    written = json.loads(data)
    assert list(written) == ["digest_algorithm", "digest_hash", "updated_at"]
    assert written["digest_algorithm"] == "sha256"
    assert written["digest_hash"] == first.hex
    assert type(written["updated_at"]) is int
    assert b" " not in data


def test_moving_a_tag_tells_what_it_named(tags: Tags, first: Digest, second: Digest) -> None:
    assert tags.set(REPOSITORY, "latest", first) is None
    assert tags.set(REPOSITORY, "latest", second) == first
    assert tags.set(REPOSITORY, "latest", second) == second
    assert tags.get(REPOSITORY, "latest").digest == second


def test_setting_mends_a_damaged_tag(ross: RossStore, tags: Tags, first: Digest) -> None:
    tags.set(REPOSITORY, "latest", first)
    (ross.root / "tags" / REPOSITORY / "latest").write_bytes(b"{")
    assert tags.set(REPOSITORY, "latest", first) is None
    assert tags.get(REPOSITORY, "latest").digest == first


def test_only_a_stored_manifest_or_index_can_be_tagged(
    ross: RossStore, tags: Tags, first: Digest
) -> None:
    blob = image(ross, "first").config
    listed = ross.put_index(index([(image_parts("first").manifest, "linux/amd64")]))
    for absent in (blob, digest_of(b"never stored")):
        with pytest.raises(ManifestNotFound, match=absent.hex):
            tags.set(REPOSITORY, "latest", absent)
    assert not (ross.root / "tags" / REPOSITORY).exists()
    tags.set(REPOSITORY, "latest", listed)
    tags.set(REPOSITORY, "latest", first)


def test_a_manifest_that_ross_left_without_meta_can_be_tagged(ross: RossStore, tags: Tags) -> None:
    parts = image(ross, "bare").parts
    ross.meta_path(parts.digest, "manifests").unlink()
    tags.set(REPOSITORY, "latest", parts.digest)
    assert tags.get(REPOSITORY, "latest").digest == parts.digest


def test_a_tag_where_a_repository_is_conflicts_naming_both(tags: Tags, first: Digest) -> None:
    tags.set("a/b/c", "latest", first)
    with pytest.raises(TagConflict, match=r"tag a/b:c.*repository a/b/c") as caught:
        tags.set("a/b", "c", first)
    assert caught.value.errno == errno.EEXIST
    with pytest.raises(TagConflict, match=r"tag a/b:c.*repository a/b/c"):
        tags.rename(("a/b/c", "latest"), ("a/b", "c"))


def test_a_repository_where_a_tag_is_conflicts_naming_both(tags: Tags, first: Digest) -> None:
    tags.set("a/b", "c", first)
    tags.set("x", "y", first)
    calls: list[Callable[[], object]] = [
        lambda: tags.set("a/b/c", "latest", first),
        lambda: tags.rename(("x", "y"), ("a/b/c", "latest")),
        lambda: tags.make_repository("a/b/c"),
    ]
    for call in calls:
        with pytest.raises(TagConflict, match="repository a/b/c: there is a tag a/b:c"):
            call()
    with pytest.raises(TagConflict, match="a/b/c/d/e: there is a tag a/b:c"):
        tags.set("a/b/c/d/e", "latest", first)
    tags.make_repository("moved")
    with pytest.raises(TagConflict, match="there is a tag a/b:c"):
        tags.rename_repository("moved", "a/b/c")


def test_deleting_says_whether_it_was_there(ross: RossStore, tags: Tags, first: Digest) -> None:
    tags.set(REPOSITORY, "latest", first)
    assert tags.delete(REPOSITORY, "latest")
    assert not tags.delete(REPOSITORY, "latest")
    assert not tags.delete("library", "nginx")
    assert tags.is_repository(REPOSITORY)
    (ross.root / "tags" / REPOSITORY / "latest").write_bytes(b"{")
    assert tags.delete(REPOSITORY, "latest")


def test_renaming_replaces_and_keeps_the_time(
    ross: RossStore, tags: Tags, first: Digest, second: Digest
) -> None:
    ross.set_tag("a", "old", first)
    tags.set("b/c", "new", second)
    with pytest.raises(Conflict, match="b/c:new"):
        tags.rename(("a", "old"), ("b/c", "new"), replace=False)
    tags.rename(("a", "old"), ("b/c", "new"))
    assert tags.get("b/c", "new") == TagInfo("new", first, CREATED)
    assert tags.find("a", "old") is None
    with pytest.raises(TagNotFound, match="a:old"):
        tags.rename(("a", "old"), ("a", "older"))
    tags.rename(("b/c", "new"), ("fresh/repository", "v1"))
    assert tags.get("fresh/repository", "v1").digest == first


def test_repositories_are_made_and_removed_empty_only(tags: Tags, first: Digest) -> None:
    tags.make_repository("a/b")
    assert tags.is_repository("a/b")
    assert list(tags.repositories()) == []
    with pytest.raises(Conflict, match="repository a/b"):
        tags.make_repository("a/b")
    tags.set("a/b", "v1", first)
    with pytest.raises(OSError, match="not empty") as caught:
        tags.remove_repository("a/b")
    assert caught.value.errno == errno.ENOTEMPTY
    tags.delete("a/b", "v1")
    tags.remove_repository("a/b")
    with pytest.raises(RepositoryNotFound):
        tags.remove_repository("a/b")
    with pytest.raises(InvalidReference):
        tags.make_repository("a/..")


def test_a_repository_is_renamed_with_all_in_it(tags: Tags, first: Digest, second: Digest) -> None:
    tags.set("old/x", "v1", first)
    tags.set("old/x/y", "v2", second)
    tags.make_repository("empty")
    tags.rename_repository("old/x", "new/place")
    assert sorted(tags.names()) == [TagName("new/place", "v1"), TagName("new/place/y", "v2")]
    tags.rename_repository("new/place", "empty")
    assert tags.get("empty/y", "v2").digest == second
    with pytest.raises(RepositoryNotFound):
        tags.rename_repository("old/x", "other")
    with pytest.raises(OSError, match="Invalid argument"):
        tags.rename_repository("empty", "empty/inside/deeper")
    assert not tags.is_repository("empty/inside")
    tags.set("full", "v1", first)
    with pytest.raises(OSError, match="not empty"):
        tags.rename_repository("empty", "full")


def test_a_repository_is_not_renamed_to_where_a_name_in_it_is_too_long(
    tags: Tags, first: Digest
) -> None:
    inner = "/".join(["d" * 60] * 3)
    tags.set(f"old/{inner}", "v1", first)
    with pytest.raises(InvalidReference, match="longer than 255"):
        tags.rename_repository("old", "new/" + "n" * 96)
    assert not tags.is_repository("new")
    assert list(tags.names()) == [TagName(f"old/{inner}", "v1")]


def test_nothing_changes_in_a_store_that_is_open_for_reading(
    ross: RossStore, first: Digest
) -> None:
    ross.set_tag("a", "v1", first)
    tags = open_tags(ross.root, read_only=True)
    calls: list[Callable[[], object]] = [
        lambda: tags.set("a", "v2", first),
        lambda: tags.delete("a", "v1"),
        lambda: tags.rename(("a", "v1"), ("a", "v2")),
        lambda: tags.make_repository("b"),
        lambda: tags.remove_repository("a"),
        lambda: tags.rename_repository("a", "b"),
    ]
    for call in calls:
        with pytest.raises(ReadOnlyStore):
            call()
    assert list(tags.names()) == [TagName("a", "v1")]


def test_a_store_without_any_tags_directory_is_empty(ross: RossStore, first: Digest) -> None:
    (ross.root / "tags").rmdir()
    tags = open_tags(ross.root)
    assert list(tags.entries()) == []
    assert list(tags.names()) == []
    tags.set("a", "v1", first)
    assert tags.get("a", "v1").digest == first


# Several at once


def test_of_many_threads_each_previous_digest_is_told_once(ross: RossStore, tags: Tags) -> None:
    """As if they came one after the other: the answers form one chain."""
    digests = [image(ross, f"image{number}").manifest for number in range(12)]
    previous: list[Digest | None] = []
    barrier = threading.Barrier(len(digests))

    def move(digest: Digest) -> None:
        barrier.wait(30)
        previous.append(tags.set("a", "v1", digest))

    threads = [threading.Thread(target=move, args=(digest,)) for digest in digests]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    last = tags.get("a", "v1").digest
    assert sorted(map(str, [*previous, last])) == sorted(map(str, [None, *digests]))


_RACER = """
import sys
from rossfs.errors import TagConflict
from rossfs.oci.digest import Digest
from rossfs.store.access import Access
from rossfs.store.contents import Contents
from rossfs.store.tags import Tags
access = Access.open(sys.argv[1])
tags = Tags(access, Contents(access))
digest = Digest.parse(sys.argv[2])
repository, tag = sys.argv[3:]
print("ready", flush=True)
for line in sys.stdin:
    number = line.strip()
    try:
        tags.set(repository.replace("N", number), tag.replace("N", number), digest)
        print("set", flush=True)
    except TagConflict:
        print("conflict", flush=True)
"""


def test_of_two_processes_one_makes_the_tag_or_the_repository(
    ross: RossStore, tags: Tags, first: Digest
) -> None:
    command = [sys.executable, "-c", _RACER, str(ross.root), str(first)]
    with (
        subprocess.Popen(
            [*command, "a/b", "cN"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as one,
        subprocess.Popen(
            [*command, "a/b/cN", "latest"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as other,
    ):
        try:
            assert said(one) == said(other) == "ready"
            for number in range(40):
                for process in (one, other):
                    tell(process, str(number))
                assert sorted([said(one), said(other)]) == ["conflict", "set"]
                is_tag = tags.find("a/b", f"c{number}") is not None
                is_repository = tags.find(f"a/b/c{number}", "latest") is not None
                assert is_tag != is_repository
        finally:
            one.kill()
            other.kill()


# Dying at any step


class _Died(BaseException):
    pass


def test_dying_at_any_step_leaves_the_old_tag_or_the_new(
    ross: RossStore, tags: Tags, first: Digest, second: Digest, monkeypatch: pytest.MonkeyPatch
) -> None:
    tags.set("a", "v1", first)
    steps: list[str] = []
    monkeypatch.setattr(durable, "reached", steps.append)
    tags.set("a", "v1", first)
    assert steps == ["tag: written", "tag: synced", "tag: renamed", "tag: directory synced"]
    for deadly in tuple(steps):

        def die(step: str, deadly: str = deadly) -> None:
            if step == deadly:
                raise _Died

        monkeypatch.setattr(durable, "reached", die)
        with pytest.raises(_Died):
            tags.set("a", "v1", second)
        monkeypatch.setattr(durable, "reached", None)
        is_done = deadly in ("tag: renamed", "tag: directory synced")
        assert open_tags(ross.root).get("a", "v1").digest == (second if is_done else first)
        assert list(tags.names()) == [TagName("a", "v1")]
        tags.set("a", "v1", first)


def tell(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{line}\n")
    process.stdin.flush()


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()
