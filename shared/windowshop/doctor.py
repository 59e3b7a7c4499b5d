"""`windowshop doctor`: what is installed, what a home holds, what is wrong and how to mend it."""

import platform
import shutil
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from windowshop import __version__, serving
from windowshop.errors import Misconfigured, NotReady, WindowshopError
from windowshop.operator import Json, LocalOperator, Operator, RemoteOperator
from windowshop.settings import load_settings, settings_in_force
from windowshop.shop import Shop

if TYPE_CHECKING:
    from windowshop.aws import Aws

State = Literal["ok", "warning", "broken"]

NEEDED = (
    "numpy", "onnxruntime", "onnx", "safetensors", "tokenizers", "qdrant-edge-py",
    "pydantic", "orjson", "fastapi", "uvicorn", "pyjwt", "arro3-core", "arro3-io", "typer", "rich",
)  # fmt: skip
EXTRAS: Mapping[str, tuple[str, ...]] = {
    "torch": ("torch", "transformers"),
    "server": ("qdrant-client",),
    "aws": ("boto3", "aws-lambda-powertools", "mangum"),
    "train": ("lightgbm", "implicit", "optuna", "scipy", "tensorboardX"),
}
LITTLE_DISK = 1 << 30


class Findings:
    """Checks in the order in which they were made."""

    def __init__(self) -> None:
        self.checks: list[Json] = []

    def add(self, name: str, state: State, detail: str, mend: str | None = None) -> None:
        self.checks.append({"name": name, "state": state, "detail": detail, "mend": mend})

    @property
    def ok(self) -> bool:
        return all(check["state"] != "broken" for check in self.checks)


def examine(home: Path, store: str | None = None) -> Json:
    """All checks of a home (or of one store of it); what is wrong becomes a check, not an error."""
    found = Findings()
    versions = _versions(found)
    settings = _settings(home, found)
    shop: Json | None = None
    served: str | None = None
    if not home.exists():
        found.add(
            "home",
            "warning",
            f"{home} does not exist yet",
            "`windowshop ingest FILE` or `windowshop demo`",
        )
    elif settings is not None:
        served, shop = _open(home, store, found)
    _disk(home, found)
    return {
        "ok": found.ok,
        "home": str(home),
        "serving": served,
        "versions": versions,
        "settings": settings,
        "shop": shop,
        "checks": found.checks,
    }


def examine_deployment(name: str, aws: "Aws", shop: Shop, store: str | None = None) -> Json:
    """All checks of a deployment on AWS (or of one store of it)."""
    from windowshop.aws.health import checks

    found = Findings()
    versions = _versions(found)
    region = aws.clients("ssm").meta.region_name
    found.add("deployment", "ok", f"{name} in {region}")
    for check in checks(aws, shop, name, store):
        found.add(*check)
    settings = {**aws.shop_settings.model_dump(), **aws.settings.model_dump(mode="json")}
    del settings["qdrant_api_key"]
    return {
        "ok": found.ok,
        "deployment": name,
        "region": region,
        "versions": versions,
        "settings": settings,
        "checks": found.checks,
    }


def _versions(found: Findings) -> dict[str, str | None]:
    versions: dict[str, str | None] = {
        "windowshop": __version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
    }
    for name in NEEDED:
        versions[name] = _version(name)
        if versions[name] is None:
            found.add("install", "broken", f"{name} is missing", f"pip install {name}")
    for extra, names in EXTRAS.items():
        held = {name: _version(name) for name in names}
        versions.update(held)
        missing = [name for name, version in held.items() if version is None]
        if missing and len(missing) < len(names):
            mend = f"pip install 'windowshop[{extra}]'"
            found.add("install", "warning", f"extra {extra}: {', '.join(missing)} is missing", mend)
    if found.ok:
        found.add("install", "ok", f"windowshop {__version__}, Python {versions['python']}")
    return versions


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _settings(home: Path, found: Findings) -> dict[str, Json] | None:
    try:
        settings = load_settings(home)
    except WindowshopError as error:
        found.add(
            "settings", "broken", error.detail, "correct it and run `windowshop doctor` again"
        )
        return None
    in_force = settings_in_force(settings, home)
    set_ = [
        f"{name} = {value!r} ({source})"
        for name, (value, source) in in_force.items()
        if source != "default"
    ]
    found.add("settings", "ok", ", ".join(set_) or "all are defaults")
    return {name: {"value": value, "source": source} for name, (value, source) in in_force.items()}


