"""``nmt translate``."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from nmt.cli.common import (
    Device,
    ExecutorName,
    Input,
    Output,
    Ray,
    check_is_folder,
    command,
    command_to_resume,
    components_in,
    is_terminal,
    on_screen,
    shards_and_executor,
)
from nmt.cli.help import INPUT_AND_OUTPUT, MACHINE, OF_DECODING, SEARCH
from nmt.cli.schema import options_of
from nmt.cli.translation_options import Resume, TranslateOptions, jsonl
from nmt.core.console import progress_bar, say, warn
from nmt.core.errors import UserError
from nmt.core.output import open_output
from nmt.jobs.run import ResumableOutput
from nmt.recipe.schema import DecodingOptions

if TYPE_CHECKING:
    from nmt.jobs.executors import Executor
    from nmt.jobs.run import LineJob
    from nmt.jobs.shards import Shard
    from nmt.recipe.schema import DecodingChanges
    from nmt.translation.job import TranslationJob
    from nmt.translation.results import Translation
    from nmt.translation.teacher import TeacherJob, TeacherRecord

WORTH_A_WARNING = 20
"""Lines from which on degenerate translations are reported: of fewer, the user sees each."""


@command(
    "nmt translate runs/de-en -i test.de -o test.en",
    'echo "Ein Hund schläft." | nmt translate runs/de-en --n-best 3 --scores',
    "nmt translate runs/de-en -i test.de -o test.jsonl --format jsonl",
    "nmt translate runs/de-en page.html -o page.en.html --glossary terms.tsv",
    "nmt translate runs/de-en -i shards.de -o shards.en --workers 4",
    "nmt translate runs/de-en --score-only test.de test.en",
    "nmt translate runs/de-en -i test.de --ensemble runs/other --n-best 3",
    "nmt translate runs/de-en -i test.de --search sample --mbr chrf",
)
@options_of(DecodingOptions, section=SEARCH, others=OF_DECODING)
def translate(
    options: TranslateOptions,
    file: Annotated[
        str | None,
        typer.Argument(metavar="FILE", help="Text or a document to translate, as --input.", show_default=False),
    ] = None,
    input: Input = "-",
    output: Output = "-",
    logits_processor: Annotated[
        list[str] | None,
        typer.Option(
            metavar="YAML",
            help="A logits processor with its options, such as 'no_repeat_ngram: {size: 3}'; may be repeated.",
            show_default="from the recipe",
            rich_help_panel=SEARCH,
        ),
    ] = None,
    score_only: Annotated[
        tuple[str, str] | None,
        typer.Option(
            metavar="SOURCE TARGET",
            help="Instead of translating, score the lines of TARGET as translations of those of SOURCE.",
            rich_help_panel=INPUT_AND_OUTPUT,
        ),
    ] = None,
    resume: Resume = False,
    interactive: Annotated[
        bool, typer.Option(help="Ask for sentences and answer each.", rich_help_panel=INPUT_AND_OUTPUT)
    ] = False,
    workers: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=1,
            help="Processes that translate a file or the shards of a folder.",
            show_default="one on each core for a file, on a CPU; as many as the machine has room for a folder",
            rich_help_panel=MACHINE,
        ),
    ] = None,
    ray: Ray = None,
    executor: ExecutorName = None,
    device: Device = "auto",
    **decoding: Any,
) -> None:
    """Translate lines of text, or a document.

    A document, such as page.html or messages.po, is recognised by its file extension. Its sentences are translated,
    and its markup is kept. Give --input-format text to translate it line by line.

    N lines of text give N lines, in the same order. An empty line stays empty. A score is a log-probability under the
    length penalty: at most 0 unless a word reward is used.

    Lines that arrive together are translated in batches, and a program that waits for the answer to a line gets it at
    once. The output is named FILE.partial until it is complete; --resume continues a run that was stopped.

    If the input is a folder, each file in it gives a file of the same name in the folder of the output. Several
    processes, or workers on Ray, do so at a time, and the same command goes on after a stop.
    """
    if file is not None and input != "-":
        raise UserError("FILE and --input both name the input.", "Give one of them.")
    input = file or input
    for name, is_given in (("--check", options.check), ("--confidence", options.confidence)):
        if is_given and options.format != "jsonl":
            raise UserError(f"{name} writes a field of jsonl.", "Give --format jsonl, too.")
    _check_alone(score_only, interactive, input, output, resume)
    if logits_processor:
        decoding["logits_processors"] = components_in(
            logits_processor, "--logits-processor", "no_repeat_ngram: {size: 3}"
        )
    is_folder = check_is_folder(input, ray=ray, executor=executor)
    options = replace(options, decoding=cast("DecodingChanges", decoding))
    if score_only:
        _score(options, score_only, output, device)
    elif is_folder:
        find = partial(shards_and_executor, workers=workers, ray=ray, name=executor, device=device)
        _translate_folder(options, Path(input), output, device, find)
    elif interactive:
        options.job(device).converse()
    elif ending := options.ending(input):
        _translate_document(options.job(device).in_processes(input, workers), input, output, resume, ending)
    else:
        translate_lines(options.job(device).in_processes(input, workers), input, output, resume)


def _check_alone(score_only: tuple[str, str] | None, interactive: bool, input: str, output: str, resume: bool) -> None:
    """Refuses options that don't go with --score-only or --interactive."""
    for name, is_given in (("--score-only", score_only is not None), ("--interactive", interactive)):
        if is_given and (input != "-" or resume or (interactive and (output != "-" or score_only))):
            raise UserError(f"{name} doesn't go with --input, --resume and the like.", f"Give {name} without them.")


