"""Who serves a home: HOME/serving.json says where, while it is true."""

import json
import os
import secrets
from dataclasses import asdict, dataclass
from pathlib import Path

from windowshop.errors import Unavailable, WindowshopError
from windowshop.operator import RemoteOperator

FILE = "serving.json"
ANSWER_S = 10.0


@dataclass(frozen=True, slots=True)
class Serving:
    """A process that serves a home: `token` is what it takes for the home's owner."""

    pid: int
    url: str
    token: str


def new_token() -> str:
    return secrets.token_urlsafe(32)


def announce(home: Path, serving: Serving) -> None:
    """Write HOME/serving.json, readable by its owner only, whole or not at all."""
    draft = home / f".{FILE}.{serving.pid}"
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(asdict(serving), file)
    draft.replace(home / FILE)


def withdraw(home: Path, serving: Serving) -> None:
    """Remove the file, if it still speaks of this process."""
    if _read(home) == serving:
        (home / FILE).unlink(missing_ok=True)


def find(home: Path) -> Serving | None:
    """The process that serves `home`, or None; what a killed one left behind is ignored.

    Raises Unavailable when it lives but does not answer.
    """
    serving = _read(home)
    if serving is None or not _lives(serving.pid):
        return None
    operator = RemoteOperator(serving.url, serving.token, ANSWER_S)
    try:
        operator.call("ping")
    except Unavailable as error:
        if isinstance(error.__cause__, TimeoutError):
            raise Unavailable(
                f"`windowshop serve` (process {serving.pid}) does not answer: wait, or stop it"
            ) from None
        return None
    except WindowshopError:
        return None  # somebody else answers at that address
    finally:
        operator.close()
    return serving


def _read(home: Path) -> Serving | None:
    try:
        fields = json.loads((home / FILE).read_text("utf-8"))
        return Serving(int(fields["pid"]), str(fields["url"]), str(fields["token"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True
