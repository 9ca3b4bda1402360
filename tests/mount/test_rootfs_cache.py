"""What is derived from layers may be missing, cut, altered or somebody else's: it is made again."""

from __future__ import annotations

import os
import random
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from tests import builders, mounts
from tests.builders import RossStore
from tests.conftest import Mount
from tests.layers import PACKINGS, Layer, LayeredImage, image_of
from tests.mount.hostilelayers import look
from tests.mount.test_disks import run_alone

pytestmark = pytest.mark.fuse

Content = dict[str, str | bytes]


def content_of(number: int, size: int = 100_000) -> Content:
    """Files of an image that no other has."""
    numbers = random.Random(number)
    return {
        "text": b"line %d\n" % number * (size // 10),
        "noise": numbers.randbytes(size),
        "small": b"%d" % number,
    }


def image_with(content: Content, packing: str) -> LayeredImage:
    layer = Layer()
    for path, data in content.items():
        assert isinstance(data, bytes)
        layer.file(path, data)
    return image_of(layer, packing=packing)


def fill(store: RossStore, count: int, size: int = 100_000) -> dict[str, Content]:
    """Store images of all packings; the content of each tag of lab/app."""
    images = {}
    for number in range(count):
        tag = f"n{number}"
        images[tag] = content_of(number, size)
        packing = list(PACKINGS)[number % len(PACKINGS)]
        image_with(images[tag], packing).put(store, f"lab/app:{tag}")
    return images


def require(mount: Path, images: dict[str, Content]) -> None:
    """All images are shown as they are."""
    for tag, content in images.items():
        assert look(mount / "tags/lab/app" / tag / "rootfs") == content, tag


def cut(path: Path, numbers: random.Random) -> None:
    os.truncate(path, numbers.randrange(path.stat().st_size))


def flip(path: Path, numbers: random.Random) -> None:
    data = bytearray(path.read_bytes())
    data[numbers.randrange(len(data))] ^= numbers.randrange(1, 256)
    path.write_bytes(data)


def lengthen(path: Path, numbers: random.Random) -> None:
    path.write_bytes(path.read_bytes() + numbers.randbytes(numbers.randrange(1, 9000)))


def replace(path: Path, numbers: random.Random) -> None:
    path.write_bytes(numbers.randbytes(numbers.randrange(9000)))


def exchange(path: Path, numbers: random.Random) -> None:
    """Put the file of another layer there."""
    others = [other for other in path.parent.iterdir() if other.suffix == path.suffix]
    regular = sorted(other for other in others if stat.S_ISREG(other.lstat().st_mode))
    shutil.copyfile(numbers.choice(regular), path.with_name("other"))
    os.replace(path.with_name("other"), path)


def link(path: Path, numbers: random.Random) -> None:
    path.unlink()
    path.symlink_to("/etc/passwd")


def fifo(path: Path, numbers: random.Random) -> None:
    path.unlink()
    os.mkfifo(path)


def directory(path: Path, numbers: random.Random) -> None:
    path.unlink()
    (path / "in the way").mkdir(parents=True)


def open_to_all(path: Path, numbers: random.Random) -> None:
    replace(path, numbers)
    path.chmod(0o666)


HARMS: tuple[Callable[[Path, random.Random], None], ...] = (
    cut, flip, lengthen, replace, exchange, link, fifo, directory, open_to_all,
)  # fmt: skip


def test_tables_that_are_harmed_are_made_again(mount: Mount, tmp_path: Path) -> None:
    """Each harm to what there is of a layer of each packing."""
    store = builders.ross_store(tmp_path / "store")
    cache = tmp_path / "cache"
    images: dict[str, Content] = {}
    harmed = {}
    for harm in HARMS:
        for packing in PACKINGS:
            tag = f"{harm.__name__}-{packing.replace(' ', '-')}"
            images[tag] = content_of(len(images), 9000)
            image = image_with(images[tag], packing)
            image.put(store, f"lab/app:{tag}")
            harmed[image.layers[0].hex] = harm
    first = mount(store.root, f"cache={cache}")
    require(first.path, images)
    first.clear()
    numbers = random.Random(11)
    files = sorted(cache.iterdir())
    assert {path.name.partition(".")[0] for path in files} == set(harmed)
    for path in files:
        harmed[path.name.partition(".")[0]](path, numbers)
    second = mount(store.root, f"cache={cache}")
    second.expect_log("WARNING")
    require(second.path, images)
    assert b"Traceback" not in second.log.read_bytes()


@pytest.mark.parametrize("harm", [cut, flip], ids=lambda harm: harm.__name__)
def test_tables_are_harmed_below_a_live_mount(
    mount: Mount, tmp_path: Path, harm: Callable[[Path, random.Random], None]
) -> None:
    """In place, where one that is mapped would take the reader with it when it gets shorter."""
    store = builders.ross_store(tmp_path / "store")
    images = fill(store, len(PACKINGS), 30_000)
    many = Layer()
    for number in range(3000):
        many.file(f"d{number % 7}/f{number}", b"%d" % number)
    image_of(many).put(store, "lab/many:v1")
    mounted = mount(store.root)
    mounted.expect_log("WARNING")
    half = dict(list(images.items())[::2])
    require(mounted.path, half)
    rootfs = mounted.path / "tags/lab/many/v1/rootfs"
    assert len(os.listdir(rootfs)) == 7
    numbers = random.Random(13)
    for path in sorted((tmp_path / "store/cache").iterdir()):
        harm(path, numbers)
    require(mounted.path, images)
    assert len(look(rootfs)) == 3007
    assert (rootfs / "d6/f2792").read_bytes() == b"2792"


def test_the_cache_is_deleted_below_a_live_mount(mount: Mount, tmp_path: Path) -> None:
    store = builders.ross_store(tmp_path / "store")
    images = fill(store, 2 * len(PACKINGS))
    cache = tmp_path / "store/cache"
    path = mount(store.root).path
    half = dict(list(images.items())[: len(PACKINGS)])
    for content_tag, content in half.items():  # opened, and partly read
        rootfs = path / "tags/lab/app" / content_tag / "rootfs"
        assert (rootfs / "small").read_bytes() == content["small"]
    assert os.listdir(cache)
    shutil.rmtree(cache)
    require(path, images)
    for name in os.listdir(cache):
        (cache / name).unlink()
    image_with(content_of(99), "zstd").put(store, "lab/app:late")
    require(path, {**images, "late": content_of(99)})


def test_the_cache_is_deleted_again_and_again(mount: Mount, tmp_path: Path) -> None:
    store = builders.ross_store(tmp_path / "store")
    cache = tmp_path / "store/cache"
    images = fill(store, len(PACKINGS), 20_000)
    mounted = mount(store.root)
    for _ in range(3):
        for tag, content in images.items():
            shutil.rmtree(cache, ignore_errors=True)
            require(mounted.path, {tag: content})


def test_the_size_of_the_cache_is_bounded(mount: Mount, tmp_path: Path) -> None:
    """Copies of zstd, bzip2 and xz are as large as what cannot be compressed in them."""
    store = builders.ross_store(tmp_path / "store")
    limit = 1 << 20
    images = {f"n{number}": content_of(number, 300_000) for number in range(8)}
    for number, (tag, content) in enumerate(images.items()):
        image_with(content, ["zstd", "bzip2", "xz"][number % 3]).put(store, f"lab/app:{tag}")
    path = mount(store.root, "cache_size=1M").path
    cache = tmp_path / "store/cache"
    for _ in range(2):
        for tag, content in images.items():
            require(path, {tag: content})
            used = sum(entry.stat().st_size for entry in os.scandir(cache))
            assert used <= limit
    assert used > limit / 4


def test_several_mounts_share_a_cache(mount: Mount, tmp_path: Path) -> None:
    store = builders.ross_store(tmp_path / "store")
    images = fill(store, len(PACKINGS), 20_000)
    mounted = [mount(store.root) for _ in range(2)]
    for tag, content in images.items():
        for each in mounted:
            require(each.path, {tag: content})
    names = os.listdir(tmp_path / "store/cache")
    assert not [name for name in names if name.startswith(".")]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("size", ["16k", "512k"])
def test_the_disk_of_the_cache_is_full(tmp_path: Path, size: str) -> None:
    run_alone(
        f"""
        from tests.mount.test_rootfs_cache import fill, require
        disk_of("{size}")
        store = builders.ross_store(top / "store")
        images = fill(store, 14)
        with mounts.mounted(store.root, top / "mnt", top / "log", f"cache={{disk}}/c") as server:
            server.expect_log("WARNING")
            for _ in range(2):
                require(server.path, images)
                for tag in list(images)[::2]:
                    require(server.path, {{tag: images[tag]}})
            assert b"Traceback" not in (top / "log").read_bytes()
            remount("size=64m")
            require(server.path, images)
        """,
        tmp_path,
    )


@pytest.mark.parametrize("place", ["store", "cache"])
def test_nothing_can_be_written_where_the_cache_is(tmp_path: Path, place: str) -> None:
    """A store that is not writable has its cache in the user's directory; an option that leads
    nowhere is no reason not to show anything."""
    run_alone(
        f"""
        from tests.mount.test_rootfs_cache import fill, require
        place = {place!r}
        os.environ["XDG_CACHE_HOME"] = str(top / "home")
        disk_of("64m")
        store = builders.ross_store((disk if place == "store" else top) / "store")
        images = fill(store, 7)
        remount("ro")
        options = [f"cache={{disk}}/c"] if place == "cache" else []
        with mounts.mounted(store.root, top / "mnt", top / "log", *options) as server:
            server.expect_log("WARNING")
            require(server.path, images)
            if place == "store":
                found = [path for path in (top / "home").rglob("*") if path.is_file()]
                assert len(found) >= 7, found
                assert not (store.root / "cache").exists()
        if place == "store":
            with mounts.mounted(store.root, top / "mnt", top / "log") as server:
                require(server.path, images)
        """,
        tmp_path,
    )


def test_a_mount_without_a_cache_directory_it_may_use(mount: Mount, tmp_path: Path) -> None:
    """A file is in its place."""
    store = builders.ross_store(tmp_path / "store")
    images = fill(store, len(PACKINGS), 20_000)
    (tmp_path / "store/cache").write_text("in the way")
    mounted = mount(store.root)
    mounted.expect_log("WARNING")
    require(mounted.path, images)


def test_what_an_import_derived_is_used(mount: Mount, tmp_path: Path) -> None:
    """The mount of an image that was imported makes nothing."""
    layout = image_with(content_of(1), "gzip").write_layout(tmp_path / "layout")
    store = tmp_path / "store"
    assert mounts.rossfs("--store", store, "init").returncode == 0
    assert mounts.rossfs("--store", store, "import", layout, "lab/app:n1").returncode == 0
    before = {path.name: path.stat().st_ino for path in (store / "cache").iterdir()}
    assert before
    require(mount(store).path, {"n1": content_of(1)})
    assert {path.name: path.stat().st_ino for path in (store / "cache").iterdir()} == before
