"""Traces through OpenTelemetry: AWS's own distribution of it, as a layer of the functions.

One call in a hundred is traced. The layer sends spans straight to X-Ray's OTLP address, so Lambda's
own tracing, which takes one call in twenty and cannot be told otherwise, stays off.
"""

from aws_cdk import Stack
from aws_cdk import aws_lambda as lambda_

from infra.config import Config
from infra.rights import Rights

SHARE = 0.01


def attach(function: lambda_.Function, rights: Rights, name: str, config: Config) -> None:
    """Have a function traced; the layer's ARN is operations.tracing."""
    stack = Stack.of(function)
    function.add_layers(
        lambda_.LayerVersion.from_layer_version_arn(
            function, "opentelemetry", config.operations.tracing
        )
    )
    endpoint = f"https://xray.{stack.region}.{stack.url_suffix}/v1/traces"
    for key, value in {
        "AWS_LAMBDA_EXEC_WRAPPER": "/opt/otel-instrument",
        "OTEL_AWS_APPLICATION_SIGNALS_ENABLED": "false",
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": endpoint,
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/protobuf",
        "OTEL_LOGS_EXPORTER": "none",
        "OTEL_METRICS_EXPORTER": "none",
        "OTEL_SERVICE_NAME": config.called(name),
        "OTEL_TRACES_EXPORTER": "otlp",
        "OTEL_TRACES_SAMPLER": "traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": f"{SHARE}",
    }.items():
        function.add_environment(key, value)
    rights.may(
        "xray:PutSpans",
        "xray:PutSpansForIndexing",
        "xray:PutTraceSegments",
        on=["*"],
        because="a trace is no part that could be named",
    )
