"""``nmt translate``."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from nmt.cli.common import (
    Device,
    ExecutorName,
    Input,
    ModelDir,
    Output,
    Ray,
    Workers,
    check_is_folder,
    command,
    command_to_resume,
    components_in,
    is_terminal,
    on_screen,
    shards_and_executor,
)
from nmt.cli.schema import options_of
from nmt.cli.translation_options import (
    Abstain,
    Check,
    Confidence,
    Document,
    Engine,
    Ensemble,
    Forbid,
    Format,
    FromMemory,
    InputFormat,
    Interactive,
    LogitsProcessors,
    NBest,
    PrecisionOfEngine,
    Repair,
    ReplaceUnknown,
    Resume,
    ScoreOnly,
    Scores,
    UnknownLexicon,
)
from nmt.core.console import progress_bar, say, warn
from nmt.core.errors import UserError
from nmt.core.output import ResumableOutput, open_output
from nmt.recipe.schema import DecodingOptions

if TYPE_CHECKING:
    from nmt.export.ct2 import Quantization
    from nmt.jobs.executors import Executor
    from nmt.jobs.run import LineJob
    from nmt.jobs.shards import Shard
    from nmt.recipe.schema import DecodingChanges
    from nmt.translation.job import TranslationJob
    from nmt.translation.results import ScoredPair, Translation
    from nmt.translation.teacher import TeacherJob, TeacherRecord
    from nmt.translation.translator import Translator

QUANTIZATIONS: dict[str, "Quantization | None"] = {
    "fp32": None, "auto": None, "bf16": "bfloat16", "fp16": "float16", "int8": "int8",
}  # fmt: skip
"""Names of the precisions in CTranslate2."""
WORTH_A_WARNING = 20
"""Lines from which on degenerate translations are reported: of fewer, the user sees each."""


@command(
    "nmt translate runs/de-en -i test.de -o test.en",
    'echo "Ein Hund schläft." | nmt translate runs/de-en --n-best 3 --scores',
    "nmt translate runs/de-en -i test.de -o test.jsonl --format jsonl",
    "nmt translate runs/de-en page.html -o page.en.html",
    "nmt translate runs/de-en -i shards.de -o shards.en --workers 4",
    "nmt translate runs/de-en --score-only test.de test.en",
    "nmt translate runs/de-en -i test.de --ensemble runs/other --n-best 3",
    "nmt translate runs/de-en -i test.de --search sample --mbr chrf",
)
@options_of(DecodingOptions)
def translate(
    model_dir: ModelDir,
    file: Document = None,
    input: Input = "-",
    output: Output = "-",
    n_best: NBest = 1,
    logits_processor: LogitsProcessors = None,
    ensemble: Ensemble = None,
    forbid: Forbid = None,
    replace_unknown: ReplaceUnknown = False,
    unknown_lexicon: UnknownLexicon = None,
    input_format: InputFormat = None,
    format: Format = "text",
    scores: Scores = False,
    check: Check = False,
    repair: Repair = False,
    confidence: Confidence = False,
    abstain: Abstain = None,
    memory: FromMemory = False,
    score_only: ScoreOnly = None,
    precision: PrecisionOfEngine = "fp32",
    engine: Engine = "torch",
    resume: Resume = False,
    interactive: Interactive = False,
    workers: Workers = None,
    ray: Ray = None,
    executor: ExecutorName = None,
    device: Device = "auto",
    **decoding: Any,
) -> None:
    """Translate lines of text, or a document.

    A document, such as page.html or messages.po, is known by the ending of its name. Its sentences are translated, and
    its markup is kept. Give --input-format text to translate it line by line.

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
    for name, is_given in (("--check", check), ("--confidence", confidence)):
        if is_given and format != "jsonl":
            raise UserError(f"{name} writes a field of jsonl.", "Give --format jsonl, too.")
    _check_alone(score_only, interactive, input, output, resume)
    if logits_processor:
        decoding["logits_processors"] = components_in(
            logits_processor, "--logits-processor", "no_repeat_ngram: {size: 3}"
        )
    is_folder = check_is_folder(input, workers, ray, executor)
    options = _JobOptions(
        model_dir, ensemble or [], precision, engine, n_best, forbid or [], replace_unknown, unknown_lexicon,
        input_format, format, scores, check, repair, confidence, abstain, memory,
        cast("DecodingChanges", decoding),
    )  # fmt: skip
    if score_only:
        _score(options, score_only, output, device)
    elif is_folder:
        find = partial(shards_and_executor, workers=workers, ray=ray, name=executor, device=device)
        _translate_folder(options, Path(input), output, device, find)
    elif interactive:
        options.job(device).converse()
    elif ending := options.ending(input):
        _translate_document(options.job(device), input, output, resume, ending)
    else:
        translate_lines(options.job(device), input, output, resume)


def _check_alone(score_only: tuple[str, str] | None, interactive: bool, input: str, output: str, resume: bool) -> None:
    """Refuses options that don't go with --score-only or --interactive."""
    for name, is_given in (("--score-only", score_only is not None), ("--interactive", interactive)):
        if is_given and (input != "-" or resume or (interactive and (output != "-" or score_only))):
            raise UserError(f"{name} doesn't go with --input, --resume and the like.", f"Give {name} without them.")


