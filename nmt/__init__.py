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

from nmt.errors import UserError as UserError

__version__ = "0.2.0"

if TYPE_CHECKING:
    from nmt.config import Recipe as Recipe
    from nmt.config import VocabularyOptions as VocabularyOptions
    from nmt.data.vocabulary import Vocabularies as Vocabularies
    from nmt.data.vocabulary import train_vocabularies as train_vocabularies
    from nmt.decoding.results import Translation as Translation
    from nmt.loading import load as load
    from nmt.models.build import build as build
    from nmt.plugins import add_component as add_component
    from nmt.plugins import load_plugin as load_plugin
    from nmt.recipe import load_recipe as load_recipe
    from nmt.training.run import train as train
    from nmt.translator import Translator as Translator

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

__all__ = ["UserError", "__version__", *_MODULES]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return getattr(import_module(_MODULES[name]), name)
    raise AttributeError(f"module 'nmt' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
