"""Runs jobs on the nodes of a Ray cluster: bundles of Ray's, and a local engine on each node.

What a job needs is one bundle, for which Ray finds room on one node, and by which a cluster that
grows by itself knows what is missing. An actor on each node that has bundles forks the jobs.
"""

import time
import warnings
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import replace
from typing import Any, Literal

from automl.engines import cluster
from automl.engines.freight import extend
from automl.engines.placing import Bundles, Slot
from automl.engines.remote import Remote, belongings, start
from automl.errors import AutomlError
from automl.events import Ended, Event, Outcome, Started
from automl.history import Failure
from automl.job import JobSpec
from automl.study import Resources

PATIENCE = 60.0  # seconds to wait for a node that has what a job needs
AGAIN = 10.0  # seconds after which a node whose actor has died gets another one
TICK = 0.5  # seconds between two looks at what is wrong, while there is no room
GOODBYE = 5.0  # seconds that nodes may take to kill what runs
Handle = Callable[[Event], None]


class RayEngine:
    """As many processes at once as a cluster has room for.

    Args:
        resources: what one job needs; `parallel` counts the jobs of all nodes.
        address: `local` starts a cluster of this machine alone; `auto` joins the one that runs here
            or that `RAY_ADDRESS` names; `host:port` joins that one.
        classes: what jobs import.

    Raises:
        AutomlError: Ray is not installed, there is no such cluster, or one of its nodes has other
            versions than the driver.
    """

    def __init__(
        self, resources: Resources, address: str | None = None, classes: Sequence[str] = ()
    ) -> None:
        self.ray = cluster.library()
        self.resources, self.classes = resources, tuple(classes)
        self.wanted = cluster.need(resources)
        self.nodes: dict[str, Remote] = {}
        self.left_out: dict[str, float] = {}  # nodes that are not to be used, and until when
        self.refusal = ""  # why the last node that was left out was
        self.said: list[Event] = []  # what nobody has polled yet
        self.ours = not self.ray.is_initialized()
        if self.ours:
            cluster.join(self.ray, address or "auto", resources)
        with ExitStack() as unless_ready:
            unless_ready.callback(self._leave)
            fitting = [node for node in self.ray.nodes() if cluster.fits(self.wanted, node)]
            self.versions = cluster.check(self.ray, fitting)
            unless_ready.pop_all()
        limit = resources.parallel if isinstance(resources.parallel, int) else None
        self.bundles = Bundles(self.ray, self.wanted, limit)

    def capacity(self) -> int:
        """Return how many more jobs could start now; waits for room if nothing runs.

        Raises:
            AutomlError: there is no node that has room, and none comes.
        """
        self.bundles.wish(self._avoided())
        if not any(node.running for node in self.nodes.values()):
            self._await_room()
        return len(self._free())

    def submit(self, spec: JobSpec) -> None:
        """Start a job where the fewest run; waits for room if there is none."""
        self._await_room()
        slot = min(self._free(), key=lambda one: len(self.nodes[one.node].running))
        node = self.nodes[slot.node]
        slot.jobs.add(spec.key)
        node.running[spec.key] = spec
        with suppress(self.ray.exceptions.RayError):  # then the node is gone, which is heard of
            wrong = "" if node.met else node.meet(spec)
            if wrong:
                node.met = False
                self._end(node, spec)
                self.said.append(Ended(spec, Outcome("broken", message=wrong)))
                return
            node.send(spec.shared, *([spec.folder] if spec.attempt else []))
            node.actor.submit.remote(spec, slot.gpus)

    def poll(self, handle: Handle, timeout: float) -> None:
        """Hand out what the nodes said; the jobs of a node that is gone are lost."""
        said = self.said or self._hear(timeout)
        self.said = []
        for event in said:
            handle(event)
        self.bundles.tidy()

    def tell(self, key: str, word: Literal["stop", "mapped", "kill"]) -> None:
        """Pass on a word to the node that runs the job."""
        for node in self.nodes.values():
            if key in node.running:
                with suppress(self.ray.exceptions.RayError):
                    if word == "mapped":
                        node.send(node.running[key].shared)
                    node.actor.tell.remote(key, word)

    def close(self) -> None:
        """Kill what still runs, and leave the cluster; one that was started for us ends."""
        if not self.ray.is_initialized():
            return
        with suppress(self.ray.exceptions.RayError):
            ends = [node.actor.close.remote() for node in self.nodes.values() if node.ready]
            if ends:
                self.ray.wait(ends, num_returns=len(ends), timeout=GOODBYE)
            for node in self.nodes.values():
                self.ray.kill(node.actor)
            self.bundles.close()
        self.nodes.clear()
        self._leave()

    def _leave(self) -> None:
        if self.ours:
            self.ray.shutdown()

    def _free(self) -> list[Slot]:
        ready = {name for name, node in self.nodes.items() if node.ready}
        return [slot for slot in self.bundles.slots if slot.free and slot.node in ready]

    def _avoided(self) -> list[str]:
        now = time.monotonic()
        return [name for name, until in self.left_out.items() if until > now]

    def _await_room(self) -> None:
        """Wait for room: long while others use it, but not for a node that does not come."""
        began = time.monotonic()
        while not self._free():
            self.bundles.wish(self._avoided())
            self.said += self._hear(TICK)
            if time.monotonic() - began > PATIENCE and not self._free():
                self._refuse()

    def _refuse(self) -> None:
        if self.refusal and not any(node.ready for node in self.nodes.values()):
            raise AutomlError(f"engine: {self.refusal}")
        nodes = self.ray.nodes()
        if not any(cluster.fits(self.wanted, node) for node in nodes):
            raise AutomlError(cluster.nothing_fits(self.wanted, nodes))

    def _hear(self, timeout: float) -> list[Event]:
        """Collect what nodes have said, and what they can no longer say."""
        asks = {node.ask: node for node in self.nodes.values()}
        every = [*asks, *self.bundles.wishes]
        if not every:
            time.sleep(timeout)
            return []
        ready, _ = self.ray.wait(every, num_returns=1, timeout=timeout)
        if ready:  # and whatever else is
            ready, _ = self.ray.wait(every, num_returns=len(every), timeout=0)
        said: list[Event] = []
        for one in ready:
            if one in asks:
                said += self._answered(asks[one])
            else:
                self._granted(one)
        return said

    def _granted(self, wish: Any) -> None:
        """Take a bundle into use; the first one of a node puts an actor there."""
        with suppress(self.ray.exceptions.RayError):  # it is asked for again
            name = self.bundles.granted(wish).node
            if name in self._avoided():
                self.bundles.leave(name)
            elif name not in self.nodes:
                host = self._host(name)
                self.nodes[name] = start(self.ray, name, host, self.resources, self.classes)

    def _host(self, name: str) -> str:
        """Return the name of a node's machine, with Ray's name of it if it has several nodes."""
        hosts = {node["NodeID"]: cluster.called(node) for node in self.ray.nodes()}
        host = hosts.get(name, name)
        return host if list(hosts.values()).count(host) < 2 else f"{host}/{name[:6]}"

    def _answered(self, node: Remote) -> list[Event]:
        try:
            answer = self.ray.get(node.ask)
        except self.ray.exceptions.RayError as error:
            return self._gone(node, error)
        if not node.ready:
            self._introduced(node, answer)
            return []
        node.listen()
        said, printed = answer
        for piece in printed:
            extend(piece)
        return [event for one in said if (event := self._take_in(node, one)) is not None]

    def _introduced(self, node: Remote, versions: dict[str, str]) -> None:
        """Use a node, unless its versions are others: its results would not compare."""
        differ = cluster.differences(self.versions, versions)
        said = f"node {node.host} has another environment: {differ}"
        if cluster.without_code(self.versions) != cluster.without_code(versions):
            self.refusal = said
            self._drop(node, float("inf"))
            warnings.warn(f"{said}; it is not used", stacklevel=2)
            return
        if differ:  # somebody has edited it since the driver began
            warnings.warn(f"{said}; it is used all the same", stacklevel=2)
        node.ready, self.refusal = True, ""
        node.listen()

    def _take_in(self, node: Remote, event: Event) -> Event | None:
        """Complete what a node said; None if it is gone before its files could be fetched."""
        if isinstance(event, Started):
            return replace(event, host=node.host)
        if isinstance(event, Ended):
            try:
                node.fetch(*belongings(event.spec))
            except self.ray.exceptions.RayError:
                return None
            if event.spec.kind == "trial":
                node.remove(event.spec.folder)
            self._end(node, event.spec)
        return event

    def _end(self, node: Remote, spec: JobSpec) -> None:
        node.running.pop(spec.key, None)
        self.bundles.ended(spec.key)

    def _gone(self, node: Remote, error: Exception) -> list[Event]:
        """Forget a node whose actor is gone; the attempts that it ran are lost, nothing else."""
        said = f"node {node.host} is gone: {cluster.reason(error)}"
        if not node.ready:
            self.refusal = said
        self._drop(node, time.monotonic() + AGAIN)
        lost = Outcome("failed", failure=Failure("lost", said))
        return [Ended(spec, lost) for spec in node.running.values()]

    def _drop(self, node: Remote, until: float) -> None:
        self.nodes.pop(node.id)
        self.left_out[node.id] = until
        self.bundles.leave(node.id)
        self.ray.kill(node.actor)
