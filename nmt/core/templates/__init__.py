"""Templates of HTML reports, of the page of the server's API and of the model card.

A report is one file that loads nothing, for screens of any width, in light and dark colours. All reports share
``style.css`` and the structure of ``base.html.j2``, which the template of a report extends.
"""

from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment


def render(template: str, **values: Any) -> str:
    """Render a template of this folder.

    Args:
        values: by the names that the template uses; all text in them is escaped in HTML. A missing one is an error.
    """
    from nmt.core.version import __version__

    return _environment().get_template(template).render(nmt_version=__version__, **values)


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    folder = Path(__file__).parent
    made = Environment(
        loader=FileSystemLoader(folder),
        autoescape=lambda name: name is not None and name.endswith(".html.j2"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals["style"] = Markup((folder / "style.css").read_text("utf-8"))
    for kind, suffix in (("style", "css"), ("script", "js")):
        for path in folder.glob(f"*.{suffix}"):
            made.globals[f"{path.stem}_{kind}"] = Markup(path.read_text("utf-8"))
    return made
