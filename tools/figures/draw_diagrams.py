"""The diagrams of the documentation, as SVG files.

python tools/figures/draw_diagrams.py            # writes into docs/images
"""

import argparse
from collections.abc import Callable
from pathlib import Path

from diagram import BLUE, GREEN, GREY, ORANGE, Diagram
from room_diagram import rooms


def interface() -> Diagram:
    d = Diagram(760, 190)
    d.label(70, 150, "source ids [B, S]")
    d.box(210, 150, "encoder")
    d.arrow((132, 150), (159, 150))
    d.box(400, 150, "memory, final state", GREEN, 160)
    d.right(210, 150, 400 - 32)
    d.box(400, 70, "attention", ORANGE)
    d.arrow((400, 132), (400, 91))
    d.box(600, 70, "decoder state", BLUE, 120)
    d.arrow((540, 63), (451, 63))
    d.label(496, 50, "query")
    d.arrow((448, 77), (537, 77))
    d.label(496, 94, "context")
    d.arrow((480, 150), (600, 150), (600, 91))
    d.label(540, 138, "start")
    d.arrow((600, 52), (600, 24), (700, 24), (700, 70), (663, 70))
    d.label(650, 12, "logits [N, V]")
    d.label(690, 94, "next token")
    return d


def recurrent() -> Diagram:
    d = Diagram(640, 190)
    for t in range(4):
        x = 110 + 140 * t
        d.box(x, 90, f"h{'₁₂₃₄'[t]}")
        d.label(x, 170, f"x{'₁₂₃₄'[t]}")
        d.arrow((x, 156), (x, 111))
        d.arrow((x, 72), (x, 34))
        if t:
            d.right(x - 140, 90, x)
            d.label(x - 70, 76, "W")
        d.label(x + 12, 136, "U", "start")
    d.arrow((14, 90), (59, 90))
    d.label(30, 76, "h₀")
    d.arrow((578, 90), (624, 90))
    d.label(320, 18, "states [B, S, D]")
    return d


def lstm() -> Diagram:
    d = Diagram(660, 230)
    d.label(40, 50, "Cₜ₋₁")
    d.arrow((64, 50), (155, 50))
    d.box(180, 50, "×", GREEN, 44)
    d.arrow((202, 50), (305, 50))
    d.box(330, 50, "+", GREEN, 44)
    d.arrow((352, 50), (606, 50))
    d.label(630, 50, "Cₜ")
    d.box(330, 115, "×", GREEN, 44)
    d.arrow((330, 97), (330, 71))
    for x, name in ((180, "f = σ(·)"), (290, "i = σ(·)"), (400, "C̃ = tanh(·)"), (510, "o = σ(·)")):
        d.box(x, 180, name)
    d.arrow((180, 162), (180, 71))
    d.arrow((290, 162), (290, 115), (305, 115))
    d.arrow((400, 162), (400, 115), (355, 115))
    d.box(540, 115, "×", GREEN, 44)
    d.arrow((540, 162), (540, 136))
    d.arrow((500, 50), (500, 115), (515, 115))
    d.label(470, 84, "tanh")
    d.arrow((562, 115), (606, 115))
    d.label(630, 115, "hₜ")
    d.label(345, 218, "each gate reads xₜ [B, E] and hₜ₋₁ [B, D]")
    return d


def seq2seq() -> Diagram:
    d = Diagram(760, 220)
    words = ("Ein", "Mann", "schläft", "EOS")
    for i, word in enumerate(words):
        x = 60 + 84 * i
        d.box(x, 110, f"h{'₁₂₃₄'[i]}", BLUE, 60)
        d.label(x, 190, word)
        d.arrow((x, 176), (x, 131))
        if i:
            d.right(x - 84, 110, x, 60)
    inputs, outputs = ("SOS", "A", "man", "sleeps"), ("A", "man", "sleeps", "EOS")
    for i, (read, said) in enumerate(zip(inputs, outputs, strict=True)):
        x = 440 + 84 * i
        d.box(x, 110, f"s{'₁₂₃₄'[i]}", ORANGE, 60)
        d.label(x, 190, read)
        d.arrow((x, 176), (x, 131))
        d.arrow((x, 92), (x, 44))
        d.label(x, 28, said)
        if i:
            d.right(x - 84, 110, x, 60)
    d.arrow((342, 110), (407, 110))
    d.label(375, 96, "bridge")
    return d


