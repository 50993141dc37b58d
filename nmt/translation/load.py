"""From model directories to a translator, of one model or an ensemble."""

from collections.abc import Sequence
from pathlib import Path

from nmt.core.device import manage_memory, pick_device, pick_precision
from nmt.core.errors import UserError
from nmt.models.build import read_model
from nmt.recipe.registry import Table
from nmt.translation.ensemble import Ensemble
from nmt.translation.translator import Translator


def load(
    model_dir: str | Path,
    device: str = "auto",
    precision: str = "fp32",
    ensemble: Sequence[str | Path] = (),
) -> Translator:
    """Read a model directory.

    Args:
        model_dir: a folder that ``nmt train`` wrote.
        device: auto, cpu, cuda, …
        precision: fp32, bf16, fp16, or auto for the fastest one of the hardware.
        ensemble: model directories with the same vocabularies, whose probabilities are averaged in.

    Raises:
        UserError: it isn't a model directory, is incomplete, damaged, or from a newer nmt; an unknown option; an
            ensemble whose vocabularies differ.
    """
    where = pick_device(device)
    manage_memory()
    computed_in = pick_precision(precision, where)
    recipe, vocabularies, model = read_model(model_dir, where)
    models = [model]
    for other in ensemble:
        _, own, another = read_model(other, where)
        if own.fingerprint != vocabularies.fingerprint:
            raise UserError(
                f"{other} has another vocabulary than {model_dir}.",
                f"Train it with --set vocabulary.path={model_dir}, so that the two can translate together.",
            )
        models.append(another)
    translator = Translator(model, vocabularies, recipe, computed_in, Path(model_dir))
    return translator.replaced(searcher=translator.search_with(Ensemble(models))) if ensemble else translator


class Engine:
    """A library for the search of a model."""

    def load(
        self, model_dir: str | Path, device: str = "auto", precision: str = "fp32", ensemble: Sequence[str | Path] = ()
    ) -> Translator:
        """Reads a model directory; see :func:`load`.

        Raises:
            UserError: also if the library is not installed, or doesn't support the model or an option.
        """
        if precision == "int8":
            raise UserError("PyTorch doesn't translate in int8.", "Give --engine ctranslate2, too.")
        return load(model_dir, device, precision, ensemble)


ENGINES: Table[Engine] = Table("engine", Engine, {"torch": Engine})
"""Libraries for the search. An extension derives a class and attaches it as a component of the kind ``engine``."""
