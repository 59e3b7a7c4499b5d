"""Settings: HOME/windowshop.toml, overridden by WINDOWSHOP_<NAME>. Alone reads the environment."""

import difflib
import os
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any, Literal

import orjson
from pydantic import AliasChoices, Field, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
)

from windowshop.blend import Blend, overlaid
from windowshop.errors import Misconfigured
from windowshop.records import KINDS

FILE = "windowshop.toml"
PREFIX = "WINDOWSHOP_"
_UNREAD: Mapping[str, Any] = {"_env_prefix": "="}
"""No variable begins so: of the environment none is read."""
DEFAULT_HOME = Path(".windowshop")
DEFAULT_MODEL = "all-MiniLM-L6-v2"


class Settings(BaseSettings):
    """Everything that a shop may turn. The order of precedence: environment, file, default."""

    model_config = SettingsConfigDict(env_prefix="WINDOWSHOP_", extra="forbid")

    clock: Literal["wall", "events"] = "wall"
    """What decays and "this week" are measured against: the wall clock or the newest event."""
    model: str = DEFAULT_MODEL
    """The encoder: an installed package, a folder or a hub name."""
    runtime: Literal["auto", "onnx", "torch"] = "auto"
    pooling: Literal["mean", "cls", "last"] | None = None
    query_prefix: str | None = None
    passage_prefix: str | None = None
    max_tokens: int | None = Field(default=None, ge=8, le=8192)
    origins: tuple[str, ...] = ()
    """Web origins whose pages may call the API, such as https://shop.example."""
    weights: dict[str, float] = {}
    """Weight of an event by its kind, where it should differ from the default."""
    blend: dict[str, Any] = {}
    """How much each signal counts, where it should differ from weights.toml (docs/tuning.md)."""
    retention_days: float | None = Field(default=None, gt=0)
    """Events older than this are deleted from the log; for ever unless set."""
    threads: int = Field(default=0, ge=0, le=256)
    """Threads of the encoder; 0 takes one for each core."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    @field_validator("weights")
    @classmethod
    def _known_kinds(cls, value: dict[str, float]) -> dict[str, float]:
        for kind, weight in value.items():
            if kind not in KINDS:
                close = difflib.get_close_matches(kind, KINDS, n=1)
                hint = f"; did you mean {close[0]!r}?" if close else ""
                raise ValueError(f"no such kind of event: {kind!r}{hint}")
            if not -100 <= weight <= 100:
                raise ValueError(f"{kind}: a weight lies between -100 and 100")
        return value

    @field_validator("blend")
    @classmethod
    def _known_signals(cls, value: dict[str, Any]) -> dict[str, Any]:
        overlaid(default_blend(), value)
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The file's values arrive as arguments; the environment goes before them."""
        return env_settings, init_settings


class AwsSettings(BaseSettings):
    """Where a deployment's parts are; the stacks in infra/ set all of it. Each function is given
    only what it needs: a part whose name is empty is not there.
    """

    model_config = SettingsConfigDict(env_prefix="WINDOWSHOP_", extra="ignore")

    table: str = ""
    """The DynamoDB table of the event log."""
    bucket: str = ""
    """Catalogues that were uploaded, chunks, reports, saved state."""
    parameters: str = "/windowshop/shop"
    """What the names of all SSM parameters begin with: keys, secrets, Qdrant's address."""
    bus: str = ""
    """The EventBridge bus of domain events."""
    catalogue_queue: str = ""
    embed_queue: str = ""
    embed_bulk_queue: str = ""
    """The GPU lane; without it everything is embedded by the function."""
    events_queue: str = ""
    catalogue_letters: str = ""
    embed_letters: str = ""
    embed_bulk_letters: str = ""
    events_letters: str = ""
    batch_queue: str = ""
    batch_embed: str = ""
    """The AWS Batch job queue of the GPU lane (the processor where no GPU is to be had) and its
    job definition.
    """
    batch_cpu_queue: str = ""
    batch_ingest: str = ""
    """The same for huge uploads, which need no GPU."""
    small_items: int = Field(default=2_000, ge=0)
    """Up to so many new texts in an upload are embedded by the function, at once."""
    hold_s: int = Field(default=300, ge=3, le=43_200)
    """So much later the jobs of a bulk worker that died are given to another."""
    key_rps: float = Field(default=0, ge=0)
    """About how many requests a second a key may send to one instance; 0: no limit."""
    believed_s: float = Field(default=10, ge=0, le=3600)
    """For how long an instance believes what it read of items, fields and counts."""
    models: Path | None = None
    """A folder with the prepared encoder, as the functions' packages have one."""
    qdrant_url: str | None = Field(
        default=None, validation_alias=AliasChoices("QDRANT_URL", "qdrant_url")
    )
    qdrant_api_key: str | None = Field(
        default=None, validation_alias=AliasChoices("QDRANT_API_KEY", "qdrant_api_key")
    )
    """Where these two are not given, they are read from SSM."""


