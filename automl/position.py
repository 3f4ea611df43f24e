"""Where a fit is: its place in the data and the states of everything that draws random numbers.

A loader that has `state_dict` says its place itself, and Lightning saves it. Of another, the
batches are counted: the epoch is begun once more with the random numbers that it was begun with,
and as many batches are left out.
"""

import random
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch

EPOCH_HOOKS = ("on_train_epoch_start", "on_train_epoch_end")  # between them a model may keep things


def steady(trainer: Any) -> bool:
    """Say whether an optimizer step has just been made and nothing else is due before the next."""
    loop = trainer.fit_loop.epoch_loop
    if loop.batch_progress.is_last_batch or loop._is_training_done or loop._should_accumulate():  # noqa: SLF001 - nothing public says it
        return False
    every = trainer.val_check_batch
    if every is None:  # validation goes by the clock
        return False
    whole = trainer.check_val_every_n_epoch is None
    done = loop.total_batch_idx + 1 if whole else loop.batch_idx + 1
    return bool(every == float("inf") or done % every)


def countable(trainer: Any) -> bool:
    """Say whether a fit can go on exactly from the middle of an epoch.

    A model that has hooks at both ends of an epoch may keep things in between that no checkpoint
    has, unless it loads a checkpoint in its own way. What it does at the end of a batch comes after
    a checkpoint is written.
    """
    module, fetcher = trainer.lightning_module, trainer.fit_loop._data_fetcher  # noqa: SLF001 - nothing public has it
    known = own(module, "on_load_checkpoint") or not any(own(module, name) for name in EPOCH_HOOKS)
    others = [one for one in trainer.callbacks if own(one, EPOCH_HOOKS[0])]
    kept = all(own(one, "state_dict") for one in others)
    kinds = {stateful(one) for one in loaders(trainer)}
    alike = len(kinds) == 1 and not (kinds == {True} and ahead(trainer))
    taken = hasattr(fetcher, "iterator_wrapper")  # the model takes batches itself
    late = own(module, "on_train_batch_end")
    return known and kept and alike and not (late or taken or reloads(trainer))


def reloads(trainer: Any) -> bool:
    """Say whether loaders are made anew in the course of a fit."""
    return bool(trainer.reload_dataloaders_every_n_epochs)


def own(thing: Any, name: str) -> bool:
    """Say whether a model or a callback has a method that is not Lightning's."""
    module = getattr(getattr(type(thing), name, None), "__module__", "")
    return not module.startswith(("pytorch_lightning.", "lightning."))


def loaders(trainer: Any) -> list[Any]:
    """Return the loaders of the training data."""
    return list(trainer.fit_loop._combined_loader.flattened)  # noqa: SLF001 - nothing public has all


def stateful(loader: Any) -> bool:
    """Say whether a loader can tell its place and go to one."""
    return hasattr(loader, "state_dict") and hasattr(loader, "load_state_dict")


def ahead(trainer: Any) -> bool:
    """Say whether Lightning reads a batch ahead, to see which is the last: no length is known."""
    return trainer.fit_loop._data_fetcher.length is None  # noqa: SLF001 - nothing public has it


def begin_again(trainer: Any, batches: int, late: Mapping[str, Any] | None) -> None:
    """Begin the epoch as in the beginning, and leave out batches that were trained on.

    The first epoch has been begun by now as it always is.

    Args:
        trainer: of the fit.
        batches: how many.
        late: the random numbers before the last of them was taken, when one ahead of it was read.
    """
    if all(stateful(one) for one in loaders(trainer)):
        return
    fetcher = trainer.fit_loop._data_fetcher  # noqa: SLF001 - nothing public has it
    epoch = trainer.fit_loop.epoch_progress.current.processed
    for part in parts(trainer):
        if hasattr(part, "set_epoch"):
            part.set_epoch(epoch)
    if epoch > 0:
        iter(fetcher)
    for left in reversed(range(batches)):
        if not left and late:
            restore_random(trainer, late)
        next(fetcher)
    fetcher.fetched = 0  # Lightning adds those that a checkpoint counts


def parts(trainer: Any) -> Iterator[Any]:
    """Yield the loaders and what they sample with."""
    for loader in loaders(trainer):
        batches = getattr(loader, "batch_sampler", None)
        found = (loader, getattr(loader, "sampler", None), batches)
        yield from (one for one in (*found, getattr(batches, "sampler", None)) if one is not None)


def generators(trainer: Any) -> list[torch.Generator]:
    """Return the generators that loaders were given, each once."""
    found = [getattr(part, "generator", None) for part in parts(trainer)]
    return list({id(one): one for one in found if isinstance(one, torch.Generator)}.values())


def random_state(trainer: Any) -> dict[str, Any]:
    """Return the states of all generators, in types that `weights_only` loading allows."""
    version, inner, gauss = random.getstate()
    _, keys, position, has_gauss, cached = np.random.get_state()  # noqa: NPY002 - users' code draws here
    return {
        "python": [version, list(inner), gauss],
        "numpy": [torch.from_numpy(np.asarray(keys).astype(np.int64)), position, has_gauss, cached],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        "loaders": [one.get_state() for one in generators(trainer)],
    }


def restore_random(trainer: Any, state: Mapping[str, Any]) -> None:
    """Set all generators to what `random_state` returned."""
    version, inner, gauss = state["python"]
    random.setstate((version, tuple(inner), gauss))
    keys, position, has_gauss, cached = state["numpy"]
    words = keys.numpy().astype(np.uint32)
    np.random.set_state(("MT19937", words, position, has_gauss, cached))  # noqa: NPY002 - as above
    torch.set_rng_state(state["torch"])
    if state["cuda"]:
        torch.cuda.set_rng_state_all(state["cuda"])
    for one, kept in zip(generators(trainer), state["loaders"], strict=False):
        one.set_state(kept)
