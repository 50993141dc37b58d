"""Parallel text of which a model has translated one side: back-translation and sequence-level distillation.

A translation job writes a record for each line (:func:`record`), and a stopped run is resumed after them. When all are
there, :class:`Synthesis` chooses a candidate of each, leaves out bad pairs, and writes the files.
"""

import json
from array import array
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from nmt.alignment.links import json_line
from nmt.core.compression import of_name
from nmt.core.errors import UserError
from nmt.core.files import new_folder
from nmt.core.jsonlines import parse_object
from nmt.core.output import text_file
from nmt.core.text import MAX_RECORD_BYTES, read_lines
from nmt.extensions.cleaning.base import Floats
from nmt.extensions.cleaning.check import flag, make_filters
from nmt.extensions.cleaning.statistics import CorpusStatistics, Mask, PairSource, Progress
from nmt.metrics.table import METRICS
from nmt.recipe.options import Options
from nmt.translation.results import Translation
from nmt.translation.translator import Translator

FILTERS = ("empty", "copies", "repeats", "length-ratio")
"""Filters of ``nmt clean`` that find faults of a model, with their defaults."""
SCORE = "score"
REMOVED, REPORT = "removed.jsonl", "report.json"

NOISE, MAX_SHIFT, FILLER = 0.1, 3, "<blank>"
"""Probability that a word is deleted, and that it is replaced by the filler; places that a word moves by at most."""


class PairOptions(Options):
    """Limits for pairs that a model has made, in ``nmt backtranslate`` and ``nmt distill``."""

    min_score: float | None = Field(None, le=0, description="leave out pairs with a lower mean log p of a token")
    drop_worst: float = Field(0.05, ge=0, lt=1, description="leave out this share of the pairs: the lowest mean log p")


def record(translator: Translator, settings: str, divides: bool, translation: Translation) -> str:
    """A line of JSON with the source, for each candidate its text and its score, and the digest of the options of
    search. A line that was cut, as none is that was divided, has an empty candidate: its translation is that of its
    beginning."""
    candidates = [[c.text, round(c.log_probability / (len(c.tokens) + 1), 6)] for c in translation.n_best]
    if not divides and len(translator.encode_source(translation.source)) > translator.max_pieces:
        candidates = [["", 0.0]]
    return json_line({"source": translation.source, "candidates": candidates, "settings": settings})


def with_one_sample(translator: Translator, decoding: dict[str, Any]) -> dict[str, Any]:
    """Changes of decoding options, with a beam size of 1 where all samples but the first would be thrown away."""
    options = translator.options(**decoding)
    is_one = options.search == "sample" and options.mbr == "none" and decoding.get("beam_size") is None
    return {**decoding, "beam_size": 1} if is_one else decoding


def noised(line: str, random: np.random.Generator) -> str:
    """A line with noise (Lample et al. 2018; Edunov et al. 2018); words are separated by white space.

    Each word is deleted with a probability of 0.1, and replaced by :data:`FILLER` with 0.1; then words are permuted,
    each by at most three places. A line that would lose all its words keeps them.
    """
    words = [word for word in line.split() if random.random() >= NOISE] or line.split()
    words = [FILLER if random.random() < NOISE else word for word in words]
    # The place i and a number below k + 1 exceed a later place j only where j is at most i + k.
    order = np.argsort(np.arange(len(words)) + random.uniform(0, MAX_SHIFT + 1, len(words)), kind="stable")
    return " ".join(words[i] for i in order)


