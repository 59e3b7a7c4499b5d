"""Starts ministack, run by its own interpreter, with a few things put right.

IAM: some calls go by another name there than their own, and some say in a place of their own which
resource they are about. Packages: as on AWS, all processes of a function share one unpacked
package, where ministack unpacks it for each. Ports: none is opened but the one that it is given.
"""

import hashlib
import json
import re
import sys
import tempfile
import threading
import zipfile
from pathlib import Path
from typing import Any

from ministack import app
from ministack.core import iam_actions
from orphans import end_with_parent

_SQS_BATCH = re.compile(r"sqs:(Send|Delete|ChangeMessageVisibility)(Message)?Batch")
_TABLE = re.compile(r'"([A-Za-z0-9_.-]+)"')

PACKAGES = Path(tempfile.gettempdir()) / "packages"
"""Unpacked packages, each under its SHA-256."""

_action_of = iam_actions.extract_iam_action
_resource_of = iam_actions.extract_resource_arn
_unpack = zipfile.ZipFile.extractall
_unpacking = threading.Lock()


def _statement(body: bytes) -> str:
    """The PartiQL of a call, its first statement: ours are of one kind and for one table."""
    call = json.loads(body)
    return str((call.get("Statements") or [call])[0]["Statement"])


def _action(*call: Any) -> Any:
    action, body = _action_of(*call), call[4]
    if action in {"dynamodb:BatchExecuteStatement", "dynamodb:ExecuteStatement"}:
        return f"dynamodb:PartiQL{_statement(body).split()[0].capitalize()}"
    if isinstance(action, str) and _SQS_BATCH.fullmatch(action):
        return action.removesuffix("Batch")
    return action


def _resource(*call: Any) -> Any:
    service, body, region, account = call[0], call[4], call[6], call[7]
    if service == "ssm" and b'"Path"' in body:  # GetParametersByPath
        return f"arn:aws:ssm:{region}:{account}:parameter{json.loads(body)['Path']}"
    if service == "dynamodb" and b'"Statement"' in body:
        table = _TABLE.search(_statement(body))
        return f"arn:aws:dynamodb:{region}:{account}:table/{table[1] if table else '*'}"
    return _resource_of(*call)


def _unpacked(archive: zipfile.ZipFile, path: Any = None, *rest: Any) -> None:
    if archive.filename is None or path is None or Path(path).name != "code":
        return _unpack(archive, path, *rest)
    with Path(archive.filename).open("rb") as package:
        shared = PACKAGES / hashlib.file_digest(package, "sha256").hexdigest()
    with _unpacking:
        if not shared.exists():
            beside = shared.with_suffix(".part")
            _unpack(archive, beside)
            beside.rename(shared)
    Path(archive.filename).unlink()  # a copy for this process alone, and done with
    Path(path).rmdir()
    Path(path).symlink_to(shared)
    return None


if __name__ == "__main__":
    end_with_parent()
    zipfile.ZipFile.extractall = _unpacked  # type: ignore[method-assign]
    iam_actions.extract_iam_action = _action
    iam_actions.extract_resource_arn = _resource
    # With TLS it would take port 443 as well, where it may.
    app._port_is_bindable = lambda *_: False  # noqa: SLF001
    sys.exit(app.main())
