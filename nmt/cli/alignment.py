"""Commands of word alignment: ``nmt align``, ``learn-alignment`` and ``aer``."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import typer

from nmt.alignment.link_options import AttributionMethod, LinkOptions
from nmt.cli.common import AsJson, AttentionStep, Device, Heads, ModelDir, command, on_screen, say_wrote, show_json
from nmt.cli.help import APPEARANCE, INPUT_AND_OUTPUT, LINKS
from nmt.cli.schema import options_of
from nmt.core.console import print_table, progress_bar, say, warn
from nmt.core.errors import UserError
from nmt.core.output import open_output
from nmt.recipe.registry import provided

if TYPE_CHECKING:
    from nmt.alignment.links import WordAlignment
    from nmt.data.links import GoldLinks
    from nmt.plotting.matrix import Draw
    from nmt.translation.translator import Translator

AlignmentFormat = Literal["pharaoh", "json", "png", "svg", "pdf", "html"]
PICTURES = ("png", "svg", "pdf")
SUFFIXES: dict[str, AlignmentFormat] = {f".{kind}": kind for kind in get_args(AlignmentFormat)} | {".jsonl": "json"}
MAX_PICTURES = 20
MAX_IN_PAGE = 1000

Source = Annotated[str, typer.Argument(metavar="SOURCE", help="Source text, a sentence a line.")]
Target = Annotated[str | None, typer.Argument(metavar="TARGET", help="Its translation; by default the model's own.")]
Format = Annotated[
    AlignmentFormat | None,
    typer.Option(
        help="pharaoh: links i-j of source and target word, counted from 0; json: words, links, weights and "
        "score, an object per line; a picture per sentence pair (pdf: a page); or html: one interactive page.",
        show_default="by the name of the output, else pharaoh",
        rich_help_panel=INPUT_AND_OUTPUT,
    ),
]
PictureOutput = Annotated[
    str,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE",
        help="File to write; - is standard output. Many pictures are numbered: links-0001.png ….",
        rich_help_panel=INPUT_AND_OUTPUT,
    ),
]
Tokenized = Annotated[
    bool, typer.Option(help="The text is tokenised; tokens are the words.", rich_help_panel=INPUT_AND_OUTPUT)
]
SplitPunctuation = Annotated[
    bool,
    typer.Option(help="In raw text, count punctuation marks as words of their own.", rich_help_panel=INPUT_AND_OUTPUT),
]
Reverse = Annotated[
    Path | None,
    typer.Option(
        metavar="MODEL_DIR",
        help="A model of the other direction; links are those of both models.",
        rich_help_panel=LINKS,
    ),
]
WithLexicon = Annotated[
    bool,
    typer.Option(
        "--lexicon/--no-lexicon",
        help="Weigh the attention with the lexicon of `nmt learn-alignment`, if any.",
        rich_help_panel=LINKS,
    ),
]
LexiconOnly = Annotated[
    bool,
    typer.Option(
        help="Align by the lexicon and the order of words, without the attention: faster, nearly as good. Weights are "
        "then the probabilities of links, and there are no scores.",
        rich_help_panel=LINKS,
    ),
]
Attribution = Annotated[
    AttributionMethod | None,
    typer.Option(
        metavar="METHOD",
        help="Take links from the attribution of the predicted tokens to the source in place of attention: "
        "input_x_gradient, integrated_gradients, value_zeroing or leave_one_out.",
        rich_help_panel=LINKS,
    ),
]
Grid = Annotated[
    bool,
    typer.Option(
        help="Pictures of each attention head, a row per layer; the heads that links are from have a frame.",
        rich_help_panel=APPEARANCE,
    ),
]
Lines = Annotated[
    bool,
    typer.Option(
        help="Pictures of two rows of words, joined by lines as thick as the weights.", rich_help_panel=APPEARANCE
    ),
]
Numbers = Annotated[bool, typer.Option(help="Write the weights into pictures.", rich_help_panel=APPEARANCE)]
Gold = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Gold links to show too: i-j sure, i?j possible.", rich_help_panel=APPEARANCE),
]
Candidates = Annotated[
    int,
    typer.Option(
        metavar="N", min=1, help="In pages without TARGET: candidates of a sentence.", rich_help_panel=APPEARANCE
    ),
]
Limit = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=1,
        help="Use only the first N pairs.",
        show_default=f"all; {MAX_PICTURES} for pictures, {MAX_IN_PAGE:,} for a page",
        rich_help_panel=INPUT_AND_OUTPUT,
    ),
]


@dataclass(frozen=True)
class AlignOptions:
    """Options of ``nmt align``."""

    model_dir: ModelDir
    source: Source
    target: Target = None
    format: Format = None
    output: PictureOutput = "-"
    tokenized: Tokenized = False
    split_punctuation: SplitPunctuation = False
    reverse: Reverse = None
    lexicon: WithLexicon = True
    lexicon_only: LexiconOnly = False
    heads: Heads = None
    attention: AttentionStep = None
    attribution: Attribution = None
    grid: Grid = False
    lines: Lines = False
    numbers: Numbers = False
    gold: Gold = None
    n_best: Candidates = 1
    limit: Limit = None


@command(
    "nmt align runs/de-en test.de test.en > links.pharaoh",
    "nmt align runs/de-en test.de test.en -o links.png --limit 10",
    "nmt align runs/de-en test.de test.en -o heads.png --grid --limit 1",
    "nmt align runs/de-en test.de test.en -o lines.svg --lines --limit 1",
    "nmt align runs/de-en test.de -o look.html --n-best 3",
    "nmt align runs/de-en test.tok.de test.tok.en --tokenized -o links.pharaoh",
    "nmt align runs/de-en test.de test.en --reverse runs/en-de",
    "nmt align runs/de-en test.de test.en --attribution leave_one_out",
    draws=True,
)
@options_of(LinkOptions, from_recipe=False, section=LINKS)
def align(options: AlignOptions, device: Device = "auto", **links: Any) -> None:
    """Write word alignments from attention or attribution."""
    from nmt.alignment.links import write_alignments
    from nmt.alignment.unknown_text import UnknownText
    from nmt.data.links import read_pharaoh

    kind = options.format or SUFFIXES.get(Path(options.output).suffix.lower(), "pharaoh")
    _check(kind, options.target, options.tokenized, options.n_best)
    _check_picture(kind, options.output, options.grid, options.lines)
    uses_heads = bool(options.grid or kind == "html" or options.heads or options.attention)
    _check_lexicon(options.lexicon, options.lexicon_only, uses_heads or options.attribution is not None)
    if options.attribution is not None and uses_heads:
        raise UserError(
            "--attribution replaces the attention heads.",
            "Leave out --heads, --attention, --grid and --format html, or --attribution.",
        )
    translator = _load(
        options.model_dir, device, options.lexicon, options.heads, options.attention, options.attribution
    )
    backward = (
        _load(options.reverse, device, options.lexicon, attribution=options.attribution)
        if options.reverse is not None
        else None
    )
    limits = {"html": MAX_IN_PAGE, "pharaoh": None, "json": None}
    candidates = list if kind == "html" else iter  # a page holds all it shows
    groups = candidates(
        islice(
            _pairs(translator, options.source, options.target, options.n_best),
            options.limit or limits.get(kind, MAX_PICTURES),
        )
    )
    true_links = read_pharaoh(options.gold) if options.gold is not None else None
    unknown = UnknownText(translator.vocabularies)
    with progress_bar("aligning", options.limit, not on_screen(options.output)) as bar:
        alignments = translator.stream_alignments(
            unknown.counted(pair for group in groups for pair in group),
            options.tokenized,
            split_punctuation=options.split_punctuation,
            reverse=backward,
            all_heads=options.grid or kind == "html",
            scores=kind in ("json", "html"),
            lexicon_only=options.lexicon_only,
            links=LinkOptions(**links),
        )
        alignments = bar.counted(alignments)
        if kind == "pharaoh" or kind == "json":
            with open_output(options.output) as file:
                write_alignments(alignments, kind, file)
        elif kind == "html":
            sentences = [list(islice(alignments, len(group))) for group in groups]
            _write_page(translator, sentences, true_links, options.source, options.target, options.output)
        else:
            from nmt.plotting.matrix import plot_alignments

            path = _picture_path(options.output, kind)
            scale = (
                "link probability" if options.lexicon_only else (options.attribution or "attention").replace("_", " ")
            )
            draw = _draw_function(translator, options.grid, options.lines, scale)
            say_wrote(*plot_alignments(alignments, path, gold=true_links, numbers=options.numbers, draw=draw))
    if summary := unknown.summary():
        warn(summary)


def _check(kind: str, target: str | None, tokenized: bool, n_best: int) -> None:
    """Refuse options that don't go together, before a model is loaded."""
    if n_best > 1 and (kind != "html" or target is not None):
        raise UserError("--n-best is for pages of the model's own translations.", "Give --format html and no TARGET.")
    if tokenized and target is None:
        raise UserError("With --tokenized a TARGET is needed: the model's own output isn't tokenised.", "Name one.")


