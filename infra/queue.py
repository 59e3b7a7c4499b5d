"""A queue and where its dead letters go: encrypted, over TLS only, kept for a fortnight."""

from aws_cdk import Duration, RemovalPolicy
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.config import Config
from infra.nag import acknowledge

KEPT = Duration.days(14)
"""The longest that SQS keeps a message."""


class Queue(Construct):
    """`queue` and `letters`, named windowshop-<deployment>-<name> and ...-<name>-letters."""

    def __init__(
        self,
        scope: Construct,
        name: str,
        config: Config,
        *,
        visibility_s: int,
        receives: int,
        fifo: bool = False,
    ) -> None:
        super().__init__(scope, f"{name}-queue")
        self.letters = self._queue("letters", config.called(f"{name}-letters"), fifo)
        acknowledge(
            self.letters,
            "it is where the letters of another queue end; `windowshop dead-letters` empties it",
            "Serverless-SQSRedrivePolicy",
        )
        self.queue = self._queue(
            "queue",
            config.called(name),
            fifo,
            visibility=Duration.seconds(visibility_s),
            dead_letter_queue=sqs.DeadLetterQueue(queue=self.letters, max_receive_count=receives),
        )

    def _queue(
        self,
        part: str,
        name: str,
        fifo: bool,
        visibility: Duration | None = None,
        dead_letter_queue: sqs.DeadLetterQueue | None = None,
    ) -> sqs.Queue:
        return sqs.Queue(
            self,
            part,
            queue_name=f"{name}.fifo" if fifo else name,
            # A property that is false may not be written on a standard queue.
            fifo=True if fifo else None,
            deduplication_scope=sqs.DeduplicationScope.MESSAGE_GROUP if fifo else None,
            fifo_throughput_limit=(sqs.FifoThroughputLimit.PER_MESSAGE_GROUP_ID if fifo else None),
            visibility_timeout=visibility,
            retention_period=KEPT,
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
            dead_letter_queue=dead_letter_queue,
            # What waits in a queue exists nowhere else: a stack that is deleted leaves it
            # only while its messages live, so the data's own policy does not apply here.
            removal_policy=RemovalPolicy.DESTROY,
        )
