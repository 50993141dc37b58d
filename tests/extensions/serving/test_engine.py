"""The model threads: shared batches change no translation, and cancelled work leaves them."""

from collections.abc import Iterator
from concurrent.futures import Future
from functools import partial
from typing import Any

import pytest

from nmt.extensions.serving.engine import BULK_SHARE, Engine
from nmt.translation.options import TranslationOptions
from nmt.translation.request import Request
from nmt.translation.translator import Translator
from tests.extensions.serving.conftest import held

PLAIN = TranslationOptions()


@pytest.fixture
def sizes() -> list[int]:
    return []


@pytest.fixture
def engine(sizes: list[int]) -> Iterator[Engine]:
    started = Engine(lambda sentences, seconds: sizes.append(sentences), threads=(1, 1))
    yield started
    started.close(60)


def texts(futures: list[Future[Any]]) -> list[str]:
    return [future.result(30).text for future in futures]


def test_sentences_of_several_requests_share_batches_and_are_translated_as_alone(
    engine: Engine, sizes: list[int], translator: Translator, german: list[str]
) -> None:
    with held(engine):
        futures = [engine.submit(translator, [Request(line)], PLAIN)[0] for line in german]
    alone = [translator.translate([line])[0] for line in german]
    assert [(f.result(30).text, f.result().tokens) for f in futures] == [(t.text, t.tokens) for t in alone]
    assert sum(sizes) == len(german)
    assert len(sizes) <= 3


def test_a_batch_has_similar_lengths_and_one_kind_of_settings(
    engine: Engine, sizes: list[int], translator: Translator, german: list[str]
) -> None:
    long = " ".join(german[:10])
    with held(engine):
        [one] = engine.submit(translator, [Request(german[0])], PLAIN)
        [several] = engine.submit(translator, [Request(german[0])], TranslationOptions(n_best=3, with_alignment=True))
        [longer] = engine.submit(translator, [Request(long)], PLAIN)
    assert len(one.result(30).n_best) == 1
    assert len(several.result(30).n_best) == 3
    assert several.result().alignment
    assert longer.result(30).text
    assert sizes == [1, 1, 1]


@pytest.mark.parametrize("must_contain", [(), ("dog",)])
def test_what_is_cancelled_during_its_batch_is_not_searched_to_its_end(
    engine: Engine, translator: Translator, german: list[str], must_contain: tuple[str, ...]
) -> None:
    prefix = " ".join(["the dog"] * 30)
    partial: list[str] = []

    def cancel(text: str) -> None:
        partial.append(text)
        futures[0].cancel()

    requests = [Request(german[0], prefix, must_contain), Request(german[1])]
    with held(engine):
        futures = engine.submit(translator, requests, PLAIN, {0: cancel})
    assert texts([futures[1]]) == [translator.translate([german[1]])[0].text]
    assert len(partial) == 1


def test_a_call_that_is_cancelled_before_its_turn_is_not_made(engine: Engine) -> None:
    made: list[int] = []
    with held(engine):
        futures = [engine.call(partial(made.append, number)) for number in range(2)]
        futures[0].cancel()
    futures[1].result(30)
    assert made == [1]


def test_one_sentence_that_fails_spoils_no_other(
    engine: Engine, translator: Translator, german: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = Translator.stream

    def failing(self: Translator, lines: list[Request], *given: Any, **named: Any) -> Any:
        if any("Bäcker" in request.source for request in lines):
            raise MemoryError
        return stream(self, lines, *given, **named)

    good, bad = german[0], "Der Bäcker schläft im Garten."
    [expected] = translator.translate([good])
    monkeypatch.setattr(Translator, "stream", failing)
    with held(engine):
        futures = engine.submit(translator, [Request(good), Request(bad)], PLAIN)
    with pytest.raises(MemoryError):
        futures[1].result(30)
    assert texts([futures[0]]) == [expected.text]


def test_short_requests_have_most_turns_while_long_ones_wait(
    engine: Engine, translator: Translator, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns: list[bool] = []
    stream = Translator.stream

    def seen(self: Translator, lines: list[Request], *given: Any, **named: Any) -> Any:
        turns.append("bulk" in lines[0].source)
        return stream(self, lines, *given, **named)

    monkeypatch.setattr(Translator, "stream", seen)
    alone = TranslationOptions(decoding={"batch_size": 1})
    with held(engine):
        futures = engine.submit(translator, [Request(f"bulk {n}") for n in range(BULK_SHARE)], alone, is_bulk=True)
        futures += engine.submit(translator, [Request(f"short {n}") for n in range(2 * BULK_SHARE)], alone)
    texts(futures)
    one_turn = [False] * (BULK_SHARE - 1) + [True]
    assert turns[: 2 * BULK_SHARE] == 2 * one_turn
    assert turns.count(True) == BULK_SHARE
