"""A small language model trained by the policy gradient on rewards that a program verifies."""

import copy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.func import functional_call

from automl_reward_weights.decoding import Drawing, Drawn, decoder, draw, log_probs
from automl_reward_weights.influence import measured
from automl_reward_weights.ranks import gathered
from automl_reward_weights.scalarize import Scalarizer, even
from automl_reward_weights.verify import VERIFIED, declared, named, paid


class Tokenizer(Protocol):
    """Turns texts into tokens and back; `end` is the token that ends a completion."""

    end: int

    def encode(self, text: str) -> list[int]:
        """Return the tokens of a text."""

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens."""


class Bytes:
    """One token for each byte; the end of the line ends a completion."""

    end = 10

    def encode(self, text: str) -> list[int]:
        """Return the bytes of a text."""
        return list(text.encode())

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of bytes; what is no text becomes question marks."""
        return bytes(tokens).decode(errors="replace")


class Pretrained:
    """The tokenizer of a model of `transformers`, by name or folder."""

    def __init__(self, name: str) -> None:
        from transformers import AutoTokenizer  # type: ignore[import-not-found,unused-ignore]

        self.inner = AutoTokenizer.from_pretrained(name)
        self.end = int(self.inner.eos_token_id)

    def encode(self, text: str) -> list[int]:
        """Return the tokens of a text."""
        return list(self.inner.encode(text, add_special_tokens=False))

    def decode(self, tokens: Sequence[int]) -> str:
        """Return the text of tokens."""
        return str(self.inner.decode(list(tokens)))


