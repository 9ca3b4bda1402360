"""`rossfs history`."""

from __future__ import annotations

from rossfs.store.store import Store
from tests import builders
from tests.builders import OCI_INDEX, OCI_MANIFEST, digest_of
from tests.cli.conftest import Rossfs
from tests.stacking import layer_of, stack

BOTTOM, TOP = layer_of(1500, "bottom"), layer_of(90, "top")

STEPS: list[dict[str, object]] = [
    {
        "created": "2023-11-09T21:20:00.123456789Z",
        "created_by": "/bin/sh -c #(nop) ADD file:1 in /",
    },
    {"created": "2023-11-09T22:20:00+01:00", "created_by": "ENV A=1", "empty_layer": True},
    {"created": "2023-11-09T21:21:00Z", "created_by": "RUN make\t&& \\\n  " + "x" * 80},
]


def test_steps_come_with_their_layers_the_last_one_first(rossfs: Rossfs, store: Store) -> None:
    stack(store, [BOTTOM, TOP], "library/app:latest", history=STEPS)
    lines = rossfs("history", "--bytes", "app").out.splitlines()
    assert lines[0].split() == ["CREATED", "SIZE", "LAYER", "CREATED", "BY"]
    top, empty, bottom = (line.split(maxsplit=3) for line in lines[1:])
    assert bottom[:3] == ["2023-11-09T21:20:00Z", str(len(BOTTOM)), f"00-{digest_of(BOTTOM).short}"]
    assert bottom[3] == "ADD file:1 in /"
    assert empty == ["2023-11-09T21:20:00Z", "0", "-", "ENV A=1"]
    assert top[:3] == ["2023-11-09T21:21:00Z", str(len(TOP)), f"01-{digest_of(TOP).short}"]
    assert top[3] == "RUN make && \\ " + "x" * 43 + "..."


def test_nothing_is_cut_where_all_is_wanted(rossfs: Rossfs, store: Store) -> None:
    stack(store, [BOTTOM, TOP], "library/app:latest", history=STEPS)
    text = rossfs("history", "--no-trunc", "app").out
    assert "x" * 80 in text
    assert f"00-{digest_of(BOTTOM)}" in text
    assert "/bin/sh -c #(nop) ADD file:1 in /" in text


def test_json_has_the_steps_as_they_are(rossfs: Rossfs, store: Store) -> None:
    stack(store, [BOTTOM, TOP], "library/app:latest", history=STEPS)
    top, empty, bottom = rossfs("history", "--json", "app").json
    assert top["created_by"] == STEPS[2]["created_by"]
    assert (top["layer"], top["size"], top["position"]) == (str(digest_of(TOP)), len(TOP), 1)
    assert (empty["layer"], empty["size"], empty["empty_layer"]) == (None, 0, True)
    assert bottom["diff_id"].startswith("sha256:")


def test_layers_and_steps_need_not_agree(rossfs: Rossfs, store: Store) -> None:
    stack(store, [BOTTOM, TOP], "lab/few:v1", history=STEPS[:1])
    few = rossfs("history", "--json", "lab/few:v1").json
    assert [row["layer"] for row in few] == [str(digest_of(TOP)), str(digest_of(BOTTOM))]
    assert [row["created_by"] == "" for row in few] == [True, False]
    assert rossfs("history", "lab/few:v1").out.splitlines()[1].split()[0] == "-"
    stack(store, [BOTTOM], "lab/many:v1", history=STEPS)
    many = rossfs("history", "--json", "lab/many:v1").json
    assert [row["layer"] for row in many] == [None, None, str(digest_of(BOTTOM))]


def test_a_layer_that_is_not_stored_has_no_size(rossfs: Rossfs, store: Store) -> None:
    stack(store, [BOTTOM, TOP], "lab/app:v1", absent=1)
    assert rossfs("history", "lab/app:v1").out.splitlines()[1].split()[1] == "-"
    assert rossfs("history", "--json", "lab/app:v1").json[0]["size"] is None


def test_a_build_step_cannot_write_to_the_terminal(rossfs: Rossfs, store: Store) -> None:
    steps = [{"created": "\x1b[2J", "created_by": "RUN \x1b]0;title\x07 \u202eevil"}]
    stack(store, [BOTTOM], "lab/app:v1", history=steps)
    for options in ([], ["--no-trunc"], ["--json"]):
        text = rossfs("history", "lab/app:v1", *options).out
        assert not any(ord(letter) < 32 for letter in text if letter != "\n"), options
        assert "\u202e" not in text
    assert '"RUN \\x1b]0;title\\x07 \\u202eevil"' in rossfs("history", "lab/app:v1").out


def test_the_platform_of_an_index_can_be_chosen(rossfs: Rossfs, store: Store) -> None:
    amd = builders.image(store, "a")
    arm = builders.image(store, "b", architecture="arm64", layers=1)
    data = builders.index(
        [(amd.parts.manifest, "linux/amd64"), (arm.parts.manifest, "linux/arm64")]
    )
    store.set_tag("lab/multi", "v1", store.put_index(data, OCI_INDEX)[0])
    assert len(rossfs("history", "--platform", "linux/amd64", "lab/multi:v1", "--json").json) == 2
    assert len(rossfs("history", "--platform", "linux/arm64", "lab/multi:v1", "--json").json) == 1
    assert (
        "linux/s390x" in rossfs("history", "--platform=linux/s390x", "lab/multi:v1", status=3).err
    )
    rossfs("history", "--platform", "what", "lab/multi:v1", status=2)


def test_what_is_no_image_has_no_history(rossfs: Rossfs, store: Store) -> None:
    for data in (b"{}", b"a statement"):
        store.put_blob(None, data)
    manifest = builders.manifest(b"{}", [b"a statement"], layer_types=["application/x.statement"])
    store.set_tag("lab/sbom", "v1", store.put_manifest(manifest, OCI_MANIFEST)[0])
    assert "no image" in rossfs("history", "lab/sbom:v1", status=2).err
    rossfs("history", "lab/absent:v1", status=3)
