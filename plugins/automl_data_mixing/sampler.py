"""Draw the rows of every batch from a mixture of domains, as a pure function of a tiny state.

Batch b takes its domains by systematic sampling from the weights that hold at b, and its rows from
a keyed shuffle of each domain: row j of domain k is place j mod N_k of the shuffle of epoch
j div N_k. What has been drawn is told by one counter a domain, so that a state is those counters,
the number of the batch and the weights. Weights belong to a batch number, never to "now": neither
prefetching nor a crash can apply a change early, late or twice.
"""

import hashlib
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from automl_data_mixing.shuffle import hashed, shuffled, uniform

Rows = tuple[NDArray[np.int16], NDArray[np.int64]]
HEAD = struct.Struct("<BHqH8s")  # version, domains, batch, entries of weights, fingerprint
VERSION = 1


@dataclass(frozen=True, slots=True)
class Stock:
    """What there is to draw from, which never changes while a run lasts.

    Attributes:
        sizes: number of rows of each domain.
        batch_size: rows in a batch, over all ranks.
        seed: of the shuffles and of the draws.
        epochs: how often each domain may be used; infinite if empty.
        manifest: hash of the rows themselves.
    """

    sizes: tuple[int, ...]
    batch_size: int
    seed: int = 0
    epochs: tuple[float, ...] = ()
    manifest: str = ""

    def __post_init__(self) -> None:
        if not self.sizes or min(self.sizes) < 1:
            raise ValueError(f"sizes: every domain needs a row, got {self.sizes}")
        if self.batch_size < 1:
            raise ValueError(f"batch_size: must be at least 1, got {self.batch_size}")
        if self.epochs and len(self.epochs) != len(self.sizes):
            raise ValueError(f"epochs: {len(self.epochs)} limits for {len(self.sizes)} domains")

    def fingerprint(self) -> bytes:
        """Return eight bytes that differ when anything of the stock does."""
        return hashlib.blake2b(repr(self).encode(), digest_size=8).digest()

    def limits(self) -> NDArray[np.float64]:
        """Return how many rows of each domain may be drawn."""
        epochs = np.array(self.epochs or [np.inf] * len(self.sizes), np.float64)
        return np.array(self.sizes, np.float64) * epochs


@dataclass(frozen=True, slots=True)
class Place:
    """Where a run is: the next batch, rows drawn of each domain, and weights by first batch.

    `weights` holds the entry that is in force and those to come; what is over is dropped.
    """

    batch: int
    counts: tuple[int, ...]
    weights: tuple[tuple[int, tuple[float, ...]], ...]

    def in_force(self) -> NDArray[np.float64]:
        """Return the weights of the next batch."""
        return np.array(next(w for start, w in reversed(self.weights) if start <= self.batch))

    def pack(self, stock: Stock) -> bytes:
        """Write the place in a few bytes: under a kilobyte for 52 domains and two mixtures."""
        head = HEAD.pack(
            VERSION, len(self.counts), self.batch, len(self.weights), stock.fingerprint()
        )
        entries = [struct.pack("<q", s) + np.array(w, "<f4").tobytes() for s, w in self.weights]
        return head + np.array(self.counts, "<i8").tobytes() + b"".join(entries)


def unpack(packed: bytes, stock: Stock) -> Place:
    """Read a place; raises ValueError if it belongs to other data, another seed or batch size."""
    version, domains, batch, entries, fingerprint = HEAD.unpack_from(packed)
    if version != VERSION:
        raise ValueError(f"mixture state: version {version} is not {VERSION}; start the run anew")
    if fingerprint != stock.fingerprint():
        raise ValueError(
            "mixture state: it belongs to other domains, another seed or another batch size; "
            "restore those or start the run anew"
        )
    body = packed[HEAD.size :]
    counts = np.frombuffer(body, "<i8", domains)
    width = 8 + 4 * domains
    blocks = [body[8 * domains + i * width :][:width] for i in range(entries)]
    weights = tuple(
        (int(struct.unpack_from("<q", b)[0]), tuple(np.frombuffer(b, "<f4", offset=8).tolist()))
        for b in blocks
    )
    return Place(batch, tuple(counts.tolist()), weights)


def normalized(weights: Sequence[float] | NDArray[np.float64]) -> tuple[float, ...]:
    """Check a mixture and round it to single precision, which is what a state keeps."""
    values = np.asarray(weights, np.float64)
    if not (np.isfinite(values).all() and (values >= 0).all() and values.sum() > 0):
        raise ValueError(f"weights: must be finite, not negative and not all 0, got {weights}")
    return tuple((values / values.sum()).astype(np.float32).tolist())


