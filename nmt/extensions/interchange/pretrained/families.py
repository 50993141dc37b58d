"""The encoder-decoder Transformers of Hugging Face that nmt can represent, and their ``config.json``."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from nmt.core.errors import UserError
from nmt.extensions.interchange.pretrained.files import read_json
from nmt.models.layers import PositionKind
from nmt.recipe.schema import EarlyStopping, ModelOptions


@dataclass(frozen=True)
class Family:
    """An architecture."""

    model_type: str
    """Its name in ``config.json``."""
    model_class: str
    """The class of transformers."""
    norm: Literal["pre", "post"]
    positions: PositionKind
    output_bias: bool = True
    embedding_norm: bool = False
    defaults: dict[str, Any] = field(default_factory=dict)
    """Values of keys that ``config.json`` leaves out, where they differ from those of :class:`Config`."""


FAMILIES = {
    family.model_type: family
    for family in (
        Family(
            "marian",
            "MarianMTModel",
            "post",
            "sinusoidal_halves",
            defaults={"pad_token_id": 58100, "eos_token_id": 0, "decoder_start_token_id": 58100, "vocab_size": 58101},
        ),
        Family(
            "pegasus",
            "PegasusForConditionalGeneration",
            "pre",
            "sinusoidal_halves",
            defaults={"pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0, "vocab_size": 50265},
        ),
        Family(
            "m2m_100",
            "M2M100ForConditionalGeneration",
            "pre",
            "sinusoidal_fairseq",
            output_bias=False,
            defaults={
                "activation_function": "relu",
                "attention_dropout": 0.1,
                "scale_embedding": True,
                "vocab_size": 128112,
            },
        ),
        Family("mbart", "MBartForConditionalGeneration", "pre", "learned", embedding_norm=True),
    )
}
SIDE_KEYS = {
    "layers": "num_layers",
    "attention_heads": "num_heads",
    "ffn_dim": "feed_forward_size",
}
"""Keys of ``config.json`` after ``encoder_`` or ``decoder_``, and the same options of a side in nmt."""
COMMON_KEYS = {
    "dropout": "dropout",
    "attention_dropout": "attention_dropout",
    "activation_dropout": "activation_dropout",
    "activation_function": "activation",
    "max_position_embeddings": "max_positions",
}
"""Keys of ``config.json`` for both sides, and the options of each side in nmt."""
EARLY_STOPPING: dict[EarlyStopping, bool | str] = {"first": True, "likely": False, "exact": "never"}
"""Values of ``decoding.early_stopping`` and of ``early_stopping`` in transformers. False is another rule: a search
goes on while an unfinished hypothesis scores better now than the last of the finished ones."""

Rate = Field(0.0, ge=0, lt=1)


class Config(BaseModel):
    """The keys of ``config.json`` that nmt reads, with the defaults of transformers."""

    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)

    d_model: int = Field(1024, ge=1, le=100_000)
    encoder_layers: int = Field(12, ge=1, le=1000)
    decoder_layers: int = Field(12, ge=1, le=1000)
    encoder_attention_heads: int = Field(16, ge=1, le=1000)
    decoder_attention_heads: int = Field(16, ge=1, le=1000)
    encoder_ffn_dim: int = Field(4096, ge=1, le=100_000)
    decoder_ffn_dim: int = Field(4096, ge=1, le=100_000)
    activation_function: Annotated[
        Literal["relu", "silu", "gelu"], BeforeValidator(lambda name: "silu" if name == "swish" else name)
    ] = "gelu"
    dropout: float = Field(0.1, ge=0, lt=1)
    attention_dropout: float = Rate
    activation_dropout: float = Rate
    scale_embedding: bool = False
    max_position_embeddings: int = Field(1024, ge=2, le=1_000_000)
    vocab_size: int = Field(50265, ge=4, le=10_000_000)
    decoder_vocab_size: int | None = Field(None, ge=4, le=10_000_000)
    pad_token_id: int = 1
    eos_token_id: Annotated[
        int, BeforeValidator(lambda ids: ids[0] if isinstance(ids, list) and len(ids) == 1 else ids)
    ] = 2
    decoder_start_token_id: int | None = None
    share_encoder_decoder_embeddings: bool = True
    tie_word_embeddings: bool = True
    num_beams: int = Field(1, ge=1, le=1000)
    length_penalty: float = Field(1.0, ge=0, le=1_000_000)
    early_stopping: bool | str | None = False
    no_repeat_ngram_size: int = Field(0, ge=0)

    @property
    def tie(self) -> Literal["none", "target", "all"]:
        """The weights that are shared, as ``model.tie`` names them."""
        if not self.tie_word_embeddings:
            return "none"
        return "all" if self.share_encoder_decoder_embeddings else "target"


def read_config(directory: Path) -> tuple[Family, Config]:
    """Reads the architecture of a downloaded model.

    Raises:
        UserError: ``config.json`` is missing or damaged, or describes a model that nmt can't represent.
    """
    path = directory / "config.json"
    values = read_json(path)
    kind = values.get("model_type")
    if not isinstance(kind, str) or kind not in FAMILIES:
        known = ", ".join(family.model_class for family in FAMILIES.values())
        raise UserError(f"{path}: model_type is {kind!r}, which nmt can't represent.", f"It imports {known}.")
    family = FAMILIES[kind]
    generation = directory / "generation_config.json"
    parts = (family.defaults, values, read_json(generation) if generation.is_file() else {})
    values = {key: value for part in parts for key, value in part.items() if value is not None}
    try:
        return family, Config.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = str(first["loc"][0])
        where = path if parts[-1].get(key) is None else generation
        raise UserError(
            f"{where}: {key} is {values.get(key)!r}, which nmt can't represent: {first['msg']}.",
            "Check the download, or choose another model.",
        ) from None


def model_options(family: Family, config: Config, first_token: int | None) -> ModelOptions:
    """Returns the part ``model`` of the recipe of a pretrained model.

    Args:
        first_token: id that the decoder reads before SOS.
    """
    both = {key: getattr(family, key) for key in ("norm", "positions", "embedding_norm")} | {"type": "transformer"}
    both |= {ours: getattr(config, theirs) for theirs, ours in COMMON_KEYS.items()}
    encoder, decoder = (
        both | {ours: getattr(config, f"{side}_{theirs}") for theirs, ours in SIDE_KEYS.items()}
        for side in ("encoder", "decoder")
    )
    return ModelOptions(
        encoder=encoder,
        decoder={**decoder, "first_token": first_token},
        embedding_size=config.d_model,
        tie=config.tie,
        scale_embeddings=config.scale_embedding,
        output_bias=family.output_bias,
    )
