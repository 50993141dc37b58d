"""The command line: parse, call, print. Nothing heavy is imported before a command needs it."""

import json
from collections.abc import Iterator
from enum import StrEnum
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from nmt.alignment.links import WordAlignment
    from nmt.decoding.translator import Translator

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

Output = Annotated[str, typer.Option("--output", "-o", help="File to write; - is standard output.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1, mps.")]
ModelDir = Annotated[Path, typer.Argument(help="Folder that `nmt train` wrote.", show_default=False)]
Settings = Annotated[
    list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a key of the recipe; may be repeated.")
]


class TranslationFormat(StrEnum):
    text = "text"
    jsonl = "jsonl"


class AlignmentFormat(StrEnum):
    pharaoh = "pharaoh"
    json = "json"
    png = "png"
    svg = "svg"
    pdf = "pdf"


def _version(wanted: bool) -> None:
    if wanted:
        from nmt import __version__

        typer.echo(f"nmt {__version__}")
        raise typer.Exit


@app.callback()
def options(
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="No messages and no progress bars.")] = False,
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True, help="Show it.")] = False,
) -> None:
    if quiet:
        from nmt.console import set_quiet

        set_quiet(True)


@app.command(epilog="Example: nmt quickstart -o quickstart")
def quickstart(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write to.")] = Path("quickstart"),
    settings: Settings = None,
) -> None:
    """Train on the embedded corpus, translate, score, align and plot: all of it in a few minutes."""
    from nmt.quickstart import quickstart as run
    from nmt.quickstart import report

    with _saved_on_interrupt("nmt quickstart starts anew: give it another folder with -o"):
        report(run(output, settings or []), output)


@app.command(epilog="Example: nmt train multi30k/transformer -o runs/de-en --set data.root=../shared/data/multi30k")
def train(
    recipe: Annotated[str, typer.Argument(help="YAML file, or a name that `nmt recipes` lists.", show_default=False)],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Model directory; runs/RECIPE if left out.")
    ] = None,
    settings: Settings = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the last checkpoint in the output.")] = False,
) -> None:
    """Train a model from a recipe."""
    from nmt.training.run import train as run

    output = output or Path("runs") / Path(recipe).with_suffix("").name
    with _saved_on_interrupt(f"go on with: nmt train {recipe} -o {output} --resume"):
        run(recipe, output, settings or [], resume)


@app.command(epilog="Example: nmt translate runs/de-en -i test.de -o test.en")
def translate(
    model_dir: ModelDir,
    input: Annotated[str, typer.Option("--input", "-i", help="File to read; - is standard input.")] = "-",
    output: Output = "-",
    beam_size: Annotated[
        int | None, typer.Option(min=1, help="Hypotheses kept; 1 is greedy. [default: the recipe's]")
    ] = None,
    n_best: Annotated[
        int, typer.Option(min=1, help="Candidates of each line: tab-separated in text, a list in jsonl.")
    ] = 1,
    batch_size: Annotated[int | None, typer.Option(min=1, help="Sentences at a time. [default: the recipe's]")] = None,
    length_penalty: Annotated[str | None, typer.Option(help="none, average or gnmt. [default: the recipe's]")] = None,
    alpha: Annotated[float | None, typer.Option(min=0, help="Strength of the penalty. [default: the recipe's]")] = None,
    format: Annotated[
        TranslationFormat, typer.Option(help="text, or jsonl with scores and alignments.")
    ] = TranslationFormat.text,
    scores: Annotated[
        bool, typer.Option("--scores", help="text: put the score and a tab before each candidate.")
    ] = False,
    device: Device = "auto",
) -> None:
    """Translate lines of text: N lines in, N lines out."""
    from nmt.console import progress_bar
    from nmt.data.text import open_output, read_lines
    from nmt.decoding.translator import load

    translator = load(model_dir, device)
    with progress_bar("translating", None) as bar, open_output(output) as file:
        translations = translator.stream(
            read_lines(input),
            n_best,
            bar.advance,
            beam_size=beam_size,
            batch_size=batch_size,
            length_penalty=length_penalty,
            alpha=alpha,
        )
        for translation in translations:
            if format is TranslationFormat.jsonl:
                links = _own_links(translator, translation.source, translation.text)
                line = json.dumps(translation.to_json(links), ensure_ascii=False)
            else:
                shown = [f"{c.score:.4f}\t{c.text}" if scores else c.text for c in translation.n_best]
                line = "\t".join(shown)
            file.write(line + "\n")


def _own_links(translator: "Translator", source: str, translation: str) -> "tuple[tuple[int, int], ...] | None":
    """Links between a line and its translation; None for a model without attention."""
    if not translator.model.decoder.head_names:
        return None
    return next(iter(translator.align([(source, translation)]))).links


