"""`rossfs ls`."""

from __future__ import annotations

import gzip
import io
import os
import subprocess
import tarfile
from pathlib import Path

import pytest

from rossfs.oci.mediatype import OCI_LAYER_GZIP
from rossfs.store.store import Store
from tests.builders import OCI_INDEX, digest_of, image, index
from tests.cli.conftest import Rossfs
from tests.stacking import layer, member, stack

BOTTOM = layer(
    member("etc", type=tarfile.DIRTYPE, mode=0o755),
    member("etc/.hidden", b"x"),
    member("etc/passwd", b"root:x:0:0\n", mode=0o600, uid=7, gid=70000),
    member("etc/gone", b"x"),
    member("bin", type=tarfile.SYMTYPE, linkname="usr/bin", mode=0o777),
    member("usr", type=tarfile.DIRTYPE, mode=0o755),
    member("usr/bin", type=tarfile.DIRTYPE, mode=0o2755),
    member("usr/bin/tool", b"#!" * 3000, mode=0o4755),
    member("usr/bin/again", type=tarfile.LNKTYPE, linkname="usr/bin/tool"),
    member("null", type=tarfile.CHRTYPE, mode=0o666, devmajor=1, devminor=3),
    member("pipe", type=tarfile.FIFOTYPE, mode=0o600),
)
TOP = layer(member("etc/.wh.gone"), member("etc/motd", b"hello\n", mode=0o644))


@pytest.fixture
def app(store: Store) -> Store:
    """A store with an image app:latest of BOTTOM and TOP."""
    stack(store, [BOTTOM, TOP], "library/app:latest")
    return store


def names(text: str) -> list[str]:
    return text.splitlines()


def test_the_merged_image_is_listed(rossfs: Rossfs, app: Store) -> None:
    assert names(rossfs("ls", "app").out) == ["bin", "etc", "null", "pipe", "usr"]
    assert names(rossfs("ls", "app", "/etc").out) == [".hidden", "motd", "passwd"]
    assert names(rossfs("ls", "app", "etc/").out) == [".hidden", "motd", "passwd"]


def test_a_path_may_stand_behind_the_name_as_for_cat(rossfs: Rossfs, app: Store) -> None:
    assert names(rossfs("ls", "app:/etc").out) == [".hidden", "motd", "passwd"]
    assert names(rossfs("ls", "app:latest:/").out) == ["bin", "etc", "null", "pipe", "usr"]
    assert rossfs("ls", "app:/nothing", status=3).out == ""
    assert rossfs("ls", "app:/etc", "/usr", status=2).out == ""


def test_links_are_followed_as_ls_follows_them(rossfs: Rossfs, app: Store) -> None:
    assert names(rossfs("ls", "app", "/bin").out) == ["again", "tool"]
    assert rossfs("ls", "-l", "app", "/bin").out.endswith(" /bin -> usr/bin\n")
    assert len(names(rossfs("ls", "-l", "app", "/bin/").out)) == 2
    assert names(rossfs("ls", "-d", "app", "/bin", "/usr", status=2).out) == []
    assert names(rossfs("ls", "-d", "app", "/bin").out) == ["/bin"]
    assert names(rossfs("ls", "app", "/bin/tool").out) == ["/bin/tool"]


def test_recursion_gives_paths(rossfs: Rossfs, app: Store) -> None:
    assert names(rossfs("ls", "-R", "app", "/usr").out) == ["bin", "bin/again", "bin/tool"]
    assert len(names(rossfs("ls", "-R", "app").out)) == 11


def test_the_long_form_says_everything(rossfs: Rossfs, app: Store) -> None:
    time = "2023-11-09T21:20:00Z"
    rows = {line.split()[5]: line.split() for line in names(rossfs("ls", "-lR", "app").out)}
    assert rows["etc/passwd"][:5] == ["-rw-------", "1", "7:70000", "11", time]
    assert rows["usr/bin/tool"][:4] == ["-rwsr-xr-x", "2", "0:0", "6000"]
    assert rows["usr/bin/again"][:5] == rows["usr/bin/tool"][:5]
    assert rows["null"][:4] == ["crw-rw-rw-", "1", "0:0", "1,3"]
    assert rows["pipe"][0] == "prw-------"
    assert rows["bin"][5:] == ["bin", "->", "usr/bin"]
    assert " 6.0 kB " in rossfs("ls", "-lh", "app", "/usr/bin").out


def test_layers_are_told(rossfs: Rossfs, app: Store) -> None:
    below, above = f"00-{digest_of(BOTTOM).short}", f"01-{digest_of(TOP).short}"
    assert names(rossfs("ls", "--layers", "app", "/etc").out) == [
        f"{below} .hidden",
        f"{above} motd",
        f"{below} passwd",
    ]


def test_json_has_all_that_is_known(rossfs: Rossfs, app: Store) -> None:
    rows = {row["path"]: row for row in rossfs("ls", "-R", "--json", "app").json}
    assert rows["/etc/passwd"] == {
        "path": "/etc/passwd",
        "type": "file",
        "mode": "0600",
        "uid": 7,
        "gid": 70000,
        "size": 11,
        "mtime": 1699564800,
        "links": 1,
        "layer": str(digest_of(BOTTOM)),
    }
    assert rows["/bin"]["target"] == "usr/bin"
    assert (rows["/null"]["major"], rows["/null"]["minor"]) == (1, 3)
    assert [row["path"] for row in rossfs("ls", "--json", "app", "/usr/").json] == ["/usr/bin"]
    assert rossfs("ls", "--json", "app", "bin/tool").json[0]["path"] == "/bin/tool"
    assert rossfs("ls", "-d", "--json", "app").json[0]["path"] == "/"
    stack(app, [], "lab/empty:v1")
    assert rossfs("ls", "--json", "lab/empty:v1").json == []
    assert rossfs("ls", "-d", "--layers", "lab/empty:v1").out == "- /\n"


