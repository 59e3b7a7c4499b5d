"""A tower's two halves in torch: items to places in the learned space, users' events to a place in
the same space; and the two losses that teach them.

Parameters are a plain mapping of tensors, so that `graph` can write what serves from it. Where a
`chance` is given, what is computed is learned from, and some of it dropped.
"""

import math
from collections.abc import Mapping

import torch
from torch import Generator, Tensor
from torch.nn import functional

from windowshop.records import KINDS
from windowshop.tower import NEWEST
from windowshop.train.tower.config import Config

Weights = dict[str, Tensor]

EPSILON = 1e-5
BURIED = -1e9


def new_weights(config: Config, dim: int, items: int, chance: Generator) -> Weights:
    """Weights at the start, drawn: text vectors [dim], `items` ids."""
    wide = config.width

    def normal(*shape: int, std: float = 0.02) -> Tensor:
        return torch.randn(*shape, generator=chance) * std

    def dense(name: str, out: int, width: int) -> Weights:
        bound = (6 / (out + width)) ** 0.5
        weight = (torch.rand(out, width, generator=chance) * 2 - 1) * bound
        return {f"{name}.weight": weight, f"{name}.bias": torch.zeros(out)}

    def norm(name: str) -> Weights:
        return {f"{name}.weight": torch.ones(wide), f"{name}.bias": torch.zeros(wide)}

    return {
        "linear": normal(dim, wide, std=wide**-0.5),
        "bias": torch.zeros(wide),
        "ids": normal(items, wide),
        "scale": torch.ones(()),
        "places": normal(NEWEST, wide),  # the newest event's comes last
        "kinds": normal(len(KINDS), wide),
        "step": normal(wide),
        "fade": torch.zeros(config.heads),
        "odds": -torch.log(torch.tensor(float(max(items, 2)))),
        **norm("before"),
        **dense("mix", 3 * wide, wide),
        **dense("mixed", wide, wide),
        **norm("between"),
        **dense("widen", wide, wide),
        **dense("narrow", wide, wide),
        **norm("after"),
    }


def item_vectors(
    weights: Mapping[str, Tensor],
    config: Config,
    numbers: Tensor,
    text: Tensor,
    chance: Generator | None = None,
) -> Tensor:
    """Unit vectors [n, width] of items by number (-1: without an id) and text vectors [n, dim]."""
    held = numbers >= 0
    if chance is not None and config.id_dropout:
        drawn = torch.rand(len(held), device=held.device, generator=chance)
        held = held & (drawn >= config.id_dropout)
    ids = weights["ids"][numbers.clamp(min=0)] * held[:, None]
    return functional.normalize(text @ weights["linear"] + weights["bias"] + ids, dim=-1)


def user_vectors(
    weights: Mapping[str, Tensor],
    config: Config,
    items: Tensor,
    kinds: Tensor,
    days: Tensor,
    there: Tensor,
    chance: Generator | None = None,
) -> Tensor:
    """What each event leads to: unit vectors [b, l, width] from item vectors [b, l, width], kinds,
    days before the newest [b, l], and which of them are there.
    """
    length, drop = items.shape[1], config.dropout
    before = torch.cat((days[:, :1], days[:, :-1]), dim=1)
    step = torch.log1p((before - days).clamp(min=0))[..., None]
    x = items * weights["scale"] + weights["places"][NEWEST - length :]
    x = x + weights["kinds"][kinds] + step * weights["step"]
    x = _drop(x, drop, chance)
    mixed = _attention(weights, config, _norm(weights, "before", x), days, there, chance)
    x = x + _drop(mixed, drop, chance)
    wide = functional.gelu(_dense(weights, "widen", _norm(weights, "between", x)))
    narrow = _dense(weights, "narrow", _drop(wide, drop, chance))
    x = x + _drop(narrow, drop, chance)
    return functional.normalize(_norm(weights, "after", x), dim=-1)


def _attention(
    weights: Mapping[str, Tensor],
    config: Config,
    x: Tensor,
    days: Tensor,
    there: Tensor,
    chance: Generator | None,
) -> Tensor:
    """Every event looks back at those before it, the further the days between, the less or more."""
    rows, length, wide = x.shape
    joined = _dense(weights, "mix", x).view(rows, length, 3, config.heads, wide // config.heads)
    query, key, value = joined.permute(2, 0, 3, 1, 4)
    apart = torch.log1p((days[:, None, :] - days[:, :, None]).clamp(min=0))
    bias = weights["fade"][:, None, None] * apart[:, None]
    later = torch.ones(length, length, dtype=torch.bool, device=x.device).triu(1)
    # What is not there looks at itself alone: a row that looks at nothing would be no number.
    hidden = (later | ~there[:, None, :]) & ~torch.eye(length, dtype=torch.bool, device=x.device)
    bias = bias.masked_fill(hidden[:, None], BURIED)
    scores = query @ key.transpose(-1, -2) * (wide // config.heads) ** -0.5
    shares = torch.softmax(scores + bias, dim=-1)
    mixed = _drop(shares, config.attention_dropout, chance) @ value
    return _dense(weights, "mixed", mixed.transpose(1, 2).reshape(rows, length, wide))


def _drop(x: Tensor, share: float, chance: Generator | None) -> Tensor:
    """Dropout. Uniform numbers are drawn four times as fast as torch's own dropout draws coins."""
    if chance is None or not share:
        return x
    kept = torch.rand(x.shape, device=x.device, generator=chance) >= share
    return x * kept / (1 - share)


def _dense(weights: Mapping[str, Tensor], name: str, x: Tensor) -> Tensor:
    return functional.linear(x, weights[f"{name}.weight"], weights[f"{name}.bias"])


def _norm(weights: Mapping[str, Tensor], name: str, x: Tensor) -> Tensor:
    shape = (x.shape[-1],)
    return functional.layer_norm(
        x, shape, weights[f"{name}.weight"], weights[f"{name}.bias"], EPSILON
    )


# --- losses -----------------------------------------------------------------------------------


def loss_of(
    weights: Mapping[str, Tensor],
    config: Config,
    users: Tensor,
    taken: Tensor,
    others: Tensor,
    same: tuple[Tensor, Tensor],
    *,
    half: bool = False,
) -> Tensor:
    """The mean loss of users [n, width] for what they took [n, width] among uniform draws from all
    items [m, width]; `same`: rows and columns where a draw is what was taken. `half`: the product
    with the draws, which takes most of the time, is computed in bf16.
    """
    users = users / config.temperature
    hit = (users * taken).sum(dim=1)
    with torch.autocast(users.device.type, torch.bfloat16, enabled=half):
        miss = users @ others.T
    miss = miss.float().index_put(same, torch.tensor(BURIED, device=miss.device))
    if config.loss == "softmax":
        return (torch.logaddexp(hit, miss.logsumexp(dim=1)) - hit).mean()
    # The logistic loss of one who took an item and `m` drawn ones who did not: among all items the
    # odds that a draw is taken are m / items times smaller, and the scores are held to those
    # (noise-contrastive estimation: Gutmann and Hyvarinen, 2010).
    odds = weights["odds"] - math.log(len(others) / len(weights["ids"]))
    right = functional.softplus(-(hit + odds))
    wrong = functional.softplus(miss + odds).sum(dim=1)
    return (right + wrong).mean()
