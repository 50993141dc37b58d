"""Groups of options: their base class, marks on their fields, and messages for values that are wrong.

The recipe (:mod:`nmt.recipe.schema`) and the options of every component are such groups.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Any, ClassVar, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, ValidationError, field_validator, model_validator
from pydantic_core import PydanticCustomError

from nmt.core.errors import NUMBERS, Problems, UserError, is_possible_number, nearest, shortened

MAX_INTEGER = 2**31 - 1
MAX_TEXT = 1000
MAX_PATH, MAX_NAME = 4096, 255


class Options(BaseModel):
    """Base of every group of options: immutable, and a key that isn't known is an error.

    Numbers, names and paths that nothing could work with are errors, too: seeds and counts beyond 32 bits, numbers that
    float32 can't hold, and names that no file can have.
    """

    # Validators are built at first use: the command line imports this module for the descriptions alone.
    model_config = ConfigDict(
        extra="forbid", frozen=True, protected_namespaces=(), allow_inf_nan=False, defer_build=True
    )
    gone: ClassVar[tuple[str, ...]] = ()
    """Options that the group had before, which recipes of trained models have as 0; 0 is read, another value isn't."""

    @model_validator(mode="before")
    @classmethod
    def _without_gone(cls, values: Any) -> Any:
        if not cls.gone or not isinstance(values, Mapping):
            return values
        return {key: value for key, value in values.items() if key not in cls.gone or value}

    @field_validator("*")
    @classmethod
    def _is_possible(cls, value: Any) -> Any:
        if isinstance(value, int) and abs(value) > MAX_INTEGER:
            raise PydanticCustomError("impossible", f"Integers can be at most {MAX_INTEGER:,}")
        numbers = value if isinstance(value, tuple | list) else [value]
        if any(isinstance(number, float) and not is_possible_number(number) for number in numbers):
            raise PydanticCustomError("impossible", f"Numbers must be {NUMBERS}")
        if isinstance(value, str) and len(value) > MAX_TEXT:
            raise PydanticCustomError("impossible", f"Text can have at most {MAX_TEXT:,} characters")
        if isinstance(value, Path) and (
            len(str(value)) > MAX_PATH or any(len(part) > MAX_NAME for part in value.parts)
        ):
            raise PydanticCustomError("impossible", f"Paths can have at most {MAX_PATH:,} characters, names {MAX_NAME}")
        return value


class OnResume(Enum):
    """Metadata of a field: what a resumed run does with another value than the run was started with.

    A rule holds for everything inside a field, unless a field there has its own.
    """

    FIXED = auto()
    """The run is refused: the saved weights, vocabulary or best figure belong to the value."""
    FREE = auto()
    """The value is changed, and the change is reported. The default."""
    SILENT = auto()
    """The value is changed."""


FIXED, FREE, SILENT = OnResume


@dataclass(frozen=True)
class ChoiceOf:
    """Metadata of a field that chooses a component: the kind of the :class:`nmt.recipe.registry.Table` that has it.

    The value is a name, or a mapping with the name as ``type`` and the options of the component. With ``many``, it is a
    mapping from names to options.
    """

    kind: str
    many: bool = False


def as_mapping(choice: Any) -> Any:
    """``gru`` as ``{type: gru}``; anything else as it is."""
    return {"type": choice} if isinstance(choice, str) else choice


OptionsT = TypeVar("OptionsT", bound=Options)


def validate(options: type[OptionsT], values: Mapping[str, Any], where: str, in_recipe: bool = False) -> OptionsT:
    """Check ``values`` against a group of options.

    Args:
        where: how a message names the place: a file, or ``FILE: model.encoder``.
        in_recipe: ``where`` is the key of the group in a recipe.

    Raises:
        UserError: an unknown key (with the nearest known one), a wrong type, a value out of range.
    """
    try:
        return options.model_validate(values)
    except ValidationError as error:
        place = f"{where}." if in_recipe else ""
        problems = defaultdict[str, list[str]](list)  # by remedy, such as the one for all unknown keys of a group
        for problem in error.errors():
            text, remedy = _describe(options, dict(problem), place)
            problems[remedy].append(text)
        errors = (UserError(f"{where}: {'; '.join(texts)}", remedy) for remedy, texts in problems.items())
        raise Problems(errors).together(where) from None


def _describe(options: type[Options], problem: dict[str, Any], place: str) -> tuple[str, str]:
    """Describes the problem with one key and its remedy, from one entry of pydantic's error list."""
    location = [part for part in problem["loc"] if isinstance(part, str)]
    group = _group_at(options, location[:-1])
    key = ".".join(shortened(str(part)) for part in problem["loc"] if part not in ("str", "FilePair"))
    if problem["type"] == "extra_forbidden":
        known, name = list(group.model_fields), location[-1].replace("update", "step")
        groups = ((part, each) for part, field in options.model_fields.items() for each in groups_in(field.annotation))
        places = " or ".join(repr(f"{part}.{name}") for part, each in groups if name in each.model_fields)
        elsewhere = f"Did you mean {places}?" if places else ""
        remedy = nearest(name, known, elsewhere) if known else "Leave it out: it has no keys."
        if place and not remedy.endswith("?"):  # it may be a key of another component, which this one took the place of
            remedy += f" The whole group is replaced, with any type, by --set '{place[:-1]}={{…}}'."
        return f"unknown key {key!r}", remedy
    if problem["type"] == "missing":
        return f"the key {key!r} is missing", f"Add it to the recipe, or give --set {place}{key}=VALUE."
    if problem["type"] == "value_error":
        return problem["msg"].removeprefix("Value error, "), "Change one of these options."
    field = group.model_fields.get(location[-1]) if location else None
    about = f" ({field.description})" if field is not None and field.description else ""
    message = "this must be a group of keys" if problem["type"] in ("model_type", "dict_type") else problem["msg"]
    return (
        f"{key!r} is {shortened(repr(problem['input']))}: {message[0].lower()}{message[1:]}{about}",
        f"Correct {key!r}.",
    )


def _group_at(options: type[Options], path: Sequence[str]) -> type[Options]:
    """The class of the group of options at a path of keys."""
    for key in path:
        field = options.model_fields.get(key)
        inner = groups_in(field.annotation) if field else []
        if not inner:
            break
        options = inner[0]
    return options


def groups_in(annotation: Any) -> list[type[Options]]:
    """The groups of options among the types of a field."""
    kinds = (annotation, *get_args(annotation))
    return [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Options)]
