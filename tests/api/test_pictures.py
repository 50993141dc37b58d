"""Pictures from Python: each function draws what the command of the same picture draws."""

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
    with pytest.raises(nmt.UserError, match="gold link 7-0"):
        nmt.plot_alignment(alignment, gold=[(7, 0)])


def test_heads_and_runs_are_pictures_of_the_model(model: nmt.Translator, tiny_model: Path) -> None:
    heads = nmt.plot_heads(model, "Der Hund schläft.", "The dog sleeps.")
    runs = nmt.plot_runs([nmt.Run(tiny_model)])
    assert all(isinstance(picture, Picture) for picture in (heads, runs))
    assert "training loss" in [axes.get_title("left") for axes in runs.axes]


def test_a_model_without_memory_has_no_picture_of_it(model: nmt.Translator) -> None:
    with pytest.raises(nmt.UserError, match="no external memory"):
        nmt.plot_memory(model, "Der Hund schläft.")


def test_text_of_the_package() -> None:
    corpus = nmt.embedded_corpus(train=5, valid=1, test=2)
    assert {split: len(pairs) for split, pairs in corpus.items()} == {"train": 5, "valid": 1, "test": 2}
    task = nmt.load_recipe("algorithmic/copy_ntm", {"data.task.num_valid": 3}).data.task
    assert [source == target for source, target in nmt.task_pairs(task, "test")] == [True] * 3
