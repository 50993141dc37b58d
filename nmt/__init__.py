"""nmt: neural machine translation, from the vanilla RNN to the Transformer.

The public names are loaded when they are first used, so that ``import nmt`` stays light. Extensions add names by entry
points of the group ``nmt.names``, such as ``TranslationMemory``, ``gradient_norms``
and ``task_pairs``.

- Train, load, translate: :func:`train` trains the model of a recipe and returns a :class:`Run`, :func:`load` reads a
  model directory as a :class:`Translator`, which translates and aligns, and :func:`score` scores translations.
- Pictures: the functions ``plot_…``, and :func:`theme` for slides.
- Text of the package: :func:`embedded_corpus`.
- Recipes: :class:`Recipe` and :func:`load_recipe`.
- Models in a loop of your own: :func:`build` makes an encoder and a decoder from the ``model`` part of a recipe;
  ``examples/plain_loop.py`` trains one.
- Components of your own: the decorator :func:`register`, :func:`add_component` and :func:`load_plugin`.
- :class:`UserError` is raised for everything that the caller can correct; it has a message and a remedy.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from nmt.core.errors import UserError as UserError
from nmt.core.version import __version__ as __version__

if TYPE_CHECKING:
    from nmt.alignment.aer import score_links as score_links
    from nmt.api.pictures import plot_alignment as plot_alignment
    from nmt.api.pictures import plot_runs as plot_runs
    from nmt.api.run import Run as Run
    from nmt.api.run import train as train
    from nmt.data.vocabulary.files import Vocabularies as Vocabularies
    from nmt.data.vocabulary.files import train_vocabularies as train_vocabularies
    from nmt.evaluation.scores import score as score
    from nmt.models.build import build as build
    from nmt.plotting.style import theme as theme
    from nmt.quickstart.embedded_corpus import splits
    from nmt.recipe.load import load_recipe as load_recipe
    from nmt.recipe.registry import add_component as add_component
    from nmt.recipe.registry import kinds as kinds
    from nmt.recipe.registry import load_plugin as load_plugin
    from nmt.recipe.registry import register as register
    from nmt.recipe.schema import Recipe as Recipe
    from nmt.recipe.schema import VocabularyOptions as VocabularyOptions
    from nmt.training.resolve import resolve as resolve
    from nmt.translation.load import load as load
    from nmt.translation.results import Translation as Translation
    from nmt.translation.translator import Translator as Translator

    embedded_corpus = splits

_MODULES = {
    "Recipe": "nmt.recipe.schema",
    "Run": "nmt.api.run",
    "Translation": "nmt.translation.results",
    "Translator": "nmt.translation.translator",
    "Vocabularies": "nmt.data.vocabulary.files",
    "VocabularyOptions": "nmt.recipe.schema",
    "add_component": "nmt.recipe.registry",
    "build": "nmt.models.build",
    "embedded_corpus": "nmt.quickstart.embedded_corpus:splits",
    "kinds": "nmt.recipe.registry",
    "load": "nmt.translation.load",
    "load_plugin": "nmt.recipe.registry",
    "load_recipe": "nmt.recipe.load",
    "plot_alignment": "nmt.api.pictures",
    "plot_runs": "nmt.api.pictures",
    "register": "nmt.recipe.registry",
    "resolve": "nmt.training.resolve",
    "score": "nmt.evaluation.scores",
    "score_links": "nmt.alignment.aer",
    "theme": "nmt.plotting.style",
    "train": "nmt.api.run",
    "train_vocabularies": "nmt.data.vocabulary.files",
}
"""The module of each public name, and the name there if it is another."""

__all__ = ["UserError", "__version__", *_MODULES]


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        module, _, attribute = _MODULES[name].partition(":")
        return getattr(import_module(module), attribute or name)
    from nmt.recipe.registry import entry_points_in

    for entry in entry_points_in("nmt.names"):
        if entry.name == name:
            return entry.load()
    raise AttributeError(f"module 'nmt' has no attribute {name!r}")


def __dir__() -> list[str]:
    from nmt.recipe.registry import entry_points_in

    return sorted({*__all__, *(entry.name for entry in entry_points_in("nmt.names"))})
