"""`rossfs cat`."""

from __future__ import annotations

import os
import subprocess
import tarfile

import pytest

from rossfs.oci.digest import Digest
from rossfs.oci.manifest import Manifest
from rossfs.store.store import Store
from tests import builders
from tests.builders import digest_of
from tests.cli.conftest import Rossfs
from tests.mounts import ROOT, ROSSFS
from tests.stacking import layer, member, stack

DATA = bytes(range(256)) * 10


@pytest.fixture
def blob(store: Store) -> str:
    """The digest of DATA, which is stored."""
    return str(store.put_blob(None, DATA)[0])


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], DATA),
        (["--offset", "2000"], DATA[2000:]),
        (["--offset", "100", "--length", "7"], DATA[100:107]),
        (["--length", "3"], DATA[:3]),
        (["--length", "0", "--offset", "2550"], DATA[2550:]),
        (["--offset", str(len(DATA))], b""),
    ],
)
def test_bytes_come_as_they_are(
    rossfs: Rossfs, blob: str, options: list[str], expected: bytes
) -> None:
    assert rossfs("cat", blob, *options).out.encode("utf-8", "surrogateescape") == expected


@pytest.mark.parametrize("options", [["--offset", "2561"], ["--offset", "2559", "--length", "2"]])
def test_a_range_past_the_end_is_an_error(rossfs: Rossfs, blob: str, options: list[str]) -> None:
    ended = rossfs("cat", blob, *options, status=2)
    assert ended.out == ""
    assert "2560 bytes" in ended.err


def test_a_tag_gives_the_manifest(rossfs: Rossfs, store: Store) -> None:
    image = builders.image(store, tag="library/app:latest")
    for name in ("app", "docker.io/app:latest", str(image.manifest), image.manifest.hex):
        assert rossfs("cat", name).out.encode() == image.parts.manifest


def test_damaged_content_is_not_printed(rossfs: Rossfs, store: Store, blob: str) -> None:
    found = store.contents.find(digest_of(DATA))
    assert found is not None
    with open(found.path, "r+b") as file:
        file.write(b"x")
    ended = rossfs("cat", blob, status=4)
    assert (ended.out, "damaged" in ended.err) == ("", True)
    store.delete_blob(digest_of(DATA))


def test_what_is_absent_is_named(rossfs: Rossfs) -> None:
    digest = str(digest_of(b"absent"))
    assert digest in rossfs("cat", digest, status=3).err
    assert "library/absent:latest" in rossfs("cat", "absent", status=3).err
    assert "UPPER" in rossfs("cat", "UPPER", status=2).err


def test_a_path_of_its_own_is_told_where_it_belongs(rossfs: Rossfs) -> None:
    hint = "one name at a time; a file of an image is NAME:/PATH"
    for name, path, meant in (
        ("app", "/etc/passwd", ", as in app:/etc/passwd"),
        ("app:v1", "etc/passwd", ", as in app:v1:/etc/passwd"),
        ("app:/etc/passwd", "app:/etc/group", ""),
    ):
        ended = rossfs("cat", name, path, status=2)
        assert ended.err == f"rossfs: {hint}{meant}\n"


