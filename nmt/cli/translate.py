"""``nmt translate`` and ``nmt rerank``."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, cast

import typer

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
from nmt.core.console import progress_bar, say, warn
from nmt.core.errors import UserError
from nmt.core.files import ResumableOutput, open_output
from nmt.recipe.schema import DecodingOptions

if TYPE_CHECKING:
    from nmt.jobs.executors import Executor
    from nmt.jobs.run import LineJob
    from nmt.jobs.shards import Shard
    from nmt.recipe.schema import DecodingChanges
    from nmt.translation.job import TranslationJob
    from nmt.translation.results import ScoredPair, Translation
    from nmt.translation.teacher import TeacherJob, TeacherRecord
    from nmt.translation.translator import Translator

NBest = Annotated[
    int,
    typer.Option(
        metavar="N",
        min=1,
        help="Candidates of each line, at most the beam size: separated by tabs in text, a list in jsonl.",
    ),
]
InputFormat = Annotated[
    Literal["text", "jsonl"],
    typer.Option(
        help="jsonl: an object per line with source and optionally prefix, with which the translation begins, and "
        "must_contain, a list of phrases in it."
    ),
]
Format = Annotated[
    Literal["text", "jsonl"],
    typer.Option(help="text, or a JSON object per line with scores, tokens, candidates and word alignment."),
]
Scores = Annotated[bool, typer.Option("--scores", help="Write its score and a tab before each candidate.")]
ScoreOnly = Annotated[
    tuple[str, str] | None,
    typer.Option(
        "--score-only",
        metavar="SOURCE TARGET",
        help="Instead of translating, score the lines of TARGET as translations of those of SOURCE.",
    ),
]
Precision = Annotated[
    Literal["fp32", "bf16", "fp16", "auto"],
    typer.Option(help="Precision of matrix products; with bf16 and fp16 a translation can depend on its batch."),
]
Resume = Annotated[bool, typer.Option("--resume", help="Resume a stopped run after the lines in FILE.partial.")]
Interactive = Annotated[bool, typer.Option("--interactive", help="Ask for sentences and answer each.")]
Ensemble = Annotated[
    list[Path] | None,
    typer.Option(
        "--ensemble",
        metavar="MODEL_DIR",
        help="Another model whose probabilities are averaged in; may be repeated. Its vocabulary must be the same.",
    ),
]
Forbid = Annotated[
    list[str] | None,
    typer.Option("--forbid", metavar="PHRASE", help="A phrase that no translation contains; may be repeated."),
]
ReplaceUnknown = Annotated[
    bool,
    typer.Option(
        "--replace-unknown", help="Replace an unknown word by the source word with the highest attention weight."
    ),
]
UnknownLexicon = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        help="With --replace-unknown: lines of a source word, a tab and its translation; others are copied.",
    ),
]
LogitsProcessors = Annotated[
    list[str] | None,
    typer.Option(
        "--logits-processor",
        metavar="YAML",
        help="A logits processor with its options, such as 'no_repeat_ngram: {size: 3}'; may be repeated.",
        show_default="from the recipe",
    ),
]

WORTH_A_WARNING = 20
"""Lines from which on degenerate translations are reported: of fewer, the user sees each."""


@command(
    "nmt translate runs/de-en -i test.de -o test.en",
    'echo "Ein Hund schläft." | nmt translate runs/de-en --n-best 3 --scores',
    "nmt translate runs/de-en -i test.de -o test.jsonl --format jsonl",
    "nmt translate runs/de-en -i shards.de -o shards.en --workers 4",
    "nmt translate runs/de-en --score-only test.de test.en",
    "nmt translate runs/de-en -i test.de --ensemble runs/other --n-best 3",
    "nmt translate runs/de-en -i test.de --search sample --mbr chrf",
)
@options_of(DecodingOptions)
def translate(
    model_dir: ModelDir,
    input: Input = "-",
    output: Output = "-",
    n_best: NBest = 1,
    logits_processor: LogitsProcessors = None,
    ensemble: Ensemble = None,
    forbid: Forbid = None,
    replace_unknown: ReplaceUnknown = False,
    unknown_lexicon: UnknownLexicon = None,
    input_format: InputFormat = "text",
    format: Format = "text",
    scores: Scores = False,
    score_only: ScoreOnly = None,
    precision: Precision = "fp32",
    resume: Resume = False,
    interactive: Interactive = False,
    workers: Workers = None,
    ray: Ray = None,
    executor: ExecutorName = None,
    device: Device = "auto",
    **decoding: Any,
) -> None:
    """Translate lines of text: N lines in, N lines out.

    The order of lines is kept. An empty line stays empty. A score is a log-probability under the length penalty: at
    most 0 unless a word reward is used.

    Lines that arrive together are translated in batches, and a program that waits for the answer to a line gets it at
    once. The output is named FILE.partial until it is complete; --resume continues a run that was stopped.

    If the input is a folder, each file in it gives a file of the same name in the folder of the output. Several
    processes, or workers on Ray, do so at a time, and the same command goes on after a stop.
    """
    for name, is_given in (("--score-only", score_only is not None), ("--interactive", interactive)):
        if is_given and (input != "-" or resume or (interactive and (output != "-" or score_only))):
            raise UserError(f"{name} doesn't go with --input, --resume and the like.", f"Give {name} without them.")
    if logits_processor:
        decoding["logits_processors"] = components_in(
            logits_processor, "--logits-processor", "no_repeat_ngram: {size: 3}"
        )
    is_folder = check_is_folder(input, workers, ray, executor)
    if score_only:
        from nmt.translation.load import load

        translator = load(model_dir, device, precision, ensemble or ())
        _score(translator, score_only, output, format, cast("DecodingChanges", decoding))
        return
    options = _JobOptions(
        model_dir, ensemble or [], precision, n_best, forbid or [], replace_unknown, unknown_lexicon, input_format,
        format, scores, cast("DecodingChanges", decoding),
    )  # fmt: skip
    if is_folder:
        find = partial(shards_and_executor, workers=workers, ray=ray, name=executor, device=device)
        _translate_folder(options, Path(input), output, device, find)
    elif interactive:
        options.job(device).converse()
    else:
        translate_lines(options.job(device), input, output, resume)


@dataclass(frozen=True)
class _JobOptions:
    """The options of the command that say what becomes of a line."""

    model_dir: Path
    ensemble: list[Path]
    precision: str
    n_best: int
    forbid: list[str]
    replace_unknown: bool
    unknown_lexicon: Path | None
    input_format: str
    format: str
    scores: bool
    decoding: "DecodingChanges"

    def job(self, device: str) -> "TranslationJob":
        """Returns the job that the options describe."""
        from nmt.translation.job import TranslationJob
        from nmt.translation.load import load
        from nmt.translation.request import OutputConstraints, Request, read_unknown_lexicon

        lexicon = read_unknown_lexicon(self.unknown_lexicon) if self.unknown_lexicon else {}
        return TranslationJob(
            load(self.model_dir, device, self.precision, self.ensemble),
            _jsonl if self.format == "jsonl" else partial(_text, scores=self.scores),
            Request.from_json if self.input_format == "jsonl" else Request.from_text,
            self.n_best,
            with_alignment=self.format == "jsonl",
            constraints=OutputConstraints(self.forbid, self.replace_unknown, lexicon),
            decoding=self.decoding,
        )


def _translate_folder(
    options: _JobOptions, input: Path, output: str, device: str, find: "Callable[..., tuple[list[Shard], Executor]]"
) -> None:
    from nmt.core.files import sha256
    from nmt.core.model_directory import ModelDirectory
    from nmt.jobs import shards
    from nmt.jobs.executors import CORES
    from nmt.translation.job import start_shards

    settings = options.decoding | vars(options) | {
        "model_dir": ModelDirectory(options.model_dir).digest(),
        "ensemble": [ModelDirectory(path).digest() for path in options.ensemble],
        "unknown_lexicon": options.unknown_lexicon and sha256(options.unknown_lexicon),
    }  # fmt: skip
    del settings["decoding"]
    make = partial(start_shards, options.job, device)
    found, executor = find([input], output, cores_each=CORES)
    shards.run(found, Path(output), settings, executor, make, "translating")


def translate_lines(
    job: "TranslationJob | TeacherJob",
    input: str,
    output: str,
    resume: bool,
    finish: Callable[[Path], None] | None = None,
) -> None:
    """Run a job with a progress bar; ``output`` and ``finish`` are the arguments of :class:`ResumableOutput`."""
    from nmt.core.text import count_lines, read_lines
    from nmt.jobs.run import run
    from nmt.metrics.degenerate import DegenerateCount

    typed = input == "-" and is_terminal(sys.stdin)
    if typed:
        say("Type a sentence and Enter; Ctrl-D ends.")
    target, degenerate = ResumableOutput(output, finish), DegenerateCount()
    visible = is_terminal(sys.stderr) and not (typed or on_screen(output))
    total = count_lines(input) if visible else None

    def on_start(num_done: int, num_again: int) -> None:
        degenerate.num_before = num_done
        if num_done:
            say(f"{num_done:,} lines are in {target.partial} already.")
            bar.advance(num_done - num_again)

    with _work_is_kept(target), progress_bar("translating", total, visible) as bar:
        lines = cast("LineJob[Translation | TeacherRecord]", job)
        for translation in run(lines, read_lines(input), target, resume, on_start, bar.advance):
            if job.reports_degenerate:
                degenerate.add(translation.text, translation.source)
    if degenerate.num_lines >= WORTH_A_WARNING and (summary := degenerate.summary()):
        (warn if degenerate.is_serious else say)(f"{summary}.")


@contextmanager
def _work_is_kept(target: ResumableOutput) -> Iterator[None]:
    """Say where the output of a run is that stops before its end, and how to resume it."""
    try:
        yield
    except BaseException:
        if num_lines := target.num_lines:
            say(f"{num_lines:,} lines are kept in {target.partial}. Resume after them with:")
            say(f"  {command_to_resume()}")
        raise


def _score(
    translator: "Translator", files: tuple[str, str], output: str, format: str, decoding: "DecodingChanges"
) -> None:
    from nmt.data.sources import FileText

    pairs = FileText(*map(Path, files))
    with progress_bar("scoring", None, not on_screen(output)) as bar, open_output(output) as file:
        for pair in bar.counted(translator.score(pairs, **decoding)):
            file.write((_jsonl(pair) if format == "jsonl" else _scored_text(pair)) + "\n")


def _scored_text(pair: "ScoredPair") -> str:
    return f"{'nan' if pair.score is None else format(pair.score, '.4f')}\t{pair.target}"


def _jsonl(result: "Translation | ScoredPair") -> str:
    from nmt.alignment.links import json_line

    return json_line(result.to_json())


def _text(translation: "Translation", scores: bool) -> str:
    return "\t".join(f"{c.score:.4f}\t{c.text}" if scores else c.text for c in translation.n_best)


@command(
    "nmt rerank runs/de-en val.jsonl --channel runs/en-de --language-model runs/lm --tune val.en",
    "nmt rerank runs/de-en nbest.jsonl --language-model runs/lm --lm-weight 0.3 -o test.translated.en",
)
def rerank(
    model_dir: ModelDir,
    n_best: Annotated[
        str, typer.Argument(metavar="N_BEST", help="What `nmt translate --n-best N --format jsonl` wrote.")
    ],
    channel: Annotated[
        Path | None, typer.Option(metavar="MODEL_DIR", help="A model of the other direction, for p(x|y).")
    ] = None,
    language_model: Annotated[
        Path | None, typer.Option(metavar="MODEL_DIR", help="A language model of the target, for p(y).")
    ] = None,
    channel_weight: Annotated[float, typer.Option(metavar="NUMBER", help="Of log p(x|y).")] = 0.5,
    lm_weight: Annotated[float, typer.Option(metavar="NUMBER", help="Of log p(y).")] = 0.2,
    word_weight: Annotated[float, typer.Option(metavar="NUMBER", help="Of the number of words.")] = 0.5,
    tune: Annotated[
        Path | None,
        typer.Option(metavar="REFERENCE", help="Choose the weights by BLEU with these references, and say which."),
    ] = None,
    output: Output = "-",
    device: Device = "auto",
) -> None:
    """Choose the best of n candidates by a noisy channel.

    The score of a candidate y of the source x is log p(y|x) + channel weight * log p(x|y) + LM weight * log p(y) + word
    weight * words. Choose the weights on validation text.
    """
    from nmt.core.text import read_lines
    from nmt.translation import rerank as reranking
    from nmt.translation.load import load

    if channel is None and language_model is None:
        raise UserError("There is nothing to rerank by.", "Give --channel, --language-model, or both.")
    candidates = list(reranking.read_candidates(n_best))
    others = [None if directory is None else load(directory, device) for directory in (channel, language_model)]
    total = sum(len(each.texts) for each in candidates) * (3 - others.count(None))
    with progress_bar("scoring candidates", total) as bar:
        found = reranking.features(candidates, load(model_dir, device), others[0], others[1], bar.advance)
    weights = reranking.Weights(channel_weight, lm_weight, word_weight)
    if tune is not None:
        weights = reranking.tune(candidates, found, list(read_lines(tune)))
        say(f"--channel-weight {weights.channel} --lm-weight {weights.language_model} --word-weight {weights.word}")
    with open_output(output) as file:
        file.writelines(f"{text}\n" for text in reranking.rerank(candidates, found, weights))
