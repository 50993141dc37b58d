"""``nmt backtranslate`` and ``nmt distill``."""

import re
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from nmt.cli.common import Device, Input, ModelDir, command, names_in
from nmt.cli.help import CONTENT, FILTERING, INPUT_AND_OUTPUT, LARGE_LANGUAGE_MODEL, OF_DECODING, SEARCH
from nmt.cli.schema import options_of
from nmt.cli.translate import translate_lines
from nmt.cli.translation_options import Precision, Resume
from nmt.core.console import print_table, progress_bar, quoted, say
from nmt.core.errors import UserError
from nmt.core.text import read_lines
from nmt.data.sources import FileText, check_repeatable, digest
from nmt.extensions.synthesis.synthesis import PairOptions, Synthesis, record, with_one_sample
from nmt.extensions.synthesis.teacher import PROMPT, ChatTeacher, TeacherJob, TeacherOptions
from nmt.recipe.schema import DataOptions, DecodingOptions
from nmt.translation.job import TranslationJob
from nmt.translation.languages import check_language, name_of
from nmt.translation.load import load
from nmt.translation.options import TranslationOptions
from nmt.translation.translator import Translator

Folder = Annotated[Path, INPUT_AND_OUTPUT.option("--output", "-o", metavar="FOLDER", help="New folder to write.")]


