"""Work on shards, in capital letters, that kills its process once; without PyTorch, so that it starts at once."""

import os
import signal
from collections.abc import Iterator

from nmt.core.output import open_output
from nmt.core.text import read_lines
from nmt.extensions.shards.shards import Shard
from nmt.extensions.shards.workers import Job, Step


def start(number: int) -> Job:
    return work


def work(shard: Shard) -> Iterator[Step]:
    with open_output(shard.output) as file:
        for line in read_lines(shard.inputs[0]):
            file.write(f"{line.upper()}\n")
            yield "lines", 1
            mark = shard.inputs[0].with_name(".killed")
            if shard.name == "b" and not mark.exists():
                mark.touch()
                os.kill(os.getpid(), signal.SIGKILL)
    yield "done", None
