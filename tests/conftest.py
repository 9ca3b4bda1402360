"""What all tests share: the policy for FUSE, the log checker, mounts, stores, and the watchdog.

ROSSFS_TEST_FUSE=1: a missing /dev/fuse is a failure (CI); 0: tests that mount are skipped; unset:
they are skipped where /dev/fuse cannot be used.
"""

from __future__ import annotations

import contextlib
import faulthandler
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests import leftovers, mounts
from tests.mounts import Mounted

if TYPE_CHECKING:
    from rossfs.store.store import Store

FUSE_DEVICE = "/dev/fuse"

SLACK = 120.0
"""Seconds that the watchdog gives a test beyond its own timeout."""

ENDING = 10.0
"""Seconds in which what the last test ended must be gone."""

Mount = Callable[..., Mounted]
"""What the fixture `mount` is: mount(store, *options, path=None) -> Mounted."""

_watchdog = pytest.StashKey[subprocess.Popen[bytes]]()
_trouble = pytest.StashKey[list[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="run tests that take minutes, too")
    parser.addoption("--failures", metavar="FILE", help="list what failed in FILE, a line each")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "expects_warnings: rossfs may log warnings in this test")
    config.addinivalue_line("markers", "damages_store: fsck may find what it likes after this test")
    # A shell starts background commands with SIGINT ignored, and programs inherit that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # Git, pip and others ask; nobody is there to answer.
    os.environ.pop("ROSSFS_STORE", None)


# --- the session: what earlier ones left, the watchdog, what this one leaves ---


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> Iterator[None]:
    leftovers.sweep()
    os.environ[leftovers.VARIABLE] = leftovers.mark_of(os.getpid())
    yield
    session.config.stash[_trouble] = []
    if not session.config.option.collectonly:
        session.config.stash[_watchdog] = _start_watchdog(session.config)


def _start_watchdog(config: pytest.Config) -> subprocess.Popen[bytes]:
    mark = os.environ[leftovers.VARIABLE]
    factory: pytest.TempPathFactory = config._tmp_path_factory  # type: ignore[attr-defined]
    (factory.getbasetemp() / leftovers.MARK_FILE).write_text(mark)
    capture = config.pluginmanager.getplugin("capturemanager")
    with capture.global_and_fixture_disabled() if capture else contextlib.nullcontext():
        return subprocess.Popen(
            [sys.executable, "-m", "tests.watchdog", str(os.getpid()), mark, factory.getbasetemp()],
            cwd=mounts.ROOT,
            stdin=subprocess.PIPE,
            start_new_session=True,
            env={name: value for name, value in os.environ.items() if name != leftovers.VARIABLE},
        )


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_protocol(item: pytest.Item) -> None:
    """Tell the watchdog which test begins, and how long it may take."""
    watchdog = item.config.stash.get(_watchdog, None)
    if watchdog is None or watchdog.stdin is None:
        return
    marker = item.get_closest_marker("timeout")
    value = marker.args[0] if marker and marker.args else item.config.getini("timeout")
    with contextlib.suppress(OSError):
        watchdog.stdin.write(f"{float(value or 120) + SLACK} {item.nodeid}\n".encode())
        watchdog.stdin.flush()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """No process and no mount of the session may be left."""
    trouble = session.config.stash.get(_trouble, None)
    if trouble is None:
        return
    mark = os.environ[leftovers.VARIABLE]
    end = time.monotonic() + ENDING
    while (left := _left(mark)) and time.monotonic() < end:
        time.sleep(0.05)
    if left:
        trouble += [f"process left behind: {pid} {_command(pid)}" for pid in left]
    watchdog = session.config.stash.get(_watchdog, None)
    if watchdog is not None:
        factory: pytest.TempPathFactory = session.config._tmp_path_factory  # type: ignore[attr-defined]
        below = leftovers.below(os.path.realpath(factory.getbasetemp()))
        trouble += [f"mount left behind: {mount.path}" for mount in below]
    if trouble:
        leftovers.kill(leftovers.processes(mark))
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    config = terminalreporter.config
    trouble = config.stash.get(_trouble, [])
    for line in trouble:
        terminalreporter.write_line(line, red=True)
    listed = config.getoption("--failures")
    if listed is not None:
        lines = [*_failures(terminalreporter), *trouble]
        text = "".join(f"{line}\n" for line in lines)
        Path(listed).write_text(text, encoding="utf-8", errors="backslashreplace")


