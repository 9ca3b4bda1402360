from __future__ import annotations

from typing import Any

import pytest

from rossfs.errors import InvalidDocument
from rossfs.oci.config import Config, History
from rossfs.oci.digest import Digest
from rossfs.oci.platform import Platform
from tests import builders

DIFF_IDS = [str(Digest.of(b"one")), str(Digest.of(b"two"))]


def parse(document: dict[str, Any]) -> Config:
    """Parse *document*."""
    return Config.parse(builders.compact(document))


def test_a_config_says_what_an_image_is() -> None:
    config = Config.parse(builders.config(DIFF_IDS, architecture="arm64", variant="v8"))
    assert config.platform == Platform("linux", "arm64", "v8")
    assert [str(item) for item in config.diff_ids] == DIFF_IDS
    assert config.created == "2023-11-09T21:20:00Z"
    assert config.history[1] == History("2023-11-09T21:20:00Z", "COPY step 1")


def test_the_empty_config_is_valid() -> None:
    assert parse({}) == Config(None, (), (), None)
    nulls = {"rootfs": None, "history": None, "created": None, "os": None}
    assert parse(nulls) == parse({"rootfs": {"diff_ids": None}}) == parse({})


def test_a_layer_knows_the_step_that_made_it() -> None:
    steps = [
        {"created_by": "ADD", "author": "a", "comment": "c"},
        {"created_by": "ENV", "empty_layer": True},
        {"created_by": "RUN", "empty_layer": False},
    ]
    config = parse({"rootfs": {"diff_ids": DIFF_IDS}, "history": steps})
    assert config.layer_history() == (
        History("", "ADD", "a", "c"),
        History("", "RUN"),
    )


def test_a_history_of_another_length_is_no_error() -> None:
    one = [{"created_by": "ADD"}]
    short = parse({"rootfs": {"diff_ids": DIFF_IDS}, "history": one})
    assert short.layer_history() == (History("", "ADD"), None)
    assert parse({"rootfs": {"diff_ids": DIFF_IDS}}).layer_history() == (None, None)
    assert parse({"rootfs": {"diff_ids": []}, "history": one}).layer_history() == ()


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        ({"os": 1}, "os is a JSON number"),
        ({"os": "../..", "architecture": "x"}, "os cannot be part of a platform"),
        ({"created": 1}, "created is a JSON number"),
        ({"rootfs": []}, "rootfs is a JSON array"),
        ({"rootfs": {"diff_ids": {}}}, "rootfs: diff_ids is a JSON object"),
        ({"rootfs": {"diff_ids": [None]}}, "diff ID 0 is missing"),
        ({"rootfs": {"diff_ids": ["x"]}}, "diff ID 0: no digest"),
        ({"rootfs": {"diff_ids": DIFF_IDS[:1] * 16_385}}, "has 16385 items"),
        ({"history": {}}, "history is a JSON object"),
        ({"history": [1]}, "history 0 is not a JSON object"),
        ({"history": [{"created_by": 1}]}, "history 0: created_by is a JSON number"),
        ({"history": [{"empty_layer": 1}]}, "empty_layer is neither true nor false"),
        ({"history": [{}] * 65_537}, "history has 65537 items"),
    ],
)
def test_a_hostile_config_is_refused(document: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidDocument, match=reason):
        parse(document)
