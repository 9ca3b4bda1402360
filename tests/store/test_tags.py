import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rossfs.errors import (
    Conflict,
    Damaged,
    InvalidReference,
    RepositoryNotFound,
    TagNotFound,
)
from rossfs.oci.digest import Digest
from rossfs.store.tags import TagEntry, TagInfo, TagName, Tags
from tests.builders import CREATED, RossStore, digest_of, ross_store

REPOSITORY = "library/nginx"


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


def record(digest: Digest) -> dict[str, object]:
    return {"digest_algorithm": digest.algorithm, "digest_hash": digest.hex, "updated_at": 7}


def write_tag(ross: RossStore, content: dict[str, object] | bytes) -> Path:
    path = ross.root / "tags" / REPOSITORY / "latest"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    return path
