"""What tells people: alarms to a topic, and a dashboard.

CloudWatch asks $0.10 a month for each metric of an alarm, so an alarm here watches what loses or
delays something, and the dashboard shows the rest.
"""

from collections.abc import Iterable
from typing import Any

from aws_cdk import CfnOutput, Duration, Stack
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.config import Config
from infra.nag import acknowledge
from infra.permits import BATCH_QUEUES
from infra.queue import KEPT

MINUTES = Duration.minutes(5)
FUNCTIONS = ("recommend", "events", "ingest", "worker")
OWN_METRICS = {
    "EventsFolded": "Sum",
    "FreshnessSeconds": "Average",
    "SlateMilliseconds": "Average",
    "DegradedSlates": "Sum",
    "UnknownItems": "Sum",
    "MessagesWaiting": "Sum",
    "LettersSent": "Sum",
    "ItemsEmbedded": "Sum",
    "EmbedSeconds": "Average",
    "RowsAccepted": "Sum",
    "RowsRejected": "Sum",
}
"""What the functions themselves measure (`signals.measure`), and how it is drawn."""


class Operations(Stack):
    """`topic`; alarms; the dashboard."""

    def __init__(self, scope: Construct, config: Config, **stack: Any) -> None:
        """What is watched is known by name, so that this stack stands in nobody's way."""
        super().__init__(scope, f"Windowshop-{config.name}-Operations", **stack)
        self._config = config
        self._lanes = [
            "events",
            "catalogue",
            "embed",
            *(["embed-bulk"] if config.bulk.workers != "none" else []),
        ]
        self._untold = self._letters()
        self.topic = self._topic()
        if config.operations.alarms:
            self._alarms()
            self._failed_jobs()
        if config.operations.dashboard:
            self._dashboard()
        CfnOutput(self, "Topic", value=self.topic.topic_arn)

    def _letters(self) -> sqs.Queue:
        queue = sqs.Queue(
            self,
            "untold",
            queue_name=self._config.called("untold"),
            retention_period=KEPT,
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
        )
        acknowledge(
            queue,
            "it is where messages end that reached nobody",
            "AwsSolutions-SQS3",
            "Serverless-SQSRedrivePolicy",
        )
        return queue

    def _topic(self) -> sns.Topic:
        topic = sns.Topic(
            self,
            "topic",
            topic_name=self._config.called("alarms"),
            # The key of AWS's own for SNS lets neither alarms nor rules publish; what is sent here
            # names queues and functions, and no data.
            enforce_ssl=True,
        )
        if self._config.operations.email:
            topic.add_subscription(
                subscriptions.EmailSubscription(
                    self._config.operations.email, dead_letter_queue=self._untold
                )
            )
        topic.add_to_resource_policy(
            iam.PolicyStatement(
                actions=["sns:Publish"],
                principals=[
                    iam.ServicePrincipal("cloudwatch.amazonaws.com"),
                    iam.ServicePrincipal("events.amazonaws.com"),
                ],
                resources=[topic.topic_arn],
                conditions={"StringEquals": {"aws:SourceAccount": self.account}},
            )
        )
        return topic

    def _alarms(self) -> None:
        operations = self._config.operations
        for lane in self._lanes:
            self._alarm(
                f"{lane}-waiting",
                f"A message of {lane} waits for too long: is Qdrant away, or does a function fail?",
                self._queue(lane, "ApproximateAgeOfOldestMessage"),
                operations.waiting_s,
                periods=2,
            )
            self._alarm(
                f"{lane}-letters",
                f"A message of {lane} could not take effect: windowshop dead-letters list",
                self._queue(f"{lane}-letters", "ApproximateNumberOfMessagesVisible"),
                0,
            )
        # What fails in the others comes again, and is a message that waits or a letter.
        for name in ("recommend", "events"):
            self._alarm(
                f"{name}-errors",
                f"The function {name} fails: its log says why",
                self._function(name, "Errors"),
                0,
                periods=2,
            )
        self._alarm(
            "slow",
            "One request in a hundred takes too long",
            self._function("recommend", "Duration", "p99"),
            operations.p99_ms,
            periods=3,
        )

    def _alarm(
        self,
        name: str,
        description: str,
        metric: cloudwatch.IMetric,
        above: float,
        periods: int = 1,
    ) -> None:
        alarm = cloudwatch.Alarm(
            self,
            name,
            alarm_name=self._config.called(name),
            alarm_description=description,
            metric=metric,
            threshold=above,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_THRESHOLD,
            evaluation_periods=periods,
            # Where nothing happens there is no metric, and all is well.
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
        alarm.add_alarm_action(actions.SnsAction(self.topic))
        alarm.add_ok_action(actions.SnsAction(self.topic))

    def _failed_jobs(self) -> None:
        """Told by an event, since AWS Batch has no metric of it; an event costs nothing."""
        if self._config.bulk.workers != "batch":
            return
        queues = [
            self.format_arn(
                service="batch", resource="job-queue", resource_name=self._config.called(name)
            )
            for name in BATCH_QUEUES
        ]
        events.Rule(
            self,
            "failed-jobs",
            event_pattern=events.EventPattern(
                source=["aws.batch"],
                detail_type=["Batch Job State Change"],
                detail={"status": ["FAILED"], "jobQueue": queues},
            ),
            targets=[
                targets.SnsTopic(
                    self.topic,
                    dead_letter_queue=self._untold,
                    message=events.RuleTargetInput.from_text(
                        "A job of the bulk lane failed: "
                        f"{events.EventField.from_path('$.detail.jobName')}: "
                        f"{events.EventField.from_path('$.detail.statusReason')}"
                    ),
                )
            ],
        )

    def _queue(self, name: str, metric: str) -> cloudwatch.Metric:
        fifo = ".fifo" if name.startswith("events") else ""
        return cloudwatch.Metric(
            namespace="AWS/SQS",
            metric_name=metric,
            dimensions_map={"QueueName": f"{self._config.called(name)}{fifo}"},
            period=MINUTES,
            statistic="Maximum",
        )

    def _function(self, name: str, metric: str, statistic: str = "Sum") -> cloudwatch.Metric:
        return cloudwatch.Metric(
            namespace="AWS/Lambda",
            metric_name=metric,
            dimensions_map={"FunctionName": self._config.called(name)},
            period=MINUTES,
            statistic=statistic,
        )

    def _dashboard(self) -> None:
        namespace = f"windowshop/{self._config.name}"
        dashboard = cloudwatch.Dashboard(
            self, "dashboard", dashboard_name=self._config.called("shop")
        )
        dashboard.add_widgets(
            _graph(
                "Calls and errors",
                (
                    self._function(name, metric).with_(label=f"{name}: {metric.lower()}")
                    for name in FUNCTIONS
                    for metric in ("Invocations", "Errors")
                ),
            ),
            _graph(
                "Duration of recommend, ms",
                (
                    self._function("recommend", "Duration", share).with_(label=share)
                    for share in ("p50", "p99")
                ),
            ),
        )
        dashboard.add_widgets(
            _graph(
                "Age of the oldest message, s",
                (
                    self._queue(lane, "ApproximateAgeOfOldestMessage").with_(label=lane)
                    for lane in self._lanes
                ),
            ),
            _graph(
                "Letters",
                (
                    self._queue(f"{lane}-letters", "ApproximateNumberOfMessagesVisible").with_(
                        label=lane
                    )
                    for lane in self._lanes
                ),
            ),
        )
        dashboard.add_widgets(
            _graph(
                "What the shop measures",
                (
                    cloudwatch.MathExpression(
                        expression=f'SEARCH(\'Namespace="{namespace}" MetricName="{name}"\', '
                        f"'{how}', 300)",
                        label=name,
                        using_metrics={},
                        period=MINUTES,
                    )
                    for name, how in OWN_METRICS.items()
                ),
                width=24,
            )
        )


def _graph(
    title: str, metrics: Iterable[cloudwatch.IMetric], width: int = 12
) -> cloudwatch.GraphWidget:
    return cloudwatch.GraphWidget(title=title, left=list(metrics), width=width, height=6)
