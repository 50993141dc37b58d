"""Parts that all commands share: the app, its commands and options, and the form of results and messages."""

import inspect
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import is_dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Literal, TextIO, get_args, get_origin

import typer

from nmt.cli.groups import ENTRY_POINTS, LazyGroup
from nmt.cli.help import APPEARANCE, INPUT_AND_OUTPUT, LINKS, MACHINE
from nmt.core.console import be_quiet, quoted, say
from nmt.core.errors import NUMBERS, UserError, is_possible_number
from nmt.core.version import __version__

Command = Callable[..., None]


def group(name: str, help: str, own: Mapping[str, str] = {}) -> typer.Typer:
    """Returns a group of commands, such as ``nmt inspect``, that other packages can add to.

    Args:
        name: that of the group, empty for the program itself.
        own: the commands of nmt: names, and ``MODULE:FUNCTION``.
    """
    entry_points = f"{ENTRY_POINTS}.{name}" if name else ENTRY_POINTS
    kind = type("Commands", (LazyGroup,), {"own": own, "entry_points": entry_points})
    return typer.Typer(
        name=name or "nmt",
        cls=kind,
        help=help,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )


Input = Annotated[
    str,
    INPUT_AND_OUTPUT.option(
        "--input", "-i", metavar="FILE", help="Source text (.gz, .xz, .zst too); - is standard input."
    ),
]
Output = Annotated[
    str,
    INPUT_AND_OUTPUT.option(
        "--output",
        "-o",
        metavar="FILE",
        help="File to write, compressed if it ends in .gz, .xz or .zst; - is standard output.",
    ),
]
NewFolder = Annotated[Path, typer.Option("--output", "-o", metavar="FOLDER", help="New folder to write.")]
Device = Annotated[
    str,
    MACHINE.option(metavar="NAME", help="The device: auto, cpu, cuda, cuda:1, mps."),
]
ModelDir = Annotated[Path, typer.Argument(metavar="MODEL_DIR", help="Folder that `nmt train` wrote.")]
Heads = Annotated[
    str | None,
    LINKS.option(
        metavar="LIST",
        help="Attention heads whose mean is the alignment, as LAYER:HEAD, such as 2:1,2:3.",
        show_default="as MODEL_DIR says",
    ),
]
AttentionStep = Annotated[
    Literal["output", "input"] | None,
    LINKS.option(
        help="Use the attention of the step that predicts a word (output) or of the step that reads it (input).",
        show_default="as MODEL_DIR says",
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Change a key of the recipe, such as training.max_steps=1000; may be repeated.",
    ),
]


def complete_recipe(incomplete: str) -> list[str]:
    """Completes the name of a shipped recipe in a shell, which completes files by itself."""
    from nmt.recipe.load import shipped_recipes

    return [name for name in shipped_recipes() if name.startswith(incomplete)]


AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]


def _load_plugins(modules: list[str] | None) -> None:
    from nmt.recipe.registry import load_plugin

    for module in modules or ():
        load_plugin(module)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"nmt {__version__}")
        raise typer.Exit


Plugins = Annotated[
    list[str] | None,
    typer.Option(
        "--plugin",
        metavar="MODULE",
        callback=_load_plugins,
        help="Import the components of a module that isn't installed; may be repeated. A plugin runs code with "
        "your rights.",
    ),
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", callback=be_quiet, help="Show no progress bars and messages, only warnings.")
]
Theme = Annotated[
    Literal["paper", "slides", "slides-dark"],
    APPEARANCE.option(help="Fonts and colours of pictures: slides are for a projector."),
]
Version = Annotated[
    bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
]


def command(
    *examples: str, draws: bool = False, added: Mapping[str, Any] | None = None
) -> Callable[[Command], Command]:
    """A decorator that gives a command the options ``--plugin`` and ``--quiet`` besides its own options.

    In place of a parameter whose type is a dataclass there is an option for each of its fields that Typer knows.

    The first sentence of the docstring is shown in the list of commands, which has room for 55 characters.

    Args:
        examples: lines at the end of the help page.
        draws: whether it writes pictures, and so has the option ``--theme``.
        added: dataclasses of extensions, of which the parameter ``added`` is a tuple of instances.
    """
    options = [
        inspect.Parameter("plugin", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Plugins),
        inspect.Parameter("quiet", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Quiet),
    ]
    if draws:
        options.insert(0, inspect.Parameter("theme", inspect.Parameter.KEYWORD_ONLY, default="paper", annotation=Theme))
    # The backspace tells Click's formatter to leave the line breaks alone.
    epilog = "\n".join(("\b", f"Example{'s' if len(examples) > 1 else ''}:", *(f"  {line}" for line in examples)))

    def decorate(function: Command) -> Command:
        own = inspect.signature(function).parameters
        bundles: dict[str, Any] = {name: each.annotation for name, each in own.items() if is_dataclass(each.annotation)}
        of_extensions = tuple((added or {}).values())

        @wraps(function)
        def run(plugin: None, quiet: bool, theme: str = "paper", **arguments: Any) -> None:
            for name, value in arguments.items():
                option = f"--{name.replace('_', '-')}"
                if isinstance(value, int) and value > sys.maxsize:  # more than an index can be
                    raise UserError(f"{option} {value} is too large.", f"Give at most {sys.maxsize:,}.")
                if isinstance(value, float) and not is_possible_number(value):
                    raise UserError(f"{option} {value} can't be represented in float32.", f"Give one {NUMBERS}.")
            for name, bundle in bundles.items():
                arguments[name] = _taken(bundle, arguments)
            if added is not None:
                arguments["added"] = tuple(_taken(bundle, arguments) for bundle in of_extensions)
            with _themed(theme):
                function(**arguments)

        parameters = [
            each
            for name, parameter in own.items()
            if name != "added"
            for each in (_options_in(bundles[name]) if name in bundles else [parameter])
        ]
        parameters += [each for bundle in of_extensions for each in _options_in(bundle)]
        by_name = [_as_option(each) for each in (*parameters, *options)]
        run.__signature__ = inspect.Signature(by_name)  # type: ignore[attr-defined]
        run.epilog = epilog  # type: ignore[attr-defined]
        return run

    return decorate


