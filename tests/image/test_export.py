"""Exporting: layouts new and old, archives, indexes."""

from __future__ import annotations

import json
import os
import tarfile
import threading
from pathlib import Path

import pytest

from rossfs.errors import (
    Conflict,
    ManifestNotFound,
    RossfsError,
)
from rossfs.image.export import export_image
from rossfs.image.import_ import import_images
from rossfs.image.transport import parse_destination, parse_source
from rossfs.oci.digest import Digest
from rossfs.oci.platform import Platform
from rossfs.store.store import Store
from tests import builders
from tests.builders import (
    OCI_INDEX,
    OCI_MANIFEST,
    digest_of,
    image_parts,
)
from tests.image.exports import files_below, files_in, give, index_of
from tests.image.sources import (
    CONTAINERD_NAME,
    REF_NAME,
    Watching,
    blob_path,
    entry,
    layout,
    layout_of,
    write_tree,
)


def multi(store: Store) -> tuple[Digest, builders.Image, builders.Image]:
    amd = builders.image(store, "a", architecture="amd64")
    arm = builders.image(store, "b", architecture="arm64")
    data = builders.index(
        [(amd.parts.manifest, "linux/amd64"), (arm.parts.manifest, "linux/arm64")]
    )
    digest, _ = store.put_index(data, OCI_INDEX)
    store.set_tag("lab/multi", "v1", digest)
    return digest, amd, arm


def test_a_new_layout_has_exactly_what_the_image_needs(store: Store, tmp_path: Path) -> None:
    image = builders.image(store, "app", tag="library/app:v1")
    builders.image(store, "other")
    done = give(store, "app:v1", tmp_path / "out")
    parts = image.parts
    expected = {blob_path(data): data for data in (parts.manifest, parts.config, *parts.layers)}
    found = files_below(tmp_path / "out")
    index = json.loads(found.pop("index.json"))
    assert found.pop("oci-layout") == b'{"imageLayoutVersion":"1.0.0"}'
    assert found == expected
    assert index == {
        "schemaVersion": 2,
        "manifests": [
            {
                "mediaType": OCI_MANIFEST,
                "digest": str(parts.digest),
                "size": len(parts.manifest),
                "annotations": {
                    CONTAINERD_NAME: "docker.io/library/app:v1",
                    REF_NAME: "v1",
                },
            }
        ],
    }
    assert done == (parts.digest, OCI_MANIFEST, 4, sum(map(len, expected.values())))


@pytest.mark.parametrize("destination", ["{0}/out", "{0}/out.tar", "docker-archive:{0}/out"])
def test_what_was_exported_is_imported_as_it_was(
    store: Store, tmp_path: Path, destination: str
) -> None:
    image = builders.image(store, "app", tag="localhost:5000/lab/app:v1")
    place = destination.format(tmp_path)
    give(store, "localhost:5000/lab/app:v1", place)
    with Store.create(str(tmp_path / "second")) as second:
        path = place.removeprefix("docker-archive:")
        [imported] = import_images(second, parse_source(path)).images
        assert imported.digest == image.manifest
        assert list(map(str, imported.references)) == ["localhost:5000/lab/app:v1"]


def test_a_name_can_be_said_for_the_place(store: Store, tmp_path: Path) -> None:
    builders.image(store, "app", tag="library/app:v1")
    give(store, "app:v1", f"oci:{tmp_path}/out:other")
    assert index_of(tmp_path / "out")[0]["annotations"][REF_NAME] == "other"
    give(store, "app:v1", f"docker-archive:{tmp_path}/out.tar:lab/other:v9")
    [item] = json.loads(files_in(tmp_path / "out.tar")["manifest.json"])
    assert item["RepoTags"] == ["lab/other:v9"]


def test_a_digest_goes_out_without_a_name(store: Store, tmp_path: Path) -> None:
    image = builders.image(store, "app")
    export_image(store, image.manifest, parse_destination(str(tmp_path / "out")))
    assert "annotations" not in index_of(tmp_path / "out")[0]


def test_another_image_joins_those_that_are_there(store: Store, tmp_path: Path) -> None:
    one = builders.image(store, "app", tag="library/one:v1")
    two = builders.image(store, "app2", tag="library/two:v2")
    give(store, "one:v1", tmp_path / "out")
    before = files_below(tmp_path / "out")
    give(store, "two:v2", tmp_path / "out")
    assert [item["digest"] for item in index_of(tmp_path / "out")] == [
        str(one.manifest),
        str(two.manifest),
    ]
    after = files_below(tmp_path / "out")
    assert {path: after[path] for path in before if path != "index.json"} == {
        path: data for path, data in before.items() if path != "index.json"
    }


