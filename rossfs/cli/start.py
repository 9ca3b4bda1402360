"""Where the programs `rossfs` and `mount.rossfs` begin.

Loading takes a quarter of a second.  Until somebody is there who can say `interrupted`, and once he
is gone, Ctrl-C ends the process as it ends a program in C: by the signal, without a traceback.
Nothing but the standard library is imported at the top.
"""

from __future__ import annotations

import signal
from collections.abc import Callable


def main() -> None:
    """Run `rossfs` with the arguments of the process and exit with its status."""
    _run(_load_main)


def mount_helper() -> None:
    """Run `mount.rossfs`, as mount(8) calls it, and exit with its status."""
    _run(_load_helper)


def _load_main() -> Callable[[], None]:
    from rossfs.cli.main import main

    return main


def _load_helper() -> Callable[[], None]:
    import rossfs.cli.mount  # noqa: F401 - most of what it takes, and it is wanted at once
    from rossfs.cli.main import mount_helper

    return mount_helper


def _run(load: Callable[[], Callable[[], None]]) -> None:
    # Who started us may have it ignored, as a shell without job control does for `&`.
    ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if ours:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    program = load()
    try:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        program()
    finally:
        if ours:
            signal.signal(signal.SIGINT, signal.SIG_DFL)
