"""podman/: the store as containers/storage reads it."""

from __future__ import annotations

import gzip
import json
import os
import stat
from pathlib import Path

import pytest

from rossfs.image.imagesurvey import Survey
from rossfs.image.resolve import Image
from rossfs.oci.digest import Digest
from rossfs.store.store import Store
from rossfs.tree.node import Directory, File, Rows, Symlink, Unsettled
from rossfs.tree.numbers import Fixed, Numbers
from tests.builders import OCI_CONFIG, OCI_MANIFEST, RossStore, digest_of, image
from tests.layers import Layer, image_of
from tests.suites.directory_suite import CALLER, ReadOnlyDirectorySuite, find, listed, rows_of
from tests.tree.browsing import Browser, bottom, middle
from tests.tree.browsing import top as upper
from tests.tree.podmanlooking import IMAGES, LAYERS, Podman


@pytest.fixture
def podman(browser: Browser) -> Podman:
    return Podman(browser)


@pytest.fixture
def stack(podman: Podman) -> Digest:
    """An image of three layers with everything in it."""
    return image_of(bottom(), middle(), upper()).put(podman.store, "lab/app:v1")


class TestImages(ReadOnlyDirectorySuite):
    @pytest.fixture
    async def directory(self, podman: Podman, stack: Digest) -> Directory:
        return await podman.directory(b"overlay-images")


class TestOneImage(ReadOnlyDirectorySuite):
    @pytest.fixture
    async def directory(self, podman: Podman, stack: Digest) -> Directory:
        (only,) = await podman.images()
        return await podman.directory(b"overlay-images/" + only.encode())


class TestTables(ReadOnlyDirectorySuite):
    @pytest.fixture
    async def directory(self, podman: Podman, stack: Digest) -> Directory:
        return await podman.directory(b"overlay-layers")


class TestLayers(ReadOnlyDirectorySuite):
    @pytest.fixture
    async def directory(self, podman: Podman, stack: Digest) -> Directory:
        return await podman.directory(b"overlay")


class TestLinks(ReadOnlyDirectorySuite):
    @pytest.fixture
    async def directory(self, podman: Podman, stack: Digest) -> Directory:
        return await podman.directory(b"overlay/l")


class TestOneLayer(ReadOnlyDirectorySuite):
    @pytest.fixture
    async def directory(self, podman: Podman, stack: Digest) -> Directory:
        top = (await podman.layers())[-1]
        return await podman.directory(b"overlay/" + top.encode())


class TestOneDiff(ReadOnlyDirectorySuite):
    @pytest.fixture
    async def directory(self, podman: Podman, stack: Digest) -> Directory:
        middle = (await podman.layers())[1]
        return await podman.directory(b"overlay/" + middle.encode() + b"/diff")


# --- what is there ---


async def test_an_empty_store_has_its_tables_and_locks(podman: Podman) -> None:
    """Without them podman fails."""
    for name in (b"images", b"layers"):
        assert await podman.read(b"overlay-%b/%b.json" % (name, name)) == b"[]\n"
        assert len(await podman.read(b"overlay-%b/%b.lock" % (name, name))) == 64


async def test_documents_are_the_stored_bytes(podman: Podman, stack: Digest) -> None:
    ((one, shown),) = (await podman.images()).items()
    directory = b"overlay-images/" + one.encode()
    names = [entry.name for entry in await listed(await podman.directory(directory))]
    assert len(names) == 3
    assert names[0] == b"manifest"
    for name, digest in zip(names, shown["big-data-digests"].values(), strict=True):
        assert str(digest_of(await podman.read(directory + b"/" + name))) == digest


async def test_a_document_is_the_same_file_as_its_blob(podman: Podman, stack: Digest) -> None:
    (one,) = await podman.images()
    node = await podman.at(b"overlay-images/%b/manifest" % one.encode())
    blob = await podman.browser.at(stack, b"manifest.json")
    assert node is not None
    assert blob is not None
    assert node.ino == blob.ino


async def test_links_lead_to_layers(podman: Podman, stack: Digest) -> None:
    for layer in await podman.layers():
        link = await podman.read(b"overlay/%b/link" % layer.encode())
        node = await podman.at(b"overlay/l/" + link)
        assert isinstance(node, Symlink)
        assert node.target() == b"../%b/diff" % layer.encode()


