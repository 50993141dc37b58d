"""Types of the fixtures that are functions."""

import subprocess
from collections.abc import Callable
from pathlib import Path

from nmt.recipe.schema import Recipe

RunNmt = Callable[..., "subprocess.CompletedProcess[str]"]
TrainTiny = Callable[..., Path]
RecipeMaker = Callable[..., Recipe]
BuildOnce = Callable[[str, Callable[[Path], object]], Path]