def _check_picture(kind: str, output: str, grid: bool, lines: bool) -> None:
    if kind in PICTURES and output == "-":
        raise UserError(f"A {kind} picture needs a file.", f"Give -o links.{kind}.")
    if (grid or lines) and kind not in PICTURES:
        option, name = ("--grid", "heads") if grid else ("--lines", "lines")
        raise UserError(f"{option} is for pictures, and {kind} is none.", f"Give -o {name}.png, .svg or .pdf.")
    if grid and lines:
        raise UserError("--grid and --lines are two kinds of picture.", "Give one of them.")


def _check_lexicon(lexicon: bool, lexicon_only: bool, uses_attention: bool) -> None:
    if lexicon_only and (uses_attention or not lexicon):
        raise UserError(
            "--lexicon-only uses no attention and needs the lexicon.",
            "Leave out --no-lexicon, --heads, --attention, --grid and --format html, or --lexicon-only.",
        )


def _load(
    model_dir: Path,
    device: str,
    lexicon: bool,
    heads: str | None = None,
    attention: str | None = None,
    attribution: AttributionMethod | None = None,
) -> "Translator":
    """A model with the heads that were asked for, or those that its model directory names; or an attribution."""
    from nmt.alignment.heads import AlignmentHeads
    from nmt.translation.load import load

    translator = load(model_dir, device)
    if heads is not None or attention is not None:
        translator.aligner.heads = AlignmentHeads.of(translator.model.decoder, heads, attention)
    if attribution is not None:
        shares = provided("attribution", "--attribution")
        translator.aligner.attribute = partial(shares, translator.model, translator.vocabularies, method=attribution)
    if not lexicon:
        translator.aligner.lexicon = None
    return translator


