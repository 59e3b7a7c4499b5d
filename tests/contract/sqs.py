"""Queues like those that infra/ makes, for suites that need some of their own."""

import time

import boto3

from windowshop.aws.queue import SqsQueue
from windowshop.records import new_id

VISIBLE_S = 30


def sqs_queue(client=None, *, fifo=False, **attributes):
    """A new queue in the emulator."""
    client = client or boto3.client("sqs")
    if fifo:
        attributes |= {
            "FifoQueue": "true",
            "DeduplicationScope": "messageGroup",
            "FifoThroughputLimit": "perMessageGroupId",
        }
    made = client.create_queue(
        QueueName=f"queue-{new_id(1)}{'.fifo' if fifo else ''}",
        Attributes={"VisibilityTimeout": str(VISIBLE_S), **attributes},
    )
    return SqsQueue(lambda: client, made["QueueUrl"])


class Time:
    """Milliseconds that pass when they are told to; SQS has its own and must be waited for."""

    def __init__(self):
        self.ms = time.time_ns() // 1_000_000

    def __call__(self):
        return self.ms
