"""A registry of images (Debian's docker-registry) on this machine, and what it was asked for."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from tests import realimages
from tests.mount.waiting import eventually
from tests.requirements import PATH, require_tools

ENDED = 20.0

_LAYERS = re.compile(r'"GET /v2/\S+/blobs/(sha256:[0-9a-f]{64}) HTTP/1\.1" 2')


class Registry:
    """A registry that answers at *host*."""

    def __init__(self, host: str, log: Path, home: Path) -> None:
        self.host = host
        self._log = log
        self._home = home
        self._seen = 0

    def push(self, layout: str, name: str) -> None:
        """Push an image (`oci:...`) as *name*."""
        target = f"docker://{self.host}/{name}"
        options = ("--preserve-digests", "--dest-tls-verify=false")
        realimages.run("skopeo", "copy", "-q", *options, layout, target, home=self._home)

    def asked_for(self) -> list[str]:
        """The digests of the blobs that were fetched since the last call, in order."""
        text = self._log.read_text(errors="replace")
        new, self._seen = text[self._seen :], len(text)
        return _LAYERS.findall(new)

    def answers(self) -> bool:
        """Whether it does."""
        try:
            with urllib.request.urlopen(f"http://{self.host}/v2/", timeout=5.0):
                return True
        except (urllib.error.URLError, OSError):
            return False


@contextlib.contextmanager
def registry(top: Path) -> Iterator[Registry]:
    """A registry for the length of the block, with all its files below *top*."""
    require_tools("docker-registry", "skopeo")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        host = f"127.0.0.1:{probe.getsockname()[1]}"
    config = {
        "version": "0.1",
        "log": {"level": "info"},
        "storage": {"filesystem": {"rootdirectory": str(top / "content")}},
        "http": {"addr": host},
    }
    # JSON is YAML.
    (top / "config.yml").write_text(json.dumps(config))
    log = top / "log"
    with open(log, "wb") as output:
        process = subprocess.Popen(
            ["docker-registry", "serve", str(top / "config.yml")],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, "PATH": PATH, "HOME": str(top)},
        )
    try:
        made = Registry(host, log, top)
        eventually(made.answers)
        yield made
    finally:
        process.terminate()
        try:
            process.wait(ENDED)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(ENDED)
