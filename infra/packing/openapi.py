"""The OpenAPI document as a file: what `GET /openapi.json` of the deployed API answers."""

import json
from pathlib import Path
from typing import Any, cast

from windowshop.api import create_app
from windowshop.settings import Settings


def document() -> dict[str, Any]:
    """Generated from the routes; no shop is needed to say what they take."""
    nobody = cast(Any, None)
    app = create_app(nobody, events=nobody, access=nobody, settings=Settings(), page=False)
    return app.openapi()


def write(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document(), indent=2, ensure_ascii=False) + "\n", "utf-8")