def _pairs(
    translator: "Translator", source: str, target: str | None, n_best: int
) -> Iterator[Sequence[tuple[str, str]]]:
    """Each source line with the given target, or with the model's own translations, the best first."""
    if target is None:
        from nmt.core.text import read_lines

        beam_size = max(n_best, translator.recipe.decoding.beam_size)
        found = translator.stream(read_lines(source), n_best=n_best, beam_size=beam_size)
        return ([(t.source, candidate.text) for candidate in t.n_best] for t in found)
    from nmt.data.sources import FileText

    return ([pair] for pair in FileText(Path(source), Path(target)))


def _write_page(
    translator: "Translator",
    sentences: "Sequence[Sequence[WordAlignment]]",
    gold: "Sequence[GoldLinks] | None",
    source: str,
    target: str | None,
    output: str,
) -> None:
    render_report = provided("alignment page", "--format html")
    data, names = translator.recipe.data, [head.name for head in translator.model.decoder.heads]
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
        say_wrote(output)


def _draw_function(translator: "Translator", grid: bool, lines: bool, scale: str) -> "Draw":
    """Returns the function that draws a sentence pair: a matrix, one for each head, lines, or shaded text."""
    from nmt.alignment.heads import by_layer
    from nmt.plotting.document import draw_document
    from nmt.plotting.lines import draw_lines
    from nmt.plotting.matrix import draw_grid, draw_matrix

    if translator.task.aligns_documents and not grid and not lines:
        return draw_document
    if not grid:
        return draw_lines if lines else partial(draw_matrix, scale=scale)
    heads = translator.model.decoder.heads
    layers = [[heads[index].short_name for index in layer] for layer in by_layer(heads)]
    return partial(draw_grid, layers=layers, chosen=translator.aligner.heads.heads)


