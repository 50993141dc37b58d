"""What a notebook does: train, look at the run, translate, align, score."""

from pathlib import Path
from typing import Any

import pytest

import nmt
from nmt.plotting.history import History


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, tiny_recipe: Path) -> nmt.Run:
    folder = tmp_path_factory.mktemp("run")
    settings = {"training.max_steps": 4, "training.validate_every": 2, "training.log_every": 1}
    return nmt.train(tiny_recipe, folder / "model", overrides=settings)


def test_a_run_has_its_history_and_draws_it(run: nmt.Run) -> None:
    assert isinstance(run.history, History)
    steps, losses = run.history.series("train", "loss")
    assert steps == [1, 2, 3, 4]
    assert len(losses) == 4
    titles = {axes.get_title(loc=place) for axes in run.plot().axes for place in ("left", "center")}
    assert {"training loss", "validation loss"} <= titles
    page = run._repr_html_()
    assert page.startswith("<table><tr><th>directory</th>")
    assert f"<th>parameters</th><td>{run.model.model.num_parameters:,}</td>" in page
    assert "<th>validation loss step</th><td>4</td>" in page
    assert "dc:date" not in page, "a notebook that is run again is the same"
    assert "<svg" in page
    with pytest.raises(nmt.UserError, match="no metric 'foo'"):
        run.plot("foo")


def test_a_run_in_the_current_folder_is_drawn(run: nmt.Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(run)
    assert nmt.plot_runs(["."]).axes  # type: ignore[list-item]
    for runs, x, message in (([], "updates", "no run"), (["."], "hours", "no axis 'hours'")):
        with pytest.raises(nmt.UserError, match=message):
            nmt.plot_runs(runs, x)  # type: ignore[arg-type]
    assert [text.get_text() for text in nmt.Run(".").plot().legends[0].get_texts()] == [run.name]


@pytest.mark.parametrize(
    ("others", "arguments"),
    [((), {"start": "none"}), ((), {"keep_all": True}), (("a",), {"output": "b"}), (("a", "b"), {})],
)
def test_arguments_for_text_are_refused_with_a_recipe(
    tiny_recipe: Path, others: tuple[str, ...], arguments: dict[str, Any]
) -> None:
    with pytest.raises(nmt.UserError, match=r"are for text|one model directory"):
        nmt.train(tiny_recipe, *others, **arguments)


def test_a_text_is_one_sentence_and_a_list_is_many(run: nmt.Run) -> None:
    line = "Der Hund schläft."
    one, called = run.model.translate(line), run.model(line)
    many = run.model.translate([line, ""])
    assert isinstance(one, nmt.Translation)
    assert one == called == many[0]
    with pytest.raises(nmt.UserError, match="None is no text"):
        run.model.translate(None)  # type: ignore[call-overload]
    for pair in (("a", None), "ab", (line, one)):
        with pytest.raises(nmt.UserError, match="Pair 1 isn't two texts"):
            list(run.model.score([pair]))  # type: ignore[list-item]
    assert (one.source, str(one)) == (line, one.text)
    assert [translation.source for translation in many] == [line, ""]
    assert line in many._repr_html_()
    assert one._repr_html_().count("<tr>") == 2


def test_a_table_shows_each_candidate_and_escapes_text() -> None:
    translation = nmt.Translation("a < b", "x & y", -1.0, ["x"])
    assert "<td>a &lt; b</td><td>x &amp; y</td><td>-1.00</td>" in translation._repr_html_()
    assert "<td>0.00</td>" in nmt.Translation("a", "b", -0.001, ["b"])._repr_html_(), "zero has no sign"
