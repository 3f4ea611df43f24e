"""The name that was probably meant: the nearest one by Damerau-Levenshtein distance.

Notation follows Roy Lowrance and Robert A. Wagner, "An Extension of the String-to-String Correction
Problem", 1975: a swap of neighbours costs one, as an insertion, deletion or replacement does.
"""

from collections.abc import Collection, Iterable

LONGEST = 64  # characters of a name that is worth comparing; keeps hostile files cheap
LISTED = 12  # names that are listed where none is near


def distance(left: str, right: str) -> int:
    """Count the insertions, deletions, replacements and swaps that turn one text into the other."""
    far = len(left) + len(right)
    width = len(right) + 2
    table: list[list[int]] = [[far] * width, [far, *range(len(right) + 1)]]
    table += [[far, row + 1, *([0] * len(right))] for row in range(len(left))]
    last_row: dict[str, int] = {}
    for i, a in enumerate(left, start=1):
        last_match = 0
        for j, b in enumerate(right, start=1):
            k, m = last_row.get(b, 0), last_match
            if a == b:
                last_match = j
            table[i + 1][j + 1] = min(
                table[i][j] + (a != b),
                table[i + 1][j] + 1,
                table[i][j + 1] + 1,
                table[k][m] + (i - k - 1) + 1 + (j - m - 1),
            )
        last_row[a] = i
    return table[-1][-1]


def nearest(name: object, names: Iterable[str], prefer: Collection[str] = ()) -> str | None:
    """Return the name that was probably meant, or None where none is near.

    Near is at most one slip in three characters, or a name of which this one is a whole part, as
    `epochs` is of `max_epochs`. Of two that are as near, one of `prefer` wins, then the first.
    """
    if not isinstance(name, str) or not 0 < len(name) <= LONGEST:
        return None
    ranked = [
        (slips + (1 if prefer and other not in prefer else 0), order, other)
        for order, other in enumerate(names)
        if (slips := _slips(*_apart(name.lower(), other.lower()))) is not None
    ]
    return min(ranked)[2] if ranked else None


def _apart(name: str, other: str) -> tuple[str, str]:
    """Drop the words before dots that two names share: a slip is in what is left."""
    head, dot, rest = name.partition(".")
    while dot and other.startswith(head + dot):
        name, other = rest, other[len(head) + 1 :]
        head, dot, rest = name.partition(".")
    return name, other


def _slips(name: str, other: str) -> int | None:
    """Count the slips between two names that are near."""
    limit = max(1, len(name) // 3)
    if abs(len(name) - len(other)) <= limit and (slips := distance(name, other)) <= limit:
        return slips
    part = len(name) > 2 and (name in other.split("_") or other in name.split("_"))
    return limit if part else None


def did_you_mean(name: object, names: Iterable[str], prefer: Collection[str] = ()) -> str:
    """Write the end of a message: `; did you mean 'x'?`, or nothing where no name is near."""
    meant = nearest(name, names, prefer)
    return f"; did you mean {meant!r}?" if meant else ""


def did_you_mean_or_known(name: object, names: Collection[str]) -> str:
    """Write the end of a message: the nearest name, or all there are if they are few."""
    if not 0 < len(names) <= LISTED:
        return did_you_mean(name, names)
    return did_you_mean(name, names) or f"; known: {', '.join(names)}"