def _failures(reporter: pytest.TerminalReporter) -> Iterator[str]:
    """A line for each test that failed, as pytest's own summary has it."""
    for word in ("failed", "error"):
        for report in reporter.stats.get(word, []):
            crash = getattr(report.longrepr, "reprcrash", None)
            reason = f" - {crash.message.partition(chr(10))[0]}" if crash else ""
            yield f"{word.upper()} {report.nodeid}{reason}"


def _left(mark: str) -> list[int]:
    """The processes of the session, but for one of Python's own that ends with this process."""
    pids = leftovers.processes(mark)
    return [pid for pid in pids if "multiprocessing.resource_tracker" not in _command(pid)]


def _command(pid: int) -> str:
    with contextlib.suppress(OSError), open(f"/proc/{pid}/cmdline", "rb") as file:
        return file.read().replace(b"\0", b" ").decode("utf-8", "replace")
    return ""


# --- which tests run ---


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--long"):
        for item in items:
            if item.get_closest_marker("long"):
                item.add_marker(pytest.mark.skip(reason="takes minutes; runs with --long"))


def pytest_runtest_setup(item: pytest.Item) -> None:
    if item.get_closest_marker("fuse") or "mount" in getattr(item, "fixturenames", ()):
        _require_fuse()


def _require_fuse() -> None:
    wish = os.environ.get("ROSSFS_TEST_FUSE", "")
    if wish == "0":
        pytest.skip("ROSSFS_TEST_FUSE=0")
    if not os.access(FUSE_DEVICE, os.R_OK | os.W_OK):
        if wish == "1":
            pytest.fail(f"{FUSE_DEVICE} cannot be used, and ROSSFS_TEST_FUSE=1", pytrace=False)
        pytest.skip(f"{FUSE_DEVICE} cannot be used")


# --- the log of this process ---


class _Records(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture(autouse=True)
def _no_stacks_of_what_takes_long(request: pytest.FixtureRequest) -> None:
    """faulthandler_timeout is for what hangs: a stack that is printed while its thread runs can
    crash the interpreter."""
    if request.node.get_closest_marker("long") is not None:
        faulthandler.cancel_dump_traceback_later()


@pytest.fixture(autouse=True)
def _no_warnings(request: pytest.FixtureRequest) -> Iterator[list[logging.LogRecord]]:
    """A test in which rossfs logs a warning or worse fails, unless it said that it expects that."""
    handler = _Records()
    logger = logging.getLogger("rossfs")
    logger.addHandler(handler)
    yield handler.records
    logger.removeHandler(handler)
    expected = request.node.get_closest_marker("expects_warnings")
    if expected or "expects_warnings" in request.fixturenames:
        return
    lines = [f"{record.levelname} {record.getMessage()}" for record in handler.records]
    assert not lines, "rossfs logged:\n" + "\n".join(lines)


@pytest.fixture
def expects_warnings(_no_warnings: list[logging.LogRecord]) -> list[logging.LogRecord]:
    """The warnings so far; a test that uses this is not failed by them."""
    return _no_warnings


# --- stores and mounts ---


@pytest.fixture
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """A new store in `tmp_path/store`; fsck finds nothing wrong with it after the test, unless the
    test is marked `damages_store`."""
    from rossfs.store.store import Store  # not at the top: most tests need none of it

    with Store.create(str(tmp_path / "store")) as made:
        yield made
        if request.node.get_closest_marker("damages_store") is None:
            assert list(map(str, made.fsck())) == []


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Mount]:
    """Mounts for one test: `mount(store, *options, path=None) -> Mounted`, each served by a
    process of its own.  Ended, cleared away and their logs checked after the test."""
    running: list[Mounted] = []

    def start(store: Path | str, *options: str, path: Path | None = None) -> Mounted:
        number = len(running)
        place = path or tmp_path / (f"mnt{number}" if number else "mnt")
        server = mounts.start(store, place, tmp_path / f"mount{number}.log", *options)
        running.append(server)
        return server

    yield start
    with contextlib.ExitStack() as stack:
        for server in running:
            stack.callback(server.check_log)
            stack.callback(server.clear)
