"""Options of podman run, taken apart as podman itself takes them apart."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from rossfs.cli.podmanoptions import Call, call, help_of_podman, options_of
from rossfs.errors import NotFound, UsageError
from tests.requirements import require_tools

RUN = """Usage:
  podman run [options] IMAGE [COMMAND [ARG...]]

Options:
      --blkio-weight-device DEVICE_NAME:WEIGHT   Block IO weight (format: DEVICE_NAME:WEIGHT)
  -d, --detach                                   Run container in background
  -e, --env stringArray                          Set environment variables (default [A=1])
  -i, --interactive                              Keep STDIN open even if not attached
      --network stringArray                      Connect a container to a network
      --rm                                       Remove container after exit
      --tricky string[="always"]                 Has a value only after =
  -v, --volume stringArray                       Bind mount a volume into the container
"""

PODMAN = """Options:
      --runtime string     Path to the OCI-compatible binary used to run containers
      --remote             Access remote Podman service
  -v, --version            version for podman
"""

OWN = {"--print": False, "--podman": True}


def help_of(command: Sequence[str]) -> str:
    return RUN if command else PODMAN


def no_help(command: Sequence[str]) -> str:
    raise AssertionError("podman need not be asked")


def parsed(line: str) -> Call:
    return call(line.split(), OWN, help_of)


@pytest.mark.parametrize(
    ("line", "options", "name", "words"),
    [
        ("box", "", "box", ""),
        ("--network none box", "--network none", "box", ""),
        ("--network=none box ls", "--network=none", "box", "ls"),
        ("--net none box ls", "--net none", "box", "ls"),
        ("--rm -di=1 box ls -l -- x", "--rm -di=1", "box", "ls -l -- x"),
        ("-di box ls -v", "-di", "box", "ls -v"),
        ("-dv /a:/b box ls", "-dv /a:/b", "box", "ls"),
        ("-v/a:/b -eA=1 box", "-v/a:/b -eA=1", "box", ""),
        ("-e --rm box", "-e --rm", "box", ""),
        ("--tricky box", "--tricky", "box", ""),
        ("--runtime runc --remote box", "--runtime runc --remote", "box", ""),
        ("--rm -- box -- ls", "--rm", "box", "-- ls"),
        ("--env -- box", "--env --", "box", ""),
        ("--blkio-weight-device /dev/x:1 box", "--blkio-weight-device /dev/x:1", "box", ""),
    ],
)
def test_options_are_told_from_what_follows(line: str, options: str, name: str, words: str) -> None:
    expected = Call((), tuple(options.split()), name, tuple(words.split()))
    assert parsed(line) == expected


def test_our_own_options_may_stand_among_them() -> None:
    made = parsed("--rm --podman --a=b --network none --print --podman=--c box --print")
    assert made.own == ("--podman", "--a=b", "--print", "--podman=--c")
    assert made.options == ("--rm", "--network", "none")
    assert made.words == ("--print",)


def test_podman_is_asked_only_if_that_must_be_known() -> None:
    words = ["--network=none", "--print", "--unknown=x", "--podman", "--rm", "box", "-x"]
    assert call(words, OWN, no_help).name == "box"
    assert call(["--", "-x"], OWN, no_help).name == "-x"


@pytest.mark.parametrize("line", ["", "--rm", "--network none", "--rm --"])
def test_a_name_may_be_missing(line: str) -> None:
    assert parsed(line).name == ""


@pytest.mark.parametrize("line", ["--network", "-dv", "--rm -e", "--podman"])
def test_a_value_must_be_there(line: str) -> None:
    with pytest.raises(UsageError, match="is without its value"):
        parsed(line)


@pytest.mark.parametrize("line", ["--unknown box", "-x box", "-dx box"])
def test_what_podman_does_not_know_is_asked_about(line: str) -> None:
    with pytest.raises(UsageError, match=f"^{line.split()[0]} is not in the help .*=value"):
        parsed(line)
    with pytest.raises(UsageError):
        call(line.split(), OWN, lambda _: "podman is broken")


def test_the_help_of_podman_is_understood() -> None:
    require_tools("podman")
    takes = options_of(help_of_podman(["run"]))
    valued = ("--network", "--volume", "-v", "--env", "-e", "--name", "--ulimit", "--mount")
    assert all(takes[name] for name in valued)
    flags = ("--rm", "--tty", "-t", "-i", "-d", "-P", "--privileged", "--init", "--read-only")
    assert not any(takes[name] for name in flags)
    assert options_of(help_of_podman([]))["--runtime"]


def test_podman_may_be_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(NotFound, match="podman is not installed"):
        help_of_podman(["run"])