def test_a_reader_that_goes_away_ends_it_quietly(store: Store) -> None:
    digest, _ = store.put_blob(None, os.urandom(2_000_000))
    process = subprocess.Popen(
        [*ROSSFS, "--store", store.paths.root, "cat", str(digest)],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.read(1)
    process.stdout.close()
    assert process.wait(60) == 141
    assert process.stderr.read() == b""
    process.stderr.close()


HELLO = b"hello\n" * 500_000


@pytest.fixture
def app(store: Store) -> Digest:
    """An image app:latest with some files."""
    below = layer(
        member("usr", type=tarfile.DIRTYPE, mode=0o755),
        member("usr/hello", HELLO),
        member("usr/old", b"below"),
        member("abs", type=tarfile.SYMTYPE, linkname="/usr/hello"),
        member("up", type=tarfile.SYMTYPE, linkname="../../../usr/old"),
        member("loop", type=tarfile.SYMTYPE, linkname="loop"),
        member("pipe", type=tarfile.FIFOTYPE),
        member("empty"),
        member("odd:/name", b"odd"),
    )
    return stack(store, [below, layer(member("usr/old", b"above"))], "library/app:latest")


def raw(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


@pytest.mark.parametrize("name", ["app", "app:latest", "library/app", "docker.io/app:latest"])
def test_a_file_of_an_image_is_printed(rossfs: Rossfs, app: Digest, name: str) -> None:
    assert raw(rossfs("cat", f"{name}:/usr/hello").out) == HELLO


def test_a_digest_may_stand_before_the_path(rossfs: Rossfs, app: Digest) -> None:
    for name in (str(app), app.hex, app.short, f"app@{app}"):
        assert rossfs("cat", f"{name}:/usr/old").out == "above"


def test_the_registry_may_have_a_port(rossfs: Rossfs, store: Store, app: Digest) -> None:
    store.set_tag("localhost:5000/lab/app", "v1", app)
    assert rossfs("cat", "localhost:5000/lab/app:v1:/usr/old").out == "above"


def test_links_are_followed_inside_the_image(rossfs: Rossfs, app: Digest) -> None:
    assert raw(rossfs("cat", "app:/abs").out) == HELLO
    assert rossfs("cat", "app:/up").out == "above"
    assert rossfs("cat", "app:/../../usr/./old").out == "above"
    assert "symbolic links" in rossfs("cat", "app:/loop", status=3).err


def test_colons_in_the_path_belong_to_it(rossfs: Rossfs, app: Digest) -> None:
    assert rossfs("cat", "app:/odd:/name").out == "odd"


def test_a_range_of_a_file_is_printed(rossfs: Rossfs, app: Digest) -> None:
    ended = rossfs("cat", "app:/usr/hello", "--offset", "1200000", "--length", "1500007")
    assert raw(ended.out) == HELLO[1200000:2700007]
    assert rossfs("cat", "app:/usr/hello", "--offset", "2999998").out == "o\n"
    assert rossfs("cat", "app:/usr/old", "--offset", "6", status=2).out == ""
    assert rossfs("cat", "app:/empty").out == ""


def test_what_has_no_bytes_is_told(rossfs: Rossfs, app: Digest) -> None:
    assert '"/usr" is a directory' in rossfs("cat", "app:/usr", status=2).err
    assert "no regular file" in rossfs("cat", "app:/pipe", status=2).err
    assert '"/none"' in rossfs("cat", "app:/none", status=3).err
    assert rossfs("cat", ":/usr/old", status=2).out == ""


@pytest.mark.damages_store
def test_a_file_of_a_damaged_layer_is_not_printed(
    rossfs: Rossfs, store: Store, app: Digest
) -> None:
    rossfs("cat", "app:/usr/old")
    document = Manifest.parse(store.get_manifest(app)[0])
    found = store.contents.find(document.layers[0].digest)
    assert found is not None
    with open(found.path, "r+b") as file:
        file.seek(found.size // 2)
        file.write(b"\0\0\0\0")
    ended = rossfs("cat", "app:/usr/hello", status=4)
    assert (ended.out, "damaged" in ended.err) == ("", True)


def test_the_manifest_of_a_platform_can_be_chosen(rossfs: Rossfs, store: Store) -> None:
    amd, arm = builders.image(store, "amd"), builders.image(store, "arm", architecture="arm64")
    data = builders.index(
        [(amd.parts.manifest, "linux/amd64"), (arm.parts.manifest, "linux/arm64")]
    )
    store.set_tag("lab/multi", "v1", store.put_index(data, builders.OCI_INDEX)[0])
    assert raw(rossfs("cat", "lab/multi:v1").out) == data
    chosen = rossfs("cat", "--platform", "linux/arm64", "lab/multi:v1")
    assert raw(chosen.out) == arm.parts.manifest
    text = rossfs("cat", "--platform", "linux/arm64", "lab/multi:v1:/etc/os-release").out
    assert text == "NAME=arm\nLAYER=1\n"