@command(
    "nmt backtranslate runs/en-de -i mono.en -o bt",
    "nmt backtranslate runs/en-de -i mono.en.zst -o bt --noise",
    "nmt backtranslate runs/en-de -i mono.en -o bt --search sample --min-score -3",
)
@options_of(PairOptions, from_recipe=False, section=FILTERING)
@options_of(DecodingOptions, section=SEARCH, others=OF_DECODING)
def backtranslate(
    model_dir: ModelDir,
    output: Folder,
    input: Input = "-",
    noise: Annotated[
        bool, CONTENT.option(help="Delete, replace and move some words of the translations (Edunov et al. 2018).")
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
    translator = load(model_dir, device, precision)
    translator.task.require("synthesis")
    _synthesize(translator, 0, (input, None), output, resume, options, noise)


@command(
    "nmt distill runs/teacher train.de -o distilled",
    "nmt distill runs/teacher train.de train.en -o distilled --beam-size 8",
    "nmt distill train.de --teacher http://localhost:8000/v1 --model NAME --reverse runs/en-de -o distilled",
)
@options_of(TeacherOptions, from_recipe=False, section=LARGE_LANGUAGE_MODEL)
@options_of(PairOptions, from_recipe=False, section=FILTERING)
@options_of(DecodingOptions, section=SEARCH, others=OF_DECODING)
def distill(
    model_dir: Annotated[Path, typer.Argument(metavar="MODEL_DIR", help="The teacher; left out with --teacher.")],
    source: Annotated[
        str | None, typer.Argument(metavar="SOURCE", help="Source text of the training pairs.", show_default=False)
    ] = None,
    target: Annotated[
        Path | None,
        typer.Argument(
            metavar="TARGET",
            help="Its translation: of the candidates in the beam, the one with the highest sentence chrF is chosen.",
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

    With --teacher, a large language model behind OpenAI's chat API translates (vLLM, llama.cpp, Ollama and others),
    with the key OPENAI_API_KEY of the environment. --beam-size is then the number of samples of a line; --temperature,
    --top-p, --seed and --max-length are sent with each request. --reverse scores the answers, so that --drop-worst and
    --min-score remove those with another meaning than the source.
    """
    teacher = TeacherOptions(**{name: options.pop(name) for name in TeacherOptions.model_fields})
    if teacher.teacher is not None:
        if target is not None:
            raise UserError(f"MODEL_DIR {model_dir} and --teacher are both given.", "Leave one of them out.")
        source, target = str(model_dir), None if source is None else Path(source)
    elif given := teacher.model_dump(exclude_defaults=True):
        raise UserError(f"--{next(iter(given))} has no effect without --teacher.", "Give --teacher, or leave it out.")
    if source is None:
        raise UserError("SOURCE is missing.", "Name the text to translate: nmt distill MODEL_DIR SOURCE.")
    if target is not None and options["split_sentences"]:
        raise UserError("--split-sentences gives one candidate, and TARGET chooses among several.", "Leave out one.")
    if target is not None:
        check_repeatable(Path(source), target)
        FileText(Path(source), target).checked()
    if teacher.teacher is None:
        _synthesize(load(model_dir, device, precision), 1, (source, target), output, resume, options)
        return
    reverse = load(teacher.reverse, device, precision) if teacher.reverse else None
    _ask_teacher(teacher, reverse, (source, target), output, resume, options)


def _ask_teacher(
    teacher: TeacherOptions,
    reverse: Translator | None,
    files: tuple[str, Path | None],
    output: Path,
    resume: bool,
    options: dict[str, Any],
) -> None:
    """Translate by an endpoint, filter and write."""
    if teacher.model is None:
        raise UserError("--teacher needs the name of a model.", "Give --model NAME.")
    pair_options = PairOptions(**{name: options.pop(name) for name in PairOptions.model_fields})
    given = {name: value for name, value in options.items() if value is not None}
    num_samples = given.pop("beam_size", 1)
    sent = {"temperature": given.pop("temperature", 1.0 if num_samples > 1 else 0.0), "seed": given.pop("seed", 1)}
    sent |= {name: given.pop(key) for key, name in (("top_p", "top_p"), ("max_length", "max_tokens")) if key in given}
    if given:
        flag = next(iter(given)).replace("_", "-")
        raise UserError(f"--{flag} has no effect on --teacher.", "Remove it.")
    if reverse is not None:
        languages = [reverse.recipe.data.target, reverse.recipe.data.source]
    elif pair_options.min_score is not None or pair_options.drop_worst not in (0, PairOptions().drop_worst):
        raise UserError("--min-score and --drop-worst need a model that scores.", "Give --reverse MODEL_DIR.")
    else:
        pair_options = pair_options.model_copy(update={"drop_worst": 0.0})
        languages = names_in(teacher.languages or "")
    if len(languages) != 2 or "/" in str(languages) or (teacher.languages and names_in(teacher.languages) != languages):
        raise UserError(
            "--languages must be those of source and target, and of --reverse; names of files end in them.",
            "Write, for example, --languages de,en.",
        )
    check_language(files[0], DataOptions(source=languages[0], target=languages[1]))
    prompt = "".join(f"{line}\n" for line in read_lines(teacher.prompt)) if teacher.prompt else PROMPT
    if "{text}" not in prompt:
        raise UserError(f"{teacher.prompt} doesn't contain {{text}}.", "Write {text} where the line is to stand.")
    for name, language in zip(("{source}", "{target}"), languages, strict=True):
        prompt = prompt.replace(name, name_of(language))
    settings = {**teacher.model_dump(mode="json"), "prompt": prompt, "samples": num_samples, **sent, "input": files[0]}
    settings["teacher"] = re.sub("(?<=//)[^/]*@", "", settings["teacher"])  # a password is for no other reader
    job = TeacherJob(ChatTeacher(teacher, prompt, sent, num_samples), reverse)
    synthesis = Synthesis((languages[0], languages[1]), 1, pair_options, settings, files[1], input=files[0])
    _write_pairs(job, synthesis, files[0], output, resume)
    say(f"tokens used: {job.teacher.tokens:,}")


def _synthesize(
    translator: Translator,
    translated: int,
    files: tuple[str, Path | None],
    output: Path,
    resume: bool,
    options: dict[str, Any],
    noise: bool = False,
) -> None:
    """Translate, filter and write; ``translated`` is the side of the pairs that the model writes."""
    input, references = files
    check_language(input, translator.recipe.data)
    pair_options = PairOptions(**{name: options.pop(name) for name in PairOptions.model_fields})
    decoding = with_one_sample(translator, options) if references is None else options
    effective, data = translator.options(**decoding), translator.recipe.data
    synthesis = Synthesis(
        (data.source, data.target) if translated else (data.target, data.source),
        translated,
        pair_options,
        {"model": str(translator.directory), "input": input, **effective.model_dump(mode="json")},
        references,
        effective.seed if noise else None,
        input,
    )
    searched = TranslationOptions(1 if references is None else effective.beam_size, decoding=decoding)
    divides = effective.split_sentences and searched.n_best == 1
    write = partial(record, translator, digest(effective.model_dump_json(exclude={"batch_size"})), divides)
    job = TranslationJob(translator, write, options=searched).in_processes(input)
    _write_pairs(job, synthesis, input, output, resume)


def _write_pairs(
    job: TranslationJob | TeacherJob, synthesis: Synthesis, input: str, output: Path, resume: bool
) -> None:
    if output.exists():
        raise UserError(f"{output} exists already.", "Name a new folder with -o, or delete it.")

    def finish(records: Path) -> None:
        with progress_bar("filtering", None) as bar:
            report = synthesis.write(records, output, bar.advance)
        total = report["lines"]
        rows = [(name, f"{count:,}", f"{count / total:.2%}") for name, count in report["removed"].items()]
        print_table("", ("left out by", "pairs", ""), rows)
        how, texts = "Train on them beside other text", f"SOURCE TARGET {quoted(output)}"
        if synthesis.translated:  # a folder beside other text has synthetic sources, before which a tag is set
            how, texts = "Train a student on them", quoted(*map(output.joinpath, synthesis.names[:2]))
        say(
            f"wrote {output}: {report['pairs']:,} pairs of {total:,} lines, mean score {report['mean_score']}\n"
            f"{how}: nmt train {texts} --minutes M"
        )

    translate_lines(job, input, str(output.absolute()), resume, finish)
