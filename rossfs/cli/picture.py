"""One picture of a store: images, the layers that they share, and where the bytes are.

At the top one bar is everything that is stored.  Below, each image is a row and each layer a block
in it, as wide as it is large, the bottom layer at the left; a layer that several rows begin with is
one block across them all, for it is stored once.  Colours say how many images need a layer.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from rossfs.cli.drawing import fitted, line, number, rectangle, text, text_of, width_of
from rossfs.cli.names import familiar
from rossfs.cli.output import count_text, size_text
from rossfs.cli.palette import STYLE
from rossfs.image.sharing import Block, Row, Sharing
from rossfs.oci.digest import Digest

WIDTH = 1120
_MARGIN = 36
_LABELS = 232
_TOTALS = 76
_PLOT = WIDTH - 2 * _MARGIN - _LABELS - _TOTALS
_LEFT = _MARGIN + _LABELS
_GAP = 1.5
_NAMED = 12

_SHORT = 8
"""Letters of a build step that say nothing yet."""

FINEST = 3 / _PLOT
"""Layers that would be narrower than three pixels are drawn together."""


class Slice(NamedTuple):
    """A part of all that is stored."""

    kind: str
    """Its class: alone, shared, untagged or cache."""
    label: str
    size: int
    title: str


class Scene(NamedTuple):
    """What there is to draw."""

    title: str
    facts: str
    """The line below the title."""
    slices: tuple[Slice, ...]
    sharing: Sharing
    steps: Mapping[Digest, str]
    """Which build step made a layer, where that is known."""
    foot: str


def draw(scene: Scene) -> str:
    """The picture as an SVG element, complete with its style."""
    picture = _Picture(scene)
    body = "\n".join(picture.elements())
    height = number(picture.y)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
        f'height="{height}" role="img" aria-labelledby="picture-title picture-text">\n'
        f'<title id="picture-title">{text_of(scene.title)}</title>\n'
        f'<desc id="picture-text">{text_of(scene.facts)}</desc>\n'
        f"<style>{STYLE}</style>\n"
        f'<rect class="ground" width="{WIDTH}" height="{height}"/>\n{body}\n</svg>\n'
    )


def label_of(row: Row) -> list[str]:
    """What a row is called: its tags as people write them, with platforms; or its digest."""
    names = [f"{familiar(name)} {platform}".rstrip() for name, platform in row.names]
    return names or [row.digest.short]


class _Picture:
    """Draws from the top down: `y` is where the next thing begins."""

    def __init__(self, scene: Scene) -> None:
        self._scene = scene
        self.y = 0.0

    def elements(self) -> Iterator[str]:
        yield from self._head()
        yield from self._bar()
        if self._scene.sharing.rows:
            yield from self._stacks()
        yield from self._foot()

    def _head(self) -> Iterator[str]:
        room = WIDTH - 2 * _MARGIN
        yield text(_MARGIN, 52, fitted(self._scene.title, 22, room), "title")
        yield text(_MARGIN, 77, fitted(self._scene.facts, 14, room), "muted")
        self.y = 104

    def _bar(self) -> Iterator[str]:
        """Everything that is stored, and what it is made of: the legend at the same time."""
        whole = sum(piece.size for piece in self._scene.slices)
        x = float(_MARGIN)
        room = WIDTH - 2 * _MARGIN
        pieces = [piece for piece in self._scene.slices if piece.size]
        for piece in pieces:
            width = room * piece.size / whole
            title = f"{piece.label}: {size_text(piece.size)}\n{piece.title}"
            drawn = max(1.0, width - _GAP)
            yield rectangle(x, self.y, drawn, 26, piece.kind, title=title, round_=min(3, drawn / 2))
            x += width
        if not pieces:
            yield rectangle(x, self.y, room, 26, "empty", round_=3)
        self.y += 52
        column = room / max(1, len(self._scene.slices))
        for position, piece in enumerate(self._scene.slices):
            x = _MARGIN + position * column
            part = f" · {_percent(piece.size, whole)}" if whole else ""
            yield rectangle(x, self.y - 10, 11, 11, piece.kind, round_=2)
            yield text(x + 18, self.y, piece.label, "muted")
            yield text(x + 18, self.y + 20, size_text(piece.size) + part, "strong")
        self.y += 64

    def _stacks(self) -> Iterator[str]:
        sharing = self._scene.sharing
        yield text(_MARGIN, self.y, "Images", "heading")
        explanation = (
            "one row each, layers from the bottom at the left, as wide as they are large; "
            "shared layers are one block"
        )
        yield text(_LEFT, self.y, explanation, "muted")
        self.y += 26
        height = _row_height(len(sharing.rows))
        scale = _PLOT / max(1, sharing.width)
        bottom = self.y + 14 + height * len(sharing.rows)
        yield from self._axis(sharing.width, scale, bottom)
        self.y += 14
        for position, row in enumerate(sharing.rows):
            yield from self._row(row, self.y + position * height, height)
        for block in sharing.blocks:
            yield from self._block(block, scale, height)
        self.y = bottom
        if sharing.rest:
            yield from self._rest()
        self.y += 34
        yield from self._legend()

    def _axis(self, widest: int, scale: float, bottom: float) -> Iterator[str]:
        step = _tick(widest)
        for value in range(0, widest + 1, step):
            x = _LEFT + value * scale
            if value and x > _LEFT + _PLOT - 20 and value != widest:
                break
            yield line(x, self.y + 6, x, bottom, "grid")
            label = size_text(value).replace(".0 ", " ") if value else "0"
            yield text(x, self.y, label, "tick", anchor="middle")
        yield text(WIDTH - _MARGIN, self.y, "layers", "tick", anchor="end")

    def _row(self, row: Row, y: float, height: float) -> Iterator[str]:
        names = label_of(row)
        more = f"  +{len(names) - 1}" if len(names) > 1 else ""
        baseline = y + height / 2 + 4.5
        label = fitted(names[0], 13, _LABELS - 16 - width_of(more, 13)) + more
        title = "\n".join([*_some(names), str(row.digest), _summary(row)])
        yield text(_LEFT - 12, baseline, label, "label", anchor="end", title=title)
        total = size_text(row.total)
        yield text(WIDTH - _MARGIN, baseline, total, "label", anchor="end", title=_summary(row))

    def _block(self, block: Block, scale: float, height: float) -> Iterator[str]:
        x, y = _LEFT + block.offset * scale, self.y + block.first * height
        width = max(1.0, block.size * scale - _GAP)
        tall = block.rows * height - _GAP
        kind = "again" if block.repeated else _kind(block.users)
        yield rectangle(x, y, width, tall, kind, title=self._about(block), round_=min(3, width / 2))
        size = size_text(block.size)
        room = width - 12
        if width_of(size, 12) > room or tall < 14:
            return
        baseline = y + tall / 2 + 4
        step = self._scene.steps.get(block.layers[0], "") if len(block.layers) == 1 else ""
        notes = f"in {block.users} images" if block.rows > 1 else step
        if block.rows > 1 and tall > 40:
            yield text(x + 8, baseline - 8, size, f"on {kind}")
            short = notes if width_of(notes, 12) <= room else f"in {block.users}"
            yield text(x + 8, baseline + 8, short, f"on note {kind}")
            return
        yield text(x + 8, baseline, size, f"on {kind}")
        after = x + 8 + width_of(size, 12) + 8
        rest = fitted(notes, 12, x + width - 4 - after)
        if len(rest) > _SHORT or rest == notes:
            yield text(after, baseline, rest, f"on note {kind}")

    def _about(self, block: Block) -> str:
        """What the pointer finds out about a block."""
        users = "one image only" if block.users == 1 else f"{block.users} images"
        lines = [f"{size_text(block.size)}, in {users}"]
        if block.repeated:
            lines.append("drawn further up too, in another stack")
        if len(block.layers) > 1:
            lines.append(count_text(len(block.layers), "small layer"))
        for digest in block.layers[:_NAMED]:
            step = self._scene.steps.get(digest, "")
            lines.append(f"{digest.short if step else digest}  {fitted(step, 1, 60)}".rstrip())
        rows = self._scene.sharing.rows[block.first : block.first + block.rows]
        lines += _some([label_of(row)[0] for row in rows])
        return "\n".join(lines)

    def _rest(self) -> Iterator[str]:
        sharing = self._scene.sharing
        self.y += 8
        own = size_text(sharing.rest_alone.size)
        common = size_text(sharing.rest_common.size)
        told = f"{own} in {count_text(sharing.rest_alone.number, 'layer')} of their own"
        if sharing.rest_common.number:
            told += f", and {common} of the layers above"
        label = f"{sharing.rest} more"
        yield rectangle(_LEFT, self.y, _PLOT - _GAP, 24, "rest", round_=3, title=told)
        yield text(_LEFT - 12, self.y + 16.5, label, "label", anchor="end")
        yield text(_LEFT + 10, self.y + 16.5, told, "on")
        self.y += 24

    def _legend(self) -> Iterator[str]:
        blocks = self._scene.sharing.blocks
        kinds = {"again" if block.repeated else _kind(block.users) for block in blocks}
        x = float(_LEFT)
        for kind, label in _KINDS:
            if kind in kinds:
                yield rectangle(x, self.y - 10, 11, 11, kind, round_=2)
                yield text(x + 17, self.y, label, "muted small")
                x += 17 + width_of(label, 12) + 22
        self.y += 10

    def _foot(self) -> Iterator[str]:
        self.y += 22
        yield text(_MARGIN, self.y, self._scene.foot, "tick")
        self.y += 30


_KINDS = (
    ("alone", "in one image"),
    ("few", "in 2 to 4"),
    ("several", "in 5 to 19"),
    ("many", "in 20 or more"),
    ("again", "drawn further up too"),
)


def _kind(users: int) -> str:
    if users < 2:
        return "alone"
    if users < 5:
        return "few"
    return "several" if users < 20 else "many"


def _row_height(rows: int) -> float:
    return 34 if rows <= 6 else 28 if rows <= 16 else 22


def _tick(widest: int) -> int:
    """The distance of the marks of the axis: about five, at round numbers."""
    step = 1
    while widest > 6 * step:
        for factor in (2, 5, 10):
            if widest <= 6 * step * factor:
                return step * factor
        step *= 10
    return step


def _percent(size: int, whole: int) -> str:
    part = 100 * size / whole
    if 0 < part < 1:
        return "under 1 %"
    return "over 99 %" if 99 < part < 100 else f"{part:.0f} %"


def _some(names: list[str]) -> list[str]:
    """The first of *names*, and how many more there are."""
    if len(names) <= _NAMED:
        return names
    return [*names[:_NAMED], f"and {len(names) - _NAMED} more"]


def _summary(row: Row) -> str:
    return f"{count_text(len(row.layers), 'layer')}, {size_text(row.total)}"
