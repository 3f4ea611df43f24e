"""Images and labels of local parquet files, decoded once and shared by all trials."""

import hashlib
import os
import tempfile
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from automl.zoo.batches import InMemory, Samples, split


class Images(InMemory):
    """Images of one size with labels, from parquet files such as a copy of CIFAR-10.

    A file has a column of encoded images (JPEG, PNG, ...; bytes, or a struct that holds `bytes`)
    and one of labels from 0. What is decoded is kept in the machine's folder for temporary files
    and mapped into memory, so the trials of a study decode nothing and share one copy. Reading
    needs `pip install 'automl[parquet]'`.

    Args:
        path: file to train and validate on.
        test_path: file to test on; without it the test images are taken from `path`.
        subset: number of images to use of each file, chosen at random; all by default.
        val: fraction of the images of `path` to validate on.
        test: fraction of the images of `path` to test on, if there is no `test_path`.
        batch_size: images of a training batch.
        shift: most pixels by which a training image is shifted.
        flip: whether training images may be mirrored.
        image: name of the column of images.
        label: name of the column of labels.
        seed: of the subset and the split.
    """

    def __init__(  # noqa: PLR0913 - a study reaches each setting by its name
        self,
        path: str,
        *,
        test_path: str | None = None,
        subset: int | None = None,
        val: float = 0.1,
        test: float = 0.1,
        batch_size: int = 128,
        shift: int = 0,
        flip: bool = False,
        image: str = "image",
        label: str = "label",
        seed: int = 0,
    ) -> None:
        super().__init__(batch_size, shift=shift, flip=flip)
        if subset is not None and subset < 1:
            raise ValueError(f"subset must be at least 1, got {subset}")
        self.path, self.test_path, self.subset, self.seed = path, test_path, subset, seed
        self.val, self.test = val, 0.0 if test_path else test
        self.columns = (image, label)
        self.save_hyperparameters()

    def load(self) -> dict[str, Samples]:
        """Read the images and part them."""
        inputs, targets = self.read(self.path)
        parts = split(inputs, targets, val=self.val, test=self.test, seed=self.seed)
        if self.test_path is not None:
            parts["test"] = Samples(*self.read(self.test_path))
        return parts

    def read(self, path: str) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the (N, C, H, W) bytes and the (N,) labels of a file."""
        return decoded(Path(path), self.columns, self.subset, self.seed)


def decoded(
    path: Path, columns: tuple[str, str], subset: int | None, seed: int
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return images and labels of a parquet file, decoding them unless that was done before.

    Args:
        path: of the parquet file.
        columns: names of the images' and of the labels' column.
        subset: number of rows to choose at random; None for all.
        seed: of the choice.

    Returns:
        (N, C, H, W) images as bytes, and (N,) labels.
    """
    if not path.is_file():
        where = path.absolute()
        raise ValueError(f"{where}: no such file; give the path of a parquet file of images")
    folder = cache(path, columns, subset, seed)
    if not (folder / "labels.npy").exists():
        images, labels = decode(path, columns, subset, seed)
        write(folder / "images.npy", images)
        write(folder / "labels.npy", labels)  # last: its presence says that both are there
    # copy-on-write: torch refuses memory that cannot be written, and nothing here writes it
    images = np.load(folder / "images.npy", mmap_mode="c")
    return torch.from_numpy(images), torch.from_numpy(np.load(folder / "labels.npy"))


def cache(path: Path, columns: tuple[str, str], subset: int | None, seed: int) -> Path:
    """Return the folder of what is decoded; it changes when the file does."""
    file = path.resolve().stat()
    key = (str(path.resolve()), file.st_size, file.st_mtime_ns, columns, subset, seed)
    name = hashlib.sha256(repr(key).encode()).hexdigest()[:16]
    owned = Path(tempfile.gettempdir()) / f"automl-images-{os.getuid()}"
    owned.mkdir(mode=0o700, exist_ok=True)
    if owned.stat().st_uid != os.getuid():
        raise ValueError(f"{owned}: belongs to another user; set TMPDIR to a folder of your own")
    return owned / name


def decode(
    path: Path, columns: tuple[str, str], subset: int | None, seed: int
) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Decode the chosen rows of a parquet file."""
    try:
        from pyarrow import parquet
    except ImportError as error:
        raise ValueError("parquet files need pyarrow; pip install 'automl[parquet]'") from error
    table = parquet.read_table(path)
    if lost := [name for name in columns if name not in table.column_names]:
        raise ValueError(f"{path}: no column {lost[0]!r}; it has {', '.join(table.column_names)}")
    rows = np.random.default_rng(seed).permutation(table.num_rows)[:subset]
    chosen = table.select(list(columns)).take(rows)
    images = np.stack([pixels(encoded) for encoded in chosen[columns[0]].to_pylist()])
    return images, chosen[columns[1]].to_numpy().astype(np.int64)


def pixels(encoded: bytes | dict[str, bytes]) -> NDArray[np.uint8]:
    """Decode one image to (C, H, W) bytes; grey images have one channel, all others three."""
    from io import BytesIO

    from PIL import Image

    with Image.open(BytesIO(encoded["bytes"] if isinstance(encoded, dict) else encoded)) as image:
        grey = image.mode in {"L", "1"}
        array = np.asarray(image.convert("L" if grey else "RGB"), dtype=np.uint8)
    return array[None] if grey else np.ascontiguousarray(array.transpose(2, 0, 1))


def write(path: Path, array: NDArray[np.generic]) -> None:
    """Write an array so that a reader finds all of it or nothing."""
    path.parent.mkdir(exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
        np.save(file, array)
    Path(file.name).replace(path)
