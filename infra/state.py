"""What lasts: the bucket, the table of the event log, the bus. Deleting the stack keeps both."""

from typing import Any, cast

from aws_cdk import CfnOutput, Duration, RemovalPolicy, Stack
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.config import Config
from infra.nag import acknowledge
from infra.queue import KEPT

WATCHED = "catalog/"
"""Where uploads land; nothing of ours is ever written there."""


BACKUPS = "backup/"
"""Snapshots of an own Qdrant."""


class State(Stack):
    """`bucket`, `table`, `bus`, and `missed`: the calls that a schedule could not make."""

    def __init__(self, scope: Construct, config: Config, **stack: Any) -> None:
        super().__init__(scope, f"Windowshop-{config.name}-State", **stack)
        self._removal = (
            RemovalPolicy.RETAIN if config.data.removal == "retain" else RemovalPolicy.DESTROY
        )
        self.bucket = self._bucket(config)
        self.table = self._table()
        self.bus = events.EventBus(self, "bus", event_bus_name=config.called("bus"))
        self.missed = sqs.Queue(
            self,
            "missed",
            queue_name=config.called("missed"),
            retention_period=KEPT,
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            removal_policy=RemovalPolicy.DESTROY,
        )
        acknowledge(
            self.missed,
            "it is where the calls end that a schedule could not make",
            "AwsSolutions-SQS3",
            "Serverless-SQSRedrivePolicy",
        )
        # Exported by hand, since a role's wildcard is acknowledged by its wording.
        self.bucket_arn = self.export_value(self.bucket.bucket_arn)
        CfnOutput(self, "Bucket", value=self.bucket.bucket_name)
        CfnOutput(self, "Table", value=self.table.table_name)
        CfnOutput(self, "Bus", value=self.bus.event_bus_name)

    def objects(self, prefix: str) -> str:
        """The ARN of all objects below a prefix, for stacks that depend on this one."""
        return f"{self.bucket_arn}/{prefix}*"

    def _bucket(self, config: Config) -> s3.Bucket:
        data = config.data
        bucket = s3.Bucket(
            self,
            "bucket",
            versioned=True,
            encryption=s3.BucketEncryption.S3_MANAGED,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
            enforce_ssl=True,
            minimum_tls_version=1.2,
            removal_policy=self._removal,
            lifecycle_rules=[
                s3.LifecycleRule(
                    id="uploads",
                    prefix=WATCHED,
                    noncurrent_version_expiration=Duration.days(data.version_days),
                ),
                # What is ours is written once; an older version of it is only in the way.
                *(
                    s3.LifecycleRule(
                        id=prefix.strip("/"),
                        prefix=prefix,
                        expiration=Duration.days(days) if days else None,
                        noncurrent_version_expiration=Duration.days(1),
                    )
                    for prefix, days in (
                        ("chunks/", data.chunk_days),
                        ("reports/", data.report_days),
                        ("state/", None),
                        ("learned/", None),
                        (BACKUPS, config.qdrant.snapshot_days),
                    )
                ),
                s3.LifecycleRule(
                    id="unfinished", abort_incomplete_multipart_upload_after=Duration.days(3)
                ),
                s3.LifecycleRule(id="markers", expired_object_delete_marker=True),
            ],
        )
        acknowledge(
            bucket,
            "only the deployment's own roles and its operators come here; whoever must keep access "
            "logs has CloudTrail's data events for the bucket",
            "AwsSolutions-S1",
        )
        # The construct's own switch would bring a function that sets it; the property is enough.
        cast("s3.CfnBucket", bucket.node.default_child).add_property_override(
            "NotificationConfiguration.EventBridgeConfiguration.EventBridgeEnabled", True
        )
        return bucket

    def _table(self) -> dynamodb.Table:
        return dynamodb.Table(
            self,
            "table",
            partition_key=dynamodb.Attribute(name="pk", type=dynamodb.AttributeType.STRING),
            sort_key=dynamodb.Attribute(name="sk", type=dynamodb.AttributeType.STRING),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            time_to_live_attribute="expires",
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            deletion_protection=self._removal is RemovalPolicy.RETAIN,
            removal_policy=self._removal,
            resource_policy=iam.PolicyDocument(
                statements=[
                    iam.PolicyStatement(
                        effect=iam.Effect.DENY,
                        principals=[iam.AnyPrincipal()],
                        actions=["dynamodb:*"],
                        resources=["*"],
                        conditions={"Bool": {"aws:SecureTransport": "false"}},
                    )
                ]
            ),
        )
