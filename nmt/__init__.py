"""nmt: neural machine translation, from the vanilla RNN to the Transformer.

The public names are loaded when they are first used, so that ``import nmt`` stays light.

- Train, load, translate: :func:`train` makes a model directory from a recipe, :func:`load` reads it as a
  :class:`Translator`, whose methods give a :class:`Translation` for each line.
- Recipes: :class:`Recipe` and :func:`load_recipe`.
- Models in a loop of your own: :func:`build` makes an encoder and a decoder from the ``model`` part of a recipe;
  ``examples/plain_loop.py`` trains one.
- Components of your own: :func:`add_component` and :func:`load_plugin`.
- :class:`UserError` is raised for everything that the caller can correct; it has a message and a remedy.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from nmt.errors import UserError

__version__ = "0.2.0"

if TYPE_CHECKING:
    from nmt.config import Recipe, VocabularyOptions
    from nmt.data.vocabulary import Vocabularies, train_vocabularies
    from nmt.decoding.results import Translation
    from nmt.loading import load
    from nmt.models.build import build
    from nmt.plugins import add_component, load_plugin
    from nmt.recipe import load_recipe
    from nmt.training.run import train
    from nmt.translator import Translator

_MODULES = {
    "Recipe": "nmt.config",
    "Translation": "nmt.decoding.results",
    "Translator": "nmt.translator",
    "Vocabularies": "nmt.data.vocabulary",
    "VocabularyOptions": "nmt.config",
    "add_component": "nmt.plugins",
    "build": "nmt.models.build",
    "load": "nmt.loading",
    "load_plugin": "nmt.plugins",
    "load_recipe": "nmt.recipe",
    "train": "nmt.training.run",
    "train_vocabularies": "nmt.data.vocabulary",
}
"""Where each public name is defined."""

__all__ = [
    "Recipe",
    "Translation",
    "Translator",
    "UserError",
    "Vocabularies",
    "VocabularyOptions",
    "__version__",
    "add_component",
    "build",
    "load",
    "load_plugin",
    "load_recipe",
    "train",
    "train_vocabularies",
]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module 'nmt' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
