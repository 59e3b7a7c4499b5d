"""Every error that the client raises, as one of ours."""

import contextlib
from collections.abc import Iterator

import grpc  # type: ignore[import-untyped]
import httpx
from qdrant_client.common.client_exceptions import QdrantException
from qdrant_client.http.exceptions import ApiException, UnexpectedResponse

from windowshop.errors import InvalidInput, Misconfigured, Unavailable, WindowshopError

FOREIGN = (
    ApiException,
    QdrantException,
    httpx.HTTPError,
    httpx.InvalidURL,
    grpc.RpcError,
    OSError,
    RuntimeError,
    ValueError,
    TypeError,
)


def translate(error: Exception) -> WindowshopError:
    """What a caller can do about it: mend the data, mend the settings, or try again."""
    if isinstance(error, UnexpectedResponse):
        said = _first_words(error.content.decode("utf-8", "replace"))
        if error.status_code in (401, 403):
            return Misconfigured(f"Qdrant refuses the key: set QDRANT_API_KEY ({said})")
        if error.status_code in (400, 413, 422):
            return InvalidInput(f"Qdrant cannot take this: {said}")
        return Unavailable(f"Qdrant answered {error.status_code}: {said}")
    if isinstance(error, httpx.InvalidURL):
        return Misconfigured(f"QDRANT_URL is no address: {error}")
    if isinstance(error, ApiException | QdrantException | httpx.HTTPError | grpc.RpcError):
        cause = getattr(error, "source", None) or error
        return Unavailable(f"Qdrant cannot be reached: {_first_words(str(cause))}")
    if isinstance(error, ValueError | TypeError):
        return InvalidInput(f"Qdrant cannot take this: {_first_words(str(error))}")
    return Unavailable(f"Qdrant failed: {_first_words(str(error))}")


def _first_words(text: str) -> str:
    return " ".join(text.split())[:300]


@contextlib.contextmanager
def translated() -> Iterator[None]:
    try:
        yield
    except WindowshopError:
        raise
    except FOREIGN as error:
        raise translate(error) from error
