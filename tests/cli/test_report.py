"""`rossfs report`."""

from __future__ import annotations

import gzip
import os
import re
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

from rossfs.oci.mediatype import OCI_CONFIG, OCI_LAYER_GZIP
from rossfs.store.store import Store
from tests import builders, mounts
from tests.builders import OCI_INDEX, digest_of
from tests.cli.conftest import Rossfs
from tests.stacking import layer_of, stack

SVG = "{http://www.w3.org/2000/svg}"
HTML = "{http://www.w3.org/1999/xhtml}"
BASE, ONE, TWO = layer_of(500_000, "base"), layer_of(300_000, "one"), layer_of(200_000, "two")


def drawn(rossfs: Rossfs, out: Path, *options: str) -> ET.Element:
    """The root element of the document that the command writes to *out*."""
    ended = rossfs("report", *options, out)
    assert (ended.out, ended.err) == ("", "")
    return ET.fromstring(out.read_bytes())


def texts(root: ET.Element) -> list[str]:
    """All lines of text of a picture, without what the pointer shows."""
    return ["".join(each.itertext()) for each in root.iter(f"{SVG}text") if not len(each)] + [
        (each[-1].tail or "") for each in root.iter(f"{SVG}text") if len(each)
    ]


def titles(root: ET.Element) -> list[str]:
    """What the pointer shows."""
    return [each.text or "" for each in root.iter(f"{SVG}title")]


def blocks(root: ET.Element) -> list[ET.Element]:
    """The blocks of the layers."""
    kinds = {"alone", "few", "several", "many", "again"}
    below = max(
        float(each.get("y", 0))
        for each in root.iter(f"{SVG}text")
        if each.text == "Images" or each.get("class") == "title"
    )
    return [
        each
        for each in root.iter(f"{SVG}rect")
        if each.get("class") in kinds and len(each) and float(each.get("y", 0)) > below
    ]


def test_a_picture_shows_images_and_what_they_share(
    rossfs: Rossfs, store: Store, tmp_path: Path
) -> None:
    stack(store, [BASE, ONE], "library/one:v1")
    stack(store, [BASE, TWO], "lab/two:v1", "lab/two:latest")
    root = drawn(rossfs, tmp_path / "store.svg")
    assert root.tag == f"{SVG}svg"
    lines = texts(root)
    assert any(re.fullmatch(r"Images in \S+/store", line) for line in lines)
    assert any(line.startswith("2 images · 1.0 MB stored") for line in lines)
    assert {"one:v1", "lab/two:latest  +1", "in 2 images"} <= set(lines)
    base, one, two = blocks(root)
    assert [each.get("class") for each in (base, one, two)] == ["few", "alone", "alone"]
    # The base is one block across both rows; blocks are as wide as their layers are large.
    assert float(base.get("height", 0)) > 2 * float(one.get("height", 0))
    wide = [float(each.get("width", 0)) for each in (base, one, two)]
    assert wide[0] / wide[1] == pytest.approx(len(BASE) / len(ONE), rel=0.02)
    assert wide[0] / wide[2] == pytest.approx(len(BASE) / len(TWO), rel=0.02)
    told = titles(root)
    assert any("in 2 images" in text and digest_of(BASE).short in text for text in told)
    assert any("lab/two:v1" in text and "lab/two:latest" in text for text in told)


def test_a_page_has_a_table_of_all_images_too(rossfs: Rossfs, store: Store, tmp_path: Path) -> None:
    stack(store, [BASE, ONE], "library/one:v1")
    two = stack(store, [BASE, TWO], "lab/two:v1")
    root = drawn(rossfs, tmp_path / "store.html", "--images", "1")
    assert root.tag == f"{HTML}html"
    assert len(list(root.iter(f"{SVG}svg"))) == 1
    cells = ["".join(each.itertext()) for each in root.iter(f"{HTML}td")]
    assert cells[::5] == ["one:v1", "lab/two:v1"]
    assert two.short in cells
    assert (tmp_path / "store.html").read_text().startswith("<!DOCTYPE html>\n")


