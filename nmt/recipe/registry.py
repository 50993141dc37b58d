"""Tables of components, and components that other packages add to them.

Each kind of component, such as a cell or a metric, has one :class:`Table`, whose rows map the name in a recipe to a
class. The class has an attribute ``Options``, a subclass of :class:`nmt.recipe.options.Options` with the keys that can
be set. Packages outside nmt add rows by entry points of the group ``nmt.components`` or ``nmt.components.KIND``, with
``_`` in place of spaces, by :func:`load_plugin`, or by :func:`register`; docs/tutorials/new-component.md shows each.

Code is only ever run because it is installed or because the user names it: a recipe or a model directory records which
plugins it needs (:func:`required_plugins`), but never causes one to be imported.
"""

import importlib
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.metadata import EntryPoint, entry_points
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar

from pydantic.fields import FieldInfo

from nmt.core.console import quoted, warn
from nmt.core.errors import UserError, nearest, shortened
from nmt.recipe.options import ChoiceOf, Options, as_mapping, validate

GROUP = "nmt.components"
"""The group of entry points that declare components; those of one kind have the group ``nmt.components.KIND``."""

KINDS = (
    "attention", "cell", "decoder", "encoder", "engine", "examination", "input format", "length penalty",
    "logits processor", "metric", "observer", "optimizer", "schedule", "task", "text source", "training technique",
    "translate options", "vocabulary",
)  # fmt: skip
"""The kinds of the toolkit's tables, which are imported where they are used. Extensions declare theirs by entry points
of the group ``nmt.kinds``, whose names are kinds."""

T = TypeVar("T")


@dataclass(frozen=True)
class Row:
    """A component that a plugin has added."""

    kind: str | None
    """The kind of its table; None if its base class tells."""
    name: str
    component: type
    module: str
    """The module to name with ``--plugin``."""
    distribution: str = ""
    """The package to install; empty for a module that isn't installed."""


_added: dict[tuple[str | None, str, str, str], Row] = {}
"""Components that were added in this process, by a program or by :func:`load_plugin`; the last of each class holds."""

named: list[str] = []
"""Modules that :func:`load_plugin` has imported, which other processes of the same work import, too."""

ComponentT = TypeVar("ComponentT", bound=type)


def register(kind: str, name: str) -> Callable[[ComponentT], ComponentT]:
    """Returns a decorator that adds a class as a component.

    Components are registered by kind and name: a cell and a schedule may have the same name.

    Args:
        kind: such as ``cell``, ``attention``, ``task``, ``metric`` or ``schedule``; ``nmt.kinds()`` lists all.
        name: the name in a recipe or an option.

    Example::

        @nmt.register("cell", "mgu")
        class MguCell(Cell): ...
    """

    def decorate(component: ComponentT) -> ComponentT:
        add_component(name, component, kind=kind)
        return component

    return decorate


def add_component(name: str, component: type, kind: str | None = None) -> None:
    """Adds a component under a name, as an interactive session does with a class of its own.

    Args:
        name: the name in a recipe or an option. A class of the same module that has the name already is replaced.
        component: a subclass of the base class of its kind, with an attribute ``Options`` if it has options.
        kind: the kind of component; by default its base class tells.

    Raises:
        UserError: there is no such kind.
    """
    if kind is not None and kind not in kinds():
        raise UserError(f"There is no kind of component {kind!r}.", nearest(kind, kinds()))
    _add(Row(kind, name, component, component.__module__))


def _add(row: Row) -> None:
    _added[row.kind, row.name, row.module, getattr(row.component, "__qualname__", "")] = row


def load_plugin(module: str) -> None:
    """Import a module and add the components in its mapping ``COMPONENTS``; the current folder is searched too.

    Raises:
        UserError: the module can't be imported or has no such mapping.
    """
    before = list(sys.path)
    sys.path.append(str(Path.cwd()))  # last, so that a file here never hides an installed module
    try:
        imported = importlib.import_module(module)
    except Exception as error:  # whatever the module does when it is imported
        raise UserError(
            f"The plugin {module!r} can't be imported: {type(error).__name__}: {error}.",
            "Name a module as in `import MODULE`, one that is installed or lies in the current folder.",
        ) from None
    finally:
        sys.path[:] = before  # the current folder may have been in it, at another place
    components = getattr(imported, "COMPONENTS", None)
    if not isinstance(components, Mapping):
        raise UserError(
            f"The plugin {module!r} has no mapping COMPONENTS.", 'Write COMPONENTS = {"NAME": CLASS} in the module.'
        )
    for name, component in components.items():
        _add(Row(None, name, component, module))
    named.append(module)


@cache
def entry_points_in(group: str, with_deleted: bool = False) -> tuple[EntryPoint, ...]:
    """Returns the entry points that packages, nmt among them, declare in a group; deleted extensions have none."""
    declared = _all_entry_points().select(group=group)
    return tuple(entry for entry in declared if with_deleted or not is_deleted(entry))


@cache
def _all_entry_points() -> Any:
    return entry_points()  # of all packages, which takes milliseconds


