"""`rossfs fsck`: is the store as it should be."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import click

from rossfs.cli import progress
from rossfs.cli.names import resolve
from rossfs.cli.output import count_text, print_json
from rossfs.cli.settings import Settings, pass_settings
from rossfs.errors import Damaged
from rossfs.image.progress import Progress
from rossfs.store.store import Store

if TYPE_CHECKING:
    from rossfs.store.finding import Finding

EPILOG = """\b
Examples:
  rossfs fsck --fast
  rossfs fsck --repair
  rossfs fsck nginx DIGEST
"""


@click.command(epilog=EPILOG)
@click.argument("names", metavar="[DIGEST]...", nargs=-1)
@click.option("--fast", is_flag=True, help="Hash manifests and indexes only.")
@click.option(
    "--repair",
    is_flag=True,
    help="Rebuild what can be rebuilt, and move damaged content to quarantine/.",
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
@pass_settings
def command(
    settings: Settings, names: tuple[str, ...], fast: bool, repair: bool, as_json: bool
) -> None:
    """Check the whole store, or only the content DIGEST (or a tag), and say what is wrong.

    Everything is hashed again; sizes, metadata, references and tags are compared.  Prints a line
    for each thing that is wrong, and fails with status 4 if damage is left; a note is nothing that
    harms.  No content is ever deleted.
    """
    notes = left = 0
    shown: list[dict[str, object]] = []
    with Store.open(settings.store, read_only=not repair) as store, progress.shown() as drawn:
        for finding in _check(store, names, fast=fast, repair=repair, drawn=drawn):
            notes += not finding.is_damage
            left += finding.is_damage and not finding.repaired
            if as_json:
                shown.append(_as_json(finding))
            else:
                click.echo(str(finding))
    if as_json:
        print_json(shown)
    if left:
        raise Damaged(f"{settings.store} has {count_text(left, 'damaged place')}")
    if not as_json:
        click.echo(f"no damage, {count_text(notes, 'note')}" if notes else "no damage", err=True)


def _check(
    store: Store, names: tuple[str, ...], *, fast: bool, repair: bool, drawn: Progress
) -> Iterator[Finding]:
    if not names:
        yield from store.fsck(fast, None, repair, _told(drawn, "hashed"))
    for name in names:
        yield from store.fsck(fast, resolve(store, name).digest, repair, _told(drawn, name))


def _told(drawn: Progress, name: str) -> Callable[[int], None]:
    """Turn the bytes hashed so far into steps."""
    drawn.begin(name, None)
    before = 0

    def advance(total: int) -> None:
        nonlocal before
        drawn.advance(name, total - before)
        before = total

    return advance


def _as_json(finding: Finding) -> dict[str, object]:
    return {
        name: value if value is None or isinstance(value, bool | int | str) else str(value)
        for name, value in finding._asdict().items()
    }
