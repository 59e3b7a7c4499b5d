"""What only the server's adapter must do: every error of its client is one of ours."""

import importlib
import pkgutil
import warnings

import grpc
import httpx
import pytest
import qdrant_client

from windowshop.errors import InvalidInput, Misconfigured, Unavailable, WindowshopError
from windowshop.store.server import opening
from windowshop.store.server.errors import translate, translated


def answer(status, body=b'{"status": {"error": "why"}}'):
    from qdrant_client.http.exceptions import UnexpectedResponse

    return UnexpectedResponse(status, "Reason", body, httpx.Headers())


@pytest.mark.parametrize(
    ("error", "ours"),
    [
        (answer(400), InvalidInput),
        (answer(401), Misconfigured),
        (answer(403), Misconfigured),
        (answer(404), Unavailable),
        (answer(429), Unavailable),
        (answer(500), Unavailable),
        (answer(503), Unavailable),
        (httpx.ConnectError("refused"), Unavailable),
        (httpx.ReadTimeout("slow"), Unavailable),
        (httpx.InvalidURL("x"), Misconfigured),
        (grpc.RpcError("x"), Unavailable),
        (ConnectionResetError("x"), Unavailable),
        (RuntimeError("closed"), Unavailable),
        (ValueError("bad"), InvalidInput),
    ],
    ids=repr,
)
def test_an_error_says_what_to_do_about_it(error, ours):
    with pytest.raises(ours) as raised, translated():
        raise error
    assert type(raised.value) is ours


def own_errors():
    """Every exception class that the client's modules define."""
    found = set()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for module in pkgutil.walk_packages(qdrant_client.__path__, "qdrant_client."):
            if any(
                part in module.name for part in ("fastembed", "embed", "migrate", "hybrid", "_pb2")
            ):
                continue
            try:
                loaded = importlib.import_module(module.name)
            except ImportError:
                continue
            found |= {
                value
                for value in vars(loaded).values()
                if isinstance(value, type)
                and issubclass(value, Exception)
                and value.__module__.startswith("qdrant_client")
            }
    return found


def test_all_error_classes_of_the_client_are_mapped():
    classes = own_errors()
    assert {"ApiException", "QdrantException"} <= {cls.__name__ for cls in classes}
    for cls in classes:
        error = cls.__new__(cls)
        error.status_code, error.content, error.message = 500, b"", "x"
        assert isinstance(translate(error), WindowshopError)


@pytest.mark.parametrize(
    ("version", "taken"), [("1.17.0", True), ("2.0.1-dev", True), ("1.16.9", False)]
)
def test_an_old_server_is_refused(version, taken):
    class Server:
        def info(self):
            return type("Info", (), {"version": version})

    if taken:
        opening.check_version(Server())
    else:
        with pytest.raises(Misconfigured, match=r"1\.17 or later"):
            opening.check_version(Server())
