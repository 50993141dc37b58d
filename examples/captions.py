"""Captions of pictures with attention (Xu et al. 2015), attached to nmt from outside.

    cd examples && python captions.py                             # at most two minutes on one CPU core
    nmt translate runs/captions/model --plugin captions -i runs/captions/test.txt

The program draws pictures of one or two shapes with a sentence about each, and trains a model that writes the sentence.
A line of source text is the name of a PNG file. Three components make that possible: a vocabulary of pixels, a task
that uses it for sources, and a convolutional encoder. The decoder, the trainer and beam search are those of nmt.
``runs/captions/captions.png`` shows where the model looks at each word.
"""

import argparse
import random
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from matplotlib.image import imread, imsave
from torch import Tensor, nn

import nmt
from nmt.data.batch import make_batch
from nmt.data.vocabulary.base import SPECIALS, Piece
from nmt.data.vocabulary.files import Vocabularies
from nmt.data.vocabulary.words import WordVocabulary
from nmt.models.contracts import Encoder, EncoderOutput, EncoderParts, Memory
from nmt.plotting.style import Picture, style
from nmt.recipe.options import Options
from nmt.recipe.schema import VocabularyOptions
from nmt.tasks.base import Task

SIZE = 24
"""Pixels of a side of a picture."""
NUM_VALUES, NUM_CELLS, COLUMNS = 3 * SIZE**2, SIZE // 4, 9
"""Numbers of a picture, cells of a side, which the decoder attends to, and panels for a picture and its words."""
COLOURS = {"red": (0.9, 0.2, 0.2), "green": (0.2, 0.7, 0.3), "blue": (0.2, 0.4, 0.9), "yellow": (0.95, 0.8, 0.2)}


class Pixels(WordVocabulary):
    """The numbers from 0 to 255. A text is the name of a PNG file: red, green and blue of each pixel, row by row."""

    suffix = ".pixels"

    def _pieces(self, text: str) -> list[Piece]:
        try:
            pixels = imread(text.strip())[:, :, :3].reshape(NUM_VALUES)
        except (OSError, SyntaxError, IndexError, ValueError) as error:
            message = f"{text!r} is not a picture of {SIZE} x {SIZE} pixels in colour: {error}."
            raise nmt.UserError(message, "Give the name of such a PNG file.") from None
        return [Piece(len(SPECIALS) + value, 0, len(text)) for value in np.rint(255 * pixels).astype(int).tolist()]


class Captions(Task):
    """The source is a picture, and the target a sentence about it."""

    name = "captions"
    reports_degenerate = False

    def learn_vocabularies(
        self, options: VocabularyOptions, pairs: Iterable[tuple[str, str]], tags: Sequence[str], terms: bool
    ) -> Vocabularies:
        target = WordVocabulary.learn((caption for _, caption in pairs), options, (), "the captions")
        return Vocabularies(Pixels([str(value) for value in range(256)]), target)