def domains_of(seed: int, batch: int, size: int, weights: NDArray[np.float64]) -> NDArray[np.int16]:
    """Draw the domain of each slot of a batch by systematic sampling, in random order.

    Returns:
        (size,) domain numbers; the count of domain k differs from size * p_k by less than 1.
    """
    edges = np.cumsum(weights)
    offset = uniform(seed, batch, 0)[0]
    points = np.minimum((offset + np.arange(size)) / size, np.nextafter(1, 0))
    order = np.argsort(hashed(seed, batch, 1, np.arange(size)), kind="stable")
    drawn = np.searchsorted(edges / edges[-1], points, side="right").astype(np.int16)
    found: NDArray[np.int16] = drawn[order]
    return found


def ranks(domains: NDArray[np.int16]) -> NDArray[np.int64]:
    """Return how many earlier slots of a batch have the same domain as each slot."""
    order = np.argsort(domains, kind="stable")
    ordered = domains[order]
    first = np.searchsorted(ordered, ordered, side="left")
    found = np.empty(len(domains), np.int64)
    found[order] = np.arange(len(domains)) - first
    return found


def available(stock: Stock, place: Place) -> NDArray[np.float64]:
    """Return the weights in force without the domains that one more batch would exhaust.

    Raises:
        ValueError: when nothing that has a weight is left.
    """
    weights, limits = place.in_force(), stock.limits()
    for _ in stock.sizes:
        need = np.ceil(stock.batch_size * weights / weights.sum())
        exhausted = (weights > 0) & (np.array(place.counts) + need > limits)
        if not exhausted.any():
            break
        weights = np.where(exhausted, 0.0, weights)
        if not weights.any():
            raise ValueError(
                f"batch {place.batch}: every domain with a weight is used up; "
                "raise max_epochs or train for fewer steps"
            )
    return weights


def draw(stock: Stock, place: Place) -> tuple[Rows, Place]:
    """Draw one batch; returns its domains and rows, and the place after it."""
    domains = domains_of(stock.seed, place.batch, stock.batch_size, available(stock, place))
    index = np.array(place.counts)[domains] + ranks(domains)
    sizes = np.array(stock.sizes)[domains]
    keys = hashed(stock.seed, domains.astype(np.int64), index // sizes)
    rows = shuffled((index % sizes).astype(np.uint64), sizes.astype(np.uint64), keys)
    counts = np.array(place.counts) + np.bincount(domains, minlength=len(stock.sizes))
    batch = place.batch + 1
    begun = [i for i, (start, _) in enumerate(place.weights) if start <= batch]
    after = Place(batch, tuple(counts.tolist()), place.weights[begun[-1] :])
    return (domains, rows.astype(np.int64)), after


@dataclass
class Sampler:
    """Draws batch after batch, and can be told new weights, asked for its state, and put back."""

    stock: Stock
    place: Place = field(init=False)

    def __post_init__(self) -> None:
        even = normalized([1.0] * len(self.stock.sizes))
        self.place = Place(0, (0,) * len(self.stock.sizes), ((0, even),))

    def next(self) -> Rows:
        """Return the domains (B,) and rows (B,) of the next batch."""
        rows, self.place = draw(self.stock, self.place)
        return rows

    def set_weights(
        self, weights: Sequence[float] | NDArray[np.float64], from_batch: int | None = None
    ) -> None:
        """Use a mixture from a batch on, by default the next one; it replaces later ones."""
        start = self.place.batch if from_batch is None else from_batch
        if start < self.place.batch:
            raise ValueError(f"from_batch: batch {start} is over, the next is {self.place.batch}")
        if len(weights) != len(self.stock.sizes):
            raise ValueError(f"weights: {len(weights)} for {len(self.stock.sizes)} domains")
        kept = tuple(entry for entry in self.place.weights if entry[0] < start)
        # an entry that starts at the next batch or before hides all that came before it
        kept = () if start <= self.place.batch else kept
        self.place = replace(self.place, weights=(*kept, (start, normalized(weights))))

    def state_dict(self) -> dict[str, bytes]:
        """Return the state: a few hundred bytes."""
        return {"place": self.place.pack(self.stock)}

    def load_state_dict(self, state: dict[str, bytes]) -> None:
        """Go to the place of a state; raises ValueError if it belongs to other data."""
        self.place = unpack(state["place"], self.stock)