def _open(home: Path, store: str | None, found: Findings) -> tuple[str | None, Json | None]:
    """Where the home is served, and the state of its shop if it can be opened."""
    url: str | None = None
    try:
        served = serving.find(home)
        url = served.url if served else None
        found.add("serve", "ok", f"serving at {url}" if url else "nothing serves this home")
        with _operator(home, served) as operator:
            shop = operator.call("status")
            if store is not None:
                shop["stores"] = {name: s for name, s in shop["stores"].items() if name == store}
    except NotReady as error:
        found.add("shop", "warning", error.detail, "wait until it ends, then look again")
        return url, None
    except WindowshopError as error:
        mend = "try again; if it stays so, restore the home from a copy"
        if isinstance(error, Misconfigured):
            mend = "change what it names, then look again"
        found.add("shop", "broken", error.detail, mend)
        return url, None
    except Exception as error:  # noqa: BLE001 (whatever it is, it is a finding)
        detail = f"{type(error).__name__}: {error}"
        found.add("shop", "broken", detail, "restore the home from a copy, or begin a new one")
        return url, None
    _judge(shop, found)
    return url, shop


@contextmanager
def _operator(home: Path, served: serving.Serving | None) -> Iterator[Operator]:
    if served is not None:
        with closing(RemoteOperator(served.url, served.token)) as remote:
            yield remote
        return
    from windowshop.local import open_shop

    with closing(open_shop(home)) as shop:
        yield LocalOperator(shop)


def _judge(shop: Json, found: Findings) -> None:
    found.add("model", "ok", f"{shop['model']}, reads {shop['languages']}; clock: {shop['clock']}")
    if not shop["stores"]:
        found.add("store", "warning", "nothing in it yet", "`windowshop ingest FILE`")
    for store, held in shop["stores"].items():
        name = f"store {store}"
        found.add(
            name,
            "ok",
            f"{held['items']:,} items, {held['users']:,} users, {held['events']:,} events"
            + (f", the newest of {held['newest_event_at']}" if held["newest_event_at"] else ""),
        )
        for key, detail, mend in _COMPLAINTS:
            if held[key]:
                found.add(name, "warning", detail.format(held[key]), mend)
        if held["events"] and not held["items"]:
            found.add(name, "warning", "events and no items", "`windowshop ingest FILE`")


_COMPLAINTS = (
    (
        "waiting",
        "{:,} items wait for their vectors",
        "`windowshop serve` embeds them, or ingest again",
    ),
    (
        "behind",
        "{:,} users' profiles are behind the log",
        "`windowshop serve` folds them, or `windowshop rebuild`",
    ),
    (
        "unknown_item_events",
        "{:,} events name items that are not in the catalogue; they count once the items are",
        "ingest those items",
    ),
    ("dead_letters", "{:,} dead letters", "`windowshop dead-letters list`"),
)


def _disk(home: Path, found: Findings) -> None:
    place = next(path for path in (home, *home.absolute().parents) if path.exists())
    free = shutil.disk_usage(place).free
    used = sum(path.stat().st_size for path in home.rglob("*") if path.is_file())
    detail = f"{home} takes {used / 1e6:,.0f} MB; {free / 1e9:,.1f} GB are free"
    if free < LITTLE_DISK:
        found.add("disk", "warning", detail, "free some space: without it events cannot be written")
    else:
        found.add("disk", "ok", detail)
