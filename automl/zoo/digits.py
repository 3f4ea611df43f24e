"""The 1,797 handwritten digits of 8 by 8 pixels that come with scikit-learn."""

import torch
from sklearn.datasets import load_digits

from automl.zoo.batches import InMemory, Samples, split


class Digits(InMemory):
    """Handwritten digits as (1, 8, 8) images in [0, 1].

    Args:
        batch_size: images of a training batch.
        val: fraction of the images to validate on.
        test: fraction of the images to test on.
        shift: most pixels by which a training image is shifted.
        seed: of the split.
    """

    def __init__(
        self,
        *,
        batch_size: int = 32,
        val: float = 0.2,
        test: float = 0.2,
        shift: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__(batch_size, shift=shift)
        self.val, self.test, self.seed = val, test, seed
        self.save_hyperparameters()

    def load(self) -> dict[str, Samples]:
        """Read the digits and part them."""
        digits = load_digits()
        images = torch.from_numpy(digits.images).float().unsqueeze(1) / 16  # inks are 0 to 16
        targets = torch.from_numpy(digits.target).long()
        return split(images, targets, val=self.val, test=self.test, seed=self.seed)
