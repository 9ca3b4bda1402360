"""A layer is given out by the digest of a table of contents only if the table describes it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rossfs.errors import InvalidLayer
from rossfs.image.cache import Cache
from rossfs.image.layers import Layers
from rossfs.image.tocproof import prove
from rossfs.oci.digest import Digest
from rossfs.store.store import Store
from tests.builders import digest_of
from tests.image.chunked import Chunked, entries, estargz, put, table_of, zstd_chunked
from tests.image.conftest import Tool
from tests.layers import Layer, image_of

Make = Callable[..., Chunked]
Entries = list[dict[str, Any]]

BOTH = pytest.mark.parametrize("make", [estargz, zstd_chunked])


@pytest.fixture
def layers(store: Store) -> Iterator[Layers]:
    made = Layers(store, Cache(None))
    yield made
    made.close()


def files() -> Layer:
    return (
        Layer()
        .directory("etc", 0o750, uid=3, gid=4)
        .file("etc/motd", b"hello\n", 0o4755)
        .file("etc/empty")
        .symlink("etc/link", "motd")
        .link("etc/hard", "etc/motd")
        .directory("dev")
        .device("dev/null", b"3", 1, 3)
        .file("dev/cap", b"x" * 2_000_000, xattrs={"user.one": b"\0\xff"})
        .whiteout("gone")
        .file("deep/er/file", b"its directories are implied")
    )


def stored(store: Store, chunked: Chunked) -> Digest:
    put(store, chunked)
    return chunked.digest


@BOTH
def test_a_table_that_describes_its_layer_is_proof(
    store: Store, layers: Layers, make: Make
) -> None:
    chunked = make(files())
    prove(layers, stored(store, chunked), chunked.toc)


def test_the_footer_of_older_tools_is_read_too(store: Store, layers: Layers) -> None:
    chunked = zstd_chunked(files(), size=40)
    prove(layers, stored(store, chunked), chunked.toc)


@BOTH
def test_chunks_are_no_entries(store: Store, layers: Layers, make: Make) -> None:
    listed = entries(bytes(files()))
    listed.insert(2, {"name": "etc/motd", "type": "chunk", "offset": 1, "chunkSize": 2})
    chunked = make(files(), listed)
    prove(layers, stored(store, chunked), chunked.toc)


def other(name: str, **fields: object) -> Callable[[Entries], Entries]:
    """The entries, with other fields in the one of that name."""
    return lambda listed: [entry | (fields if entry["name"] == name else {}) for entry in listed]


WRONG: dict[str, Callable[[Entries], Entries]] = {
    "content": other("etc/motd", digest=str(digest_of(b"hallo\n"))),
    "size": other("etc/motd", size=5),
    "mode": other("etc/motd", mode=0o755),
    "owner": other("etc/motd", uid=1),
    "group": other("etc", gid=0),
    "type": other("etc/empty", type="fifo"),
    "kind of directory": other("dev", type="reg"),
    "symlink": other("etc/link", linkName="../bin/sh"),
    "hard link": other("etc/hard", linkName="etc/empty"),
    "file that is a link": other("etc/link", type="reg"),
    "device": other("dev/null", devMinor=5),
    "xattr": other("dev/cap", xattrs={"user.one": "AAE="}),
    "no xattr": other("dev/cap", xattrs=None),
    "one more": lambda listed: [*listed, {"name": "etc/passwd", "type": "reg"}],
    "one less": lambda listed: [entry for entry in listed if entry["name"] != "etc/motd"],
    "no whiteout": lambda listed: [entry for entry in listed if ".wh." not in entry["name"]],
    "nothing": lambda _: [],
    "no name": lambda listed: [*listed, {"type": "reg"}],
    "no type": lambda listed: [*listed, {"name": "etc"}],
    "odd type": other("etc", type="whatever"),
    "odd mode": other("etc", mode="0755"),
    "odd digest": other("etc/motd", digest="sha256:x"),
    "no digest": other("etc/motd", digest=None),
    "odd xattrs": other("dev/cap", xattrs=[1]),
    "odd entry": lambda listed: [*listed, None],  # type: ignore[list-item]
    "way out": lambda listed: [*listed, {"name": "../etc", "type": "dir"}],
}


@BOTH
@pytest.mark.parametrize("how", WRONG)
def test_a_table_that_says_anything_else_is_none(
    store: Store, layers: Layers, make: Make, how: str
) -> None:
    chunked = make(files(), WRONG[how](entries(bytes(files()))))
    with pytest.raises(InvalidLayer, match=chunked.digest.hex):
        prove(layers, stored(store, chunked), chunked.toc)


@BOTH
def test_the_table_must_have_the_digest_that_was_asked_for(
    store: Store, layers: Layers, make: Make
) -> None:
    chunked = make(files())
    with pytest.raises(InvalidLayer, match=str(chunked.toc)):
        prove(layers, stored(store, chunked), digest_of(b"another"))


@BOTH
@pytest.mark.parametrize("text", [b"", b"{", b"[]", b'{"entries":1}', b"[" * 100_000])
def test_a_table_that_is_no_table(
    store: Store,
    layers: Layers,
    make: Make,
    text: bytes,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tests.image.chunked.table_of", lambda _: text)
    chunked = make(files(), [])
    with pytest.raises(InvalidLayer, match="is none"):
        prove(layers, stored(store, chunked), chunked.toc)


@BOTH
def test_a_table_that_is_too_long_is_not_read(
    store: Store, layers: Layers, make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    chunked = make(files())
    digest = stored(store, chunked)
    monkeypatch.setattr("rossfs.image.tocproof.LIMIT", 100)
    with pytest.raises(InvalidLayer, match="up to 100 bytes"):
        prove(layers, digest, chunked.toc)


@pytest.mark.parametrize("cut", [0, 1, 40, 73])
def test_a_layer_without_a_footer_has_no_table(store: Store, layers: Layers, cut: int) -> None:
    whole = zstd_chunked(files())
    blob = whole.blob[:-80] + b"\x50\x2a\x4d\x18" + (76 - cut).to_bytes(4, "little")
    blob += bytes(76 - cut)
    chunked = whole._replace(blob=blob)
    with pytest.raises(InvalidLayer):
        prove(layers, stored(store, chunked), chunked.toc)


def test_what_is_packed_differently_is_refused(store: Store, layers: Layers) -> None:
    text = table_of(entries(bytes(files())))
    whole = zstd_chunked(files())
    longer = whole.blob.replace(len(text).to_bytes(8, "little"), (9).to_bytes(8, "little"))
    chunked = whole._replace(blob=longer)
    with pytest.raises(InvalidLayer, match=r"size|none"):
        prove(layers, stored(store, chunked), chunked.toc)


def test_what_skopeo_writes_is_proved(
    store: Store, layers: Layers, tool: Tool, tmp_path: Path
) -> None:
    # skopeo 1.9 waits for ever for the end of an archive that has none.
    layout = image_of(files()).write_layout(tmp_path / "layout", "v1")
    target = tmp_path / "chunked"
    options = ("--dest-compress", "--dest-compress-format", "zstd:chunked")
    tool("skopeo", "copy", *options, f"oci:{layout}:v1", f"dir:{target}")
    (layer,) = json.loads((target / "manifest.json").read_bytes())["layers"]
    # The annotation had another name then.
    (toc,) = [v for name, v in layer["annotations"].items() if name.endswith("-checksum")]
    digest = Digest.parse(layer["digest"])
    store.put_blob(layer["mediaType"], (target / digest.hex).read_bytes(), digest)
    prove(layers, digest, Digest.parse(toc))