@pytest.mark.parametrize("name", ["store.svg", "store.html"])
def test_nothing_is_fetched_and_nothing_runs(
    rossfs: Rossfs, store: Store, tmp_path: Path, name: str
) -> None:
    stack(store, [BASE], "library/one:v1")
    root = drawn(rossfs, tmp_path / name)
    for element in root.iter():
        assert element.tag.rpartition("}")[2] not in {"script", "link", "image", "use", "a"}
        for attribute in element.attrib:
            assert not attribute.rpartition("}")[2].startswith(("on", "href", "src"))
    text = (tmp_path / name).read_text()
    assert "url(" not in text
    assert "@import" not in text
    assert "prefers-color-scheme: dark" in text
    names = re.findall(r'"(https?://[^"]*)"', text)
    assert set(names) <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xhtml"}


@pytest.mark.parametrize("name", ["store.svg", "store.html"])
def test_what_strangers_wrote_is_only_text(
    rossfs: Rossfs, store: Store, tmp_path: Path, name: str
) -> None:
    steps = [{"created_by": "RUN <script>alert('x')</script> & \x1b[2J \x00 \u202e ]]>"}]
    stack(store, [BASE], "lab/app:v1", history=steps)
    root = drawn(rossfs, tmp_path / name)
    assert any("<script>" in text and "\\x1b[2J" in text for text in titles(root))
    assert not any(letter in (tmp_path / name).read_text() for letter in "\x00\x1b\u202e")


def test_a_store_in_an_odd_place_is_drawn(rossfs: Rossfs, tmp_path: Path) -> None:
    place = tmp_path / '<&"\x07 store'
    with Store.create(str(place)) as made:
        stack(made, [BASE], "lab/app:v1")
    root = drawn(rossfs, tmp_path / "x.svg")
    assert root is not None
    rossfs("--store", place, "report", tmp_path / "odd.html")
    assert "\\x07 store" in "".join(texts(ET.parse(tmp_path / "odd.html").getroot()))


def test_an_empty_store_is_a_picture_too(rossfs: Rossfs, store: Store, tmp_path: Path) -> None:
    lines = texts(drawn(rossfs, tmp_path / "empty.svg"))
    assert "No tag names an image." in lines
    store.put_blob(None, b"x" * 5000)
    lines = texts(drawn(rossfs, tmp_path / "empty.svg"))
    assert "5.0 kB · 100 %" in lines


def test_a_layer_in_several_stacks_is_marked(rossfs: Rossfs, store: Store, tmp_path: Path) -> None:
    stack(store, [ONE, BASE], "lab/one:v1")
    stack(store, [TWO, BASE], "lab/two:v1")
    root = drawn(rossfs, tmp_path / "store.svg")
    kinds = sorted(each.get("class", "") for each in blocks(root))
    assert kinds == ["again", "alone", "alone", "few"]
    assert "drawn further up too" in texts(root)


def test_an_index_has_a_row_for_each_platform(rossfs: Rossfs, store: Store, tmp_path: Path) -> None:
    amd = builders.image(store, "a")
    arm = builders.image(store, "b", architecture="arm64")
    absent = builders.image_parts("absent").manifest
    data = builders.index(
        [
            (amd.parts.manifest, "linux/amd64"),
            (arm.parts.manifest, "linux/arm64"),
            (absent, "linux/s390x"),
        ]
    )
    store.set_tag("lab/multi", "v1", store.put_index(data, OCI_INDEX)[0])
    lines = texts(drawn(rossfs, tmp_path / "store.svg"))
    assert {"lab/multi:v1 linux/amd64", "lab/multi:v1 linux/arm64"} <= set(lines)
    assert "lab/multi:v1 linux/s390x" not in lines