def _picture_path(output: str, kind: str) -> Path:
    path = Path(output)
    is_picture = path.suffix.lower().removeprefix(".") in PICTURES
    return path.with_suffix(f".{kind}") if is_picture else path.with_name(f"{path.name}.{kind}")


@command("nmt learn-alignment runs/de-en train.de train.en")
def learn_alignment(
    model_dir: ModelDir,
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="Source text, preferably of the training data.")],
    target: Annotated[Path, typer.Argument(metavar="TARGET", help="Its translation.")],
    tokenized: Tokenized = False,
    heads: Heads = None,
    attention: AttentionStep = None,
    device: Device = "auto",
) -> None:
    """Learn which attention heads align best, and a lexicon.

    They are learned from parallel text without any gold alignment. Writes alignment.json and lexicon.tsv into
    MODEL_DIR, which nmt align then uses. Heads that alignment.json has already are kept.
    """
    from nmt.alignment.heads import AlignmentHeads
    from nmt.core.model_directory import ModelDirectory
    from nmt.data.sources import FileText
    from nmt.translation.load import load

    translator = load(model_dir, device)
    if heads is not None or attention is not None:
        chosen = AlignmentHeads.of(translator.model.decoder, heads, attention)
        chosen.save(ModelDirectory(model_dir).alignment, translator.model.decoder)
    with progress_bar("aligning", None) as bar:

        def pairs() -> Iterator[tuple[str, str]]:
            yield from bar.counted(FileText(source, target))
            bar.update(0, "learning the lexicon")

        learned = translator.learn_alignment(pairs(), tokenized)
    names = learned.heads.names(translator.model.decoder)
    if learned.agreement is not None:
        best_first = sorted(learned.agreement.items(), key=lambda item: -item[1])
        rows = [(name, f"{share:.3f}", "yes" if name in names else "") for name, share in best_first]
        print_table("Attention heads", ("head", "agreement with all", "chosen"), rows)
    say(
        f"{model_dir} reads heads {', '.join(names)} and knows {len(learned.lexicon):,} pairs of words, "
        f"from {learned.num_pairs:,} sentence pairs"
    )


@command("nmt aer links.pharaoh gold.pharaoh", "nmt aer links.pharaoh gold.sure --possible gold.possible")
def aer(
    links: Annotated[Path, typer.Argument(metavar="LINKS", help="Pharaoh links, a line per sentence pair.")],
    gold: Annotated[Path, typer.Argument(metavar="GOLD", help="Gold links: i-j sure, i?j possible.")],
    possible: Annotated[Path | None, typer.Option(metavar="FILE", help="File of the possible links.")] = None,
    as_json: AsJson = False,
) -> None:
    """Compute alignment error rate, precision and recall.

    The definitions are those of Och & Ney (2003).
    """
    from nmt.alignment.aer import score_files

    found = score_files(links, gold, possible)
    if as_json:
        show_json(asdict(found))
    else:
        typer.echo(f"AER {found.aer:.4f}  precision {found.precision:.4f}  recall {found.recall:.4f}")
        counts = f"{found.num_links} links, {found.num_sure} sure, {found.num_possible} possible"
        typer.echo(f"    {counts}, {found.num_sentences} pairs")
