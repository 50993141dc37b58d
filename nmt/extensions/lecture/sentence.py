"""The translation of a sentence in detail: search, attention, and the effects of other words or other attention."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from nmt.alignment.link_options import AttributionMethod
from nmt.alignment.links import Link
from nmt.core.device import autocast
from nmt.core.errors import UserError
from nmt.core.text import in_windows
from nmt.data.batch import Ids, make_batch
from nmt.data.words import Words
from nmt.decoding.constraints import LexicalConstraints
from nmt.decoding.forced import force_all
from nmt.decoding.hypotheses import BeamObserver, Hypothesis
from nmt.decoding.search import Query
from nmt.extensions.lecture.attribution import attribution_shares
from nmt.extensions.lecture.interventions import (
    Intervention,
    force_stepwise,
    intervened,
    replaceable_attention,
    shared_copy,
    skippable_layers,
)
from nmt.extensions.lecture.numbers import Numbers, attention_numbers, cell_numbers
from nmt.extensions.lecture.recording import BeamRecorder, SearchTree
from nmt.models.calls import recorded_calls
from nmt.models.contracts import Model
from nmt.plotting.templates import packed
from nmt.recipe.schema import DecodingOptions
from nmt.translation.translator import Translator

Json = dict[str, Any]

MAX_PIECES = 100
"""Pieces of a sentence; the tree and the matrix of a longer one can't be read."""
MAX_POSITIONS = 50
"""Target positions that have alternatives; further ones are those of a model that repeats itself."""
MAX_WIDTH = 16
"""Numbers of a vector that are shown."""
QUICK: tuple[AttributionMethod, ...] = ("input_x_gradient", "value_zeroing", "leave_one_out")
"""Methods of attribution that take less time than search; integrated gradients take longer."""
Gold = tuple[str, Iterable[Link]]
"""A reference translation and the links of its words to those of the source; words have white space between."""


@dataclass(frozen=True)
class ForcedStep:
    """Result of forced decoding of the best translation; T counts EOS of the target, S that of the source."""

    log_probability_TV: Tensor
    weights_HTS: Tensor | None
    """Attention of every head; None for a model without attention."""
    numbers: Numbers | None
    """Numbers of the first alignment head, where it is a score and its softmax."""
    cell: Numbers | None
    """Numbers of the top cell, where it has gates."""


