"""Requests: an HTTP API before the function that answers them; how to find all of this."""

import json
from typing import Any

from aws_cdk import CfnOutput, Stack
from aws_cdk import aws_apigatewayv2 as gateway
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from infra import permits
from infra.config import Config
from infra.environment import common, named
from infra.events import Events
from infra.function import Function, log_group
from infra.ingest import Ingest
from infra.nag import acknowledge
from infra.network import Network
from infra.state import State

ROUTES = (
    "POST /v1/recommendations",
    "POST /v1/recommendations/batch",
    "POST /v1/events",
    "OPTIONS /v1/{proxy+}",  # what browsers ask before a page's first call of each
)
"""Each is let through at the API's rate; what else there is, all together, at a tenth of it."""


class Recommend(Stack):
    """`function`, its alias `live`, `api`, and its address `url`."""

    def __init__(
        self,
        scope: Construct,
        config: Config,
        state: State,
        ingest: Ingest,
        events: Events,
        network: Network | None,
        **stack: Any,
    ) -> None:
        super().__init__(scope, f"Windowshop-{config.name}-Recommend", **stack)
        self.add_stack_dependency(state)
        self.function = self._function(config, state, ingest, events, network)
        self.live = lambda_.Alias(
            self, "live", alias_name="live", version=self.function.function.current_version
        )
        self.api = gateway.CfnApi(self, "api", name=config.called("api"), protocol_type="HTTP")
        self._routes(config)
        self.url = f"https://{self.api.ref}.execute-api.{self.region}.{self.url_suffix}"
        ssm.StringParameter(
            self,
            "config",
            parameter_name=f"{config.parameters}/config",
            description="Where the parts of the deployment are, for the command line",
            string_value=self.to_json_string(_everything(config, state, ingest, events)),
        )
        CfnOutput(self, "Api", value=self.api.ref)
        CfnOutput(self, "ApiUrl", value=self.url)

    def _function(
        self,
        config: Config,
        state: State,
        ingest: Ingest,
        events: Events,
        network: Network | None,
    ) -> Function:
        api = config.api
        function = Function(
            self,
            "recommend",
            config,
            network,
            handler="functions.recommend.handler.handler",
            memory_mb=api.memory_mb,
            timeout_s=api.timeout_s,
            snapstart=api.snapstart,
            reserved=api.reserved,
            environment={
                **common(config),
                **named(
                    table=state.table.table_name,
                    bucket=state.bucket.bucket_name,
                    bus=state.bus.event_bus_name,
                    events_queue=events.events.queue.queue_url,
                    events_letters=events.events.letters.queue_url,
                    embed_queue=ingest.embed.queue.queue_url,
                    origins=json.dumps(list(api.origins)),
                    key_rps=f"{api.key_rps:g}",
                ),
            },
            description="Answers requests for slates, takes events and items",
        )
        permits.log(function.rights, state, append=False)
        permits.saved_state(function.rights, state, write=False)
        permits.learned(function.rights, state)
        permits.qdrant(function.rights, config)
        permits.secrets(function.rights, config)
        permits.announce(function.rights, state)
        function.rights.may(
            "sqs:SendMessage",
            on=[events.events.queue.queue_arn, ingest.embed.queue.queue_arn],
        )
        # Who is forgotten is forgotten there too.
        function.rights.may(
            "sqs:ReceiveMessage",
            "sqs:DeleteMessage",
            "sqs:GetQueueAttributes",
            "sqs:ChangeMessageVisibility",
            on=[events.events.letters.queue_arn],
        )
        return function

    def _routes(self, config: Config) -> None:
        lambda_.CfnPermission(
            self,
            "calls",
            action="lambda:InvokeFunction",
            principal="apigateway.amazonaws.com",
            function_name=self.live.function_arn,
            source_arn=self.format_arn(
                service="execute-api", resource=self.api.ref, resource_name="*"
            ),
        )
        integration = gateway.CfnIntegration(
            self,
            "integration",
            api_id=self.api.ref,
            integration_type="AWS_PROXY",
            integration_uri=self.live.function_arn,
            payload_format_version="2.0",
        )
        routes = [
            gateway.CfnRoute(
                self,
                f"route{n}",
                api_id=self.api.ref,
                route_key=key,
                authorization_type="NONE",
                target=f"integrations/{integration.ref}",
            )
            for n, key in enumerate((*ROUTES, "$default"))
        ]
        for route in routes:
            acknowledge(
                route,
                "the app itself checks keys and user tokens, by store and role",
                "AwsSolutions-APIG4",
            )
        calls = log_group(self, config, "api")
        stage = gateway.CfnStage(
            self,
            "stage",
            api_id=self.api.ref,
            stage_name="$default",
            auto_deploy=True,
            default_route_settings=_throttle(config.api.rate / 10, config.api.burst / 10),
            route_settings={
                key: {
                    "ThrottlingRateLimit": config.api.rate,
                    "ThrottlingBurstLimit": config.api.burst,
                }
                for key in ROUTES
            },
            access_log_settings=gateway.CfnStage.AccessLogSettingsProperty(
                destination_arn=calls.log_group_arn,
                # Nothing about the caller: paths hold no user ids, and addresses are not kept.
                format=json.dumps(
                    {
                        "at": "$context.requestTimeEpoch",
                        "request_id": "$context.requestId",
                        "route": "$context.routeKey",
                        "status": "$context.status",
                        "ms": "$context.responseLatency",
                        "error": "$context.error.message",
                    }
                ),
            ),
        )
        for route in routes:
            stage.add_resource_dependency(route)


def _throttle(rate: float, burst: float) -> gateway.CfnStage.RouteSettingsProperty:
    return gateway.CfnStage.RouteSettingsProperty(
        throttling_rate_limit=max(1, round(rate)), throttling_burst_limit=max(1, round(burst))
    )


def _everything(config: Config, state: State, ingest: Ingest, events: Events) -> dict[str, str]:
    values = {
        **common(config),
        **named(
            table=state.table.table_name,
            bucket=state.bucket.bucket_name,
            bus=state.bus.event_bus_name,
            catalogue_queue=ingest.catalogue.queue.queue_url,
            catalogue_letters=ingest.catalogue.letters.queue_url,
            embed_queue=ingest.embed.queue.queue_url,
            embed_letters=ingest.embed.letters.queue_url,
            events_queue=events.events.queue.queue_url,
            events_letters=events.events.letters.queue_url,
        ),
    }
    if ingest.bulk:
        values |= named(
            embed_bulk_queue=ingest.bulk.queue.queue_url,
            embed_bulk_letters=ingest.bulk.letters.queue_url,
        )
    return values
