"""The check of a corpus, from its files to a report; read :func:`check_pairs` first.

Two passes over the text, which is never held: a line costs a few numbers and a hash.
"""

from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

from nmt.config import Recipe
from nmt.data.check.alignment import LanguageCheck, median_ratio, slip_findings, suspect_findings
from nmt.data.check.findings import DataReport, Finding, graded, per_cent, plural
from nmt.data.check.pairs import BATCH, Gathered, Pair, PairSource, file_pairs, gather
from nmt.data.check.pieces import PieceCheck
from nmt.data.check.repeats import overlap_findings, repeat_findings
from nmt.data.corpus import FileText, ParallelText, open_text
from nmt.data.dialogue import current_turn
from nmt.data.vocabulary import Vocabularies
from nmt.errors import UserError

Progress = Callable[[int], None]
SEVERITIES = ("serious", "warning", "note")


def check_pairs(
    pairs: PairSource,
    test: PairSource | None = None,
    vocabularies: Vocabularies | None = None,
    max_length: int = 150,
    on_progress: Progress = lambda lines: None,
) -> DataReport:
    """Look for what is wrong with a parallel corpus.

    Args:
        pairs: the corpus; read several times.
        test: text that must not be in it.
        vocabularies: those it is to be encoded with.
        max_length: pairs with more pieces than this on a side are dropped by training.
        on_progress: called with the number of pairs read since the call before; each is read twice.

    Raises:
        UserError: a file can't be read, or holds nothing.
    """
    gathered = gather(pairs, on_progress)
    if not gathered.num_pairs:
        raise UserError(f"{' or '.join(pairs.names)} is empty: there are no pairs to check.", "Check the files.")
    language, pieces = LanguageCheck(gathered), PieceCheck(vocabularies, max_length)
    numbered = ((n, (s, t)) for n, (s, t) in enumerate(pairs.read(), start=1) if s is not None and t is not None)
    while batch := list(islice(numbered, BATCH)):
        language.add([pair for _, pair in batch])
        for number, pair in batch:
            pieces.add(number, pair)
        on_progress(len(batch))
    names = (gathered.source.name, gathered.target.name)
    findings = [
        *_count_findings(gathered),
        *slip_findings(gathered),
        *(f for side in gathered.sides for f in side.encoding.findings(side.num_lines)),
        *(overlap_findings(gathered, test) if test is not None else []),
        *suspect_findings(gathered, language, pairs),
        *repeat_findings(gathered, pairs),
        *pieces.findings(names, gathered.num_pairs),
    ]
    findings.sort(key=lambda finding: SEVERITIES.index(finding.severity))
    source, target = gathered.sides
    return DataReport(gathered.num_pairs, (source.counts(), target.counts()), median_ratio(gathered), findings)


def _count_findings(gathered: Gathered) -> list[Finding]:
    """Lines without a partner, and empty ones."""
    found = []
    source, target = gathered.sides
    if source.num_lines != target.num_lines:
        extra = abs(source.num_lines - target.num_lines)
        found.append(
            Finding(
                "line-counts",
                "serious",
                f"{source.name} has {source.num_lines:,} lines, {target.name} has {target.num_lines:,}.",
                "Line n of one must translate line n of the other: find the line where they part, and align them anew.",
                extra,
                extra / max(source.num_lines, target.num_lines),
            )
        )
    num_empty = int((~gathered.not_empty).sum())
    if num_empty:
        share = num_empty / gathered.num_pairs
        found.append(
            Finding(
                "empty",
                graded(share, 0.01, 0.2),
                f"{plural(num_empty, 'pair')} ({per_cent(share)}) with an empty side: training drops them.",
                "Nothing to do, unless there should be text.",
                num_empty,
                share,
            )
        )
    return found


def recipe_pairs(recipe: Recipe) -> tuple[PairSource, PairSource | None]:
    """The training text of a recipe, and its validation text as what must not be in it."""
    data = recipe.data
    languages = (data.source, data.target)
    train = _text_pairs(open_text(data, data.train), languages)
    return train, _text_pairs(open_text(data, data.valid), languages) if data.valid is not None else None


def _text_pairs(text: ParallelText, languages: tuple[str, str]) -> PairSource:
    if isinstance(text, FileText):
        return file_pairs(*text.files)

    def read() -> Iterator[Pair]:
        # Of a dialogue the current turns are looked at: those before them are turns of other lines.
        for source, target in text:
            yield (source if text.context is None else current_turn(source)), target

    return PairSource((f"source ({languages[0]})", f"target ({languages[1]})"), read)


def read_vocabularies(path: Path) -> tuple[Vocabularies, int | None]:
    """The vocabularies of a model directory with its ``data.max_length``, or those of a file without one."""
    from nmt.recipe import load_recipe

    recipe = path / "recipe.yaml"
    return Vocabularies.load(path), load_recipe(recipe).data.max_length if recipe.is_file() else None
