"""The archive of a run: the reward vectors that no other one dominates, and their origin."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from automl_reward_weights.rewards import Reward, normalized
from automl_reward_weights.volume import Array, delta, hypervolume, non_dominated

LARGEST = 64  # entries; beyond it the one that adds least is dropped


@dataclass(frozen=True, slots=True)
class Entry:
    """One evaluated policy: values and standard errors in the rewards' own units.

    `weights` are those that trained it last; `checkpoint` is a path below the trial's folder.
    """

    values: tuple[float, ...]
    errors: tuple[float, ...]
    step: int
    weights: tuple[float, ...]
    checkpoint: str = ""


@dataclass(frozen=True, slots=True)
class Archive:
    """Entries that do not dominate one another; `reference` is the (K,) normalized one."""

    rewards: tuple[Reward, ...]
    reference: tuple[float, ...]
    entries: tuple[Entry, ...] = ()

    def front(self) -> Array:
        """Return the (n, K) normalized values of the entries."""
        raw = np.array([entry.values for entry in self.entries], dtype=np.float64)
        return normalized(self.rewards, raw.reshape(-1, len(self.rewards)))

    def point(self, entry: Entry, caution: float = 0.0) -> Array:
        """Return the (K,) normalized values of an entry, less `caution` standard errors."""
        low, high = np.array([reward.bounds for reward in self.rewards]).T
        values = normalized(self.rewards, np.array(entry.values))
        careful = values - caution * np.array(entry.errors) / (high - low)
        return np.asarray(careful, dtype=np.float64)

    def hypervolume(self) -> float:
        """Return the normalized hypervolume of the entries."""
        return hypervolume(self.front(), np.array(self.reference))

    def gain(self, entry: Entry, caution: float = 0.0) -> float:
        """Return what an entry would add to the hypervolume, less `caution` standard errors."""
        return delta(self.front(), self.point(entry, caution), np.array(self.reference))

    def add(self, entry: Entry) -> "Archive":
        """Return the archive with an entry and without those that it dominates."""
        return self.of([*self.entries, entry])

    def of(self, entries: Iterable[Entry]) -> "Archive":
        """Return an archive of the non-dominated among `entries`, at most `LARGEST`."""
        kept = replace(self, entries=tuple(entries))
        kept = kept.picked(non_dominated(kept.front()))
        while len(kept.entries) > LARGEST:
            kept = kept.picked(np.arange(len(kept.entries)) != kept.least())
        return kept

    def picked(self, keep: Iterable[bool]) -> "Archive":
        """Return the archive of the entries where `keep` holds."""
        pairs = zip(self.entries, keep, strict=True)
        return replace(self, entries=tuple(entry for entry, kept in pairs if kept))

    def least(self) -> int:
        """Return the index of the entry without which the hypervolume falls least."""
        front, reference = self.front(), np.array(self.reference)
        without = [hypervolume(np.delete(front, i, axis=0), reference) for i in range(len(front))]
        return int(np.argmax(without))

    def rows(self) -> list[dict[str, Any]]:
        """Return the entries as plain values that JSON and `torch.save` keep."""
        return [asdict(entry) for entry in self.entries]

    def from_rows(self, rows: Iterable[Mapping[str, Any]]) -> "Archive":
        """Return the archive with the entries that `rows` wrote."""
        return replace(self, entries=tuple(map(entry_from, rows)))


def entry_from(row: Mapping[str, Any]) -> Entry:
    """Read an entry from its row."""
    triples = {key: tuple(map(float, row[key])) for key in ("values", "errors", "weights")}
    return Entry(step=int(row["step"]), checkpoint=str(row["checkpoint"]), **triples)


def merged(archives: Sequence[Archive]) -> Archive:
    """Merge archives of the same rewards and reference into one."""
    first = archives[0]
    if other := next((a for a in archives if a.reference != first.reference), None):
        raise ValueError(
            f"archives: references {first.reference} and {other.reference} differ; "
            "merge archives of one study only"
        )
    return first.of(entry for archive in archives for entry in archive.entries)


def expected_utility(front: Array, preferences: Array) -> float:
    """Return the mean over (m, K) preferences of the best weighted sum among (n, K) points."""
    return float((preferences @ front.T).max(axis=1).mean()) if len(front) else 0.0
