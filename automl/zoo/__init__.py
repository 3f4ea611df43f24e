"""Small networks and real data that need no download, for studies, tests and first steps.

Every name is imported when it is first used, so that naming the zoo costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from automl.zoo.convnet import ConvNet as ConvNet
    from automl.zoo.digits import Digits as Digits
    from automl.zoo.images import Images as Images
    from automl.zoo.mlp import MLP as MLP
    from automl.zoo.resnet import ResNet as ResNet
    from automl.zoo.tabular import Tabular as Tabular
    from automl.zoo.text import Text as Text
    from automl.zoo.text import TinyGPT as TinyGPT
    from automl.zoo.vit import ViT as ViT

HOME = {
    "ConvNet": "convnet",
    "Digits": "digits",
    "Images": "images",
    "MLP": "mlp",
    "ResNet": "resnet",
    "Tabular": "tabular",
    "Text": "text",
    "TinyGPT": "text",
    "ViT": "vit",
}

__all__ = sorted(HOME)  # noqa: PLE0605 - a sorted list of the table above


def __getattr__(name: str) -> Any:
    """Import a model or data module from its file when it is first asked for."""
    if name not in HOME:
        raise AttributeError(f"module 'automl.zoo' has no attribute {name!r}")
    return getattr(import_module(f"automl.zoo.{HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(HOME)
