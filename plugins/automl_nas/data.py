"""Parts of the data: weights and estimates share none of it, and neither sees what is tested."""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch.utils.data import DataLoader, Subset

from automl import PluginError
from automl_nas.paths import seed_of
from automl_nas.steps import moved

SAME = 0.01  # part of a data set that may, as a duplicate, be in another one too
LARGE = 512  # images whose statistics norms use


def training_loader(data: Any) -> DataLoader[Any]:
    """Return the training loader of a data module, which must have a length and a batch size."""
    if data is None:
        raise PluginError("nas: needs a data module; give `data` in the study")
    data.setup("fit")
    loader = data.train_dataloader()
    if not isinstance(loader, DataLoader) or not hasattr(loader.dataset, "__len__"):
        raise PluginError("nas: training data must be one DataLoader over a dataset with a length")
    if loader.batch_size is None:
        raise PluginError("nas: the training DataLoader must have a batch size")
    return loader


def parts(count: int, share: float, seed: int) -> tuple[list[int], list[int]]:
    """Part sample numbers at random into those for weights and those for estimates."""
    generator = torch.Generator().manual_seed(seed_of(seed, "parts") % 2**63)
    order = torch.randperm(count, generator=generator).tolist()
    kept = max(1, min(count - 1, round(count * share)))
    return sorted(order[kept:]), sorted(order[:kept])


def part(loader: DataLoader[Any], indices: list[int], *, shuffle: bool) -> DataLoader[Any]:
    """Return a loader of some of the samples, made like another one."""
    return DataLoader(
        Subset(loader.dataset, indices),
        batch_size=loader.batch_size,
        shuffle=shuffle,
        num_workers=loader.num_workers,
        collate_fn=loader.collate_fn,
        pin_memory=loader.pin_memory,
    )


def weights_only(data: Any, share: float, seed: int) -> None:
    """Make a data module train on the part for weights, in place."""
    whole = data.train_dataloader

    def train_dataloader() -> DataLoader[Any]:
        loader = whole()
        return part(loader, parts(len(loader.dataset), share, seed)[0], shuffle=True)

    data.train_dataloader = train_dataloader


def batches_of(data: Any, share: float, seed: int, device: str) -> tuple[list[Any], Any]:
    """Return the batches for estimates, and one large batch of the part for weights.

    Both are the same on every call: in order, without shuffling.
    """
    loader = training_loader(data)
    weights, score = parts(len(loader.dataset), share, seed)  # type: ignore[arg-type]  # has a length
    place = torch.device(device)
    large = DataLoader(
        Subset(loader.dataset, weights[:LARGE]), batch_size=LARGE, collate_fn=loader.collate_fn
    )
    batches = [moved(batch, place) for batch in part(loader, score, shuffle=False)]
    return batches, moved(next(iter(large)), place)


def check_parts(data: Any) -> None:
    """Refuse data whose training, validation and test sets share samples.

    Raises:
        PluginError: more than one sample in a hundred of a set is in another one too.
    """
    found = dict(sets(data))
    prints = {name: fingerprints(dataset) for name, dataset in found.items()}
    for first, second in (("train", "val"), ("train", "test"), ("val", "test")):
        if first not in prints or second not in prints:
            continue
        common = len(prints[first] & prints[second])
        if common > SAME * min(len(prints[first]), len(prints[second])):
            raise PluginError(
                f"nas: {common} samples are both in the {first} and the {second} data; estimates "
                "would be judged on what they were made from: part the data"
            )


def sets(data: Any) -> Iterator[tuple[str, Any]]:
    """Yield the data sets of a data module by name, as far as it has them."""
    yield "train", training_loader(data).dataset
    for name, stage in (("val", "validate"), ("test", "test")):
        hook = f"{name}_dataloader"
        if getattr(type(data), hook).__qualname__.startswith("DataHooks."):
            continue  # Lightning's own default, which raises: there is no such set
        data.setup(stage)
        dataset = getattr(getattr(data, hook)(), "dataset", None)
        if hasattr(dataset, "__len__"):
            yield name, dataset


def fingerprints(dataset: Any) -> set[bytes]:
    """Return a hash of each sample."""
    return {fingerprint(dataset[index]) for index in range(len(dataset))}


def fingerprint(sample: Any) -> bytes:
    """Return a hash of the numbers and texts of a sample."""
    digest = hashlib.blake2b(digest_size=16)
    for value in flat(sample):
        digest.update(value)
    return digest.digest()


def flat(sample: Any) -> Iterator[bytes]:
    """Yield the bytes of every part of a sample."""
    match sample:
        case torch.Tensor():
            yield sample.detach().cpu().contiguous().numpy().tobytes()
        case Mapping():
            for value in sample.values():
                yield from flat(value)
        case list() | tuple():
            for value in sample:
                yield from flat(value)
        case _:
            yield repr(sample).encode()
