"""The techniques that ``nmt train TEXTS`` chooses."""

from pathlib import Path

import pytest

from nmt.autotrain.choice import learn_vocabulary
from nmt.extensions.techniques import chosen
from nmt.recipe.load import load_recipe


@pytest.mark.parametrize(("kind", "is_sampled"), [("character", False), ("word", True)])
def test_a_sample_is_drawn_from_many_pieces(
    kind: str, is_sampled: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chosen, "MIN_VOCABULARY", 50)
    learn_vocabulary([(" ".join(map(str, range(100))), "0")], {"type": kind, "size": 300})[0].save(tmp_path)
    changes = {"device": "cpu", "vocabulary.size": 300, "vocabulary.path": str(tmp_path), "training.techniques": {}}
    recipe, reasons = chosen.with_techniques(load_recipe("multi30k/luong", changes), 100)
    assert ("sampled_softmax" in recipe.training.techniques) == is_sampled == ("sample" in reasons[-1])


def test_a_technique_that_is_turned_off_turns_no_other_off() -> None:
    changes = {"device": "cpu", "training.techniques": {"sampled_softmax": None, "subword_sampling": None}}
    recipe, reasons = chosen.with_techniques(load_recipe("multi30k/luong", changes), 100)  # of an unknown vocabulary
    assert recipe.training.techniques["guided_alignment"]
    assert recipe.training.techniques["sampled_softmax"] is None
    assert len(reasons) == 1
