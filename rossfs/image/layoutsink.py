"""An OCI image layout being made, or one that gets more images.

A new layout is made beside its place and renamed at the end.  In one that is there, blobs are added
each by a rename, and index.json is replaced last, so that whoever reads it meanwhile sees the old
images or all of the new one.  Interrupted, it leaves at most blobs that nothing names, which a
layout may hold (image-layout.md).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from typing import Any

from rossfs.errors import Conflict, InvalidSource
from rossfs.image.directory import DirectoryFiles
from rossfs.image.files import read
from rossfs.image.layoutsource import CONTAINERD_NAME, LayoutSource
from rossfs.oci.document import compact, parse_document
from rossfs.oci.layout import INDEX_FILE, LAYOUT_DOCUMENT, LAYOUT_FILE, REF_NAME
from rossfs.store import durable

_WHAT = "export"


class LayoutSink:
    """A layout that files are written into.  `add` is thread safe."""

    def __init__(self, root: str, scratch: str, name: str) -> None:
        """Write below *root*, by way of *scratch*; messages say *name* instead of *root*."""
        self._root = root
        self._scratch = scratch
        self._name = name

    def has(self, path: str, size: int) -> bool:
        """See Sink.has."""
        try:
            return os.stat(f"{self._root}/{path}").st_size == size
        except FileNotFoundError:
            return False

    def add(self, path: str, size: int, chunks: Iterable[bytes]) -> None:
        """See Sink.add."""
        name = f"{self._name}/{path}"
        with durable.replacing(f"{self._root}/{path}", self._scratch, _WHAT, name=name) as fd:
            for chunk in chunks:
                durable.write_all(fd, chunk, name)

    def enter(self, entry: dict[str, Any]) -> None:
        """Add the descriptor *entry* to index.json, as skopeo does.

        Another image of the same name keeps its place without the name; the same content without a
        name gets it (containers/image, oci/layout/oci_dest.go, addManifest).
        """
        directory = os.open(self._root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            # Two exports at once, each of which would write what it read plus its own.
            fcntl.flock(directory, fcntl.LOCK_EX)
            data = read(DirectoryFiles(self._root), INDEX_FILE)
            index: dict[str, Any] = (
                {"schemaVersion": 2, "manifests": []}
                if data is None
                else parse_document(data, f"{INDEX_FILE} of {self._root}")
            )
            index["manifests"] = _merged(index.get("manifests") or [], entry, self._root)
            text = compact(index)
            self.add(INDEX_FILE, len(text), [text])
        finally:
            os.close(directory)


@contextlib.contextmanager
def open_layout(path: str) -> Iterator[LayoutSink]:
    """Write into the layout at *path*, which is made if it is not there.

    Conflict if something else is there, InvalidSource or InvalidDocument for a broken layout.
    """
    path = os.path.abspath(path)
    if os.path.lexists(path):
        with _adding(path, path) as sink:
            yield sink
        return
    beside = f"{os.path.dirname(path)}/.{os.path.basename(path)[:100]}.{uuid.uuid4().hex}"
    os.mkdir(beside)
    try:
        with _adding(beside, path) as sink:
            yield sink
        durable.rename(beside, path, _WHAT)
    except BaseException:
        shutil.rmtree(beside, ignore_errors=True)
        raise


@contextlib.contextmanager
def _adding(root: str, name: str) -> Iterator[LayoutSink]:
    """Write into the empty directory or layout *root*, which is called *name*."""
    names = os.listdir(root)
    if LAYOUT_FILE in names:
        LayoutSource(DirectoryFiles(root))
    elif names:
        raise Conflict(f"{root} is not empty and is no OCI image layout")
    scratch = f"{root}/.rossfs-{uuid.uuid4().hex}"
    os.mkdir(scratch)
    try:
        sink = LayoutSink(root, scratch, name)
        os.makedirs(f"{root}/blobs/sha256", exist_ok=True)
        yield sink
        if LAYOUT_FILE not in names:
            sink.add(LAYOUT_FILE, len(LAYOUT_DOCUMENT), [LAYOUT_DOCUMENT])
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _merged(manifests: Any, entry: dict[str, Any], root: str) -> list[dict[str, Any]]:
    if not isinstance(manifests, list) or not all(isinstance(item, dict) for item in manifests):
        raise InvalidSource(f"{INDEX_FILE} of {root} is no index")
    name = _annotations(entry).get(REF_NAME)
    merged = []
    for item in manifests:
        annotations = _annotations(item)
        if item.get("digest") == entry["digest"] and annotations.get(REF_NAME) in (None, name):
            entry = {**item, **entry, "annotations": {**annotations, **_annotations(entry)}}
        elif name is not None and annotations.get(REF_NAME) == name:
            kept = {
                key: value
                for key, value in annotations.items()
                if key not in (REF_NAME, CONTAINERD_NAME)
            }
            merged.append({**item, "annotations": kept})
        else:
            merged.append(item)
    return [*map(_tidy, merged), _tidy(entry)]


def _annotations(item: dict[str, Any]) -> dict[str, Any]:
    annotations = item.get("annotations")
    return annotations if isinstance(annotations, dict) else {}


def _tidy(item: dict[str, Any]) -> dict[str, Any]:
    if "annotations" in item and not item["annotations"]:
        return {key: value for key, value in item.items() if key != "annotations"}
    return item
