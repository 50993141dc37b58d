"""Signals: the first is noted, the second acts, and nothing of it stays behind."""

import signal
import threading
import time

import pytest

from nmt.training.distributed import Interrupts


@pytest.mark.posix
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_signal_is_noted_and_the_second_acts_as_before(number: signal.Signals) -> None:
    acted = []
    before = signal.signal(number, lambda *_: acted.append(True))
    try:
        with Interrupts() as interrupts:
            assert interrupts.received is None
            signal.raise_signal(number)
            assert interrupts.received == number
            assert not acted
            signal.raise_signal(number)
            assert acted
    finally:
        signal.signal(number, before)


def test_a_signal_that_torchrun_passes_on_again_is_the_same_request(monkeypatch: pytest.MonkeyPatch) -> None:
    with Interrupts(repeated=3.0) as interrupts:
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        assert interrupts.received == signal.SIGINT
        now = time.monotonic()
        monkeypatch.setattr(time, "monotonic", lambda: now + 3.1)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)


def test_signals_mean_what_they_meant_when_all_is_over() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    with Interrupts():
        assert signal.getsignal(signal.SIGINT) != before[0]
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_thread_other_than_the_main_one_may_train() -> None:
    entered = []

    def work() -> None:
        with Interrupts() as interrupts:
            entered.append(interrupts.received)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert entered == [None]
