"""Alignments as one HTML page to look around in; nothing is loaded, so it opens anywhere.

The page carries its data as JSON:

    heads      list of str               what attention there is to choose from, first what the links are taken from
    sentences  list of objects:
      source      list of str            the source words
      gold        null, or {"sure": [[s, t], …], "possible": [[s, t], …]}
      candidates  list of objects, the best first:
        target         list of str
        links          list of [s, t]
        score          float or null
        probabilities  list of float, one a target word, or null
        weights        list of str, one a head: [target words][source words] as bytes (255 is 1), in base64
"""

import base64
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt

from nmt.alignment.links import Link, Links, WordAlignment
from nmt.errors import UserError


@dataclass(frozen=True)
class ReportCandidate:
    """A translation with its alignment."""

    target: Sequence[str]
    links: Sequence[Link]
    weights: Sequence[npt.NDArray[np.floating]]
    """For each head [T_words, S_words]."""
    score: float | None = None
    probabilities: Sequence[float] | None = None
    """Of each target word."""


@dataclass(frozen=True)
class ReportSentence:
    """A source sentence with its translations, the best first, and the true links of that one, where known."""

    source: Sequence[str]
    candidates: Sequence[ReportCandidate]
    gold: tuple[Links, Links] | None = None
    """Sure and possible links."""


def render_report(title: str, description: str, heads: Sequence[str], sentences: Sequence[ReportSentence]) -> str:
    """The page.

    Args:
        title: heading.
        description: a sentence below it.
        heads: names of the attention that each candidate's ``weights`` are.
        sentences: what to show; at least one.

    Raises:
        UserError: there is nothing to show.
    """
    from markupsafe import Markup

    from nmt.report import render

    if not sentences:
        raise UserError("There are no sentence pairs to show.", "Give files with at least one line.")
    data = {"heads": list(heads), "sentences": [_sentence(sentence) for sentence in sentences]}
    # Inside a script element only "</" could end it, and "<!--" change how it is read.
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":")).replace("<", "\\u003c")
    return render("align.html.j2", title=title, description=description, data=Markup(text))


def gather(
    alignments: Iterable[WordAlignment], sizes: Iterable[int], gold: Sequence[tuple[Links, Links]] | None = None
) -> list[ReportSentence]:
    """Sentences for the page.

    Args:
        alignments: with ``head_weights``; all candidates of a sentence one after another.
        sizes: how many candidates each sentence has.
        gold: sure and possible links of each sentence's first candidate.

    Raises:
        UserError: there are fewer lines of gold links than sentences.
    """
    stream = iter(alignments)
    sentences = []
    for number, size in enumerate(sizes):
        found = list(islice(stream, size))
        if not found:
            break
        if gold is not None and number >= len(gold):
            raise UserError(f"There are only {len(gold):,} lines of gold links.", "Give a line for each sentence pair.")
        candidates = [
            ReportCandidate(a.target, a.links, [a.weights, *(a.head_weights or ())], a.score, a.probabilities)
            for a in found
        ]
        sentences.append(ReportSentence(found[0].source, candidates, gold[number] if gold is not None else None))
    return sentences


def _sentence(sentence: ReportSentence) -> dict[str, Any]:
    gold = None
    if sentence.gold is not None:
        sure, possible = sentence.gold
        gold = {"sure": sorted(map(list, sure)), "possible": sorted(map(list, possible - sure))}
    return {
        "source": list(sentence.source),
        "gold": gold,
        "candidates": [_candidate(candidate) for candidate in sentence.candidates],
    }


def _candidate(candidate: ReportCandidate) -> dict[str, Any]:
    probabilities = candidate.probabilities
    return {
        "target": list(candidate.target),
        "links": [list(link) for link in candidate.links],
        "score": None if candidate.score is None else round(candidate.score, 4),
        "probabilities": None if probabilities is None else [round(float(p), 3) for p in probabilities],
        "weights": [_bytes(weights) for weights in candidate.weights],
    }


def _bytes(weights: npt.NDArray[np.floating]) -> str:
    return base64.b64encode(np.rint(np.clip(weights, 0, 1) * 255).astype(np.uint8).tobytes()).decode("ascii")
