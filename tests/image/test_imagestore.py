"""Images and layers in the words of containers/storage."""

from __future__ import annotations

import json
import re
from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rossfs.image.imagenames import podman_names
from rossfs.image.imagestore import (
    MOST_BELOW,
    BigData,
    ImageStore,
    StoreImage,
    StoreLayer,
    go_time,
    layer_ids,
)
from rossfs.oci.descriptor import Descriptor
from rossfs.oci.digest import Digest
from rossfs.store.tags import TagName
from tests.builders import DOCKER_LAYER, OCI_LAYER, OCI_LAYER_GZIP
from tests.layers import OCI_LAYER_ZSTD

A, B, C = (Digest.sha256(letter * 64) for letter in "abc")


def layer(
    diff_id: Digest, above: str = "", kind: str = OCI_LAYER_GZIP, length: int | None = 10
) -> StoreLayer:
    (one,) = layer_ids([diff_id]) if not above else (sha256(above.encode()).hexdigest(),)
    blob = Descriptor(kind, diff_id, 7)
    return StoreLayer(one, above, go_time(None), diff_id, blob, length, C, 0, 1)


def test_the_id_of_a_layer_says_what_is_below_it() -> None:
    first, second, third = layer_ids([A, B, A])
    assert first == A.hex
    assert second == sha256(f"{A.hex}+{B.hex}".encode()).hexdigest()
    assert third == sha256(f"{second}+{A.hex}".encode()).hexdigest()
    assert list(layer_ids([])) == []


def test_a_key_is_a_file_name_as_containers_storage_makes_it() -> None:
    assert BigData("manifest", A, 1).file_name == "manifest"
    assert BigData("manifest.2", A, 1).file_name == "manifest.2"
    # Seen in a store that podman 4.3.1 wrote.
    assert BigData("sha256:ab", A, 1).file_name == "=c2hhMjU2OmFi"
    assert BigData("", A, 1).file_name == "="


@given(st.sampled_from("0123456789abcdef"), st.integers(0, 63))
def test_no_file_name_has_a_slash(digit: str, position: int) -> None:
    text = "0" * position + digit + "f" * (63 - position)
    assert "/" not in BigData(f"manifest-sha256:{text}", A, 1).file_name


def test_the_short_name_of_a_layer_is_always_the_same() -> None:
    link = layer(A).link
    assert re.fullmatch("[A-Z2-7]{26}", link)
    assert link == layer(A, length=None).link != layer(B).link
    # Containers keep it: another one would break those that are there.
    assert link == "DEHTM26MAUOGVTNMSXV7A6ZRNR"


def test_layers_say_how_they_are_compressed() -> None:
    kinds = {OCI_LAYER: None, OCI_LAYER_GZIP: 2, DOCKER_LAYER: 2, OCI_LAYER_ZSTD: 4}
    for kind, number in kinds.items():
        assert layer(A, kind=kind).as_json().get("compression") == number


def test_a_length_that_is_not_known_is_left_out() -> None:
    assert "diff-size" not in layer(A, length=None).as_json()
    assert layer(A, length=0).as_json()["diff-size"] == 0


def test_the_layers_below_are_named_nearest_first() -> None:
    low = layer(A)
    middle = layer(B, low.id)
    top = layer(C, middle.id)
    store = ImageStore((), (low, middle, top))
    assert store.lower(low) == b""
    assert store.lower(middle) == f"l/{low.link}".encode()
    assert store.lower(top) == f"l/{middle.link}:l/{low.link}".encode()
    assert store.links[top.link] == top.id


def test_more_layers_below_one_than_podman_can_name_are_one_directory() -> None:
    layers: list[StoreLayer] = []
    for position, one in enumerate(layer_ids([A] * (MOST_BELOW + 2))):
        above = layers[-1].id if layers else ""
        layers.append(layer(A, above)._replace(id=one, position=position))
    store = ImageStore((), layers)
    paths = store.lower(layers[MOST_BELOW]).split(b":")
    assert len(paths) == MOST_BELOW
    # On a page with the directories that podman adds, in a mount with a path of 100 characters.
    assert sum(100 + len("/podman/overlay/:") + len(path) for path in paths) < 4096 - 512
    below = layers[MOST_BELOW]
    assert store.lower(layers[MOST_BELOW + 1]) == f"l/{below.merged_link}".encode()
    assert store.merged_links[below.merged_link] == below.id
    # Containers keep it.
    assert layer(A).merged_link == "BWFB45KDTMT5G62LHGDPQCD534"


def test_tables_are_json() -> None:
    image = StoreImage("1" * 64, A, "", go_time(None), (), (BigData("manifest", A, 3),))
    store = ImageStore((image,), (layer(A),))
    (shown,) = json.loads(store.images_json)
    assert shown == {
        "id": "1" * 64,
        "digest": str(A),
        "metadata": "{}",
        "created": "1970-01-01T00:00:00Z",
        "big-data-names": ["manifest"],
        "big-data-sizes": {"manifest": 3},
        "big-data-digests": {"manifest": str(A)},
    }
    assert json.loads(ImageStore((), ()).images_json) == []


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2023-11-09T21:20:00Z", "2023-11-09T21:20:00Z"),
        ("2023-11-09t21:20:00.123456789123z", "2023-11-09T21:20:00.123456789Z"),
        ("2023-11-09T21:20:00.5+05:30", "2023-11-09T21:20:00.5+05:30"),
        ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00Z"),
    ],
)
def test_times_stay(text: str, time: str) -> None:
    assert go_time(text) == time


@pytest.mark.parametrize(
    "text",
    [
        None, "", "yesterday", "2023-02-30T00:00:00Z", "2023-01-01T24:00:00Z", "2023-01-01",
        "2023-01-01T00:00:60Z", "0000-01-01T00:00:00Z", "2023-01-01T00:00:00",
        "2023-01-01T00:00:00+24:00", "2023-01-01 00:00:00Z", "٢023-01-01T00:00:00Z",
        "2023-01-01T00:00:00Z\n",
    ],
)  # fmt: skip
def test_what_go_could_not_read_is_1970(text: str | None) -> None:
    assert go_time(text) == "1970-01-01T00:00:00Z"


# --- names ---


def names(repository: str, tag: str = "v1") -> dict[str, int]:
    return dict(podman_names(TagName(repository, tag)))


def test_a_tag_without_host_has_two_names() -> None:
    assert names("lab/app") == {"docker.io/lab/app:v1": 1, "localhost/lab/app:v1": 1}
    assert names("library/nginx") == {
        "docker.io/library/nginx:v1": 1,
        "localhost/library/nginx:v1": 1,
    }


def test_a_repository_of_one_word_is_in_the_library_of_docker() -> None:
    assert names("nginx") == {"docker.io/library/nginx:v1": 2, "localhost/nginx:v1": 1}


def test_a_tag_with_a_host_has_that_name() -> None:
    assert names("quay.io/lab/app") == {"quay.io/lab/app:v1": 0}
    assert names("localhost/app") == {"localhost/app:v1": 0}
    assert names("localhost:5000/app") == {"localhost:5000/app:v1": 0}
    assert names("docker.io/lab/app") == {"docker.io/lab/app:v1": 0}
    assert names("index.docker.io/app") == {"docker.io/library/app:v1": 1}


def test_names_that_podman_cannot_read_are_left_out() -> None:
    assert names("[::1]:5000/app") == {}
    # With a host in front they are longer than 255 characters.
    assert names("a" * 245) == {"localhost/" + "a" * 245 + ":v1": 1}
    assert names("a/" + "a" * 251) == {}