def _taken(bundle: Any, arguments: dict[str, Any]) -> Any:
    """Takes the arguments that are fields of a dataclass, and returns its instance."""
    return bundle(**{each.name: arguments.pop(each.name) for each in _options_in(bundle)})


def _as_option(parameter: inspect.Parameter) -> inspect.Parameter:
    """Returns the parameter by keyword; a switch that is off by default has no option that switches it off."""
    kind, *how = get_args(parameter.annotation) or (None,)
    if kind is bool and parameter.default is False and how[0].default is ...:
        how[0].default = f"--{parameter.name.replace('_', '-')}"  # where Typer looks for a name
    return parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)


def _options_in(bundle: Any) -> list[inspect.Parameter]:
    """Returns the parameters of the constructor of a dataclass that are options or arguments of a command."""
    return [each for each in inspect.signature(bundle).parameters.values() if get_origin(each.annotation) is Annotated]


def _themed(theme: str) -> AbstractContextManager[None]:
    """Returns the context in which pictures have a theme; matplotlib is not imported for the default."""
    if theme == "paper":
        return nullcontext()
    from nmt.plotting.style import theme as in_theme

    return in_theme(theme)


def components_in(texts: Sequence[str], option: str, example: str) -> dict[str, dict[str, Any]]:
    """Returns components and their options from YAML such as ``NAME`` or ``NAME: {KEY: VALUE}``.

    Raises:
        UserError: a text has another form, or a component is named twice; the message names the option.
    """
    import yaml

    from nmt.recipe import yaml12

    found: dict[str, dict[str, Any]] = {}
    for text in texts:
        try:
            values = yaml12.load(text)
        except yaml.YAMLError:
            values = None
        values = {values: None} if isinstance(values, str) else values
        if not isinstance(values, dict) or not all(isinstance(value, dict | None) for value in values.values()):
            raise UserError(f"{option} {text!r} is not NAME: OPTIONS.", f"Write YAML such as {option} '{example}'.")
        for name, value in values.items():
            if str(name) in found:
                raise UserError(f"{option} names {name} twice.", "Give all its options at once.")
            found[str(name)] = value or {}
    return found


def show_json(values: Any) -> None:
    """Print one JSON object."""
    typer.echo(json.dumps(values, ensure_ascii=False))


def say_wrote(first: Path | str, *others: Path) -> None:
    """Name the files that a command has written."""
    say(f"wrote {first}" + (f" to {others[-1].name}" if others else ""))


def names_in(text: str) -> list[str]:
    """The names of a list with commas between."""
    return [name.strip() for name in text.split(",") if name.strip()]


def on_screen(output: str) -> bool:
    """Whether results go to a terminal, where a progress bar would be mixed with them."""
    return output == "-" and is_terminal(sys.stdout)


def is_terminal(stream: TextIO | None) -> bool:
    """Python has None in place of a standard stream that is closed."""
    return stream is not None and stream.isatty()


def refuse_options(beside: str, options: Any, names: Iterable[str], others: Iterable[str] = ()) -> None:
    """Raises UserError if options are given that have no effect beside another one.

    Args:
        options: a dataclass of options.
        names: of those in it without an effect, which must have their defaults.
        others: of further options without an effect that are given.
    """
    given = (name for name in names if getattr(options, name) != options.__dataclass_fields__[name].default)
    if found := [*others, *given]:
        raise UserError(f"--{found[0].replace('_', '-')} has no effect beside {beside}.", "Leave it out.")


def command_to_resume() -> str:
    """The command line of this process with ``--resume``, for a shell."""
    start = "torchrun … -m " * ("TORCHELASTIC_RUN_ID" in os.environ)
    return start + quoted("nmt", *(argument for argument in sys.argv[1:] if argument != "--resume"), "--resume")


@contextmanager
def stopped_by_signal(remedy: str) -> Iterator[None]:
    """Turn the interruption of a training run into a message and the exit code of its signal."""
    from nmt.training.distributed import Interrupted

    try:
        yield
    except Interrupted as stop:
        say(f"{stop}: stopped, checkpoint saved; {remedy}")
        raise typer.Exit(128 + stop.signal_number) from None
