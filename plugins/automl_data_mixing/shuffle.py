"""Shuffles and random numbers that are pure functions of integers: nothing to store, or to resume.

The shuffle is a Feistel network on pairs of residues with cycle walking (J. Black and P. Rogaway,
Ciphers with Arbitrary Finite Domains, 2002), keyed by SplitMix64 (G. Steele, D. Lea and C. Flood,
Fast Splittable Pseudorandom Number Generators, 2014). It needs to look random, not to be secret.
"""

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

Words: TypeAlias = NDArray[np.uint64]

GOLDEN = np.uint64(0x9E3779B97F4A7C15)
ROUNDS = 6


def scramble(words: Words) -> Words:
    """Map 64-bit words to words that look unrelated, one to one (the finalizer of SplitMix64)."""
    words = (words ^ (words >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    words = (words ^ (words >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return words ^ (words >> np.uint64(31))


def hashed(*parts: Any) -> Words:
    """Hash whole numbers, or arrays of them that broadcast, into 64-bit words."""
    word: Words = np.zeros(1, np.uint64)
    for part in parts:
        word = scramble(word * GOLDEN + np.asarray(part).astype(np.uint64) + GOLDEN)
    return word


def uniform(*parts: Any) -> NDArray[np.float64]:
    """Return numbers in [0, 1) that depend on nothing but whole numbers."""
    return (hashed(*parts) >> np.uint64(11)).astype(np.float64) * 2.0**-53


def shuffled(places: Words, sizes: Words, keys: Words) -> Words:
    """Return where a keyed permutation of 0 … size-1 sends each place.

    Args:
        places: (B,) each below its size.
        sizes: (B,) lengths of the permutations.
        keys: (B,) which of the permutations of that length.

    Returns:
        (B,) for each size and key, a permutation of the places.
    """
    rows = np.ceil(np.sqrt(sizes.astype(np.float64))).astype(np.uint64)
    columns = (sizes + rows - np.uint64(1)) // rows
    found = crossed(places, rows, columns, keys)
    # the grid has fewer than `rows` cells too many; who lands on one walks on
    while (outside := found >= sizes).any():
        found[outside] = crossed(found[outside], rows[outside], columns[outside], keys[outside])
    return found


def crossed(places: Words, rows: Words, columns: Words, keys: Words) -> Words:
    """Permute the cells of grids of `rows` by `columns`, in a Feistel network of six rounds."""
    row, column = places // columns, places % columns
    for turn in range(0, ROUNDS, 2):
        row = (row + hashed(keys, turn, column) % rows) % rows
        column = (column + hashed(keys, turn + 1, row) % columns) % columns
    return row * columns + column
