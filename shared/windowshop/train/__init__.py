"""Rankers learned from a shop's own past: replayed, counted, fitted, judged. Needs the extra
`train`; what serves the result does not.
"""

from importlib.util import find_spec

from windowshop.errors import Misconfigured
from windowshop.train.lessons import learn

__all__ = ["check", "learn"]


def check() -> None:
    """Raises Misconfigured where the extra is missing."""
    if find_spec("lightgbm") is None:
        raise Misconfigured(
            "learning needs the extra `train` (lightgbm is missing):"
            " pip install 'windowshop[train]'"
        )
