"""`windowshop serve`: the process that answers, and all that it owns."""

import contextlib
import gc
import ipaddress
import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import cast

import uvicorn

from windowshop import copies, operator, serving, towers
from windowshop.api import Access, create_app
from windowshop.errors import InvalidInput, NotReady, Unavailable
from windowshop.keeper import Keeper
from windowshop.local import EventQueue, open_shop, shelf_of, wall_ms
from windowshop.log.sqlite import SqliteLog
from windowshop.logs import configure
from windowshop.records import Request
from windowshop.serving import Serving
from windowshop.settings import load_settings
from windowshop.shop import Shop
from windowshop.store.edge import EdgeStore

PAGE_FILES = "page"
"""Folder of a home whose files the page shows beside its own (the demo's shoppers)."""
LOOPBACK = "127.0.0.1"
ANY = ("0.0.0.0", "::", "")  # noqa: S104 (what others may ask for)
GRACE_S = 5
BACKLOG = 1_024
WARM_STORES = 8


def serve(home: Path, host: str, port: int, on_ready: Callable[[str], None]) -> None:
    """Serve a home until SIGTERM or SIGINT; `on_ready(url)` is called once requests are accepted.

    Raises InvalidInput (an address that others reach, and no keys), NotReady (this home is served
    already), Unavailable (the port is taken), Misconfigured.
    """
    already = serving.find(home)
    if already is not None:
        raise NotReady(f"this home is served already, at {already.url} (process {already.pid})")
    settings = load_settings(home)
    configure(settings.log_level)
    with contextlib.ExitStack() as doors:
        door = doors.enter_context(contextlib.closing(bind(host, port)))
        address = own = _address(host, door)
        sockets = [door]
        if not _is_loopback(door.getsockname()[0]) and host not in ANY:
            # The command line comes in by a door of its own, that only this machine has.
            sockets.append(doors.enter_context(contextlib.closing(bind(LOOPBACK, 0))))
            own = _address(LOOPBACK, sockets[1])
        shop = open_shop(home, settings)
        keeper = Keeper(shop)
        try:
            access = _access(shop, host)
            _warm(shop)
            place = Serving(os.getpid(), own, serving.new_token())
            _run(home, keeper, access, sockets, place, lambda: on_ready(address))
        finally:
            keeper.stop()
            shop.close()
            keeper.join()


def _access(shop: Shop, host: str) -> Access:
    """Who may call. Raises InvalidInput where others could and there are no keys."""
    is_local = _is_loopback(host)
    keyring = shop.world.keyring
    if not is_local and not keyring.has_keys():
        raise InvalidInput(
            f"--host {host} can be reached by others, and this home has no keys: "
            "make one first with `windowshop keys create --role secret`"
        )
    return Access(keyring, wall_ms, keys_required=not is_local)


def _warm(shop: Shop) -> None:
    """Read now what the first request of a store would otherwise wait for."""
    for store in shop.world.log.stores()[:WARM_STORES]:
        shop.recommend(store, Request())


def _run(
    home: Path,
    keeper: Keeper,
    access: Access,
    sockets: list[socket.socket],
    place: Serving,
    on_ready: Callable[[], None],
) -> None:
    shop = keeper.shop
    events = EventQueue(shop)
    verbs = {**operator.bind(shop), **_own_verbs(home, keeper)}
    page_files = home / PAGE_FILES
    app = create_app(
        shop,
        events=events,
        access=access,
        settings=shop.world.settings,
        operator=verbs,
        operator_token=place.token,
        on_items=keeper.tell,
        page_files=page_files if page_files.is_dir() else None,
    )

    def ready() -> None:
        serving.announce(home, place)
        gc.collect()
        gc.freeze()  # what was loaded to serve stays: no collection needs to walk it again
        keeper.start()
        on_ready()

    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="off",
        backlog=BACKLOG,
        timeout_graceful_shutdown=GRACE_S,
    )
    try:
        with _quiet_signals():
            _Server(config, ready).run(sockets)
    finally:
        serving.withdraw(home, place)
        events.close()


def _own_verbs(home: Path, keeper: Keeper) -> dict[str, operator.Served]:
    """What only the process can do that has the home open."""
    world, shelf = keeper.shop.world, shelf_of(home)

    def embed(args: operator.Json) -> operator.Json:
        return {"embedded": keeper.embed(args["store"], args["limit"])}

    def copy(args: operator.Json) -> operator.Json:
        log, store = cast(SqliteLog, world.log), cast(EdgeStore, world.store)
        copies.copy_into(Path(args["into"]), log, store, args["store"])
        return {}

    def promote_tower(args: operator.Json) -> operator.Json:
        return {"placed": towers.promote(world, shelf, args["store"], args["version"])}

    def rollback_tower(args: operator.Json) -> operator.Json:
        return {"serves": towers.rollback(world, shelf, args["store"])}

    return {verb.__name__: verb for verb in (embed, copy, promote_tower, rollback_tower)}


class _Server(uvicorn.Server):
    """Tells when it accepts requests."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        except OSError as error:  # somebody else began to listen since this port was bound
            raise Unavailable(f"the port was just taken ({error.strerror}): try again") from None
        self._ready()


@contextlib.contextmanager
def _quiet_signals() -> Iterator[None]:
    """SIGTERM and SIGINT stop the server, which raises them again: their work is done by then."""

    def ignore(_: int, __: FrameType | None) -> None:
        return

    before = {number: signal.signal(number, ignore) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


# --- addresses -----------------------------------------------------------------------------------


def bind(host: str, port: int) -> socket.socket:
    """A socket bound to the address; it refuses connections until it listens.

    Raises InvalidInput (no such host), Unavailable (the port is taken).
    """
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except (socket.gaierror, OverflowError, UnicodeError):
        raise InvalidInput(f"--host {host} --port {port}: no such address") from None
    family, kind, protocol, _, address = found[0]
    door = socket.socket(family, kind, protocol)
    door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        door.bind(address)
    except PermissionError:
        door.close()
        raise Unavailable(
            f"port {port} needs more rights: choose one from 1024 with --port"
        ) from None
    except OSError as error:
        door.close()
        raise Unavailable(
            f"port {port} on {host} is taken ({error.strerror}): choose another with --port, "
            "or stop what uses it"
        ) from None
    return door


def _address(host: str, door: socket.socket) -> str:
    """The URL to call; port 0 has become a real one, and 0.0.0.0 is this machine."""
    port = door.getsockname()[1]
    if host in ANY:
        host = "127.0.0.1" if door.family == socket.AF_INET else "::1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
