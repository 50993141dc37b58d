"""Options of ``nmt translate``, some of which other commands have, too."""

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from nmt.cli.common import ModelDir
from nmt.cli.help import CHECKING, CONTENT, INPUT_AND_OUTPUT, MACHINE, SEARCH
from nmt.core.errors import UserError
from nmt.recipe.schema import DecodingChanges

if TYPE_CHECKING:
    from nmt.export.targets import Quantization
    from nmt.translation.job import TranslationJob
    from nmt.translation.results import ScoredPair, Translation
    from nmt.translation.translator import Translator

QUANTIZATIONS: dict[str, "Quantization | None"] = {
    "fp32": None, "auto": None, "bf16": "bfloat16", "fp16": "float16", "int8": "int8",
}  # fmt: skip
"""Names of the precisions in CTranslate2."""
Precision = Annotated[
    Literal["fp32", "bf16", "fp16", "auto"],
    typer.Option(
        help="Precision of matrix products; with bf16 and fp16 a translation can depend on its batch.",
        rich_help_panel=MACHINE,
    ),
]
Engine = Annotated[
    Literal["torch", "ctranslate2"],
    typer.Option(
        help="Library for the search; ctranslate2 is faster on a CPU and supports Transformers only.",
        rich_help_panel=MACHINE,
    ),
]
Resume = Annotated[
    bool, typer.Option(help="Resume a stopped run after the lines in FILE.partial.", rich_help_panel=INPUT_AND_OUTPUT)
]


@dataclass(frozen=True)
class TranslateOptions:
    """Options for the processing of a line."""

    model_dir: ModelDir
    ensemble: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="MODEL_DIR",
            help="Another model whose probabilities are averaged in; may be repeated. Its vocabulary must be the same.",
            rich_help_panel=SEARCH,
        ),
    ] = None
    precision: Annotated[
        Literal["fp32", "bf16", "fp16", "auto", "int8"],
        typer.Option(
            help="Precision of matrix products; with bf16 and fp16 a translation can depend on its batch. int8 needs "
            "--engine ctranslate2.",
            rich_help_panel=MACHINE,
        ),
    ] = "fp32"
    engine: Engine = "torch"
    n_best: Annotated[
        int,
        typer.Option(
            metavar="N",
            min=1,
            help="Candidates of each line, at most the beam size: separated by tabs in text, a list in jsonl.",
            rich_help_panel=INPUT_AND_OUTPUT,
        ),
    ] = 1
    forbid: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PHRASE", help="A phrase that no translation contains; may be repeated.", rich_help_panel=CONTENT
        ),
    ] = None
    replace_unknown: Annotated[
        bool,
        typer.Option(
            help="Replace an unknown word by the source word with the highest attention weight.",
            rich_help_panel=CONTENT,
        ),
    ] = False
    unknown_lexicon: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="With --replace-unknown: lines of a source word, a tab and its translation; others are copied.",
            rich_help_panel=CONTENT,
        ),
    ] = None
    input_format: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="text: lines; jsonl: an object per line with source and optionally prefix, with which the translation "
            "begins, must_contain, a list of phrases in it, and terms, an object of terms of the source and their "
            "translations; otherwise the ending of a document format: html, po, docx and so on.",
            show_default="by the ending of FILE; else text",
            rich_help_panel=INPUT_AND_OUTPUT,
        ),
    ] = None
    format: Annotated[
        Literal["text", "jsonl"],
        typer.Option(
            help="text, or a JSON object per line with scores, tokens, candidates and word alignment.",
            rich_help_panel=INPUT_AND_OUTPUT,
        ),
    ] = "text"
    scores: Annotated[
        bool, typer.Option(help="Write its score and a tab before each candidate.", rich_help_panel=INPUT_AND_OUTPUT)
    ] = False
    check: Annotated[
        bool,
        typer.Option(
            help="With --format jsonl: a field problems names the numbers, URLs, tags, placeholders and code that a "
            "translation has lost or added, source words that no word covers, words that the model does not support, "
            "loops, copies and letters of another script.",
            rich_help_panel=CHECKING,
        ),
    ] = False
    repair: Annotated[
        bool,
        typer.Option(
            help="Check translations, search again where there are problems, and keep the candidate with the fewest; "
            "jsonl has the fields problems and repaired.",
            rich_help_panel=CHECKING,
        ),
    ] = False
    confidence: Annotated[
        bool,
        typer.Option(
            help="With --format jsonl: fields confidence and word_confidences, the probabilities that the translation "
            "and each word are acceptable. `nmt calibrate` must have been run.",
            rich_help_panel=CHECKING,
        ),
    ] = False
    abstain: Annotated[
        float | None,
        typer.Option(
            metavar="P",
            min=0,
            max=1,
            help="Leave a translation empty if its confidence is below P; jsonl has it in n_best still, and "
            "abstained: true.",
            rich_help_panel=CHECKING,
        ),
    ] = None
    glossary: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Lines of a term, a tab and its translation, which stands in the term's place."
        ),
    ] = None
    memory: Annotated[
        bool,
        typer.Option(
            help="Translate lines by exact matches of the translation memory (`nmt memory`); jsonl has a field memory.",
            rich_help_panel=CONTENT,
        ),
    ] = False
    decoding: DecodingChanges = field(default_factory=DecodingChanges)

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
            return load(self.model_dir, device, self.precision, self.ensemble or ())
        if self.ensemble:
            raise UserError("CTranslate2 searches with one model.", "Leave out --ensemble or --engine.")
        from nmt.export.run import exported_translator

        return exported_translator(load(self.model_dir, "cpu"), None, QUANTIZATIONS[self.precision])

    def job(self, device: str) -> "TranslationJob":
        """Returns the job that the options describe."""
        from nmt.translation.glossary import Glossary
        from nmt.translation.job import TranslationJob
        from nmt.translation.memory import TranslationMemory
        from nmt.translation.request import OutputConstraints, Request, StreamOptions, read_unknown_lexicon

        lexicon = read_unknown_lexicon(self.unknown_lexicon) if self.unknown_lexicon else {}
        return TranslationJob(
            self.translator(device),
            partial(jsonl, abstain=self.abstain)
            if self.format == "jsonl"
            else partial(_text, scores=self.scores, abstain=self.abstain),
            Request.from_json if self.input_format == "jsonl" else Request.from_text,
            StreamOptions(
                self.n_best,
                self.format == "jsonl",
                OutputConstraints(self.forbid or (), self.replace_unknown, lexicon),
                "repair" if self.repair else self.check,
                self.confidence or self.abstain is not None,
                self.decoding,
            ),
            memory=TranslationMemory(self.model_dir) if self.memory else None,
            glossary=Glossary.load(self.glossary) if self.glossary else None,
        )


def jsonl(result: "Translation | ScoredPair", abstain: float | None = None) -> str:
    """Returns the line of ``--format jsonl``."""
    from nmt.alignment.links import json_line

    values = result.to_json()
    if abstain is not None and values.get("confidence", 1.0) < abstain:
        values |= {"translation": "", "abstained": True}
    return json_line(values)


def _text(translation: "Translation", scores: bool, abstain: float | None) -> str:
    if abstain is not None and translation.confidence is not None and translation.confidence < abstain:
        return ""
    return "\t".join(f"{c.score:.4f}\t{c.text}" if scores else c.text for c in translation.n_best)
