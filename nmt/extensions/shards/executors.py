"""Executors start the workers that do shards: processes of this machine, or actors on a Ray cluster."""

import importlib
import logging
import os
import socket
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from pydantic import Field

from nmt.core.errors import UserError
from nmt.jobs.workers import Job, LocalProcess, Step, Worker, WorkerLostError, run_orders, with_step
from nmt.recipe import options as groups
from nmt.recipe import registry as plugins
from nmt.recipe.registry import Table

CORES = 4
"""Cores of a machine for each worker by default: more than four batches at a time wait for Python's lock."""

JobFactory = Callable[[int], Job]
"""Called once in a worker, with its number from 0; returns the job, which runs tasks. Both must be picklable."""


class Handle(Protocol):
    """Handle of a worker in the process that gives it tasks."""

    number: int

    def give(self, order: Any) -> None:
        """Sends a task; all steps of the previous one must have been received."""

    def receive(self) -> Step:
        """Returns the next step.

        Raises:
            WorkerLostError: the worker has ended.
        """

    def stop(self) -> None:
        """Ends the worker at once."""


class Executor(ABC):
    """Starts workers; its subclasses differ in the place where they run.

    Args:
        options: instance of the class attribute ``Options``, where the kind has one; otherwise None.
        num_workers: number of workers; None for as many as there are resources for.
        device: device of the workers, as ``pick_device`` takes it.
        cores_each: cores that a worker can make use of.
    """

    num_workers: int

    @abstractmethod
    def __init__(self, options: Any, num_workers: int | None, device: str, cores_each: int = CORES) -> None: ...

    @abstractmethod
    def start_worker(self, make: JobFactory, number: int) -> Handle:
        """Starts a worker."""

    @abstractmethod
    def ready(self, workers: Sequence[Any]) -> Sequence[Any]:
        """Waits for a step, and returns the workers that have one."""

    def close(self) -> None:  # noqa: B027 - most executors hold no resources of their own
        """Releases resources; the workers have been stopped before."""


class StartedWorker(Worker):
    """A worker that loads a model once: the first order says how to start."""

    def __init__(self) -> None:
        super().__init__(self._start)

    def _start(self, order: tuple[JobFactory, int, Sequence[str]]) -> Iterator[Step]:
        make, number, modules = order
        for module in modules:
            plugins.load_plugin(module)
        self._work = make(number)
        yield "ready", None


class LocalExecutor(Executor):
    """Processes of this machine, which share its cores."""

    def __init__(self, options: Any, num_workers: int | None, device: str, cores_each: int = CORES) -> None:
        own = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        cores = int(os.environ.get("OMP_NUM_THREADS") or own)
        self.num_workers = num_workers or _num_gpus(device) or max(1, cores // cores_each)
        self._num_threads = max(1, cores // self.num_workers)

    def start_worker(self, make: JobFactory, number: int) -> LocalProcess:
        worker = LocalProcess(number, _serve, self._num_threads)
        worker.give((make, number, plugins.named))
        return worker

    def ready(self, workers: Sequence[LocalProcess]) -> list[LocalProcess]:
        return with_step(workers)


def _num_gpus(device: str) -> int:
    if device not in ("auto", "cuda"):
        return 0
    import torch

    return torch.cuda.device_count()


def _serve(orders: Any, num_threads: int) -> None:
    """Runs a local process; ``orders`` is its end of the pipe."""
    os.environ["OMP_NUM_THREADS"] = str(num_threads)  # PyTorch is imported when the first order is unpickled
    run_orders(orders, StartedWorker())


class RayExecutor(Executor):
    """Actors on a Ray cluster.

    Raises:
        UserError: Ray is not installed, or there is no cluster.
    """

    class Options(groups.Options):
        address: str = Field("auto", description="the cluster: HOST:PORT, auto, or local for a new one")

    def __init__(self, options: Options, num_workers: int | None, device: str, cores_each: int = CORES) -> None:
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
    try:
        ray: Any = importlib.import_module("ray")
    except ImportError:
        raise UserError(
            "--ray needs the package ray, which is not installed.",
            "pip install 'nmt[ray]', or leave out --ray to use processes of this machine.",
        ) from None
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
