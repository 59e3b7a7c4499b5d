"""Starts ministack, run by its own interpreter, and mends what it gets wrong about IAM: some calls
go by another name there than their own, and some name their resource in a place of their own.

It opens no port but the one that it is given.
"""

import json
import re
import sys
from typing import Any

from ministack import app
from ministack.core import iam_actions

_SQS_BATCH = re.compile(r"sqs:(Send|Delete|ChangeMessageVisibility)(Message)?Batch")
_TABLE = re.compile(r'"([A-Za-z0-9_.-]+)"')

_action_of = iam_actions.extract_iam_action
_resource_of = iam_actions.extract_resource_arn


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


if __name__ == "__main__":
    iam_actions.extract_iam_action = _action
    iam_actions.extract_resource_arn = _resource
    # With TLS it would take port 443 as well, where it may.
    app._port_is_bindable = lambda *_: False  # noqa: SLF001
    sys.exit(app.main())
