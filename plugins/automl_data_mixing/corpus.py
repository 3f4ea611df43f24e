"""Split documents without leakage, cut them into rows, and keep both with a manifest of hashes."""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from automl_data_mixing.domains import read
from automl_data_mixing.options import Domain, Options

GRAM = 13  # words in a row that are shared by accident only rarely
OVERLAP = 0.2  # part of a held-out document's grams that may occur in training documents
FEW = 20  # documents below which the tail of each is held out, instead of whole documents

Encode = Callable[[str], list[int]]


@dataclass(frozen=True, slots=True)
class Entry:
    """One domain in the manifest.

    `dropped` counts documents that were repeated, or held out but close to a training document.
    """

    name: str
    field: str
    documents: int
    dropped: int
    rows: int
    held_rows: int
    bytes: int
    held_bytes: int
    sha256: str
    licence: str
    max_epochs: float | None
    min_weight: float
    max_weight: float


@dataclass(frozen=True, slots=True)
class Corpus:
    """Rows of every domain in the order of their names, for training and held out.

    Attributes:
        entries: the manifest.
        training: by domain, (N_k, C + 1) tokens.
        held: by domain, (E_k, C + 1) tokens.
    """

    entries: tuple[Entry, ...]
    training: tuple[NDArray[Any], ...]
    held: tuple[NDArray[Any], ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the domains."""
        return tuple(entry.name for entry in self.entries)

    @property
    def fingerprint(self) -> str:
        """A hash of the manifest, which holds hashes of all rows."""
        text = json.dumps([asdict(entry) for entry in self.entries], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()


def build(options: Options, here: Path) -> Corpus:
    """Read, split and cut all domains of a study."""
    texts: dict[str, tuple[Domain, list[str]]] = {}
    for domain in options.domains:
        texts |= {name: (domain, docs) for name, docs in read(domain, here).items()}
    names = sorted(texts)
    unique, repeated = deduplicated({name: texts[name][1] for name in names})
    parts = {name: divided(unique[name], options.holdout) for name in names}
    seen = {gram for training, _ in parts.values() for text in training for gram in grams(text)}
    encode = encoder(options.tokenizer)
    made = [entry_of(name, texts[name][0], parts[name], (seen, encode, options)) for name in names]
    entries = tuple(counted(e, len(unique[e.name]), repeated[e.name]) for e, _, _ in made)
    return Corpus(entries, tuple(t for _, t, _ in made), tuple(h for _, _, h in made))


def counted(entry: Entry, unique: int, repeated: int) -> Entry:
    """Return an entry with its numbers of documents; few ones are all used, without some tails."""
    documents = entry.documents if unique >= FEW else unique
    return replace(entry, documents=documents, dropped=entry.dropped + repeated)


def deduplicated(texts: Mapping[str, list[str]]) -> tuple[dict[str, list[str]], dict[str, int]]:
    """Keep each document once over all domains; also return how many each domain lost."""
    seen: set[str] = set()
    kept: dict[str, list[str]] = {}
    for name, documents in texts.items():
        kept[name] = []
        for text in documents:
            key = digest(" ".join(text.split()).encode())
            if key not in seen:
                seen.add(key)
                kept[name].append(text)
    return kept, {name: len(texts[name]) - len(kept[name]) for name in texts}


def divided(documents: list[str], holdout: float) -> tuple[list[str], list[str]]:
    """Divide documents into training and held-out ones, by a hash of each document.

    A document stays on its side when others come or go. Where there are only a few documents the
    tail of each is held out.
    """
    if len(documents) < FEW:
        cuts = [int(len(text) * (1 - holdout)) for text in documents]
        pairs = list(zip(documents, cuts, strict=True))
        return [text[:cut] for text, cut in pairs], [text[cut:] for text, cut in pairs]
    held = {text for text in documents if int(digest(text.encode())[:8], 16) < holdout * 2**32}
    return [t for t in documents if t not in held], [t for t in documents if t in held]


def grams(text: str) -> set[int]:
    """Return hashes of all runs of 13 words of a text."""
    words = text.split()
    runs = (" ".join(words[i : i + GRAM]) for i in range(len(words) - GRAM + 1))
    return {int.from_bytes(hashlib.blake2b(r.encode(), digest_size=8).digest()) for r in runs}


def overlaps(text: str, seen: set[int]) -> bool:
    """Say whether too much of a held-out text occurs in training texts, word for word."""
    found = grams(text)
    return bool(found) and len(found & seen) > OVERLAP * len(found)


def entry_of(
    name: str,
    domain: Domain,
    parts: tuple[list[str], list[str]],
    tools: tuple[set[int], Encode, Options],
) -> tuple[Entry, NDArray[Any], NDArray[Any]]:
    """Cut one domain into rows, and describe it."""
    seen, encode, options = tools
    training, held = parts
    kept = [text for text in held if not overlaps(text, seen)]
    rows, held_rows = (packed(docs, encode, options.context) for docs in (training, kept))
    needed = 2 * options.feedback_rows  # as many for the metrics as policies see
    if not len(rows) or len(held_rows) < needed:
        raise ValueError(
            f"domain {name}: {len(rows)} rows of {options.context} tokens to train on and "
            f"{len(held_rows)} of {needed} held out, in {len(kept)} documents "
            f"({len(held) - len(kept)} more repeat training text); give it more text, or set a "
            "larger holdout, fewer feedback_rows or a smaller context"
        )
    entry = Entry(
        name=name,
        field=domain.field,
        documents=len(training) + len(kept),
        dropped=len(held) - len(kept),
        rows=len(rows),
        held_rows=len(held_rows),
        bytes=octets(training),
        held_bytes=octets(kept),
        sha256=digest(rows.tobytes() + held_rows.tobytes()),
        licence=domain.licence,
        max_epochs=domain.max_epochs,
        min_weight=domain.min_weight,
        max_weight=domain.max_weight,
    )
    return entry, rows, held_rows


def packed(documents: Iterable[str], encode: Encode, context: int) -> NDArray[Any]:
    """Join documents by blank lines and cut them into rows (N, C + 1) that overlap by one token."""
    tokens = encode("\n\n".join(documents))
    count = max(0, (len(tokens) - 1) // context)
    kind = np.uint8 if max(tokens, default=0) < 256 else np.int32
    flat = np.array(tokens[: count * context + 1], kind)
    if not count:
        return np.empty((0, context + 1), kind)
    return np.lib.stride_tricks.sliding_window_view(flat, context + 1)[::context].copy()


def encoder(name: str) -> Encode:
    """Return the function that turns a text into numbers."""
    if name == "bytes":
        return lambda text: list(text.encode())
    module, _, function = name.partition(":")
    try:
        found: Encode = getattr(import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(f"tokenizer: cannot import {name!r}: {error}") from error
    return found


def octets(documents: Iterable[str]) -> int:
    """Count the bytes of documents as they are packed."""
    return len("\n\n".join(documents).encode())


def digest(content: bytes) -> str:
    """Return the SHA-256 of some bytes as text."""
    return hashlib.sha256(content).hexdigest()


def save(corpus: Corpus, folder: Path) -> None:
    """Write the rows and, when they are complete, the manifest."""
    folder.mkdir(parents=True, exist_ok=True)
    for index in range(len(corpus.names)):
        np.save(folder / f"{index}.npy", corpus.training[index])
        np.save(folder / f"{index}-held.npy", corpus.held[index])
    text = json.dumps([asdict(entry) for entry in corpus.entries], indent=1)
    (folder / "manifest.json").write_text(text, encoding="utf-8")


def load(folder: Path) -> Corpus:
    """Open what `save` wrote; training rows stay on the disk until they are used."""
    entries = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    return Corpus(
        tuple(Entry(**entry) for entry in entries),
        tuple(np.load(folder / f"{i}.npy", mmap_mode="r") for i in range(len(entries))),
        tuple(np.load(folder / f"{i}-held.npy") for i in range(len(entries))),
    )