def act() -> Diagram:
    d = Diagram(700, 220)
    for n in range(3):
        x = 150 + 170 * n
        d.box(x, 130, f"s{'₁₂₃'[n]}")
        d.box(x, 60, f"h{'₁₂₃'[n]} = σ(·)", ORANGE)
        d.up(x, 130, 60)
        d.label(x, 22, ("p₁ = h₁", "p₂ = h₂", "p₃ = 1 − h₁ − h₂")[n])
        d.label(x, 204, f"x, flag {1 if n == 0 else 0}")
        d.arrow((x, 190), (x, 151))
        if n:
            d.right(x - 170, 130, x)
    d.arrow((12, 130), (99, 130))
    d.label(50, 112, "last token's")
    d.label(50, 150, "state")
    d.arrow((538, 130), (584, 130))
    d.label(640, 118, "s = Σ pₙ sₙ")
    d.label(640, 142, "to the next token")
    return d


def transformer() -> Diagram:
    d = Diagram(800, 380)
    for x, side, layers, title in (
        (250, "end", ("self-attention", "feed-forward"), "encoder layer, × L"),
        (540, "start", ("masked self-attention", "attention over source", "feed-forward"), "decoder layer, × L"),
    ):
        heights = [250 - 62 * i for i in range(len(layers))]
        top = heights[-1] - 32
        frame = f'x="{x - 106}" y="{top}" width="212" height="{282 - top}"'
        d.parts.append(f'<rect {frame} rx="10" fill="none" stroke="{GREY}" stroke-dasharray="5 4"/>')
        d.box(x, 325, "embedding + position", BLUE, 180)
        d.label(x, 364, "source ids [B, S]" if side == "end" else "target ids [B, T]")
        for name, y, below in zip(layers, heights, [325, *heights], strict=False):
            d.box(x, y, name, GREEN if name == "feed-forward" else ORANGE, 180)
            d.up(x, below, y)
        d.label(x - 112 if side == "end" else x + 112, 250, title, side)
        d.arrow((x, heights[-1] - 18), (x, top - 22))
        d.label(x, top - 36, "memory [B, S, D]" if side == "end" else "logits [B, T, V]")
    d.arrow((315, 120), (400, 120), (400, 188), (446, 188))
    return d


def language_model() -> Diagram:
    d = Diagram(700, 250)
    d.box(180, 130, "translation model", BLUE, 150)
    d.box(500, 130, "language model", ORANGE, 150)
    d.label(80, 226, "source x")
    d.arrow((80, 212), (80, 130), (101, 130))
    d.label(340, 226, "tokens so far, y₁ … yₜ₋₁ [N, t]")
    for x in (180, 500):
        d.arrow((340, 210), (340, 190), (x, 190), (x, 151))
    d.box(340, 70, "+", GREEN, 44)
    d.arrow((180, 112), (180, 70), (315, 70))
    d.label(165, 54, "log p(yₜ | x, y₁ … yₜ₋₁)")
    d.arrow((500, 112), (500, 70), (365, 70))
    d.label(520, 54, "λ log p(yₜ | y₁ … yₜ₋₁)")
    d.arrow((340, 52), (340, 26))
    d.label(340, 12, "next token [N, V]")
    return d


DIAGRAMS: dict[str, Callable[[], Diagram]] = {
    function.__name__: function
    for function in (interface, recurrent, lstm, seq2seq, act, transformer, language_model, rooms)
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    images = Path(__file__).resolve().parents[2] / "docs" / "images"
    parser.add_argument("-o", "--output", type=Path, default=images, help="folder to write to (docs/images)")
    output = parser.parse_args().output
    output.mkdir(parents=True, exist_ok=True)
    for name, draw in DIAGRAMS.items():
        (output / f"{name}.svg").write_text(draw().svg(), encoding="utf-8")


if __name__ == "__main__":
    main()
