"""`rossfs du`: the bytes that images take, shared and alone."""

from __future__ import annotations

from collections.abc import Iterator

import click

from rossfs.cli.names import complete, familiar, resolve
from rossfs.cli.output import count_text, print_fields, print_json, print_table, size_text
from rossfs.cli.settings import Settings, pass_settings
from rossfs.image.resolve import read
from rossfs.image.usage import Amount, ImageUsage, Stored, Usage, files_in, survey, untagged
from rossfs.oci.digest import Digest
from rossfs.store.store import Store

_NAMES = 3

EPILOG = """\b
Examples:
  rossfs du
  rossfs du --layers nginx debian
  rossfs du --json | jq -r '.images[] | "\\(.exclusive)\\t\\(.tags[0])"' | sort -rn
"""


@click.command(epilog=EPILOG)
@click.argument("names", metavar="[NAME]...", nargs=-1, shell_complete=complete)
@click.option("--layers", is_flag=True, help="Show each layer of each image too.")
@click.option("--full", is_flag=True, help="Print all names, and digests in full.")
@click.option("--bytes", "exact", is_flag=True, help="Print sizes as numbers of bytes.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@pass_settings
def command(
    settings: Settings,
    names: tuple[str, ...],
    layers: bool,
    full: bool,
    exact: bool,
    as_json: bool,
) -> None:
    """Show what each image NAME, a tag or a digest, takes; without NAME, all tagged images, the
    one that takes most first.

    TOTAL is all that is stored of the image, an index with all of its platforms.  SHARED is the
    part that other tagged images need too, EXCLUSIVE the rest: what would be freed without it.
    What is common to several images is in the TOTAL of each, but only once in the last lines.
    """
    with Store.open(settings.store) as store:
        wanted = [read(store, resolve(store, name).digest).digest for name in names]
        usage = survey(store, *wanted)
        chosen = _chosen(usage, wanted)
        rest = untagged(store, usage)
        tables = files_in(store.paths.cache)
    for line in (*usage.faults, *_errors(chosen)):
        click.echo(f"rossfs: {line}", err=True)
    if as_json:
        print_json(_as_json(usage, chosen, rest, tables, layers=layers))
        return
    head = ("IMAGE", "TOTAL", "SHARED", "EXCLUSIVE", *(("IMAGES",) if layers else ()))
    rows: list[tuple[str, ...]] = []
    for image in chosen:
        sizes = (image.total, image.shared, image.exclusive)
        shown = [size_text(size, exact=exact) for size in sizes]
        rows.append((_title(image, full=full), *shown, *(("",) if layers else ())))
        if layers:
            rows += _layers(usage, image, full=full, exact=exact)
    if rows or not names:
        print_table(head, rows)
    if not names:
        click.echo()
        _print_totals(usage, rest, tables, exact=exact)


def _chosen(usage: Usage, wanted: list[Digest]) -> list[ImageUsage]:
    """What to show: the images *wanted*, each once and in this order, or all."""
    if not wanted:
        return list(usage.images)
    known = {image.digest: image for image in usage.images}
    return [known[digest] for digest in dict.fromkeys(wanted)]


def _errors(images: list[ImageUsage]) -> Iterator[str]:
    for image in images:
        if image.error:
            yield f"{_title(image, full=False)}: {image.error}"
        elif image.missing:
            missing = count_text(image.missing, "content")
            yield f"{_title(image, full=False)}: {missing} not stored"


def _title(image: ImageUsage, *, full: bool) -> str:
    """The names of an image; the digest of one that has none."""
    names = list(map(familiar, image.names))
    if not names:
        return str(image.digest) if full else image.digest.short
    if full or len(names) <= _NAMES:
        return ",".join(names)
    return f"{','.join(names[: _NAMES - 1])},+{len(names) - _NAMES + 1}"


def _layers(
    usage: Usage, image: ImageUsage, *, full: bool, exact: bool
) -> Iterator[tuple[str, str, str, str, str]]:
    """A row for each layer, and one for everything else that the image needs."""
    layers = _layers_of(image)
    for digest in layers:
        found = usage.contents[digest]
        name = str(digest) if full else digest.short
        if found.size is None:
            yield f"  {name}", "-", "-", "-", str(found.users)
            continue
        size = size_text(found.size, exact=exact)
        shared = (size, "-") if found.users > 1 else ("-", size)
        yield f"  {name}", size, *shared, str(found.users)
    others = [usage.contents[digest] for digest in image.contents if digest not in layers]
    shared_size, own_size = _sum(others, shared=True), _sum(others, shared=False)
    yield (
        "  manifests and configs",
        size_text(shared_size + own_size, exact=exact),
        size_text(shared_size, exact=exact) if shared_size else "-",
        size_text(own_size, exact=exact) if own_size else "-",
        "",
    )


def _layers_of(image: ImageUsage) -> dict[Digest, None]:
    """The layers of all parts of an image, each once, in their order."""
    return dict.fromkeys(layer for part in image.parts for layer in part.layers)


def _sum(contents: list[Stored], *, shared: bool) -> int:
    return sum(one.size or 0 for one in contents if (one.users > 1) is shared)


def _print_totals(usage: Usage, rest: Amount, tables: Amount, *, exact: bool) -> None:
    tagged = _amount(usage.tagged, "content", exact=exact)
    shared = size_text(usage.shared.size, exact=exact)
    images = count_text(len(usage.images), "image")
    print_fields(
        [
            ("tagged", f"{tagged} of {images}, {shared} of it shared"),
            ("untagged", _amount(rest, "content", exact=exact)),
            ("cache", _amount(tables, "file", exact=exact)),
        ]
    )


def _amount(amount: Amount, noun: str, *, exact: bool) -> str:
    return f"{size_text(amount.size, exact=exact)} in {count_text(amount.number, noun)}"


def _as_json(
    usage: Usage, chosen: list[ImageUsage], rest: Amount, tables: Amount, *, layers: bool
) -> dict[str, object]:
    tagged, shared = usage.tagged, usage.shared
    return {
        "images": [_image_json(usage, image, layers=layers) for image in chosen],
        "tagged": {"contents": tagged.number, "size": tagged.size},
        "shared": {"contents": shared.number, "size": shared.size},
        "untagged": {"contents": rest.number, "size": rest.size},
        "cache": {"files": tables.number, "size": tables.size},
    }


def _image_json(usage: Usage, image: ImageUsage, *, layers: bool) -> dict[str, object]:
    described: dict[str, object] = {
        "digest": str(image.digest),
        "tags": [str(name) for name in image.names],
        "total": image.total,
        "shared": image.shared,
        "exclusive": image.exclusive,
        "missing": image.missing,
    }
    if image.error:
        described["error"] = image.error
    if layers:
        described["layers"] = [
            {
                "digest": str(digest),
                "size": usage.contents[digest].size,
                "images": usage.contents[digest].users,
            }
            for digest in _layers_of(image)
        ]
    return described
