"""Room for jobs on a Ray cluster: one bundle a job, kept for the next job while there are any."""

import importlib
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

AHEAD = 4  # bundles asked for at once
IDLE = 30.0  # seconds after which a bundle without a job is given back


@dataclass(eq=False)
class Slot:
    """A bundle that Ray has set aside on a node: the GPUs in it, and the jobs that have them.

    Attributes:
        since: when the last job ended.
    """

    bundle: Any
    node: str
    gpus: tuple[str, ...]
    jobs: set[str] = field(default_factory=set)
    since: float = field(default_factory=time.monotonic)

    @property
    def free(self) -> bool:
        """Whether a job may have it; `prepare` shares what it has with what it maps."""
        return all(key.startswith("prepare") for key in self.jobs)


def place() -> tuple[str, tuple[str, ...]]:
    """Return the node and the GPUs of the bundle that this is called in."""
    context = importlib.import_module("ray").get_runtime_context()
    return context.get_node_id(), tuple(context.get_accelerator_ids().get("GPU", ()))


class Bundles:
    """Asks Ray for bundles as jobs need them, and gives them back.

    Args:
        ray: the library.
        wanted: what one job takes, in Ray's words.
        limit: how many bundles there may be at once; None if as many as the cluster has room for.
    """

    def __init__(self, ray: Any, wanted: Mapping[str, float], limit: int | None) -> None:
        self.ray = ray
        self.wanted = dict(wanted)
        self.limit = limit
        self.slots: list[Slot] = []
        self.wishes: dict[Any, Any] = {}  # what Ray has no room for yet, by what will say where
        options = {"num_cpus": wanted["CPU"], "num_gpus": wanted.get("GPU", 0)}
        options |= {"memory": wanted["memory"]} if "memory" in wanted else {}
        self.place = ray.remote(max_calls=0, max_retries=-1, **options)(place)
        self.groups = importlib.import_module("ray.util.placement_group")
        self.strategies = importlib.import_module("ray.util.scheduling_strategies")

    def wish(self, avoid: Collection[str]) -> None:
        """Ask for more unless some are free, on any node but some."""
        if any(not slot.jobs for slot in self.slots):
            return
        while len(self.wishes) < AHEAD and self._may():
            others = {"ray.io/node-id": f"!in({','.join(sorted(avoid))})"} if avoid else {}
            bundle = self.groups.placement_group([self.wanted], bundle_label_selector=[others])
            here = self.strategies.PlacementGroupSchedulingStrategy(bundle, 0)
            self.wishes[self.place.options(scheduling_strategy=here).remote()] = bundle

    def _may(self) -> bool:
        return self.limit is None or len(self.slots) + len(self.wishes) < self.limit

    def granted(self, wish: Any) -> Slot:
        """Take what Ray has found room for.

        Raises:
            RayError: it was found, and lost again.
        """
        bundle = self.wishes.pop(wish)
        try:
            node, gpus = self.ray.get(wish)
        except self.ray.exceptions.RayError:
            self._give_back(bundle)
            raise
        slot = Slot(bundle, node, gpus)
        self.slots.append(slot)
        return slot

    def ended(self, key: str) -> None:
        """Note that a job no longer needs its bundle."""
        for slot in self.slots:
            if key in slot.jobs:
                slot.jobs.remove(key)
                slot.since = time.monotonic()

    def leave(self, node: str) -> None:
        """Give back what there is on a node."""
        for slot in self.slots:
            if slot.node == node:
                self._give_back(slot.bundle)
        self.slots = [slot for slot in self.slots if slot.node != node]

    def tidy(self) -> None:
        """Give back what no job has wanted for a while, but one: there may be another job."""
        late = time.monotonic() - IDLE
        idle = [slot for slot in self.slots if not slot.jobs and slot.since < late]
        for slot in idle[1:]:
            self.slots.remove(slot)
            self._give_back(slot.bundle)

    def close(self) -> None:
        """Give back everything."""
        for bundle in [*self.wishes.values(), *(slot.bundle for slot in self.slots)]:
            self._give_back(bundle)
        self.slots, self.wishes = [], {}

    def _give_back(self, bundle: Any) -> None:
        with suppress(self.ray.exceptions.RayError):
            self.groups.remove_placement_group(bundle)