def load_aws_settings(values: Mapping[str, Any] | None = None) -> AwsSettings:
    """From the environment; `values` stand for what it lacks. Raises Misconfigured."""
    try:
        return AwsSettings(**{**(values or {}), **AwsSettings().model_dump(exclude_unset=True)})
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = str(first["loc"][0]) if first["loc"] else "settings"
        variable = name if name.startswith("QDRANT") else f"WINDOWSHOP_{name.upper()}"
        raise Misconfigured(f"{variable}: {first['msg']}") from None


def read_deployment(values: Mapping[str, str]) -> tuple[AwsSettings, Settings]:
    """The settings of a deployment from its variables. Those of this process are of another shop:
    only where Qdrant is may be told here (QDRANT_URL, QDRANT_API_KEY). Raises Misconfigured.
    """
    given = {
        name.removeprefix(PREFIX).lower(): _value_of(text)
        for name, text in values.items()
        if name.startswith(PREFIX)
    }
    own = {name: value for name, value in given.items() if name in Settings.model_fields}
    try:
        return AwsSettings(**_UNREAD, **given), Settings(**_UNREAD, **own)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise Misconfigured(f"the deployment's {first['loc'][0]}: {first['msg']}") from None


def _value_of(text: str) -> Any:
    """Lists and tables stand in variables as JSON."""
    try:
        return orjson.loads(text) if text.startswith(("[", "{")) else text
    except orjson.JSONDecodeError:
        return text


@cache
def default_blend() -> Blend:
    """weights.toml. Raises Misconfigured."""
    text = resources.files("windowshop").joinpath("weights.toml").read_text("utf-8")
    blend = tomllib.loads(text)
    try:
        return overlaid(blend, {})
    except ValueError as error:
        raise Misconfigured(f"weights.toml: {error}") from None


def one_core_a_product() -> None:
    """Before numpy is loaded: its BLAS would spread a request's small matrix products over all
    cores, whose waiting for each other takes as long as all else (`python -m bench recommend`).
    What the environment says of it stays.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def home_of(argument: Path | None) -> Path:
    """Where all state lives: the argument, else WINDOWSHOP_HOME, else ./.windowshop."""
    return argument or Path(os.environ.get("WINDOWSHOP_HOME") or DEFAULT_HOME)


def load_settings(home: Path | None) -> Settings:
    """The settings of a home, or of the environment alone. Raises Misconfigured naming the setting
    and where it came from.
    """
    path = (home or Path()) / FILE
    values: dict[str, Any] = {}
    try:
        if home is not None:
            values = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        pass
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise Misconfigured(f"{path} cannot be read: {error}") from None
    for name in values:
        if name not in Settings.model_fields:
            close = difflib.get_close_matches(name, Settings.model_fields, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise Misconfigured(f"{path}: unknown setting {name!r}{hint}")
    try:
        return Settings(**values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        name = str(first["loc"][0]) if first["loc"] else "settings"
        variable = f"WINDOWSHOP_{name.upper()}"
        source = variable if home is None or variable in os.environ else str(path)
        reason = first["msg"].removeprefix("Value error, ")
        raise Misconfigured(f"{source}: {name}: {reason}") from None


def settings_in_force(settings: Settings, home: Path) -> Mapping[str, tuple[object, str]]:
    """Every setting as (value, source), for `doctor`."""
    try:
        in_file = set(tomllib.loads((home / FILE).read_text("utf-8")))
    except (OSError, ValueError):
        in_file = set()
    found: dict[str, tuple[object, str]] = {}
    for name, value in settings.model_dump().items():
        variable = f"WINDOWSHOP_{name.upper()}"
        source = variable if variable in os.environ else FILE if name in in_file else "default"
        found[name] = (value, source)
    return found