class TextPolicy(pl.LightningModule):
    """A language model as a policy; a batch is a dict of `prompt` and `answer`, lists of texts.

    Args:
        network: from (B, C) tokens to (B, C, V) logits, such as `automl.zoo.TinyGPT`, which is
            the default; or a causal language model of `transformers`.
        pretrained: name or folder of a model of `transformers`, instead of a network.
        tokenizer: of the network; bytes by default.
        rewards: dotted paths of reward functions, by name; accuracy, brevity and form by default.
        group: rollouts of each prompt.
        length: most tokens of prompt and completion together.
        lr: step of AdamW.
        kl: weight of the divergence from the model that training started from.
        temperature: of the rollouts; evaluations take the likeliest tokens.
    """

    def __init__(  # noqa: PLR0913 - these are the settings of a study, each by name
        self,
        *,
        network: Any = None,
        pretrained: str | None = None,
        tokenizer: Any = None,
        rewards: dict[str, str] | None = None,
        group: int = 8,
        length: int = 64,
        lr: float = 3e-4,
        kl: float = 0.0,
        temperature: float = 1.0,
    ) -> None:
        super().__init__()
        self.functions = named(rewards or VERIFIED)
        self.rewards = declared(self.functions)
        self.scalarizer = Scalarizer(even(self.rewards))
        self.network, self.tokenizer = parts(network, pretrained, tokenizer, length)
        self.group, self.length, self.lr, self.kl = group, length, lr, kl
        self.temperature = temperature
        self.reference: tuple[Any, ...] = ()  # in a tuple, so that it is no part of the model
        self.found: list[Tensor] = []

    def forward(self, tokens: Tensor) -> Tensor:
        """Return the (B, C, V) logits after each of (B, C) tokens."""
        read = self.network(tokens)
        logits: Tensor = getattr(read, "logits", read)
        return logits

    def pretrained(self, data: Any) -> Any:
        """Return the network to be trained on demonstrations, or None if it needs none."""
        if not isinstance(self.network, pl.LightningModule) or not hasattr(data, "demonstrations"):
            return None
        data.demonstrations = True
        return self.network

    def start(self, path: Path) -> None:
        """Start from a network that was trained on demonstrations."""
        self.network.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))

    def setup(self, stage: str) -> None:
        """Keep a copy of the model that training starts from, if it must stay near it."""
        if stage == "fit" and self.kl and not self.reference:
            self.reference = (copy.deepcopy(self.network).eval().requires_grad_(False),)

    def roll_out(self, prompts: Sequence[str], temperature: float) -> tuple[Drawn, list[str]]:
        """Draw one completion for each prompt; return the tokens and the completions' texts."""
        seed = self.scalarizer.seed(self.global_step)
        generator = torch.Generator(self.device).manual_seed(seed)
        how = Drawing(self.length, self.tokenizer.end, temperature, generator)
        self.network.eval()
        tokens = [self.tokenizer.encode(prompt) for prompt in prompts]
        drawn = draw(decoder(self.network), tokens, how, self.device)
        self.network.train(self.training)
        return drawn, [self.text(*row) for row in zip(drawn.tokens, drawn.drawn, strict=True)]

    def text(self, tokens: Tensor, drawn: Tensor) -> str:
        """Return the text of the drawn tokens without the one that ends."""
        kept = [token for token in tokens[drawn].tolist() if token != self.tokenizer.end]
        text: str = self.tokenizer.decode(kept)
        return text

    def training_step(self, batch: Mapping[str, Sequence[str]], _index: int) -> Tensor:
        """Draw a group for each prompt and return the loss whose gradient is the policy's."""
        prompts = [text for text in batch["prompt"] for _ in range(self.group)]
        answers = [text for text in batch["answer"] for _ in range(self.group)]
        drawn, completions = self.roll_out(prompts, self.temperature)
        raw = torch.from_numpy(paid(self.functions, prompts, completions, answers))
        parameters = {f"network.{name}": p for name, p in self.network.named_parameters()}

        def whole(at: Mapping[str, Tensor]) -> Tensor:
            logits: Tensor = functional_call(self, dict(at), (drawn.tokens[:, :-1],))
            return log_probs(logits, drawn).sum(-1)

        advantages = self.scalarizer.advantages(
            raw.float().to(self.device),
            self.group,
            lambda alone, unit: measured(whole, parameters, alone, unit=unit),
        )
        each = log_probs(self(drawn.tokens[:, :-1]), drawn)
        loss: Tensor = -(advantages * each.sum(-1)).mean() + self.kl * self.divergence(each, drawn)
        return loss

    def divergence(self, each: Tensor, drawn: Drawn) -> Tensor:
        """Estimate the divergence from the reference: the mean over rollouts of r - 1 - log r.

        Source: Schulman, "Approximating KL divergence", 2020; r is the reference's probability of
        a drawn token over the policy's.
        """
        if not self.kl:
            return torch.zeros((), device=each.device)
        with torch.no_grad():
            read = self.reference[0].to(self.device)(drawn.tokens[:, :-1])
            theirs = log_probs(getattr(read, "logits", read), drawn)
        ratio = theirs - each
        return (ratio.exp() - 1 - ratio).sum(-1).mean()

    def validation_step(self, batch: Mapping[str, Sequence[str]], _index: int) -> None:
        """Take the likeliest completion of each prompt and note its rewards."""
        prompts, answers = list(batch["prompt"]), list(batch["answer"])
        _, completions = self.roll_out(prompts, 0.0)
        self.found.append(torch.from_numpy(paid(self.functions, prompts, completions, answers)))

    def on_validation_epoch_end(self) -> None:
        """Log the mean of each reward and its standard error."""
        values = torch.from_numpy(np.concatenate(gathered(torch.cat(self.found).numpy())))
        self.found.clear()
        for reward, column in zip(self.rewards, values.unbind(1), strict=True):
            error = column.std() / len(column) ** 0.5
            self.log(reward.metric, column.mean().float(), sync_dist=True)
            self.log(f"{reward.metric}_se", error.float(), sync_dist=True)

    def configure_optimizers(self) -> Any:
        """Use AdamW."""
        return torch.optim.AdamW(self.network.parameters(), lr=self.lr)


def parts(network: Any, pretrained: str | None, tokenizer: Any, length: int) -> tuple[Any, Any]:
    """Return the network and its tokenizer: the zoo's, `transformers`', or the user's own."""
    if pretrained is not None:
        try:
            from transformers import AutoModelForCausalLM  # type: ignore[import-not-found,unused-ignore]
        except ModuleNotFoundError as error:
            raise ValueError(
                f"pretrained: {pretrained!r} needs the package transformers; install it, or give "
                "a network"
            ) from error
        loaded = AutoModelForCausalLM.from_pretrained(pretrained)
        return without_dropout(loaded), Pretrained(pretrained)
    if network is None:
        from automl.zoo import TinyGPT

        network = TinyGPT(context=length)
    return network, tokenizer or Bytes()


def without_dropout(network: nn.Module) -> nn.Module:
    """Leave nothing to chance but what is drawn: its probability must be the one it is given."""
    for module in network.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
    return network.train()
