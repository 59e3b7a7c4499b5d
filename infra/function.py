"""A function: its package, its own role, its log; what feeds it and what wakes it."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import cast

from aws_cdk import Annotations, Duration, RemovalPolicy, Size, Stack
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_scheduler as scheduler
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra import tracing
from infra.config import ROOT, Config
from infra.nag import acknowledge
from infra.network import Network
from infra.rights import Rights

RUNTIME = lambda_.Runtime.PYTHON_3_13
PLACEHOLDER = Path(__file__).parent / "placeholder"
_ARCHITECTURES = {
    "arm64": lambda_.Architecture.ARM_64,
    "x86-64": lambda_.Architecture.X86_64,
}


def built(scope: Construct, path: Path) -> str:
    """What `make build` made; a placeholder and a warning where it has not been made yet."""
    if path.exists():
        return str(path)
    Annotations.of(scope).add_warning_v2(
        f"windowshop:{path.name}", f"{path} is missing: run `make build` before you deploy"
    )
    return str(PLACEHOLDER)


def log_group(scope: Construct, config: Config, name: str) -> logs.LogGroup:
    """A log that forgets after operations.log_days."""
    group = logs.LogGroup(
        scope,
        "log",
        log_group_name=f"/windowshop/{config.name}/{name}",
        removal_policy=RemovalPolicy.DESTROY,
    )
    child = cast("logs.CfnLogGroup", group.node.default_child)
    child.retention_in_days = config.operations.log_days
    return group


class Function(Construct):
    """`function`, its `rights` and its `log`."""

    def __init__(
        self,
        scope: Construct,
        name: str,
        config: Config,
        network: Network | None,
        *,
        handler: str,
        memory_mb: int,
        timeout_s: int,
        environment: Mapping[str, str],
        disk_mb: int = 512,
        snapstart: bool = False,
        reserved: int | None = None,
        description: str = "",
    ) -> None:
        super().__init__(scope, f"{name}-function")
        self._config = config
        self.log = log_group(self, config, name)
        self.rights = Rights(self, "lambda")
        self.rights.may("logs:CreateLogStream", "logs:PutLogEvents", on=[self.log.log_group_arn])
        file = (
            ROOT / config.packages / f"{name}.zip"
            if config.packages
            else ROOT / "dist" / f"{name}-{config.architecture}.zip"
        )
        self.function = lambda_.Function(
            self,
            "function",
            function_name=config.called(name),
            description=description,
            runtime=RUNTIME,
            architecture=_ARCHITECTURES[config.architecture],
            code=lambda_.Code.from_asset(built(self, file)),
            handler=handler,
            memory_size=memory_mb,
            timeout=Duration.seconds(timeout_s),
            ephemeral_storage_size=Size.mebibytes(disk_mb),
            environment={
                **environment,
                "POWERTOOLS_SERVICE_NAME": name,
                "POWERTOOLS_METRICS_NAMESPACE": f"windowshop/{config.name}",
            },
            role=self.rights.role.without_policy_updates(),
            log_group=self.log,
            logging_format=lambda_.LoggingFormat.JSON,
            # START, END and REPORT lines of every call are most of a quiet log's price.
            system_log_level_v2=lambda_.SystemLogLevel.WARN,
            snap_start=lambda_.SnapStartConf.ON_PUBLISHED_VERSIONS if snapstart else None,
            reserved_concurrent_executions=reserved,
            **(network.place(self.rights) if network else {}),
        )
        if network:
            for key, value in network.variables.items():
                self.function.add_environment(key, value)
        if config.operations.tracing:
            tracing.attach(self.function, self.rights, name, config)
        self.function.node.add_dependency(self.rights.policy)
        self._acknowledge()

    def _acknowledge(self) -> None:
        acknowledge(
            self.function,
            "packages are built and tested for this runtime, and SnapStart must have it",
            "AwsSolutions-L1",
            "Serverless-LambdaLatestVersion",
        )
        acknowledge(
            self.function,
            "it is called by a gateway that waits, by a queue that has letters, or by a schedule "
            "whose next call makes up for a failed one",
            "Serverless-LambdaDLQ",
        )
        acknowledge(
            self.function,
            "traces are OpenTelemetry's, of one call in a hundred (operations.tracing); X-Ray's "
            "own switch would take one in twenty and cannot be told otherwise",
            "Serverless-LambdaTracing",
        )

    def fed_by(self, queue: sqs.IQueue, *, batch: int, concurrency: int) -> None:
        """Messages of a queue call it; it answers which of a batch are to come again."""
        self.rights.may(
            "sqs:ReceiveMessage",
            "sqs:DeleteMessage",
            "sqs:GetQueueAttributes",
            "sqs:ChangeMessageVisibility",
            on=[queue.queue_arn],
        )
        mapping = lambda_.EventSourceMapping(
            self,
            "mapping",
            target=self.function,
            event_source_arn=queue.queue_arn,
            batch_size=batch,
            max_concurrency=concurrency,
            report_batch_item_failures=True,
        )
        mapping.node.add_dependency(self.rights.policy)
        acknowledge(
            mapping,
            "the queue itself moves what fails too often to its letters; a destination of the "
            "mapping is for streams",
            "Serverless-LambdaEventSourceMappingDestination",
        )

    def woken(self, task: str, rate: str, letters: sqs.IQueue) -> None:
        """Called with {"task": ...} at a rate; a call that could not be made is a letter.

        One that failed is not repeated: the next is near.
        """
        if not self.node.try_find_child("wakes"):
            wakes = lambda_.EventInvokeConfig(
                self,
                "wakes",
                function=self.function,
                max_event_age=Duration.minutes(1),
                retry_attempts=0,
            )
            acknowledge(
                wakes,
                "a task that failed is made up for by the next one; its error raises the alarm",
                "Serverless-LambdaAsyncFailureDestination",
            )
        clock = Rights(
            self,
            "scheduler",
            name=f"clock-{task}",
            conditions={"StringEquals": {"aws:SourceAccount": Stack.of(self).account}},
        )
        clock.may("lambda:InvokeFunction", on=[self.function.function_arn])
        clock.may("sqs:SendMessage", on=[letters.queue_arn])
        schedule = scheduler.CfnSchedule(
            self,
            task,
            name=self._config.called(task),
            schedule_expression=f"rate({rate})",
            flexible_time_window=scheduler.CfnSchedule.FlexibleTimeWindowProperty(mode="OFF"),
            target=scheduler.CfnSchedule.TargetProperty(
                arn=self.function.function_arn,
                role_arn=clock.role.role_arn,
                input=json.dumps({"task": task}),
                dead_letter_config=scheduler.CfnSchedule.DeadLetterConfigProperty(
                    arn=letters.queue_arn
                ),
                retry_policy=scheduler.CfnSchedule.RetryPolicyProperty(
                    maximum_event_age_in_seconds=60, maximum_retry_attempts=0
                ),
            ),
        )
        schedule.node.add_dependency(clock.policy)
