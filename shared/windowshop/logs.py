"""Logs: JSON lines on standard error, with constant names in the past tense (`slate_served`).

Nobody can be read out of them: user ids appear as pseudonyms (a keyed hash), and an unexpected
error shows its type and place but not its message, which might quote what a user sent.
"""

import hashlib
import logging
import secrets
import sys
import traceback
from typing import Any, TextIO

import orjson
import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

USERS = ("user", "user_id", "anonymous_id")
FRAMES = 12


class _Config:
    """How this process logs; changed by `configure` alone, and no other user of structlog is."""

    level = logging.WARNING
    stream: TextIO | None = None
    pseudonym_key: bytes = secrets.token_bytes(32)


def configure(
    level: str = "info", *, pseudonym_key: bytes | None = None, stream: TextIO | None = None
) -> None:
    """Log from `level` on to `stream` (default: standard error).

    The same `pseudonym_key` gives a user the same pseudonym after a restart; without, it is random.
    """
    _Config.level = logging.getLevelNamesMapping()[level.upper()]
    _Config.stream = stream
    if pseudonym_key:
        _Config.pseudonym_key = hashlib.blake2b(pseudonym_key, digest_size=32).digest()


def log(part: str = "windowshop") -> FilteringBoundLogger:
    """The logger of a part of windowshop, such as `api`."""
    made: FilteringBoundLogger = structlog.wrap_logger(
        structlog.WriteLogger(_Config.stream or sys.stderr),
        processors=_PROCESSORS,
        wrapper_class=structlog.make_filtering_bound_logger(_Config.level),
        part=part,
    )
    return made


def pseudonym(user: str) -> str:
    """16 hex digits that stand for a user."""
    return hashlib.blake2b(user.encode(), digest_size=8, key=_Config.pseudonym_key).hexdigest()


def hide_users(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Replace user ids by pseudonyms, whoever logged them."""
    for name in USERS:
        value = event.get(name)
        if value is not None:
            event[name] = pseudonym(str(value))
    return event


def place_of_error(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """`error=` an exception: its type and the frames it came through, the innermost last."""
    error = event.get("error")
    if isinstance(error, BaseException):
        frames = traceback.extract_tb(error.__traceback__)[-FRAMES:]
        event["error"] = type(error).__name__
        event["frames"] = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
    return event


def _as_json(event: EventDict, **_: Any) -> str:
    return orjson.dumps(event, default=str).decode()


_PROCESSORS: tuple[Processor, ...] = (
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
    hide_users,
    place_of_error,
    structlog.processors.JSONRenderer(serializer=_as_json),
)
