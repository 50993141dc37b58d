"""Help pages. The options of a command that has many of them are shown in groups by their purpose."""

from typing import Any

from typer import Option
from typer.core import TyperCommand

GROUPED_FROM = 15
"""Number of options from which on they are grouped; a page of fewer fits on a screen."""


class Section(str):
    """The title of a section of a help page."""

    def option(self, *names: str, **settings: Any) -> Any:
        """Returns a Typer option of this section."""
        return Option(*names, rich_help_panel=self, **settings)


INPUT_AND_OUTPUT = Section("Input and output")
CONTENT = Section("Content of translations")
SEARCH = Section("Search")
LENGTH = Section("Length of translations")
SAMPLING = Section("Sampling")
CHECKING = Section("Checking and confidence")
FILTERING = Section("Pairs that are left out")
MACHINE = Section("Speed and machine")
LARGE_LANGUAGE_MODEL = Section("A large language model as teacher")
LINKS = Section("Links")
APPEARANCE = Section("Pictures and pages")
LIMITS = Section("Limits")
ACCESS = Section("Address and access")
OTHER = Section("Other options")
ORDER = (
    INPUT_AND_OUTPUT, LINKS, APPEARANCE, CONTENT, CHECKING, LARGE_LANGUAGE_MODEL, FILTERING, SEARCH, LENGTH, SAMPLING,
    ACCESS, LIMITS, MACHINE, OTHER,
)  # fmt: skip
OF_DECODING = {
    **dict.fromkeys(("length_penalty", "alpha", "max_length", "max_length_ratio", "max_length_extra"), LENGTH),
    **dict.fromkeys(("temperature", "top_k", "top_p", "seed"), SAMPLING),
    **dict.fromkeys(("batch_size", "shortlist"), MACHINE),
    **dict.fromkeys(("restore_case", "split_sentences"), CONTENT),
}
"""Groups of the fields of :class:`nmt.recipe.schema.DecodingOptions` that are not about search."""


class GroupedCommand(TyperCommand):
    """A command whose options are grouped by ``rich_help_panel``, the name that Typer's pages with frames use."""

    def format_options(self, ctx: Any, formatter: Any) -> None:
        for title, rows in sections(self, ctx).items():
            with formatter.section(title):
                formatter.write_dl(rows)


def sections(command: Any, context: Any) -> dict[str, list[tuple[str, str]]]:
    """Returns the sections of the help page of a command: arguments and options with their meanings by title.

    The options with a letter, which are those most used, come first in their section.
    """
    shown = [(each, record) for each in command.get_params(context) if (record := each.get_help_record(context))]
    found = {"Arguments": [record for each, record in shown if each.param_type_name == "argument"]}
    options = [(each, record) for each, record in shown if each.param_type_name == "option"]
    titles = [getattr(each, "rich_help_panel", None) or OTHER for each, _ in options]
    if len(options) < GROUPED_FROM or set(titles) == {OTHER}:
        found["Options"] = [record for _, record in options]
    else:
        options.sort(key=lambda option: not any(len(name) == 2 for name in option[0].opts))
        for title in dict.fromkeys((*ORDER, *titles)):
            found[title] = [r for each, r in options if (getattr(each, "rich_help_panel", None) or OTHER) == title]
    return {title: rows for title, rows in found.items() if rows}
