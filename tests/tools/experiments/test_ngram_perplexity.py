"""The n-gram model: its distributions are ones, and it knows what follows what."""

import pytest
from ngram_perplexity import KneserNey

SENTENCES = [[1, 2, 3, 0], [1, 2, 2, 0], [4, 2, 3, 0], [1, 3, 0]]
SOS = 5


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_probabilities_after_any_context_add_up_to_one(order: int) -> None:
    model = KneserNey(SENTENCES, order, 5, SOS)
    for context in [(SOS,), (SOS, 1), (1, 2), (2, 4), (3, 3, 3)]:
        following = context[len(context) - order + 1 :] if order > 1 else ()
        assert sum(model.probability((*following, token)) for token in range(5)) == pytest.approx(1)


def test_a_bigram_is_discounted_and_the_rest_is_of_those_that_follow_most_tokens() -> None:
    model = KneserNey(SENTENCES, 2, 5, SOS)
    # (1 2), (2 3) and (3 0) are there twice or more; (SOS 4), (1 3), (2 2), (2 0), (4 2) once.
    assert model.discounts[2] == pytest.approx(5 / (5 + 2 * 2))
    # As unigrams, 2 follows {1, 2, 4}, 3 follows {1, 2}, 0 follows {2, 3}; 1 and 4 follow SOS alone.
    assert [model.counts[(token,)] for token in range(5)] == [2, 1, 3, 2, 1]
    assert model.probability((1, 2)) > model.probability((1, 3)) > model.probability((1, 4))
