"""The table of training techniques."""

from nmt.recipe.registry import Table
from nmt.training.techniques.base import Technique
from nmt.training.techniques.gradient_flow import GradientFlow
from nmt.training.techniques.reverse_pairs import ReversePairs
from nmt.training.techniques.scheduled_sampling import ScheduledSampling
from nmt.training.techniques.subword_sampling import SubwordSampling
from nmt.training.techniques.truncation import Truncation

TECHNIQUES: Table[Technique] = Table(
    "training technique",
    Technique,
    {
        "subword_sampling": SubwordSampling,
        "reverse_pairs": ReversePairs,
        "scheduled_sampling": ScheduledSampling,
        "gradient_flow": GradientFlow,
        "truncation": Truncation,
    },
)
"""In the order in which their hooks are called. The technique of :mod:`nmt.alignment.guided_alignment`, a folder that
builds on this one, is declared by an entry point like that of an outside package."""

KEY = "training.techniques"
