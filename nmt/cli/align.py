"""``nmt align``."""

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from nmt.cli.align_options import (
    MAX_IN_PAGE,
    MAX_PICTURES,
    PICTURES,
    AlignmentFormat,
    Candidates,
    Format,
    Gold,
    Grid,
    Limit,
    Method,
    Numbers,
    PictureOutput,
    Reverse,
    Source,
    SplitPunctuation,
    Symmetrize,
    Target,
    TextFormat,
    Threshold,
    Tokenized,
    WithLexicon,
)
from nmt.cli.common import AttentionStep, Device, Heads, ModelDir, Plugins, Quiet, app, examples, on_screen

if TYPE_CHECKING:
    from nmt.alignment.links import WordAlignment
    from nmt.console import Bar
    from nmt.plotting.matrix import GoldLinks
    from nmt.translator import Translator


@app.command(
    epilog=examples(
        "nmt align runs/de-en test.de test.en > links.pharaoh",
        "nmt align runs/de-en test.de test.en -o links.png --limit 10",
        "nmt align runs/de-en test.de test.en -o heads.png --grid --limit 1",
        "nmt align runs/de-en test.de -o look.html --n-best 3",
        "nmt align runs/de-en test.tok.de test.tok.en --tokenized -o links.pharaoh",
        "nmt align runs/de-en test.de test.en --reverse runs/en-de",
    )
)
def align(
    model_dir: ModelDir,
    source: Source,
    target: Target = None,
    format: Format = None,
    output: PictureOutput = "-",
    tokenized: Tokenized = False,
    split_punctuation: SplitPunctuation = False,
    reverse: Reverse = None,
    symmetrize: Symmetrize = "grow-diag",
    lexicon: WithLexicon = True,
    heads: Heads = None,
    attention: AttentionStep = None,
    method: Method = "argmax",
    threshold: Threshold = 0.3,
    grid: Grid = False,
    numbers: Numbers = False,
    gold: Gold = None,
    n_best: Candidates = 1,
    limit: Limit = None,
    device: Device = "auto",
    plugin: Plugins = None,
    quiet: Quiet = False,
) -> None:
    """Word alignments of sentence pairs, from the model's attention."""
    from nmt.alignment.extract import LinkOptions
    from nmt.alignment.links import read_pharaoh
    from nmt.console import progress_bar

    kind = format or _format_of(output)
    _check(kind, output, target, tokenized, grid, n_best)
    translator = _load(model_dir, device, lexicon, heads, attention)
    backward = _load(reverse, device, lexicon) if reverse is not None else None
    limits = {"html": MAX_IN_PAGE, "pharaoh": None, "json": None}
    candidates = list if kind == "html" else iter  # a page holds all it shows
    groups = candidates(islice(_pairs(translator, source, target, n_best), limit or limits.get(kind, MAX_PICTURES)))
    true_links = read_pharaoh(gold) if gold is not None else None
    with progress_bar("aligning", limit, not on_screen(output)) as bar:
        pairs = (pair for group in groups for pair in group)
        alignments = translator.align(
            pairs,
            tokenized,
            split_punctuation=split_punctuation,
            reverse=backward,
            all_heads=grid or kind == "html",
            links=LinkOptions(method, threshold, symmetrize),
        )
        alignments = _counted(alignments, bar)
        if kind == "pharaoh" or kind == "json":
            _write(alignments, kind, output)
        elif kind == "html":
            sentences = [list(islice(alignments, len(group))) for group in groups]
            _write_page(translator, sentences, true_links, source, target, output)
        else:
            _draw(alignments, _picture(output, kind), numbers, true_links, translator if grid else None)


def _check(kind: str, output: str, target: str | None, tokenized: bool, grid: bool, n_best: int) -> None:
    """Refuse options that don't go together, before a model is loaded."""
    from nmt.errors import UserError

    if n_best > 1 and (kind != "html" or target is not None):
        raise UserError("--n-best is for pages of the model's own translations.", "Give --format html and no TARGET.")
    if kind in PICTURES and output == "-":
        raise UserError(f"A {kind} picture needs a file.", f"Give -o links.{kind}.")
    if grid and kind not in PICTURES:
        raise UserError(f"--grid is for pictures, and {kind} is none.", "Give -o heads.png, .svg or .pdf.")
    if tokenized and target is None:
        raise UserError("With --tokenized a TARGET is needed: the model's own output isn't tokenised.", "Name one.")


