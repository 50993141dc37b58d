"""Data sets of the Hugging Face hub, by way of the library ``datasets``."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import Field

from nmt.core.console import say, warn
from nmt.core.errors import UserError, shortened
from nmt.data.sources import ParallelText, aliases, digest, one_line
from nmt.recipe import options as groups

HUB_SECONDS = 15.0  # seconds within which the hub must answer


def load_split(name: str, config: str | None, split: str) -> Any:
    """Loads a split, by its name or an alias, of a data set of the hub or in a folder. Raises UserError if it can't be
    loaded, or has no such split. ``config``: configuration of the data set, where it has several."""
    import datasets

    try:
        if Path(name).is_dir() and any((Path(name) / f).exists() for f in ("dataset_dict.json", "dataset_info.json")):
            loaded = datasets.load_from_disk(name)
        else:
            if not Path(name).exists():
                _reach_hub(name)
            loaded = datasets.load_dataset(name, config)
    except Exception as error:  # the library raises a dozen kinds, all of them about the user's data set
        reason = " ".join(str(error).splitlines()[:2]) or type(error).__name__  # the second one has what can be chosen
        raise UserError(
            f"The data set {name!r} can't be loaded: {shortened(reason, 400)}",
            "Check the name, hub_config and the connection, or use files of your own: --set data.root=FOLDER "
            "with train.LANGUAGE and val.LANGUAGE in it.",
        ) from None
    if not isinstance(loaded, dict):
        loaded = {str(loaded.split or "train"): loaded}
    for candidate in aliases(split):
        if candidate in loaded:
            return loaded[candidate]
    raise UserError(
        f"{name} has no split {split!r}; it has {', '.join(loaded)}.",
        "Set data.train and data.valid; data.valid=null holds out pairs.",
    )


def _reach_hub(name: str) -> None:
    """Makes the libraries use their cache if the hub doesn't answer."""
    from huggingface_hub import HfApi, constants
    from huggingface_hub.errors import RepositoryNotFoundError

    if constants.HF_HUB_OFFLINE:
        return
    say(f"loading the data set {name} from {constants.ENDPOINT}")
    try:
        HfApi().dataset_info(name, timeout=HUB_SECONDS)
    except RepositoryNotFoundError:
        raise
    except Exception:  # any failure to connect; the libraries themselves would try again for minutes
        warn(f"{constants.ENDPOINT} does not answer: only data sets that were downloaded before can be loaded.")
        import datasets

        constants.HF_HUB_OFFLINE = datasets.config.HF_HUB_OFFLINE = True


class HubText(ParallelText):
    """A split of a data set that the ``datasets`` library loads, by its name on the hub or from a folder.

    A row has a column for each language, or a column ``translation`` that maps languages to text. Text that is missing
    is empty; a UserError is raised for what is not text.
    """

    class Options(groups.Options):
        name: str = Field(description="name on the hub, or a folder")
        config: str | None = Field(None, description="configuration of the data set, where it has several")

    def __init__(self, options: Options, split: str, languages: tuple[str, str]) -> None:
        self.name = f"{options.name} ({split})"
        self._languages = languages
        self._rows = load_split(options.name, options.config, split)
        columns = self._rows.column_names
        cells = (row["translation"] for row in self._rows) if "translation" in columns else ()
        first = next(filter(None, cells), None)
        self._nested = isinstance(first, dict)
        if isinstance(first, dict):
            columns = list(first)
        missing = [language for language in self._languages if language not in columns]
        if missing:
            raise UserError(
                f"{self.name} has no text in {missing[0]!r}; it has {', '.join(columns)}.",
                "Set data.source and data.target to two of these.",
            )

    def __iter__(self) -> Iterator[tuple[str, str]]:
        for number, row in enumerate(self._rows, start=1):
            texts = (row["translation"] or {}) if self._nested else row
            sides = [texts.get(language) for language in self._languages]
            if other := [side for side in sides if not isinstance(side, str | None)]:
                raise UserError(
                    f"{self.name}, row {number:,}: {other[0]!r} is not text.",
                    "Name two columns of text as data.source and data.target.",
                )
            source, target = (one_line(side or "") for side in sides)
            yield source, target

    def fingerprint(self) -> str:
        return digest(f"{self._rows._fingerprint}{self._languages}")
