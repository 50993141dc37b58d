"""A picture of gradient norms by distance."""

from collections.abc import Iterable

import numpy as np
from matplotlib.ticker import MaxNLocator

from nmt.extensions.lecture.gradients import GradientNorms
from nmt.plotting.curves import draw_legend
from nmt.plotting.style import Picture, curves_size, style, visible


def plot_gradients(norms: Iterable[GradientNorms]) -> Picture:
    """Draws how far back gradients reach in models: norms by distance, each as a share of its largest, on a logarithmic
    scale. ``norms`` are from :func:`nmt.gradient_norms`."""
    norms = [*norms]
    with style([of_model.name for of_model in norms]):
        figure = Picture(figsize=curves_size(7.5, 4.7), layout="constrained")
        axes = figure.subplots()
        for of_model in norms:
            norm_T = of_model.mean_T
            # Norms below the smallest number are zero, which has no place on the axis.
            axes.plot(np.where(norm_T > 0, norm_T / norm_T.max(), np.nan), label=visible(of_model.name))
        axes.set(xlabel="tokens that the encoder reads after a token", yscale="log")
        axes.set_ylabel("gradient norm at the token,\nshare of the largest")
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.yaxis.set_major_formatter("{x:g}")
        # Within a power of ten there are no other labels.
        axes.yaxis.set_minor_formatter("{x:g}" if axes.get_ylim()[0] > 0.1 else "")
        draw_legend(figure)
    return figure
