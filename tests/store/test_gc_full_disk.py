"""Collecting where nothing more can be made: that is when it is needed most."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

from tests.mounts import ROOT


def test_a_disk_without_inodes_is_collected(tmp_path: Path) -> None:
    # In a mount namespace of its own, which ends with the process.
    script = """
        import contextlib, subprocess, sys
        from rossfs.errors import StoreFull
        from rossfs.store.store import Store

        root = sys.argv[1]
        subprocess.run(["mount", "-t", "tmpfs", "-o", "nr_inodes=60", "tmpfs", root], check=True)
        store = Store.create(root)
        number = 0
        with contextlib.suppress(StoreFull):
            while True:
                store.put_blob("application/octet-stream", b"%d" % number)
                number += 1
        with contextlib.suppress(OSError):
            while True:
                open(f"{root}/filler{number}", "x").close()
                number += 1
        assert store.garbage_collect().blobs_removed > 10
        assert list(store.list_blobs()) == []
        store.put_blob("application/octet-stream", b"after")
        assert list(store.fsck()) == []
    """
    result = subprocess.run(
        ["unshare", "-rm", sys.executable, "-c", textwrap.dedent(script), str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert result.returncode == 0, result.stderr
