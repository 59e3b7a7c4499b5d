"""A shop's own weights, half-lives and source sizes, searched for by replay. Needs the extra
`train`; what serves the result does not.
"""

from importlib.util import find_spec

from windowshop.errors import Misconfigured

__all__ = ["check"]


def check() -> None:
    """Raises Misconfigured where the extra is missing."""
    if find_spec("optuna") is None:
        raise Misconfigured(
            "tuning needs the extra `train` (optuna is missing): pip install 'windowshop[train]'"
        )
