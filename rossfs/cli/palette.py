"""The colours and letters of the picture, for light and dark surroundings.

Sand is what one image has for itself, blue what is shared, stronger with more images; both differ
in lightness too, so that they are told apart without colour.
"""

from __future__ import annotations

STYLE = """
text { font: 13px system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
  fill: #1f2430; font-variant-numeric: tabular-nums; }
.title { font-size: 22px; font-weight: 650; letter-spacing: -0.01em; }
.heading { font-weight: 650; font-size: 14px; }
.strong { font-weight: 600; font-size: 15px; }
.muted { fill: #667084; } .small { font-size: 12px; }
.tick { fill: #8a92a3; font-size: 11px; }
.on { font-size: 12px; pointer-events: none; } .note { fill-opacity: 0.72; }
.ground { fill: #fcfcfa; } .grid { stroke: #e6e7ea; } .empty { fill: #eeeff1; }
.alone { fill: #ecc987; } .few { fill: #bdd3ee; } .several { fill: #7eaae0; }
.many, .shared { fill: #3d74bb; }
.untagged { fill: #b4b9c4; } .cache { fill: #dcdfe5; } .rest { fill: #e7e9ee; }
.again { fill: #f4f6f9; stroke: #9fb6d4; stroke-dasharray: 3 2; }
rect.alone:hover, rect.few:hover, rect.several:hover, rect.many:hover { fill-opacity: 0.82; }
text.alone, text.few, text.several, text.again { fill: #1f2430; stroke: none; }
text.many { fill: #ffffff; }
@media (prefers-color-scheme: dark) {
  text { fill: #e7eaf0; } .muted { fill: #9ba4b4; } .tick { fill: #7d8696; }
  .ground { fill: #15171c; } .grid { stroke: #272b33; } .empty { fill: #22262e; }
  .alone { fill: #a47a34; } .few { fill: #324a69; } .several { fill: #3f6fa9; }
  .many, .shared { fill: #76aae8; }
  .untagged { fill: #5b6372; } .cache { fill: #363c47; } .rest { fill: #262b34; }
  .again { fill: #1a1e25; stroke: #4d6a8f; }
  text.alone { fill: #fff6e4; } text.few, text.several, text.again { fill: #e7eaf0; }
  text.many { fill: #0e1a2a; }
}
"""
"""For the element `style` of the picture; there is nothing in it that XML would have escaped."""
