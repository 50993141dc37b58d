"""Options of commands that read folders of shards."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nmt.cli.common import components_in
from nmt.cli.help import MACHINE
from nmt.core.errors import UserError

if TYPE_CHECKING:
    from nmt.extensions.shards.shards import Shard
    from nmt.extensions.shards.workers import Executor

Workers = Annotated[
    int | None,
    typer.Option(
        metavar="N",
        min=1,
        help="Processes that do the shards of a folder.",
        show_default="as many as the machine has room for",
    ),
]


@dataclass(frozen=True)
class FolderOptions:
    """Options of folders of shards beside the number of workers."""

    ray: Annotated[
        str | None,
        MACHINE.option(
            metavar="ADDRESS",
            help="Do the shards of a folder on a Ray cluster: HOST:PORT, auto, or local for a new one.",
        ),
    ] = None
    executor: Annotated[
        str | None,
        MACHINE.option(
            metavar="YAML",
            help="Where the workers run: local, ray, or the executor of a plugin with its options, such as "
            "'ray: {address: auto}'.",
            show_default="local",
        ),
    ] = None

    def is_for(self, path: Path | str, **others: object) -> bool:
        """Returns whether the input is a folder of shards.

        Args:
            others: further options that only folders have.

        Raises:
            UserError: it isn't a folder, but one of the options is given.
        """
        is_folder = str(path) != "-" and Path(path).is_dir()
        for name, value in {**others, "ray": self.ray, "executor": self.executor}.items():
            if value is not None and not is_folder:
                raise UserError(f"--{name} is for folders of shards.", "Name a folder as the input.")
        return is_folder

    def open(
        self, folders: Sequence[Path], output: Path, workers: int | None, device: str, cores_each: int
    ) -> "tuple[list[Shard], Executor]":
        """Returns the shards of folders, and the executor that the options ask for."""
        from nmt.extensions.shards.executors import EXECUTORS
        from nmt.extensions.shards.shards import find_shards

        if str(output) == "-":
            raise UserError("The shards of a folder are written to a folder.", "Name one with -o.")
        if self.ray is not None and self.executor is not None:
            raise UserError("--ray and --executor both say where workers run.", "Give one of them.")
        given = [self.executor or "local"]
        chosen = {"ray": {"address": self.ray}} if self.ray is not None else components_in(given, "--executor", "local")
        if len(chosen) != 1:
            raise UserError(f"--executor {self.executor!r} is not one executor.", "Name one.")
        [(kind, options)] = chosen.items()
        executor = EXECUTORS.choose({**options, "type": kind}, "--executor")
        return find_shards(folders, output), executor.component(executor.options, workers, device, cores_each)
