"""A page that shows how models translate a sentence: search, attention, and what other words would change.

The page carries its data as JSON, a list of sentences, each with the views of all models; :func:`view_of` describes
these. Numbers are natural log-probabilities, rounded.
"""

import base64
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from nmt.core.device import autocast
from nmt.core.errors import UserError
from nmt.data.batching import Ids, make_batch
from nmt.decoding.constraints import LexicalConstraints
from nmt.decoding.forced import force_all
from nmt.decoding.hypotheses import BeamObserver, Hypothesis
from nmt.decoding.recording import BeamRecorder, SearchTree
from nmt.decoding.search import Query
from nmt.inspection.attention_numbers import AttentionNumbers, recorded_attention
from nmt.recipe.schema import DecodingOptions
from nmt.translation.translator import Translator

Json = dict[str, Any]

MAX_PIECES = 100
"""Pieces of a sentence; the tree and the matrix of a longer one can't be read."""
MAX_POSITIONS = 50
"""Target positions that have alternatives; further ones are those of a model that repeats itself."""
MAX_WIDTH = 16
"""Numbers of a vector that are shown."""
DIGITS = 4


@dataclass(frozen=True)
class ForcedStep:
    """Result of forced decoding of the best translation; T counts EOS of the target, S that of the source."""

    log_probability_TV: Tensor
    weights_HTS: Tensor | None
    """Attention of every head; None for a model without attention."""
    numbers: AttentionNumbers | None
    """Numbers of the first alignment head, where it is a score and its softmax."""


