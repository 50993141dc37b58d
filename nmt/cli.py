"""The command line: parse, call, print. Nothing heavy is imported before a command needs it."""

import json
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, TextIO

import typer

if TYPE_CHECKING:
    from nmt.alignment.links import WordAlignment
    from nmt.console import Bar
    from nmt.decoding.translator import Translation, Translator

TextFormat = Literal["pharaoh", "json"]
AlignmentFormat = Literal["pharaoh", "json", "png", "svg", "pdf"]
PICTURES = ("png", "svg", "pdf")
MAX_PICTURES = 20

app = typer.Typer(
    name="nmt",
    help="Neural machine translation, from the vanilla RNN to the Transformer.",
    epilog="Start with: nmt quickstart",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _be_quiet(wanted: bool) -> None:
    if wanted:
        from nmt.console import set_quiet

        set_quiet(True)


def _version(wanted: bool) -> None:
    if wanted:
        from nmt import __version__

        typer.echo(f"nmt {__version__}")
        raise typer.Exit


Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", callback=_be_quiet, help="No progress bars and messages, but warnings.")
]
Output = Annotated[str, typer.Option("--output", "-o", metavar="FILE", help="File to write; - is standard output.")]
Device = Annotated[str, typer.Option(metavar="NAME", help="What to compute on: auto, cpu, cuda, cuda:1, mps.")]
ModelDir = Annotated[
    Path, typer.Argument(metavar="MODEL_DIR", help="Folder that `nmt train` wrote.", show_default=False)
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a key of the recipe, such as training.max_steps=1000; may be repeated.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def _examples(*lines: str) -> str:
    """Epilog of a help page; the backspace tells the formatter to leave the line breaks alone."""
    return "\b\n" + "\n".join((f"Example{'s' if len(lines) > 1 else ''}:", *(f"  {line}" for line in lines)))


@app.callback()
def options(
    quiet: Quiet = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None: ...


@app.command(
    short_help="Train a small model, translate, score, align and plot.",
    epilog=_examples("nmt quickstart -o quickstart"),
)
def quickstart(
    output: Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="New folder to write to.")] = Path(
        "quickstart"
    ),
    settings: Settings = None,
    quiet: Quiet = False,
) -> None:
    """Train a small model on the embedded corpus, translate, score, align and plot: all of it in a few minutes.

    Nothing is downloaded: the English-German sentences come from a grammar.
    """
    from nmt.quickstart import quickstart as run
    from nmt.quickstart import report

    with _stopped_by_signal("nmt quickstart starts anew: give it another folder with -o"):
        report(run(output, settings or []), output)


@app.command(
    epilog=_examples(
        "nmt train multi30k/transformer -o runs/de-en",
        "nmt train multi30k/bahdanau -o runs/mine --set data.root=FOLDER",
        "nmt train multi30k/bahdanau -o runs/mine --set data.root=FOLDER --resume",
    )
)
def train(
    recipe: Annotated[
        str,
        typer.Argument(metavar="RECIPE", help="YAML file, or a name that `nmt recipes` lists.", show_default=False),
    ],
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", metavar="FOLDER", help="Model directory to write.", show_default="runs/NAME of the recipe"
        ),
    ] = None,
    settings: Settings = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on from the last checkpoint in the output folder.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Train a model from a recipe.

    A recipe names its data: a data set that is downloaded, or, with --set data.root=FOLDER, files of your own such
    as train.de, train.en, val.de and val.en. Ctrl-C stops after saving a checkpoint.
    """
    from nmt.training.run import train as run

    output = output or Path("runs") / Path(recipe).with_suffix("").name
    again = ["nmt", "train", recipe, "-o", str(output), *(f"--set={setting}" for setting in settings or []), "--resume"]
    with _stopped_by_signal(f"go on with: {shlex.join(again)}"):
        run(recipe, output, settings or [], resume)


@app.command(
    short_help="Translate lines of text: N lines in, N lines out.",
    epilog=_examples(
        "nmt translate runs/de-en -i test.de -o test.en",
        'echo "Ein Hund schläft." | nmt translate runs/de-en --n-best 3 --scores',
        "nmt translate runs/de-en -i test.de -o test.jsonl --format jsonl",
    ),
)
def translate(
    model_dir: ModelDir,
    input: Annotated[
        str, typer.Option("--input", "-i", metavar="FILE", help="File to read (.gz too); - is standard input.")
    ] = "-",
    output: Output = "-",
    beam_size: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="Hypotheses kept; 1 is greedy search.", show_default="the recipe's"),
    ] = None,
    n_best: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=1,
            help="Candidates of each line: with tabs between in text, a list in jsonl; at most the beam size.",
        ),
    ] = 1,
    batch_size: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Sentences translated at once.", show_default="the recipe's")
    ] = None,
    length_penalty: Annotated[
        Literal["none", "average", "gnmt"] | None,
        typer.Option(help="What a log-probability is divided by.", show_default="the recipe's"),
    ] = None,
    alpha: Annotated[
        float | None,
        typer.Option(metavar="X", min=0, help="Strength of the length penalty.", show_default="the recipe's"),
    ] = None,
    format: Annotated[
        Literal["text", "jsonl"],
        typer.Option(help="text, or a JSON object a line, with scores, tokens, candidates and word alignment."),
    ] = "text",
    scores: Annotated[bool, typer.Option("--scores", help="Put its score and a tab before each candidate.")] = False,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Translate lines of text: N lines in, N lines out, in the same order.

    An empty line stays empty. A score is a log-probability divided by the length penalty; 0 is best.
    """
    from nmt.console import progress_bar, say
    from nmt.data.text import open_output, read_lines
    from nmt.decoding.translator import load

    translator = load(model_dir, device)
    typed = input == "-" and _is_terminal(sys.stdin)
    if typed:
        say("Type a sentence and Enter; Ctrl-D ends.")
    visible = not (typed or _on_screen(output))
    with progress_bar("translating", None, visible) as bar, open_output(output) as file:
        translations = translator.stream(
            read_lines(input),
            n_best,
            bar.advance,
            with_alignment=format == "jsonl",
            read_ahead=1 if typed else None,
            beam_size=beam_size,
            batch_size=batch_size,
            length_penalty=length_penalty,
            alpha=alpha,
        )
        for translation in translations:
            file.write(_jsonl(translation) if format == "jsonl" else _text(translation, scores))


