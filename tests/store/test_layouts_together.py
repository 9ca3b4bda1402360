"""Several processes and threads that write index.json of one layout at once."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from contextlib import ExitStack

import pytest

from rossfs.errors import MissingContent
from rossfs.store.store import Store
from tests.builders import compact, digest_of, image, image_parts
from tests.mounts import ROOT
from tests.store.layoutwriting import entry, index, names, read, write

WRITERS = 8
ROUNDS = 20
DEADLINE = 60.0

APP = "library/app"


def start(store: Store, repository: str, writer: str, rounds: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.store.layoutwriting", store.paths.root, repository]
    return subprocess.Popen(
        [*command, writer, str(rounds)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def go(processes: list[subprocess.Popen[str]]) -> None:
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()


@pytest.mark.timeout(180)
def test_no_process_loses_the_tag_of_another(store: Store) -> None:
    wanted = {}
    for writer in range(WRITERS):
        for number in range(ROUNDS):
            name = f"w{writer}-{number}"
            wanted[name] = image(store, name, layers=1).manifest
    with ExitStack() as stack:
        processes = [
            stack.enter_context(start(store, APP, f"w{writer}", ROUNDS))
            for writer in range(WRITERS)
        ]
        for process in processes:
            stack.callback(process.kill)
        go(processes)
        seen: set[str] = set()
        # Whoever reads meanwhile sees the tags grow, and nothing half done.
        while any(process.poll() is None for process in processes):
            if store.layouts.is_layout(APP):
                document = read(store.layouts, APP)
                now = set(names(document))
                assert seen <= now
                assert all("artifactType" in each for each in document["manifests"])
                seen = now
            time.sleep(0.01)
        assert [process.wait(DEADLINE) for process in processes] == [0] * WRITERS
    assert {info.tag: info.digest for info in store.list_tags(APP)} == wanted
    assert sorted(names(read(store.layouts, APP))) == sorted(wanted)


def test_threads_tags_and_collections_beside_lose_nothing(store: Store) -> None:
    kept = [image(store, f"kept{number}", layers=1) for number in range(6)]
    with store.pins.hold(*(each.manifest for each in kept)):
        failures: list[BaseException] = []
        ended = threading.Event()

        def attempt(call: object) -> None:
            assert callable(call)
            try:
                call()
            except BaseException as error:
                failures.append(error)

        def layout(number: int) -> None:
            for count in range(10):
                name = f"l{number}-{count}"
                is_there = store.layouts.is_layout(APP)
                base = store.layouts.index(APP)[0] if is_there else None
                document = json.loads(base) if base is not None else index()
                document["manifests"].append(entry(kept[number].parts, name))
                store.layouts.replace(APP, base, compact(document))

        def tag(number: int) -> None:
            for count in range(10):
                store.set_tag(APP, f"t{number}-{count}", kept[number].manifest)

        def collect() -> None:
            while not ended.is_set():
                store.garbage_collect()

        collector = threading.Thread(target=attempt, args=[collect])
        threads = [
            threading.Thread(target=attempt, args=[lambda n=n, f=f: f(n)])
            for n, f in enumerate([layout, layout, layout, tag, tag, tag])
        ]
        collector.start()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(DEADLINE)
        ended.set()
        collector.join(DEADLINE)
    assert failures == []
    wanted = {f"{'lllttt'[number]}{number}-{count}" for number in range(6) for count in range(10)}
    assert {info.tag for info in store.list_tags(APP)} == wanted
    assert set(names(read(store.layouts, APP))) == wanted


def test_who_reads_waits_for_who_changes_tags(store: Store) -> None:
    parts = image(store, "one", tag=f"{APP}:v1").parts
    texts: list[bytes] = []
    reader = threading.Thread(target=lambda: texts.append(store.layouts.index(APP)[0]))
    with store.access.naming():
        reader.start()
        reader.join(0.1)
        assert texts == []
    reader.join(DEADLINE)
    assert json.loads(texts[0])["manifests"] == [entry(parts, "v1")]


def test_what_is_named_while_it_is_collected_is_refused_or_stays(store: Store) -> None:
    """Who writes index.json first keeps the image, who collects first has it refused."""
    refusals = 0
    for number in range(20):
        parts = image_parts(f"image{number}", layers=1)
        image(store, f"image{number}", layers=1)
        collector = threading.Thread(target=store.garbage_collect)
        collector.start()
        if number % 2:
            time.sleep(0.005)
        try:
            write(store.layouts, APP, entry(parts, "v1"))
        except MissingContent:
            refusals += 1
        else:
            collector.join(DEADLINE)
            store.garbage_collect()
            assert store.tags.get(APP, "v1").digest == digest_of(parts.manifest)
            assert store.get_manifest(digest_of(parts.manifest))
        collector.join(DEADLINE)
    assert refusals < 20
    assert os.path.exists(store.paths.layout(APP))
