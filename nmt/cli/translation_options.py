"""Options of ``nmt translate``, some of which other commands have, too."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from nmt.cli.common import ModelDir
from nmt.cli.help import CONTENT, INPUT_AND_OUTPUT, MACHINE, SEARCH
from nmt.recipe.registry import Table

if TYPE_CHECKING:
    from nmt.translation.job import TranslationJob
    from nmt.translation.options import TranslationOptions
    from nmt.translation.results import ScoredPair, Translation
    from nmt.translation.translator import Translator

Precision = Annotated[
    Literal["fp32", "bf16", "fp16", "auto"],
    MACHINE.option(help="Precision of matrix products; with bf16 and fp16 a translation can depend on its batch."),
]
EngineName = Annotated[
    str,
    MACHINE.option(
        metavar="NAME",
        help="Library for the search: torch or, for Transformers, ctranslate2, which is faster on a CPU.",
    ),
]
Resume = Annotated[bool, INPUT_AND_OUTPUT.option(help="Resume a stopped run after the lines in FILE.partial.")]


@dataclass(frozen=True)
class TranslateOptions:
    """Options for the processing of a line."""

    model_dir: ModelDir
    ensemble: Annotated[
        list[Path] | None,
        SEARCH.option(
            metavar="MODEL_DIR",
            help="Another model whose probabilities are averaged in; may be repeated. Its vocabulary must be the same.",
        ),
    ] = None
    precision: Annotated[
        Literal["fp32", "bf16", "fp16", "auto", "int8"],
        MACHINE.option(
            help="Precision of matrix products; with bf16 and fp16 a translation can depend on its batch. int8 needs "
            "--engine ctranslate2."
        ),
    ] = "fp32"
    engine: EngineName = "torch"
    n_best: Annotated[
        int,
        INPUT_AND_OUTPUT.option(
            metavar="N",
            min=1,
            help="Candidates of each line, at most the beam size: separated by tabs in text, a list in jsonl.",
        ),
    ] = 1
    forbid: Annotated[
        list[str] | None,
        CONTENT.option(metavar="PHRASE", help="A phrase that no translation contains; may be repeated."),
    ] = None
    replace_unknown: Annotated[
        bool,
        CONTENT.option(help="Replace an unknown word by the source word with the highest attention weight."),
    ] = False
    unknown_lexicon: Annotated[
        Path | None,
        CONTENT.option(
            metavar="FILE",
            help="With --replace-unknown: lines of a source word, a tab and its translation; others are copied.",
        ),
    ] = None
    input_format: Annotated[
        str | None,
        INPUT_AND_OUTPUT.option(
            metavar="NAME",
            help="text: lines; jsonl: an object per line with source and optionally prefix, with which the translation "
            "begins, must_contain, a list of phrases in it, and terms, an object of terms of the source and their "
            "translations; otherwise the ending of a document format: html, po, docx and so on.",
            show_default="by the ending of FILE; else text",
        ),
    ] = None
    format: Annotated[
        Literal["text", "jsonl"],
        INPUT_AND_OUTPUT.option(
            help="text, or a JSON object per line with scores, tokens, candidates and word alignment."
        ),
    ] = "text"
    scores: Annotated[bool, INPUT_AND_OUTPUT.option(help="Write its score and a tab before each candidate.")] = False
    glossary: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Lines of a term, a tab and its translation, which stands in the term's place."
        ),
    ] = None
    added: tuple["AddedOptions", ...] = ()
    """The options of extensions."""
    decoding: Mapping[str, Any] = field(default_factory=dict)

    def translator(self, device: str) -> "Translator":
        """Returns the translator that the options describe."""
        from nmt.translation.load import ENGINES

        return ENGINES.find(self.engine, "--engine")().load(self.model_dir, device, self.precision, self.ensemble or ())

    @property
    def translation(self) -> "TranslationOptions":
        """Options of all translations."""
        from nmt.translation.options import TranslationOptions
        from nmt.translation.request import OutputConstraints, read_unknown_lexicon

        lexicon = read_unknown_lexicon(self.unknown_lexicon) if self.unknown_lexicon else {}
        constraints = OutputConstraints(self.forbid or (), self.replace_unknown, lexicon)
        return TranslationOptions(self.n_best, self.format == "jsonl", constraints, decoding=self.decoding)

    def _check_effects(self, translator: "Translator") -> None:
        """Refuses options that have no effect without others."""
        from nmt.core.errors import UserError

        used = translator.options(**self.decoding)
        needed = {
            **dict.fromkeys(("temperature", "top_k", "top_p", "seed"), (used.search == "sample", "--search sample")),
            "diversity": (used.beam_groups > 1, "--beam-groups"),
            "unknown_lexicon": (self.replace_unknown, "--replace-unknown"),
        }
        for name, (has_effect, other) in needed.items():
            if not has_effect and (self.decoding.get(name) is not None or getattr(self, name, None)):
                raise UserError(f"--{name.replace('_', '-')} has an effect with {other} alone.", f"Give {other}, too.")

    def job(self, device: str) -> "TranslationJob":
        """Returns the job that the options describe."""
        from nmt.translation.glossary import Glossary
        from nmt.translation.job import TranslationJob
        from nmt.translation.request import Request

        translator = self.translator(device)
        self._check_effects(translator)
        job = TranslationJob(
            translator,
            jsonl if self.format == "jsonl" else partial(_text, scores=self.scores),
            Request.from_json if self.input_format == "jsonl" else Request.from_text,
            self.translation,
            glossary=Glossary.load(self.glossary) if self.glossary else None,
        )
        for options in self.added:
            job = options.attached(job, self)
        return job


class AddedOptions:
    """Options that an extension adds to ``nmt translate``: a frozen dataclass with an option in each field.

    It is attached by an entry point of the group ``nmt.components.translate_options``. Its module is imported for the
    help page, so it should import nothing large.
    """

    def refuse(self, options: TranslateOptions, input: str) -> None:
        """Refuses options that don't go with others.

        Raises:
            UserError: with the remedy.
        """

    def attached(self, job: "TranslationJob", options: TranslateOptions) -> "TranslationJob":
        """Returns the job with what these options request."""
        return job

    def translated(self, options: TranslateOptions, input: str, output: str, device: str, workers: int | None) -> bool:
        """Translates an input of a kind that only this extension knows, such as a folder; returns whether it did."""
        return False

    def changes(self) -> dict[str, Any]:
        """Returns the options that are not the defaults, which a journal records."""
        defaults = vars(type(self)())
        return {name: value for name, value in vars(self).items() if value != defaults[name]}


TRANSLATE_OPTIONS: Table[AddedOptions] = Table("translate options", AddedOptions, {})


def jsonl(result: "Translation | ScoredPair") -> str:
    """Returns the line of ``--format jsonl``."""
    from nmt.alignment.links import json_line

    return json_line(result.to_json())


def _text(translation: "Translation", scores: bool) -> str:
    return "\t".join(f"{c.score:.4f}\t{c.text}" if scores else c.text for c in translation.candidates)
