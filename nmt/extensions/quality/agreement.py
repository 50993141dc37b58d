"""The agreement of a translation with random translations by the same model.

A model that understands a sentence gives samples that resemble its translation; where it guesses, they differ. It is
the lexical similarity of Fomicheva et al. 2020 ("Unsupervised Quality Estimation for Neural Machine Translation",
section 3.2), with samples in place of dropout, which a model in a server or in another library doesn't have.
"""

from collections.abc import Sequence
from itertools import islice

from nmt.decoding.search import Query
from nmt.metrics.table import METRICS
from nmt.translation.loaded import LoadedModel


def agreements(
    model: LoadedModel, sources: Sequence[str], translations: Sequence[str], num_samples: int
) -> Sequence[float | None]:
    """Returns the mean sentence chrF of each translation against samples of its source, from 0 to 1.

    Args:
        sources: those that occur several times, as in the candidates of a repair, are sampled once.
        num_samples: for each source; None is returned for each without samples.
    """
    if not num_samples:
        return [None] * len(sources)
    vocabulary, encode = model.vocabularies.target, model.encode_source
    options = model.options(search="sample", beam_size=num_samples, beam_groups=1)
    distinct = list(dict.fromkeys(sources))
    sampled = model.searcher(Query([encode(source)[: model.max_pieces] for source in distinct], options))
    of_source = {
        source: [" ".join(vocabulary.decode(each.ids).split()) for each in samples]
        for source, samples in zip(distinct, sampled, strict=True)
    }
    texts = [text for source in sources for text in of_source[source]]
    counts = [len(of_source[source]) for source in sources]  # a classifier has no more samples than labels
    repeated = [text for text, count in zip(translations, counts, strict=True) for _ in range(count)]
    scores = iter(METRICS["chrf"]().sentence_scores(repeated, [texts]) if texts else [])
    return [sum(islice(scores, count)) / (100 * max(count, 1)) for count in counts]
