"""The fixtures of models with a vocabulary of made-up words."""

from made_up_models import batch as batch
from made_up_models import joint_vocabularies as joint_vocabularies
from made_up_models import make_model as make_model
from made_up_models import sentence_pairs as sentence_pairs
from made_up_models import separate_vocabularies as separate_vocabularies
