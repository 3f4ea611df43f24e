"""The networks of the zoo: their sizes, their training, and what they refuse."""

import subprocess
import sys

import pytest
import pytorch_lightning as pl
import torch

from automl import zoo
from automl.zoo.descent import Descent
from automl.zoo.vit import SelfAttention

QUIET = {
    "accelerator": "cpu",
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
}
# lightning advises worker processes, which data in memory does not need, and itself uses what
# torch has deprecated
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*LeafSpec.*is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore:.*does not have many workers"),
    pytest.mark.filterwarnings("ignore:.*number of training batches"),
]


def fit(model, data, **options):
    trainer = pl.Trainer(**QUIET | {"max_epochs": 1} | options)
    trainer.fit(model, data)
    return {name: float(value) for name, value in trainer.callback_metrics.items()}


def count(model):
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.fixture(autouse=True)
def _one_thread_and_a_seed():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    pl.seed_everything(0, verbose=False)
    yield
    torch.set_num_threads(before)


def test_a_small_convnet_reads_digits_within_eight_epochs():
    metrics = fit(zoo.ConvNet(width=16), zoo.Digits(), max_epochs=8)
    assert metrics["val_accuracy"] > 0.97
    assert {"train_loss", "val_loss"} <= metrics.keys()


def test_equal_seeds_train_equal_networks():
    runs = []
    for _ in range(2):
        pl.seed_everything(3, verbose=False)
        runs.append(fit(zoo.ConvNet(width=4, dropout=0.2), zoo.Digits(shift=1), max_epochs=2))
    assert runs[0] == runs[1]


def test_a_resnet_of_three_blocks_has_the_known_size():
    assert count(zoo.ResNet()) == 272_474


def test_a_convnet_has_the_size_of_its_closed_form():
    kernels = 9 * (1 * 6 + 6 * 12)
    assert count(zoo.ConvNet(width=6, depth=2)) == kernels + 2 * (6 + 12) + 12 * 10 + 10


@pytest.mark.parametrize("depth", [1, 3])
def test_a_vit_has_the_size_of_its_closed_form(depth):
    width, patches = 16, 4
    embedding = 4 * 4 * width + width + patches * width
    block = 4 * width * (width + 1) + 8 * width**2 + 5 * width + 4 * width
    network = zoo.ViT(width=width, depth=depth, heads=2, channels=1, size=8)
    assert count(network) == embedding + depth * block + 2 * width + 10 * (width + 1)


def test_self_attention_equals_the_layer_of_torch():
    ours = SelfAttention(8, 2)
    theirs = torch.nn.MultiheadAttention(8, 2, batch_first=True)
    theirs.in_proj_weight, theirs.in_proj_bias = (
        ours.query_key_value.weight,
        ours.query_key_value.bias,
    )
    theirs.out_proj = ours.out
    x = torch.randn(3, 5, 8)
    torch.testing.assert_close(ours(x), theirs(x, x, x, need_weights=False)[0])


@pytest.mark.parametrize(
    "model",
    [
        lambda: zoo.MLP(width=8),
        lambda: zoo.ResNet(width=4, blocks=1, channels=1, size=8),
        lambda: zoo.ViT(width=16, depth=1, heads=2, channels=1, size=8),
    ],
)
def test_each_network_learns_from_digits(model):
    model = model()
    with torch.no_grad():
        before = model.eval()(model.example_input_array)
    assert before.shape == (1, 10)
    assert fit(model.train(), zoo.Digits(), max_epochs=3)["val_accuracy"] > 0.5


def test_a_perceptron_without_classes_predicts_numbers():
    model = zoo.MLP(inputs=10, width=16, classes=0)
    metrics = fit(model, zoo.Tabular(table="diabetes"), max_epochs=10)
    assert metrics["val_r2"] > 0.3


@pytest.mark.parametrize("optimizer", ["sgd", "adam", "adamw"])
def test_biases_and_normalizations_do_not_decay(optimizer):
    descent = Descent(0.1, optimizer, weight_decay=0.5)
    matrices, vectors = descent.optimize(zoo.ConvNet().network).param_groups
    assert all(p.ndim > 1 for p in matrices["params"])
    assert matrices["weight_decay"] == 0.5
    assert all(p.ndim == 1 for p in vectors["params"])
    assert vectors["weight_decay"] == 0


def test_the_learning_rate_rises_to_its_peak_and_falls_to_nothing():
    factors = [Descent(1.0, warmup=0.1).factor(step, 100) for step in range(101)]
    assert factors[:10] == sorted(factors[:10])
    assert factors[10] == 1.0
    assert factors[10:] == sorted(factors[10:], reverse=True)
    assert factors[100] == pytest.approx(0)
    assert Descent(1.0, schedule="constant", warmup=0.1).factor(99, 100) == 1.0


@pytest.mark.parametrize(
    ("build", "words"),
    [
        (lambda: zoo.ConvNet(depth=4), "depth 4 halves images of 8 pixels"),
        (lambda: zoo.ConvNet(optimizer="lion"), "optimizer must be one of sgd, adam, adamw"),
        (lambda: zoo.ConvNet(schedule="linear"), "got 'linear'"),
        (lambda: zoo.ConvNet(lr=0), "lr must be above 0"),
        (lambda: zoo.MLP(warmup=1.0), "warmup is a fraction"),
        (lambda: zoo.MLP(width=0), "width must be at least 1, got 0"),
        (lambda: zoo.ViT(width=10, heads=4), "multiple of heads"),
        (lambda: zoo.ViT(size=30), "multiple of patch"),
    ],
)
def test_an_impossible_network_is_refused_with_its_value(build, words):
    with pytest.raises(ValueError, match=words):
        build()


def test_training_without_an_end_is_refused():
    with pytest.raises(ValueError, match="set max_epochs or max_steps"):
        fit(zoo.MLP(), zoo.Digits(), max_epochs=-1, max_time={"seconds": 1})


def test_naming_the_zoo_imports_nothing_heavy():
    code = "import sys, automl.zoo; dir(automl.zoo); print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert not {"torch", "sklearn", "pytorch_lightning", "numpy"} & set(loaded.stdout.split())


def test_an_unknown_name_of_the_zoo_is_refused():
    with pytest.raises(AttributeError, match="no attribute 'ConvNext'"):
        _ = zoo.ConvNext
