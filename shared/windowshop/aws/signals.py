"""Domain events on an EventBridge bus (docs/aws-events.md), and metrics embedded in the log.

A metric is kept until `flush`, at the end of an invocation: CloudWatch reads it from one line that
Powertools writes for all of them. Where no namespace is set (the command line) there is no line.
"""

import threading
from collections.abc import Callable, Mapping
from functools import cache, wraps
from typing import Any, ParamSpec, TypeVar

import orjson
from botocore.exceptions import BotoCoreError, ClientError

from windowshop.aws.clients import translate
from windowshop.errors import WindowshopError
from windowshop.logs import log

SOURCE = "windowshop"
MAX_KEPT = 100
"""Values of a metric in one line, as CloudWatch allows; whoever never flushes is flushed then."""

Called = ParamSpec("Called")
Answered = TypeVar("Answered")
_Dimensions = tuple[tuple[str, str], ...]


class AwsSignals:
    """`client` gives the EventBridge client of the moment; without a `bus` nobody is told."""

    def __init__(self, client: Callable[[], Any], bus: str) -> None:
        self._client, self._bus = client, bus
        self._lock = threading.Lock()
        self._kept: dict[_Dimensions, dict[tuple[str, str], list[float]]] = {}

    def announce(self, name: str, detail: Mapping[str, Any]) -> None:
        if not self._bus:
            return
        try:
            entry = {
                "Source": SOURCE,
                "DetailType": name,
                "Detail": orjson.dumps(dict(detail)).decode(),
                "EventBusName": self._bus,
            }
            answer = self._client().put_events(Entries=[entry])
        except (BotoCoreError, ClientError) as error:
            log("signals").error("event_not_sent", name=name, detail=translate(error).detail)
        except (WindowshopError, TypeError) as error:
            log("signals").error("event_not_sent", name=name, error=error)
        else:
            if answer.get("FailedEntryCount"):
                why = answer["Entries"][0].get("ErrorMessage")
                log("signals").error("event_not_sent", name=name, detail=why)

    def measure(self, name: str, value: float, unit: str = "Count", **dimensions: str) -> None:
        with self._lock:
            values = self._kept.setdefault(tuple(sorted(dimensions.items())), {}).setdefault(
                (name, unit), []
            )
            values.append(value)
            full = len(values) >= MAX_KEPT
        if full:
            self.flush()

    def reporting(self, handle: Callable[Called, Answered]) -> Callable[Called, Answered]:
        """The handler of a function; after each call what was measured is written."""

        @wraps(handle)
        def handle_and_report(*args: Called.args, **kwargs: Called.kwargs) -> Answered:
            try:
                return handle(*args, **kwargs)
            finally:
                self.flush()

        return handle_and_report

    def flush(self) -> None:
        """Write what was measured, a line for each set of dimensions."""
        with self._lock:
            kept, self._kept = self._kept, {}
        if not kept:
            return
        try:
            for dimensions, metrics in kept.items():
                _write(dimensions, metrics)
        except Exception as error:  # noqa: BLE001 - nothing fails because it cannot be measured
            log("signals").error("metrics_dropped", error=error)


def _write(dimensions: _Dimensions, metrics: Mapping[tuple[str, str], list[float]]) -> None:
    line = _provider()()
    if line.namespace is None:
        return
    for name, word in dimensions:
        line.add_dimension(name, word)
    for (name, unit), values in metrics.items():
        for value in values:
            line.add_metric(name, unit, value)
    if line.metric_set:  # or it was written already: it was full
        line.flush_metrics()


@cache
def _provider() -> Any:
    """Namespace and service come from the environment, where Powertools looks for them."""
    from aws_lambda_powertools.metrics.provider.cloudwatch_emf.cloudwatch import (
        AmazonCloudWatchEMFProvider,
    )

    return AmazonCloudWatchEMFProvider
