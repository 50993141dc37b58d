"""The fixtures of small untrained models."""

from small_systems import make_system as make_system
from small_systems import words as words
