"""`rossfs images`: every tag, with what it names."""

from __future__ import annotations

from collections.abc import Iterator
from fnmatch import fnmatchcase

import click

from rossfs.cli.names import complete, familiar
from rossfs.cli.output import print_json, print_table, size_text
from rossfs.cli.settings import Settings, pass_settings
from rossfs.errors import RossfsError
from rossfs.image.summary import Summary, summarise
from rossfs.oci.digest import Digest
from rossfs.store.store import Store
from rossfs.store.tags import TagName

EPILOG = """\b
Examples:
  rossfs images
  rossfs images 'lab/*'
  rossfs images --json | jq -r '.[] | select(.size > 1e9) | .tag'
"""


@click.command(epilog=EPILOG)
@click.argument("pattern", required=False, shell_complete=complete)
@click.option("--full", is_flag=True, help="Print digests in full.")
@click.option("--bytes", "exact", is_flag=True, help="Print sizes as numbers of bytes.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
@pass_settings
def command(
    settings: Settings, pattern: str | None, full: bool, exact: bool, as_json: bool
) -> None:
    """List tagged images: repository, tag, digest, platforms and size.

    PATTERN is a repository, or a repository and a tag, with * and ? for any characters.  The size
    is that of all content which is stored of an image; images share layers, so the sum is more than
    what the store takes.  A tag whose image is damaged or missing is listed with a question mark.
    """
    with Store.open(settings.store) as store:
        known: dict[Digest, Summary | str] = {}
        names = sorted(name for name in store.tags.names() if _matches(name, pattern))
        rows = list(_rows(store, names, known))
    if as_json:
        print_json([_as_json(name, digest, known) for name, digest in rows])
        return
    print_table(
        ("REPOSITORY", "TAG", "DIGEST", "PLATFORM", "SIZE"),
        [_line(name, digest, known, full=full, exact=exact) for name, digest in rows],
    )


def _rows(
    store: Store, names: list[TagName], known: dict[Digest, Summary | str]
) -> Iterator[tuple[TagName, Digest | None]]:
    for name in names:
        try:
            digest = store.tags.get(name.repository, name.tag).digest
        except RossfsError as error:
            click.echo(f"rossfs: {error}", err=True)
            yield name, None
            continue
        if digest not in known:
            try:
                known[digest] = summarise(store, digest)
            except RossfsError as error:
                click.echo(f"rossfs: {name}: {error}", err=True)
                known[digest] = str(error)
        yield name, digest


def _matches(name: TagName, pattern: str | None) -> bool:
    if pattern is None:
        return True
    short = familiar(name)
    repository = short.removesuffix(f":{name.tag}")
    return any(
        fnmatchcase(text, pattern) for text in (name.repository, str(name), short, repository)
    )


def _line(
    name: TagName,
    digest: Digest | None,
    known: dict[Digest, Summary | str],
    *,
    full: bool,
    exact: bool,
) -> tuple[str, str, str, str, str]:
    repository = familiar(name).removesuffix(f":{name.tag}")
    if digest is None:
        return repository, name.tag, "?", "?", "?"
    shown = str(digest) if full else digest.short
    summary = known[digest]
    if isinstance(summary, str):
        return repository, name.tag, shown, "?", "?"
    platforms = ",".join(summary.platforms) or "-"
    return repository, name.tag, shown, platforms, size_text(summary.size, exact=exact)


def _as_json(
    name: TagName, digest: Digest | None, known: dict[Digest, Summary | str]
) -> dict[str, object]:
    summary = None if digest is None else known[digest]
    row: dict[str, object] = {
        "repository": name.repository,
        "tag": name.tag,
        "digest": None if digest is None else str(digest),
    }
    if isinstance(summary, Summary):
        return row | {
            "media_type": summary.media_type,
            "platforms": list(summary.platforms),
            "size": summary.size,
        }
    return row | {"error": summary or "the tag cannot be read"}
