"""The kernel's table of mounts, as text."""

from __future__ import annotations

from rossfs.fs import mountinfo
from rossfs.fs.mountinfo import Mount, mounts, mounts_on


def test_a_line_with_optional_fields_is_read() -> None:
    line = b"36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 shared:2 - ext3 /dev/root rw,errors=x"
    assert mountinfo._parse(line) == Mount(
        0, "/mnt2", "ext3", "/dev/root", "rw,noatime,rw,errors=x"
    )


def test_a_line_without_optional_fields_is_read() -> None:
    line = rb"42 27 0:39 / /m\040n rw - fuse.rossfs /a\011b\012c\134d rw,user_id=0"
    mount = mountinfo._parse(line)
    assert mount == Mount(39, "/m n", "fuse.rossfs", "/a\tb\nc\\d", "rw,rw,user_id=0")
    assert mount.ours


def test_bytes_that_are_no_text_survive() -> None:
    mount = mountinfo._parse(b"42 27 0:39 / /m\xff rw - tmpfs none rw")
    assert mount.path == "/m\udcff"
    assert not mount.ours


def test_an_empty_source_is_read() -> None:
    assert mountinfo._parse(b"42 27 0:39 / /m rw - tmpfs  rw").source == ""


def test_this_machine_has_a_root() -> None:
    assert mounts_on("/")
    assert mounts_on("/")[-1] in mounts()
    assert mounts_on("/no/such/place") == []
