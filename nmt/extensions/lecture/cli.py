"""``nmt inspect film``, ``sentence`` and ``gradients``: pages of a training run and of translations, and gradients."""

from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated, get_args

import typer

from nmt.alignment.link_options import AttributionMethod
from nmt.cli.common import AsJson, Device, ModelDir, command, names_in, say_wrote, show_json
from nmt.cli.inspect import Curves, Limit
from nmt.core.console import progress_bar
from nmt.core.errors import UserError

Page = Annotated[Path, typer.Option("--output", "-o", metavar="FILE", help="Page to write (.html).")]


@command("nmt inspect film runs/de-en -o film.html")
def film(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="Model directory, in training or done.")],
    output: Page = Path("film.html"),
) -> None:
    """Show how translations and attention changed in training.

    The page is one file that needs no network. For each validation of a run with training.observers.film it shows how
    some sentences were translated, with attention and probabilities, and the share of the gradient that reached
    distant words, beside the curves of the run.
    """
    from nmt.core.output import write_output
    from nmt.extensions.lecture.film import render_film

    write_output(output, render_film(directory))
    say_wrote(output)


@dataclass(frozen=True)
class SentenceOptions:
    """Options of ``nmt inspect sentence``."""

    model_dir: ModelDir
    texts: Annotated[list[str] | None, typer.Argument(metavar="TEXT", help="Sentences to translate.")] = None
    compare: Annotated[
        list[Path] | None,
        typer.Option(metavar="MODEL_DIR", help="Another model to show beside the first; may be repeated."),
    ] = None
    input: Annotated[str, typer.Option("--input", "-i", metavar="FILE", help="Sentences if there is no TEXT.")] = "-"
    output: Page = Path("sentence.html")
    limit: Limit = 30
    beam_size: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Hypotheses of the search.", show_default="as in the recipe")
    ] = None
    alternatives: Annotated[
        int, typer.Option(metavar="N", min=0, max=20, help="Other words of each position that are tried.")
    ] = 4
    interventions: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=0,
            max=5000,
            help="Changes of the attention of single steps in a sentence; 0 also leaves out those of heads and layers.",
        ),
    ] = 300
    attributions: Annotated[
        str,
        typer.Option(
            metavar="NAMES",
            help="Methods of attribution beside attention: all, none, or names with commas between: input_x_gradient, "
            "integrated_gradients, which takes longer, value_zeroing, leave_one_out.",
        ),
    ] = "input_x_gradient,value_zeroing,leave_one_out"
    gold: Annotated[
        tuple[Path, Path] | None,
        typer.Option(metavar="REFERENCE LINKS", help="Translations and their word links (Pharaoh), line by line."),
    ] = None
    test: Annotated[
        tuple[Path, Path] | None,
        typer.Option(metavar="SOURCE REFERENCE", help="A test set: adds BLEU by sentence length."),
    ] = None


@command(
    'nmt inspect sentence runs/de-en "Ein Mann schläft." -o page.html',
    "nmt inspect sentence runs/transformer --compare runs/luong --compare runs/vanilla -i test.de -o page.html",
)
def sentence(options: SentenceOptions, device: Device = "auto") -> None:
    """Show search, attention and what-ifs as a page.

    The page is one file that needs no network. It shows the beam search as a tree, step by step, with what was
    dropped and why; the finished hypotheses under any length penalty; greedy search; the attention of each token; for
    each token the most probable others, with the translations that would follow; and the translations under other
    attention, and without single heads and layers. Several models stand side by side.
    """
    from nmt.core.output import open_output
    from nmt.core.text import read_lines
    from nmt.extensions.lecture.sentence import SentenceViewer
    from nmt.extensions.lecture.sentence_page import read_gold, render_page, scores_by_length
    from nmt.plotting.history import short_names
    from nmt.translation.load import load

    folders, methods = [options.model_dir, *(options.compare or ())], _methods(options.attributions)
    viewers = [
        SentenceViewer(
            load(folder, device), name, options.beam_size, options.alternatives, options.interventions, methods
        )
        for folder, name in zip(folders, short_names(folders), strict=True)
    ]
    given = enumerate(options.texts or read_lines(options.input), start=1)
    numbered = list(islice(((number, line) for number, line in given if line.strip()), options.limit))
    places = [number - 1 for number, _ in numbered]
    golds = read_gold(*options.gold, places) if options.gold is not None and numbered else ()
    lengths = None
    with open_output(options.output, options.input, *(options.test or ()), *(options.gold or ())) as stream:
        if options.test is not None:
            with progress_bar("translating the test set", None) as bar:
                lengths = scores_by_length(viewers, *options.test, bar.advance)
        with progress_bar("translating", len(numbered)) as bar:
            lines = bar.counted(numbered)
            stream.write(render_page("How a sentence is translated", viewers, lines, golds, lengths))
    say_wrote(options.output)


def _methods(names: str) -> list[AttributionMethod]:
    known: tuple[AttributionMethod, ...] = get_args(AttributionMethod)
    chosen = {"all": list(known), "none": []}.get(names, names_in(names))
    if wrong := [name for name in chosen if name not in known]:
        raise UserError(f"There is no attribution {wrong[0]!r}.", f"Choose all, none, or of {', '.join(known)}.")
    return [method for method in known if method in chosen]


@command("nmt inspect gradients runs/rnn runs/lstm --pairs val.de val.en -o gradients.png", draws=True)
def gradients(
    directories: Annotated[list[Path], typer.Argument(metavar="MODEL_DIR", help="Folders that `nmt train` wrote.")],
    pairs: Annotated[tuple[Path, Path], typer.Option(metavar="SOURCE TARGET", help="Two parallel files.")],
    limit: Limit = 500,
    output: Curves = None,
    as_json: AsJson = False,
    device: Device = "auto",
) -> None:
    """Measure how far back gradients reach in trained models.

    The measure is the norm of the loss's gradient at a source token, by the tokens read after it. It vanishes in a
    plain recurrent network without attention, but not in a trained LSTM.
    """
    from nmt.data.sources import FileText
    from nmt.extensions.lecture.gradient_curves import plot_gradients
    from nmt.extensions.lecture.gradients import gradient_norms
    from nmt.plotting.history import short_names
    from nmt.plotting.style import suffix_of, write_figure
    from nmt.translation.load import load

    suffix_of(output)  # before the work
    found = []
    for directory, name in zip(directories, short_names(directories), strict=True):
        with progress_bar(f"measuring {name}", None):
            found.append(gradient_norms(load(directory, device), islice(FileText(*pairs), limit), name))
    if as_json:
        shown = [{"model": norms.name, "norms": norms.mean_T.tolist(), "decay": norms.decay} for norms in found]
        show_json({"models": shown})
    else:
        for norms in found:
            far = len(norms.mean_T) - 1
            share = f"{100 * norms.decay:.3g}%"
            typer.echo(f"{norms.name}: {far} tokens back a gradient has {share} of its size at the last one")
    if output is not None:
        write_figure(plot_gradients(found), output)
        say_wrote(output)