def _jsonl(translation: "Translation") -> str:
    from nmt.alignment.formats import json_line

    return json_line(translation.to_json()) + "\n"


def _text(translation: "Translation", scores: bool) -> str:
    shown = [f"{c.score:.4f}\t{c.text}" if scores else c.text for c in translation.n_best]
    return "\t".join(shown) + "\n"


def _on_screen(output: str) -> bool:
    """Whether results go to a terminal, where a progress bar would get between them."""
    return output == "-" and _is_terminal(sys.stdout)


def _is_terminal(stream: TextIO | None) -> bool:
    """Python has None in place of a standard stream that is closed."""
    return stream is not None and stream.isatty()


@app.command(
    short_help="BLEU, chrF and TER of translations.",
    epilog=_examples(
        "nmt score test.translated.en test.en", "nmt translate runs/de-en -i test.de | nmt score - test.en"
    ),
)
def score(
    hypothesis: Annotated[
        str, typer.Argument(metavar="HYPOTHESIS", help="Translations, a line each; - is standard input.")
    ],
    reference: Annotated[str, typer.Argument(metavar="REFERENCE", help="What they should be, a line each.")],
    metrics: Annotated[
        str, typer.Option(metavar="NAMES", help="Some of bleu, chrf and ter, with commas between.")
    ] = "bleu,chrf,ter",
    as_json: AsJson = False,
) -> None:
    """BLEU, chrF and TER of detokenised translations, by sacreBLEU and with its signatures.

    BLEU and chrF mind upper and lower case; TER, as sacreBLEU defines it, does not. For TER, less is better.
    """
    from nmt.evaluation.scores import score_files

    found = score_files(hypothesis, reference, [name.strip() for name in metrics.split(",") if name.strip()])
    if as_json:
        shown = {name: {"score": round(s.score, 4), "signature": s.signature} for name, s in found.items()}
        typer.echo(json.dumps(shown))
    else:
        for s in found.values():
            typer.echo(f"{s.details}\n    {s.signature}")


@app.command(
    epilog=_examples(
        "nmt align runs/de-en test.de test.en > links.pharaoh",
        "nmt align runs/de-en test.de test.en -o links.png --limit 10",
        "nmt align runs/de-en test.tok.de test.tok.en --tokenized -o links.pharaoh",
    )
)
def align(
    model_dir: ModelDir,
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="Source text, a sentence a line.")],
    target: Annotated[
        str | None, typer.Argument(metavar="TARGET", help="Its translation; the model's own if left out.")
    ] = None,
    format: Annotated[
        AlignmentFormat | None,
        typer.Option(
            help="pharaoh: links i-j of source and target word, counted from 0; json: words, links, weights and "
            "score, an object a line; or a picture a sentence pair (pdf: a page).",
            show_default="by the name of the output, else pharaoh",
        ),
    ] = None,
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="File to write; - is standard output. Many pictures are numbered: links-0001.png ….",
        ),
    ] = "-",
    tokenized: Annotated[
        bool, typer.Option("--tokenized", help="The text is tokenised (punctuation apart); links count its tokens.")
    ] = False,
    method: Annotated[
        Literal["argmax", "threshold"],
        typer.Option(help="argmax: a link for each target word; threshold: all weights from the threshold on."),
    ] = "argmax",
    threshold: Annotated[
        float, typer.Option(metavar="X", min=0, max=1, help="Least weight of a link, with --method threshold.")
    ] = 0.3,
    numbers: Annotated[bool, typer.Option("--numbers", help="Write the weights into the cells of pictures.")] = False,
    limit: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Only so many pairs, the first ones.",
            show_default=f"all; the first {MAX_PICTURES} in pictures",
        ),
    ] = None,
    device: Device = "auto",
    quiet: Quiet = False,
) -> None:
    """Word alignments of sentence pairs, from the model's attention."""
    from nmt.console import progress_bar
    from nmt.decoding.translator import load
    from nmt.errors import UserError

    kind = format or _format_of(output)
    if kind in PICTURES and output == "-":
        raise UserError(f"A {kind} picture needs a file.", f"Give -o links.{kind}.")
    if tokenized and target is None:
        raise UserError("With --tokenized a TARGET is needed: the model's own output isn't tokenised.", "Name one.")
    translator = load(model_dir, device)
    pairs = islice(_pairs(translator, source, target), limit or (MAX_PICTURES if kind in PICTURES else None))
    with progress_bar("aligning", limit, not _on_screen(output)) as bar:
        alignments = _counted(translator.align(pairs, tokenized, method, threshold), bar)
        if kind == "pharaoh" or kind == "json":
            _write(alignments, kind, output)
        else:
            _draw(alignments, _picture(output, kind), numbers)