def test_a_name_moves_to_the_new_image_and_the_old_one_stays(store: Store, tmp_path: Path) -> None:
    one = builders.image(store, "1", tag="library/app:v1")
    give(store, "app:v1", tmp_path / "out")
    two = builders.image(store, "2", tag="library/app:v1")
    give(store, "app:v1", tmp_path / "out")
    give(store, "app:v1", tmp_path / "out")
    first, second = index_of(tmp_path / "out")
    assert (first["digest"], first.get("annotations")) == (str(one.manifest), None)
    assert second["digest"] == str(two.manifest)
    assert second["annotations"][REF_NAME] == "v1"


def test_what_others_wrote_into_index_json_stays(store: Store, tmp_path: Path) -> None:
    image = builders.image(store, "app", tag="library/app:v1")
    other = image_parts("other")
    files = layout_of({"kept": other})
    index = json.loads(files["index.json"])
    index["annotations"] = {"who": "somebody"}
    index["unknown"] = [1, {"deep": None}]
    index["manifests"][0]["platform"] = {"os": "plan9", "architecture": "amd64"}
    nameless = entry(image.parts.manifest, OCI_MANIFEST) | {"artifactType": "x/y"}
    index["manifests"].append(nameless)
    files["index.json"] = json.dumps(index).encode()
    files["unknown-file"] = b"?"
    out = write_tree(tmp_path / "out", files)
    give(store, "app:v1", out)
    after = json.loads((out / "index.json").read_bytes())
    assert (after["annotations"], after["unknown"]) == (index["annotations"], index["unknown"])
    assert after["manifests"][0] == index["manifests"][0]
    [named] = after["manifests"][1:]
    assert named["artifactType"] == "x/y"
    assert named["annotations"][REF_NAME] == "v1"
    assert (out / "unknown-file").read_bytes() == b"?"


def test_only_what_is_missing_is_written(store: Store, tmp_path: Path) -> None:
    image = builders.image(store, "app", tag="library/app:v1")
    give(store, "app:v1", tmp_path / "out")
    stamp = (tmp_path / "out" / blob_path(image.layers[0])).stat()
    assert give(store, "app:v1", tmp_path / "out").blobs == 0
    (tmp_path / "out" / blob_path(image.layers[1])).write_bytes(b"cut")
    assert give(store, "app:v1", tmp_path / "out").blobs == 1
    assert (tmp_path / "out" / blob_path(image.layers[0])).stat() == stamp
    assert files_below(tmp_path / "out")[blob_path(image.layers[1])] == image.parts.layers[1]


def test_an_empty_directory_becomes_a_layout(store: Store, tmp_path: Path) -> None:
    builders.image(store, "app", tag="library/app:v1")
    (tmp_path / "out").mkdir()
    give(store, "app:v1", f"oci:{tmp_path / 'out'}/")
    assert len(index_of(tmp_path / "out")) == 1


def test_a_directory_with_something_else_is_left_alone(store: Store, tmp_path: Path) -> None:
    builders.image(store, "app", tag="library/app:v1")
    write_tree(tmp_path / "out", {"precious": b"1"})
    with pytest.raises(Conflict, match="no OCI image layout"):
        give(store, "app:v1", tmp_path / "out")
    with pytest.raises(Conflict, match="is a directory"):
        give(store, "app:v1", f"oci-archive:{tmp_path / 'out'}")
    assert files_below(tmp_path / "out") == {"precious": b"1"}


def test_a_broken_layout_is_not_added_to(store: Store, tmp_path: Path) -> None:
    builders.image(store, "app", tag="library/app:v1")
    files = layout([], []) | {"index.json": b'{"manifests": 5}'}
    write_tree(tmp_path / "out", files)
    with pytest.raises(RossfsError):
        give(store, "app:v1", tmp_path / "out")
    assert files_below(tmp_path / "out") == files


def test_a_parent_that_is_missing_is_not_made(store: Store, tmp_path: Path) -> None:
    builders.image(store, "app", tag="library/app:v1")
    for place in ("none/out", "none/out.tar"):
        with pytest.raises(FileNotFoundError):
            give(store, "app:v1", tmp_path / place)
    assert not (tmp_path / "none").exists()


def test_an_archive_is_the_same_every_time(store: Store, tmp_path: Path) -> None:
    builders.image(store, "app", tag="library/app:v1")
    give(store, "app:v1", tmp_path / "a.tar")
    os.utime(tmp_path / "a.tar", (0, 0))
    give(store, "app:v1", tmp_path / "b.tar")
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()
    with tarfile.open(tmp_path / "a.tar") as tar:
        members = tar.getmembers()
    assert {(member.mtime, member.uid, member.uname) for member in members} == {(0, 0, "")}
    assert [member.name for member in members[:2]] == ["oci-layout", "index.json"]


