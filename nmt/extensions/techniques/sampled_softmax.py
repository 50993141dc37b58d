"""Sampled softmax (Jean et al. 2015, "On Using Very Large Target Vocabulary for Neural Machine Translation").

An update computes the logits of the words that are targets in its batch, and of others that are drawn from the rest of
the vocabulary, all with the same probability. Each of these stands for (V - number of targets) / (number drawn) words,
whose logarithm is added to its logit. The sum of exp(logit) over the vocabulary is thereby estimated without bias.
Label smoothing gives a class as many parts as it stands for words.
"""

import math

import torch
from pydantic import Field
from torch import Tensor

from nmt.recipe import options as groups
from nmt.training.techniques import Technique

MULTIPLE = 256
"""The number of classes is a multiple of it, as oneDNN makes new kernels for each new number."""


class SampledSoftmax(Technique):
    """The output layer of an update computes the targets of its batch and a sample of the other words."""

    incompatible_with = ("task.classification",)

    class Options(groups.Options):
        size: int = Field(1000, ge=1, description="words that are sampled beside the targets of a batch, or a few more")

    options: Options

    def sample_classes(self, target_N: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
        is_target_V = torch.zeros(num_classes, dtype=torch.bool, device=target_N.device)
        is_target_V[target_N] = True
        other_C = (~is_target_V).nonzero().squeeze(1)
        num_targets = num_classes - len(other_C)
        size = -(-(num_targets + self.options.size) // MULTIPLE) * MULTIPLE - num_targets
        sampled_C = other_C[torch.randperm(len(other_C), device=target_N.device)[:size]]
        added_V = torch.zeros(num_classes, device=target_N.device)
        added_V[sampled_C] = math.log(len(other_C) / max(len(sampled_C), 1) or 1)
        is_target_V[sampled_C] = True
        class_C = is_target_V.nonzero().squeeze(1)
        return class_C, added_V[class_C]
