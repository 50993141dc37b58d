"""``nmt learn-alignment``."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from nmt.cli.alignment import Tokenized
from nmt.cli.common import AttentionStep, Device, Heads, ModelDir, command
from nmt.core.console import print_table, progress_bar, say


@command("nmt learn-alignment runs/de-en train.de train.en")
def learn_alignment(
    model_dir: ModelDir,
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="Source text, preferably of the training data.")],
    target: Annotated[Path, typer.Argument(metavar="TARGET", help="Its translation.")],
    tokenized: Tokenized = False,
    heads: Heads = None,
    attention: AttentionStep = None,
    device: Device = "auto",
) -> None:
    """Learn which attention heads align best, and a lexicon.

    They are learned from parallel text without any gold alignment. Writes alignment.json and lexicon.tsv into
    MODEL_DIR, which nmt align then uses. Heads that alignment.json has already are kept.
    """
    from nmt.alignment.heads import AlignmentHeads
    from nmt.core.model_directory import ModelDirectory
    from nmt.data.sources import FileText
    from nmt.translation.languages import check_language
    from nmt.translation.load import load

    translator = load(model_dir, device)
    if not translator.vocabularies.source.tags:  # others have several directions
        check_language(source, translator.recipe.data)
    if heads is not None or attention is not None:
        chosen = AlignmentHeads.of(translator.model.decoder, heads, attention)
        chosen.save(ModelDirectory(model_dir).alignment, translator.model.decoder)
    with progress_bar("aligning", None) as bar:

        def pairs() -> Iterator[tuple[str, str]]:
            yield from bar.counted(FileText(source, target).checked())
            bar.update(0, "learning the lexicon")

        learned = translator.learn_alignment(pairs(), tokenized)
    names = learned.heads.names(translator.model.decoder)
    if learned.agreement is not None:
        best_first = sorted(learned.agreement.items(), key=lambda item: -item[1])
        rows = [(name, f"{share:.3f}", "yes" if name in names else "") for name, share in best_first]
        print_table("Attention heads", ("head", "agreement with all", "chosen"), rows)
    say(
        f"{model_dir}: alignment from {', '.join(names)} and from a lexicon of {len(learned.lexicon):,} word pairs, "
        f"learned from {learned.num_pairs:,} sentence pairs"
    )