class SentenceViewer:
    """Computes the data of the page for one model.

    Args:
        translator: of a model that translates.
        name: of the model in the page.
        beam_size: hypotheses of the search; None for the recipe's.
        num_alternatives: other words of each target position whose continuations are computed.
        num_interventions: changes of the attention of single steps that are computed for a sentence, at most; 0 also
            leaves out those of all steps.
        attributions: methods whose matrices stand beside attention, without those that the model can't have.

    Raises:
        UserError: the model does not translate, or an option is out of range.
    """

    def __init__(
        self,
        translator: Translator,
        name: str,
        beam_size: int | None = None,
        num_alternatives: int = 4,
        num_interventions: int = 0,
        attributions: Sequence[AttributionMethod] = QUICK,
    ) -> None:
        for feature in ("translation", "search"):
            translator.task.require(feature)
        # A copy, because hooks are registered while others may use the model.
        self.translator = translator.replaced(model=shared_copy(translator.model))
        self.name, self.num_alternatives, self.num_interventions = name, num_alternatives, num_interventions
        plain = {"search": "beam", "mbr": "none", "shortlist": None}
        own = translator.options(beam_size=beam_size).model_dump()
        self.options = DecodingOptions.model_validate(own | plain)
        self.attributions = attributions
        self._target = translator.vocabularies.target

    def view(self, number: int, line: str, gold: Gold | None = None) -> Json:
        """Returns the view of a line.

        Args:
            number: of the line, for messages.
            line: source text.
            gold: a reference whose links the attention is set to.

        Returns:
            An object with ``source`` (tokens and EOS), ``beam`` (the tree and the finished hypotheses), ``greedy``,
            ``best`` (tokens with their probabilities), and, each possibly null, ``attention`` (also attributions),
            ``numbers``, ``cell``, ``alternatives``, ``interventions`` and ``gold``.

        Raises:
            UserError: the line has no words or too many pieces, or the model finds no translation.
        """
        source = self.encode(number, line)
        recorder = BeamRecorder(self._target.eos)
        [hypotheses] = self.search(source, [()], self.options, recorder)
        single = self.options.model_copy(update={"beam_size": 1, "beam_groups": 1})
        [greedy] = self.search(source, [()], single)
        best, tree = hypotheses[0], recorder.trees[0]
        forced = self.force(source, best.ids)
        vocabulary = self.translator.vocabularies.source
        return {
            "source": [vocabulary.token(i) for i in (*source, vocabulary.eos)],
            "beam": self._beam(tree, best, greedy[0]),
            "greedy": self._hypothesis(source, greedy[0]),
            "best": self._hypothesis(source, best),
            "attention": [*self._attention(forced), *self._attributions(source, best.ids)] or None,
            "numbers": _shown(forced.numbers),
            "cell": _shown(forced.cell),
            "alternatives": self._alternatives(source, best, forced) if self.num_alternatives else None,
            "interventions": self._interventions(source, best, forced) if self.num_interventions else None,
            "gold": self._gold(source, line, *gold) if gold is not None else None,
        }

    def encode(self, number: int, line: str, most: int = MAX_PIECES) -> Ids:
        """Returns the ids of a line with at most ``most`` pieces; see :meth:`view`."""
        source = self.translator.encode_source(line)
        if not 0 < len(source) <= most:
            raise UserError(
                f"line {number} has {len(source):,} pieces for {self.name}; a page shows 1 to {most}.",
                "Choose a shorter sentence, or a part of it." if source else "Give a sentence.",
            )
        return source

    def search(
        self,
        source: Ids,
        prefixes: Sequence[Sequence[int]],
        options: DecodingOptions,
        observer: BeamObserver | None = None,
        model: Model | None = None,
    ) -> list[list[Hypothesis]]:
        """Returns the hypotheses of a sentence that begin with each of some prefixes, best first.

        Args:
            prefixes: ids of the beginning of the translation; one that ends in EOS is a whole translation.
            model: searches in place of the translator's.

        Raises:
            UserError: nothing is found.
        """
        constraints = [LexicalConstraints(prefix=prefix) for prefix in prefixes]
        query = Query([source] * len(prefixes), options, constraints=constraints, observer=observer)
        found = (self.translator.searcher if model is None else self.translator.search_with(model))(query)
        if not all(found):
            raise UserError(f"{self.name} finds no translation.", "Its weights may not be finite.")
        return found

    @torch.inference_mode()
    def force(self, source: Ids, target: Ids) -> ForcedStep:
        """Returns the distribution of each step and the attention when the model is given a translation."""
        model = self.translator.model
        batch = make_batch([(source, target)], self.translator.vocabularies).to(model.device)
        has_attention, numbers = self.translator.has_attention, None
        with autocast(model.device, self.translator.precision), recorded_calls(model.decoder) as calls:
            output = model(batch.source_BS, batch.source_length_B, batch.target_input_BT, has_attention)
            logits_TV = model.decoder.output(output.features_BTD[0])
            weights = output.weights_BHTS[0].float() if has_attention else None
            if weights is not None:
                head = self.translator.aligner.heads.heads[0]
                numbers = attention_numbers(calls, model.decoder.heads[head], weights[head])
            cell = cell_numbers(calls, len(target) + 1)
        weights = None if weights is None else weights.cpu()
        return ForcedStep(logits_TV.float().log_softmax(-1).cpu(), weights, numbers, cell)

    def _hypothesis(self, source: Ids, hypothesis: Hypothesis) -> Json:
        [log_p_T] = self._token_log_probabilities(source, [hypothesis.ids])
        return self._shown(hypothesis, log_p_T.exp())

    def _shown(self, hypothesis: Hypothesis, p_T: Tensor, first: int = 0) -> Json:
        """Returns the data of the page for a translation: as a whole, and its tokens from ``first`` on."""
        tokens = self._tokens(hypothesis.ids)
        whole = {"text": self._text(hypothesis.ids), "log_p": hypothesis.log_probability, "score": hypothesis.score}
        return {**whole, "tokens": tokens[first:], "p": p_T[first : len(tokens)].tolist()}

    def _text(self, ids: Sequence[int]) -> str:
        return " ".join(self._target.decode(ids).split())

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
                shown += [node.score, self._text(tree.tokens(index)[:-1])]
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

    def _attention(self, forced: ForcedStep) -> list[Json]:
        """Returns the name and the weights [T, S] of the alignment and of each head."""
        if forced.weights_HTS is None:
            return []
        heads, names = self.translator.aligner.heads, self.translator.model.decoder.heads
        mean_TS = forced.weights_HTS[list(heads.heads)].mean(0)
        if heads.attention == "input":  # the step that reads a token is the one after it is predicted
            mean_TS = torch.cat((mean_TS[1:], torch.zeros_like(mean_TS[:1])))
        shown = [(names[0].name, mean_TS)]
        if len(names) > 1:
            own = [(head.name, weights) for head, weights in zip(names, forced.weights_HTS, strict=True)]
            shown = [(f"alignment: mean of {len(heads.heads)} heads", mean_TS), *own]
        return [{"name": name, "weights": packed(weights.numpy())} for name, weights in shown]

    def _attributions(self, source: Ids, ids: Ids) -> list[Json]:
        """Returns the name and the shares [T, S] of each method of attribution that the model can have."""
        translator, found = self.translator, []
        for method in self.attributions:
            with suppress(UserError):
                shares_TS = attribution_shares(translator.model, translator.vocabularies, source, ids, method)
                name = method.replace("_x_", " × ").replace("_", " ")
                found.append({"name": name, "weights": packed(shares_TS.numpy()), "is_attribution": True})
        return found

    def _alternatives(self, source: Ids, best: Hypothesis, forced: ForcedStep) -> list[list[Json]]:
        """Returns for each target position the most probable other tokens, each with the translation that follows."""
        with_eos = [*best.ids, self._target.eos]
        log_p_TV = forced.log_probability_TV.clone()
        log_p_TV[:, [self._target.pad, self._target.sos]] = -torch.inf
        log_p_TV[range(len(with_eos)), with_eos] = -torch.inf
        count = min(self.num_alternatives, log_p_TV.shape[1] - 3)
        tokens_TA = log_p_TV[:MAX_POSITIONS].topk(count, dim=1).indices.tolist()
        prefixes = [[*best.ids[:t], token] for t, tokens in enumerate(tokens_TA) for token in tokens]
        found = [hypotheses[0] for hypotheses in self.search(source, prefixes, self.options)]
        scored = self._token_log_probabilities(source, [hypothesis.ids for hypothesis in found])
        shown = (
            self._shown(hypothesis, log_p_T.exp(), len(prefix) - 1)
            for prefix, hypothesis, log_p_T in zip(prefixes, found, scored, strict=True)
        )
        return [list(islice(shown, len(tokens))) for tokens in tokens_TA]

    def intervene(self, source: Ids, ids: Ids, changes: Sequence[Intervention], count: int = 1) -> list[Json]:
        """Returns the translations under interventions.

        An intervention in one step leaves the tokens before it as they are in a given translation, and the model
        continues them.

        Args:
            ids: those of the given translation.
            count: tokens of the highest probabilities that are given for each step.

        Returns:
            For each intervention the ``text``, ``tokens`` and ``p`` of the translation found, and for the given
            translation ``own``, the probability of each token, and ``top``, the most probable tokens of each step.
        """
        results, vocabularies = [], self.translator.vocabularies
        for chunk in in_windows(changes, self.options.batch_size):
            prefixes = [list(ids[: change.step or 0]) for change in chunk]
            with intervened(self.translator.model, chunk) as model:
                found = [hypotheses[0] for hypotheses in self.search(source, prefixes, self.options, model=model)]
                with autocast(model.device, self.translator.precision):
                    own, *best = force_stepwise(model, [(source, ids)] * len(chunk), vocabularies, count)
                    new, *_ = force_stepwise(model, [(source, hypothesis.ids) for hypothesis in found], vocabularies)
            tops = [
                zip(*of_change, strict=True) for of_change in zip(best[0].tolist(), best[1].exp().tolist(), strict=True)
            ]
            for hypothesis, own_T, new_T, top in zip(found, own.exp(), new.exp(), tops, strict=True):
                named = [[[self._target.token(i), p] for i, p in zip(*step, strict=True)] for step in top]
                results.append({**self._shown(hypothesis, new_T), "own": own_T.tolist(), "top": named})
        return results

    def _interventions(self, source: Ids, best: Hypothesis, forced: ForcedStep) -> Json | None:
        """Returns the interventions in all steps (``whole``), and in single steps the attention to one word each.

        ``steps`` has for each target position the source positions, -1 for equal weights, each with the probability
        of the position's token, the most probable token and its probability, and the translation and its
        log-probability. ``texts`` are these translations.
        """
        # In the order of the page: each head switched off, the weights of each for all of its layer, uniform attention,
        # and each layer left out.
        model = self.translator.model
        heads = range(len(model.decoder.heads) if replaceable_attention(model.decoder) else 0)
        changes = [Intervention("off", heads=(head,)) for head in heads]
        changes += [Intervention("head", head) for head in heads if len(heads) > 1]
        changes += [Intervention("uniform")] if heads else []
        changes += [Intervention("skip", index, side=side) for side, index, _ in skippable_layers(model)]
        if not changes:
            return None
        whole = self.intervene(source, best.ids, changes)
        shown = [{key: value for key, value in result.items() if key != "top"} for result in whole]
        return {"whole": shown, **self._step_interventions(source, best, forced)}

    def _step_interventions(self, source: Ids, best: Hypothesis, forced: ForcedStep) -> Json:
        if forced.weights_HTS is None or not replaceable_attention(self.translator.model.decoder):
            return {"steps": [], "texts": []}
        mean_TS = forced.weights_HTS.mean(0)[:MAX_POSITIONS]
        # In a long sentence only the source positions that have the most attention.
        count = min(max(1, self.num_interventions // len(mean_TS) - 1), mean_TS.shape[1])
        places = [(t, s) for t, row in enumerate(mean_TS.topk(count).indices.tolist()) for s in (-1, *sorted(row))]
        changes = [Intervention("uniform" if s < 0 else "word", max(s, 0), step=t) for t, s in places]
        steps: list[list[list[Any]]] = [[] for _ in mean_TS]
        texts: dict[str, int] = {}
        tokens: list[list[str]] = []
        for (t, s), result in zip(places, self.intervene(source, best.ids, changes), strict=True):
            if texts.setdefault(result["text"], len(tokens)) == len(tokens):
                tokens.append(result["tokens"])
            [[token, p]] = result["top"][t]
            steps[t].append([s, result["own"][t], token, p, texts[result["text"]], result["log_p"]])
        return {"steps": steps, "texts": [{"text": text, "tokens": tokens[index]} for text, index in texts.items()]}

    def _gold(self, source: Ids, line: str, reference: str, links: Iterable[Link]) -> Json | None:
        """Returns the probabilities of a reference with the model's attention (``before``) and with that of the links
        (``after``), and the translation that the model finds with the latter."""
        if not replaceable_attention(self.translator.model.decoder):
            return None
        task, vocabulary = self.translator.task, self.translator.vocabularies.source
        words_of = Words.split(line).of_pieces(task.reader.source_pieces(vocabulary, line))
        linked, pieces = set(links), self._target.pieces(reference)
        targets = Words.split(reference).of_pieces(pieces)
        places = tuple(tuple(s for s, word in enumerate(words_of) if (word, t) in linked) for t in targets)
        ids = self.translator.encode_target(reference)
        before, after = self.intervene(source, ids, [Intervention("links"), Intervention("links", links=places)])
        found = {key: after[key] for key in ("text", "p", "log_p")} | {"found": after["tokens"]}
        return {"tokens": self._tokens(ids), "before": before["own"], "after": after["own"], **found}

    def describe(self) -> Json:
        """Returns the name of the model, the options of its search, the heads whose attention can be changed, and the
        number of layers that can be left out."""
        options, recipe, model = self.options, self.translator.recipe, self.translator.model
        layers = [side for side, _, _ in skippable_layers(model)]
        return {
            "name": self.name,
            "heads": [head.name for head in model.decoder.heads] if replaceable_attention(model.decoder) else [],
            "layers": {side: layers.count(side) for side in ("encoder", "decoder")},
            "description": recipe.description,
            "parameters": model.num_parameters,
            "options": {name: getattr(options, name) for name in ("beam_size", "length_penalty", "alpha", "prune")},
        }


def _shown(numbers: Numbers | None) -> Json | None:
    """Returns the numbers, of wide vectors the first ones, and the ``widths`` of whole vectors, which scores are of."""
    if numbers is None:
        return None
    rows = {
        name: each if name in ("scores", "weights") else each[:, :MAX_WIDTH] for name, each in numbers.values.items()
    }
    values = {name: [[round(value, 3) for value in row] for row in each.tolist()] for name, each in rows.items()}
    widths = {name: each.shape[1] for name, each in numbers.values.items()}
    return {**asdict(replace(numbers, values={})), "widths": widths, "values": values}