def _load(
    model_dir: Path, device: str, lexicon: bool, heads: str | None = None, attention: str | None = None
) -> "Translator":
    """A model with the heads that were asked for, or those that its model directory names."""
    from nmt.alignment.heads import AlignmentHeads
    from nmt.loading import load

    translator = load(model_dir, device)
    if heads is not None or attention is not None:
        translator.aligner.heads = AlignmentHeads.of(translator.model.decoder, heads, attention)
    if not lexicon:
        translator.aligner.lexicon = None
    return translator


def _format_of(output: str) -> AlignmentFormat:
    known: dict[str, AlignmentFormat] = {".json": "json", ".jsonl": "json", ".png": "png", ".svg": "svg", ".pdf": "pdf"}
    known[".html"] = "html"
    return known.get(Path(output).suffix.lower(), "pharaoh")


def _picture(output: str, kind: str) -> Path:
    """The file to draw into: the suffix of a picture follows the format, other names get one."""
    path = Path(output)
    is_picture = path.suffix.lower().removeprefix(".") in PICTURES
    return path.with_suffix(f".{kind}") if is_picture else path.with_name(f"{path.name}.{kind}")


def _pairs(
    translator: "Translator", source: str, target: str | None, n_best: int
) -> Iterator[Sequence[tuple[str, str]]]:
    """Each source line with the given target, or with the model's own translations, the best first."""
    if target is None:
        from nmt.data.text import read_lines

        beam_size = max(n_best, translator.recipe.decoding.beam_size)
        found = translator.stream(read_lines(source), n_best, beam_size=beam_size)
        return ([(t.source, candidate.text) for candidate in t.n_best] for t in found)
    from nmt.data.corpus import FileText

    return ([pair] for pair in FileText(Path(source), Path(target)))


def _counted(alignments: "Iterator[WordAlignment]", bar: "Bar") -> "Iterator[WordAlignment]":
    for alignment in alignments:
        yield alignment
        bar.advance()


def _write(alignments: "Iterator[WordAlignment]", kind: TextFormat, output: str) -> None:
    from nmt.alignment.links import write_alignments
    from nmt.files import open_output

    with open_output(output) as file:
        write_alignments(alignments, kind, file)


def _write_page(
    translator: "Translator",
    sentences: "Sequence[Sequence[WordAlignment]]",
    gold: "Sequence[GoldLinks] | None",
    source: str,
    target: str | None,
    output: str,
) -> None:
    from nmt.alignment.report import render_report
    from nmt.console import say
    from nmt.files import open_output

    data, names = translator.recipe.data, translator.model.decoder.head_names
    chosen = [names[head] for head in translator.aligner.heads.heads]
    mean = chosen[0] if len(chosen) == 1 else f"mean of {len(chosen)} heads"
    heads = [f"{mean}, which links come from", *names]
    shown = f"{len(sentences):,} sentences of {Path(source).name} with " + (
        Path(target).name if target else "the model's own translations"
    )
    page = render_report(f"Word alignments, {data.source} → {data.target}", f"{shown}.", heads, sentences, gold)
    with open_output(output) as file:
        file.write(page)
    if output != "-":
        say(f"wrote {output}")


def _draw(
    alignments: "Iterator[WordAlignment]",
    path: Path,
    numbers: bool,
    gold: "Sequence[GoldLinks] | None",
    heads_of: "Translator | None",
) -> None:
    """A picture a pair: its matrix or, where a model is given, that of each of its heads."""
    from nmt.alignment.heads import by_layer, short_name
    from nmt.console import say
    from nmt.plotting.matrix import Draw, draw_grid, draw_matrix, plot_alignments

    draw: Draw = draw_matrix
    if heads_of is not None:
        names = heads_of.model.decoder.head_names
        layers = [[short_name(names[head]) for head in layer] for layer in by_layer(names)]
        draw = partial(draw_grid, layers=layers, chosen=heads_of.aligner.heads.heads)
    written = plot_alignments(alignments, path, gold=gold, numbers=numbers, draw=draw)
    say(f"wrote {written[0]}" + (f" to {written[-1].name}" if len(written) > 1 else ""))
