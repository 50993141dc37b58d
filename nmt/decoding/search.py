"""From encoded sentences to translations: limits, rules, batches of like length, and the search that was asked for."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from nmt.config import DecodingOptions
from nmt.data.batching import Ids, by_length, lengths, pad
from nmt.data.vocabulary import Vocabularies, Vocabulary
from nmt.decoding.beam import beam_search
from nmt.decoding.constraints import Constraints
from nmt.decoding.finished import Hypothesis
from nmt.decoding.logits_processors import EndAtLimit, ForcedPrefix, NeverSpecial, NoRepeatedNgram, Rule
from nmt.decoding.sampling import sample
from nmt.decoding.task import Task, Wishes
from nmt.errors import UserError
from nmt.models.interfaces import Model


def max_lengths(source_length_B: Tensor, options: DecodingOptions) -> Tensor:
    """The most pieces, EOS counted, that each translation may have. [B]"""
    limit_B = (source_length_B * options.max_length_ratio).long() + options.max_length_extra
    return limit_B if options.max_length is None else limit_B.clamp(max=options.max_length + 1)


def search_batch(
    model: Model,
    sources: Sequence[Ids],
    vocabularies: Vocabularies,
    options: DecodingOptions,
    *,
    rules: Sequence[Rule] = (),
    wishes: Sequence[Wishes] | None = None,
    numbers: Sequence[int] | None = None,
) -> list[list[Hypothesis]]:
    """Translate a few sentences at once; see :func:`search_all`."""
    target = vocabularies.target
    source_BS = pad(sources, vocabularies.source, eos=True).to(model.device)
    source_length_B = lengths(sources).to(model.device)
    limit_B = max_lengths(source_length_B, options)
    always: list[Rule] = [NeverSpecial(target), *rules]
    if options.no_repeat_ngram:
        always.append(NoRepeatedNgram(options.no_repeat_ngram))
    constraints = None
    if wishes is not None:
        if any(wish.phrases for wish in wishes):
            constraints = _constraints(wishes, target, options)
        always.append(ForcedPrefix([wish.prefix for wish in wishes]))  # after the others: what must be said is said
        limit_B += torch.tensor([wish.num_pieces for wish in wishes], device=model.device)
    always.append(EndAtLimit(limit_B, target.eos))
    numbers = numbers or range(len(sources))
    task = Task(model, source_BS, source_length_B, target, options, always, limit_B, numbers, constraints)
    return sample(task) if options.search == "sample" else beam_search(task)


def _constraints(wishes: Sequence[Wishes], target: Vocabulary, options: DecodingOptions) -> Constraints:
    if options.search == "sample" or options.beam_groups > 1:
        raise UserError(
            "Phrases that must appear need a plain beam search.", "Leave out sampling and beam groups, or the phrases."
        )
    return Constraints([wish.phrases for wish in wishes], target.eos)


def search_all(
    model: Model,
    sources: Sequence[Ids],
    vocabularies: Vocabularies,
    options: DecodingOptions,
    on_progress: Callable[[int], None] = lambda sentences: None,
    *,
    rules: Sequence[Rule] = (),
    wishes: Sequence[Wishes] | None = None,
    numbers: Sequence[int] | None = None,
) -> list[list[Hypothesis]]:
    """Translate any number of encoded sentences: sorted by length, in batches, back in their own order.

    Args:
        model: in eval mode.
        sources: ids of each sentence, without EOS.
        vocabularies: for the special ids.
        options: method, beam, penalties, limits and batch size.
        on_progress: called with the number of sentences of each finished batch.
        rules: what translations may not say, beside what ``options`` rules out.
        wishes: what each translation must say.
        numbers: of the sentences, for the random numbers of sampling; from 0 on where None.
    """
    results: list[list[Hypothesis]] = [[] for _ in sources]
    for chunk in by_length([len(source) for source in sources], options.batch_size):
        found = search_batch(
            model,
            [sources[i] for i in chunk],
            vocabularies,
            options,
            rules=rules,
            wishes=None if wishes is None else [wishes[i] for i in chunk],
            numbers=[i if numbers is None else numbers[i] for i in chunk],
        )
        for index, hypotheses in zip(chunk, found, strict=True):
            results[index] = hypotheses
        on_progress(len(chunk))
    return results
