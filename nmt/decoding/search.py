"""From encoded sentences to translations: limits, rules, batches of like length, and the search that was asked for."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from nmt.config import DecodingOptions
from nmt.data.batching import Ids, by_length, lengths, pad
from nmt.data.vocabulary import Vocabularies
from nmt.decoding.beam import beam_search
from nmt.decoding.finished import Hypothesis
from nmt.decoding.rules import EndAtLimit, ForcedPrefix, NeverSpecial, NoRepeatedNgram, Rule
from nmt.decoding.sampling import sample
from nmt.decoding.task import Task
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
    prefixes: Sequence[Sequence[int]] | None = None,
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
    if prefixes is not None:  # after the others: what must be said is said
        always.append(ForcedPrefix(prefixes))
        limit_B += torch.tensor([len(prefix) for prefix in prefixes], device=model.device)
    always.append(EndAtLimit(limit_B, target.eos))
    task = Task(model, source_BS, source_length_B, target, options, always, limit_B, numbers or range(len(sources)))
    return sample(task) if options.search == "sample" else beam_search(task)


def search_all(
    model: Model,
    sources: Sequence[Ids],
    vocabularies: Vocabularies,
    options: DecodingOptions,
    on_progress: Callable[[int], None] = lambda sentences: None,
    *,
    rules: Sequence[Rule] = (),
    prefixes: Sequence[Sequence[int]] | None = None,
    first_number: int = 0,
) -> list[list[Hypothesis]]:
    """Translate any number of encoded sentences: sorted by length, in batches, back in their own order.

    Args:
        model: in eval mode.
        sources: ids of each sentence, without EOS.
        vocabularies: for the special ids.
        options: method, beam, penalties, limits and batch size.
        on_progress: called with the number of sentences of each finished batch.
        rules: what translations may not say, beside what ``options`` rules out.
        prefixes: pieces that each translation begins with.
        first_number: of the first sentence, for the random numbers of sampling.
    """
    results: list[list[Hypothesis]] = [[] for _ in sources]
    for chunk in by_length([len(source) for source in sources], options.batch_size):
        found = search_batch(
            model,
            [sources[i] for i in chunk],
            vocabularies,
            options,
            rules=rules,
            prefixes=None if prefixes is None else [prefixes[i] for i in chunk],
            numbers=[first_number + i for i in chunk],
        )
        for index, hypotheses in zip(chunk, found, strict=True):
            results[index] = hypotheses
        on_progress(len(chunk))
    return results