async def test_a_layer_names_those_below_it(podman: Podman, stack: Digest) -> None:
    lowest, second, highest = [layer.encode() for layer in await podman.layers()]
    links = [await podman.read(b"overlay/%b/link" % one) for one in (lowest, second)]
    assert await podman.at(b"overlay/%b/lower" % lowest) is None
    assert await podman.read(b"overlay/%b/lower" % second) == b"l/" + links[0]
    assert await podman.read(b"overlay/%b/lower" % highest) == b"l/%b:l/%b" % (links[1], links[0])


async def test_diff_is_the_layer_in_overlay_form(podman: Podman, stack: Digest) -> None:
    _, second, _ = await podman.layers()
    diff = await podman.directory(b"overlay/%b/diff" % second.encode())
    listing = diff.entries()
    assert isinstance(listing, Rows)
    rows = {row.name: row for row in rows_of(listing)}
    assert rows[b"gone"].mode == stat.S_IFCHR
    assert stat.S_ISREG(rows[b"becomes-file"].mode)
    assert b"empty" not in rows
    kept = diff.lookup(b"kept")
    assert kept is not None
    assert kept.xattrs()[b"trusted.overlay.opaque"] == b"y"
    assert diff.parent_ino() == (await podman.directory(b"overlay/" + second.encode())).ino


async def test_nothing_is_opened_before_somebody_goes_into_a_layer(
    podman: Podman, stack: Digest
) -> None:
    for path in (b"", b"overlay-images", b"overlay-layers", b"overlay", b"overlay/l"):
        await listed(await podman.directory(path))
    for layer in await podman.layers():
        await listed(await podman.directory(b"overlay/" + layer.encode()))
    assert podman.browser.cache.published == []
    await podman.directory(b"overlay/%b/diff" % layer.encode())
    assert len(podman.browser.cache.published) >= 3


async def test_layers_of_one_image_are_opened_together(
    podman: Podman, stack: Digest, monkeypatch: pytest.MonkeyPatch
) -> None:
    image_of(bottom(), Layer().file("other", b"1")).put(podman.store)
    tops = {one["layer"] for one in (await podman.images()).values()}
    layers = {one["id"]: one for one in json.loads(await podman.read(LAYERS))}
    (highest,) = [one for one in tops if "parent" in layers[layers[one]["parent"]]]
    opened: list[Digest] = []
    real = Survey.open

    def noted(self: Survey, digest: Digest) -> Image:
        opened.append(digest)
        return real(self, digest)

    monkeypatch.setattr(Survey, "open", noted)
    one = highest
    while one:
        await podman.directory(b"overlay/%b/diff" % one.encode())
        one = layers[one].get("parent", "")
    assert opened == [stack] * 3


async def test_a_layer_that_was_opened_says_its_length(podman: Podman) -> None:
    layered = image_of(Layer().file("a", b"1"), packing="zstd")
    layered.put(podman.store)
    (layer,) = await podman.layers()
    assert "diff-size" not in json.loads(await podman.read(LAYERS))[0]
    await podman.directory(b"overlay/%b/diff" % layer.encode())
    length = len(Layer().file("a", b"1").closed())
    assert json.loads(await podman.read(LAYERS))[0]["diff-size"] == length


async def test_a_layer_has_tar_split_data(podman: Podman, stack: Digest) -> None:
    for layer in await podman.layers():
        name = b"overlay-layers/%b.tar-split.gz" % layer.encode()
        lines = gzip.decompress(await podman.read(name)).splitlines()
        assert [json.loads(line)["position"] for line in lines] == list(range(len(lines)))


# --- changes ---


async def test_tables_follow_the_tags(podman: Podman, stack: Digest) -> None:
    for number in range(20):
        podman.store.set_tag("lab/moving", str(number), stack)
        assert f"localhost/lab/moving:{number}" in await podman.names()
        podman.store.delete_tag("lab/moving", str(number))
        assert f"localhost/lab/moving:{number}" not in await podman.names()


async def test_tables_follow_what_ross_writes(podman: Podman, stack: Digest) -> None:
    await podman.images()
    ross = RossStore(Path(podman.store.paths.root))
    one = image(ross, "one", tag="new/deep/repository:v1")
    assert "localhost/new/deep/repository:v1" in await podman.names()
    other = image(ross, "other").manifest
    before = await podman.images()
    ross.set_tag("new/deep/repository", "v1", other)  # in place: nothing comes or goes
    after = await podman.images()
    assert before.keys() == after.keys()
    assert "names" in before[one.config.hex]
    assert "names" not in after[one.config.hex]


