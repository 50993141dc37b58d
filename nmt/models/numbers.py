"""Small functions of numbers."""

import math


def inverse_softplus(value: float) -> float:
    """The x whose softplus, log(1 + e^x), is a positive value."""
    return value + math.log(-math.expm1(-value))
