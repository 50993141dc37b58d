"""``nmt learn-alignment``."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nmt.cli.common import AttentionStep, Device, Heads, ModelDir, Plugins, Quiet, app, examples

if TYPE_CHECKING:
    from nmt.alignment.aligner import Learned


@app.command(
    name="learn-alignment",
    short_help="Learn from the training text how a model aligns best.",
    epilog=examples("nmt learn-alignment runs/de-en train.de train.en"),
)
def learn_alignment(
    model_dir: ModelDir,
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="Source text, best that of the training.")],
    target: Annotated[Path, typer.Argument(metavar="TARGET", help="Its translation.")],
    tokenized: Annotated[bool, typer.Option("--tokenized", help="The text is tokenised (punctuation apart).")] = False,
    heads: Heads = None,
    attention: AttentionStep = None,
    device: Device = "auto",
    plugin: Plugins = None,
    quiet: Quiet = False,
) -> None:
    """Learn from parallel text how a model aligns best: which heads to read, and what words mean.

    No true alignment is needed. Writes alignment.json and lexicon.tsv into MODEL_DIR; nmt align uses them from then on.
    Heads that alignment.json names already are kept.
    """
    from nmt.alignment.heads import AlignmentHeads
    from nmt.console import progress_bar, say
    from nmt.data.corpus import FileText
    from nmt.loading import load
    from nmt.model_directory import ModelDirectory

    translator = load(model_dir, device)
    if heads is not None or attention is not None:
        chosen = AlignmentHeads.of(translator.model.decoder, heads, attention)
        chosen.save(ModelDirectory(model_dir).alignment, translator.model.decoder)
    with progress_bar("aligning", None) as bar:
        learned = translator.learn_alignment(FileText(source, target), tokenized, lambda: bar.advance())
    names = learned.heads.names(translator.model.decoder)
    if learned.agreement is not None:
        _show(learned, names)
    say(
        f"{model_dir} reads heads {', '.join(names)} and knows {len(learned.lexicon):,} pairs of words, "
        f"from {learned.num_pairs:,} sentence pairs"
    )


def _show(learned: "Learned", names: list[str]) -> None:
    """How far each head agrees with the mean of all, on standard output."""

    from nmt.console import print_table

    assert learned.agreement is not None
    rows = [
        (name, f"{share:.3f}", "yes" if name in names else "")
        for name, share in sorted(learned.agreement.items(), key=lambda item: -item[1])
    ]
    print_table("Attention heads", ("head", "agreement with all", "chosen"), rows)