def is_deleted(entry: EntryPoint) -> bool:
    """Returns whether an entry point of nmt refers to an extension that was deleted, or that requires one that was."""
    package = ".".join(entry.module.split(".")[:3])
    return package.startswith("nmt.extensions.") and not _is_there(package)


@cache
def _is_there(extension: str) -> bool:
    if find_spec(extension) is None:
        return False
    required = getattr(importlib.import_module(extension), "REQUIRES", ())
    return all(_is_there(f"nmt.extensions.{name}") for name in required)


def provided(name: str, purpose: str) -> Any:
    """Returns what an extension or another package provides under a name, by an entry point of ``nmt.provides``.

    Args:
        purpose: the option or the command that needs it, for the message.

    Raises:
        UserError: no installed package provides it.
    """
    for entry in entry_points_in("nmt.provides"):
        if entry.name == name:
            return _loaded(entry)
    raise UserError(
        f"{purpose} needs an extension of nmt that provides {name!r}, which is not installed.",
        "Install nmt again to have all extensions, or leave it out.",
    )


def hooks(name: str) -> list[Any]:
    """Returns the functions that packages have attached to an event, by entry points of ``nmt.hooks.NAME``."""
    return [_loaded(entry) for entry in entry_points_in(f"nmt.hooks.{name}")]


def _loaded(entry: EntryPoint) -> Any:
    """Imports what an entry point names; raises UserError if it can't be imported."""
    try:
        return entry.load()
    except Exception as error:  # whatever the package does when it is imported
        problem = f"{entry.value}, which is attached to {entry.group}, can't be imported: {error!r}."
        raise UserError(problem, "Update or uninstall the package that it belongs to.") from error


@cache
def _installed(kind: str | None) -> tuple[Row, ...]:
    """Imports the components of a kind, or those whose base class tells it (None); a broken one gives a warning."""
    rows = []
    for entry in entry_points_in(f"{GROUP}.{kind.replace(' ', '_')}" if kind else GROUP):
        distribution = entry.dist.name if entry.dist is not None else ""
        try:
            rows.append(Row(kind, entry.name, entry.load(), entry.module, distribution))
        except Exception as error:  # whatever the package does when it is imported
            warn(f"the component {entry.name!r} of {distribution or entry.value} can't be imported: {error}.")
    return tuple(rows)


TABLES: "dict[str, Table[Any]]" = {}
"""The tables by their kind; a table is there when the module that defines it has been imported."""


class Choice(NamedTuple, Generic[T]):
    """A component that a recipe chooses."""

    component: type[T]
    options: Any
    """Checked, an instance of the component's ``Options``."""


class WrittenOut(dict[str, Any], Generic[T]):
    """A choice of a recipe, ``{type: NAME}`` with every option, which was checked when this object was made.

    In a recipe it is a mapping like any other; the tables take ``choice`` from it and need not check it again.
    """

    def __init__(self, values: Mapping[str, Any], choice: Choice[T]) -> None:
        super().__init__(values)
        self.choice = choice


def object_at(place: str) -> Any:
    """Returns the object of a place ``module:name``, whose module is imported."""
    module, _, name = place.partition(":")
    return getattr(importlib.import_module(module), name)


