"""The command line, a module a command: parse, call, print. Nothing heavy is imported before a command needs it."""

from importlib import import_module

from nmt.cli.common import app

COMMANDS = (
    "quickstart",
    "train",
    "translate",
    "evaluate",
    "align",
    "learn_alignment",
    "aer",
    "average",
    "export",
    "inspect",
    "check_data",
    "verify",
    "recipes",
)
"""Modules of this folder, in the order of ``nmt --help``; each registers its commands with the app."""

for _name in COMMANDS:
    import_module(f"nmt.cli.{_name}")

__all__ = ["app"]
