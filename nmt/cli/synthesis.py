"""``nmt backtranslate`` and ``nmt distill``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from nmt.cli.common import Device, ModelDir, command
from nmt.cli.schema import options_of
from nmt.cli.translate import Precision, Resume, translate_lines
from nmt.core.console import print_table, progress_bar, say
from nmt.core.errors import UserError
from nmt.filters.pair_options import PairOptions
from nmt.recipe.schema import DecodingOptions

if TYPE_CHECKING:
    from nmt.recipe.schema import DecodingChanges
    from nmt.translation.translator import Translator

Text = Annotated[
    str,
    typer.Option(
        "--input", "-i", metavar="FILE", help="Text in the target language (.gz, .xz, .zst too); - is standard input."
    ),
]
Folder = Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="Folder to write; must be new.")]


@command(
    "nmt backtranslate runs/en-de -i mono.en -o bt",
    "nmt backtranslate runs/en-de -i mono.en.zst -o bt --noise",
    "nmt backtranslate runs/en-de -i mono.en -o bt --search sample --min-score -3",
)
@options_of(PairOptions, from_recipe=False)
@options_of(DecodingOptions)
def backtranslate(
    model_dir: ModelDir,
    output: Folder,
    input: Text = "-",
    noise: Annotated[
        bool,
        typer.Option("--noise", help="Delete, replace and move some words of the translations (Edunov et al. 2018)."),
    ] = False,
    precision: Precision = "fp32",
    resume: Resume = False,
    device: Device = "auto",
    **options: Any,
) -> None:
    """Make training pairs of text in the target language.

    MODEL_DIR translates in the other direction: from the language of the text. Its translations are the source side of
    the pairs, the text is the target side. FOLDER gets train.LANGUAGE of both languages, compressed like the input;
    train.scores; removed.jsonl with the pairs that are left out and why; and report.json.

    Left out are pairs with a side that is empty or repeats itself, copies, unusual length ratios and low scores. The
    translations are in FOLDER.partial until FOLDER is complete; --resume continues a run that was stopped.
    """
    from nmt.translation.load import load

    translator = load(model_dir, device, precision)
    translator.task.require("synthesis")
    _synthesize(translator, 0, (input, None), output, resume, options, noise)


@command(
    "nmt distill runs/teacher train.de -o distilled",
    "nmt distill runs/teacher train.de train.en -o distilled --beam-size 8",
)
@options_of(PairOptions, from_recipe=False)
@options_of(DecodingOptions)
def distill(
    model_dir: ModelDir,
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="Source text of the training pairs.")],
    target: Annotated[
        Path | None,
        typer.Argument(
            metavar="TARGET",
            help="Its translation: of the candidates in the beam, the one with the highest sentence BLEU is chosen.",
            show_default="the teacher's best candidate",
        ),
    ] = None,
    *,
    output: Folder,
    precision: Precision = "fp32",
    resume: Resume = False,
    device: Device = "auto",
    **options: Any,
) -> None:
    """Make a student's training pairs with a teacher.

    The teacher MODEL_DIR translates the source text, and the student is trained on its translations (Kim & Rush 2016).
    FOLDER gets the files of `nmt backtranslate`, and the same pairs are left out.
    """
    from nmt.data.sources import FileText
    from nmt.translation.load import load

    if target is not None:
        for path in (Path(source), target):
            if path.exists() and not path.is_file():
                raise UserError(f"{path} is not a regular file.", "Name a file: its text is read repeatedly.")
        for _ in FileText(Path(source), target):
            pass  # of different lengths now rather than when all is translated
    _synthesize(load(model_dir, device, precision), 1, (source, target), output, resume, options)


def _synthesize(
    translator: "Translator",
    translated: int,
    files: tuple[str, Path | None],
    output: Path,
    resume: bool,
    options: dict[str, Any],
    noise: bool = False,
) -> None:
    """Translate, filter and write; ``translated`` is the side of the pairs that the model writes."""
    from nmt.core.compression import of_name
    from nmt.filters.synthesis import Synthesis, check_language, record, with_one_sample
    from nmt.translation.job import TranslationJob
    from nmt.translation.request import Request
    from nmt.translation.translator import UNCONSTRAINED

    if output.exists():
        raise UserError(f"{output} exists already.", "Name another folder with -o, or delete it.")
    input, references = files
    check_language(input, translator.recipe)
    pair_options = PairOptions(**{name: options.pop(name) for name in PairOptions.model_fields})
    decoding = cast("DecodingChanges", options)
    if references is None:
        decoding = with_one_sample(translator, decoding)
    effective, data = translator.options(**decoding), translator.recipe.data
    compression = of_name(input)
    synthesis = Synthesis(
        (data.source, data.target) if translated else (data.target, data.source),
        translated,
        pair_options,
        {"model": str(translator.directory), "input": input, **effective.model_dump(mode="json")},
        references,
        effective.seed if noise else None,
        compression.suffix if compression else "",
    )
    n_best = 1 if references is None else effective.beam_size
    job = TranslationJob(translator, record, Request.from_text, n_best, False, UNCONSTRAINED, decoding)

    def finish(records: Path) -> None:
        with progress_bar("filtering", None) as bar:
            report = synthesis.write(records, output, bar.advance)
        total = report["lines"]
        rows = [(name, f"{count:,}", f"{count / total:.2%}") for name, count in report["removed"].items()]
        print_table("", ("left out by", "pairs", ""), rows)
        say(
            f"wrote {output}: {report['pairs']:,} pairs of {total:,} lines, with a mean score of {report['mean_score']}"
        )

    translate_lines(job, input, str(output.absolute()), resume, finish)
