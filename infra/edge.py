"""CloudFront and a web application firewall before the API, for those who want them: in us-east-1,
where AWS wants a firewall for CloudFront.

The API stays reachable without them; what decides who may do what is the key in each request.
"""

from typing import Any

from aws_cdk import CfnOutput, Duration, RemovalPolicy, Stack
from aws_cdk import aws_certificatemanager as certificates
from aws_cdk import aws_cloudfront as cloudfront
from aws_cdk import aws_cloudfront_origins as origins
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_wafv2 as waf
from constructs import Construct

from infra.config import Config
from infra.nag import acknowledge

REGION = "us-east-1"
# Its limit of 8 KB for a body would turn away batches of events; ours is 1 MiB, in the app.
_LARGE_BODIES = "SizeRestrictions_BODY"


class Edge(Stack):
    """`distribution`."""

    def __init__(self, scope: Construct, config: Config, **stack: Any) -> None:
        super().__init__(scope, f"Windowshop-{config.name}-Edge", **stack)
        firewall = self._firewall(config)
        domain = config.edge.domain
        self.distribution = cloudfront.Distribution(
            self,
            "distribution",
            comment=f"windowshop {config.name}",
            domain_names=[domain] if domain else None,
            certificate=certificates.Certificate.from_certificate_arn(
                self, "certificate", config.edge.certificate
            )
            if domain
            else None,
            minimum_protocol_version=cloudfront.SecurityPolicyProtocol.TLS_V1_2_2021,
            http_version=cloudfront.HttpVersion.HTTP2_AND_3,
            web_acl_id=firewall.attr_arn,
            default_behavior=cloudfront.BehaviorOptions(
                origin=origins.HttpOrigin(
                    config.edge.api,
                    protocol_policy=cloudfront.OriginProtocolPolicy.HTTPS_ONLY,
                    origin_ssl_protocols=[cloudfront.OriginSslPolicy.TLS_V1_2],
                    read_timeout=Duration.seconds(30),
                ),
                allowed_methods=cloudfront.AllowedMethods.ALLOW_ALL,
                viewer_protocol_policy=cloudfront.ViewerProtocolPolicy.HTTPS_ONLY,
                # No two shoppers get the same slate.
                cache_policy=cloudfront.CachePolicy.CACHING_DISABLED,
                origin_request_policy=cloudfront.OriginRequestPolicy.ALL_VIEWER_EXCEPT_HOST_HEADER,
            ),
            enable_logging=True,
            log_bucket=self._calls(config),
            log_includes_cookies=False,
        )
        acknowledge(
            self.distribution,
            "where a shop sells is the shop's to say",
            "AwsSolutions-CFR1",
        )
        if not domain:
            acknowledge(
                self.distribution,
                "CloudFront's own certificate knows no other setting; with edge.domain it is TLS "
                "1.2 at least",
                "AwsSolutions-CFR4",
            )
        CfnOutput(self, "Url", value=f"https://{domain or self.distribution.domain_name}")

    def _calls(self, config: Config) -> s3.Bucket:
        bucket = s3.Bucket(
            self,
            "calls",
            encryption=s3.BucketEncryption.S3_MANAGED,
            block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
            # CloudFront's standard logs still arrive under an ACL.
            object_ownership=s3.ObjectOwnership.BUCKET_OWNER_PREFERRED,
            enforce_ssl=True,
            lifecycle_rules=[
                s3.LifecycleRule(expiration=Duration.days(config.operations.log_days))
            ],
            removal_policy=RemovalPolicy.RETAIN,
        )
        acknowledge(bucket, "it is where logs of access end", "AwsSolutions-S1")
        return bucket

    def _firewall(self, config: Config) -> waf.CfnWebACL:
        rules = [
            _managed(1, "AWSManagedRulesCommonRuleSet", counted=_LARGE_BODIES),
            _managed(2, "AWSManagedRulesKnownBadInputsRuleSet"),
            waf.CfnWebACL.RuleProperty(
                name="one-address",
                priority=3,
                action=waf.CfnWebACL.RuleActionProperty(block={}),
                statement=waf.CfnWebACL.StatementProperty(
                    rate_based_statement=waf.CfnWebACL.RateBasedStatementProperty(
                        aggregate_key_type="IP", limit=config.edge.address_rate
                    )
                ),
                visibility_config=_seen("one-address"),
            ),
        ]
        return waf.CfnWebACL(
            self,
            "firewall",
            name=config.called("edge"),
            scope="CLOUDFRONT",
            default_action=waf.CfnWebACL.DefaultActionProperty(allow={}),
            rules=rules,
            visibility_config=_seen("edge"),
        )


def _managed(priority: int, name: str, counted: str | None = None) -> waf.CfnWebACL.RuleProperty:
    """A rule group of AWS's; one rule of it may only be counted."""
    return waf.CfnWebACL.RuleProperty(
        name=name,
        priority=priority,
        override_action=waf.CfnWebACL.OverrideActionProperty(none={}),
        statement=waf.CfnWebACL.StatementProperty(
            managed_rule_group_statement=waf.CfnWebACL.ManagedRuleGroupStatementProperty(
                vendor_name="AWS",
                name=name,
                rule_action_overrides=[
                    waf.CfnWebACL.RuleActionOverrideProperty(
                        name=counted,
                        action_to_use=waf.CfnWebACL.RuleActionProperty(count={}),
                    )
                ]
                if counted
                else None,
            )
        ),
        visibility_config=_seen(name),
    )


def _seen(name: str) -> waf.CfnWebACL.VisibilityConfigProperty:
    return waf.CfnWebACL.VisibilityConfigProperty(
        cloud_watch_metrics_enabled=True, metric_name=name, sampled_requests_enabled=False
    )
