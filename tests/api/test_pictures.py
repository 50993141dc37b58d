"""Pictures from Python: each function draws what the command of the same picture draws."""

import shutil
from pathlib import Path

import pytest

import nmt
from nmt.plotting.style import Picture


@pytest.fixture(scope="module")
def model(tiny_model: Path) -> nmt.Translator:
    return nmt.load(tiny_model, "cpu")


def test_an_alignment_has_its_title_and_gold_links(model: nmt.Translator) -> None:
    [alignment] = model.align([("Der Hund schläft.", "The dog sleeps.")])
    picture = nmt.plot_alignment(alignment, gold=[(0, 0), (1, 1)], title="A title")
    [axes] = [axes for axes in picture.axes if axes.get_title("left")]
    assert axes.get_title("left") == "A title"
    frames = [patch for patch in axes.patches if patch.get_facecolor()[3] == 0]
    assert len(frames) == 2


def test_heads_and_runs_are_pictures_of_the_model(model: nmt.Translator, tiny_model: Path, tmp_path: Path) -> None:
    heads = nmt.plot_heads(model, "Der Hund schläft.", "The dog sleeps.")
    runs = nmt.plot_runs([nmt.Run(tiny_model)])
    assert all(isinstance(picture, Picture) for picture in (heads, runs))
    assert "training loss" in [axes.get_title("left") for axes in runs.axes]
    shutil.copytree(tiny_model, tmp_path / tiny_model.name)
    both = nmt.plot_runs([nmt.Run(tiny_model), nmt.Run(tmp_path / tiny_model.name)])
    assert len(both.axes[0].lines) == 2, "of folders with the same name"
    with pytest.raises(nmt.UserError, match="no metric 'foo'"):
        nmt.plot_runs([nmt.Run(tiny_model)], metric="foo")
