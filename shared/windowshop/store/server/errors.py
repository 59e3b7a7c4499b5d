"""Every error that the client raises, as one of ours."""

import contextlib
from collections.abc import Iterator

import httpx
from qdrant_client.common.client_exceptions import QdrantException
from qdrant_client.http.exceptions import ApiException, UnexpectedResponse

from windowshop.errors import InvalidInput, Misconfigured, Unavailable, WindowshopError


def translate(error: Exception) -> WindowshopError:
    """What a caller can do about it: mend the data, mend the settings, or try again.

    The client wraps what httpx raises in its ApiException; over gRPC it lets RpcError through.
    """
    if isinstance(error, UnexpectedResponse):
        said = _first_words(error.content.decode("utf-8", "replace"))
        if error.status_code in (401, 403):
            return Misconfigured(f"Qdrant refuses the key: set QDRANT_API_KEY ({said})")
        if error.status_code in (400, 413, 422):
            return InvalidInput(f"Qdrant cannot take this: {said}")
        return Unavailable(f"Qdrant answered {error.status_code}: {said}")
    if isinstance(error, ApiException | QdrantException):
        cause = getattr(error, "source", None) or error
        return Unavailable(f"Qdrant cannot be reached: {_first_words(str(cause))}")
    if isinstance(error, httpx.InvalidURL):
        return Misconfigured(f"QDRANT_URL is no address: {_first_words(str(error))}")
    if isinstance(error, ValueError | TypeError):
        return InvalidInput(f"Qdrant cannot take this: {_first_words(str(error))}")
    return Unavailable(f"Qdrant cannot be reached: {_first_words(str(error))}")


def is_away(error: BaseException) -> bool:
    """Whether nobody answered, so that asking again at once is pointless."""
    cause = getattr(error, "source", error)
    return isinstance(cause, httpx.ConnectError | httpx.ConnectTimeout | httpx.ReadTimeout)


def is_gone(error: BaseException | None) -> bool:
    """Whether the server says that a collection is not there."""
    return (
        isinstance(error, UnexpectedResponse)
        and error.status_code == 404
        and b"ollection" in error.content
    )


def is_missing(error: BaseException) -> bool:
    """Whether vectors were meant for a point that is not there."""
    if isinstance(error, UnexpectedResponse):
        return error.status_code == 404 and b"No point with id" in error.content
    return isinstance(error, KeyError)  # the client's local mode


def _first_words(text: str) -> str:
    return " ".join(text.split())[:300]


@contextlib.contextmanager
def translated() -> Iterator[None]:
    try:
        yield
    except WindowshopError:
        raise
    except Exception as error:
        raise translate(error) from error
