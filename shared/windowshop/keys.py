"""Keys of a store, and user tokens: who a caller is, without any I/O.

A key is shown once, when it is made; what is stored is its SHA-256 (the key has 256 random bits,
so a slow hash would add nothing). A user token is a JWT (HS256) that the shop's own back end signs
with the store's signing secret, so that a page can speak for a logged-in user without being
trusted.
"""

import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeGuard, get_args

import jwt
from jwt.types import Options

from windowshop.errors import InvalidInput, Unauthorized
from windowshop.records import MAX_ID

Role = Literal["secret", "publishable"]
ROLES: tuple[Role, ...] = get_args(Role)
PREFIX: Mapping[Role, str] = {"secret": "ws_secret_", "publishable": "ws_public_"}
MAX_KEY = 128
LEEWAY_S = 30  # clocks of two machines differ; a token is not worth less for it


_ONLY_THE_SIGNATURE: Options = {
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "verify_aud": False,
    "verify_iss": False,
    "verify_sub": False,
    "verify_jti": False,
}


@dataclass(frozen=True, slots=True)
class Key:
    """A key as it is stored. `digest` is 64 hex digits; `id` names the key without revealing it."""

    id: str
    digest: str
    store: str
    role: Role
    created_ms: int
    revoked_ms: int | None = None
    note: str = ""

    @property
    def live(self) -> bool:
        return self.revoked_ms is None


class Keyring(Protocol):
    """The port to the stored keys. Every method raises Unavailable when they cannot be reached."""

    def key(self, digest: str) -> Key | None:
        """The stored key with this digest, revoked or not."""

    def has_keys(self) -> bool:
        """Whether a key was ever made, in any store."""

    def keys(self, store: str) -> list[Key]:
        """All keys of a store, oldest first."""

    def put_key(self, key: Key) -> None: ...

    def revoke_key(self, store: str, key_id: str, now_ms: int) -> None:
        """From now on the key works no more. Raises NotFound."""

    def signing_secret(self, store: str, create: bool = False) -> str | None:
        """The secret that a store's user tokens are signed with; with `create` one is made."""


def digest_of(key: str) -> str:
    """The SHA-256 of a key, in hex."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()


def make_key(store: str, role: Role, now_ms: int, note: str = "") -> tuple[str, Key]:
    """A new key, and what to store of it. The first is shown once and kept nowhere."""
    if role not in ROLES:
        raise InvalidInput(f"{role!r} is no role: a key is secret or publishable")
    key = PREFIX[role] + secrets.token_urlsafe(32)
    digest = digest_of(key)
    return key, Key(digest[:12], digest, store, role, now_ms, None, note)


def make_signing_secret() -> str:
    """A secret for signing user tokens: 64 hex digits, to be used as text."""
    return secrets.token_hex(32)


def is_genuine(key: str, stored: Key) -> bool:
    """Whether `key` is the one that was stored, compared in constant time, and not revoked."""
    return hmac.compare_digest(digest_of(key), stored.digest) and stored.live


def sign_user_token(user_id: str, secret: str, expires_s: int) -> str:
    """A user token, as a shop's back end makes it; `expires_s` is in unix seconds."""
    return jwt.encode({"sub": user_id, "exp": expires_s}, secret, algorithm="HS256")


def read_user_token(token: str, secret: str | None, now_ms: int) -> str:
    """The user id that a token speaks for. Raises Unauthorized for all that do not count."""
    if secret is None:
        raise Unauthorized(
            "this store has no signing secret yet: make one with `windowshop keys signing-secret`"
        )
    claims = _claims(token, secret)
    expires, begins, user_id = claims.get("exp"), claims.get("nbf"), claims.get("sub")
    now = now_ms / 1000
    if not _is_number(expires):
        raise Unauthorized("user_token: `exp` must be the unix time at which it expires")
    if not now < expires + LEEWAY_S:
        raise Unauthorized("user_token has expired: let the shop's back end sign a new one")
    if begins is not None and not (_is_number(begins) and begins - LEEWAY_S <= now):
        raise Unauthorized("user_token is not valid yet (`nbf`)")
    if not (
        isinstance(user_id, str)
        and 0 < len(user_id) <= MAX_ID
        and user_id == user_id.strip()
        and user_id.isprintable()
    ):
        raise Unauthorized("user_token: `sub` must be a user id of 1-128 printable characters")
    return user_id


def _claims(token: str, secret: str) -> dict[str, Any]:
    """The claims of a token whose signature holds; the caller, who has a clock, checks times."""
    try:
        claims: dict[str, Any] = jwt.decode(
            token, secret, algorithms=["HS256"], options=_ONLY_THE_SIGNATURE
        )
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        raise Unauthorized(
            "user_token is no JWT signed with this store's signing secret (HS256)"
        ) from None
    return claims


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)
