"""What every command is told by the options in front of its name."""

from __future__ import annotations

from typing import NamedTuple

import click

DEFAULT_STORE = "/var/lib/ross"
"""Where Ross keeps its store."""


class Settings(NamedTuple):
    """The global options; click's context object."""

    store: str = DEFAULT_STORE
    """Directory of the store, as it was given: `--store`, else ROSSFS_STORE, else /var/lib/ross."""


pass_settings = click.make_pass_decorator(Settings)
"""Decorator: the command's first argument is the Settings."""
