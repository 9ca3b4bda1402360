import errno
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rossfs.errors import (
    Conflict,
    Damaged,
    InvalidReference,
    ManifestNotFound,
    ReadOnlyStore,
    RepositoryNotFound,
    TagConflict,
    TagNotFound,
)
from rossfs.oci.digest import Digest
from rossfs.store import durable
from rossfs.store.access import Access
from rossfs.store.contents import Contents
from rossfs.store.tags import TagEntry, TagInfo, TagName, Tags
from tests.builders import CREATED, RossStore, digest_of, image, image_parts, index, ross_store

REPOSITORY = "library/nginx"


@pytest.fixture
def ross(tmp_path: Path) -> RossStore:
    return ross_store(tmp_path)


@pytest.fixture
def tags(ross: RossStore) -> Tags:
    return open_tags(ross.root)


def open_tags(root: Path, *, read_only: bool = False) -> Tags:
    access = Access.open(str(root), read_only=read_only)
    return Tags(access, Contents(access))


@pytest.fixture
def first(ross: RossStore) -> Digest:
    return image(ross, "first").manifest


@pytest.fixture
def second(ross: RossStore) -> Digest:
    return image(ross, "second").manifest


# Looking


def test_a_tag_of_ross_is_read(ross: RossStore, tags: Tags, first: Digest) -> None:
    ross.set_tag(REPOSITORY, "latest", first)
    assert tags.get(REPOSITORY, "latest") == TagInfo("latest", first, CREATED)
    assert tags.find(REPOSITORY, "latest") == TagInfo("latest", first, CREATED)


@pytest.mark.parametrize(
    "form",
    [
        '{{"digest_algorithm":"sha256","digest_hash":"{0}","updated_at":7}}',
        '{{"digest_algorithm":"sha256","digest_hash":"{0}","updated_at":7}}\n',
        '{{"updated_at": 7, "digest_hash": "{0}", "digest_algorithm": "sha256"}}',
        '{{"digest_algorithm":"sha\\u0032\\u0035\\u0036","digest_hash":"{0}","updated_at":7}}',
    ],
)
def test_any_form_of_the_same_json_says_the_same(ross: RossStore, tags: Tags, form: str) -> None:
    digest = digest_of(b"anything")
    write_tag(ross, form.format(digest.hex).encode())
    assert tags.get(REPOSITORY, "latest") == TagInfo("latest", digest, 7)


def test_keys_that_are_not_known_are_passed_over(ross: RossStore, tags: Tags) -> None:
    digest = digest_of(b"anything")
    write_tag(ross, {**record(digest), "pushed_by": "somebody"})
    assert tags.get(REPOSITORY, "latest") == TagInfo("latest", digest, 7)


@pytest.mark.parametrize("time", [None, "today", -1, True, 1.5, 1 << 70])
def test_without_a_usable_time_that_of_the_file_is_told(
    ross: RossStore, tags: Tags, time: object
) -> None:
    path = write_tag(ross, {**record(digest_of(b"x")), "updated_at": time})
    os.utime(path, (1234, 1234))
    assert tags.get(REPOSITORY, "latest").updated_at == 1234


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b"{}",
        b'{"digest_algorithm":"sha256"}',
        b'{"digest_algorithm":"sha256","digest_hash":"abc"}',
        b'{"digest_algorithm":"md5","digest_hash":"' + b"a" * 32 + b'"}',
        b'{"digest_algorithm":["sha256"],"digest_hash":{}}',
        b"[" * 50_000,
        b" " * 100_000,
    ],
)
def test_an_unreadable_tag_is_damaged_and_named(ross: RossStore, tags: Tags, data: bytes) -> None:
    path = write_tag(ross, data)
    with pytest.raises(Damaged, match=str(path)):
        tags.get(REPOSITORY, "latest")
    with pytest.raises(Damaged, match=str(path)):
        tags.find(REPOSITORY, "latest")


