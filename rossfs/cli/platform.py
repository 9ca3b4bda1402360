"""The option --platform, and the image that a name means with it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from rossfs.cli.names import resolve
from rossfs.image.resolve import Image
from rossfs.image.resolve import resolve as resolve_image
from rossfs.oci.platform import Platform
from rossfs.store.store import Store

_Command = TypeVar("_Command", bound=Callable[..., Any])


def _parsed(ctx: click.Context, param: click.Parameter, text: str | None) -> Platform | None:
    return None if text is None else Platform.parse(text)


def platform_option(command: _Command) -> _Command:
    """Decorator: the command takes --platform and gets `platform`, a Platform or None."""
    return click.option(
        "--platform",
        metavar="OS/ARCH",
        callback=_parsed,
        help="Of an index, take the image for this platform.  [default: this machine's]",
    )(command)


def image_named(store: Store, name: str, platform: Platform | None) -> Image:
    """The image that *name*, a tag or a digest, means on *platform* (None: this machine's).

    TagNotFound, ManifestNotFound, Damaged, InvalidDocument and the errors of a wrong *name*.
    """
    return resolve_image(store, resolve(store, name).digest, platform or Platform.host())