def test_names_that_a_terminal_might_act_on_are_quoted(rossfs: Rossfs, store: Store) -> None:
    raw = [b"a b", b'"q"', b"\x1b[31mred", b"new\nline", b"\xff\xfe", "ü".encode(), b"back\\slash"]
    entries = [member(os.fsdecode(name)) for name in raw]
    link = member("link", type=tarfile.SYMTYPE, linkname="\x1b]0;x")
    stack(store, [layer(*entries, link)], "lab/odd:v1")
    shown = names(rossfs("ls", "lab/odd:v1").out)
    assert len(shown) == 8
    assert set(shown) >= {
        "a b",
        '"\\"q\\""',
        '"\\x1b[31mred"',
        '"new\\nline"',
        '"\\xff\\xfe"',
        "ü",
        "back\\slash",
    }
    assert '"\\x1b]0;x"' in rossfs("ls", "-l", "lab/odd:v1").out
    exact = rossfs("ls", "-0", "lab/odd:v1").out.encode("utf-8", "surrogateescape").split(b"\0")
    assert sorted(exact) == sorted([*raw, b"link", b""])
    paths = {os.fsencode(row["path"]) for row in rossfs("ls", "--json", "lab/odd:v1").json}
    assert paths == {b"/" + name for name in (*raw, b"link")}
    assert rossfs("ls", "--json", "lab/odd:v1").out.isascii()


def test_what_is_not_there_is_told(rossfs: Rossfs, app: Store) -> None:
    assert '"/nowhere"' in rossfs("ls", "app", "/nowhere", status=3).err
    assert "not a directory" in rossfs("ls", "app", "/etc/passwd/x", status=3).err
    rossfs("ls", "absent", status=3)
    rossfs("ls", "app", "/etc/gone", status=3)


def test_the_platform_of_an_index_can_be_chosen(rossfs: Rossfs, store: Store) -> None:
    amd, arm = image(store, "amd"), image(store, "arm", architecture="arm64")
    data = index([(amd.parts.manifest, "linux/amd64"), (arm.parts.manifest, "linux/arm64")])
    store.set_tag("lab/multi", "v1", store.put_index(data, OCI_INDEX)[0])
    for one in (amd, arm):
        platform = "linux/arm64" if one is arm else "linux/amd64"
        ended = rossfs("ls", "--layers", "--platform", platform, "lab/multi:v1", "/etc")
        assert ended.out == f"01-{one.layers[1].short} os-release\n"


def test_a_store_that_cannot_be_written_has_its_tables_elsewhere(
    rossfs: Rossfs, app: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(os, "access", lambda *arguments, **named: False)
    assert names(rossfs("ls", "app", "/usr/bin").out) == ["again", "tool"]
    assert not os.path.exists(app.paths.cache)
    (place,) = (tmp_path / "home/rossfs").iterdir()
    assert any(place.iterdir())


def test_a_config_of_another_image_is_damage(rossfs: Rossfs, store: Store) -> None:
    wrong = str(digest_of(b"something else"))
    right = str(digest_of(gzip.decompress(BOTTOM)))
    stack(store, [BOTTOM, TOP], "lab/wrong:v1", diff_ids=[right, wrong])
    assert wrong in rossfs("ls", "lab/wrong:v1", status=4).err
    stack(store, [BOTTOM, TOP], "lab/few:v1", diff_ids=[right])
    assert "1 diff ID" in rossfs("ls", "lab/few:v1", status=4).err


def test_what_is_no_layer_is_told(rossfs: Rossfs, store: Store) -> None:
    data = gzip.compress(b"this is no archive" * 100, mtime=0)
    digest, _ = store.put_blob(OCI_LAYER_GZIP, data)
    stack(store, [data], "lab/broken:v1")
    assert str(digest) in rossfs("ls", "lab/broken:v1", status=4).err


def test_a_listing_is_that_of_gnu_ls(rossfs: Rossfs, store: Store, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    (tree / "dir").mkdir(parents=True)
    for number, mode in enumerate((0o644, 0o4755, 0o2711, 0o1777, 0o000)):
        path = tree / f"file {number}"
        path.write_bytes(b"x" * 10**number)
        path.chmod(mode)
        os.utime(path, (0, 86400 * 365 * number * 12))
    os.link(tree / "file 1", tree / "linked")
    os.symlink("file 1", tree / "symbolic")
    os.mkfifo(tree / "pipe")
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as archive:
        archive.add(tree, ".")
    stack(store, [gzip.compress(stream.getvalue(), mtime=0)], "lab/tree:v1")
    listed = subprocess.run(
        ["ls", "-nA", "--time-style=+%Y-%m-%dT%H:%M:%SZ", "--quoting-style=literal", tree],
        env={**os.environ, "TZ": "UTC", "LC_ALL": "C"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    expected, found = [], []
    for line in listed.stdout.splitlines()[1:]:
        listed_mode, links, uid, gid, size, *rest = line.split()
        if listed_mode[0] != "d":
            expected.append([listed_mode, links, f"{uid}:{gid}", size, *rest])
    for line in names(rossfs("ls", "-l", "lab/tree:v1").out):
        fields = line.split()
        if fields[0][0] != "d":
            found.append(fields)
    assert found == expected
