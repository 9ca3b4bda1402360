"""What holds of every mount of rossfs, whatever its store has in it: functions of its mount point.

    @pytest.mark.parametrize("check", CHECKS, ids=name_of)
    def test_mount(check: Check, mounted: Mounted) -> None:
        check(mounted.path)

They need the standard library only, so they serve for a mount of any process of any user.  Those in
`CHECKS` change nothing; those in `REFUSALS` try to, and expect the mount to refuse.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import stat
from collections.abc import Callable, Iterator
from pathlib import Path

Check = Callable[[Path], None]

PLACES = {
    *("README", "tags", "images", "blobs", "manifests", "indexes", "incoming", ".ross"),
    *("oci", "podman", "als"),
}

STATE = {"version", "stats", "log", "damaged", "progress"}

UNKNOWN_INO = 0xFFFFFFFF
"""What readdir(3) says of a name whose inode number is not known."""

BY_DIGEST = ("blobs", "manifests", "indexes")

CONSTANT = ("images", "blobs", "manifests", "indexes", ".ross")
"""Places where nothing can be made, whoever asks."""


def name_of(check: Check) -> str:
    """The check as the name of a test."""
    return check.__name__


def refused(change: Callable[..., object], *arguments: object) -> str:
    """The name of the errno with which `change(*arguments)` is refused; "" if it is not."""
    try:
        change(*arguments)
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error.errno))
    return ""


def digests(mount: Path, place: str) -> Iterator[tuple[str, Path]]:
    """(algorithm, path) of everything in a place of digests."""
    for algorithm in os.listdir(mount / place):
        for name in os.listdir(mount / place / algorithm):
            yield algorithm, mount / place / algorithm / name


def walk(top: Path) -> Iterator[tuple[os.DirEntry[str], os.stat_result]]:
    """All that lies below *top*, links not followed, with its status."""
    with os.scandir(top) as entries:
        for entry in entries:
            yield entry, entry.stat(follow_symlinks=False)
            if entry.is_dir(follow_symlinks=False):
                yield from walk(Path(entry.path))


def is_in_an_image(mount: Path, path: str) -> bool:
    """Whether *path* is below the root filesystem or a layer of an image."""
    place, *parts = os.path.relpath(path, mount).split("/")
    if place != "images" or len(parts) < 4:
        return False
    return parts[2] == "rootfs" or (parts[2] == "layers" and len(parts) > 4)


# --- what is there ---


def the_top_has_its_places(mount: Path) -> None:
    assert set(os.listdir(mount)) == PLACES
    assert b"rossfs" in (mount / "README").read_bytes()


def everything_hashes_to_its_name(mount: Path) -> None:
    for place in BY_DIGEST:
        for algorithm, path in digests(mount, place):
            with open(path, "rb") as file:
                assert hashlib.file_digest(file, algorithm).hexdigest() == path.name, path


def manifests_and_indexes_are_blobs_and_images_too(mount: Path) -> None:
    names = {place: {path.name for _, path in digests(mount, place)} for place in BY_DIGEST}
    images = {path.name for _, path in digests(mount, "images")}
    assert not names["manifests"] & names["indexes"]
    assert images == names["manifests"] | names["indexes"]
    assert images <= names["blobs"]


def content_is_one_inode_wherever_it_is_shown(mount: Path) -> None:
    for place in ("manifests", "indexes"):
        for algorithm, path in digests(mount, place):
            other = mount / "blobs" / algorithm / path.name
            assert os.path.samefile(path, other)
            assert os.lstat(path) == os.lstat(other)


def listings_and_attributes_agree(mount: Path) -> None:
    for entry, status in walk(mount):
        # Of what is opened when somebody looks for it, nobody knows the number before.
        opened = entry.name == "rootfs" or entry.path.split("/")[-2] in ("layers", "archive")
        numbers = {status.st_ino, UNKNOWN_INO} if opened else {status.st_ino}
        assert entry.inode() in numbers, entry.path
        assert entry.is_dir(follow_symlinks=False) == stat.S_ISDIR(status.st_mode), entry.path
        assert entry.is_symlink() == stat.S_ISLNK(status.st_mode), entry.path
        assert entry.is_file(follow_symlinks=False) == stat.S_ISREG(status.st_mode), entry.path


def a_listing_has_each_name_once_and_finds_it(mount: Path) -> None:
    for top, directories, files in os.walk(mount):
        names = directories + files
        assert len(names) == len(set(names)), top
        assert sorted(os.listdir(top)) == sorted(names), top
        for path in (Path(top, name) for name in names):
            assert refused(os.lstat, path) == "", path


def one_inode_number_is_one_thing(mount: Path) -> None:
    known: dict[int, tuple[int, int]] = {}
    for entry, status in walk(mount):
        if entry.path.startswith(f"{mount}/.ross/"):
            continue  # their sizes change
        what = (status.st_mode, status.st_size)
        assert known.setdefault(status.st_ino, what) == what, entry.path


def links_lead_somewhere_within_the_mount(mount: Path) -> None:
    """Or to content that is not stored, which the name tells all the same."""
    top = os.path.realpath(mount)
    for entry, status in walk(mount):
        if not stat.S_ISLNK(status.st_mode) or is_in_an_image(mount, entry.path):
            continue
        text = os.readlink(entry.path)
        assert len(text) == status.st_size, entry.path
        target = os.path.realpath(entry.path)
        assert target.startswith(f"{top}/"), entry.path
        place, above, name, *more = os.path.relpath(target, top).split("/")
        if place == "podman":  # overlay/l/<short> of containers/storage
            assert (above, len(name), more) == ("overlay", 64, ["diff"]), entry.path
            continue
        assert not more, entry.path
        assert (place, len(name)) in {("images", 64), ("images", 128), ("blobs", 64)}, entry.path


def tags_lead_to_images(mount: Path) -> None:
    for entry, status in walk(mount / "tags"):
        if stat.S_ISLNK(status.st_mode):
            image = Path(entry.path)
            assert image.is_dir(), entry.path
            assert os.readlink(image).split("/")[-3:-1] == ["images", "sha256"]
            assert image.resolve().name == os.readlink(image).rsplit("/", 1)[-1]


def images_are_what_their_manifests_say(mount: Path) -> None:
    for algorithm, image in digests(mount, "images"):
        names = set(os.listdir(image))
        is_index = "index.json" in names
        if is_index:
            data = (image / "index.json").read_bytes()
            assert hashlib.new(algorithm, data).hexdigest() == image.name
            offered = {item["digest"] for item in json.loads(data).get("manifests") or []}
            links = {os.readlink(link) for link in (image / "platforms").iterdir()}
            assert {f"{algorithm}:{link.rsplit('/', 1)[-1]}" for link in links} == offered
        if "manifest.json" not in names:
            continue
        data = (image / "manifest.json").read_bytes()
        if not is_index:
            assert hashlib.new(algorithm, data).hexdigest() == image.name
        if "layers" in names:
            _is_taken_apart(image, json.loads(data), names)


def _is_taken_apart(image: Path, manifest: dict[str, object], names: set[str]) -> None:
    config, layers = manifest["config"], manifest["layers"]
    assert isinstance(config, dict)
    assert isinstance(layers, list)
    for name in names & {"config", "config.json"}:
        data = (image / name).read_bytes()
        assert config["digest"] == f"sha256:{hashlib.sha256(data).hexdigest()}"
        assert config["size"] == len(data)
    links = sorted(link.name for link in image.joinpath("layers").iterdir() if link.is_symlink())
    opened = set(os.listdir(image / "layers")) - set(links)
    assert {name.removesuffix(".tar") for name in opened} <= {
        link.partition(".")[0] for link in links
    }
    found = [os.readlink(image / "layers" / link).rsplit("/", 1)[-1] for link in links]
    assert [f"sha256:{name}" for name in found] == [layer["digest"] for layer in layers]
    for link, layer in zip(links, layers, strict=True):
        with contextlib.suppress(FileNotFoundError):  # foreign layers may be missing
            assert os.stat(image / "layers" / link).st_size == layer["size"]


# --- what can be asked ---


def extended_attributes_say_what_it_is(mount: Path) -> None:
    for place in (*BY_DIGEST, "images"):
        for algorithm, path in digests(mount, place):
            names = set(os.listxattr(path))
            assert names == {
                f"user.ross.{name}" for name in ("digest", "media_type", "size", "created_at")
            }, path
            values = {name: os.getxattr(path, name).decode() for name in names}
            assert values["user.ross.digest"] == f"{algorithm}:{path.name}"
            if place != "images":
                assert int(values["user.ross.size"]) == os.stat(path).st_size
            assert "/" in values["user.ross.media_type"]
            assert int(values["user.ross.created_at"]) > 0


def unknown_extended_attributes_are_absent(mount: Path) -> None:
    for path in (mount, mount / "README", mount / "blobs/sha256", mount / "tags"):
        assert refused(os.getxattr, path, "user.ross.nothing") == "ENODATA"
        assert refused(os.getxattr, path, "security.capability") == "ENODATA"


def names_that_are_not_there_are_absent(mount: Path) -> None:
    for place in ("", "tags", "blobs", "blobs/sha256", "images/sha256", "indexes/sha256", ".ross"):
        for name in ("no such name", "\n", "%s%n", "0" * 64, "F" * 64, "é" * 100, "..."):
            assert refused(os.lstat, mount / place / name) == "ENOENT", (place, name)
        assert refused(os.lstat, mount / place / ("n" * 256)) == "ENAMETOOLONG", place
    assert refused(os.lstat, f"{mount}/{'blobs/../' * 600}README") == "ENAMETOOLONG"
    assert refused(os.lstat, mount / "README" / "x") == "ENOTDIR"


def the_filesystem_has_figures(mount: Path) -> None:
    figures = os.statvfs(mount)
    assert figures.f_blocks * figures.f_frsize > 0
    assert 0 <= figures.f_bavail <= figures.f_bfree <= figures.f_blocks
    assert figures.f_namemax == 255


def the_state_can_be_read(mount: Path) -> None:
    assert set(os.listdir(mount / ".ross")) == STATE
    assert (mount / ".ross/version").read_text().startswith("rossfs ")
    stats = json.loads((mount / ".ross/stats").read_bytes())
    assert stats["version"]
    for line in (mount / ".ross/damaged").read_bytes().splitlines():
        assert set(json.loads(line)) == {"digest", "reason"}
    (mount / ".ross/log").read_bytes()


# --- reading ---


def reading_ends_where_the_file_ends(mount: Path) -> None:
    for place in BY_DIGEST:
        for _, path in digests(mount, place):
            with open(path, "rb", buffering=0) as file:
                size = file.seek(0, os.SEEK_END)
                assert size == os.stat(path).st_size
                for offset in (size, size + 1, size + (1 << 20), (1 << 62)):
                    assert os.pread(file.fileno(), 10, offset) == b""
                assert len(os.pread(file.fileno(), 10, max(0, size - 1))) == min(1, size)
                assert os.lseek(file.fileno(), 0, os.SEEK_HOLE) == size if size else True


def directories_and_links_are_not_read_as_files(mount: Path) -> None:
    descriptor = os.open(mount / "blobs", os.O_RDONLY)
    try:
        assert refused(os.read, descriptor, 1) == "EISDIR"
    finally:
        os.close(descriptor)
    assert refused(os.readlink, mount / "README") == "EINVAL"
    assert refused(os.listdir, mount / "README") == "ENOTDIR"


CHECKS: tuple[Check, ...] = (
    the_top_has_its_places,
    everything_hashes_to_its_name,
    manifests_and_indexes_are_blobs_and_images_too,
    content_is_one_inode_wherever_it_is_shown,
    listings_and_attributes_agree,
    a_listing_has_each_name_once_and_finds_it,
    one_inode_number_is_one_thing,
    links_lead_somewhere_within_the_mount,
    tags_lead_to_images,
    images_are_what_their_manifests_say,
    extended_attributes_say_what_it_is,
    unknown_extended_attributes_are_absent,
    names_that_are_not_there_are_absent,
    the_filesystem_has_figures,
    the_state_can_be_read,
    reading_ends_where_the_file_ends,
    directories_and_links_are_not_read_as_files,
)


# --- what is refused ---

# The kernel looks at modes first, for everybody but root.
UNCHANGEABLE = {"EROFS"} if os.geteuid() == 0 else {"EROFS", "EACCES", "EPERM"}


def nothing_is_made_where_nothing_changes(mount: Path) -> None:
    for directory in _constant_directories(mount):
        new = directory / "new"
        assert refused(os.open, new, os.O_WRONLY | os.O_CREAT) in UNCHANGEABLE, new
        assert refused(os.open, new, os.O_RDWR | os.O_CREAT | os.O_EXCL) in UNCHANGEABLE, new
        assert refused(os.mkdir, new) in UNCHANGEABLE, new
        assert refused(os.mkfifo, new) in UNCHANGEABLE, new
        assert refused(os.mknod, new) in UNCHANGEABLE, new
        assert refused(os.symlink, "target", new) in UNCHANGEABLE, new
        assert not os.path.lexists(new)


def nothing_is_hard_linked(mount: Path) -> None:
    for _, path in digests(mount, "blobs"):
        for place in ("blobs/sha256", "tags", "incoming"):
            assert refused(os.link, path, mount / place / "new") in {"EPERM", *UNCHANGEABLE}, path


def nothing_is_renamed_where_nothing_changes(mount: Path) -> None:
    for directory in _constant_directories(mount):
        for name in os.listdir(directory)[:3]:
            for new in (directory / "new", mount / "new", mount / "tags/new"):
                if directory == mount and name == "tags" and new == mount / "tags/new":
                    continue  # a directory into itself: EINVAL, from the kernel
                answer = refused(os.rename, directory / name, new)
                assert answer in UNCHANGEABLE, (directory / name, new)


def directories_are_not_removed(mount: Path) -> None:
    for top in (mount, *(mount / place for place in CONSTANT), mount / "images/sha256"):
        with os.scandir(top) as entries:
            for entry in entries:
                if entry.is_dir(follow_symlinks=False):
                    assert refused(os.rmdir, entry.path) in UNCHANGEABLE, entry.path


def what_has_no_digest_is_not_removed(mount: Path) -> None:
    for path in (mount / "README", mount / ".ross/log", *_inside_images(mount)):
        if path.is_symlink() or not path.is_dir():
            assert refused(os.unlink, path) in UNCHANGEABLE, path


def content_is_not_written(mount: Path) -> None:
    for path in (mount / "README", *(path for _, path in digests(mount, "blobs"))):
        before = path.read_bytes()
        for more in (0, os.O_TRUNC, os.O_APPEND, os.O_CREAT):
            for mode in (os.O_WRONLY, os.O_RDWR):
                assert refused(os.open, path, mode | more) in UNCHANGEABLE, path
        for size in (0, len(before), len(before) + 1):
            assert refused(os.truncate, path, size) in UNCHANGEABLE, path
        assert path.read_bytes() == before


def extended_attributes_are_not_set(mount: Path) -> None:
    answers = {"EPERM", "EOPNOTSUPP", *UNCHANGEABLE}
    for path in (mount, mount / "README", *(path for _, path in digests(mount, "blobs"))):
        for name in ("user.test", "user.ross.digest"):
            assert refused(os.setxattr, path, name, b"x") in answers, path
            assert refused(os.removexattr, path, name) in {"ENODATA", *answers}, path


def _constant_directories(mount: Path) -> Iterator[Path]:
    yield mount
    for place in CONSTANT:
        yield mount / place
        if (mount / place / "sha256").is_dir():
            yield mount / place / "sha256"
    for path in _inside_images(mount):
        if path.is_dir() and not path.is_symlink():
            yield path


def _inside_images(mount: Path) -> Iterator[Path]:
    for _, image in digests(mount, "images"):
        yield image
        yield from image.iterdir()


REFUSALS: tuple[Check, ...] = (
    nothing_is_made_where_nothing_changes,
    nothing_is_hard_linked,
    nothing_is_renamed_where_nothing_changes,
    directories_are_not_removed,
    what_has_no_digest_is_not_removed,
    content_is_not_written,
    extended_attributes_are_not_set,
)
