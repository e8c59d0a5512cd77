"""The settings of a run: what a file of `configs/` says, checked before hours are spent on it."""

from pathlib import Path
from typing import Self

import yaml
from pydantic import BaseModel, ConfigDict, model_validator


class RunConfig(BaseModel):
    """How a run learns and how long. Raises ValueError for a setting that is unknown, missing or of the wrong kind."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    rows: int
    """Rows of a step, each of several pairs."""
    row_tokens: int
    seed: int
    threads: int
    learning_rate: float
    """The highest: it is reached after the warm-up."""
    warmup_steps: int
    decay_share: float | None = None
    """The share of the run, at its end, in which the rate falls to 0. Without it the rate stays."""
    betas: tuple[float, float]
    weight_decay: float
    clip_norm: float
    steps: int | None = None
    """The length of a run is given in steps or in minutes of work on them."""
    minutes: float | None = None
    checkpoint_minutes: float
    probe_minutes: float

    @model_validator(mode="after")
    def _has_one_length(self) -> Self:
        if (self.steps is None) == (self.minutes is None):
            raise ValueError("give the length of a run in `steps` or in `minutes`")
        return self


class Imitate(BaseModel):
    """Weights of the three parts of the objective in `imitation.py`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    cross_entropy: float
    soft_targets: float
    hidden_states: float


class Config(RunConfig):
    """The settings of a model that is made from the teacher's layers."""

    encoder_layers: tuple[int, ...]
    """The teacher's; none for a decoder-only model."""
    decoder_layers: tuple[int, ...]
    max_source_tokens: int
    """What the translator may send to the finished model at once."""
    imitate: Imitate | None = None
    """Without it a step learns from the texts alone."""
    weights: dict[str, float] = {}
    """How often a source's pairs are shown in an epoch, where it is not what `data.yaml` says."""

    @classmethod
    def read(cls, path: Path) -> Self:
        return cls.model_validate(yaml.safe_load(path.read_text()))