async def test_tables_follow_what_comes_later(podman: Podman, stack: Digest) -> None:
    late = image_of(Layer().file("late", b"1"))
    ross = RossStore(Path(podman.store.paths.root))
    ross.put_blob(OCI_CONFIG, late.config)
    ross.set_tag("lab/late", "v1", ross.put_manifest(late.manifest, OCI_MANIFEST))
    assert "localhost/lab/late:v1" not in await podman.names()
    ross.put_blob(late.types[0], late.blobs[0])
    assert "localhost/lab/late:v1" in await podman.names()


@pytest.mark.parametrize("table", [b"overlay-images/images", b"overlay-layers/layers"])
async def test_a_change_of_content_changes_time_and_lock(
    podman: Podman, stack: Digest, table: bytes
) -> None:
    async def state() -> tuple[int, bytes, bytes]:
        node = await podman.at(table + b".json")
        lock = await podman.at(table + b".lock")
        assert node is not None
        assert lock is not None
        assert node.attr().mtime_ns == lock.attr().mtime_ns
        return (
            node.attr().mtime_ns,
            await podman.read(table + b".lock"),
            await podman.read(table + b".json"),
        )

    before = await state()
    podman.store.tags.make_repository("lab/empty")
    assert await state() == before, "what is shown is the same"
    states = [before]
    for name in ("one", "two"):
        image_of(Layer().file(name, b"x")).put(podman.store)
        states.append(await state())
    for index in range(3):
        assert len({each[index] for each in states}) == 3
    assert states == sorted(states, key=lambda each: each[0])


async def test_who_has_a_table_open_reads_it_to_its_end(podman: Podman, stack: Digest) -> None:
    old = await podman.at(IMAGES)
    assert isinstance(old, File)
    podman.store.set_tag("lab/other", "v1", stack)
    new = await podman.at(IMAGES)
    assert new is not None
    assert new.ino != old.ino
    handle = await old.open(os.O_RDONLY, CALLER)
    data = bytes(await handle.read(0, 1 << 20))
    assert len(data) == old.attr().size
    assert b"lab/other" not in data


async def test_known_layers_need_no_look_at_the_store(podman: Podman, stack: Digest) -> None:
    top = (await podman.layers())[-1]
    overlay = await podman.directory(b"overlay")
    podman.store.set_tag("lab/other", "v1", stack)
    assert overlay.lookup(top.encode()) is not None
    with pytest.raises(Unsettled):
        overlay.lookup(b"0" * 64)


async def test_a_store_that_changes_all_the_time_is_answered(
    podman: Podman, stack: Digest, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = 0

    def changing(self: Survey) -> bool:
        nonlocal number
        number += 1
        podman.store.set_tag("lab/moving", str(number), stack)
        return True

    monkeypatch.setattr(Survey, "arrived", changing)
    for _ in range(5):
        assert await podman.images()
    assert number < 50


async def test_content_without_meta_is_shown(podman: Podman, stack: Digest) -> None:
    ross = RossStore(Path(podman.store.paths.root))
    one = image(ross, "bare")
    for digest, area in ((one.config, "blobs"), (one.manifest, "manifests")):
        ross.meta_path(digest, area).unlink()
    directory = b"overlay-images/" + one.config.hex.encode()
    assert digest_of(await podman.read(directory + b"/manifest")) == one.manifest


def test_its_number_is_fixed(podman: Podman) -> None:
    assert podman.root.ino == Fixed.PODMAN


async def test_numbers_are_those_of_another_mount_with_the_same_key(
    podman: Podman, stack: Digest, store: Store
) -> None:
    assert isinstance(podman.browser.numbers, Numbers)
    first = {entry.name: entry.node for entry in await listed(await podman.directory(b"overlay"))}
    again = {entry.name: entry.node for entry in await listed(await podman.directory(b"overlay"))}
    assert {name: node and node.ino for name, node in first.items()} == {
        name: node and node.ino for name, node in again.items()
    }
    assert await find(podman.root, b"nothing") is None


async def test_a_lock_is_believed_for_a_second_and_a_table_never(
    podman: Podman, stack: Digest
) -> None:
    """Podman opens locks a hundred times for each command, and reads tables when it starts."""
    for name in (b"overlay-images/images", b"overlay-layers/layers"):
        lock, table = await podman.at(name + b".lock"), await podman.at(name + b".json")
        assert isinstance(lock, File)
        assert isinstance(table, File)
        assert (lock.ttl, table.ttl) == (1.0, 0.0)
        handle = await lock.open(os.O_RDONLY, CALLER)
        assert handle.passive
        assert handle.read_ready(0, 100) == await podman.read(name + b".lock")
