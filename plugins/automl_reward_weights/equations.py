"""Equations of two numbers to be answered in words: prompts, answers and demonstrations."""

import json
import random
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor
from torch.utils.data import DataLoader

EQUATION = re.compile(r"<<(\d+)([-+*/])(\d+)=(\d+)>>")
SENTENCES = (
    "The result is {}.",
    "That makes {} in all.",
    "So there are {} of them.",
    "Together they have {} coins.",
    "She pays {} for all of it.",
)
IGNORED = -100  # target that cross-entropy leaves out
END = 10  # ends a completion


@dataclass(frozen=True, slots=True)
class Equation:
    """A prompt such as `48/2=`, its answer, and a sentence that contains the answer."""

    prompt: str
    answer: str
    sentence: str


class Equations(pl.LightningDataModule):
    """Prompts with answers, or demonstrations to learn the form from.

    Demonstrations answer in one of three styles: the number alone, a sentence, or a sentence with
    the marked number after it.

    Args:
        train: a file of GSM8K, whose worked steps hold the equations; made ones if none.
        test: another such file for the held-out prompts.
        batch_size: prompts of an update, or demonstrations of a supervised step.
        evaluate: prompts of an evaluation.
        held: prompts that are held out.
        context: bytes of prompt and completion together; what is longer is left out.
        demonstrations: give demonstrations rather than prompts.
        seed: of the made equations, the split and the style of each demonstration.
        order: seed of the order in each epoch.
    """

    def __init__(  # noqa: PLR0913 - these are the settings of a study, each by name
        self,
        *,
        train: str | None = None,
        test: str | None = None,
        batch_size: int = 12,
        evaluate: int = 128,
        held: int = 512,
        context: int = 64,
        demonstrations: bool = False,
        seed: int = 0,
        order: int = 0,
    ) -> None:
        super().__init__()
        self.files = train, test
        self.batch_size, self.evaluate, self.held = batch_size, evaluate, held
        self.context, self.demonstrations = context, demonstrations
        self.seed, self.order = seed, order
        self.held_out = False

    def setup(self, stage: str | None = None) -> None:
        """Read or make the equations; a prompt is in one of the three parts only."""
        del stage
        train, test = self.files
        chance = random.Random(self.seed)
        known = read(Path(train)) if train else invented(6000, chance)
        others = read(Path(test)) if test else known
        held = {equation.prompt: equation for equation in others}
        self.put_aside = [held[prompt] for prompt in shuffled(held, chance)[: self.held]]
        taken = {equation.prompt for equation in self.put_aside}
        rest = {equation.prompt: equation for equation in known if equation.prompt not in taken}
        self.evaluated = [rest[prompt] for prompt in shuffled(rest, chance)[: self.evaluate]]
        taken |= {equation.prompt for equation in self.evaluated}
        self.trained = [equation for equation in known if equation.prompt not in taken]

    def train_dataloader(self) -> Any:
        """Return prompts, or demonstrations, in a new order each epoch."""
        return self.loader(self.trained, shuffle=True)

    def val_dataloader(self) -> Any:
        """Return the prompts of an evaluation, or those that are held out."""
        return self.loader(self.put_aside if self.held_out else self.evaluated, shuffle=False)

    def loader(self, equations: list[Equation], *, shuffle: bool) -> Any:
        """Return a loader over prompts with answers, or over demonstrations."""
        generator = torch.Generator().manual_seed(self.order)
        if self.demonstrations:
            chance = random.Random(self.seed)
            texts = [demonstration(equation, chance, self.context) for equation in equations]
            rows: Any = [pair(prompt, text, self.context) for prompt, text in texts]
        else:
            rows = [{"prompt": one.prompt, "answer": one.answer} for one in equations]
        size = self.batch_size if shuffle else 128
        return DataLoader(rows, size, shuffle=shuffle, drop_last=shuffle, generator=generator)


def shuffled(prompts: Iterable[str], chance: random.Random) -> list[str]:
    """Return prompts in an order that depends on chance alone."""
    ordered = sorted(prompts)
    chance.shuffle(ordered)
    return ordered


def read(path: Path) -> list[Equation]:
    """Read the equations of whole numbers in the worked steps of a GSM8K file."""
    found = []
    for row in path.read_text(encoding="utf-8").splitlines():
        for line in json.loads(row)["answer"].splitlines():
            for left, sign, right, result in EQUATION.findall(line):
                sentence = re.sub(r"<<.*?>>", "", line)
                found.append(Equation(f"{left}{sign}{right}=", result, sentence))
    return found


def invented(count: int, chance: random.Random) -> list[Equation]:
    """Make sums and products of small numbers, with sentences that contain the result."""
    made = []
    for _ in range(count):
        left, right, sign = chance.randint(1, 60), chance.randint(1, 20), chance.choice("+*-")
        left = left + right if sign == "-" else left
        result = {"+": left + right, "*": left * right, "-": left - right}[sign]
        sentence = chance.choice(SENTENCES).format(result)
        made.append(Equation(f"{left}{sign}{right}=", str(result), sentence))
    return made


def demonstration(equation: Equation, chance: random.Random, context: int) -> tuple[str, str]:
    """Return a prompt and an answer in one of three styles; the shortest where others are long."""
    marked = f"{equation.sentence} ####{equation.answer}"
    text = chance.choice([equation.answer, equation.sentence, marked])
    room = context - len(equation.prompt.encode()) - 1
    return equation.prompt, text if len(text.encode()) <= room else equation.answer


def pair(prompt: str, text: str, context: int) -> tuple[Tensor, Tensor]:
    """Return (context,) tokens and the tokens after them; what follows the end is ignored."""
    line = [*prompt.encode(), *text.encode(), END]
    tokens = torch.zeros(context, dtype=torch.long)
    targets = torch.full((context,), IGNORED)
    tokens[: len(line) - 1] = torch.tensor(line[:-1])
    targets[: len(line) - 1] = torch.tensor(line[1:])
    return tokens, targets
