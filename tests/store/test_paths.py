from pathlib import Path

import pytest

from rossfs.oci.digest import Digest
from rossfs.store.paths import ALGORITHMS, Area, Paths
from tests.builders import OCTET_STREAM, digest_of, ross_store


def test_paths_are_where_ross_has_its_files(tmp_path: Path) -> None:
    ross = ross_store(tmp_path)
    digest = ross.put_blob(OCTET_STREAM, b"bytes")
    ross.set_tag("library/app", "latest", digest)
    paths = Paths(str(tmp_path))
    assert Path(paths.content(Area.BLOBS, digest)).read_bytes() == b"bytes"
    assert Path(paths.meta(Area.BLOBS, digest)) == ross.meta_path(digest)
    assert Path(paths.tag("library/app", "latest")).is_file()
    assert Path(paths.repository("library/app")).is_dir()


def test_what_rossfs_adds_lies_in_directories_that_ross_ignores(tmp_path: Path) -> None:
    paths = Paths(str(tmp_path))
    added = [paths.format, paths.lock, paths.incoming, paths.pins, paths.quarantine, paths.cache]
    first = {Path(path).relative_to(tmp_path).parts[0] for path in added}
    assert first.isdisjoint({"blobs", "manifests", "indexes", "tags"})
    assert Path(paths.scratch).is_relative_to(paths.incoming)


def test_a_relative_root_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert Paths("store").root == str(tmp_path / "store")


def test_each_algorithm_has_its_directory(tmp_path: Path) -> None:
    paths = Paths(str(tmp_path))
    for algorithm in ALGORITHMS:
        digest = digest_of(b"bytes", algorithm)
        assert paths.content(Area.INDEXES, digest) == (
            f"{paths.area(Area.INDEXES, algorithm)}/{digest.hex}"
        )


def test_areas_have_a_noun() -> None:
    assert [area.noun for area in Area] == ["blob", "manifest", "index"]


def test_the_meta_of_a_digest_is_no_digest(tmp_path: Path) -> None:
    digest = Digest.of(b"bytes")
    assert Paths(str(tmp_path)).meta(Area.BLOBS, digest).endswith(f"{digest.hex}.meta")