def _format_of(output: str) -> AlignmentFormat:
    known: dict[str, AlignmentFormat] = {".json": "json", ".jsonl": "json", ".png": "png", ".svg": "svg", ".pdf": "pdf"}
    return known.get(Path(output).suffix.lower(), "pharaoh")


def _picture(output: str, kind: str) -> Path:
    """The file to draw into: the suffix of a picture follows the format, other names get one."""
    path = Path(output)
    is_picture = path.suffix.lower().removeprefix(".") in PICTURES
    return path.with_suffix(f".{kind}") if is_picture else path.with_name(f"{path.name}.{kind}")


def _pairs(translator: "Translator", source: str, target: str | None) -> Iterator[tuple[str, str]]:
    """Source lines with the given target, or with the model's own translation."""
    if target is None:
        from nmt.data.text import read_lines

        return ((t.source, t.text) for t in translator.stream(read_lines(source)))
    from nmt.data.corpus import FileText

    return iter(FileText(Path(source), Path(target)))


def _counted(alignments: "Iterator[WordAlignment]", bar: "Bar") -> "Iterator[WordAlignment]":
    for alignment in alignments:
        yield alignment
        bar.advance()


def _write(alignments: "Iterator[WordAlignment]", kind: TextFormat, output: str) -> None:
    from nmt.alignment.formats import write_alignments
    from nmt.data.text import open_output

    with open_output(output) as file:
        write_alignments(alignments, kind, file)


def _draw(alignments: "Iterator[WordAlignment]", path: Path, numbers: bool) -> None:
    from nmt.alignment.plots import plot_alignments
    from nmt.console import say

    written = plot_alignments(alignments, path, numbers=numbers)
    say(f"wrote {written[0]}" + (f" to {written[-1].name}" if len(written) > 1 else ""))


@app.command(epilog=_examples("nmt aer links.pharaoh gold.pharaoh"))
def aer(
    links: Annotated[Path, typer.Argument(metavar="LINKS", help="Pharaoh links, a line a sentence pair.")],
    gold: Annotated[Path, typer.Argument(metavar="GOLD", help="True links: i-j is sure, i?j possible.")],
    possible: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Possible links in a file of their own.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Alignment error rate, precision and recall (Och & Ney 2003)."""
    from dataclasses import asdict

    from nmt.alignment.aer import score_files

    found = score_files(links, gold, possible)
    if as_json:
        typer.echo(json.dumps(asdict(found)))
    else:
        typer.echo(f"AER {found.aer:.4f}  precision {found.precision:.4f}  recall {found.recall:.4f}")
        counts = f"{found.num_links} links, {found.num_sure} sure, {found.num_possible} possible"
        typer.echo(f"    {counts}, {found.num_sentences} pairs")


@app.command(epilog=_examples("nmt recipes"))
def recipes() -> None:
    """List the recipes that come with nmt."""
    import yaml

    from nmt.config import shipped_recipes

    shipped = shipped_recipes()
    width = max(map(len, shipped))
    for name, path in shipped.items():
        typer.echo(f"{name:{width}}  {yaml.safe_load(path.read_text('utf-8')).get('description', '')}")


@contextmanager
def _stopped_by_signal(remedy: str) -> Iterator[None]:
    """Turn the interruption of a training run into a message and the exit code of its signal."""
    from nmt.training.interrupts import Interrupted

    try:
        yield
    except Interrupted as stop:
        from nmt.console import say

        say(f"{stop}: stopped, checkpoint saved; {remedy}")
        raise typer.Exit(128 + stop.signal_number) from None
