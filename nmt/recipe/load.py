"""Recipe files: found by name, read, and changed by overrides."""

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from os.path import isdir, isfile
from pathlib import Path
from typing import Any

import yaml

from nmt.core.errors import UserError, nearest, shortened
from nmt.core.text import read_bytes
from nmt.recipe import yaml12
from nmt.recipe.options import validate
from nmt.recipe.registry import check_plugins
from nmt.recipe.schema import FORMAT_VERSION, Recipe

COMPONENTS = ("attention", "cell", "optimizer", "schedule")
"""Keys whose value may be a name in place of a mapping with that name as its ``type``."""


def load_recipe(name: str | Path | Recipe, overrides: Mapping[str, Any] = {}) -> Recipe:
    """Read a recipe and apply overrides to it.

    Args:
        name: a path, the name of a shipped recipe such as ``multi30k/transformer``, or a recipe.
        overrides: dotted keys and their values, such as ``{"training.max_steps": 100}``, applied in this order.

    Raises:
        UserError: no such recipe, not YAML, a plugin that is missing, or a key or value that
            :func:`nmt.recipe.options.validate` refuses.
    """
    where, values = read_recipe(name, overrides)
    return validate(Recipe, values, where)


def read_recipe(name: str | Path | Recipe, overrides: Mapping[str, Any] = {}) -> tuple[str, dict[str, Any]]:
    """Returns what messages call a recipe, and its keys, with overrides applied and not checked.

    Raises:
        UserError: no such recipe, not YAML, a plugin that is missing, or a newer format.
    """
    if isinstance(name, Recipe):
        where, values = "the recipe", name.model_dump(mode="json", exclude_unset=True)
    else:
        where = str(find_recipe(name))
        values = read_yaml(Path(where))
    for key, value in overrides.items():
        override(values, key, value)
    if isinstance(plugins := values.get("plugins"), dict):  # before the components that it names are looked up
        check_plugins({str(module): str(package) for module, package in plugins.items()}, where)
    version = values.get("format_version", FORMAT_VERSION)
    if isinstance(version, int) and version > FORMAT_VERSION:
        raise UserError(
            f"{where} has format version {version}; this nmt reads up to {FORMAT_VERSION}.",
            "It was written by a newer version: upgrade nmt.",
        )
    return where, values


def parse_settings(settings: Iterable[str]) -> dict[str, Any]:
    """The overrides that ``--set KEY=VALUE`` gives; values are read as YAML, and a later setting of a key wins.

    Raises:
        UserError: a setting has no key, or its value is not YAML.
    """
    overrides: dict[str, Any] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        key = key.strip()
        if not equals or not key:
            raise UserError(f"--set {shortened(setting)!r} has no '='.", "Write --set training.max_steps=1000.")
        overrides.pop(key, None)  # the order of the dictionary is the order in which overrides apply
        try:
            overrides[key] = yaml12.load(text)
        except yaml.YAMLError as error:
            problem = getattr(error, "problem", None) or "it can't be parsed"
            raise UserError(
                f"--set {shortened(setting)!r}: the value is not YAML: {problem}.", "Quote it, or check its brackets."
            ) from None
    return overrides


def default_output(name: str | Path | Recipe) -> Path:
    """The model directory of a recipe where none is named: runs/NAME.

    Raises:
        UserError: a recipe that was made in a program has no name.
    """
    if isinstance(name, Recipe):
        raise UserError("This recipe has no name to call its model directory by.", "Give output, as in runs/mine.")
    return Path("runs") / Path(name).with_suffix("").name


def read_yaml(
    path: Path, what: str = "recipe", example: str = "`nmt recipes NAME` prints one to start from."
) -> dict[str, Any]:
    """The keys of a YAML file; ``what`` it should be and where an ``example`` is, for messages.

    Raises:
        UserError: it can't be read, or holds no keys.
    """
    try:
        content = read_bytes(path, yaml12.MAX_CHARACTERS + 1)  # no more: a file may have no end
        values = yaml12.load(content.decode("utf-8-sig"))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "it can't be parsed"
        raise UserError(
            f"{path}{line}: the YAML can't be read: {problem}.",
            f"Check indentation, colons and quotes there. {example}",
        ) from None
    except UnicodeDecodeError:
        raise UserError(f"{path} is not UTF-8 text.", f"Is it a {what}? Save it as UTF-8.") from None
    if not isinstance(values, dict):
        raise UserError(f"{path} is not a {what}: it holds no keys.", example)
    return values


def override(values: dict[str, Any], key: str, value: Any) -> None:
    """Sets one dotted key of nested mappings.

    Raises:
        UserError: a part of the key is a value.
    """
    *groups, last = key.split(".")
    for group in groups:
        if (inner := values.get(group)) is None:
            values[group] = inner = {}
        if group in COMPONENTS and isinstance(inner, str):
            values[group] = inner = {"type": inner}
        if not isinstance(inner, dict):
            raise UserError(
                f"{shortened(key)!r} can't be set: {shortened(group)!r} is a value, not a group of keys.",
                "Check the key that you gave by --set or as an override.",
            )
        values = inner
    values[last] = deepcopy(value)  # a later override may change a part of it


def is_recipe(given: Sequence[str | Path | Recipe]) -> bool:
    """Returns whether arguments are one recipe, and not text to train on: other files, folders, or what names none."""
    if len(given) != 1 or isinstance(given[0], Recipe) or str(given[0]) in shipped_recipes():
        return len(given) == 1  # also beside a folder of that name, as `nmt quickstart` writes one
    suffix = Path(given[0]).suffix  # a shipped recipe is named without one
    return not isdir(given[0]) and (suffix in (".yaml", ".yml") or not (suffix or isfile(given[0])))


def shipped_recipes() -> dict[str, Path]:
    """Name and path of every recipe that comes with nmt, sorted by name."""
    folder = Path(__file__).parents[1] / "recipes"
    if not folder.is_dir():  # a checkout: the recipes stand beside the package
        folder = Path(__file__).parents[2] / "recipes"
    return {path.relative_to(folder).with_suffix("").as_posix(): path for path in sorted(folder.rglob("*.yaml"))}


def find_recipe(name: str | Path) -> Path:
    """The path of a recipe given by path or by shipped name."""
    path = Path(name)
    if isfile(path):  # not path.is_file(), which raises for a name that is too long
        return path
    shipped = shipped_recipes()
    key = path.as_posix().removesuffix(".yaml").removeprefix("recipes/")
    if key in shipped:
        return shipped[key]
    if isdir(path):
        raise UserError(f"{path} is a folder, not a recipe.", "Name a YAML file, or a recipe listed by `nmt recipes`.")
    remedy = nearest(key, shipped, "Check the path, choose one that `nmt recipes` lists, or name two files of text.")
    raise UserError(f"There is no recipe {shortened(str(name))!r}: neither a file nor a shipped one.", remedy)
