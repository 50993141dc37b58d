"""Boxes, arrows and labels as SVG, in colours that can be read on a light and on a dark page."""

from dataclasses import dataclass, field
from html import escape

BLUE, ORANGE, GREEN, GREY = "#35618f", "#b25d1e", "#3d7a52", "#7b8794"
WIDTH, HEIGHT = 96, 36
"""Of a box, in pixels."""


@dataclass
class Diagram:
    """Boxes, arrows and labels; positions are those of the centres of boxes."""

    width: int
    height: int
    parts: list[str] = field(default_factory=list)

    def box(self, x: float, y: float, text: str, colour: str = BLUE, width: float = WIDTH) -> None:
        corner = f'x="{x - width / 2:g}" y="{y - HEIGHT / 2:g}" width="{width:g}" height="{HEIGHT}"'
        self.parts.append(f'<rect {corner} rx="6" fill="{colour}"/>')
        self._text(x, y, text, "#ffffff")

    def label(self, x: float, y: float, text: str, anchor: str = "middle") -> None:
        self._text(x, y, text, GREY, anchor)

    def _text(self, x: float, y: float, text: str, colour: str, anchor: str = "middle") -> None:
        place = f'x="{x:g}" y="{y + 5:g}" text-anchor="{anchor}"'
        self.parts.append(f'<text {place} fill="{colour}">{escape(text)}</text>')

    def arrow(self, *points: tuple[float, float]) -> None:
        path = " ".join(f"{x:g},{y:g}" for x, y in points)
        line = f'<polyline points="{path}" fill="none" stroke="{GREY}" stroke-width="1.6"'
        self.parts.append(f'{line} marker-end="url(#tip)"/>')

    def up(self, x: float, y: float, to: float) -> None:
        """An arrow between boxes, from the upper edge of one to the lower edge of another."""
        self.arrow((x, y - HEIGHT / 2), (x, to + HEIGHT / 2 + 3))

    def right(self, x: float, y: float, to: float, width: float = WIDTH) -> None:
        self.arrow((x + width / 2, y), (to - width / 2 - 3, y))

    def svg(self) -> str:
        tip = f'<path d="M0,0 L8,4 L0,8 z" fill="{GREY}"/>'
        marker = f'<marker id="tip" markerWidth="8" markerHeight="8" refX="7" refY="4" orient="auto">{tip}</marker>'
        head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {self.width} {self.height}"'
        style = 'font-family="system-ui, sans-serif" font-size="14"'
        body = "\n".join(self.parts)
        return f'{head} width="{self.width}" height="{self.height}" {style}>\n<defs>{marker}</defs>\n{body}\n</svg>\n'