@pytest.mark.usefixtures("expects_warnings")
def test_a_damaged_tag_is_left_out_of_the_list_with_one_warning(
    ross: RossStore, tags: Tags, first: Digest, expects_warnings: list[Any]
) -> None:
    write_tag(ross, b"")
    ross.set_tag(REPOSITORY, "good", first)
    assert [info.tag for info in tags.list(REPOSITORY)] == ["good"]
    assert [info.tag for info in tags.list(REPOSITORY)] == ["good"]
    assert len(expects_warnings) == 1
    assert f"{REPOSITORY}/latest" in expects_warnings[0].getMessage()


def test_an_absent_tag_is_not_found(tags: Tags, first: Digest) -> None:
    tags.set(REPOSITORY, "latest", first)
    for repository, tag in [(REPOSITORY, "other"), ("no/such", "latest"), ("library", "nginx")]:
        assert tags.find(repository, tag) is None
        with pytest.raises(TagNotFound, match=f"{repository}:{tag}"):
            tags.get(repository, tag)


@pytest.mark.parametrize(
    ("repository", "tag"),
    [
        ("..", "latest"),
        ("a/../b", "latest"),
        ("/a", "latest"),
        ("a//b", "latest"),
        ("", "latest"),
        ("A", "latest"),
        ("a\n", "latest"),
        ("a" * 256, "latest"),
        ("a", ""),
        ("a", ".."),
        ("a", "b/c"),
        ("a", "-x"),
        ("a", "x\0"),
        ("a", "x" * 129),
    ],
)
def test_names_outside_the_grammar_are_refused_everywhere(
    ross: RossStore, tags: Tags, first: Digest, repository: str, tag: str
) -> None:
    tags.set("ok", "latest", first)
    refused: list[Callable[[], object]] = [
        lambda: tags.get(repository, tag),
        lambda: tags.set(repository, tag, first),
        lambda: tags.delete(repository, tag),
        lambda: tags.rename(("ok", "latest"), (repository, tag)),
        lambda: tags.rename((repository, tag), ("ok", "new")),
    ]
    for call in refused:
        with pytest.raises(InvalidReference):
            call()
    assert tags.find(repository, tag) is None
    assert list(tags.names()) == [TagName("ok", "latest")]
    assert sorted(os.listdir(ross.root / "tags")) == ["ok"]


def test_a_host_with_a_port_is_a_directory_and_no_repository(tags: Tags, first: Digest) -> None:
    tags.set("localhost:5000/app", "v1", first)
    assert tags.is_repository("localhost:5000")
    assert list(tags.entries()) == [TagEntry("localhost:5000", True)]
    assert list(tags.entries("localhost:5000")) == [TagEntry("app", True)]
    assert list(tags.repositories()) == ["localhost:5000/app"]
    with pytest.raises(InvalidReference):
        tags.set("localhost:5000", "v1", first)


def test_one_directory_lists_its_tags_and_repositories(tags: Tags, first: Digest) -> None:
    tags.set("a/b", "latest", first)
    tags.set("a", "v1", first)
    tags.make_repository("a/empty")
    assert sorted(tags.entries()) == [TagEntry("a", True)]
    assert sorted(tags.entries("a")) == [
        TagEntry("b", True),
        TagEntry("empty", True),
        TagEntry("v1", False),
    ]
    assert sorted(tags.repositories()) == ["a", "a/b"]
    with pytest.raises(RepositoryNotFound):
        tags.entries("a/v1")
    with pytest.raises(RepositoryNotFound):
        tags.list("a/none")
    assert list(tags.list("a/empty")) == []


def test_files_outside_the_grammar_are_not_shown(
    ross: RossStore, tags: Tags, first: Digest
) -> None:
    ross.set_tag("a", "v1", first)
    for stray in ("tags/at-the-top", "tags/a/.v1.swp", "tags/a/-x", "tags/a/x y", "tags/Big/v1"):
        path = ross.root / stray
        path.parent.mkdir(exist_ok=True)
        path.write_bytes((ross.root / "tags/a/v1").read_bytes())
    assert list(tags.entries()) == [TagEntry("a", True)]
    assert list(tags.entries("a")) == [TagEntry("v1", False)]
    assert list(tags.names()) == [TagName("a", "v1")]
    assert [info.tag for info in tags.list("a")] == ["v1"]


