"""``nmt verify``: whether the way of computing changes a model's answers, on the user's own model and text."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from nmt.core.console import say
from nmt.core.errors import UserError
from nmt.data.batch import Ids
from nmt.decoding.forced import force_all
from nmt.decoding.search import ModelSearcher, Query
from nmt.extensions.lecture.interventions import force_stepwise
from nmt.translation.load import load
from nmt.translation.results import Translation
from nmt.translation.translator import Translator

TIE = 1e-5
"""Two translations whose scores are this close are equally good: either may be given."""
TOLERANCE = 1e-4
"""Tolerance of a sentence's log-probability in float32, relative to it where it is beyond 1."""
BATCH_SIZES = (1, 7, 64)


@dataclass(frozen=True)
class Check:
    """One way of computing, compared with the default one."""

    name: str
    is_exact: bool
    """Whether results must be equal; otherwise the check only counts the lines where rounding shows."""
    num_lines: int
    num_ties: int
    differences: list[tuple[int, str, str]]
    """The number of each line with another result, from 1, and both results."""

    @property
    def holds(self) -> bool:
        return not (self.is_exact and self.differences)

    @property
    def verdict(self) -> str:
        if self.is_exact:
            return "passed" if self.holds else "FAILED"
        return f"{len(self.differences) / self.num_lines:.0%} change"


def verify(
    model_dir: Path, lines: Sequence[str], targets: Sequence[str] | None = None, device: str = "auto"
) -> Iterator[Check]:
    """Run the checks one by one; the exact ones come first.

    Args:
        model_dir: a folder that ``nmt train`` wrote.
        lines: to translate, none of them empty.
        targets: translations for forced decoding; the model's own if left out.
        device: of all checks but the export, which runs on the CPU.
    """
    translator = load(model_dir, device)
    if not lines:
        raise UserError("There is nothing to translate.", "Name a file with sentences.")
    expected = translator.translate(lines)
    for size in BATCH_SIZES:
        yield _compared(f"batch size {size}", True, expected, translator.translate(lines, batch_size=size))
    order = random.Random(1).sample(range(len(lines)), len(lines))
    shuffled = dict(zip(order, translator.translate([lines[i] for i in order]), strict=True))
    yield _compared("another order", True, expected, [shuffled[i] for i in range(len(lines))])
    yield from _forced(translator, lines, targets)
    bf16 = Translator(translator.model, translator.vocabularies, translator.recipe, "bf16")
    yield _compared("bfloat16", False, expected, bf16.translate(lines))
    yield from _exported(translator, lines)


def _compared(name: str, is_exact: bool, expected: Sequence[Translation], found: Sequence[Translation]) -> Check:
    num_ties, differences = 0, []
    for number, (usual, other) in enumerate(zip(expected, found, strict=True), start=1):
        if usual.text != other.text:
            if is_exact and abs(usual.score - other.score) <= TIE:
                num_ties += 1
            else:
                differences.append((number, usual.text, other.text))
    return Check(name, is_exact, len(expected), num_ties, differences)


def _forced(translator: Translator, lines: Sequence[str], targets: Sequence[str] | None) -> Iterator[Check]:
    """Log-probabilities from beam search, from one forced pass, and from forced decoding step by step."""
    model, vocabularies, limit = translator.model, translator.vocabularies, translator.max_pieces
    sources = [translator.encode_source(line)[:limit] for line in lines]
    search = ModelSearcher(model, vocabularies, translator.task.search)
    found = [hypotheses[0] for hypotheses in search(Query(sources, translator.options()))]
    size = translator.recipe.decoding.batch_size

    def forced(targets: Sequence[Ids]) -> list[float]:
        pairs = list(zip(sources, targets, strict=True))
        return [float(f.log_probability_T.sum()) for f in force_all(model, pairs, vocabularies, size)]

    own = [hypothesis.ids for hypothesis in found]
    yield _close("search = forced", [hypothesis.log_probability for hypothesis in found], forced(own))
    ids = own if targets is None else [translator.encode_target(target)[:limit] for target in targets]
    pairs, stepped = list(zip(sources, ids, strict=True)), list[float]()
    for start in range(0, len(pairs), size):
        log_p_BT, *_ = force_stepwise(model, pairs[start : start + size], vocabularies)
        stepped += log_p_BT.sum(1).tolist()
    yield _close("caches: steps = unrolled", forced(ids), stepped)


def _close(name: str, expected: Sequence[float], found: Sequence[float]) -> Check:
    differences = [
        (number, f"log-probability {a:.6f}", f"log-probability {b:.6f}")
        for number, (a, b) in enumerate(zip(expected, found, strict=True), start=1)
        if not abs(a - b) <= TOLERANCE * max(1.0, abs(a))
    ]
    return Check(name, True, len(expected), 0, differences)


def _exported(translator: Translator, lines: Sequence[str]) -> Iterator[Check]:
    from nmt.extensions.interchange.onnx import open_onnx
    from nmt.extensions.interchange.run import ExportedSearcher, open_exported, with_plain_search

    translator = with_plain_search(translator)
    expected = translator.translate(lines)
    for name, open_model in (("CTranslate2", open_exported), ("ONNX", open_onnx)):
        try:
            searcher = ExportedSearcher(open_model(translator).search, translator.searcher)
        except UserError as error:
            say(f"The export to {name} isn't checked. {error.message}")
            continue
        yield _compared(f"export to {name}", False, expected, translator.replaced(searcher=searcher).translate(lines))