class SentenceViewer:
    """Computes what the page shows of one model.

    Args:
        translator: of a model that translates.
        name: of the model in the page.
        beam_size: hypotheses of the search; None for the recipe's.
        num_alternatives: other words of each target position whose continuations are computed.

    Raises:
        UserError: the model does not translate, or an option is out of range.
    """

    def __init__(self, translator: Translator, name: str, beam_size: int | None = None, num_alternatives: int = 4):
        for feature in ("translation", "search"):
            translator.task.require(feature)
        self.translator, self.name, self.num_alternatives = translator, name, num_alternatives
        plain = {"search": "beam", "mbr": "none", "shortlist": None}
        own = translator.options(beam_size=beam_size).model_dump()
        self.options = DecodingOptions.model_validate(own | plain)
        self._target = translator.vocabularies.target

    def view(self, number: int, line: str) -> Json:
        """Returns the view of a line.

        Args:
            number: of the line, for messages.
            line: source text.

        Returns:
            An object with ``source`` (tokens and EOS), ``beam`` (the tree and the finished hypotheses), ``greedy``,
            ``best`` (tokens with their probabilities), ``attention`` and ``numbers`` (or null) and ``alternatives``.

        Raises:
            UserError: the line has no words or too many pieces, or the model finds no translation.
        """
        source = self.translator.encode_source(line)
        if not 0 < len(source) <= MAX_PIECES:
            raise UserError(
                f"line {number} has {len(source):,} pieces for {self.name}; a page shows 1 to {MAX_PIECES}.",
                "Choose a shorter sentence, or a part of it." if source else "Give a sentence.",
            )
        recorder = BeamRecorder(self._target.eos)
        [hypotheses] = self.search(source, [()], self.options, recorder)
        single = self.options.model_copy(update={"beam_size": 1, "beam_groups": 1})
        [greedy] = self.search(source, [()], single)
        if not hypotheses or not greedy:
            raise UserError(f"{self.name} finds no translation of line {number}.", "Its weights may not be finite.")
        best, tree = hypotheses[0], recorder.trees[0]
        forced = self.force(source, best.ids)
        vocabulary = self.translator.vocabularies.source
        return {
            "source": [vocabulary.token(i) for i in (*source, vocabulary.eos)],
            "beam": self._beam(tree, best, greedy[0]),
            "greedy": self._hypothesis(source, greedy[0]),
            "best": self._hypothesis(source, best),
            "attention": self._attention(forced),
            "numbers": self._numbers(forced.numbers),
            "alternatives": self._alternatives(source, best, forced) if self.num_alternatives else None,
        }

    def search(
        self,
        source: Ids,
        prefixes: Sequence[Sequence[int]],
        options: DecodingOptions,
        observer: BeamObserver | None = None,
    ) -> list[list[Hypothesis]]:
        """Returns the hypotheses of a sentence that begin with each of some prefixes, best first.

        Args:
            prefixes: ids of the beginning of the translation; one that ends in EOS is a whole translation.
        """
        constraints = [LexicalConstraints(prefix=prefix) for prefix in prefixes]
        query = Query([source] * len(prefixes), options, constraints=constraints, observer=observer)
        return self.translator.searcher(query)

    @torch.inference_mode()
    def force(self, source: Ids, target: Ids) -> ForcedStep:
        """Returns the distribution of each step and the attention when the model is given a translation."""
        model = self.translator.model
        batch = make_batch([(source, target)], self.translator.vocabularies).to(model.device)
        has_attention, numbers = self.translator.has_attention, None
        with autocast(model.device, self.translator.precision), recorded_attention(model.decoder) as calls:
            output = model(batch.source_BS, batch.source_length_B, batch.target_input_BT, has_attention)
            logits_TV = model.decoder.output(output.features_BTD[0])
            weights = output.weights_BHTS[0].float() if has_attention else None
            if weights is not None:
                head = self.translator.aligner.heads.heads[0]
                numbers = calls.numbers(model.decoder.heads[head], weights[head])
        weights = None if weights is None else weights.cpu()
        return ForcedStep(logits_TV.float().log_softmax(-1).cpu(), weights, numbers)

    def _hypothesis(self, source: Ids, hypothesis: Hypothesis) -> Json:
        [log_p] = self._token_log_probabilities(source, [hypothesis.ids])
        return {**self._summary(hypothesis), "tokens": self._tokens(hypothesis.ids), "p": log_p.exp().tolist()}

    def _summary(self, hypothesis: Hypothesis) -> Json:
        """Returns what the page shows of a translation as a whole."""
        text = " ".join(self.translator.task.decode(self._target, hypothesis.ids).split())
        return {"text": text, "log_p": hypothesis.log_probability, "score": hypothesis.score}

    def _tokens(self, ids: Ids) -> list[str]:
        return [self._target.token(i) for i in (*ids, self._target.eos)]

    def _token_log_probabilities(self, source: Ids, targets: Sequence[Ids]) -> list[Tensor]:
        """Returns the log-probability of each token of some translations, EOS counted."""
        translator = self.translator
        pairs = [(source, target) for target in targets]
        with torch.inference_mode(), autocast(translator.model.device, translator.precision):
            forced = force_all(translator.model, pairs, translator.vocabularies, self.options.batch_size)
        return [each.log_probability_T.cpu() for each in forced]

    def _beam(self, tree: SearchTree, best: Hypothesis, greedy: Hypothesis) -> Json:
        """Returns the tree: nodes with parent, step, token, log-probability, fate and, where finished, score and text;
        the node of the translation; and the nodes that greedy search goes through as far as they are in the tree."""
        nodes, eos = [], self._target.eos
        for index, node in enumerate(tree.nodes):
            shown: list[Any] = [node.parent, node.step, self._target.token(node.token), node.log_probability, node.fate]
            if node.fate == "finished":
                hypothesis = Hypothesis(tree.tokens(index)[:-1], float(node.score or 0), node.log_probability)
                shown += [hypothesis.score, self._summary(hypothesis)["text"]]
            nodes.append(shown)
        children = {(node.parent, node.token): index for index, node in enumerate(tree.nodes)}
        paths = []
        for ids in (best.ids, greedy.ids):
            path, at = [], -1
            for token in (*ids, eos):
                at = children.get((at, token), -2)
                if at < 0:
                    break
                path.append(at)
            paths.append(path)
        return {"nodes": nodes, "best": paths[0][-1], "greedy": paths[1]}

    def _attention(self, forced: ForcedStep) -> list[Json] | None:
        """Returns the name and the weights [T, S] of the alignment and of each head."""
        if forced.weights_HTS is None:
            return None
        heads, names = self.translator.aligner.heads, self.translator.model.decoder.heads
        mean_TS = forced.weights_HTS[list(heads.heads)].mean(0)
        if heads.attention == "input":  # the step that reads a token is the one after it is predicted
            mean_TS = torch.cat((mean_TS[1:], torch.zeros_like(mean_TS[:1])))
        shown = [(f"alignment: mean of {len(heads.heads)} heads", mean_TS)]
        if len(names) > 1:
            shown += [(head.name, weights) for head, weights in zip(names, forced.weights_HTS, strict=True)]
        else:
            shown = [(names[0].name, mean_TS)]
        return [{"name": name, "weights": _bytes(weights)} for name, weights in shown]

    def _numbers(self, numbers: AttentionNumbers | None) -> Json | None:
        """Returns the numbers of one head, of wide vectors the first ones; the scores are those of whole vectors."""
        if numbers is None:
            return None
        vectors = {"query": numbers.query_TD, "keys": numbers.keys_SD, "context": numbers.context_TD}
        if numbers.values_SD is not numbers.keys_SD and not torch.equal(numbers.values_SD, numbers.keys_SD):
            vectors["values"] = numbers.values_SD
        decoder, head = self.translator.model.decoder, self.translator.aligner.heads.heads[0]
        return {
            "head": decoder.heads[head].name,
            "equation": numbers.equation,
            "code": numbers.code,
            "widths": [numbers.query_TD.shape[1], numbers.keys_SD.shape[1]],
            "scores": _short(numbers.scores_TS),
            "weights": _short(numbers.weights_TS),
            **{name: _short(values[:, :MAX_WIDTH]) for name, values in vectors.items()},
        }

    def _alternatives(self, source: Ids, best: Hypothesis, forced: ForcedStep) -> list[list[Json]]:
        """Returns for each target position the most probable other tokens, each with the translation that follows."""
        with_eos, prefixes = [*best.ids, self._target.eos], []
        log_p_TV = forced.log_probability_TV.clone()
        log_p_TV[:, [self._target.pad, self._target.sos]] = -torch.inf
        log_p_TV[range(len(with_eos)), with_eos] = -torch.inf
        count = min(self.num_alternatives, log_p_TV.shape[1] - 3)
        tokens_TA = log_p_TV[:MAX_POSITIONS].topk(count, dim=1).indices.tolist()
        prefixes = [[*best.ids[:t], token] for t, tokens in enumerate(tokens_TA) for token in tokens]
        found = [hypotheses[0] for hypotheses in self.search(source, prefixes, self.options)]
        scored = self._token_log_probabilities(source, [hypothesis.ids for hypothesis in found])
        shown = iter(zip(prefixes, found, scored, strict=True))
        return [[self._alternative(*next(shown)) for _ in tokens] for tokens in tokens_TA]

    def _alternative(self, prefix: Sequence[int], hypothesis: Hypothesis, log_p_T: Tensor) -> Json:
        first = len(prefix) - 1
        tail = {"tokens": self._tokens(hypothesis.ids)[first:], "p": log_p_T[first:].exp().tolist()}
        return {**self._summary(hypothesis), **tail}

    def describe(self) -> Json:
        """Returns the name of the model and the options of its search."""
        options, recipe = self.options, self.translator.recipe
        return {
            "name": self.name,
            "description": recipe.description,
            "parameters": self.translator.model.num_parameters,
            "options": {name: getattr(options, name) for name in ("beam_size", "length_penalty", "alpha", "prune")},
        }


