"""What functions and workers may do, by purpose: the calls that our adapters make, on the parts
they name.

tests/infra compares the actions with the calls of a recorded run.
"""

from aws_cdk import Stack

from infra.config import Config
from infra.queue import Queue
from infra.rights import Rights
from infra.state import WATCHED, State

BATCH_QUEUES = BATCH_GPU, BATCH_CPU = "bulk", "bulk-cpu"
BATCH_JOBS = BATCH_EMBED, BATCH_INGEST = "embed", "ingest"
"""Job queues and job definitions. Their names are agreed here, since the stack that has them is
deployed after the function that uses them.
"""
_OBJECTS = "the objects below this prefix, whose names nobody knows beforehand"


def log(rights: Rights, state: State, *, append: bool) -> None:
    """Read the event log, forget users and link them; `append`: log events, and go over the whole
    of it as well.
    """
    rights.may(
        "dynamodb:BatchGetItem",
        "dynamodb:DeleteItem",
        "dynamodb:GetItem",
        "dynamodb:PartiQLDelete",
        "dynamodb:PutItem",
        "dynamodb:Query",
        "dynamodb:UpdateItem",
        *(("dynamodb:PartiQLInsert", "dynamodb:Scan") if append else ()),
        on=[state.table.table_arn],
    )


def items(rights: Rights, config: Config, state: State, *, uploads: bool) -> None:
    """Write items and their vectors, for which the stores' fields and clocks are read; `uploads`:
    keep account of uploads and of new fields as well.
    """
    rights.may(
        "dynamodb:GetItem",
        "dynamodb:Query",
        *(("dynamodb:UpdateItem",) if uploads else ()),
        on=[state.table.table_arn],
    )
    qdrant(rights, config)
    announce(rights, state)


def files(rights: Rights, state: State) -> None:
    """Read uploads, each version of them, and what others say that theirs name (it lies with the
    chunks); write chunks and reports.
    """
    rights.may("s3:GetObject", "s3:GetObjectVersion", on=[state.objects(WATCHED)], because=_OBJECTS)
    rights.may("s3:GetObject", on=[state.objects("chunks/")], because=_OBJECTS)
    rights.may(
        "s3:PutObject", on=[state.objects("chunks/"), state.objects("reports/")], because=_OBJECTS
    )
    rights.may("s3:ListBucket", on=[state.bucket_arn])


def chunks(rights: Rights, state: State) -> None:
    """Read what is to be embedded."""
    rights.may("s3:GetObject", on=[state.objects("chunks/")], because=_OBJECTS)
    rights.may("s3:ListBucket", on=[state.bucket_arn])


def saved_state(rights: Rights, state: State, *, write: bool) -> None:
    """What is popular, and the slates that are served while Qdrant is away."""
    actions = ["s3:GetObject", *(["s3:PutObject", "s3:DeleteObject"] if write else [])]
    rights.may(*actions, on=[state.objects("state/")], because=_OBJECTS)
    # Without it a missing object is "forbidden" instead of "not found".
    rights.may("s3:ListBucket", on=[state.bucket_arn])


def learned(rights: Rights, state: State) -> None:
    """Read the rankers and towers that were learned from the log. They come from the command line,
    and who reads them may list the bucket, as with saved state and chunks.
    """
    rights.may("s3:GetObject", on=[state.objects("learned/")], because=_OBJECTS)


def qdrant(rights: Rights, config: Config) -> None:
    """Learn where Qdrant is. Secrets are under the account's own SSM key, whose policy lets through
    whoever may read the parameter.
    """
    rights.may(
        "ssm:GetParameter",
        on=[_parameter(rights, config, f"qdrant/{name}") for name in ("url", "key", "ca")],
    )


def secrets(rights: Rights, config: Config) -> None:
    """Read the stores' keys (their digests, all together) and signing secrets."""
    rights.may(
        "ssm:GetParametersByPath",
        on=[_parameter(rights, config, f"keys{below}") for below in ("", "/*")],
        because="keys come and go while the deployment runs",
    )
    rights.may(
        "ssm:GetParameter",
        on=[_parameter(rights, config, "signing/*")],
        because="one for each store, and stores come and go while the deployment runs",
    )


def _parameter(rights: Rights, config: Config, name: str) -> str:
    return Stack.of(rights).format_arn(
        service="ssm", resource=f"parameter{config.parameters}/{name}"
    )


def announce(rights: Rights, state: State) -> None:
    """Tell the bus what happened."""
    rights.may("events:PutEvents", on=[state.bus.event_bus_arn])


def jobs(rights: Rights, config: Config) -> None:
    """Start workers on AWS Batch, and see whether any runs."""
    stack = Stack.of(rights)

    def arn(kind: str, name: str) -> str:
        return stack.format_arn(service="batch", resource=kind, resource_name=config.called(name))

    rights.may(
        "batch:SubmitJob",
        on=[
            *(arn("job-queue", name) for name in BATCH_QUEUES),
            *(
                f"{arn('job-definition', name)}{revision}"
                for name in BATCH_JOBS
                for revision in ("", ":*")
            ),
        ],
        because="each revision of a job definition has a number",
    )
    rights.may("batch:ListJobs", on=["*"], because="AWS lets no job queue be named for this")


def drain(rights: Rights, lane: Queue) -> None:
    """Take messages from a lane's queue for as long as they are worked on; bury what is dead."""
    rights.may(
        "sqs:ReceiveMessage",
        "sqs:DeleteMessage",
        "sqs:GetQueueAttributes",
        "sqs:ChangeMessageVisibility",
        on=[lane.queue.queue_arn],
    )
    rights.may("sqs:SendMessage", on=[lane.letters.queue_arn])
