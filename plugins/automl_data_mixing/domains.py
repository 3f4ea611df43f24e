"""Read the documents of a domain from files; a problem names the file and the row."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from string import Formatter
from typing import Any

from automl_data_mixing import builtin
from automl_data_mixing.options import Domain

Row = tuple[str, Mapping[str, Any]]  # where it is, and its columns


def read(domain: Domain, here: Path) -> dict[str, list[str]]:
    """Read a domain, and split it if it asks for that.

    Args:
        domain: what to read.
        here: the folder that relative paths start from.

    Returns:
        Documents by name of domain: one, or several called `domain/part`.

    Raises:
        ValueError: if a file is missing, empty or malformed, with its name and row.
    """
    labelled = limited(pairs(domain, here), domain.limit)
    parts: dict[str, list[str]] = {}
    for label, text in labelled:
        parts.setdefault(f"{domain.name}/{label}" if label else domain.name, []).append(text)
    if not parts:
        raise ValueError(f"domain {domain.name}: {domain.origin} holds no text; name other files")
    if domain.clusters:
        return clustered(domain.name, parts[domain.name], domain.clusters)
    return parts


def limited(labelled: Iterable[tuple[str, str]], limit: int) -> Iterator[tuple[str, str]]:
    """Yield texts until they are `limit` bytes together; the last is cut."""
    left = limit
    for label, text in labelled:
        if left <= 0:
            return
        kept = text.encode()[:left].decode(errors="ignore")
        left -= len(text.encode())
        if kept.strip():
            yield label, kept


def pairs(domain: Domain, here: Path) -> Iterator[tuple[str, str]]:
    """Yield label and text of each document; without `by` the label is empty."""
    match domain.kind:
        case "builtin":
            yield from (("", text) for text in builtin.documents(domain.origin, domain.limit))
        case "text":
            yield from (("", decoded(path)) for path in files(domain, here))
        case "jsonl":
            yield from filled(domain, jsonl(files(domain, here)))
        case "parquet":
            yield from filled(domain, parquet(files(domain, here)))
        case "datasets":
            yield from filled(domain, hub(domain))


def files(domain: Domain, here: Path) -> list[Path]:
    """Return the files that a path or glob names, in order of their names."""
    path = Path(domain.path)
    root = Path(path.anchor) if path.is_absolute() else here
    pattern = str(path.relative_to(root)) if path.is_absolute() else domain.path
    found = [root / pattern] if (root / pattern).is_file() else sorted(root.glob(pattern))
    if not (found := [path for path in found if path.is_file()]):
        raise ValueError(f"domain {domain.name}: no file matches {root / pattern}")
    return found


def decoded(path: Path) -> str:
    """Read a file as UTF-8; raises ValueError with its name and the line that is not."""
    content = path.read_bytes()
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ValueError(f"{path}:{line}: not UTF-8; convert the file") from error


def jsonl(paths: Iterable[Path]) -> Iterator[Row]:
    """Yield the rows of files with one JSON object a line."""
    for path in paths:
        for number, line in enumerate(decoded(path).split("\n"), 1):
            if line.strip():
                yield f"{path}:{number}", parsed(line, f"{path}:{number}")


def parsed(line: str, where: str) -> Mapping[str, Any]:
    """Read one line as a JSON object."""
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"{where}: not JSON: {error.msg} at column {error.colno}") from error
    if not isinstance(row, dict):
        text = f"{where}: expected an object with columns, got {line[:40]!r}"
        raise ValueError(text)  # noqa: TRY004 - what is wrong is a file, not a call
    return row


def parquet(paths: Iterable[Path]) -> Iterator[Row]:
    """Yield the rows of parquet files."""
    try:
        from pyarrow import ArrowException
        from pyarrow import parquet as files
    except ImportError as error:
        raise ValueError("a parquet domain needs pyarrow; pip install 'automl[parquet]'") from error
    for path in paths:
        try:
            table = files.ParquetFile(path)
        except (ArrowException, OSError) as error:
            raise ValueError(f"{path}: not a parquet file: {error}") from error
        rows = (row for batch in table.iter_batches(1_024) for row in batch.to_pylist())
        yield from ((f"{path}:{number}", row) for number, row in enumerate(rows, 1))


def hub(domain: Domain) -> Iterator[Row]:
    """Yield the rows of a data set of the `datasets` library, streamed."""
    try:
        import datasets  # type: ignore[import-not-found,unused-ignore]
    except ImportError as error:
        raise ValueError(
            f"domain {domain.name}: kind datasets needs that library; pip install datasets"
        ) from error
    rows = datasets.load_dataset(domain.origin, split=domain.split, streaming=True)
    yield from ((f"{domain.origin}:{number}", row) for number, row in enumerate(rows, 1))


class Filler(Formatter):
    """Fills templates; a field that is empty counts as missing."""

    def get_field(self, field_name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        """Return what stands for a field; raises LookupError with its name if there is nothing."""
        try:
            found, first = super().get_field(field_name, args, kwargs)
        except (LookupError, TypeError, AttributeError):
            found, first = None, field_name
        if found is None:
            raise LookupError(field_name)
        return found, first


def filled(domain: Domain, rows: Iterable[Row]) -> Iterator[tuple[str, str]]:
    """Fill the template of a domain with the columns of each row."""
    filler = Filler()
    for where, row in rows:
        try:
            text = filler.vformat(domain.text, (), row)
            label = "" if domain.by is None else str(filler.get_field(domain.by, (), row)[0])
            text.encode()
        except LookupError as error:
            columns = ", ".join(name for name, value in sorted(row.items()) if value is not None)
            raise ValueError(
                f"{where}: no column {error.args[0]!r} for domain {domain.name}; the row has "
                f"{columns or 'none'}; fill it in, or leave the row out"
            ) from error
        except ValueError as error:
            raise ValueError(f"{where}: {error}; for domain {domain.name}") from error
        yield label, text


def clustered(name: str, texts: list[str], clusters: int) -> dict[str, list[str]]:
    """Split texts by k-means on hashed word frequencies, into `name/0` and so on."""
    from sklearn.cluster import KMeans
    from sklearn.feature_extraction.text import HashingVectorizer, TfidfTransformer

    if len(texts) < clusters:
        raise ValueError(f"domain {name}: {len(texts)} documents are too few for {clusters} parts")
    counts = HashingVectorizer(n_features=2**12, alternate_sign=False).transform(texts)
    vectors = TfidfTransformer().fit_transform(counts)
    labels = KMeans(clusters, n_init=3, random_state=0).fit_predict(vectors)
    return {
        f"{name}/{k}": [t for t, label in zip(texts, labels, strict=True) if label == k]
        for k in range(clusters)
    }