def test_an_archive_for_docker_is_a_layout_too(store: Store, tmp_path: Path) -> None:
    image = builders.image(store, "app", tag="library/app:v1", docker=True)
    give(store, "app:v1", f"docker-archive:{tmp_path}/out")
    files = files_in(tmp_path / "out")
    [item] = json.loads(files["manifest.json"])
    assert item["RepoTags"] == ["app:v1"]
    assert files[item["Config"]] == image.parts.config
    assert [files[path] for path in item["Layers"]] == list(image.parts.layers)
    assert files[blob_path(image.manifest)] == image.parts.manifest


def test_an_index_goes_out_with_all_that_is_stored_of_it(store: Store, tmp_path: Path) -> None:
    digest, amd, arm = multi(store)
    give(store, "lab/multi:v1", tmp_path / "out")
    found = files_below(tmp_path / "out")
    assert index_of(tmp_path / "out")[0]["digest"] == str(digest)
    assert blob_path(amd.layers[0]) in found
    assert blob_path(arm.layers[0]) in found
    store.delete_tag("lab/multi", "v1")
    data = builders.index(
        [(amd.parts.manifest, "linux/amd64"), (image_parts("absent").manifest, "linux/arm64")]
    )
    store.set_tag("lab/part", "v1", store.put_index(data, OCI_INDEX)[0])
    give(store, "lab/part:v1", tmp_path / "part")
    assert blob_path(amd.manifest) in files_below(tmp_path / "part")


def test_of_an_index_one_platform_can_be_chosen(store: Store, tmp_path: Path) -> None:
    _, amd, arm = multi(store)
    assert give(store, "lab/multi:v1", tmp_path / "out", "linux/arm64").digest == arm.manifest
    assert blob_path(amd.layers[0]) not in files_below(tmp_path / "out")
    done = give(store, "lab/multi:v1", f"docker-archive:{tmp_path}/a.tar", "linux/amd64")
    assert done.digest == amd.manifest
    with pytest.raises(ManifestNotFound, match="no manifest for linux/s390x"):
        give(store, "lab/multi:v1", tmp_path / "none", "linux/s390x")
    assert not (tmp_path / "none").exists()


def test_a_docker_archive_of_an_index_has_the_image_of_this_machine(
    store: Store, tmp_path: Path
) -> None:
    parts = image_parts("host")
    for media_type, data in parts.blobs():
        store.put_blob(media_type, data)
    store.put_manifest(parts.manifest, OCI_MANIFEST)
    host = str(Platform.host())
    other = image_parts("other", architecture="s390x")
    data = builders.index([(other.manifest, "linux/s390x"), (parts.manifest, host)])
    store.set_tag("lab/app", "v1", store.put_index(data, OCI_INDEX)[0])
    assert give(store, "lab/app:v1", f"docker-archive:{tmp_path}/a").digest == parts.digest


def test_collection_during_an_export_takes_nothing_away(store: Store, tmp_path: Path) -> None:
    builders.image(store, "app", tag="library/app:v1", layers=5)

    class Untagging(Watching):
        def begin(self, name: str, size: int | None) -> None:
            store.delete_tag("library/app", "v1")
            store.garbage_collect()

    give(store, "app:v1", tmp_path / "out", None, Untagging())
    assert len(files_below(tmp_path / "out")) == 9


def test_two_exports_into_one_layout_both_count(store: Store, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    for number in range(6):
        builders.image(store, str(number), tag=f"library/app:v{number}")
    failures: list[BaseException] = []

    def run(number: int) -> None:
        try:
            give(store, f"app:v{number}", tmp_path / "out")
        except BaseException as error:
            failures.append(error)

    give(store, "app:v0", tmp_path / "out")
    threads = [threading.Thread(target=run, args=(number,)) for number in range(1, 6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failures == []
    names = [item["annotations"][REF_NAME] for item in index_of(tmp_path / "out")]
    assert sorted(names) == [f"v{number}" for number in range(6)]
    assert not list((tmp_path / "out").glob(".rossfs*"))


def test_a_pipe_gets_the_archive_as_it_comes(store: Store, tmp_path: Path) -> None:
    builders.image(store, "app", tag="library/app:v1")
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    received: list[bytes] = []
    thread = threading.Thread(target=lambda: received.append(fifo.read_bytes()))
    thread.start()
    give(store, "app:v1", f"oci-archive:{fifo}")
    thread.join(30)
    give(store, "app:v1", tmp_path / "a.tar")
    assert received == [(tmp_path / "a.tar").read_bytes()]
    assert fifo.is_fifo()


def test_what_is_not_stored_cannot_go_out(store: Store, tmp_path: Path) -> None:
    with pytest.raises(ManifestNotFound):
        export_image(store, digest_of(b"x"), parse_destination(str(tmp_path / "out")))
    blob, _ = store.put_blob(None, b"a blob")
    with pytest.raises(ManifestNotFound):
        export_image(store, blob, parse_destination(str(tmp_path / "out")))
