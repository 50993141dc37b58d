"""The fixtures of models with a vocabulary of made-up words."""

from made_up_models import joint_vocabularies as joint_vocabularies
from made_up_models import make_model as make_model
from made_up_models import torch_attention as torch_attention
