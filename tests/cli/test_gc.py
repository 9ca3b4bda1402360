"""`rossfs gc`."""

from __future__ import annotations

from pathlib import Path

import pytest

from rossfs.store.store import Store
from tests import builders
from tests.cli.conftest import Rossfs
from tests.stacking import layer, member, stack


@pytest.fixture
def image(store: Store) -> builders.Image:
    """An image without a tag, beside one with, and a blob that nothing names."""
    builders.image(store, "tagged", tag="library/app:v1")
    store.put_blob(None, b"lonely")
    return builders.image(store, "untagged")


def test_young_content_stays_unless_the_grace_period_is_over(
    rossfs: Rossfs, store: Store, image: builders.Image
) -> None:
    assert rossfs("gc", "--delete-untagged").err == "removed 0 blobs, 0 manifests: 0 B\n"
    assert rossfs("gc", "--grace", "0").err == "removed 1 blob, 0 manifests: 6 B\n"


def test_untagged_images_go_only_when_that_is_asked_for(
    rossfs: Rossfs, store: Store, image: builders.Image
) -> None:
    ended = rossfs("gc", "--grace", "0s", "--delete-untagged", "--json").json
    gone = {str(digest) for digest in (image.manifest, image.config, *image.layers)}
    assert gone < set(ended["digests"])
    assert (ended["blobs_removed"], ended["manifests_removed"], ended["dry_run"]) == (4, 1, False)
    assert len(list(store.list_blobs())) == 3
    assert [str(name) for name in store.tags.names()] == ["library/app:v1"]


def test_a_dry_run_removes_nothing(rossfs: Rossfs, store: Store, image: builders.Image) -> None:
    ended = rossfs("gc", "-n", "--grace", "0", "--delete-untagged")
    assert len(ended.out.splitlines()) == 5
    assert ended.err.startswith("would remove 4 blobs, 1 manifest: ")
    assert len(list(store.list_blobs())) == 7
    assert rossfs("gc", "-n", "-q", "--grace", "0").out == ""


@pytest.mark.parametrize("text", ["", "1x", "-1", "1h30m", "nan", "9" * 20])
def test_a_grace_period_is_a_duration(rossfs: Rossfs, text: str) -> None:
    assert "no duration" in rossfs("gc", "--grace", text, status=2).err


@pytest.mark.parametrize("text", ["0", "1.5h", "90", "90s", "15m", "2d", "1w"])
def test_durations_have_units(rossfs: Rossfs, text: str) -> None:
    rossfs("gc", "--grace", text)


def test_the_tables_of_layers_go_with_them(rossfs: Rossfs, store: Store) -> None:
    for number in range(2):
        stack(store, [layer(member("file", b"%d" % number))], f"library/app:v{number}")
        assert rossfs("ls", f"app:v{number}").out == "file\n"
    cache = Path(store.paths.cache)
    tables = {path.name for path in cache.iterdir()}
    assert rossfs("untag", "app:v0").status == 0
    rossfs("gc", "--grace", "0", "--delete-untagged", "--dry-run")
    assert {path.name for path in cache.iterdir()} == tables
    rossfs("gc", "--grace", "0", "--delete-untagged")
    left = {path.name for path in cache.iterdir()}
    assert left < tables
    assert {name.partition(".")[0] for name in left} < {d.hex for d in store.list_blobs()}
    assert rossfs("ls", "app:v1").out == "file\n"
