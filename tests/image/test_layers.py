import os
import shutil
import subprocess
import sys
import textwrap
import threading
import weakref
from collections.abc import Callable
from pathlib import Path

import pytest

from rossfs.errors import BlobNotFound, DiffIdMismatch, InvalidLayer
from rossfs.image import layers as registry
from rossfs.image.blobindex import IndexingProgress
from rossfs.image.cache import Cache
from rossfs.image.layer import Layer
from rossfs.image.layers import Layers
from rossfs.oci.digest import Digest
from rossfs.store.store import Store
from tests.builders import OCI_LAYER, RossStore, digest_of
from tests.image.layering import (
    PACKED,
    by_tarfile,
    cache_of,
    cached,
    contents,
    gzip,
    mixed_files,
    opened,
    put,
    tar_of,
)
from tests.mounts import ROOT

TAR = tar_of(mixed_files())
FILES = by_tarfile(TAR)

Damage = Callable[[Path], object]


def tables(store: Store, digest: Digest) -> list[Path]:
    directory = Path(store.paths.cache)
    return [path for path in directory.iterdir() if path.name.startswith(digest.hex)]


# Opening


def test_the_first_use_makes_the_tables(store: Store) -> None:
    digest = put(store, gzip(TAR))
    with opened(store) as layers:
        assert layers.opened(digest) is None
        assert cached(layers.cache) == set()
        layer = layers.open(digest)
        assert contents(layer) == FILES
        assert cached(layers.cache) == {f"{digest.hex}.toc", f"{digest.hex}.points"}
        assert layers.open(digest) is layer
        assert layers.opened(digest) is layer


