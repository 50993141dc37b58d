"""The table of executors, and actors on Ray as workers."""

import importlib
import logging
import os
import socket
from collections.abc import Sequence
from typing import Any

from pydantic import Field

from nmt.core.errors import UserError, extra
from nmt.extensions.shards.workers import Executor, JobFactory, LocalExecutor, StartedWorker, Step, WorkerLostError
from nmt.recipe import options as groups
from nmt.recipe import registry as plugins
from nmt.recipe.registry import Table


class RayExecutor(Executor):
    """Actors on a Ray cluster.

    Raises:
        UserError: Ray is not installed, or there is no cluster.
    """

    class Options(groups.Options):
        address: str = Field("auto", description="the cluster: HOST:PORT, auto, or local for a new one")

    def __init__(self, options: Options, num_workers: int | None, device: str, cores_each: int) -> None:
        self._ray = _connected(options.address)
        resources = self._ray.cluster_resources()
        cpus, gpus = resources.get("CPU", 1), int(resources.get("GPU", 0)) if device in ("auto", "cuda") else 0
        self.num_workers = num_workers or gpus or max(1, int(cpus) // cores_each)
        share = cpus / self.num_workers
        smallest = min(node["Resources"].get("CPU", 1) for node in self._ray.nodes() if node["Alive"])
        self._needs = {
            "num_cpus": share if share < 1 else max(1, min(int(share), cores_each, int(smallest))),
            "num_gpus": min(1, gpus / self.num_workers),
        }

    def start_worker(self, make: JobFactory, number: int) -> "RayActor":
        actor = RayActor(self._ray, number, self._needs)
        actor.give((make, 0, plugins.named))  # Ray shows an actor its own GPU only
        return actor

    def ready(self, workers: "Sequence[RayActor]") -> "list[RayActor]":
        found, _ = self._ray.wait([worker.steps for worker in workers], num_returns=1)
        return [worker for worker in workers if worker.steps in found]

    def close(self) -> None:
        self._ray.shutdown()


class RayActor:
    """An actor on a Ray cluster."""

    def __init__(self, ray: Any, number: int, needs: dict[str, float]) -> None:
        self.number, self._ray = number, ray
        self._actor = ray.remote(**needs)(StartedWorker).remote()
        self.steps: Any = None

    def give(self, order: Any) -> None:
        self.steps = self._actor.run.options(num_returns="streaming").remote(order)

    def receive(self) -> Step:
        try:
            step: Step = self._ray.get(next(self.steps))
        except self._ray.exceptions.RayActorError:
            raise WorkerLostError("killed, or its machine was lost") from None
        return step

    def stop(self) -> None:
        self._ray.kill(self._actor)


def _connected(address: str) -> Any:
    with extra("ray", ", or leave out --ray to use processes of this machine"):
        ray: Any = importlib.import_module("ray")
    remedy = "Start a cluster with `ray start --head` and name the HOST:PORT that it prints, or give --ray local."
    if address not in ("local", "auto"):
        host, _, port = address.rpartition(":")
        if not host or not port.isdecimal() or "/" in host:
            raise UserError(f"--ray {address!r} is not local, auto or HOST:PORT.", remedy)
        try:  # Ray itself would try for a minute, and then end the process
            socket.create_connection((host, int(port)), timeout=5).close()
        except OSError as error:
            raise UserError(f"No Ray cluster answers at {address}: {error.strerror or error}.", remedy) from None
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    own = {"include_dashboard": False} if address == "local" else {}
    try:
        ray.init(address=address, logging_level=logging.ERROR, log_to_driver=False, **own)
    except (ConnectionError, RuntimeError, ValueError) as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise UserError(f"The Ray cluster {address!r} can't be used: {reason}.", remedy) from None
    return ray


EXECUTORS: Table[Executor] = Table("executor", Executor, {"local": LocalExecutor, "ray": RayExecutor})
