"""The seam of training techniques, in real training runs: those of nmt, and some that are added from outside."""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from run_files import read_metrics
from torch import Tensor

import nmt
from nmt.core.errors import UserError
from nmt.data.batch import Batch
from nmt.data.vocabulary.files import Vocabularies
from nmt.models.contracts import DecoderOutput
from nmt.models.seq2seq import Seq2Seq
from nmt.recipe import schema as config
from nmt.recipe.schema import Recipe
from nmt.training.techniques import Technique


class WordCounts:
    """BatchExtras: how many words each side of a pair has."""

    name, width = "word_counts", 2

    def fingerprint(self) -> str:
        return "1"

    def of_pairs(self, text: Iterable[tuple[str, str]]) -> Iterator[Any]:
        for source, target in text:
            yield np.array([[len(source.split()), len(target.split())]])


class Everything(Technique):
    """Uses each hook: maximises entropy, penalises large features, masks words, and keeps books about all of it."""

    class Options(config.Options):
        entropy: float = 0.5
        size: float = 0.1

    num_passes = 2
    needs_weights = True

    def __init__(self, options: Options, recipe: Recipe) -> None:
        super().__init__(options, recipe)
        self.calls = {"changed": 0, "words": 0}

    def annotations(self, vocabularies: Vocabularies) -> WordCounts:
        return WordCounts()

    def save(self, directory: Path) -> None:
        (directory / "everything.txt").write_text("saved")

    def change_batch(self, batch: Batch, model: Seq2Seq, update: int) -> Batch:
        self.calls["changed"] += 1
        masked_BT = batch.target_input_BT.clone()
        masked_BT[:, 1::2] = 1  # UNK
        return replace(batch, target_input_BT=masked_BT)

    def logits_loss(self, log_p_NPV: Tensor) -> tuple[Tensor, Tensor]:
        p_NPV = log_p_NPV.exp()
        entropy_NP1 = -(p_NPV * log_p_NPV).sum(-1, keepdim=True)
        weight = self.options.entropy
        return -weight * entropy_NP1.sum(), weight * p_NPV * (log_p_NPV + entropy_NP1)

    def extra_losses(self, batch: Batch, output: DecoderOutput, total: Tensor) -> dict[str, Tensor]:
        assert len(batch.annotations["word_counts"]) == len(output.weights_BHTS)
        assert total.requires_grad
        self.calls["words"] += sum(int(rows.sum()) for rows in batch.annotations["word_counts"]) // 2
        return {"size": self.options.size * output.features_BTD.pow(2).mean() * batch.num_target_tokens}

    def state_dict(self) -> dict[str, Any]:
        return dict(self.calls)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.calls = dict(state)


class Halved(Technique):
    """A backward pass of its own: that of half of the loss."""

    def backward(self, model: Seq2Seq, batch: Batch, loss: Any, scale: Any) -> None:
        features_BTD = model(batch.source_BS, batch.source_length_B, batch.target_input_BT).features_BTD
        torch.autograd.backward(loss(features_BTD, batch.target_output_BT, batch.target_length_B) / 2)


@pytest.fixture
def outside() -> None:
    nmt.add_component("everything", Everything)
    nmt.add_component("halved", Halved)


@pytest.mark.usefixtures("outside")
def test_a_technique_from_outside_has_every_hook(train_tiny: Callable[..., Path]) -> None:
    on = ("training.techniques.everything.size=0.2", "training.log_every=1", "training.metric=loss")
    whole = train_tiny("training.max_steps=4", *on)
    assert (whole / "everything.txt").read_text() == "saved"
    assert all(line["size"] > 0 for line in read_metrics(whole, "train"))
    [checkpoint] = (whole / "checkpoints").glob("step-*")
    calls = json.loads((checkpoint / "state.json").read_text())["techniques"]["everything"]
    assert calls["changed"] == 4
    assert calls["words"] > 100
    assert "size: 0.2" in (whole / "recipe.yaml").read_text()
    for off in ("entropy", "size"):
        less = train_tiny("training.max_steps=4", *on, f"training.techniques.everything.{off}=0")
        losses = [read_metrics(run, "train")[-1]["loss"] for run in (less, whole)]
        assert losses[0] != losses[1], f"{off} counts"


@pytest.mark.usefixtures("outside")
def test_a_backward_pass_from_outside_takes_the_place_of_ours(train_tiny: Callable[..., Path]) -> None:
    settings = ("training.max_steps=1", "training.metric=loss", "training.log_every=1")
    plain, halved = (
        read_metrics(train_tiny(*settings, f"training.techniques={{{techniques}}}"), "train")[0]
        for techniques in ("", "halved: {}")
    )
    assert halved["loss"] == pytest.approx(plain["loss"], rel=1e-4)
    assert halved["gradient_norm"] == pytest.approx(plain["gradient_norm"] / 2, rel=1e-3)
    with pytest.raises(UserError, match="doesn't go with"):
        train_tiny(*settings, "training.techniques={halved: {}, everything: {}}")
