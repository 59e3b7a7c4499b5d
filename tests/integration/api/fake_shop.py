"""A shop in memory: the verbs that the API calls, without vectors and without a disk.

The suite of the API runs on it and on the real one, so that it cannot drift from what it stands for.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from windowshop.errors import InvalidInput, NotFound
from windowshop.items import Written
from windowshop.keys import Key, make_signing_secret
from windowshop.recording import Taken
from windowshop.records import (
    Batch,
    Event,
    Item,
    Reason,
    Receipt,
    Rejection,
    Request,
    Slate,
    SlateItem,
    derived_event_id,
    format_instant,
    item_key,
    new_id,
    read,
    user_name,
)

DAY_MS = 86_400_000


@dataclass
class FakeKeyring:
    """Keys and signing secrets as the log keeps them."""

    keys: dict[str, Key] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)

    def put_key(self, key: Key) -> None:
        self.keys[key.digest] = key

    def key(self, digest: str) -> Key | None:
        return self.keys.get(digest)

    def has_keys(self) -> bool:
        return bool(self.keys)

    def signing_secret(self, tenant: str, create: bool = False) -> str | None:
        if create and tenant not in self.secrets:
            self.secrets[tenant] = make_signing_secret()
        return self.secrets.get(tenant)


class FakeShop:
    """Every store is three dicts."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], Item] = {}
        self.log: dict[tuple[str, str], dict[str, dict[str, Any]]] = {}
        self.links: dict[tuple[str, str], list[str]] = {}
        self.erasures: dict[tuple[str, str], dict[str, Any]] = {}
        self.asked: list[Request] = []

    # items

    def put_items(self, tenant: str, rows: Sequence[Item], order: int | None = None) -> Written:
        self.rows.update({(tenant, row.item_id): row for row in rows})
        return Written(len(rows), waiting=[item_key(tenant, row.item_id) for row in rows])

    def patch_items(self, tenant: str, patches: Sequence[Any]) -> Written:
        written = Written()
        for index, patch in enumerate(patches):
            try:
                if not isinstance(patch, dict) or not isinstance(patch.get("item_id"), str):
                    raise InvalidInput("item_id: Field required")
                old = self.rows.get((tenant, patch["item_id"]))
                if old is None:
                    raise NotFound("no such item")
                base = old.model_dump(exclude_none=True)
                if "created_at" in base:
                    base["created_at"] = format_instant(base["created_at"])
                fields = {**base, **patch}
                kept = {name: value for name, value in fields.items() if value is not None}
                self.rows[tenant, patch["item_id"]] = read(Item, kept)
                written.accepted += 1
                written.waiting.append(item_key(tenant, patch["item_id"]))
            except InvalidInput as error:
                rejection = Rejection(index=index, code=error.code, detail=error.detail)
                written.rejected.append(rejection)
        return written

    def delete_items(self, tenant: str, item_ids: Sequence[str]) -> int:
        return sum(self.rows.pop((tenant, i), None) is not None for i in item_ids)

    def embed_waiting(self, tenant: str) -> int:
        return 0

    def get_item(self, tenant: str, item_id: str) -> dict[str, Any]:
        if (tenant, item_id) not in self.rows:
            raise NotFound(f"no item {item_id!r}")
        row = self.rows[tenant, item_id].model_dump(exclude_none=True)
        if "created_at" in row:
            row["created_at"] = format_instant(row["created_at"])
        return {**row, "embedded_at": None}

    def list_items(
        self, tenant: str, cursor: str | None = None, limit: int = 100
    ) -> tuple[list[dict[str, Any]], str | None]:
        if cursor is not None and not cursor.isdecimal():
            raise InvalidInput("cursor: take the cursor that the last page gave")
        start = int(cursor or 0)
        ids = [item_id for store, item_id in self.rows if store == tenant]
        page = [self.get_item(tenant, item_id) for item_id in ids[start : start + limit]]
        return page, str(start + limit) if start + limit < len(ids) else None

    # events

    def record(self, tenant: str, events: Sequence[Event], received_ms: int) -> Receipt:
        rejected = []
        for index, event in enumerate(events):
            if event.timestamp is not None and event.timestamp > received_ms + DAY_MS:
                detail = "timestamp is more than 24 hours ahead of the clock"
                rejected.append(Rejection(index=index, code="invalid_input", detail=detail))
                continue
            who = user_name(event.user_id, event.anonymous_id)
            sent = event.model_dump(exclude_none=True, exclude={"timestamp"})
            made = new_id(received_ms)
            if event.timestamp is not None:
                made = derived_event_id(event, who or "")
            sent.setdefault("event_id", made)
            if event.timestamp is not None:
                sent["timestamp"] = format_instant(event.timestamp)
            self.log.setdefault((tenant, who or ""), {}).setdefault(sent["event_id"], sent)
        return Receipt(accepted=len(events) - len(rejected), rejected=rejected)

    # slates

    def recommend(self, tenant: str, request: Request) -> Slate:
        self.asked.append(request)
        skip = set(request.exclude or ())
        rows = [r for (t, i), r in sorted(self.rows.items()) if t == tenant and i not in skip]
        if request.scenario == "rerank":
            rows = [row for row in rows if row.item_id in (request.item_ids or ())]
        items = [
            SlateItem(
                item_id=row.item_id,
                score=1.0,
                fields={"title": row.title},
                reason=Reason(kind="popular", text="Popular"),
            )
            for row in rows[: request.limit]
            if row.available
        ]
        return Slate(
            request_id=new_id(0),
            scenario=request.scenario,
            store=tenant,
            model="fake",
            as_of=None,
            degraded=None,
            items=items,
        )

    def recommend_batch(self, tenant: str, batch: Batch) -> list[Slate]:
        slates: list[Slate] = []
        for request in batch.requests:
            if batch.dedupe:
                shown = [item.item_id for slate in slates for item in slate.items]
                request.exclude = [*(request.exclude or ()), *shown]
            slates.append(self.recommend(tenant, request))
        return slates

    # users

    def _group(self, tenant: str, who: str) -> list[str]:
        return [who, *self.links.get((tenant, who), ())]

    def export(
        self, tenant: str, who: str, cursor: str | None = None, limit: int = 1000
    ) -> dict[str, Any]:
        if cursor is not None and not cursor.isdecimal():
            raise InvalidInput("cursor: take the cursor that the last page gave")
        group = self._group(tenant, who)
        held = [event for one in group for event in self.log.get((tenant, one), {}).values()]
        start = int(cursor or 0)
        following = str(start + limit) if start + limit < len(held) else None
        merged = [{"anonymous_id": guest[2:]} for guest in group[1:]]
        page = held[start : start + limit]
        return {"profile": {}, "events": page, "merged": merged, "next": following}

    def forget(self, tenant: str, who: str) -> dict[str, Any]:
        events = sum(len(self.log.pop((tenant, one), {})) for one in self._group(tenant, who))
        erasure = {
            "erasure_id": new_id(0),
            "status": "done",
            "erased": {"events": events, "profiles": int(events > 0)},
            "verified": True,
        }
        self.erasures[tenant, erasure["erasure_id"]] = erasure
        return erasure

    def erasure(self, tenant: str, erasure_id: str) -> dict[str, Any]:
        if (tenant, erasure_id) not in self.erasures:
            raise NotFound("no such erasure")
        return self.erasures[tenant, erasure_id]

    def merge(self, tenant: str, user_id: str, anonymous_id: str) -> int:
        links = self.links.setdefault((tenant, "u:" + user_id), [])
        if "a:" + anonymous_id not in links:
            links.append("a:" + anonymous_id)
        return len(self.log.get((tenant, "a:" + anonymous_id), {}))

    def unmerge(self, tenant: str, user_id: str, anonymous_id: str) -> int:
        links = self.links.get((tenant, "u:" + user_id), [])
        if "a:" + anonymous_id not in links:
            raise NotFound("these two are not merged")
        links.remove("a:" + anonymous_id)
        return len(self.log.get((tenant, "a:" + anonymous_id), {}))

    # the whole

    def ready(self, tenant: str) -> dict[str, Any]:
        items = sum(store == tenant for store, _ in self.rows)
        users = sum(store == tenant for store, _ in self.log)
        return {
            "status": "ready",
            "store": tenant,
            "model": "fake",
            "items": items,
            "users": users,
        }

    def close(self) -> None:
        pass


class FakeQueue:
    """Records at once."""

    def __init__(self, shop: FakeShop) -> None:
        self._shop = shop

    async def submit(self, tenant: str, events: Sequence[Event], received_ms: int) -> Taken:
        return Taken(self._shop.record(tenant, events, received_ms).rejected)
