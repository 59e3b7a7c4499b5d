"""What all commands share: --home, --store and --json, and how failures become exit codes."""

import contextlib
import gc
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer
from typer.core import TyperCommand

from windowshop.cli import screen
from windowshop.errors import InvalidInput, Misconfigured, NotReady, WindowshopError
from windowshop.settings import home_of

FAILED, UNUSABLE, INTERRUPTED = 1, 2, 130
COLLECT = (100_000, 20, 20)
NICE = 10

Home = Annotated[
    Path | None,
    typer.Option(
        "--home",
        metavar="DIR",
        help="Where all state lives (else WINDOWSHOP_HOME, else ./.windowshop).",
        show_default=False,
    ),
]
Deployment = Annotated[
    str | None,
    typer.Option(
        "--deployment",
        metavar="NAME",
        envvar="WINDOWSHOP_DEPLOYMENT",
        help="A deployment on AWS instead of a home (else WINDOWSHOP_DEPLOYMENT).",
        show_default=False,
        show_envvar=False,
    ),
]
StoreName = Annotated[str, typer.Option("--store", metavar="NAME", help="One shop of many.")]
AsJson = Annotated[bool, typer.Option("--json", help="Exactly one JSON object on stdout.")]
Debug = Annotated[
    bool,
    typer.Option("--debug", envvar="WINDOWSHOP_DEBUG", hidden=True, show_envvar=False),
]
F = TypeVar("F", bound=Callable[..., Any])
_STORE = re.compile(r"[a-z0-9-]{1,64}", re.ASCII)


class App(typer.Typer):
    """A Typer whose commands fail as `Command` says."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            no_args_is_help=True, add_completion=False, rich_markup_mode=None, **options
        )

    def command(self, name: str | None = None, **options: Any) -> Callable[[F], F]:
        return super().command(name, **{"cls": Command, **options})


class Command(TyperCommand):
    """Runs a command; an error becomes one red line, the JSON object of --json, and a code."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            screen.complain("interrupted: the same command again goes on from here")
            raise typer.Exit(INTERRUPTED) from None
        except BrokenPipeError:  # `windowshop export ann | head`
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(FAILED) from None
        except WindowshopError as error:
            _tell(ctx, error.code, error.detail)
            unusable = isinstance(error, InvalidInput | Misconfigured)
            raise typer.Exit(UNUSABLE if unusable else FAILED) from None
        except Exception as error:
            if type(error).__module__.startswith("typer"):
                raise  # usage errors and exits are Typer's own
            what = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
            _tell(
                ctx, "internal", f"{what} (this is a fault of ours; WINDOWSHOP_DEBUG=1 shows where)"
            )
            raise typer.Exit(FAILED) from None


def _tell(ctx: Any, code: str, detail: str) -> None:
    if ctx.params.get("debug"):
        traceback.print_exc()
    screen.complain(detail)
    if ctx.params.get("as_json"):
        screen.emit({"error": {"code": code, "detail": detail}})


class Place:
    """A home, one of its stores, and what operates it."""

    def __init__(self, home: Path, store: str, operator: Any, *, is_local: bool) -> None:
        self.home = home
        self.store = store
        self.operator = operator
        self.is_local = is_local

    def call(self, verb: str, **args: Any) -> dict[str, Any]:
        answer: dict[str, Any] = self.operator.call(verb, store=self.store, **args)
        return answer


@contextlib.contextmanager
def rare_collections() -> Iterator[None]:
    """The cycle collector looks less often, and not at what is there: for millions of rows."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(*COLLECT)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


@contextlib.contextmanager
def shop_at(
    home: Path | None, store: str, create: bool = False, deployment: str | None = None
) -> Iterator[Place]:
    """The shop of a home, or of a deployment, to operate, wherever it runs.

    Raises InvalidInput for a store that cannot be, or a home that is not there (unless `create`).
    """
    # Imported when needed: `windowshop --help` and wrong usage answer at once.
    from windowshop import serving
    from windowshop.operator import LocalOperator, RemoteOperator

    at = home_of(home)
    _check_store(store)
    if deployment is not None:
        with deployed(deployment, home) as (_, shop):
            yield Place(at, store, LocalOperator(shop), is_local=True)
        return
    if not create:
        known_home(home, store)
    served = serving.find(at)
    if served is not None:
        remote = RemoteOperator(served.url, served.token)
        with contextlib.closing(remote):
            yield Place(at, store, remote, is_local=False)
        return
    from windowshop.local import open_shop

    with contextlib.closing(open_shop(at)) as shop:
        yield Place(at, store, LocalOperator(shop), is_local=True)


@contextlib.contextmanager
def deployed(deployment: str, home: Path | None) -> Iterator[tuple[Any, Any]]:
    """A deployment and its shop. Raises InvalidInput (a home was named too), NotFound,
    Misconfigured (the extra `aws` is missing, no credentials, no region), Unavailable.
    """
    if home is not None:
        raise InvalidInput(
            f"either --home or the deployment {deployment!r} (--deployment, WINDOWSHOP_DEPLOYMENT)"
        )
    try:
        from windowshop.aws import deployment as deployments
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("windowshop"):
            raise
        raise Misconfigured(
            f"a deployment needs the extra `aws` ({error.name} is missing):"
            " pip install 'windowshop[aws]'"
        ) from None
    aws = deployments.find(deployment)
    with contextlib.closing(deployments.open_late(aws)) as shop:
        yield aws, shop


@contextlib.contextmanager
def original_at(home: Path | None, store: str, deployment: str | None = None) -> Iterator[Any]:
    """The shop from whose log is learned: of a home, served or not, or of a deployment. Raises as
    `known_home` and `deployed`.
    """
    from windowshop.evaluate.originals import Deployed, OwnHome

    _check_store(store)
    if deployment is None:
        yield OwnHome(known_home(home, store))
        return
    with deployed(deployment, home) as (aws, shop):
        yield Deployed(deployment, shop, aws.shelf, aws.models)


@contextlib.contextmanager
def replaying(
    home: Path | None, store: str, deployment: str | None = None
) -> Iterator[tuple[Any, Path]]:
    """`original_at`, and an empty folder to replay it in. Meanwhile this process lets the one that
    serves go first.
    """
    before = os.getpriority(os.PRIO_PROCESS, 0)
    from windowshop.scratch import scratch_folder

    with original_at(home, store, deployment) as original, scratch_folder() as scratch:
        os.setpriority(os.PRIO_PROCESS, 0, max(before, NICE))
        try:
            yield original, scratch
        finally:
            with contextlib.suppress(PermissionError):  # not everybody may take that back
                os.setpriority(os.PRIO_PROCESS, 0, before)


def _check_store(store: str) -> None:
    if not _STORE.fullmatch(store):
        raise InvalidInput(f"--store {store!r}: a store's name has 1-64 of a-z, 0-9 and -")


def known_home(home: Path | None, store: str = "default") -> Path:
    """A home that is there, served or not. Raises InvalidInput: none, or no such store can be."""
    at = home_of(home)
    _check_store(store)
    if not at.is_dir():
        raise InvalidInput(
            f"there is no shop at {at}: name its folder with --home, or begin with "
            "`windowshop ingest FILE` or `windowshop demo`"
        )
    return at


def idle_home(home: Path | None) -> Path:
    """A home that no process serves. Raises InvalidInput (no home), NotReady (it is served)."""
    from windowshop import serving

    at = known_home(home)
    served = serving.find(at)
    if served is not None:
        raise NotReady(f"process {served.pid} serves {at}: stop it first")
    return at
