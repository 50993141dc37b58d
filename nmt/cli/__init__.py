"""The command line: parse, call, print. Nothing heavy is imported before a command needs it."""

from importlib import import_module

from nmt.cli.common import app

COMMANDS = (
    "train", "plan", "pretrained", "translate", "rerank", "calibrate", "corrections", "synthesis", "serve", "evaluate",
    "alignment", "inspect", "inspect_pages", "checks",
)  # fmt: skip
for _name in COMMANDS:
    import_module(f"nmt.cli.{_name}")  # registers its commands, in the order of `nmt --help`

__all__ = ["app"]