class PictureEncoder(Encoder):
    """Convolutions; an annotation for each cell of 4 x 4 pixels, to which a learned vector of its place is added."""

    def __init__(self, options: Options, parts: EncoderParts) -> None:
        super().__init__()
        size = self.final_size = parts.embedding.size
        self.memory_sizes = (size,)
        self.layers = nn.Sequential(
            nn.Conv2d(3, size // 2, 5, stride=2, padding=2),
            nn.ReLU(),
            nn.Conv2d(size // 2, size, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(size, size, 1),
        )
        self.place_SD = nn.Parameter(torch.randn(NUM_CELLS**2, size))

    def forward(self, source_BS: Tensor, source_length_B: Tensor) -> EncoderOutput:
        values_BHWC = source_BS[:, :NUM_VALUES].unflatten(1, (SIZE, SIZE, 3)) - len(SPECIALS)
        pixels_BCHW = values_BHWC.movedim(3, 1).to(self.place_SD.dtype) / 127.5 - 1
        cells_BSD = self.layers(pixels_BCHW).flatten(2).transpose(1, 2)
        annotations_BSD = (cells_BSD + self.place_SD).relu()
        return EncoderOutput((Memory(annotations_BSD, torch.ones_like(annotations_BSD[:, :, 0], dtype=torch.bool)),))


COMPONENTS = {"pixels": Pixels, "captions": Captions, "picture": PictureEncoder}
# The first state is learned, so that all that the decoder knows of a picture comes from attention.
DECODER = {"type": "bahdanau", "cell": "gru", "hidden_size": 96, "attention": {"type": "additive", "size": 48}}
RECIPE: dict[str, Any] = {
    "task": "captions",
    "data": {"source": "png", "target": "en", "max_length": NUM_VALUES},
    "vocabulary": {"type": "word", "joint": False},
    "model": {"embedding_size": 64, "encoder": {"type": "picture"}, "decoder": {**DECODER, "bridge": "learned"}},
    "training": {"batch_tokens": 32 * NUM_VALUES, "learning_rate": 0.003, "schedule": "cosine", "metric": "accuracy"},
    "decoding": {"max_length": 16, "restore_case": False},
}


def draw(folder: Path, rng: random.Random) -> tuple[str, str, list[tuple[int, int, int, int]]]:
    """Draws one or two shapes. Returns the file, a sentence, and the left, top, right and bottom edge of each shape.

    The sentence begins with the left or upper shape, along the larger distance.
    """
    kinds, count = ("circle", "square", "triangle"), rng.choice((1, 2, 2))
    shapes = [(rng.choice([*COLOURS]), rng.choice(kinds), rng.randint(3, 5)) for _ in range(count)]
    while True:
        places = [(rng.randint(5, SIZE - 6), rng.randint(5, SIZE - 6)) for _ in shapes]
        across, down = (last - first for first, last in zip(places[0], places[-1], strict=True))
        if len(shapes) == 1 or (max(abs(across), abs(down)) >= 10 and abs(abs(across) - abs(down)) >= 3):
            break
    drawn = sorted(zip(places, shapes, strict=True), key=lambda each: each[0][abs(across) <= abs(down)])
    names = [f"a {colour} {shape}" for _, (colour, shape, _) in drawn]
    caption = (" left of " if abs(across) > abs(down) else " above ").join(names)
    if len(names) == 1:
        x, y = places[0]
        caption += f" at the {('top', 'bottom')[y >= SIZE // 2]} {('left', 'right')[x >= SIZE // 2]}"
    pixels_HWC = np.random.default_rng(rng.getrandbits(32)).normal(0.95, 0.04, (SIZE, SIZE, 3))
    for (x, y), (colour, shape, radius) in drawn:
        down_HW, right_HW = np.mgrid[-y : SIZE - y, -x : SIZE - x]
        is_inside = {
            "circle": np.hypot(right_HW, down_HW) <= radius,
            "square": np.maximum(abs(right_HW), abs(down_HW)) <= 0.85 * radius,
            "triangle": (abs(right_HW) <= (down_HW + radius) / 2) & (down_HW <= radius),
        }
        pixels_HWC[is_inside[shape]] += np.array(COLOURS[colour]) - 0.95
    content = np.rint(255 * pixels_HWC.clip(0, 1)).astype(np.uint8)
    # The name changes with the content, because nmt recognises encoded text by its lines.
    path = folder / f"{zlib.crc32(content.tobytes()):08x}.png"
    imsave(path, content)
    return str(path), caption, [(x - radius, y - radius, x + radius, y + radius) for (x, y), (*_, radius) in drawn]


@torch.no_grad()
def attention(mt: nmt.Translator, path: str, caption: str) -> Tensor:
    """Returns the weight of each cell at each word of a caption. [T, NUM_CELLS, NUM_CELLS]"""
    batch = make_batch([(mt.encode_source(path), mt.encode_target(caption))], mt.vocabularies).to(mt.model.device)
    output = mt.model(batch.source_BS, batch.source_length_B, batch.target_input_BT, need_weights=True)
    return output.weights_BHTS[0, 0, :-1].unflatten(1, (NUM_CELLS, NUM_CELLS)).cpu()


def hits(weights_TYX: Tensor, edges: Sequence[tuple[int, int, int, int]]) -> list[bool]:
    """Returns, for each colour and shape of a caption, whether the cell with most attention touches that shape."""
    found = []
    for (left, top, right, bottom), words in zip(edges, ((1, 2), (-2, -1)), strict=False):
        for word in words:
            y, x = (4 * place for place in divmod(int(weights_TYX[word].argmax()), NUM_CELLS))
            found.append(left < x + 4 and x <= right and top < y + 4 and y <= bottom)
    return found


def plot(mt: nmt.Translator, paths: Sequence[str]) -> Picture:
    """Draws a row for each picture: the picture, and for each word what it attends to in bright colours."""
    captions = [translation.text for translation in mt.translate(paths)]
    with style(captions):
        figure = Picture(figsize=(0.9 * COLUMNS, 1.1 * len(paths)), layout="constrained")
        empty = {"xticks": (), "yticks": (), "frame_on": False}
        axes = figure.subplots(len(paths), COLUMNS, squeeze=False, subplot_kw=empty)
        for row, path, caption in zip(axes, paths, captions, strict=True):
            pixels_HWC = imread(path)[:, :, :3]
            row[0].imshow(pixels_HWC)
            for panel, word, weights_YX in zip(row[1:], caption.split(), attention(mt, path, caption), strict=False):
                light_HW = nn.functional.interpolate(weights_YX[None, None], (SIZE, SIZE), mode="bilinear")[0, 0]
                panel.imshow((0.15 + 0.85 * light_HW / light_HW.max()).numpy()[:, :, None] * pixels_HWC)
                panel.set_title(word)
    return figure


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("runs/captions"), metavar="FOLDER")
    parser.add_argument("--pictures", type=int, default=4000, metavar="N", help="drawn for training")
    parser.add_argument("--updates", type=int, default=1300, metavar="N")
    options = parser.parse_args()
    (options.output / "pictures").mkdir(parents=True, exist_ok=True)
    rng = random.Random(1)
    drawings = [draw(options.output / "pictures", rng) for _ in range(options.pictures + 600)]
    pairs, test = [(path, caption) for path, caption, _ in drawings], drawings[-400:]
    paths = [path for path, *_ in test]
    (options.output / "test.txt").write_text("".join(f"{path}\n" for path in paths))

    nmt.load_plugin("captions")
    RECIPE["training"] |= {"max_steps": options.updates, "validate_every": 650}
    recipe, output = nmt.Recipe(**RECIPE), options.output / "model"
    mt = nmt.train(recipe, output=output, pairs=pairs[:-600], valid=pairs[-600:-400]).model
    is_right = [each.text == caption for each, (_, caption, _) in zip(mt.translate(paths), test, strict=True)]
    is_hit = [hit for path, caption, edges in test for hit in hits(attention(mt, path, caption), edges)]
    print(f"{np.mean(is_right):.1%} of the captions of {len(test)} new pictures are exactly right")
    print(f"{np.mean(is_hit):.1%} of the words about a shape have most attention on that shape")
    plot(mt, paths[:5]).savefig(options.output / "captions.png", dpi=110)


if __name__ == "__main__":
    main()
