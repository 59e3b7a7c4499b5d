"""What a tower is and how it is trained, in numbers."""

from dataclasses import dataclass
from typing import Literal

Loss = Literal["softmax", "logistic"]


@dataclass(frozen=True, slots=True)
class Config:
    """Sizes and rates; those that won on validation (docs/quality.md, "The tower")."""

    loss: Loss = "softmax"
    width: int = 128
    heads: int = 2
    dropout: float = 0.5
    attention_dropout: float = 0.2
    id_dropout: float = 0.0
    """How often an item is known by its text alone while it is learned. With .1 and .2 both what
    people had and what nobody had yet are found less often.
    """
    temperature: float = 0.07
    negatives: int = 2048
    rate: float = 2e-3
    decay: float = 0.02
    batch: int = 256
    """Users, or windows of their events, a step; fewer where these hold many events:"""
    events: int = 2_048
    events_an_epoch: int = 300_000
    most_epochs: int = 40
    patience: int = 3
