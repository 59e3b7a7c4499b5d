"""Who calls, and what is allowed to them: the open shop of one's own machine, or keys.

Without keys everything is allowed, from this machine only (`door` sees to that). As soon as one key
was ever made, every call needs one.
"""

import re
from collections.abc import Callable, Mapping
from typing import NamedTuple

from starlette.requests import Request

from windowshop.api.pace import Pace
from windowshop.errors import Flaw, Forbidden, InvalidInput, Unauthorized
from windowshop.keys import MAX_KEY, Key, Keyring, Role, digest_of, is_genuine, read_user_token

DEFAULT_STORE = "default"
STORE_NAME = re.compile(r"[a-z0-9-]{1,64}", re.ASCII)
BELIEVED_MS = 2_000
"""How long a key that was looked up is believed; a revoked one works no longer."""
MAX_REMEMBERED = 4_096

Headers = Mapping[bytes, bytes]
Clock = Callable[[], int]


class Caller(NamedTuple):
    """Whom a call comes from: a store, and what is allowed in it."""

    store: str
    role: Role


class Access:
    """Decides about every call. `clock` gives milliseconds since the epoch.

    `keys_required`: even while there are none (any address that others can reach). `key_rps`: about
    how many calls a second a key may make of this process; 0 for any number.
    """

    def __init__(
        self,
        keyring: Keyring,
        clock: Clock,
        *,
        keys_required: bool = False,
        key_rps: float = 0.0,
    ) -> None:
        self._keyring = keyring
        self.clock = clock
        self._pace = Pace(key_rps) if key_rps else None
        self._required = keys_required or keyring.has_keys()
        self._known: dict[str, tuple[int, Key | None]] = {}
        self._open_until = 0

    def renew(self) -> None:
        """Ask for every key again: this process may have slept, and the keys changed meanwhile."""
        self._known.clear()
        self._open_until = 0

    @property
    def was_open(self) -> bool:
        """Whether no key was needed when last looked: touches nothing."""
        return not self._required

    @property
    def is_open(self) -> bool:
        """Whether no key is needed. Once a key exists this is over, for good."""
        if self._required:
            return False
        now = self.clock()
        if now >= self._open_until or self._open_until > now + BELIEVED_MS:
            if self._keyring.has_keys():
                self._required = True
                return False
            self._open_until = now + BELIEVED_MS
        return True

    # --- who calls ------------------------------------------------------------------------------

    def caller(self, request: Request, address_key: str | None = None) -> Caller:
        """Whoever calls, in any role. Raises Unauthorized, Forbidden, InvalidInput, and
        TooManyRequests for a key that calls too often.

        `address_key` is a key from the query (`sendBeacon` has no headers): publishable only.
        """
        headers: Headers = request.scope["windowshop.headers"]
        wanted = _wanted_store(headers)
        if self.is_open:
            return Caller(wanted or DEFAULT_STORE, "secret")
        key = bearer(headers)
        if key is None and address_key is not None:
            stored = self._look_up(address_key)
            if stored.role != "publishable":
                raise Forbidden("a secret key never belongs into an address: revoke it")
        elif key is None:
            raise Unauthorized("send `Authorization: Bearer <key>`")
        else:
            stored = self._look_up(key)
        if wanted is not None and wanted != stored.store:
            raise Forbidden("the key belongs to another store than Windowshop-Store names")
        return Caller(stored.store, stored.role)

    def secret(self, request: Request) -> Caller:
        """A caller who may do everything in a store."""
        caller = self.caller(request)
        if caller.role != "secret":
            raise Forbidden("a publishable key may only send events and ask for slates")
        return caller

    def known(self, request: Request) -> tuple[str, bool]:
        """The store asked about, and whether a key vouches for the call. Raises Unauthorized."""
        headers: Headers = request.scope["windowshop.headers"]
        if not self.is_open and b"authorization" not in headers:
            return DEFAULT_STORE, False
        return self.caller(request).store, True

    def user_of(self, caller: Caller, token: str) -> str:
        """The user id that a token speaks for. Raises Unauthorized."""
        return read_user_token(token, self._keyring.signing_secret(caller.store), self.clock())

    def _look_up(self, key: str) -> Key:
        """The stored key, asked for seldom. Raises Unauthorized, TooManyRequests."""
        stored = self._remembered(digest_of(key)) if len(key) <= MAX_KEY else None
        if stored is None or not is_genuine(key, stored):
            raise Unauthorized("this key is unknown or was revoked")
        if self._pace is not None:
            self._pace.admit(stored.digest, self.clock())
        return stored

    def _remembered(self, digest: str) -> Key | None:
        now = self.clock()
        since, stored = self._known.get(digest, (None, None))
        if since is None or not since <= now < since + BELIEVED_MS:
            stored = self._keyring.key(digest)
            if len(self._known) >= MAX_REMEMBERED:
                self._known.clear()
            self._known[digest] = (now, stored)
        return stored


def bearer(headers: Headers) -> str | None:
    """The key of the Authorization header. Raises Unauthorized when it holds something else."""
    value = headers.get(b"authorization")
    if value is None:
        return None
    scheme, _, key = value.decode("latin-1").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise Unauthorized("send `Authorization: Bearer <key>`")
    return key.strip()


def _wanted_store(headers: Headers) -> str | None:
    value = headers.get(b"windowshop-store")
    if value is None:
        return None
    name = value.decode("latin-1")
    if not STORE_NAME.fullmatch(name):
        detail = "Windowshop-Store: a store's name has 1-64 of a-z, 0-9 and -"
        raise InvalidInput(detail, [Flaw("", detail)])
    return name
