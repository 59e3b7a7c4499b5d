"""What the bucket says of an upload, and what the place where it lies makes of it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from windowshop.errors import InvalidInput

WATCHED = "catalog/"
FULL = "full/"
MAPPING = "mapping.toml"
_STORE = re.compile(r"[a-z0-9-]{1,64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Upload:
    """One version of one file; without a version, in a bucket that keeps none, what is there."""

    bucket: str
    key: str
    version: str | None = None


@dataclass(frozen=True, slots=True)
class Target:
    """What an upload is: `catalog/<store>/<name>` or `catalog/<store>/full/<name>`, whose items are
    all that the store has, or `catalog/<store>/mapping.toml`, which says how the others are read.
    """

    store: str
    name: str
    full: bool = False

    @property
    def is_mapping(self) -> bool:
        return self.name == MAPPING and not self.full


def upload_of(event: object) -> Upload:
    """The upload that an "Object Created" event of EventBridge tells of. Raises InvalidInput."""
    detail = _object(event).get("detail")
    version = _object(_object(detail).get("object")).get("version-id")
    bucket = _object(_object(detail).get("bucket")).get("name")
    key = _object(_object(detail).get("object")).get("key")
    if not (isinstance(bucket, str) and bucket and isinstance(key, str) and key):
        raise InvalidInput("this is no event of a bucket: it names no bucket and no key")
    return Upload(bucket, key, version if isinstance(version, str) and version else None)


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def target_of(key: str) -> Target | None:
    """None for what is no upload: another place, or the mark of a folder. Raises InvalidInput."""
    if not key.startswith(WATCHED) or key.endswith("/"):
        return None
    store, _, name = key.removeprefix(WATCHED).partition("/")
    if not name:
        raise InvalidInput(
            f"{key} lies in no store: upload it to catalog/<store>/, such as "
            f"catalog/default/{key.removeprefix(WATCHED)}"
        )
    if not _STORE.fullmatch(store):
        raise InvalidInput(
            f"{key}: a store's name has 1-64 of a-z, 0-9 and -; upload it to catalog/<store>/"
        )
    full = name.startswith(FULL)
    return Target(store, name.removeprefix(FULL) if full else name, full)
