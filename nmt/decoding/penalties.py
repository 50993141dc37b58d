"""Length penalties: what a hypothesis' log-probability is divided by before hypotheses are compared."""

from nmt.config import DecodingOptions


def length_penalty(options: DecodingOptions, length: int) -> float:
    """The divisor for a hypothesis of ``length`` pieces, EOS counted.

    ``average``: length^α. ``gnmt``: ((5 + length) / 6)^α (Wu et al. 2016, equation 14). ``none``: 1.
    """
    if options.length_penalty == "average":
        return float(length**options.alpha)
    if options.length_penalty == "gnmt":
        return float(((5 + length) / 6) ** options.alpha)
    return 1.0