def test_many_who_open_a_layer_at_once_index_it_once(store: Store) -> None:
    digest = put(store, gzip(TAR))
    begun: list[IndexingProgress] = []
    found: list[Layer] = []

    def tell(progress: IndexingProgress) -> None:
        if not progress.done:
            begun.append(progress)

    layers = Layers(store, cache_of(store), tell)
    start = threading.Barrier(8)

    def use() -> None:
        start.wait()
        layer = layers.open(digest)
        assert contents(layer) == FILES
        found.append(layer)

    threads = [threading.Thread(target=use) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(begun) == 1
    assert found == [found[0]] * 8


def test_all_who_wait_are_told_what_went_wrong(store: Store) -> None:
    digest = put(store, gzip(TAR)[:-100])
    layers = Layers(store, cache_of(store))
    errors: list[str] = []
    start = threading.Barrier(4)

    def use() -> None:
        start.wait()
        with pytest.raises(InvalidLayer) as caught:
            layers.open(digest)
        errors.append(str(caught.value))

    threads = [threading.Thread(target=use) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(errors) == 4
    assert len(set(errors)) == 1


def test_what_is_no_layer_is_read_once(store: Store) -> None:
    digest = put(store, gzip(b"no tar" * 1000))
    told: list[IndexingProgress] = []
    layers = Layers(store, cache_of(store), told.append)
    for _ in range(3):
        with pytest.raises(InvalidLayer):
            layers.open(digest)
    assert len([progress for progress in told if not progress.done]) == 1
    assert layers.progress() == []


def test_a_layer_that_arrives_later_is_found(store: Store) -> None:
    blob = gzip(TAR)
    with opened(store) as layers:
        with pytest.raises(BlobNotFound):
            layers.open(digest_of(blob))
        put(store, blob)
        assert contents(layers.open(digest_of(blob))) == FILES


def test_a_table_of_a_blob_that_is_gone_is_of_no_use(store: Store) -> None:
    digest = put(store, gzip(TAR))
    with opened(store) as layers:
        layers.open(digest)
    store.delete_blob(digest)
    with opened(store) as layers, pytest.raises(BlobNotFound, match=digest.hex):
        layers.open(digest)


def test_what_ross_wrote_is_hashed_in_the_same_pass(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    ross = RossStore(Path(store.paths.root))
    digest = ross.put_blob(OCI_LAYER, gzip(TAR))
    hashed: list[str] = []
    real = type(store.verifier)._hash

    def noted(self: object, digest: Digest, path: str) -> object:
        hashed.append(path)
        return real(self, digest, path)  # type: ignore[arg-type]

    monkeypatch.setattr(type(store.verifier), "_hash", noted)
    with opened(store) as layers:
        assert contents(layers.open(digest)) == FILES
    assert not hashed


def test_only_so_many_layers_stay_open(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "KEPT", 3)
    digests = [put(store, gzip(tar_of({f"file{number}": b"1"}))) for number in range(6)]
    layers = Layers(store, cache_of(store))
    in_use = layers.open(digests[0])
    opened = [weakref.ref(layers.open(digest)) for digest in digests]
    assert [layer() is not None for layer in opened] == [True, False, False, True, True, True]
    assert layers.open(digests[0]) is in_use
    assert contents(layers.open(digests[1])) == {b"file1": b"1"}


# Diff IDs


def test_a_diff_id_is_compared(store: Store) -> None:
    with opened(store) as layers:
        layer = layers.open(put(store, gzip(TAR)))
        layers.check_diff_id(layer, digest_of(TAR))
        layers.check_diff_id(layer, digest_of(TAR, "sha512"))
        for algorithm in ("sha256", "sha512"):
            wrong = digest_of(b"other", algorithm)
            with pytest.raises(DiffIdMismatch) as caught:
                layers.check_diff_id(layer, wrong)
            message = str(caught.value)
            assert str(layer.digest) in message
            assert str(wrong) in message
            assert str(digest_of(TAR, algorithm)) in message


# Progress


def test_progress_is_told_while_tables_are_made(store: Store) -> None:
    blob = PACKED["plain"](TAR)
    digest = put(store, blob)
    told: list[IndexingProgress] = []
    seen: list[list[IndexingProgress]] = []

    def tell(progress: IndexingProgress) -> None:
        told.append(progress)
        seen.append(layers.progress())

    layers = Layers(store, cache_of(store), tell)
    layers.open(digest)
    assert [progress.done for progress in told] == sorted(progress.done for progress in told)
    assert (told[0].done, told[-1].done) == (0, len(blob))
    assert {(progress.digest, progress.total) for progress in told} == {(digest, len(blob))}
    assert seen == [[progress] for progress in told]
    assert layers.progress() == []


# What happens to the cache


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def empty(path: Path) -> None:
    os.truncate(path, 0)


def alter(path: Path) -> None:
    data = bytearray(path.read_bytes())
    for offset in range(0, len(data), 97):
        data[offset] ^= 0x40
    path.write_bytes(data)


def alter_the_end(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


DAMAGES: list[Damage] = [cut, empty, alter, alter_the_end, os.unlink]


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("packed", ["plain", "gzip", "zstd", "chunked", "xz"])
def test_a_wrong_table_is_made_again(
    store: Store, packed: str, damage: Damage, expects_warnings: list[object]
) -> None:
    digest = put(store, PACKED[packed](TAR))
    with opened(store) as layers:
        contents(layers.open(digest))
    names = cached(cache_of(store))
    for path in tables(store, digest):
        damage(path)
    with opened(store) as layers:
        assert contents(layers.open(digest)) == FILES
        assert cached(layers.cache) == names
        warnings = len(expects_warnings)
        assert bool(warnings) == (damage is not os.unlink)
    with opened(store) as layers:
        assert contents(layers.open(digest)) == FILES
    assert len(expects_warnings) == warnings


@pytest.mark.parametrize("damage", DAMAGES)
@pytest.mark.parametrize("packed", ["plain", "gzip", "zstd", "chunked", "xz"])
def test_an_open_layer_survives_what_happens_to_its_tables(
    store: Store, packed: str, damage: Damage, expects_warnings: list[object]
) -> None:
    digest = put(store, PACKED[packed](TAR))
    with opened(store) as layers:
        layer = layers.open(digest)
        contents(layer)
        for path in tables(store, digest):
            damage(path)
        assert contents(layer) == FILES


def test_the_table_of_another_layer_is_not_used(
    store: Store, expects_warnings: list[object]
) -> None:
    digest, other = put(store, gzip(TAR)), put(store, gzip(tar_of({"other": b"1" * 100_000})))
    with opened(store) as layers:
        layers.open(digest)
        layers.open(other)
    for path in tables(store, other):
        shutil.copy(path, path.with_name(digest.hex + path.suffix))
    with opened(store) as layers:
        assert contents(layers.open(digest)) == FILES
    assert expects_warnings


def test_the_cache_may_be_deleted_at_any_time(store: Store) -> None:
    digests = [put(store, pack(TAR)) for pack in PACKED.values()]
    with opened(store) as layers:
        kept = []
        for digest in digests:
            kept.append(layers.open(digest))
            shutil.rmtree(store.paths.cache)
        for layer in kept:
            assert contents(layer) == FILES
            shutil.rmtree(store.paths.cache, ignore_errors=True)
            assert contents(layer) == FILES


@pytest.mark.parametrize("packed", PACKED)
def test_without_a_cache_layers_are_read_all_the_same(store: Store, packed: str) -> None:
    digest = put(store, PACKED[packed](TAR))
    with opened(store, Cache(None, 0)) as layers:
        assert contents(layers.open(digest)) == FILES
    assert not os.path.lexists(store.paths.cache)


@pytest.mark.parametrize("packed", PACKED)
def test_a_cache_without_room_is_not_kept(store: Store, packed: str) -> None:
    digest = put(store, PACKED[packed](TAR))
    with opened(store, Cache(store.paths.cache, 100)) as layers:
        assert contents(layers.open(digest)) == FILES
        assert cached(layers.cache) == set()


def test_a_full_disk_does_not_keep_layers_from_being_read(tmp_path: Path) -> None:
    # In a mount namespace of its own, which ends with the process.
    script = """
        import os, subprocess, sys
        from rossfs.image.cache import Cache
        from rossfs.image.layers import Layers
        from rossfs.store.store import Store
        from tests.image.layering import PACKED, by_tarfile, contents, mixed_files, put, tar_of

        tar = tar_of(mixed_files())
        full = sys.argv[1] + "/full"
        os.mkdir(full)
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", full], check=True)
        with open(full + "/filler", "wb") as file:
            file.write(bytes(60 << 10))
        store = Store.create(sys.argv[1] + "/store")
        layers = Layers(store, Cache(full + "/cache"))
        for pack in PACKED.values():
            assert contents(layers.open(put(store, pack(tar)))) == by_tarfile(tar)
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


def test_a_store_that_is_read_only_needs_no_cache_in_it(store: Store, tmp_path: Path) -> None:
    digest = put(store, gzip(TAR))
    cache = Cache(str(tmp_path / "elsewhere"))
    with Store.open(store.paths.root, read_only=True) as looked_at, opened(looked_at, cache) as one:
        assert contents(one.open(digest)) == FILES
    assert len(cached(cache)) == 2
    assert not os.path.lexists(store.paths.cache)


def test_several_processes_may_share_a_cache(store: Store) -> None:
    digest = put(store, gzip(TAR))
    script = """
        import sys
        from rossfs.oci.digest import Digest
        from rossfs.store.store import Store
        from tests.image.layering import by_tarfile, contents, mixed_files, opened, tar_of

        with Store.open(sys.argv[1]) as store, opened(store) as layers:
            layer = layers.open(Digest.parse(sys.argv[2]))
            assert contents(layer) == by_tarfile(tar_of(mixed_files()))
    """
    command = [sys.executable, "-c", textwrap.dedent(script), store.paths.root, str(digest)]
    running = [subprocess.Popen(command, cwd=ROOT) for _ in range(3)]
    assert [process.wait(60) for process in running] == [0, 0, 0]
    assert cached(cache_of(store)) == {f"{digest.hex}.toc", f"{digest.hex}.points"}


def test_no_change_of_a_byte_gives_wrong_files(store: Store) -> None:
    """Whatever is stored under its true digest is a layer that is right, or an error that says
    why."""
    blob = gzip(TAR)
    errors = 0
    for position in range(0, len(blob), len(blob) // 40):
        damaged = blob[:position] + bytes([blob[position] ^ 0x10]) + blob[position + 1 :]
        digest = put(store, damaged)
        with opened(store) as layers:
            try:
                assert contents(layers.open(digest)) == FILES
            except InvalidLayer as error:
                errors += digest.hex in str(error)
    assert errors >= 39  # gzip(1) does not look at the time in its header either
