"""The command `rossfs`: the table of commands, the global options, and how errors are told.

A command raises; here alone an exception becomes one line `rossfs: ...` on standard error and an
exit status (the table in errors.py).  Standard output is flushed before the status is decided, so
that a full disk behind a redirection is an error and not silence.
"""

from __future__ import annotations

import contextlib
import errno
import importlib
import io
import os
import sys
from collections.abc import Sequence
from typing import NamedTuple

import click

from rossfs import __version__
from rossfs.cli import exits
from rossfs.cli.settings import DEFAULT_STORE, Settings
from rossfs.errors import Interrupted, MountFailed, ReadOnlyStore, RossfsError, StoreFull

SIGPIPE_STATUS = 141
"""What a shell shows for a program that SIGPIPE ended: 128 + 13."""

COMPLETION_VARIABLE = "_ROSSFS_COMPLETE"
"""Set by the completion script of a shell when it asks for candidates (click's protocol)."""

_STATUS_OF_ERRNO = {
    errno.ENOENT: 3,
    errno.EEXIST: 5,
    errno.EBUSY: 5,
    errno.EROFS: ReadOnlyStore.exit_status,
    errno.ENOSPC: StoreFull.exit_status,
    errno.EDQUOT: StoreFull.exit_status,
    errno.ENOTCONN: MountFailed.exit_status,
    errno.EINTR: Interrupted.exit_status,
}
"""Errors of the operating system that mean the same as one of ours."""


class Entry(NamedTuple):
    """One line of the table: the module in this package, and the help that `rossfs --help` shows
    without importing it."""

    module: str
    summary: str


COMMANDS: dict[str, Entry] = {
    "init": Entry("init", "Make an empty store."),
    "mount": Entry("mount", "Mount a store as a filesystem."),
    "umount": Entry("umount", "Unmount a store and wait until its server is gone."),
    "run": Entry("run", "Run an image with podman, from the mount of its store."),
    "podman-config": Entry("podman_config", "Print what lets podman run images from a mount."),
    "import": Entry("import_", "Import images from an OCI layout or a docker archive."),
    "export": Entry("export", "Export an image as an OCI layout, an OCI archive or for docker."),
    "put": Entry("put", "Store files as blobs, manifests or indexes and print their digests."),
    "ls": Entry("ls", "List the files of an image."),
    "cat": Entry("cat", "Print a file of an image, or the bytes of a digest or a manifest."),
    "diff": Entry("diff", "Show how the files of two images differ."),
    "history": Entry("history", "Show how an image was built, layer by layer."),
    "stat": Entry("stat", "Show what is known of a digest or a name."),
    "rm": Entry("rm", "Delete blobs, manifests or indexes that nothing needs."),
    "tag": Entry("tag", "Point a tag at a manifest or an index."),
    "untag": Entry("untag", "Remove tags."),
    "tags": Entry("tags", "List the tags of a repository, or the repositories."),
    "images": Entry("images", "List tagged images."),
    "du": Entry("du", "Show what images take, shared and alone."),
    "report": Entry("report", "Draw the store: images, shared layers, where the bytes are."),
    "info": Entry("info", "Show what the store holds and how much room it takes."),
    "gc": Entry("gc", "Remove content that nothing refers to."),
    "fsck": Entry("fsck", "Check the store, and repair what can be repaired."),
    "status": Entry("status", "Show the state of a mount."),
    "completion": Entry("completion", "Print the completion script of a shell."),
    "systemd": Entry("systemd", "Print a systemd unit that mounts a store."),
    "man": Entry("man", "Print the manual page."),
}
"""Every command by name, in the order of the help."""


