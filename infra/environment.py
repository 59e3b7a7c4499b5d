"""The variables of the functions: fields of windowshop.settings and nothing else, and of those
only what a function needs.
"""

import json
from collections.abc import Mapping

from infra.config import Config


def common(config: Config) -> dict[str, str]:
    """What every function is told, without the names of the parts."""
    values = {
        "WINDOWSHOP_PARAMETERS": config.parameters,
        "WINDOWSHOP_CLOCK": config.clock,
        "WINDOWSHOP_MODEL": config.model,
        "WINDOWSHOP_LOG_LEVEL": config.operations.log_level,
        "WINDOWSHOP_BELIEVED_S": f"{config.believed_s:g}",
    }
    if config.weights:
        values["WINDOWSHOP_WEIGHTS"] = json.dumps(config.weights, sort_keys=True)
    if config.blend:
        values["WINDOWSHOP_BLEND"] = json.dumps(config.blend, sort_keys=True)
    if config.data.retention_days is not None:
        values["WINDOWSHOP_RETENTION_DAYS"] = f"{config.data.retention_days:g}"
    return values


def named(**parts: str) -> Mapping[str, str]:
    """Parts by the field of AwsSettings that takes their name."""
    return {f"WINDOWSHOP_{field.upper()}": value for field, value in parts.items()}
