"""One request to one slate: profile -> candidates -> scores -> ranking -> reranking -> reasons."""

import time
from collections.abc import Collection, Iterable, Mapping
from difflib import get_close_matches
from typing import Any

from windowshop import explain
from windowshop import profile as profiles
from windowshop.ask import Ask
from windowshop.desk import AVAILABLE, Desk, Rules
from windowshop.errors import Flaw, InvalidInput, Unavailable
from windowshop.filters import NAMED, And, Filter, mentions, parse, values_at
from windowshop.folding import Known, fold_recent, learned_of, read_profile, tastes_of
from windowshop.profile import Profile, Tastes
from windowshop.reasons import reasons_of
from windowshop.recording import check_times
from windowshop.records import (
    DEFAULT_FIELDS,
    ITEM_FIELDS,
    Batch,
    Degraded,
    Request,
    Slate,
    SlateItem,
    format_instant,
    item_key,
    new_id,
    user_name,
)
from windowshop.retrieve import score, score_locally
from windowshop.space import Place
from windowshop.world import Tenant, World

FIELDS = (*ITEM_FIELDS, "embedded_at")


Held = dict[str, Known]
"""The profiles that a batch has read, by user: all its slates count the same events."""


def recommend(
    world: World,
    name: str,
    request: Request,
    exclude: Collection[str] = (),
    held: Held | None = None,
) -> Slate:
    """Answer one request. Raises InvalidInput; what fails behind it degrades the slate instead."""
    begin = time.perf_counter()
    tenant = world.tenant(name)
    _check_fields(request)
    now = world.now(tenant)
    ask, degraded = ask_of(world, tenant, request, now, {} if held is None else held)
    desk = Desk(ask, Rules.read(ask, _Placeholders(ask)), frozenset(exclude))
    try:
        pool = score(ask)
    except Unavailable as error:
        degraded = degraded or _degraded(error, "items by habit and popularity")
        pool = score_locally(ask)
    try:
        chosen = desk.slate(pool)
    except Unavailable as error:
        degraded = degraded or _degraded(error, "popular items that are kept at hand")
        chosen = desk.fallback()
    try:
        reasons = reasons_of(ask, pool, chosen)
    except Unavailable as error:
        degraded = degraded or _degraded(error, "reasons without the past event")
        reasons = [explain.popular(7.0) if c.row < 0 else explain.NEW for c in chosen]
    world.signals.measure("SlateMilliseconds", (time.perf_counter() - begin) * 1000, "Milliseconds")
    if degraded is not None:
        world.signals.measure("DegradedSlates", 1)
    fields = request.fields if request.fields is not None else DEFAULT_FIELDS
    return Slate(
        request_id=new_id(world.wall()),
        scenario=request.scenario,
        store=name,
        model=world.encoder.name,
        as_of=None if ask.profile.newest is None else format_instant(ask.profile.newest),
        degraded=degraded,
        items=[
            SlateItem(
                item_id=candidate.item["item_id"],
                score=round(float(candidate.score), 6),
                fields=_shown(candidate.item, fields),
                reason=reason,
            )
            for candidate, reason in zip(chosen, reasons, strict=True)
        ],
    )


def recommend_batch(world: World, name: str, batch: Batch) -> list[Slate]:
    """Several slates; with `dedupe` later ones skip items of earlier ones."""
    slates: list[Slate] = []
    shown: set[str] = set()
    held: Held = {}
    for request in batch.requests:
        slate = recommend(world, name, request, shown if batch.dedupe else (), held)
        shown.update(item.item_id for item in slate.items)
        slates.append(slate)
    return slates


# --- what is asked ------------------------------------------------------------------------


def ask_of(
    world: World, tenant: Tenant, request: Request, now: int, held: Held
) -> tuple[Ask, Degraded | None]:
    """The request with what is known of its user; what could not be read degrades it."""
    degraded = None
    profile, tastes = Profile.EMPTY, Tastes.EMPTY
    points: tuple[str, ...] = ()
    learned: Place | None = None
    user = user_name(request.user_id, request.anonymous_id)
    try:
        if user is not None:
            if user not in held:
                held[user] = read_profile(world, tenant, user)
            profile, tastes, points, learned = held[user]
        if request.recent:
            check_times(request.recent, world.wall())
            profile = fold_recent(tenant, profile, request.recent, now)
            tastes = tastes_of(world, tenant, profile)
            learned = learned_of(world, tenant, profile)
    except Unavailable as error:
        degraded = _degraded(error, "a slate that does not know the user")
    asked = [item_key(tenant.name, item_id) for item_id in request.item_ids or ()]
    ask = Ask(world, tenant, request, now, profile, tastes, points, None, asked, learned=learned)
    ask.where = _where(ask)
    if request.query is not None and ask.wants("query"):
        try:
            ask.query = world.query_vector(request.query)
        except Unavailable as error:
            degraded = degraded or _degraded(error, "what its words alone find")
    return ask, degraded


def _where(ask: Ask) -> Filter | None:
    filters = ask.request.filters
    parts: list[Filter] = [] if mentions(filters, "available") else [AVAILABLE]
    if filters:
        parts.append(parse(filters, ask.tenant.fields, _Placeholders(ask)))
    return None if not parts else parts[0] if len(parts) == 1 else And(tuple(parts))


class _Placeholders:
    """The values of `$item.<field>` and `$user.last_category` for one request."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask

    def __call__(self, placeholder: str) -> object:
        ask = self._ask
        if placeholder == "$user.last_category":
            keys = [int(key) for key in profiles.recently_viewed(ask.profile)[:50]]
            cards = ask.world.cards(ask.tenant, keys)
            return next(
                (cards[k]["category"] for k in keys if cards.get(k, {}).get("category")), None
            )
        path = placeholder.removeprefix("$item.")
        if path == placeholder or (path not in NAMED and not path.startswith("attributes.")):
            raise InvalidInput(
                f"filters: {placeholder!r}: use $item.<field> or $user.last_category"
            )
        if not ask.asked:
            return None
        card = ask.world.cards(ask.tenant, ask.asked[:1]).get(ask.asked[0], {})
        if path == "category":
            return card.get("category")
        values = values_at(card, path)
        return list(values) or None


def _check_fields(request: Request) -> None:
    for place, names in (("fields", request.fields or ()), ("caps", request.caps or ())):
        for name in names:
            if name not in FIELDS and not name.startswith("attributes."):
                close = get_close_matches(name, FIELDS, n=1)
                hint = (
                    f"did you mean {close[0]!r}?" if close else "attributes are attributes.<name>"
                )
                raise InvalidInput(
                    f"{place}: {name!r} is no field of an item; {hint}",
                    [Flaw(f"/{place}", f"{name!r} is no field of an item; {hint}")],
                )


def _shown(item: Mapping[str, Any], fields: Iterable[str]) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for name in fields:
        if name.startswith("attributes."):
            value = (item.get("attributes") or {}).get(name.removeprefix("attributes."))
        else:
            value = item.get(name)
        if value is not None:
            shown[name] = format_instant(value) if name == "embedded_at" else value
    return shown


def _degraded(error: Unavailable, instead: str) -> Degraded:
    return Degraded(code=error.code, detail=f"{error.detail} Served instead: {instead}.")
