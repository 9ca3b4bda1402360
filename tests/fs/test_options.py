"""Mount options: what is understood, what is ignored, and what is refused by name."""

from __future__ import annotations

import os
import pwd

import pytest

from rossfs.errors import InvalidOption
from rossfs.fs.options import MountOptions, for_libfuse, parse
from rossfs.oci.platform import Platform


def test_nothing_asked_is_the_default() -> None:
    assert parse("") == MountOptions()


def test_options_are_read() -> None:
    options = parse("ro,allow_other,uid=7,gid=8,umask=027,readahead=4096,debug,foreground")
    assert options.read_only
    assert options.allow_other is True
    assert (options.uid, options.gid, options.umask) == (7, 8, 0o27)
    assert options.readahead == 4096
    assert options.debug
    assert options.foreground


def test_a_user_may_be_named() -> None:
    me = pwd.getpwuid(0)
    assert parse(f"uid={me.pw_name}").uid == 0


def test_a_platform_is_parsed() -> None:
    assert parse("platform=linux/arm64/v8").platform == Platform.parse("linux/arm64/v8")


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("1.5m", 90), ("2h", 7200), ("1d", 86400), ("1w", 604800)]
)
def test_durations_have_units(text: str, seconds: float) -> None:
    assert parse(f"pin_age={text}").pin_age == seconds


def test_a_log_becomes_absolute_before_the_daemon_leaves_the_directory() -> None:
    assert parse("log=here.log").log == os.path.abspath("here.log")


def test_the_last_word_counts() -> None:
    assert not parse("ro,rw").read_only
    assert parse("rw,ro").read_only


def test_later_options_are_added_to_earlier_ones() -> None:
    options = parse("ro", parse("uid=5"))
    assert options.read_only
    assert options.uid == 5


def test_a_comma_in_a_value_is_escaped() -> None:
    assert parse(r"log=/a\,b,ro").log == "/a,b"
    assert parse(r"log=/a\\b").log == r"/a\b"


@pytest.mark.parametrize(
    "text",
    [
        "defaults",
        "rw,_netdev,nofail,user,noexec,nosuid,nodev,noatime",
        "noauto,x-systemd.automount,x-systemd.requires=network.target,comment=hello",
        "auto,users,owner,group,user=alice,relatime,nodiratime,lazytime,async,X-mount.mkdir",
        ",,ro,",
    ],
)
def test_what_mount_and_fstab_add_is_accepted(text: str) -> None:
    parse(text)


@pytest.mark.parametrize("text", ["bogus", "ro,bogus", "bogus=1", "max_read=4096", "remount"])
def test_an_unknown_option_is_named(text: str) -> None:
    name = text.rpartition(",")[2]
    with pytest.raises(InvalidOption, match=name):
        parse(text)


@pytest.mark.parametrize("sloppy", [False, True])
def test_a_remount_is_told_what_to_do_instead(sloppy: bool) -> None:
    with pytest.raises(InvalidOption, match=r"remount: .*unmount, and mount again"):
        parse("ro,remount", sloppy=sloppy)


def test_a_sloppy_mount_ignores_what_it_does_not_know() -> None:
    assert parse("bogus,ro", sloppy=True).read_only


@pytest.mark.parametrize(
    "text",
    [
        "uid=nobody-of-this-name",
        "uid=4294967295",
        "uid=-1",
        "gid=",
        "umask=9",
        "umask=7777",
        "readahead=much",
        "readahead=-1",
        "platform=/",
        "pin_age=soon",
        "log=",
    ],
)
def test_a_value_that_cannot_be_is_refused_with_the_option(text: str) -> None:
    with pytest.raises(InvalidOption, match=text.partition("=")[0]):
        parse(text)


@pytest.mark.parametrize("text", ["ro=1", "allow_other=yes"])
def test_a_flag_takes_no_value(text: str) -> None:
    with pytest.raises(InvalidOption, match="takes no value"):
        parse(text)


@pytest.mark.parametrize("text", ["uid", "log"])
def test_an_option_that_needs_a_value_says_so(text: str) -> None:
    with pytest.raises(InvalidOption, match="needs a value"):
        parse(text)


def test_a_hostile_option_is_quoted_and_cut() -> None:
    with pytest.raises(InvalidOption) as caught:
        parse("\x1b[31m" + "x" * 5000)
    assert "\x1b" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_root_shares_its_mounts_unless_told_otherwise() -> None:
    assert "allow_other" in for_libfuse(MountOptions(), "/s", root=True)
    assert "allow_other" not in for_libfuse(MountOptions(), "/s", root=False)
    assert "allow_other" not in for_libfuse(parse("noallow_other"), "/s", root=True)
    assert "allow_other" in for_libfuse(parse("allow_other"), "/s", root=False)


def test_devices_and_setuid_bits_do_not_count_unless_asked_for() -> None:
    assert {"nodev", "nosuid"} <= for_libfuse(MountOptions(), "/s", root=True)
    asked = for_libfuse(parse("dev,suid"), "/s", root=True)
    assert {"dev", "suid"} <= asked
    assert not {"nodev", "nosuid"} & asked


def test_the_kernel_checks_permissions_unless_told_otherwise() -> None:
    assert "default_permissions" in for_libfuse(MountOptions(), "/s", root=True)
    assert "default_permissions" not in for_libfuse(parse("nodefault_permissions"), "/s", root=True)


def test_processors_are_kept_awake_unless_told_otherwise() -> None:
    assert parse("").wakeful
    assert not parse("nowakeful").wakeful


def test_libfuse_is_never_given_max_read() -> None:
    options = for_libfuse(parse("ro,debug,readahead=9,uid=1,log=/x"), "/s", root=True)
    assert options == {
        "ro", "allow_other", "default_permissions", "nodev", "nosuid", "subtype=rossfs", "fsname=/s"
    }  # fmt: skip


def test_a_store_with_any_bytes_in_its_path_can_be_named() -> None:
    store = os.fsdecode(b"/st\xffre,\xc3\xa9")
    (option,) = (o for o in for_libfuse(MountOptions(), store, root=True) if o[:6] == "fsname")
    assert option.encode("us-ascii") == b"fsname=/st\xffre\\,\xc3\xa9"
