"""`rossfs cat`."""

from __future__ import annotations

import os
import subprocess

import pytest

from rossfs.store.store import Store
from tests import builders
from tests.builders import digest_of
from tests.cli.conftest import Rossfs
from tests.mounts import ROOT, ROSSFS

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
