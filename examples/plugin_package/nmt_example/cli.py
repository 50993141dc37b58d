"""A command."""

import typer

from nmt.cli.common import ModelDir, command


@command("nmt count-weights runs/de-en")
def count_weights(model_dir: ModelDir) -> None:
    """Count the weights of a model."""
    from nmt.translation.load import load

    typer.echo(f"{sum(weight.numel() for weight in load(model_dir, 'cpu').model.parameters())} weights")
