"""The command line: parse, call, print. Nothing heavy is imported before a command needs it."""

from nmt.cli.common import Quiet, Version, group

COMMANDS = {
    "quickstart": "nmt.cli.train:quickstart",
    "train": "nmt.cli.train:train",
    "translate": "nmt.cli.translate:translate",
    "score": "nmt.cli.evaluate:score",
    "align": "nmt.cli.alignment:align",
    "inspect": "nmt.cli.inspect:group_of_commands",
    "recipes": "nmt.cli.train:recipes",
    "aer": "nmt.cli.alignment:aer",
}
"""The commands of the toolkit, in the order in which users meet them. Extensions add theirs by entry points."""

app = group("", "Neural machine translation, from the vanilla RNN to the Transformer.", COMMANDS)
app.info.epilog = "Start with: nmt quickstart"
app.info.context_settings = {"help_option_names": ["-h", "--help"], "max_content_width": 120}


@app.callback()
def _program(quiet: Quiet = False, version: Version = False) -> None: ...
