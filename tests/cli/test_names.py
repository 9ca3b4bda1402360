"""Names on the command line: short repositories, and the beginnings of digests."""

from __future__ import annotations

import itertools

from rossfs.oci.mediatype import OCI_INDEX
from rossfs.store.store import Store
from tests import builders
from tests.cli.conftest import Rossfs


def test_a_repository_of_one_component_is_found_where_library_has_none(
    rossfs: Rossfs, store: Store
) -> None:
    made = builders.image(store, tag="library/app:v1")
    store.set_tag("lab", "new", made.manifest)
    assert rossfs("stat", "--json", "lab:new").json["digest"] == str(made.manifest)
    assert "new" in rossfs("tags", "lab").out
    rossfs("untag", "lab:new")
    rossfs("untag", "lab:new", status=3)


def test_library_goes_before_a_repository_of_one_component(rossfs: Rossfs, store: Store) -> None:
    one = builders.image(store, "one", tag="library/app:v1")
    two = builders.image(store, "two", tag="library/other:v1")
    store.set_tag("app", "v1", two.manifest)
    assert rossfs("stat", "--json", "app:v1").json["digest"] == str(one.manifest)
    rossfs("untag", "app:v1")
    assert rossfs("stat", "--json", "app:v1").json["digest"] == str(two.manifest)


def test_an_image_is_found_by_the_digits_that_images_shows(rossfs: Rossfs, store: Store) -> None:
    made = builders.image(store, tag="library/app:v1")
    assert made.manifest.hex[:12] in rossfs("images").out
    assert rossfs("stat", "--json", made.manifest.hex[:12]).json["digest"] == str(made.manifest)
    assert "no tag" in rossfs("stat", made.manifest.hex[:5], status=3).err


def test_a_blob_is_found_by_its_first_digits(rossfs: Rossfs, store: Store) -> None:
    digest, _ = store.put_blob(None, b"blob")
    assert rossfs("cat", digest.hex[:12]).out == "blob"
    assert rossfs("stat", "--json", digest.hex[:6]).json["digest"] == str(digest)
    ended = rossfs("cat", "0123456789ab", status=3)
    assert ended.err == (
        "rossfs: no tag library/0123456789ab:latest, and no digest begins with 0123456789ab\n"
    )
    rossfs("rm", digest.hex[:12])
    assert not list(store.list_blobs())


def test_a_path_without_its_slash_is_noticed(rossfs: Rossfs) -> None:
    for command in ("cat", "ls"):
        for name in ("app", "app:v1", "localhost:5000/lab/app"):
            ended = rossfs(command, f"{name}:etc/passwd", status=2)
            assert ended.err == (
                f'rossfs: "{name}:etc/passwd" is no name: a path begins with /, '
                f"as in {name}:/etc/passwd\n"
            )


def test_the_beginning_of_several_digests_is_refused(rossfs: Rossfs, store: Store) -> None:
    seen: dict[str, bytes] = {}
    for number in itertools.count():
        data = builders.compact(
            {"schemaVersion": 2, "manifests": [], "annotations": {"n": f"{number}"}}
        )
        prefix = builders.digest_of(data).hex[:6]
        if prefix in seen:
            break
        seen[prefix] = data
    for document in (data, seen[prefix]):
        store.put_index(document, OCI_INDEX)
    ended = rossfs("stat", prefix, status=2)
    assert ended.err == f"rossfs: {prefix} begins 2 digests: give more digits\n"


def test_what_podman_calls_an_image_is_understood(rossfs: Rossfs, store: Store) -> None:
    made = builders.image(store, tag="library/app:v1")
    other = builders.image(store, "other", tag="lab/app:latest")
    for name, image in (
        ("localhost/library/app:v1", made),
        ("localhost/app:v1", made),
        ("docker.io/library/app:v1", made),
        ("localhost/lab/app", other),
    ):
        assert rossfs("stat", "--json", name).json["digest"] == str(image.manifest)
        rossfs("ls", name)
    assert rossfs("tags", "localhost/lab/app").out == rossfs("tags", "lab/app").out
    assert rossfs("stat", "localhost/lab/app:v2", status=3).err == (
        "rossfs: no tag localhost/lab/app:v2\n"
    )
    rossfs("untag", "localhost/lab/app")
    rossfs("stat", "lab/app", status=3)


def test_localhost_without_library_is_the_repository_of_one_component(
    rossfs: Rossfs, store: Store
) -> None:
    one = builders.image(store, "one", tag="library/app:v1")
    two = builders.image(store, "two", tag="lab/other:v1")
    store.set_tag("app/more", "v1", two.manifest)
    assert rossfs("stat", "--json", "localhost/app:v1").json["digest"] == str(one.manifest)
    store.set_tag("app", "v1", two.manifest)
    assert rossfs("stat", "--json", "localhost/app:v1").json["digest"] == str(two.manifest)


def test_a_repository_of_localhost_goes_before_what_podman_calls_so(
    rossfs: Rossfs, store: Store
) -> None:
    builders.image(store, "one", tag="lab/app:v1")
    real = builders.image(store, "two", tag="localhost/lab/app:v2")
    assert rossfs("stat", "--json", "localhost/lab/app:v2").json["digest"] == str(real.manifest)
    rossfs("stat", "localhost/lab/app:v1", status=3)
    rossfs("untag", "localhost/lab/app:v1", status=3)
    assert rossfs("tags", "localhost/lab/app").out.split() != rossfs("tags", "lab/app").out.split()
