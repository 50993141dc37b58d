"""The equations of the classifier, in NumPy."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from nmt.data.batch import Batch
from nmt.models.seq2seq import Seq2Seq


@torch.no_grad()
@pytest.mark.parametrize("pooling", ["last", "mean", "max", "attention"])
@pytest.mark.parametrize("encoder", ["recurrent", "embedding"])
def test_the_equations_of_pooling(pooling: str, encoder: str, make_model: Callable[..., Seq2Seq], batch: Batch) -> None:
    """Sentence by sentence, without padding, in NumPy."""
    model = make_model(
        {"type": encoder}, {"type": "classifier", "pooling": pooling, "attention": {"type": "additive", "size": 5}}
    )
    unrolled = model(batch.source_BS, batch.source_length_B, batch.target_input_BT, need_weights=True)
    found_BTV = model.decoder.output(unrolled.features_BTD).softmax(-1)
    encoded = model.encode(batch.source_BS, batch.source_length_B)
    w = {name: value.numpy() for name, value in model.decoder.named_parameters()}
    for row, length in enumerate(batch.source_length_B.tolist()):
        h_SD = encoded.memories[0].values_BSD[row, :length].numpy()
        if pooling == "last":
            c_D = encoded.final[0][row, -1].numpy() if encoder == "recurrent" else h_SD[-1]
        elif pooling == "attention":
            constant_A = w["attention.query.weight"] @ w["query_D"] + w["attention.query.bias"]
            e_S = np.tanh(h_SD @ w["attention.key.weight"].T + constant_A) @ w["attention.score.weight"][0]
            a_S = np.exp(e_S) / np.exp(e_S).sum()
            c_D = a_S @ h_SD
            np.testing.assert_allclose(unrolled.weights_BHTS[row, 0, 0, :length], a_S, atol=1e-6)
        else:
            c_D = h_SD.mean(axis=0) if pooling == "mean" else h_SD.max(axis=0)
        r_D = w["readout.weight"] @ c_D + w["readout.bias"] if "readout.weight" in w else c_D
        logits_V = w["output.weight_VD"] @ r_D + w["output.bias_V"]
        np.testing.assert_allclose(found_BTV[row, 0], np.exp(logits_V) / np.exp(logits_V).sum(), atol=1e-5)