class Table(Mapping[str, type[T]], Generic[T]):
    """The components of one kind, by the name that a recipe uses: those of nmt and those of plugins.

    In all methods, ``where`` is how a message names the place, such as ``model.encoder``.

    Args:
        kind: what messages call one of them, such as ``cell``.
        base: the class that all of them derive from.
        rows: those of nmt.
    """

    def __init__(self, kind: str, base: Any, rows: Mapping[str, type[T] | str]) -> None:
        self.kind, self.base, self._given = kind, base, rows
        TABLES[kind] = self

    @cached_property
    def builtin(self) -> dict[str, type[T]]:
        """The rows of nmt."""
        return {name: object_at(row) if isinstance(row, str) else row for name, row in self._given.items()}

    def _rows(self) -> dict[str, type[T]]:
        rows, owners = dict(self.builtin), dict.fromkeys(self.builtin, "nmt")
        for row in (*_installed(None), *_installed(self.kind), *_added.values()):
            is_one = isinstance(row.component, type) and issubclass(row.component, self.base)
            if row.kind == self.kind and not is_one:
                raise UserError(
                    f"The {self.kind} {row.name!r} of the plugin {row.module} is not derived from "
                    f"{self.base.__module__}.{self.base.__qualname__}.",
                    "Derive it from that class, or register it under another kind.",
                )
            if row.kind not in (self.kind, None) or not is_one:
                continue
            if row.name in rows and rows[row.name] is not row.component:
                raise UserError(
                    f"{owners[row.name]} and the plugin {row.module} have a {self.kind} {row.name!r} each.",
                    "Rename the component in the plugin, or uninstall one.",
                )
            rows[row.name], owners[row.name] = row.component, f"The plugin {row.module}"
        return rows

    def __getitem__(self, name: str) -> type[T]:
        return self._rows()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._rows())

    def __len__(self) -> int:
        return len(self._rows())

    def find(self, name: str, where: str) -> type[T]:
        """The class of a name.

        Raises:
            UserError: there is no such row, with the nearest one.
        """
        rows = self._rows()
        if name not in rows:
            known = nearest(name, list(rows)) if rows else "Install nmt again to have all extensions."
            plugin = next((row.module for row in (*_installed(None), *_added.values()) if row.name == name), None)
            other = f"That of {plugin} is not derived from {self.base.__module__}.{self.base.__qualname__}."
            kind = next((kind for kind, table in TABLES.items() if name in table._given), None)  # encoder.type: lstm
            chosen_by = f"{name!r} is of the kind {kind}, which has a key of its own." if kind else ""
            remedy = other if plugin else chosen_by or "If it belongs to a plugin, give --plugin MODULE."
            raise UserError(f"{where}: there is no {self.kind} {shortened(name)!r}.", f"{known} {remedy}")
        return rows[name]

    def choose(self, choice: str | Mapping[str, Any], where: str) -> Choice[T]:
        """Returns the class that a recipe chooses, and its checked options; arguments as in :meth:`written_out`."""
        return self.written_out(choice, where).choice

    def choose_many(self, choices: Mapping[str, Mapping[str, Any] | None], where: str) -> dict[str, Choice[T]]:
        """Returns the classes that a recipe names, and their checked options; see :meth:`written_out_many`."""
        return {name: written.choice for name, written in self.written_out_many(choices, where).items()}

    def written_out(self, choice: str | Mapping[str, Any], where: str) -> WrittenOut[T]:
        """Returns what a recipe chooses with every option, those of the components that it chooses in turn too.

        Args:
            choice: a name, or a mapping with the name as ``type`` and the options. One that this method has returned
                is valid and is returned as it is.

        Raises:
            UserError: no ``type``, an unknown one, or an option that is wrong.
        """
        if isinstance(choice, WrittenOut):
            return choice
        values = dict(as_mapping(choice))
        if (name := values.pop("type", None)) is None:
            raise UserError(f"{where} has no type.", f"Known: {', '.join(self)}.")
        return self._written_out(self.find(str(name), f"{where}.type"), values, where, type=name)

    def written_out_many(self, choices: Mapping[str, Mapping[str, Any] | None], where: str) -> dict[str, WrittenOut[T]]:
        """Returns the options of components that a recipe names, without those whose options are null.

        Raises:
            UserError: an unknown name, or an option that is wrong.
        """
        chosen = {name: (self.find(name, where), values) for name, values in choices.items() if values is not None}
        return {name: self._written_out(*choice, f"{where}.{name}") for name, choice in chosen.items()}

    def _written_out(self, component: type[T], values: Mapping[str, Any], where: str, **name: str) -> WrittenOut[T]:
        if isinstance(values, WrittenOut):
            return values
        options = validate(getattr(component, "Options", Options), values, where, in_recipe=not where.startswith("--"))
        inner = {
            key: TABLES[choice_of.kind].written_out(getattr(options, key), f"{where}.{key}")
            for key, field in type(options).model_fields.items()
            for choice_of in choices_of(field)
        }
        written = {**name, **options.model_dump(mode="json"), **inner}
        return WrittenOut(written, Choice(component, options.model_copy(update=inner)))


def choices_of(field: FieldInfo) -> list[ChoiceOf]:
    """Returns the marks that say which kind of component a field chooses, if it does."""
    return [mark for mark in field.metadata if isinstance(mark, ChoiceOf)]


def required_plugins(values: Any) -> dict[str, str]:
    """The plugins whose components a recipe names: module to distribution."""
    names, rows = set(_texts(values)), dict[type, Row]()
    for row in (*chain.from_iterable(map(_installed, (None, *TABLES))), *_added.values()):
        if row.name in names and row.distribution != "nmt":
            rows.setdefault(row.component, row)  # it can be both installed and in a module that the user names
    return {row.module: row.distribution for row in rows.values()}


def kinds() -> list[str]:
    """Returns the kinds of components, sorted."""
    return sorted({*KINDS, *TABLES, *(entry.name for entry in entry_points_in("nmt.kinds"))})


def _texts(value: Any) -> Iterator[str]:
    """The keys and values that are text."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from _texts([*value, *value.values()])
    elif isinstance(value, Sequence):
        for part in value:
            yield from _texts(part)


def check_plugins(required: Mapping[str, str], where: str) -> None:
    """Refuse a recipe whose plugins are not there; none is imported because a file names it.

    Args:
        required: module to distribution, as :func:`required_plugins` gave them.
        where: the file that says so.

    Raises:
        UserError: a plugin is missing; the message says how to install or name it.
    """
    for module, distribution in required.items():
        rows = chain(_added.values(), chain.from_iterable(map(_installed, (None, *kinds()))))
        if all(row.module != module for row in rows):
            package = f" of the package {distribution}" if distribution else ""
            name = quoted(distribution or module)
            remedy = f"Install the package: pip install {name}" if distribution else f"Give --plugin {name}"
            raise UserError(
                f"{where} needs the plugin {module}{package}, which is not loaded.",
                f"{remedy}. A plugin runs code: take it only from a source that you trust.",
            )
