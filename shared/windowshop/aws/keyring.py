"""Keys and signing secrets of the stores, as SSM parameters.

`<prefix>/keys/<store>/<id>` is a key as JSON (its digest, never the key itself), and
`<prefix>/signing/<store>` a secret (SecureString). All keys are read together and believed for a
minute, so that a request reads none; a key that is not among them may just have been made, so it is
looked for at once, but no oftener than every few seconds: SSM answers 40 calls a second in all.
"""

import threading
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

import orjson
from botocore.exceptions import ClientError

from windowshop.aws.clients import translated
from windowshop.aws.parameters import read_parameter
from windowshop.errors import InvalidInput, NotFound, Unavailable
from windowshop.keys import Key, make_signing_secret
from windowshop.logs import log

BELIEVED_MS = 60_000
AGAIN_MS = 5_000
"""How soon what is not there is looked for again."""
AT_MOST_MS = 900_000
"""For how long keys are believed while SSM cannot be reached."""
MAX_VALUE = 4_096


@dataclass(slots=True)
class _Secret:
    """A store's signing secret, when it was read, and when that was last tried."""

    value: str | None = None
    read_ms: int | None = None
    tried_ms: int | None = None


class SsmKeyring:
    """`client` gives the SSM client of the moment; `wall` gives milliseconds since the epoch."""

    def __init__(
        self,
        client: Callable[[], Any],
        prefix: str,
        wall: Callable[[], int],
        believed_ms: int = BELIEVED_MS,
    ) -> None:
        self._client, self._prefix, self._wall = client, prefix.rstrip("/"), wall
        self._believed_ms = believed_ms
        self._lock = threading.Lock()
        self.renew()

    def renew(self) -> None:
        """Believe nothing that was read before (after a restore, or a change)."""
        with self._lock:
            self._keys: dict[str, Key] = {}
            self._read_ms: int | None = None
            self._tried_ms: int | None = None
            self._secrets: dict[str, _Secret] = {}

    # --- keys -----------------------------------------------------------------------------------

    def key(self, digest: str) -> Key | None:
        """The key with this digest, revoked or not; a change is seen after a minute."""
        return self._known(digest).get(digest)

    def has_keys(self) -> bool:
        return bool(self._known(None))

    def keys(self, store: str) -> list[Key]:
        """Read anew: whoever lists them has just changed them."""
        return sorted(self._load(f"/{store}"), key=lambda key: (key.created_ms, key.id))

    def put_key(self, key: Key) -> None:
        value = orjson.dumps(asdict(key)).decode()
        if len(value.encode()) > MAX_VALUE:
            raise InvalidInput(f"a key and its note have at most {MAX_VALUE} bytes together")
        with translated():
            self._client().put_parameter(
                Name=f"{self._prefix}/keys/{key.store}/{key.id}",
                Value=value,
                Type="String",
                Overwrite=True,
            )
        self.renew()

    def revoke_key(self, store: str, key_id: str, now_ms: int) -> None:
        found = next((key for key in self.keys(store) if key.id == key_id), None)
        if found is None:
            raise NotFound(f"no key {key_id[:64]!r}: `windowshop keys list` shows the ids")
        if found.live:
            self.put_key(replace(found, revoked_ms=now_ms))

    def _known(self, digest: str | None) -> dict[str, Key]:
        """All keys, read anew when they are too old, or when the one looked for is not there."""
        with self._lock:
            now = self._wall()
            missing = not self._keys if digest is None else digest not in self._keys
            due = AGAIN_MS if missing else self._believed_ms
            if _older(self._read_ms, due, now) and _older(self._tried_ms, AGAIN_MS, now):
                self._tried_ms = now
                try:
                    self._keys = {key.digest: key for key in self._load("")}
                    self._read_ms = now
                except Unavailable as error:
                    if _older(self._read_ms, AT_MOST_MS, now):
                        self._tried_ms = None
                        raise
                    log("keyring").warning("keys_missed", detail=error.detail)
            return self._keys

    def _load(self, below: str) -> list[Key]:
        found: list[Key] = []
        with translated():
            pages = self._client().get_paginator("get_parameters_by_path")
            for page in pages.paginate(Path=f"{self._prefix}/keys{below}", Recursive=True):
                for parameter in page["Parameters"]:
                    try:
                        found.append(Key(**orjson.loads(parameter["Value"])))
                    except (orjson.JSONDecodeError, TypeError):
                        log("keyring").warning("parameter_ignored", name=parameter["Name"])
        return found

    # --- secrets --------------------------------------------------------------------------------

    def signing_secret(self, store: str, create: bool = False) -> str | None:
        name = f"{self._prefix}/signing/{store}"
        if create:
            self._create(name)
        with self._lock:
            now = self._wall()
            known = self._secrets.setdefault(store, _Secret())
            due = AGAIN_MS if known.value is None else self._believed_ms
            if create or (
                _older(known.read_ms, due, now) and _older(known.tried_ms, AGAIN_MS, now)
            ):
                known.tried_ms = now
                try:
                    known.value = read_parameter(self._client, name)
                    known.read_ms = now
                except Unavailable as error:
                    if known.value is None or _older(known.read_ms, AT_MOST_MS, now):
                        known.tried_ms = None
                        raise
                    log("keyring").warning("secret_missed", detail=error.detail)
            return known.value

    def _create(self, name: str) -> None:
        """Make a secret where there is none."""
        with translated():
            try:
                self._client().put_parameter(
                    Name=name, Value=make_signing_secret(), Type="SecureString", Overwrite=False
                )
            except ClientError as error:
                if error.response.get("Error", {}).get("Code") != "ParameterAlreadyExists":
                    raise


def _older(then_ms: int | None, than_ms: int, now_ms: int) -> bool:
    """Whether something happened longer ago than that, never, or (a clock was set back) later."""
    return then_ms is None or not then_ms <= now_ms < then_ms + than_ms
