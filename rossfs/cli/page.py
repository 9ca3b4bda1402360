"""The picture as a page, with a table of the images below it.  Well-formed as XML too."""

from __future__ import annotations

from collections.abc import Iterator

from rossfs import __version__
from rossfs.cli.drawing import text_of
from rossfs.cli.names import familiar
from rossfs.cli.output import count_text, size_text
from rossfs.cli.picture import Scene, draw
from rossfs.image.usage import ImageUsage

_ROWS = 1000
"""Images in the table: with more, a browser is slow."""

_STYLE = """
:root { color-scheme: light dark; }
body { margin: 0; background: #fcfcfa; color: #1f2430; font: 14px/1.5 system-ui, -apple-system,
  "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif; }
main { max-width: 1120px; margin: 0 auto; }
svg { display: block; width: 100%; height: auto; }
section { padding: 0 36px 48px; overflow-x: auto; }
h2 { font-size: 14px; font-weight: 650; margin: 8px 0 6px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th { text-align: left; font-weight: 500; color: #667084; }
th, td { padding: 5px 16px 5px 0; border-bottom: 1px solid #e6e7ea; vertical-align: top; }
.size { text-align: right; white-space: nowrap; }
code { font: 12px ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; color: #667084; }
p { color: #667084; }
@media (prefers-color-scheme: dark) {
  body { background: #15171c; color: #e7eaf0; }
  th, code, p { color: #9ba4b4; }
  th, td { border-color: #272b33; }
}
"""


def page(scene: Scene, images: tuple[ImageUsage, ...]) -> str:
    """The whole document."""
    return (
        "<!DOCTYPE html>\n"
        '<html xmlns="http://www.w3.org/1999/xhtml" lang="en">\n<head>\n'
        '<meta charset="utf-8"/>\n'
        # Nothing is fetched, and should something slip in that would be, the browser refuses.
        '<meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\"/>\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1"/>\n'
        f'<meta name="generator" content="rossfs {__version__}"/>\n'
        f"<title>{text_of(scene.title)}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"{draw(scene)}{''.join(_table(images))}</main>\n</body>\n</html>\n"
    )


def _table(images: tuple[ImageUsage, ...]) -> Iterator[str]:
    if not images:
        return
    yield "<section>\n<h2>All images</h2>\n<table>\n<thead><tr><th>Image</th>"
    yield '<th class="size">Total</th><th class="size">Shared</th>'
    yield '<th class="size">Exclusive</th><th>Digest</th></tr></thead>\n<tbody>\n'
    for image in images[:_ROWS]:
        yield f"<tr><td>{text_of(_names(image))}</td>"
        for size in (image.total, image.shared, image.exclusive):
            yield f'<td class="size">{size_text(size)}</td>'
        yield f'<td><code title="{image.digest}">{image.digest.short}</code></td></tr>\n'
    yield "</tbody>\n</table>\n"
    if len(images) > _ROWS:
        yield f"<p>and {count_text(len(images) - _ROWS, 'more image')}</p>\n"
    yield "</section>\n"


def _names(image: ImageUsage) -> str:
    names = list(map(familiar, image.names))
    if len(names) > 20:
        names[20:] = [f"and {len(names) - 20} more"]
    notes = ["not complete"] if image.missing or image.error else []
    return ", ".join(names + notes)