def _translate_folder(
    options: TranslateOptions,
    input: Path,
    output: str,
    device: str,
    find: "Callable[..., tuple[list[Shard], Executor]]",
) -> None:
    from nmt.core.files import sha256
    from nmt.core.model_directory import ModelDirectory
    from nmt.documents.job import num_lines, open_file
    from nmt.jobs import shards
    from nmt.jobs.executors import CORES
    from nmt.translation.job import start_shards

    settings = options.decoding | vars(options) | {
        "model_dir": ModelDirectory(options.model_dir).digest(),
        "ensemble": [ModelDirectory(path).digest() for path in options.ensemble or ()],
        "forbid": options.forbid or [],
        "unknown_lexicon": options.unknown_lexicon and sha256(options.unknown_lexicon),
        "glossary": options.glossary and sha256(options.glossary),
        "input_format": options.input_format or "text",
    }  # fmt: skip
    del settings["decoding"]
    for name in ("check", "repair", "confidence", "abstain", "memory", "glossary", "engine"):
        if settings[name] in (None, False, "torch"):  # earlier journals don't have it
            del settings[name]
    make = partial(start_shards, options.job, device, open_file=partial(open_file, input_format=options.input_format))
    found, executor = find([input], output, cores_each=CORES)
    for shard in found:
        options.ending(shard.inputs[0])
    count = partial(num_lines, input_format=options.input_format)
    shards.run(found, Path(output), settings, executor, make, "translating", count)


def _translate_document(job: "TranslationJob", input: str, output: str, resume: bool, ending: str) -> None:
    from nmt.documents.job import DocumentTranslator

    if ResumableOutput(output).partial is None:
        raise UserError("A document is written to a file.", "Name one with -o, or give --input-format text.")
    document = DocumentTranslator(job, input, ending)
    _translate(
        document.job, iter(document.sentences), ResumableOutput(output, partial(document.write, output)), resume,
        "sentences", len(document.sentences),
    )  # fmt: skip


def translate_lines(
    job: "TranslationJob | TeacherJob",
    input: str,
    output: str,
    resume: bool,
    finish: Callable[[Path], None] | None = None,
) -> None:
    """Run a job with a progress bar; ``output`` and ``finish`` are the arguments of :class:`ResumableOutput`."""
    from nmt.core.text import count_lines, read_lines

    typed = input == "-" and is_terminal(sys.stdin)
    if typed:
        say("Type a sentence and Enter; Ctrl-D ends.")
    target = ResumableOutput(output, finish)
    visible = is_terminal(sys.stderr) and not (typed or on_screen(output))
    total = count_lines(input) if visible else None
    _translate(job, read_lines(input), target, resume, "lines", total, visible)


def _translate(
    job: "TranslationJob | TeacherJob", lines: Iterator[str], target: ResumableOutput, resume: bool, unit: str,
    total: int | None, visible: bool = True,
) -> None:  # fmt: skip
    """Run a job with a progress bar over a number of lines, or of sentences."""
    from nmt.documents.detection import MarkupDetector
    from nmt.jobs.run import run
    from nmt.metrics.degenerate import DegenerateCount

    degenerate, markup = DegenerateCount(), MarkupDetector()

    def on_start(num_done: int, num_again: int) -> None:
        degenerate.num_before = num_done
        if num_done:
            say(f"{num_done:,} {unit} are in {target.partial} already.")
            bar.advance(num_done - num_again)

    with _work_is_kept(target, unit), progress_bar("translating", total, visible) as bar:
        line_job = cast("LineJob[Translation | TeacherRecord]", job)
        for translation in run(line_job, lines, target, resume, on_start, bar.advance):
            if job.reports_degenerate:
                degenerate.add(translation.text, translation.source)
            if unit == "lines":
                markup.add(translation.source)
    if degenerate.num_lines >= WORTH_A_WARNING and (summary := degenerate.summary()):
        (warn if degenerate.is_serious else say)(f"{summary}.")


@contextmanager
def _work_is_kept(target: ResumableOutput, unit: str) -> Iterator[None]:
    """Say where the output of a run is that stops before its end, and how to resume it."""
    try:
        yield
    except BaseException:
        if num_lines := target.num_lines:
            say(f"{num_lines:,} {unit} are kept in {target.partial}. Resume after them with:")
            say(f"  {command_to_resume()}")
        raise


def _score(options: TranslateOptions, files: tuple[str, str], output: str, device: str) -> None:
    from nmt.data.sources import FileText

    translator = options.translator(device)
    pairs = FileText(*map(Path, files))
    with progress_bar("scoring", None, not on_screen(output)) as bar, open_output(output) as file:
        for pair in bar.counted(translator.score(pairs, **options.decoding)):
            score = "nan" if pair.score is None else f"{pair.score:.4f}"
            file.write((jsonl(pair) if options.format == "jsonl" else f"{score}\t{pair.target}") + "\n")
