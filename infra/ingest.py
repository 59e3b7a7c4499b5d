"""Uploads: bucket -> EventBridge -> queue -> function; and the fast lane of the embedding."""

from typing import Any

from aws_cdk import CfnOutput, Stack
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from constructs import Construct

from infra import permits
from infra.config import Config
from infra.environment import common, named
from infra.function import Function
from infra.network import Network
from infra.queue import Queue
from infra.state import WATCHED, State


class Ingest(Stack):
    """`catalogue`, `embed` and `bulk` (None without that lane): queues; two functions."""

    def __init__(
        self,
        scope: Construct,
        config: Config,
        state: State,
        network: Network | None,
        **stack: Any,
    ) -> None:
        super().__init__(scope, f"Windowshop-{config.name}-Ingest", **stack)
        self.add_stack_dependency(state)
        self.catalogue = Queue(
            self,
            "catalogue",
            config,
            visibility_s=6 * config.ingest.timeout_s,
            # A large file takes several calls, each of which goes on where the last one was.
            receives=50,
        )
        self.embed = Queue(
            self, "embed", config, visibility_s=6 * config.worker.timeout_s, receives=1_000
        )
        self.bulk = (
            Queue(self, "embed-bulk", config, visibility_s=config.bulk.hold_s, receives=1_000)
            if config.bulk.workers != "none"
            else None
        )
        self._watch(state)
        self.ingest = self._ingest(config, state, network)
        self.worker = self._worker(config, state, network)
        CfnOutput(self, "CatalogueQueue", value=self.catalogue.queue.queue_url)
        CfnOutput(self, "EmbedQueue", value=self.embed.queue.queue_url)
        if self.bulk:
            CfnOutput(self, "EmbedBulkQueue", value=self.bulk.queue.queue_url)

    def _watch(self, state: State) -> None:
        events.Rule(
            self,
            "uploads",
            event_pattern=events.EventPattern(
                source=["aws.s3"],
                detail_type=["Object Created"],
                detail={
                    "bucket": {"name": [state.bucket.bucket_name]},
                    "object": {"key": [{"prefix": WATCHED}]},
                },
            ),
            targets=[
                targets.SqsQueue(self.catalogue.queue, dead_letter_queue=self.catalogue.letters)
            ],
        )

    def _ingest(self, config: Config, state: State, network: Network | None) -> Function:
        batch = config.bulk.workers == "batch"
        parts = {
            "table": state.table.table_name,
            "bucket": state.bucket.bucket_name,
            "bus": state.bus.event_bus_name,
            "embed_queue": self.embed.queue.queue_url,
            "catalogue_queue": self.catalogue.queue.queue_url,
            "catalogue_letters": self.catalogue.letters.queue_url,
            "small_items": str(config.small_items),
        }
        if self.bulk:
            parts["embed_bulk_queue"] = self.bulk.queue.queue_url
        if batch:
            parts |= {
                "batch_queue": config.called(permits.BATCH_GPU),
                "batch_embed": config.called(permits.BATCH_EMBED),
                "batch_cpu_queue": config.called(permits.BATCH_CPU),
                "batch_ingest": config.called(permits.BATCH_INGEST),
            }
        function = Function(
            self,
            "ingest",
            config,
            network,
            handler="functions.ingest.handler.handler",
            memory_mb=config.ingest.memory_mb,
            timeout_s=config.ingest.timeout_s,
            # A zip or Parquet file is spooled whole, and up to 2 GB are read here.
            disk_mb=4_096,
            environment={**common(config), **named(**parts)},
            description="Reads uploaded catalogues and hands their texts to the embedding",
        )
        permits.files(function.rights, state)
        permits.items(function.rights, config, state, uploads=True)
        lanes = [self.embed, *([self.bulk] if self.bulk else [])]
        function.rights.may(
            "sqs:SendMessage", "sqs:GetQueueAttributes", on=[one.queue.queue_arn for one in lanes]
        )
        function.rights.may("sqs:SendMessage", on=[self.catalogue.letters.queue_arn])
        if batch:
            permits.jobs(function.rights, config)
        function.fed_by(self.catalogue.queue, batch=1, concurrency=config.ingest.concurrency)
        # What waits for a vector is in a queue, and what is in the bulk lane's has a worker.
        function.woken("reconcile", "5 minutes" if batch else "1 hour", state.missed)
        return function

    def _worker(self, config: Config, state: State, network: Network | None) -> Function:
        function = Function(
            self,
            "worker",
            config,
            network,
            handler="functions.ingest.worker.handler",
            memory_mb=config.worker.memory_mb,
            timeout_s=config.worker.timeout_s,
            environment={
                **common(config),
                **named(
                    table=state.table.table_name,
                    bucket=state.bucket.bucket_name,
                    bus=state.bus.event_bus_name,
                    embed_queue=self.embed.queue.queue_url,
                    embed_letters=self.embed.letters.queue_url,
                ),
            },
            description="Embeds the items of small uploads and of calls",
        )
        permits.chunks(function.rights, state)
        permits.learned(function.rights, state)
        permits.items(function.rights, config, state, uploads=False)
        function.rights.may("sqs:SendMessage", on=[self.embed.letters.queue_arn])
        function.fed_by(self.embed.queue, batch=1, concurrency=config.worker.concurrency)
        return function