@app.command(epilog="Example: nmt score test.translated.en test.en")
def score(
    hypothesis: Annotated[str, typer.Argument(help="Translations, a line each; - is standard input.")],
    reference: Annotated[str, typer.Argument(help="References, a line each.")],
    metrics: Annotated[str, typer.Option(help="Some of bleu, chrf and ter, with commas between.")] = "bleu,chrf,ter",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
) -> None:
    """BLEU, chrF and TER of detokenised translations, by sacreBLEU and with its signatures.

    BLEU and chrF mind upper and lower case; TER, as sacreBLEU defines it, does not.
    """
    from nmt.evaluation.scores import score_files

    found = score_files(hypothesis, reference, [name.strip() for name in metrics.split(",") if name.strip()])
    if as_json:
        shown = {name: {"score": round(s.score, 4), "signature": s.signature} for name, s in found.items()}
        typer.echo(json.dumps(shown))
    else:
        for s in found.values():
            typer.echo(f"{s.details}\n    {s.signature}")


@app.command(epilog="Example: nmt align runs/de-en test.de test.en --format png -o links.png --limit 10")
def align(
    model_dir: ModelDir,
    source: Annotated[str, typer.Argument(help="Source text, a sentence a line.")],
    target: Annotated[str | None, typer.Argument(help="Its translation; the model's own if left out.")] = None,
    format: Annotated[
        AlignmentFormat, typer.Option(help="Links or JSON as text, or pictures.")
    ] = AlignmentFormat.pharaoh,
    output: Output = "-",
    tokenized: Annotated[
        bool, typer.Option("--tokenized", help="The text is tokenised; links count its tokens.")
    ] = False,
    method: Annotated[str, typer.Option(help="argmax: one link a target word; threshold: all above it.")] = "argmax",
    threshold: Annotated[float, typer.Option(help="Least weight of a link, with --method threshold.")] = 0.3,
    numbers: Annotated[bool, typer.Option("--numbers", help="Pictures: write the weights into the cells.")] = False,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only the first sentences. [default: all; 20 pictures]")
    ] = None,
    device: Device = "auto",
) -> None:
    """Word alignments of sentence pairs, from the model's attention."""
    from nmt.decoding.translator import load
    from nmt.errors import UserError

    is_picture = format.value not in ("pharaoh", "json")
    if is_picture and output == "-":
        raise UserError(f"A {format.value} picture needs a file.", f"Give -o links.{format.value}.")
    translator = load(model_dir, device)
    pairs = islice(_pairs(translator, source, target), limit or (20 if is_picture else None))
    alignments = translator.align(pairs, tokenized, method, threshold)  # type: ignore[arg-type]
    if is_picture:
        _draw(alignments, Path(output).with_suffix(f".{format.value}"), numbers)
    else:
        from nmt.alignment.formats import write_alignments
        from nmt.data.text import open_output

        with open_output(output) as file:
            write_alignments(alignments, format.value, file)  # type: ignore[arg-type]


def _pairs(translator: "Translator", source: str, target: str | None) -> Iterator[tuple[str, str]]:
    """Source lines with the given target, or with the model's own translation."""
    if target is None:
        from nmt.data.text import read_lines

        return ((t.source, t.text) for t in translator.stream(read_lines(source)))
    from nmt.data.corpus import FileText

    return iter(FileText(Path(source), Path(target)))


def _draw(alignments: "Iterator[WordAlignment]", path: Path, numbers: bool) -> None:
    from nmt.alignment.plots import plot_alignments
    from nmt.console import say

    written = plot_alignments(alignments, path, numbers=numbers)
    say(f"wrote {written[0]}" + (f" to {written[-1].name}" if len(written) > 1 else ""))


@app.command(epilog="Example: nmt aer links.pharaoh gold.pharaoh")
def aer(
    links: Annotated[Path, typer.Argument(help="Pharaoh links, a line a sentence pair.")],
    gold: Annotated[Path, typer.Argument(help="True links: i-j is sure, i?j possible.")],
    possible: Annotated[Path | None, typer.Option(help="Possible links in a file of their own.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on standard output.")] = False,
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


@app.command()
def recipes() -> None:
    """List the recipes that come with nmt."""
    import yaml

    from nmt.config import shipped_recipes

    shipped = shipped_recipes()
    width = max(map(len, shipped))
    for name, path in shipped.items():
        typer.echo(f"{name:{width}}  {yaml.safe_load(path.read_text('utf-8')).get('description', '')}")


class _saved_on_interrupt:
    """Turn a training run's interruption into a message and the exit code of its signal."""

    def __init__(self, remedy: str) -> None:
        self._remedy = remedy

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if kind is None:
            return
        from nmt.console import say
        from nmt.training.interrupts import Interrupted

        if isinstance(error, Interrupted):
            say(f"{error}: stopped, checkpoint saved; {self._remedy}")
            raise typer.Exit(128 + error.signal_number)
