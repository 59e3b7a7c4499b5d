"""The roles allow what the functions do, and next to nothing else.

tests/infra/calls.json holds the calls of a recorded run of the journeys, by function, as the
actions that a role must allow.
"""

import json
from pathlib import Path

import pytest

CALLS = json.loads((Path(__file__).parent / "calls.json").read_text("utf-8"))
LAMBDAS_OWN = {
    # What AWS itself does in the role's name: the log, the queue's mapping, the network, traces.
    "logs:CreateLogStream",
    "logs:PutLogEvents",
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
    "xray:PutSpans",
    "xray:PutSpansForIndexing",
    "xray:PutTraceSegments",
}
MAPPING = {
    "sqs:ChangeMessageVisibility",
    "sqs:DeleteMessage",
    "sqs:GetQueueAttributes",
    "sqs:ReceiveMessage",
}
_NOT_FOUND = "without it AWS calls a missing object forbidden instead of not found"
UNSEEN = {
    "recommend": {
        "s3:ListBucket": _NOT_FOUND,
    },
    "events": {
        "dynamodb:DeleteItem": "a forgetting that was cut off is ended by `refresh`",
        "dynamodb:PartiQLDelete": "the same; and events past their retention, by `maintain`",
        "events:PutEvents": "UserForgotten, when `refresh` ends what was cut off",
        "s3:GetObject": "the counts that another process saved, after a new start",
    },
    "ingest": {"s3:ListBucket": _NOT_FOUND},
    "worker": {
        "dynamodb:Query": 'the newest event, where clock = "events"',
        "s3:ListBucket": _NOT_FOUND,
        "sqs:SendMessage": "a job that cannot be read becomes a letter",
    },
}
"""What is allowed but was not seen in the journeys, and why it is needed all the same."""
BATCH = {"batch:ListJobs", "batch:SubmitJob"}
"""Not in a recorded run: no emulator has AWS Batch."""


def allowed(deployment, function):
    """The actions of a function's role."""
    functions = deployment.resources("AWS::Lambda::Function")
    ((stack, _), found) = next(
        (key, one)
        for key, one in functions.items()
        if one["Properties"]["FunctionName"].endswith(f"-{function}")
    )
    role = found["Properties"]["Role"]["Fn::GetAtt"][0]
    return {
        action
        for policy in deployment.resources("AWS::IAM::Policy", stack).values()
        if {"Ref": role} in policy["Properties"]["Roles"]
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
        for action in (
            statement["Action"] if isinstance(statement["Action"], list) else [statement["Action"]]
        )
    }


@pytest.mark.parametrize("function", ["recommend", "events", "ingest", "worker"])
def test_the_role_allows_every_call_that_was_seen(everything, function):
    assert set(CALLS[function]) - allowed(everything, function) == set()


@pytest.mark.parametrize("function", ["recommend", "events", "ingest", "worker"])
def test_what_a_role_allows_was_seen_or_has_a_reason(everything, function):
    unseen = allowed(everything, function) - set(CALLS[function]) - LAMBDAS_OWN - BATCH
    if function != "recommend":
        unseen -= MAPPING
    assert unseen == UNSEEN.get(function, {}).keys()
