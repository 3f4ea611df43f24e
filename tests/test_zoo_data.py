"""The data of the zoo: splits, orders, augmentation and decoded images."""

import io

import numpy as np
import pytest
import torch
from shared_data import shared

from automl import zoo
from automl.zoo.batches import Samples, Shuffle, jitter

parquet = pytest.importorskip("pyarrow.parquet")
image = pytest.importorskip("PIL.Image")


def ready(data):
    data.setup()
    return data


def write_images(path, count, mode="RGB"):
    rng = np.random.default_rng(0)
    shape = (count, 6, 5) if mode == "L" else (count, 6, 5, 3)
    pixels = rng.integers(0, 256, shape, dtype=np.uint8)
    encoded = []
    for one in pixels:
        file = io.BytesIO()
        image.fromarray(one).save(file, "png")
        encoded.append(file.getvalue())
    import pyarrow as pa

    parquet.write_table(pa.table({"image": encoded, "label": list(range(count))}), path)
    return pixels


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    return tmp_path


def test_the_splits_of_the_digits_are_parts_of_one_whole():
    data = ready(zoo.Digits(val=0.25, test=0.1))
    sizes = {name: len(part) for name, part in data.splits.items()}
    assert sizes == {"train": 1168, "val": 449, "test": 180}
    targets = torch.cat([part.targets for part in data.splits.values()])
    assert torch.bincount(targets).tolist() == [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]


def test_the_seed_of_the_data_chooses_the_split():
    first, same, other = (ready(zoo.Digits(seed=s)).splits["val"].targets for s in (0, 0, 1))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_a_batch_is_the_samples_that_the_loader_chose():
    loader = ready(zoo.Digits(batch_size=7)).val_dataloader()
    inputs, targets = next(iter(loader))
    samples = [loader.dataset[i] for i in range(len(targets))]
    assert torch.equal(inputs, torch.stack([s[0] for s in samples]))
    assert torch.equal(targets, torch.stack([s[1] for s in samples]))


def test_each_epoch_has_an_order_that_depends_on_the_seed_and_the_epoch():
    torch.manual_seed(5)
    torch.rand(3)  # what was drawn before does not matter
    shuffle = Shuffle(20)
    orders = []
    for epoch in (0, 1, 0):
        shuffle.set_epoch(epoch)
        orders.append(list(shuffle))
    assert orders[0] == orders[2] != orders[1]
    assert sorted(orders[1]) == list(range(20))


@pytest.mark.parametrize(("flip", "choices"), [(False, 9), (True, 18)])
def test_jitter_draws_every_shift_and_no_other_image(flip, choices):
    picture = torch.arange(1.0, 13.0).reshape(1, 1, 3, 4)
    padded = torch.nn.functional.pad(picture, (1, 1, 1, 1))
    shifts = [padded[:, :, r : r + 3, c : c + 4] for r in range(3) for c in range(3)]
    allowed = {tuple(s.flatten().tolist()) for s in shifts}
    if flip:
        allowed |= {tuple(s.flip(3).flatten().tolist()) for s in shifts}
    generator = torch.Generator().manual_seed(0)
    drawn = jitter(picture.repeat(500, 1, 1, 1), shift=1, flip=flip, generator=generator)
    assert {tuple(d.flatten().tolist()) for d in drawn} == allowed
    assert len(allowed) == choices


def test_jitter_keeps_channels_together():
    pictures = torch.rand(20, 1, 5, 5).repeat(1, 3, 1, 1)
    moved = jitter(pictures, shift=2, flip=True, generator=torch.Generator().manual_seed(0))
    assert torch.equal(moved[:, 0], moved[:, 2])


@pytest.mark.parametrize(
    ("table", "features", "classes"),
    [("iris", 4, 3), ("wine", 13, 3), ("breast_cancer", 30, 2), ("diabetes", 10, 0)],
)
def test_tables_are_standardized_by_their_training_rows(table, features, classes):
    train = ready(zoo.Tabular(table=table)).splits["train"]
    assert train.inputs.shape[1] == features
    torch.testing.assert_close(train.inputs.mean(0), torch.zeros(features), atol=1e-5, rtol=0)
    torch.testing.assert_close(train.inputs.std(0), torch.ones(features))
    if classes:
        assert train.targets.unique().tolist() == list(range(classes))
    else:
        torch.testing.assert_close(train.targets.std(), torch.tensor(1.0))


def test_images_are_decoded_exactly(temporary):
    pixels = write_images(temporary / "a.parquet", 10)
    data = ready(zoo.Images(str(temporary / "a.parquet"), val=0.2, test=0.2))
    assert {name: len(part) for name, part in data.splits.items()} == {
        "train": 6,
        "val": 2,
        "test": 2,
    }
    for part in data.splits.values():
        for got, label in part:
            expected = torch.from_numpy(pixels[label]).permute(2, 0, 1) / 255
            torch.testing.assert_close(got, expected)


def test_images_are_decoded_once(temporary, monkeypatch):
    path = temporary / "a.parquet"
    write_images(path, 4, mode="L")
    first = ready(zoo.Images(str(path))).splits["train"].inputs
    monkeypatch.setattr("automl.zoo.images.decode", None)  # a second call would fail
    again = ready(zoo.Images(str(path))).splits["train"].inputs
    assert torch.equal(first, again)
    assert first.shape == (4, 1, 6, 5)


def test_a_changed_file_is_decoded_again(temporary):
    path = temporary / "a.parquet"
    write_images(path, 4)
    ready(zoo.Images(str(path)))
    write_images(path, 5)
    assert sum(map(len, ready(zoo.Images(str(path))).splits.values())) == 5


def test_a_subset_is_drawn_from_all_rows_and_a_second_file_is_for_testing(temporary):
    write_images(temporary / "a.parquet", 30)
    write_images(temporary / "b.parquet", 5)
    data = zoo.Images(
        str(temporary / "a.parquet"), test_path=str(temporary / "b.parquet"), subset=8
    )
    splits = ready(data).splits
    assert (len(splits["train"]) + len(splits["val"]), len(splits["test"])) == (8, 5)
    assert max(splits["train"].targets) > 8


def test_cifar10_has_fifty_thousand_images_of_ten_classes(temporary):
    data = ready(zoo.Images(str(shared("cifar10-test.parquet")), subset=200))
    assert data.splits["train"].inputs.shape == (160, 3, 32, 32)
    assert set(data.splits["train"].targets.tolist()) == set(range(10))


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda _: zoo.Digits(batch_size=0), "batch_size 0"),
        (lambda _: ready(zoo.Digits(val=0.6, test=0.4)), "fractions that leave a rest"),
        (lambda _: zoo.Tabular(table="titanic"), "got 'titanic'"),
        (lambda _: ready(zoo.Images("absent.parquet")), "absent.parquet: no such file"),
        (lambda path: ready(zoo.Images(path, label="class")), "no column 'class'"),
        (lambda path: zoo.Images(path, subset=0), "subset must be at least 1"),
        (lambda _: Samples(torch.zeros(3), torch.zeros(2)), "3 inputs, but 2 targets"),
    ],
)
def test_impossible_data_are_refused_with_their_value(build, words, temporary):
    write_images(temporary / "a.parquet", 3)
    with pytest.raises(ValueError, match=words):
        build(str(temporary / "a.parquet"))
