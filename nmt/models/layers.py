"""A list of layers that remembers what they are."""

from collections.abc import Iterator
from typing import Generic, TypeVar, cast

from torch import nn

LayerT = TypeVar("LayerT", bound=nn.Module)


class Layers(nn.ModuleList, Generic[LayerT]):
    """A ``ModuleList`` whose elements keep their type: ``Layers[EncoderLayer]`` gives encoder layers."""

    def __iter__(self) -> Iterator[LayerT]:
        return cast("Iterator[LayerT]", super().__iter__())
