import json

import pytest

from rossfs.image.cache import Cache
from rossfs.image.compression import HEAD
from rossfs.image.layerinfo import layer_info
from rossfs.image.layers import Layers
from rossfs.store.store import Store
from tests.builders import digest_of
from tests.layers import PACKINGS, Layer, image_of

NUMBERS = {
    "plain": 0,
    "bzip2": 1,
    "gzip": 2,
    "gzip in members": 2,
    "xz": 3,
    "zstd": 4,
    "zstd in frames": 4,
}


@pytest.mark.parametrize("packing", PACKINGS)
def test_a_layer_is_described_as_podman_wants_it(store: Store, packing: str) -> None:
    tar = Layer().file("etc/motd", b"hello\n" * 1000).closed()
    image = image_of(tar, packing=packing)
    image.put(store)
    (digest,), (blob,) = image.layers, image.blobs
    layer = Layers(store, Cache(None)).open(digest)
    expected = {
        "compressed-diff-digest": str(digest),
        "compressed-size": len(blob),
        "diff-digest": str(digest_of(tar)),
        "diff-size": len(tar),
        "compression": NUMBERS[packing],
    }
    assert json.loads(layer_info(layer, blob[:HEAD])) == expected
    toc = digest_of(b"table")
    assert json.loads(layer_info(layer, blob[:HEAD], toc)) == expected | {
        "toc-digest": str(toc),
        "flags": {"expected-layer-diffid": str(digest_of(tar))},
    }
