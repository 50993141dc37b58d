"""Commands of word alignment: ``nmt align`` and ``aer``."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast, get_args

import typer

from nmt.alignment.link_options import AttributionMethod, LinkOptions
from nmt.cli.common import AsJson, AttentionStep, Device, Heads, ModelDir, command, on_screen, say_wrote, show_json
from nmt.cli.help import APPEARANCE, INPUT_AND_OUTPUT, LINKS
from nmt.cli.schema import options_of
from nmt.core.console import progress_bar, warn
from nmt.core.errors import UserError
from nmt.core.files import check_target
from nmt.core.output import open_output, write_output
from nmt.recipe.registry import hooks, provided

if TYPE_CHECKING:
    from nmt.plotting.matrix import Draw
    from nmt.translation.translator import Translator

AlignmentFormat = Literal["pharaoh", "json", "png", "svg", "pdf", "html"]
PICTURES = ("png", "svg", "pdf")
SUFFIXES: dict[str, AlignmentFormat] = {f".{kind}": kind for kind in get_args(AlignmentFormat)} | {".jsonl": "json"}
MAX_PICTURES = 20
MAX_IN_PAGE = 1000

Tokenized = Annotated[bool, INPUT_AND_OUTPUT.option(help="The text is tokenised; tokens are the words.")]


@dataclass(frozen=True)
class AlignOptions:
    """Options of ``nmt align``."""

    model_dir: ModelDir
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="Source text, a sentence a line.")]
    target: Annotated[
        str | None, typer.Argument(metavar="TARGET", help="Its translation; by default the model's own.")
    ] = None
    format: Annotated[
        AlignmentFormat | None,
        INPUT_AND_OUTPUT.option(
            help="pharaoh: links i-j of source and target word, counted from 0; json: words, links, weights and "
            "score, an object per line; a picture per sentence pair (pdf: a page); or html: one interactive page.",
            show_default="by the name of the output, else pharaoh",
        ),
    ] = None
    output: Annotated[
        str,
        INPUT_AND_OUTPUT.option(
            "--output",
            "-o",
            metavar="FILE",
            help="File to write; - is standard output. Many pictures are numbered: links-0001.png ….",
        ),
    ] = "-"
    tokenized: Tokenized = False
    split_punctuation: Annotated[
        bool,
        INPUT_AND_OUTPUT.option(help="In raw text, count punctuation marks as words of their own."),
    ] = False
    reverse: Annotated[
        Path | None,
        LINKS.option(metavar="MODEL_DIR", help="A model of the other direction; links are those of both models."),
    ] = None
    lexicon: Annotated[
        bool,
        LINKS.option(
            "--lexicon/--no-lexicon", help="Weigh the attention with the lexicon of `nmt learn-alignment`, if any."
        ),
    ] = True
    lexicon_only: Annotated[
        bool,
        LINKS.option(
            help="Align by the lexicon and the order of words, without the attention: faster, nearly as good. Weights "
            "are then the probabilities of links, and there are no scores."
        ),
    ] = False
    heads: Heads = None
    attention: AttentionStep = None
    attribution: Annotated[
        AttributionMethod | None,
        LINKS.option(
            metavar="METHOD",
            help="Take links from the attribution of the predicted tokens to the source in place of attention: "
            "input_x_gradient, integrated_gradients, value_zeroing or leave_one_out.",
        ),
    ] = None
    grid: Annotated[
        bool,
        APPEARANCE.option(
            help="Pictures of each attention head, a row per layer; the heads that links are from have a frame."
        ),
    ] = False
    numbers: Annotated[bool, APPEARANCE.option(help="Write the weights into pictures.")] = False
    gold: Annotated[
        Path | None,
        APPEARANCE.option(metavar="FILE", help="Gold links to show too: i-j sure, i?j possible."),
    ] = None
    n_best: Annotated[
        int,
        APPEARANCE.option(metavar="N", min=1, help="In pages without TARGET: candidates of a sentence."),
    ] = 1
    limit: Annotated[
        int | None,
        INPUT_AND_OUTPUT.option(
            metavar="N",
            min=1,
            help="Use only the first N pairs.",
            show_default=f"all; {MAX_PICTURES} for pictures, {MAX_IN_PAGE:,} for a page",
        ),
    ] = None

    @property
    def kind(self) -> AlignmentFormat:
        """The format of the output."""
        return self.format or SUFFIXES.get(Path(self.output).suffix.lower(), "pharaoh")

    @property
    def uses_heads(self) -> bool:
        """Whether the options name attention heads, or show each of them."""
        return bool(self.grid or self.kind == "html" or self.heads or self.attention)

    def check(self, links: LinkOptions) -> None:
        """Refuses options that don't go together, before a model is loaded.

        Raises:
            UserError: with the remedy.
        """
        kind, is_picture = self.kind, self.kind in PICTURES
        refusals = (
            (
                self.n_best > 1 and (kind != "html" or self.target is not None),
                "--n-best is for pages of the model's own translations.",
                "Give --format html and no TARGET.",
            ),
            (
                self.tokenized and self.target is None,
                "With --tokenized a TARGET is needed: the model's own output isn't tokenised.",
                "Name one.",
            ),
            (
                self.format is None and Path(self.output).suffix.lower() in (".jpg", ".jpeg", ".gif", ".webp", ".eps"),
                f"{self.output} would be text: pictures are {', '.join(PICTURES)}.",
                "Give -o links.png, or --format pharaoh for links as text.",
            ),
            (is_picture and self.output == "-", f"A {kind} picture needs a file.", f"Give -o links.{kind}."),
            (
                self.gold is not None and kind in ("pharaoh", "json"),
                f"--gold is shown in pictures and pages, not in {kind}.",
                "Leave it out, or give -o links.png; nmt aer compares links with gold ones.",
            ),
            (self.numbers and not is_picture, f"--numbers is for pictures, and {kind} is none.", "Leave it out."),
            (
                links.symmetrize is not None and links.method == "threshold",
                "--symmetrize has no effect with --method threshold.",
                "Leave one out.",
            ),
            (
                links.threshold is not None and links.method == "argmax",
                "--threshold has no effect with --method argmax.",
                "Leave one out.",
            ),
            (self.grid and not is_picture, f"--grid draws a picture, and {kind} is none.", "Give -o heads.png."),
            (
                self.lexicon_only and (self.uses_heads or self.attribution is not None or not self.lexicon),
                "--lexicon-only uses no attention and needs the lexicon.",
                "Leave out --no-lexicon, --heads, --attention, --grid and --format html, or --lexicon-only.",
            ),
            (
                self.attribution is not None and self.uses_heads,
                "--attribution replaces the attention heads.",
                "Leave out --heads, --attention, --grid and --format html, or --attribution.",
            ),
        )
        for is_refused, message, remedy in refusals:
            if is_refused:
                raise UserError(message, remedy)


@command(
    "nmt align runs/de-en test.de test.en > links.pharaoh",
    "nmt align runs/de-en test.de test.en -o links.png --limit 10",
    "nmt align runs/de-en test.de test.en -o heads.png --grid --limit 1",
    "nmt align runs/de-en test.de -o look.html --n-best 3",
    "nmt align runs/de-en test.tok.de test.tok.en --tokenized -o links.pharaoh",
    "nmt align runs/de-en test.de test.en --reverse runs/en-de",
    "nmt align runs/de-en test.de test.en --attribution leave_one_out",
    draws=True,
)
@options_of(LinkOptions, from_recipe=False, section=LINKS)
def align(options: AlignOptions, device: Device = "auto", **links: Any) -> None:
    """Write word alignments from attention or attribution."""
    from nmt.alignment.heads import AlignmentHeads
    from nmt.alignment.links import read_pharaoh, write_alignments

    chosen = LinkOptions(**links)
    options.check(chosen)
    kind, output = options.kind, options.output
    if output != "-" and kind not in PICTURES:  # the names of pictures are made of it
        check_target(Path(output), options.source, options.target or "", options.gold or "")
    render = provided("alignment page", "--format html") if kind == "html" else None
    translator = _load(options.model_dir, options, device)
    if options.heads is not None or options.attention is not None:
        translator.aligner.heads = AlignmentHeads.of(translator.model.decoder, options.heads, options.attention)
    backward = _load(options.reverse, options, device) if options.reverse is not None else None
    limit = options.limit or {"html": MAX_IN_PAGE, "pharaoh": None, "json": None}.get(kind, MAX_PICTURES)
    groups: Iterable[Sequence[tuple[str, str]]] = islice(_pairs(translator, options, limit is None), limit)
    groups = list(groups) if kind == "html" else groups  # a page holds all it shows
    true_links = read_pharaoh(options.gold) if options.gold is not None else None
    watchers = [make(translator.vocabularies) for make in hooks("pairs_aligned")]
    pairs = chain.from_iterable(groups)
    for watcher in watchers:
        pairs = watcher.counted(pairs)
    with progress_bar("aligning", options.limit, not on_screen(output)) as bar:
        alignments = translator.stream_alignments(
            pairs,
            options.tokenized,
            split_punctuation=options.split_punctuation,
            reverse=backward,
            all_heads=options.grid or kind == "html",
            scores=kind in ("json", "html"),
            lexicon_only=options.lexicon_only,
            links=chosen,
        )
        alignments = bar.counted(alignments)
        if kind == "pharaoh" or kind == "json":
            with open_output(output) as file:
                write_alignments(alignments, kind, file)
        elif render is not None:
            sentences = [list(islice(alignments, len(group))) for group in groups]
            write_output(output, render(translator, sentences, true_links, options.source, options.target))
            if output != "-":
                say_wrote(output)
        else:
            from nmt.plotting.matrix import plot_alignments

            draw, given = _draw_function(translator, options), Path(output)
            name = given.stem if given.suffix.lower().removeprefix(".") in PICTURES else given.name
            path = given.with_name(f"{name}.{kind}")
            say_wrote(*plot_alignments(alignments, path, gold=true_links, numbers=options.numbers, draw=draw))
    for watcher in watchers:
        if summary := watcher.summary():
            warn(summary)


def _load(model_dir: Path, options: AlignOptions, device: str) -> "Translator":
    """Returns a model that aligns by what the options name in place of attention and lexicon."""
    from nmt.translation.load import load

    translator = load(model_dir, device)
    if options.attribution is not None:
        shares = provided("attribution", "--attribution")
        translator.aligner.attribute = partial(
            shares, translator.model, translator.vocabularies, method=options.attribution
        )
    if not options.lexicon:
        translator.aligner.lexicon = None
    return translator


def _pairs(translator: "Translator", options: AlignOptions, of_all: bool) -> Iterator[Sequence[tuple[str, str]]]:
    """Each source line with the given target, or with the model's own translations, the best first."""
    if options.target is None:
        from nmt.core.text import read_lines

        beam_size = max(options.n_best, translator.recipe.decoding.beam_size)
        found = translator.stream(read_lines(options.source), n_best=options.n_best, beam_size=beam_size)
        return ([(t.source, candidate.text) for candidate in t.n_best] for t in found)
    from nmt.data.sources import FileText

    text = FileText(Path(options.source), Path(options.target))
    return ([pair] for pair in (text.checked() if of_all else text))


def _draw_function(translator: "Translator", options: AlignOptions) -> "Draw":
    """Returns the function that draws a sentence pair: a matrix, one for each head, or shaded text."""
    from nmt.plotting.matrix import draw_matrix

    if options.grid:
        return cast("Draw", provided("attention grid", "--grid")(translator))
    if translator.task.aligns_documents:
        return cast("Draw", provided("shaded text", "A picture of a document"))
    scale = "link probability" if options.lexicon_only else options.attribution or "attention"
    return partial(draw_matrix, scale=scale.replace("_", " "))


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
