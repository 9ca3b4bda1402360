"""The manual page, made from the texts that --help prints (man(7), groff_man(7))."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator

import click

from rossfs import __version__
from rossfs.cli.exits import STATUSES

_VERBATIM = "\b"

_ENVIRONMENT = (
    ("ROSSFS_STORE", "Directory of the store, where --store does not say it."),
    (
        "XDG_CACHE_HOME",
        "Where the tables of layers are of a store that cannot be written; ~/.cache.",
    ),
    ("NOTIFY_SOCKET", "Where a mount in the foreground tells systemd that it is ready."),
    ("NO_COLOR", "Progress is drawn without colours."),
)

_FILES = (
    ("/var/lib/ross", "The store, where nothing else is said."),
    ("cache/ of the store", "Tables of layers, made at the first look inside; may be deleted."),
    ("/sbin/mount.rossfs", "What mount(8) calls for the type rossfs, so that fstab(5) works."),
)

_SEE_ALSO = "mount(8), fstab(5), fusermount3(1), skopeo(1), umoci(1), podman(1)"


def render(group: click.Group) -> str:
    """The page for *group*, whose commands are all loaded for it."""
    context = click.Context(group, info_name="rossfs")
    with context:
        lines = [
            f'.TH ROSSFS 1 "" "rossfs {__version__}" "User Commands"',
            ".nh",
            ".ad l",
            ".SH NAME",
            r"rossfs \- container images as files",
            ".SH SYNOPSIS",
            r".B rossfs",
            r"[\fB\-\-store\fR \fIDIR\fR] \fICOMMAND\fR [\fIARGUMENTS\fR]",
            ".SH DESCRIPTION",
            *_prose(group.help or ""),
            ".SH OPTIONS",
            *_options(group, context),
            ".SH COMMANDS",
        ]
        for name in group.list_commands(context):
            command = group.get_command(context, name)
            assert command is not None, "the table names commands that exist"
            lines += _command(name, command, context)
    lines.append(".SH EXIT STATUS")
    lines += _definitions((str(status), text) for status, text in STATUSES)
    lines.append(".SH ENVIRONMENT")
    lines += _definitions(_ENVIRONMENT)
    lines.append(".SH FILES")
    lines += _definitions(_FILES)
    lines += [".SH SEE ALSO", _escape(_SEE_ALSO)]
    return "\n".join(lines) + "\n"


def _command(name: str, command: click.Command, parent: click.Context) -> Iterator[str]:
    context = click.Context(command, info_name=name, parent=parent)
    usage = " ".join(command.collect_usage_pieces(context))
    yield rf".SS rossfs {_escape(name)} {_escape(usage)}"
    yield from _prose(command.help or "")
    yield from _options(command, context)
    if command.epilog:
        yield ".PP"
        yield from _prose(command.epilog)


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        # Every command has --help; it is enough to say so once;
        # and the usage names the arguments.
        if (
            isinstance(parameter, click.Option)
            and record is not None
            and (context.parent is None or "--help" not in parameter.opts)
        ):
            yield ".TP"
            yield rf"\fB{_escape(record[0])}\fR"
            yield _inline(" ".join(record[1].split()))


def _definitions(items: Iterable[tuple[str, str]]) -> Iterator[str]:
    for term, text in items:
        yield ".TP"
        yield rf"\fB{_escape(term)}\fR"
        yield _inline(text)


def _prose(text: str) -> Iterator[str]:
    """Paragraphs; those that begin with a line of click's mark stay as they are."""
    for number, paragraph in enumerate(inspect.cleandoc(text).split("\n\n")):
        if number:
            yield ".PP"
        if paragraph.startswith(_VERBATIM):
            yield from _verbatim(paragraph.removeprefix(_VERBATIM).lstrip("\n"))
        else:
            yield _inline(" ".join(paragraph.split()))


def _verbatim(paragraph: str) -> Iterator[str]:
    yield ".nf"
    yield from (_escape(line) for line in paragraph.rstrip().split("\n"))
    yield ".fi"


def _inline(text: str) -> str:
    return re.sub(r"`([^`]+)`", r"\\fB\1\\fR", _escape(text))


def _escape(text: str) -> str:
    escaped = text.replace("\\", r"\e").replace("-", r"\-")
    # A line that begins with one of these would be a request.
    return rf"\&{escaped}" if escaped.startswith((".", "'")) else escaped