def test_a_file_outside_the_grammar_that_names_a_digest_is_a_root(
    ross: RossStore, tags: Tags, first: Digest
) -> None:
    ross.set_tag("Big/Letters", "V 1", first)
    (ross.root / "tags/Big/notes.txt").write_bytes(b"no tag")
    assert list(tags.roots()) == [("Big/Letters/V 1", first)]


def test_a_damaged_tag_is_no_root_that_can_be_passed_over(ross: RossStore, tags: Tags) -> None:
    path = write_tag(ross, b"")
    with pytest.raises(Damaged, match=str(path)):
        list(tags.roots())


def test_symbolic_links_are_not_followed(
    ross: RossStore, tags: Tags, first: Digest, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = ross_store(tmp_path_factory.mktemp("outside"))
    outside.set_tag("a", "v1", first)
    (ross.root / "tags/linked").symlink_to(outside.root / "tags/a")
    (ross.root / "tags/loop").symlink_to(".")
    (ross.root / "tags/b").mkdir()
    (ross.root / "tags/b/v1").symlink_to(outside.root / "tags/a/v1")
    assert list(tags.entries()) == [TagEntry("b", True)]
    assert list(tags.entries("b")) == []
    assert list(tags.roots()) == []
    assert tags.find("linked", "v1") is None
    assert tags.find("b", "v1") is None
    assert not tags.is_repository("linked")
    assert not tags.delete("b", "v1")
    with pytest.raises(Conflict, match="linked is no directory"):
        tags.set("linked", "v2", first)
    assert os.listdir(outside.root / "tags/a") == ["v1"]


def test_a_fifo_in_place_of_a_tag_hangs_nobody(ross: RossStore, tags: Tags, first: Digest) -> None:
    (ross.root / "tags/a").mkdir()
    os.mkfifo(ross.root / "tags/a/v1")
    assert tags.find("a", "v1") is None
    assert list(tags.entries("a")) == []
    tags.set("a", "v1", first)
    assert tags.get("a", "v1").digest == first


@pytest.mark.usefixtures("expects_warnings")
def test_directories_deeper_than_any_path_are_passed_over(
    ross: RossStore, tags: Tags, first: Digest
) -> None:
    ross.set_tag("a", "v1", first)
    fd = os.open(ross.root / "tags", os.O_RDONLY)
    for _ in range(30):
        os.mkdir("d" * 200, dir_fd=fd)
        deeper = os.open("d" * 200, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = deeper
    os.close(fd)
    try:
        assert list(tags.names()) == [TagName("a", "v1")]
        assert list(tags.roots()) == [("a/v1", first)]
    finally:
        # shutil.rmtree of the fixture would not get there by path either.
        subprocess.run(["rm", "-rf", str(ross.root / "tags" / ("d" * 200))], check=True, timeout=30)


def test_a_long_list_of_tags_streams(ross: RossStore, tags: Tags, first: Digest) -> None:
    # Hard links: as many names, made sooner.
    directory = ross.root / "tags/many"
    ross.set_tag("many", "t0-0", first)
    for part in range(5):
        source = directory / f"t{part}-0"
        if part:
            source.write_bytes((directory / "t0-0").read_bytes())
        for number in range(1, 4000):
            os.link(source, directory / f"t{part}-{number}")
    listing = tags.list("many")
    assert next(listing).digest == first
    assert sum(1 for _ in listing) == 19_999
    assert sum(1 for _ in tags.entries("many")) == 20_000


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
    write_tag(ross, b"{")
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
    write_tag(ross, b"{")
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


def record(digest: Digest) -> dict[str, object]:
    return {"digest_algorithm": digest.algorithm, "digest_hash": digest.hex, "updated_at": 7}


def write_tag(ross: RossStore, content: dict[str, object] | bytes) -> Path:
    path = ross.root / "tags" / REPOSITORY / "latest"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return path


def tell(process: subprocess.Popen[str], line: str) -> None:
    assert process.stdin is not None
    process.stdin.write(f"{line}\n")
    process.stdin.flush()


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()
