"""The loader: the same rows for any ranks and workers, and an exact resume inside Lightning."""

import hashlib

import numpy as np
import pytest
import pytorch_lightning as pl
import torch
from torch import nn

from automl_data_mixing.corpus import Corpus, Entry
from automl_data_mixing.loader import MixtureData, MixtureLoader
from automl_data_mixing.sampler import Stock

SIZES = (40, 7, 90)
STOCK = Stock(SIZES, 8, seed=3)


def corpus():
    """Make rows that tell their domain and number."""
    training = tuple(
        np.stack([np.full(5, 100 * k + row, np.int32) for row in range(size)])
        for k, size in enumerate(SIZES)
    )
    entries = tuple(
        Entry(f"d{k}", "source", 1, 0, n, 2, n, 2, "", "", None, 0, 1) for k, n in enumerate(SIZES)
    )
    return Corpus(entries, training, tuple(rows[:2] for rows in training))


def loader(**options):
    return MixtureLoader(corpus(), STOCK, 12, **options)


def rows(batches):
    return [tokens[:, 0].tolist() for tokens, _ in batches]


def test_the_next_tokens_stand_one_place_further_on():
    tokens, targets = next(iter(loader()))
    assert tokens.shape == targets.shape == (8, 4)
    assert tokens.dtype == torch.int64


@pytest.mark.parametrize("world", [2, 4])
def test_ranks_share_the_batches_of_a_single_process(world):
    shares = [rows(loader(rank=rank, world=world)) for rank in range(world)]
    woven = [
        [share[batch][i] for i in range(8 // world) for share in shares] for batch in range(12)
    ]
    assert woven == rows(loader())


def test_a_batch_that_ranks_cannot_share_is_refused():
    with pytest.raises(ValueError, match="8 cannot be divided among 3"):
        loader(rank=0, world=3)


@pytest.mark.parametrize("workers", [1, 4])
def test_workers_change_nothing_even_through_a_re_weighting(workers):
    streams = []
    for number in (0, workers):
        made, seen = loader(workers=number), []
        for batch, (tokens, _) in enumerate(made):
            seen.append(tokens[:, 0].tolist())
            if batch == 5:
                made.sampler.set_weights([0.0, 1.0, 0.0])
        streams.append(seen)
    assert streams[0] == streams[1]
    assert all(100 <= row < 200 for row in streams[0][6])
    assert not all(100 <= row < 200 for row in streams[0][5])


def test_a_state_taken_while_workers_read_ahead_is_of_the_batch_in_hand():
    made, other = loader(workers=4), loader()
    batches = iter(made)
    head = [next(batches)[0][:, 0].tolist() for _ in range(5)]
    other.load_state_dict(made.state_dict())
    assert head + rows(other) == rows(loader())


def test_a_run_goes_on_with_another_number_of_ranks():
    first, whole = loader(), rows(loader())
    batches = iter(first)
    for _ in range(5):
        next(batches)
    shares = []
    for rank in range(2):
        half = loader(rank=rank, world=2)
        half.load_state_dict(first.state_dict())
        shares.append(rows(half))
    assert [sorted(a + b) for a, b in zip(*shares, strict=True)] == [sorted(r) for r in whole[5:]]


def test_a_loader_that_is_through_goes_on_with_other_rows():
    made = loader()
    assert rows(made) != rows(made)
    assert made.sampler.place.batch == 24


class Recorder(pl.LightningModule):
    """Learns one number and hashes every row that it sees."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.digests = []

    def training_step(self, batch, _index):
        self.digests.append(hashlib.sha256(batch[0].numpy().tobytes()).hexdigest())
        return (self.weight - batch[0].float().mean() / 100).square().sum()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def fit(folder, steps, checkpoint=None):
    model = Recorder()
    trainer = pl.Trainer(
        max_steps=steps,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        accelerator="cpu",
        limit_val_batches=0,
        callbacks=[pl.callbacks.ModelCheckpoint(folder, every_n_train_steps=7, save_top_k=-1)],
    )
    data = MixtureData(corpus(), STOCK, 12)
    trainer.fit(model, data, ckpt_path=checkpoint, weights_only=True)
    return model


@pytest.mark.filterwarnings("ignore:.*does not have many workers:UserWarning")
@pytest.mark.filterwarnings("ignore:.*treespec, LeafSpec.*")
@pytest.mark.filterwarnings("ignore:.*log_every_n_steps.*:UserWarning")
@pytest.mark.filterwarnings("ignore:.*validation_step.*:UserWarning")
@pytest.mark.filterwarnings("ignore:.*directory .* exists and is not empty:UserWarning")
def test_lightning_resumes_in_the_middle_of_an_epoch_without_losing_a_batch(tmp_path):
    whole = fit(tmp_path / "whole", 12)
    fit(tmp_path / "cut", 7)
    resumed = fit(tmp_path / "cut", 12, tmp_path / "cut" / "epoch=0-step=7.ckpt")
    assert len(whole.digests) == 12
    assert resumed.digests == whole.digests[7:]
    assert torch.equal(resumed.weight, whole.weight)
