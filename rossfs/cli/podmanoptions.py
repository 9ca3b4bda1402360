"""The options of `podman run`, told apart from what follows them.

Which options take a value, and so perhaps the next word, only podman knows: its help says it, that
of `podman run` and that of podman, whose options `podman run` takes too.

    -d, --detach               a flag
    -e, --env stringArray      --env A=1, --env=A=1, -e A=1, -eA=1
        --name string[="x"]    --name, --name=VALUE
"""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from rossfs.errors import NotFound, UsageError

_LINE = re.compile(r"^ +(?:-(\w), +)?--([\w-]+)(?: ([^ ]\S*))?(?:  |$)", re.MULTILINE)

_DEADLINE = 30.0

_OTHER_NAMES = {"--net": "--network"}
"""What podman takes and does not tell in its help (pkg/util, AliasFlags)."""

HelpOf = Callable[[Sequence[str]], str]
"""What podman prints for a command with --help."""


class Call(NamedTuple):
    """What was said to `rossfs run`, taken apart."""

    own: tuple[str, ...]
    """Options of `rossfs run` itself."""
    options: tuple[str, ...]
    """Those for `podman run`."""
    name: str
    """Of the image; empty if there is none."""
    words: tuple[str, ...]
    """The command in the container."""


def call(arguments: Sequence[str], own: Mapping[str, bool], help_of: HelpOf) -> Call:
    """Take *arguments* apart: options, the name of the image, the command.  `--` ends the options.

    *own*: options of `rossfs run`, and whether they have a value.  *help_of* is called only if it
    must be known what podman's are.  UsageError if a value is missing, or it cannot be told whether
    the word after an option is its value.
    """
    podman = _Podman(help_of)
    ours: list[str] = []
    options: list[str] = []
    at = 0
    while at < len(arguments):
        word = arguments[at]
        if word == "--":
            at += 1
            break
        if not word.startswith("-") or word == "-":
            break
        option, equals, _ = word.partition("=")
        kept = ours if option in own else options
        if option in own:
            is_split = own[option] and not equals
        elif word.startswith("--") and equals:
            is_split = False
        else:
            is_split = podman.is_split(word)
        length = 2 if is_split else 1
        if at + length > len(arguments):
            raise UsageError(f"{word} is without its value")
        kept += arguments[at : at + length]
        at += length
    name = arguments[at] if at < len(arguments) else ""
    return Call(tuple(ours), tuple(options), name, tuple(arguments[at + 1 :]))


def options_of(text: str) -> Mapping[str, bool]:
    """The options in *text*, the output of `podman run --help`, by each name; whether they have a
    value that may be the next word."""
    takes = {}
    for short, long, kind in _LINE.findall(text):
        has_value = bool(kind) and "[=" not in kind
        takes[f"--{long}"] = has_value
        if short:
            takes[f"-{short}"] = has_value
    return takes


def help_of_podman(command: Sequence[str]) -> str:
    """See HelpOf.  NotFound without podman."""
    try:
        shown = subprocess.run(
            ["podman", *command, "--help"],
            stdin=subprocess.DEVNULL, capture_output=True, timeout=_DEADLINE, check=False,
        )  # fmt: skip
    except FileNotFoundError:
        raise NotFound("podman is not installed") from None
    except subprocess.TimeoutExpired:
        return ""
    return shown.stdout.decode(errors="replace")


class _Podman:
    """The options of podman, as it says when somebody asks for one of them."""

    def __init__(self, help_of: HelpOf) -> None:
        self._help_of = help_of
        self._commands: list[tuple[str, ...]] = [("run",), ()]
        self._takes: dict[str, bool] = {}

    def is_split(self, word: str) -> bool:
        """Whether the value of the last option in *word* (several if they are letters) is the next
        word."""
        if word.startswith("--"):
            return self._takes_value(word, word)
        for position, letter in enumerate(word[1:], 2):
            if self._takes_value(f"-{letter}", word):
                return position == len(word)  # else the rest of the word is the value
            if word[position : position + 1] == "=":
                break
        return False

    def _takes_value(self, option: str, word: str) -> bool:
        option = _OTHER_NAMES.get(option, option)
        while option not in self._takes:
            if not self._commands:
                raise UsageError(
                    f"{word} is not in the help of podman run: write --option=value, or "
                    "--option=true if it has no value"
                )
            # What one has already means that there.
            self._takes = {**options_of(self._help_of(self._commands.pop(0))), **self._takes}
        return self._takes[option]