def render_page(title: str, viewers: Sequence[SentenceViewer], lines: Iterable[str]) -> str:
    """Returns the page.

    Args:
        title: heading.
        viewers: a model each, the first of which is shown first.
        lines: source sentences.

    Raises:
        UserError: there is no line, or one that a page can't show.
    """
    from markupsafe import Markup

    from nmt.core.templates import render

    sentences = [
        {"text": line, "views": [viewer.view(number, line) for viewer in viewers]}
        for number, line in enumerate(lines, start=1)
    ]
    if not sentences:
        raise UserError("There is no sentence to show.", "Give TEXT, --input FILE, or text on standard input.")
    data = {"models": [viewer.describe() for viewer in viewers], "sentences": sentences}
    text = json.dumps(_rounded(data), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    # Inside a script element only "</" could end it, and "<!--" changes how it is read.
    return render("sentence.html.j2", title=title, data=Markup(text.replace("<", "\\u003c")))


def _rounded(value: Any) -> Any:
    """Returns JSON with its numbers rounded."""
    if isinstance(value, float):
        return round(value, DIGITS)
    if isinstance(value, Mapping):
        return {name: _rounded(part) for name, part in value.items()}
    return [_rounded(part) for part in value] if isinstance(value, list) else value


def _short(values: Tensor) -> list[list[float]]:
    """Returns numbers with three decimals."""
    return [[round(value, 3) for value in row] for row in values.tolist()]


def _bytes(weights_TS: Tensor) -> str:
    """Returns attention weights as bytes, 255 for 1, in base64."""
    values = np.rint(weights_TS.clamp(0, 1).numpy() * 255).astype(np.uint8)
    return base64.b64encode(values.tobytes()).decode("ascii")
