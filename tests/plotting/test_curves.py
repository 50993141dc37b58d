"""The picture of some runs: every run in every panel, told apart, and what is drawn is what the log says."""

from pathlib import Path
from typing import Any

import pytest

from nmt.plotting.curves import draw_runs
from nmt.plotting.history import History


def make_history(name: str, scale: float = 1.0, steps: int = 40, **changes: Any) -> History:
    trains = [
        {"step": s, "seconds": 3.0 * s, "loss": scale * 5 / s, "learning_rate": 1e-3, "gradient_norm": scale,
         "tokens_per_second": 4000.0, **changes}
        for s in range(1, steps + 1)
    ]  # fmt: skip
    valids = [{"step": s, "seconds": 3.0 * s, "loss": 2 + abs(s - 20) / 10, "bleu": scale * s} for s in (10, 20, 30)]
    return History(Path("/runs") / name, {"train": trains, "valid": valids})


def curves(axes: Any) -> list[Any]:
    """Those that are lines; the dots at the best validations are not."""
    return [line for line in axes.lines if len(line.get_xdata()) > 1]


def test_every_panel_has_every_run_in_a_style_of_its_own() -> None:
    histories = [make_history(f"run {number}", number + 1) for number in range(9)]
    figure = draw_runs({history.directory.name: history for history in histories})
    assert [axes.get_title("left") for axes in figure.axes] == [
        "training loss", "validation loss", "validation BLEU",
        "learning rate", "gradient norm", "target tokens a second",
    ]  # fmt: skip
    for axes in figure.axes:
        assert len(curves(axes)) == 9
        assert len({(line.get_color(), line.get_linestyle()) for line in curves(axes)}) == 9
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == [f"run {number}" for number in range(9)]
    hidden = draw_runs({"_": make_history("_")})  # Matplotlib hides such names
    assert [text.get_text() for text in hidden.legends[0].get_texts()] == ["_"]


@pytest.mark.parametrize(("x", "factor"), [("updates", 1.0), ("minutes", 3 / 60)])
def test_points_are_those_of_the_log_and_the_best_has_a_dot(x: Any, factor: float) -> None:
    figure = draw_runs({"run": make_history("run")}, x)
    loss, validation, bleu = (figure.axes[number] for number in range(3))
    assert list(curves(loss)[0].get_ydata()) == [5 / s for s in range(1, 41)]
    assert list(curves(loss)[0].get_xdata()) == pytest.approx([factor * s for s in range(1, 41)])
    dots = [next(line for line in axes.lines if len(line.get_xdata()) == 1) for axes in (validation, bleu)]
    assert [(dot.get_xdata()[0], dot.get_ydata()[0]) for dot in dots] == [
        (pytest.approx(20 * factor), 2.0), (pytest.approx(30 * factor), 30)
    ]  # fmt: skip
    assert figure.get_supxlabel() == x


def test_a_spike_of_the_gradient_does_not_flatten_the_rest() -> None:
    history = make_history("run", steps=200)
    history.events["train"][3]["gradient_norm"] = 1e4
    axes = draw_runs({"run": history}).axes[4]
    assert axes.get_ylim()[1] < 5


def test_a_figure_that_no_run_has_gets_no_panel() -> None:
    run = make_history("run")
    unscored = History(
        run.directory, {"train": run.events["train"], "valid": [{"step": 10, "seconds": 1, "loss": 2.0}]}
    )
    hidden = [axes.get_title("left") for axes in draw_runs({"run": unscored}).axes if not axes.get_visible()]
    assert hidden == ["validation BLEU"]
