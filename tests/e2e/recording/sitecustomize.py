"""Writes down which calls of AWS a function makes, as the actions that its role must allow.

The emulator starts functions with this folder on PYTHONPATH, and Python imports a module of this
name before anything else. A file a process: WINDOWSHOP_JOURNEY_CALLS names the folder.
"""

import importlib.abc
import importlib.machinery
import json
import os
import sys
from pathlib import Path

FUNCTION = os.environ.get("AWS_LAMBDA_FUNCTION_NAME")
FOLDER = os.environ.get("WINDOWSHOP_JOURNEY_CALLS")
SINGLE = {"SendMessageBatch", "DeleteMessageBatch", "ChangeMessageVisibilityBatch"}
S3 = {
    "HeadObject": "GetObject",
    "ListObjectsV2": "ListBucket",
    "DeleteObjects": "DeleteObject",
    "CreateMultipartUpload": "PutObject",
    "UploadPart": "PutObject",
    "CompleteMultipartUpload": "PutObject",
}
ONE_BY_ONE = {
    "Put": "PutItem",
    "Update": "UpdateItem",
    "Delete": "DeleteItem",
    "ConditionCheck": "ConditionCheckItem",
    "Get": "GetItem",
}


def actions(service, operation, params):
    """What IAM calls a call."""
    if service == "dynamodb" and "TransactItems" in params:
        # A transaction is allowed to whoever may do each of its parts.
        return {f"dynamodb:{ONE_BY_ONE[kind]}" for one in params["TransactItems"] for kind in one}
    if service == "dynamodb" and operation.endswith("Statement"):
        said = params.get("Statements") or [params]
        return {f"dynamodb:PartiQL{one['Statement'].split()[0].capitalize()}" for one in said}
    if service == "sqs" and operation in SINGLE:
        operation = operation.removesuffix("Batch")
    if service == "s3":
        operation = S3.get(operation, operation)
        if operation == "GetObject" and params.get("VersionId"):
            operation = "GetObjectVersion"
    return {f"{service}:{operation}"}


def record(params, model, **_):
    service = model.service_model.service_name
    with Path(FOLDER, f"{FUNCTION}.{os.getpid()}.jsonl").open("a") as out:
        for action in sorted(actions(service, model.name, params) - seen):
            seen.add(action)
            out.write(json.dumps(action) + "\n")


class Finder(importlib.abc.MetaPathFinder):
    """Adds `record` to what botocore does with every call, once botocore is imported."""

    def find_spec(self, name, path, target=None):
        if name != "botocore.handlers":
            return None
        sys.meta_path.remove(self)
        spec = importlib.machinery.PathFinder.find_spec(name, path)
        execute = spec.loader.exec_module

        def exec_module(module):
            execute(module)
            module.BUILTIN_HANDLERS.append(("before-parameter-build", record))

        spec.loader.exec_module = exec_module
        return spec


seen = set()
if FUNCTION and FOLDER:
    sys.meta_path.insert(0, Finder())
