"""Alignments as one interactive HTML page, which loads nothing and so opens anywhere.

The page carries its data as JSON:

    heads      list of str               names of the attention to choose from, first that of the links
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

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nmt.alignment.links import GoldLinks, WordAlignment
from nmt.core.errors import UserError
from nmt.plotting.templates import embedded, packed, render
from nmt.translation.translator import Translator


def alignment_page(
    translator: Translator,
    sentences: Sequence[Sequence[WordAlignment]],
    gold: Sequence[GoldLinks] | None,
    source: str,
    target: str | None,
) -> str:
    """Returns the page of ``nmt align``.

    Args:
        translator: the model, whose heads are named.
        sentences: the candidates of each sentence, the best first; at least one.
        gold: sure and possible links of each sentence's first candidate.
        source, target: names of the files; a target of None stands for the model's own translations.

    Raises:
        UserError: there is nothing to show, or there are fewer lines of gold links than sentences.
    """
    if not sentences:
        raise UserError("There are no sentence pairs to show.", "Give files with at least one line.")
    if gold is not None and len(gold) < len(sentences):
        raise UserError(f"There are only {len(gold):,} lines of gold links.", "Give a line for each sentence pair.")
    languages, names = translator.recipe.data, [head.name for head in translator.model.decoder.heads]
    chosen = [names[head] for head in translator.aligner.heads.heads]
    mean = chosen[0] if len(chosen) == 1 else f"mean of {len(chosen)} heads"
    others = Path(target).name if target else "the model's own translations"
    shown = [_sentence(candidates, gold[n] if gold is not None else None) for n, candidates in enumerate(sentences)]
    return render(
        "align.html.j2",
        __file__,
        title=f"Word alignments, {languages.source} → {languages.target}",
        description=f"{len(sentences):,} sentence{'s' * (len(sentences) > 1)} of {Path(source).name} with {others}.",
        data=embedded({"heads": [f"{mean}, which links come from", *names], "sentences": shown}),
    )


def _sentence(candidates: Sequence[WordAlignment], gold: GoldLinks | None) -> dict[str, Any]:
    if gold is not None:
        candidates[0].check_gold(gold[0] | gold[1])
    links = None if gold is None else {"sure": sorted(gold[0]), "possible": sorted(gold[1] - gold[0])}
    return {"source": candidates[0].source, "gold": links, "candidates": [_candidate(a) for a in candidates]}


def _candidate(alignment: WordAlignment) -> dict[str, Any]:
    score, probabilities = alignment.score, alignment.probabilities
    return {
        "target": alignment.target,
        "links": alignment.links,
        "score": round(score, 4) if score is not None and math.isfinite(score) else None,
        "probabilities": None if probabilities is None else [round(float(p), 3) for p in probabilities],
        "weights": [packed(weights) for weights in (alignment.weights, *(alignment.head_weights or ()))],
    }
