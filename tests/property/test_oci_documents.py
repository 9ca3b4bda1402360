"""Hostile documents raise InvalidDocument and nothing else."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rossfs.errors import InvalidDocument
from rossfs.oci.config import Config
from rossfs.oci.descriptor import Descriptor
from rossfs.oci.document import compact, parse_document
from rossfs.oci.index import Index
from rossfs.oci.manifest import Manifest
from rossfs.oci.mediatype import DOCKER_MANIFEST, OCI_CONFIG, OCI_INDEX, OCI_MANIFEST, OCTET_STREAM
from rossfs.oci.platform import Platform
from rossfs.oci.recognise import parse_as, recognise
from tests import builders

# Other work on the machine must not decide whether a test passes.
ordinary = settings(deadline=None, database=None, suppress_health_check=[HealthCheck.too_slow])

PARTS = builders.image_parts()
DOCUMENTS = [
    PARTS.manifest,
    PARTS.config,
    builders.image_parts(docker=True).manifest,
    builders.index([(b"a", "linux/amd64"), (b"b", "linux/arm/v7")], annotations={"a": "b"}),
]
NAMES = [
    "schemaVersion", "mediaType", "manifests", "config", "layers", "subject", "annotations",
    "artifactType", "digest", "size", "platform", "os", "architecture", "variant", "os.features",
    "urls", "data", "rootfs", "diff_ids", "history", "empty_layer", "fsLayers",
]  # fmt: skip
TEXTS = [OCI_MANIFEST, OCI_INDEX, OCI_CONFIG, DOCKER_MANIFEST, str(PARTS.digest), "linux", ".."]

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from(TEXTS)
)
names = st.sampled_from(NAMES) | st.text(max_size=5)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(names, inner, max_size=6),
    max_leaves=30,
)
objects = st.dictionaries(names, values, max_size=8)

PARSERS: list[Callable[[bytes], object]] = [
    lambda data: parse_document(data, "x"),
    Manifest.parse,
    Index.parse,
    Config.parse,
    lambda data: parse_as(data, OCTET_STREAM),
    lambda data: parse_as(data, OCI_MANIFEST),
    lambda data: parse_as(data, OCI_INDEX),
]


def refusal(parse: Callable[[bytes], object], data: bytes) -> str:
    """Why *parse* refuses *data*; empty if it does not."""
    try:
        parse(data)
    except InvalidDocument as error:
        return str(error)
    return ""


def survive(data: bytes) -> None:
    """Read *data* in every way; only InvalidDocument may come of it."""
    for parse in PARSERS:
        message = refusal(parse, data)
        assert message.isprintable()
        assert len(message) < 1000
    media_type = recognise(data)
    if media_type is not None:
        document = parse_as(data, OCTET_STREAM)
        assert document.media_type == media_type
        assert parse_as(data, media_type) == document
        if isinstance(document, Index):
            document.choose(Platform("linux", "amd64"))


def paths_in(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The way to every value in a JSON document, itself included."""
    inner = (
        value.items() if isinstance(value, dict) else enumerate(value) if _is_list(value) else ()
    )
    return [path] + [way for key, item in inner for way in paths_in(item, (*path, key))]


def _is_list(value: object) -> bool:
    return isinstance(value, list)


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """A copy of *value* with *new* at the end of *path*."""
    if not path:
        return new
    copy = value.copy()
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


@ordinary
@given(st.binary())
def test_bytes_are_survived(data: bytes) -> None:
    survive(data)


@ordinary
@given(st.text(alphabet='{}[]",:\\u0dD8é1-.e \n'))
def test_what_is_nearly_json_is_survived(text: str) -> None:
    survive(text.encode())
    survive(b'{"manifests":' + text.encode())


@ordinary
@given(objects)
def test_json_of_any_shape_is_survived(document: dict[str, Any]) -> None:
    survive(json.dumps(document).encode())


@ordinary
@given(
    st.sampled_from(DOCUMENTS)
    .map(json.loads)
    .flatmap(lambda document: st.tuples(st.just(document), st.sampled_from(paths_in(document)))),
    values,
)
def test_a_real_document_with_one_value_replaced_is_survived(
    place: tuple[Any, tuple[Any, ...]], new: Any
) -> None:
    document, path = place
    survive(json.dumps(replaced(document, path, new)).encode())


@ordinary
@given(st.sampled_from(DOCUMENTS), st.integers(0, 2000), st.binary(max_size=4))
def test_a_real_document_with_changed_bytes_is_survived(
    data: bytes, offset: int, patch: bytes
) -> None:
    offset %= len(data)
    survive(data[:offset] + patch + data[offset + len(patch) :])
    survive(data[:offset] + patch)


@ordinary
@given(values)
def test_a_descriptor_that_is_read_can_be_written(value: Any) -> None:
    hostile = {"mediaType": "a/b", "digest": str(PARTS.digest), "size": 1}
    if isinstance(value, dict):
        hostile |= value
    with contextlib.suppress(InvalidDocument):
        document = parse_document(json.dumps(hostile).encode(), "x")
        read = Descriptor.parse(document, "x")
        assert Descriptor.parse(parse_document(compact(read.as_json()), "x"), "x") == read


@ordinary
@given(objects)
def test_what_is_accepted_is_what_json_says(document: dict[str, Any]) -> None:
    data = json.dumps(document).encode()
    with contextlib.suppress(InvalidDocument):
        assert parse_document(data, "x") == json.loads(data)
