"""`rossfs gc`: content that nothing refers to."""

from __future__ import annotations

import click

from rossfs.cli.duration import duration
from rossfs.cli.layercache import layer_cache
from rossfs.cli.output import count_text, print_json, size_text
from rossfs.cli.settings import Settings, pass_settings
from rossfs.image.tables import forget_tables
from rossfs.store.store import Store

EPILOG = """\b
Examples:
  rossfs gc --dry-run
  rossfs gc --delete-untagged --grace 0
"""


@click.command(epilog=EPILOG)
@click.option("-n", "--dry-run", is_flag=True, help="Only show what would be removed.")
@click.option(
    "--delete-untagged",
    is_flag=True,
    help="Remove manifests and indexes too that no tag names, and what only they need.",
)
@click.option(
    "--grace",
    type=duration,
    default="1h",
    show_default=True,
    metavar="DURATION",
    help="Leave alone what came more recently: 90s, 15m, 1h, 2d.",
)
@click.option(
    "--pin-age",
    type=duration,
    metavar="DURATION",
    help="How long names in incoming/ protect their blobs, and oci/ what was put through it."
    "  [default: as the last mount said, 1d]",
)
@click.option("-q", "--quiet", is_flag=True, help="Do not list the digests.")
@click.option("--bytes", "exact", is_flag=True, help="Print the size as a number of bytes.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@pass_settings
def command(
    settings: Settings,
    dry_run: bool,
    delete_untagged: bool,
    grace: float,
    pin_age: float | None,
    quiet: bool,
    exact: bool,
    as_json: bool,
) -> None:
    """Remove content that no tag, manifest, pin or running process needs.

    May run beside mounts and writers.  Prints the digest of each content that is removed.
    """
    with Store.open(settings.store) as store:
        done = store.garbage_collect(dry_run, delete_untagged, grace, pin_age)
        if not dry_run:
            forget_tables(layer_cache(store), done.digests)
    if as_json:
        print_json(
            {
                "dry_run": dry_run,
                "blobs_removed": done.blobs_removed,
                "manifests_removed": done.manifests_removed,
                "bytes_freed": done.bytes_freed,
                "digests": [str(digest) for digest in done.digests],
            }
        )
        return
    if not quiet:
        for digest in done.digests:
            click.echo(str(digest))
    what = (
        f"{count_text(done.blobs_removed, 'blob')}, "
        f"{count_text(done.manifests_removed, 'manifest')}: "
        f"{size_text(done.bytes_freed, exact=exact)}"
    )
    click.echo(f"{'would remove' if dry_run else 'removed'} {what}", err=True)
