"""nmt: neural machine translation, from the vanilla RNN to the Transformer.

The public interface is three names, loaded when first used so that ``import nmt`` stays light:

- ``nmt.load(model_dir)`` gives a :class:`nmt.translator.Translator`,
- ``nmt.train(recipe)`` trains a model directory,
- ``nmt.UserError`` is raised for anything that the caller can mend.
"""

from typing import TYPE_CHECKING, Any

from nmt.errors import UserError

__version__ = "0.1.0"
__all__ = ["UserError", "__version__", "load", "train"]

if TYPE_CHECKING:
    from nmt.loading import load
    from nmt.training.run import train


def __getattr__(name: str) -> Any:
    if name == "load":
        from nmt.loading import load

        return load
    if name == "train":
        from nmt.training.run import train

        return train
    raise AttributeError(f"module 'nmt' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