@dataclass(frozen=True)
class _JobOptions:
    """The options of the command that say what becomes of a line."""

    model_dir: Path
    ensemble: list[Path]
    precision: str
    engine: str
    n_best: int
    forbid: list[str]
    replace_unknown: bool
    unknown_lexicon: Path | None
    input_format: str | None
    format: str
    scores: bool
    check: bool
    repair: bool
    confidence: bool
    abstain: float | None
    memory: bool
    decoding: "DecodingChanges"

    def ending(self, path: Path | str) -> str | None:
        """Returns the document format of an input, None for lines.

        Raises:
            UserError: the other options are for lines.
        """
        from nmt.documents.job import document_ending

        ending = document_ending(path, self.input_format)
        if ending is not None and (self.n_best > 1 or self.scores or self.format != "text" or self.abstain is not None):
            raise UserError(
                f"{path} is a document: --n-best, --scores, --abstain and --format are for lines.",
                "Leave them out, or give --input-format text.",
            )
        return ending

    def translator(self, device: str) -> "Translator":
        """Returns the translator that the options describe."""
        from nmt.translation.load import load

        if self.engine == "torch":
            if self.precision == "int8":
                raise UserError("PyTorch doesn't translate in int8.", "Give --engine ctranslate2, too.")
            return load(self.model_dir, device, self.precision, self.ensemble)
        if self.ensemble:
            raise UserError("CTranslate2 searches with one model.", "Leave out --ensemble or --engine.")
        from nmt.export.run import exported_translator

        return exported_translator(load(self.model_dir, "cpu"), None, QUANTIZATIONS[self.precision])

    def job(self, device: str) -> "TranslationJob":
        """Returns the job that the options describe."""
        from nmt.translation.job import TranslationJob
        from nmt.translation.memory import TranslationMemory
        from nmt.translation.request import OutputConstraints, Request, StreamOptions, read_unknown_lexicon

        lexicon = read_unknown_lexicon(self.unknown_lexicon) if self.unknown_lexicon else {}
        return TranslationJob(
            self.translator(device),
            partial(_jsonl, abstain=self.abstain)
            if self.format == "jsonl"
            else partial(_text, scores=self.scores, abstain=self.abstain),
            Request.from_json if self.input_format == "jsonl" else Request.from_text,
            StreamOptions(
                self.n_best,
                self.format == "jsonl",
                OutputConstraints(self.forbid, self.replace_unknown, lexicon),
                "repair" if self.repair else self.check,
                self.confidence or self.abstain is not None,
                self.decoding,
            ),
            memory=TranslationMemory(self.model_dir) if self.memory else None,
        )


def _translate_folder(
    options: _JobOptions, input: Path, output: str, device: str, find: "Callable[..., tuple[list[Shard], Executor]]"
) -> None:
    from nmt.core.files import sha256
    from nmt.core.model_directory import ModelDirectory
    from nmt.documents.job import num_lines, open_file
    from nmt.jobs import shards
    from nmt.jobs.executors import CORES
    from nmt.translation.job import start_shards

    settings = options.decoding | vars(options) | {
        "model_dir": ModelDirectory(options.model_dir).digest(),
        "ensemble": [ModelDirectory(path).digest() for path in options.ensemble],
        "unknown_lexicon": options.unknown_lexicon and sha256(options.unknown_lexicon),
        "input_format": options.input_format or "text",
    }  # fmt: skip
    del settings["decoding"]
    for name in ("check", "repair", "confidence", "abstain", "memory", "engine"):
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
    try:
        document = DocumentTranslator(job, input, ending)
    except ModuleNotFoundError as error:
        raise UserError(f"The package {error.name} is not installed.", "pip install 'nmt[serve]'") from None
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


def _score(options: _JobOptions, files: tuple[str, str], output: str, device: str) -> None:
    from nmt.data.sources import FileText

    translator = options.translator(device)
    pairs = FileText(*map(Path, files))
    with progress_bar("scoring", None, not on_screen(output)) as bar, open_output(output) as file:
        for pair in bar.counted(translator.score(pairs, **options.decoding)):
            score = "nan" if pair.score is None else f"{pair.score:.4f}"
            file.write((_jsonl(pair) if options.format == "jsonl" else f"{score}\t{pair.target}") + "\n")


def _jsonl(result: "Translation | ScoredPair", abstain: float | None = None) -> str:
    from nmt.alignment.links import json_line

    values = result.to_json()
    if abstain is not None and values.get("confidence", 1.0) < abstain:
        values |= {"translation": "", "abstained": True}
    return json_line(values)


def _text(translation: "Translation", scores: bool, abstain: float | None) -> str:
    if abstain is not None and translation.confidence is not None and translation.confidence < abstain:
        return ""
    return "\t".join(f"{c.score:.4f}\t{c.text}" if scores else c.text for c in translation.n_best)
