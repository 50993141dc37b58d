"""Templates of HTML reports. Extensions have templates of their own, which may extend these.

A report is one file that loads nothing, for screens of any width, in light and dark colours. All reports share
``style.css`` and the structure of ``base.html.j2``, which the template of a report extends.
"""

import base64
import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt
    from jinja2 import Environment
    from markupsafe import Markup


def render(template: str, module: str, /, **values: Any) -> str:
    """Renders a template.

    Args:
        module: a file; the folder ``templates`` beside it, with styles and scripts, is searched before this one.
        values: by the names that the template uses; all text in them is escaped in HTML. A missing one is an error.
    """
    from nmt.core.version import __version__

    return _environment(module).get_template(template).render(nmt_version=__version__, **values)


def embedded(data: Any) -> "Markup":
    """Returns JSON for a script element of a template.

    Raises:
        ValueError: a number is not finite.
    """
    from markupsafe import Markup

    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    # Inside a script element only "</" could end it, and "<!--" changes how it is read.
    return Markup(text.replace("<", "\\u003c"))


def rounded(value: Any, digits: int = 4) -> Any:
    """Returns a JSON value with its numbers rounded; tuples become lists."""
    return json.loads(json.dumps(value), parse_float=lambda number: round(float(number), digits))


def packed(weights: "npt.NDArray[np.floating]") -> str:
    """Returns weights, row by row, as bytes in base64: 255 for 1; 0 for what is not a number."""
    import numpy as np

    values = np.rint(np.nan_to_num(weights).clip(0, 1) * 255).astype(np.uint8)
    return base64.b64encode(values.tobytes()).decode("ascii")


@cache
def _environment(module: str) -> "Environment":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined
    from markupsafe import Markup

    shared = Path(__file__).parent
    folders = [Path(module).parent / "templates", shared]
    made = Environment(
        loader=FileSystemLoader(folders),
        autoescape=lambda name: name is not None and name.endswith(".html.j2"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals["style"] = Markup((shared / "style.css").read_text("utf-8"))
    for kind, suffix in (("style", "css"), ("script", "js")):
        for path in (path for each in folders for path in each.glob(f"*.{suffix}")):
            made.globals[f"{path.stem}_{kind}"] = Markup(path.read_text("utf-8"))
    return made