class LazyGroup(click.Group):
    """A group that imports a command when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        entry = COMMANDS.get(cmd_name)
        if entry is None:
            return None
        module = importlib.import_module(f"rossfs.cli.{entry.module}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.summary) for name, entry in COMMANDS.items()])


@click.group(
    cls=LazyGroup,
    invoke_without_command=True,
    epilog=exits.EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.option(
    "--store",
    envvar="ROSSFS_STORE",
    default=DEFAULT_STORE,
    show_default=True,
    show_envvar=True,
    metavar="DIR",
    help="Directory of the store.",
)
@click.version_option(__version__, prog_name="rossfs", message="%(prog)s %(version)s")
@click.pass_context
def rossfs(ctx: click.Context, store: str) -> None:
    """Container images as files: a Ross store, browsed, written and mounted."""
    ctx.obj = Settings(store)
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())
        ctx.exit(2)


def main(argv: Sequence[str] | None = None) -> None:
    """Run `rossfs` with *argv* (default: the process's) and exit with its status."""
    sys.exit(run(sys.argv[1:] if argv is None else argv))


def mount_helper() -> None:
    """Run `mount.rossfs`, as mount(8) calls it, and exit with its status."""
    from rossfs.cli.mount import helper

    _prepare_output()
    sys.exit(helper(sys.argv[1:]))


def run(argv: Sequence[str]) -> int:
    """Run `rossfs` with *argv*; returns the exit status and has told what went wrong."""
    _prepare_output()
    try:
        if _is_mount(argv):
            from rossfs.cli.mount import helper

            return helper(argv, by_fuse=True)
        status = _invoke(list(argv))
        sys.stdout.flush()
    except BrokenPipeError:
        _drop_output()
        return SIGPIPE_STATUS
    except (click.ClickException, click.Abort, RossfsError, OSError, KeyboardInterrupt) as error:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
        complain("rossfs", error)
        return status_of(error)
    return status


def _is_mount(argv: Sequence[str]) -> bool:
    """Whether *argv* is `STORE MOUNTPOINT [-o OPTIONS]`, as mount.fuse calls the program that is
    named by the type fuse.rossfs."""
    if len(argv) < 2 or COMPLETION_VARIABLE in os.environ:
        return False
    store, place, *options = argv
    return (
        not store.startswith("-")
        and store not in COMMANDS
        and ("/" in store or os.path.isdir(store))
        # Else somebody forgot --store.
        and not place.startswith("-")
        and place not in COMMANDS
        and all(option.startswith("-") for option in options[:1])
    )


def _prepare_output() -> None:
    """Make standard output and error take what is printed; what the caller closed goes nowhere."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - for as long as the process lives
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # File names are any bytes: what Python decoded with escapes is printed as it was.
            stream.reconfigure(errors="surrogateescape")


def _invoke(argv: list[str]) -> int:
    """Run the command line *argv*; returns what it gives to `Context.exit`, else 0."""
    if COMPLETION_VARIABLE in os.environ:
        rossfs.main(args=argv, prog_name="rossfs")
    # Not rossfs.main(): that swallows broken pipes and answers an interrupt with an empty line.
    try:
        with rossfs.make_context("rossfs", argv) as ctx:
            rossfs.invoke(ctx)
    except click.exceptions.Exit as finished:
        return finished.exit_code
    return 0


def complain(program: str, error: BaseException) -> None:
    """Print one line about *error* on standard error."""
    text = explain(error)
    with contextlib.suppress(OSError):
        print(f"{program}: {text}", file=sys.stderr, flush=True)


def explain(error: BaseException) -> str:
    """One line about *error* for people, free of control characters."""
    match error:
        case click.UsageError():
            text = error.format_message()
            if error.ctx is not None:
                text += f" (see `{error.ctx.command_path} --help`)"
        case click.ClickException():
            text = error.format_message()
        case click.Abort() | KeyboardInterrupt():
            text = "interrupted"
        case OSError(filename=None, strerror=str(reason)):
            text = reason
        case OSError(filename=name, filename2=other, strerror=str(reason)):
            names = [os.fsdecode(part) for part in (name, other) if isinstance(part, str | bytes)]
            text = f"{' -> '.join(names) or name}: {reason}"
        case _:
            text = str(error) or type(error).__name__
    return "".join(
        letter if letter.isprintable() or "\udc80" <= letter <= "\udcff" else " " for letter in text
    )


def status_of(error: BaseException) -> int:
    """The exit status for *error*; the table is in errors.py."""
    match error:
        case RossfsError():
            return error.exit_status
        case click.ClickException():
            return error.exit_code
        case click.Abort() | KeyboardInterrupt():
            return Interrupted.exit_status
        case OSError():
            return _STATUS_OF_ERRNO.get(error.errno or 0, RossfsError.exit_status)
    return RossfsError.exit_status


def _drop_output() -> None:
    """Let the interpreter's last flush go nowhere: the reader of our output is gone."""
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
