"""How many files a mount may open."""

from __future__ import annotations

import contextlib
import os
import resource
from pathlib import Path

import pytest

from tests import builders, mounts
from tests.layers import Layer, image_of

pytestmark = pytest.mark.fuse

FEW = 256
"""As a shell has it after `ulimit -S -n 256`; the usual 1,024 would need 500 layers."""

LAYERS = 140


def test_more_layers_are_read_than_the_usual_limit_of_descriptors_allows(tmp_path: Path) -> None:
    store = builders.ross_store(tmp_path / "store")
    layers = [Layer().file(f"f{number}", b"content") for number in range(LAYERS)]
    digest = image_of(*layers).put(store)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.ExitStack() as limit:
        limit.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
        resource.setrlimit(resource.RLIMIT_NOFILE, (FEW, hard))
        with mounts.mounted(store.root, tmp_path / "mnt", tmp_path / "log") as mounted:
            limit.close()
            rootfs = mounted.path / "images/sha256" / digest.hex / "rootfs"
            for number in range(LAYERS):
                assert (rootfs / f"f{number}").read_bytes() == b"content"
            assert len(os.listdir(f"/proc/{mounted.process.pid}/fd")) > FEW