@dataclass(frozen=True)
class Synthesis:
    """Parallel text that is made from the records of a translation job."""

    languages: tuple[str, str]
    """Languages of source and target; the suffixes of the files."""
    translated: int
    """The side that the model has written: 0 for back-translation, 1 for distillation."""
    options: PairOptions
    settings: Mapping[str, Any]
    """Settings of the translation, for the report."""
    references: Path | None = None
    """The candidate most like its reference by sentence chrF (Kim & Rush 2016: BLEU) is chosen; None: the first."""
    noise_seed: int | None = None
    """Seed of the noise in the source; None for no noise."""
    input: str = ""
    """Name of the text, by whose end, such as ``.zst``, the files are compressed."""

    @property
    def names(self) -> list[str]:
        """Names of the files of the source, the target and the scores."""
        ends = self.languages if len(set(self.languages)) > 1 else ("source", "target")
        suffix = compression.suffix if (compression := of_name(self.input)) else ""
        return [f"train.{end}{suffix}" for end in (*ends, "scores")]

    def write(self, records: Path, output: Path, on_progress: Progress = lambda num_lines: None) -> dict[str, Any]:
        """Write a new folder, which appears when it is complete; the records are read repeatedly.

        It has ``train.LANGUAGE`` for both sides (``train.source`` and ``train.target`` of one language),
        ``train.scores`` with the scores of these pairs, ``removed.jsonl`` with the other pairs and why they are left
        out, and ``report.json``.

        Args:
            on_progress: called with the number of lines read since the last call, in each of three passes.

        Returns:
            The content of ``report.json``.

        Raises:
            UserError: there is no line, no pair would remain, or the folder can't be written.
        """
        chosen, scores = self._choose(records)
        if not len(scores):
            raise UserError("The input is empty: there is nothing to translate.", "Name a file of text.")
        pairs = PairSource(self.languages, partial(self._pairs, records, chosen))
        removed = self._removed(pairs, scores, on_progress)
        kept = ~np.any(list(removed.values()), axis=0)
        if not kept.any():
            worst = max(removed, key=lambda name: int(removed[name].sum()))
            can_change = "Resume with another --min-score or --drop-worst (--resume)"
            remedy = can_change if worst == SCORE else "Name another model or another text"
            raise UserError(
                f"All {len(kept):,} pairs would be left out, most of them by {worst!r}.",
                f"{remedy}; the translations are kept in {records}.",
            )
        report = {
            "lines": len(kept),
            "pairs": int(kept.sum()),
            "removed": {name: int(mask.sum()) for name, mask in removed.items()},
            "mean_score": round(float(scores[kept].mean()), 4),
            "settings": {**self.settings, **self.options.model_dump(), "noise": self.noise_seed is not None},
        }
        names = (*self.names, REMOVED, REPORT)
        with new_folder(output) as folder, ExitStack() as stack:
            opened = (stack.enter_context(text_file(folder / name, output / name)) for name in names)
            *texts, left_out, report_file = opened
            for index, (source, target) in enumerate(pairs.read()):
                score = round(float(scores[index]), 6)
                if why := [name for name, mask in removed.items() if mask[index]]:
                    found = {"line": index + 1, "filters": why, "score": score, "source": source, "target": target}
                    left_out.write(f"{json_line(found)}\n")
                else:
                    if self.noise_seed is not None:
                        source = noised(str(source), np.random.default_rng((self.noise_seed, index)))
                    for file, line in zip(texts, (source, target, score), strict=True):
                        file.write(f"{line}\n")
                on_progress(1)
            report_file.write(json.dumps(report, ensure_ascii=False, indent=2) + "\n")
        return report

    def _choose(self, records: Path) -> tuple["array[int]", Floats]:
        """The index of the candidate of each line, and its score."""
        chosen, scores, metric = array("L"), array("d"), METRICS["chrf"]()
        references = repeat(None) if self.references is None else read_lines(self.references)
        for (_, candidates), reference in zip(_read(records), references, strict=self.references is not None):
            best = 0
            if reference is not None:
                texts = [text for text, _ in candidates]
                of_texts = metric.sentence_scores(texts, [[reference] * len(texts)])
                best = of_texts.index(max(of_texts))
            chosen.append(best)
            scores.append(candidates[best][1])
        return chosen, np.array(scores)

    def _pairs(self, records: Path, chosen: "array[int]") -> Iterator[tuple[str, str]]:
        for (line, candidates), best in zip(_read(records), chosen, strict=True):
            translation = candidates[best][0]
            yield (line, translation) if self.translated else (translation, line)

    def _removed(self, pairs: PairSource, scores: Floats, on_progress: Progress) -> dict[str, Mask]:
        """For each filter, True for the pairs that it leaves out."""
        statistics = CorpusStatistics(pairs, on_progress=on_progress)
        removed = {name: np.zeros(len(scores), bool) for name in (*FILTERS, SCORE)}
        for name, found in flag(statistics, make_filters({name: {} for name in FILTERS}), on_progress):
            removed[name][found.indices] = True
        worst_first = np.argsort(np.where(statistics.has_text, scores, np.inf), kind="stable")
        removed[SCORE][worst_first[: int(self.options.drop_worst * statistics.has_text.sum())]] = True
        if self.options.min_score is not None:
            removed[SCORE] |= statistics.has_text & (scores < self.options.min_score)
        return removed


def _read(records: Path) -> Iterator[tuple[str, list[tuple[str, float]]]]:
    for number, line in enumerate(read_lines(records, max_bytes=MAX_RECORD_BYTES), start=1):
        try:
            values = parse_object(line)
            candidates = [(str(text), float(score)) for text, score in values["candidates"]]
            if not candidates:
                raise ValueError
        except (ValueError, KeyError, TypeError):
            raise UserError(f"{records}, line {number:,} is damaged.", "Delete the file to start again.") from None
        yield str(values["source"]), candidates
