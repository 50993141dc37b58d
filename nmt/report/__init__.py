"""Pages that reports are written as: one HTML file each, with nothing to load, for any screen.

``base.html.j2`` and ``style.css`` are what all of them share: structure, light and dark colours, tables, marks.
A report is a template beside its code's name that extends ``base.html.j2``.
"""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment


def render(template: str, **values: Any) -> str:
    """The page that a template of this folder makes of values; all text in them is escaped.

    Args:
        template: its file name.
        values: by the names that the template uses; a name it doesn't get is an error.
    """
    from nmt import __version__

    return _environment().get_template(template).render(nmt_version=__version__, **values)


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    folder = Path(__file__).parent
    made = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for name, file in {"style": "style.css", "align_style": "align.css", "align_script": "align.js"}.items():
        made.globals[name] = Markup((folder / file).read_text("utf-8"))
    return made
