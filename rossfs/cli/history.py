"""`rossfs history`: how an image was built, and which step made which layer."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from rossfs.cli.names import complete
from rossfs.cli.output import name_text, print_json_array, print_table, size_text
from rossfs.cli.platform import image_named, platform_option
from rossfs.cli.settings import Settings, pass_settings
from rossfs.errors import UsageError
from rossfs.image.configuration import read_config
from rossfs.image.layerhistory import Step, steps
from rossfs.oci.platform import Platform
from rossfs.store.store import Store

_WIDTH = 60

_NOISE = "/bin/sh -c #(nop) "
"""What docker's first builder put in front of every step that ran no command."""

EPILOG = """\b
Examples:
  rossfs history nginx
  rossfs history --no-trunc nginx | grep apt-get
  rossfs history --json nginx | jq -r '.[] | select(.layer) | "\\(.size) \\(.created_by)"'
"""


@click.command(epilog=EPILOG)
@click.argument("name", shell_complete=complete)
@click.option("--no-trunc", is_flag=True, help="Print digests and build steps in full.")
@platform_option
@click.option("--bytes", "exact", is_flag=True, help="Print sizes as numbers of bytes.")
@click.option("--json", "as_json", is_flag=True, help="Print a JSON array.")
@pass_settings
def command(
    settings: Settings,
    name: str,
    no_trunc: bool,
    platform: Platform | None,
    exact: bool,
    as_json: bool,
) -> None:
    """Show the build steps of the image NAME, the last one first.

    SIZE is that of the layer as it is stored, which is mostly compressed.  A step that changed no
    file has no layer.  LAYER is the position of the layer, 00 is the bottom, and the beginning of
    its digest, as in the names below layers/ of a mount.  A layer that is not stored has no size.
    """
    with Store.open(settings.store) as store:
        image = image_named(store, name, platform)
        if not image.manifest.is_image:
            raise UsageError(f"{image.digest} is no image: it has no history")
        made = reversed(steps(read_config(store, image), image.manifest.layers))
        rows = [(step, _stored_size(store, step)) for step in made]
    if as_json:
        print_json_array(_as_json(step, size) for step, size in rows)
        return
    print_table(
        ("CREATED", "SIZE", "LAYER", "CREATED BY"),
        [
            (
                _time(step.history.created),
                "-" if size is None else size_text(size, exact=exact),
                _layer(step, full=no_trunc),
                _created_by(step, full=no_trunc),
            )
            for step, size in rows
        ],
    )


def _stored_size(store: Store, step: Step) -> int | None:
    """The bytes that the layer takes in the store; 0 for a step without, None if it is absent."""
    if step.layer is None:
        return 0
    found = store.stat_blob(step.layer.digest)
    return None if found is None else found.size


def _time(text: str) -> str:
    """A time of RFC 3339 to the second, in UTC; what is none, as it is."""
    try:
        moment = datetime.fromisoformat(text)
        # One without a zone would be taken for local time.
        moment = moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return name_text(_cut(text, 20)) or "-"
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def _layer(step: Step, *, full: bool) -> str:
    if step.layer is None or step.position is None:
        return "-"
    digest = step.layer.digest
    return f"{step.position:02d}-{digest if full else digest.short}"


def _created_by(step: Step, *, full: bool) -> str:
    text = " ".join((step.history.created_by or step.history.comment).split())
    return name_text(text if full else _cut(text.removeprefix(_NOISE), _WIDTH)) or "-"


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: width - 3] + "..."


def _as_json(step: Step, size: int | None) -> dict[str, object]:
    layer = step.layer
    return step.history._asdict() | {
        "layer": None if layer is None else str(layer.digest),
        "position": step.position,
        "diff_id": None if step.diff_id is None else str(step.diff_id),
        "media_type": None if layer is None else layer.media_type,
        "size": size,
    }