def test_of_many_images_the_smaller_are_one_line(rossfs: Rossfs, tmp_path: Path) -> None:
    # Written as Ross writes: 500 images with all their syncs would take a while.
    ross = builders.ross_store(tmp_path / "ross")
    ross.put_blob(OCI_LAYER_GZIP, BASE)
    for number in range(500):
        own = gzip.compress(os.urandom(10 + 4 * number), mtime=0)
        config = builders.config([str(digest_of(BASE)), str(digest_of(own))])
        manifest = builders.manifest(config, [BASE, own])
        ross.put_blob(OCI_LAYER_GZIP, own)
        ross.put_blob(OCI_CONFIG, config)
        ross.set_tag(f"lab/app{number:03d}", "v1", ross.put_manifest(manifest))
    out = tmp_path / "many.svg"
    rossfs("--store", ross.root, "report", out)
    root = ET.parse(out).getroot()
    lines = texts(root)
    assert "460 more" in lines
    labels = {line for line in lines if line.startswith("lab/app")}
    assert labels == {f"lab/app{number:03d}:v1" for number in range(460, 500)}
    assert "in 500 images" in lines
    assert float(root.get("height", 0)) < 1400
    assert out.stat().st_size < 100_000


def test_many_small_layers_are_drawn_together(rossfs: Rossfs, store: Store, tmp_path: Path) -> None:
    small = [layer_of(100, f"small{number}") for number in range(60)]
    large = gzip.compress(os.urandom(30_000_000), 0, mtime=0)
    ids = [str(digest_of(data)) for data in (large, *small)]
    stack(store, [large, *small], "lab/app:v1", diff_ids=ids)
    root = drawn(rossfs, tmp_path / "store.svg")
    assert len(blocks(root)) == 2
    assert any("60 small layers" in text for text in titles(root))


def test_what_is_written_follows_from_the_name_or_the_option(
    rossfs: Rossfs, store: Store, tmp_path: Path
) -> None:
    assert "--format" in rossfs("report", tmp_path / "store", status=2).err
    assert "standard output" in rossfs("report", "-", status=2).err
    rossfs("report", "--format", "html", tmp_path / "page")
    assert ET.parse(tmp_path / "page").getroot().tag == f"{HTML}html"
    assert "directory" in rossfs("report", "--format", "svg", tmp_path, status=5).err


def test_standard_output_will_do(store: Store) -> None:
    stack(store, [BASE], "lab/app:v1")
    ended = mounts.rossfs("--store", store.paths.root, "report", "--format", "svg", "-")
    assert ended.returncode == 0
    assert ET.fromstring(ended.stdout).tag == f"{SVG}svg"


def test_a_file_is_replaced_whole_or_not_at_all(
    rossfs: Rossfs, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from rossfs.store import durable

    place = tmp_path / "place"
    place.mkdir()
    out = place / "store.svg"
    out.write_text("before")
    rossfs("report", out)
    assert out.read_text().startswith("<?xml")
    out.write_text("before")

    def full(fd: int, what: str, path: str) -> None:
        raise OSError(28, "No space left on device", path)

    monkeypatch.setattr(durable, "sync", full)
    rossfs("report", out, status=7)
    assert out.read_text() == "before"
    assert os.listdir(place) == ["store.svg"]


def test_what_cannot_be_read_is_told_and_the_rest_drawn(
    rossfs: Rossfs, store: Store, tmp_path: Path
) -> None:
    stack(store, [BASE], "lab/app:v1")
    gone = builders.image(store, tag="lab/gone:v1")
    store.delete_manifest(gone.manifest)
    tag = f"{store.paths.root}/tags/lab/torn/v1"
    os.makedirs(os.path.dirname(tag))
    with open(tag, "w") as file:
        file.write("{")
    ended = rossfs("report", tmp_path / "store.html")
    assert "lab/torn:v1" in ended.err
    root = ET.parse(tmp_path / "store.html").getroot()
    assert "lab/app:v1" in texts(root)
    cells = ["".join(each.itertext()) for each in root.iter(f"{HTML}td")]
    assert "lab/gone:v1, not complete" in cells
    os.unlink(tag)
    store.delete_tag("lab/gone", "v1")
