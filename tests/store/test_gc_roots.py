"""What a collection keeps beside what tags name: what processes hold, and pins of incoming/."""

from __future__ import annotations

import os
import subprocess
import sys
import time

from rossfs.store import settings
from rossfs.store.settings import Settings
from rossfs.store.store import Store
from tests.builders import OCTET_STREAM, RossStore, image


def test_what_a_process_holds_stays(ross: RossStore, opened: Store) -> None:
    parts = image(ross, "held").parts
    with opened.pins.hold(parts.digest):
        assert opened.garbage_collect()[:3] == (0, 0, 0)
    assert opened.garbage_collect().manifests_removed == 1


def test_what_a_dead_process_held_goes_and_its_file_too(ross: RossStore, opened: Store) -> None:
    digest = image(ross, "held").manifest
    script = (
        "import sys\n"
        "from rossfs.oci.digest import Digest\n"
        "from rossfs.store.store import Store\n"
        "hold = Store.open(sys.argv[1]).pins.hold(Digest.parse(sys.argv[2]))\n"
        "print('held', flush=True)\n"
        "sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script, str(ross.root), str(digest)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        assert opened.garbage_collect()[:3] == (0, 0, 0)
        process.kill()
    assert opened.garbage_collect().manifests_removed == 1
    assert os.listdir(ross.root / "pins") == []


def test_a_pin_in_incoming_counts_until_it_is_a_day_old(ross: RossStore, opened: Store) -> None:
    digest = ross.put_blob(OCTET_STREAM, b"pinned")
    directory = ross.root / "incoming/sub"
    directory.mkdir(parents=True)
    link = directory / "file"
    link.symlink_to(f"../../blobs/sha256/{digest.hex}")
    assert opened.garbage_collect().blobs_removed == 0
    old = time.time() - Settings().pin_age - 60
    os.utime(link, (old, old), follow_symlinks=False)
    tagged = directory / "tagged"
    tagged.symlink_to(f"../../blobs/sha256/{image(ross, 'app', tag='a:1').config.hex}")
    os.utime(tagged, (old, old), follow_symlinks=False)
    void = directory / "void"
    void.symlink_to(f"../../blobs/sha256/{'0' * 64}")
    assert opened.garbage_collect(dry_run=True).blobs_removed == 1
    assert link.is_symlink()
    assert opened.garbage_collect().blobs_removed == 1
    # It would lead nowhere.  A young one that does is for fsck to tell.
    assert not link.is_symlink()
    assert tagged.is_symlink()
    assert void.is_symlink()


def test_pins_count_for_as_long_as_the_settings_of_the_store_say(
    ross: RossStore, opened: Store
) -> None:
    digest = ross.put_blob(OCTET_STREAM, b"pinned")
    link = ross.root / "incoming/file"
    link.parent.mkdir()
    link.symlink_to(f"../blobs/sha256/{digest.hex}")
    hour_ago = time.time() - 3600
    os.utime(link, (hour_ago, hour_ago), follow_symlinks=False)
    settings.write(opened.access, Settings(pin_age=3000))
    assert opened.garbage_collect(pin_age=4000).blobs_removed == 0
    assert opened.garbage_collect().blobs_removed == 1


def test_a_pin_of_a_manifest_keeps_what_it_needs(ross: RossStore, opened: Store) -> None:
    parts = image(ross, "pinned").parts
    (ross.root / "incoming").mkdir()
    (ross.root / "incoming/m.json").symlink_to(f"../blobs/sha256/{parts.digest.hex}")
    assert opened.garbage_collect()[:3] == (0, 0, 0)
