"""Events: a FIFO queue by user and the function that logs and folds them; the clock's tasks."""

from typing import Any

from aws_cdk import CfnOutput, Stack
from constructs import Construct

from infra import permits
from infra.config import Config
from infra.environment import common, named
from infra.function import Function
from infra.network import Network
from infra.queue import Queue
from infra.state import State


class Events(Stack):
    """`events`: the queue; `function`."""

    def __init__(
        self,
        scope: Construct,
        config: Config,
        state: State,
        network: Network | None,
        **stack: Any,
    ) -> None:
        super().__init__(scope, f"Windowshop-{config.name}-Events", **stack)
        self.add_stack_dependency(state)
        self.events = Queue(
            self,
            "events",
            config,
            visibility_s=6 * config.events.timeout_s,
            # The function itself moves a bad message; one that waits for an outage to end
            # must not become a letter, so this is as many as AWS allows.
            receives=1_000,
            fifo=True,
        )
        self.function = Function(
            self,
            "events",
            config,
            network,
            handler="functions.events.handler.handler",
            memory_mb=config.events.memory_mb,
            timeout_s=config.events.timeout_s,
            environment={
                **common(config),
                **named(
                    table=state.table.table_name,
                    bucket=state.bucket.bucket_name,
                    bus=state.bus.event_bus_name,
                    events_queue=self.events.queue.queue_url,
                    events_letters=self.events.letters.queue_url,
                ),
            },
            description="Logs and folds events; refreshes what is popular",
        )
        permits.log(self.function.rights, state, append=True)
        permits.saved_state(self.function.rights, state, write=True)
        permits.learned(self.function.rights, state)
        permits.qdrant(self.function.rights, config)
        permits.announce(self.function.rights, state)
        self.function.rights.may("sqs:SendMessage", on=[self.events.letters.queue_arn])
        self.function.fed_by(self.events.queue, batch=10, concurrency=config.events.concurrency)
        self.function.woken("refresh", "1 minute", state.missed)
        self.function.woken("maintain", "1 day", state.missed)
        CfnOutput(self, "EventsQueue", value=self.events.queue.queue_url)
        CfnOutput(self, "EventsLetters", value=self.events.letters.queue_url)
