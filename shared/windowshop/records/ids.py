"""Ids and keys: what stands for an item, a user or an event inside."""

import hashlib
import secrets
import uuid

_USERS = uuid.UUID("6b1f2c0e-5a0c-4a52-9d6e-0f2f4c8b7a11")


def item_key(store: str, item_id: str) -> int:
    """The 63-bit number that stands for an item in every store, profile and count.

    A hash, so that an event can be folded before its item exists, and so that nothing has to hand
    out numbers. Two of 10 million items share one with a chance of 5e-6 (docs/decisions/0001).
    """
    digest = hashlib.blake2b(f"{store}/{item_id}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def user_key(store: str, user: str) -> str:
    """The UUIDv5 under which a user's vectors are stored; `user` is a `user_name`."""
    return str(uuid.uuid5(_USERS, f"{store}/{user}"))


def event_key(event_id: str) -> int:
    """63 bits of an event's id; ids need only be distinct within one user."""
    digest = hashlib.blake2b(event_id.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


_CROCKFORD = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"


def new_id(now_ms: int) -> str:
    """A ULID: sorts by time, 80 random bits."""
    number = (now_ms << 80) | secrets.randbits(80)
    return "".join(_CROCKFORD[(number >> shift) & 31] for shift in range(125, -1, -5))
