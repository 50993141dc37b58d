"""Corrections of users: written to the translation memory of a model, and read from it."""

from collections.abc import Sequence

from nmt.extensions.serving.limits import ApiError
from nmt.extensions.serving.service import Service
from nmt.translation.translator import Translator


def correct(service: Service, source: str, target: str, text: str, correction: str, name: str | None = None) -> None:
    """Adds a corrected translation to the memory of a model; it is on the disk when this returns.

    Args:
        service: has the models.
        source, target, name: choose the model, as in :meth:`Service.route`.
        text, correction: a text and its translation.

    Raises:
        ApiError: corrections are disabled, no single model has this direction, or a text is too long.
        UserError: a text is empty, or the memory can't be written.
    """
    if not service.takes_corrections:
        how = "Its operator can enable them by nmt serve --feedback or --api-keys"
        raise ApiError(403, f"Suggestions are disabled on this server. {how}")
    service.check_size([text, correction])
    route = service.route(source, target, name)
    if len(route) != 1 or route[0] not in service.memories:
        raise ApiError(400, "Invalid request: no single model has this direction")
    service.memories[route[0]].add([(text, correction)])


def recalls(service: Service, route: Sequence[Translator], text: str) -> bool:
    """Returns whether the memory of a model has a translation of a whole text."""
    memory = service.memories.get(route[0]) if len(route) == 1 else None
    return memory is not None and memory.exact(text) is not None
