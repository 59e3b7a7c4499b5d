"""What the templates promise: nothing lost, nothing open, nothing starved, nothing forgotten.

That they could be synthesized at all says that cdk-nag found nothing without a written reason.
"""

import json
import re

import pytest

from infra.embedding import MEMORY_MIB, VCPUS
from infra.permits import BATCH_JOBS, BATCH_QUEUES
from infra.synth import lint

FOREIGN = {
    "AWS_LAMBDA_EXEC_WRAPPER",
    "AWS_USE_DUALSTACK_ENDPOINT",
    "POWERTOOLS_METRICS_NAMESPACE",
    "POWERTOOLS_SERVICE_NAME",
}


def flat(value):
    """A value of a template as words, whatever functions put it together."""
    return value if isinstance(value, str) else json.dumps(value)


def reference(value):
    """The logical id that a Ref or GetAtt names, in its own stack."""
    return value["Ref"] if "Ref" in value else value["Fn::GetAtt"][0]


# --- queues -------------------------------------------------------------------------------------


def test_every_queue_has_letters_or_is_where_letters_end(deployment):
    queues = deployment.resources("AWS::SQS::Queue")
    ends = {
        (stack, reference(queue["Properties"]["RedrivePolicy"]["deadLetterTargetArn"]))
        for (stack, _), queue in queues.items()
        if "RedrivePolicy" in queue["Properties"]
    }
    without = {
        queue["Properties"]["QueueName"].removeprefix(f"windowshop-{deployment.config.name}-")
        for key, queue in queues.items()
        if "RedrivePolicy" not in queue["Properties"] and key not in ends
    }
    # Where a schedule's and a topic's own letters end: those have no other queue behind them.
    assert without == {"missed", "untold"}


def test_letters_are_kept_for_as_long_as_aws_keeps_any(deployment):
    queues = deployment.resources("AWS::SQS::Queue").values()
    assert {queue["Properties"]["MessageRetentionPeriod"] for queue in queues} == {14 * 86_400}


def test_the_events_queue_never_gives_up_on_a_message_by_itself(deployment):
    (events,) = [
        queue["Properties"]
        for queue in deployment.resources("AWS::SQS::Queue", "Events").values()
        if "RedrivePolicy" in queue["Properties"]
    ]
    assert events["RedrivePolicy"]["maxReceiveCount"] == 1_000  # the most that AWS takes
    assert events["FifoQueue"] is True
    assert events["DeduplicationScope"] == "messageGroup"
    assert events["FifoThroughputLimit"] == "perMessageGroupId"


def test_every_mapping_waits_six_times_the_function_and_reports_parts_and_is_bounded(deployment):
    queues = deployment.resources("AWS::SQS::Queue")
    functions = deployment.resources("AWS::Lambda::Function")
    mappings = deployment.resources("AWS::Lambda::EventSourceMapping")
    assert len(mappings) == 3
    for (stack, _), mapping in mappings.items():
        asked = mapping["Properties"]
        queue = queues[stack, reference(asked["EventSourceArn"])]["Properties"]
        function = functions[stack, reference(asked["FunctionName"])]["Properties"]
        assert queue["VisibilityTimeout"] >= 6 * function["Timeout"]
        assert asked["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
        assert 2 <= asked["ScalingConfig"]["MaximumConcurrency"] <= 20
        if queue.get("FifoQueue"):
            assert asked["BatchSize"] <= 10
            assert "MaximumBatchingWindowInSeconds" not in asked


def test_what_a_rule_or_schedule_could_not_deliver_is_a_letter(deployment):
    for rule in deployment.resources("AWS::Events::Rule").values():
        for target in rule["Properties"]["Targets"]:
            assert target["DeadLetterConfig"]["Arn"]
    schedules = deployment.resources("AWS::Scheduler::Schedule").values()
    assert {schedule["Properties"]["Target"]["Input"] for schedule in schedules} >= {
        '{"task": "refresh"}',
        '{"task": "maintain"}',
        '{"task": "reconcile"}',
    }
    for schedule in schedules:
        assert schedule["Properties"]["Target"]["DeadLetterConfig"]["Arn"]


def test_uploads_and_nothing_else_reach_the_catalogue_queue(deployment):
    rules = [
        rule["Properties"]["EventPattern"]
        for rule in deployment.resources("AWS::Events::Rule", "Ingest").values()
    ]
    assert [pattern["detail"]["object"] for pattern in rules] == [{"key": [{"prefix": "catalog/"}]}]


# --- data ---------------------------------------------------------------------------------------


def test_the_table_is_one_that_survives(deployment):
    ((_, table),) = deployment.resources("AWS::DynamoDB::Table").items()
    asked = table["Properties"]
    assert asked["BillingMode"] == "PAY_PER_REQUEST"
    assert asked["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] is True
    assert asked["TimeToLiveSpecification"] == {"AttributeName": "expires", "Enabled": True}
    assert [key["AttributeName"] for key in asked["KeySchema"]] == ["pk", "sk"]
    assert asked["DeletionProtectionEnabled"] is True


@pytest.mark.parametrize("kind", ["AWS::S3::Bucket", "AWS::DynamoDB::Table", "AWS::EC2::Volume"])
def test_no_deployment_deletes_data(deployment, kind):
    for resource in deployment.resources(kind).values():
        assert resource["DeletionPolicy"] == resource["UpdateReplacePolicy"] == "Retain"


def test_stacks_with_data_or_messages_cannot_be_deleted_by_accident(shop, everything):
    assert shop.protected == {"State", "Ingest", "Events"}
    assert everything.protected == {"State", "Ingest", "Events", "Qdrant"}


def test_buckets_are_private_encrypted_and_versioned(deployment):
    for (stack, _), bucket in deployment.resources("AWS::S3::Bucket").items():
        asked = bucket["Properties"]
        assert asked["BucketEncryption"]
        assert set(asked["PublicAccessBlockConfiguration"].values()) == {True}
        if stack == "State":
            assert asked["VersioningConfiguration"] == {"Status": "Enabled"}
            assert asked["NotificationConfiguration"] == {
                "EventBridgeConfiguration": {"EventBridgeEnabled": True}
            }


def test_chunks_outlive_every_message_that_points_to_them(deployment):
    ((_, bucket),) = deployment.resources("AWS::S3::Bucket", "State").items()
    rules = {
        rule.get("Prefix"): rule for rule in bucket["Properties"]["LifecycleConfiguration"]["Rules"]
    }
    assert rules["chunks/"]["ExpirationInDays"] > 14
    assert "ExpirationInDays" not in rules["catalog/"]
    assert "ExpirationInDays" not in rules["state/"]


def test_everything_at_rest_is_encrypted(deployment):
    for queue in deployment.resources("AWS::SQS::Queue").values():
        assert queue["Properties"]["SqsManagedSseEnabled"] is True
    for volume in deployment.resources("AWS::EC2::Volume").values():
        assert volume["Properties"]["Encrypted"] is True
    for instance in deployment.resources("AWS::EC2::Instance").values():
        for disk in instance["Properties"]["BlockDeviceMappings"]:
            assert disk["Ebs"]["Encrypted"] is True
    for template in deployment.resources("AWS::EC2::LaunchTemplate").values():
        for disk in template["Properties"]["LaunchTemplateData"]["BlockDeviceMappings"]:
            assert disk["Ebs"]["Encrypted"] is True


def test_nothing_is_taken_without_tls(deployment):
    policies = {
        kind: [
            flat(policy["Properties"]["PolicyDocument"])
            for policy in deployment.resources(kind).values()
        ]
        for kind in ("AWS::S3::BucketPolicy", "AWS::SQS::QueuePolicy", "AWS::SNS::TopicPolicy")
    }
    assert len(policies["AWS::SQS::QueuePolicy"]) == len(deployment.resources("AWS::SQS::Queue"))
    assert len(policies["AWS::S3::BucketPolicy"]) == len(deployment.resources("AWS::S3::Bucket"))
    tables = [
        flat(table["Properties"]["ResourcePolicy"])
        for table in deployment.resources("AWS::DynamoDB::Table").values()
    ]
    for policy in [text for texts in policies.values() for text in texts] + tables:
        assert '"Effect": "Deny"' in policy
        assert '{"aws:SecureTransport": "false"}' in policy


# --- functions ----------------------------------------------------------------------------------


def test_the_functions(deployment):
    functions = deployment.functions()
    assert {name: function["Handler"] for name, function in functions.items()} == {
        "recommend": "functions.recommend.handler.handler",
        "events": "functions.events.handler.handler",
        "ingest": "functions.ingest.handler.handler",
        "worker": "functions.ingest.worker.handler",
    }
    for function in functions.values():
        assert function["Runtime"] == "python3.13"
        assert function["Architectures"] == ["arm64"]
        assert "ReservedConcurrentExecutions" not in function
        assert "TracingConfig" not in function


def test_snapstart_is_for_requests_behind_an_alias(shop, tmp_path):
    functions = shop.functions()
    assert functions["recommend"]["SnapStart"] == {"ApplyOn": "PublishedVersions"}
    assert functions["recommend"]["EphemeralStorage"]["Size"] <= 512  # else AWS refuses it
    assert not any("SnapStart" in functions[name] for name in ("events", "ingest", "worker"))
    ((_, alias),) = shop.resources("AWS::Lambda::Alias").items()
    ((_, integration),) = shop.resources("AWS::ApiGatewayV2::Integration").items()
    assert alias["Properties"]["Name"] == "live"
    assert "live" in flat(integration["Properties"]["IntegrationUri"])


def test_log_groups_forget(deployment):
    groups = deployment.resources("AWS::Logs::LogGroup").values()
    assert {group["Properties"]["RetentionInDays"] for group in groups} == {30}
    named = {group["Properties"]["LogGroupName"] for group in groups}
    assert {f"/windowshop/{deployment.config.name}/{name}" for name in deployment.functions()} <= (
        named
    )


def test_the_gateway_throttles_every_route(deployment):
    ((_, stage),) = deployment.resources("AWS::ApiGatewayV2::Stage").items()
    routes = {
        route["Properties"]["RouteKey"]
        for route in deployment.resources("AWS::ApiGatewayV2::Route").values()
    }
    settings = stage["Properties"]["RouteSettings"]
    assert routes - settings.keys() == {"$default"}
    # A page whose preflight is turned away cannot call at all.
    assert settings["OPTIONS /v1/{proxy+}"] == settings["POST /v1/events"]
    rest = stage["Properties"]["DefaultRouteSettings"]
    for limits in [*settings.values(), rest]:
        assert limits["ThrottlingRateLimit"] >= 1
        assert limits["ThrottlingBurstLimit"] >= 1
    assert "user" not in stage["Properties"]["AccessLogSettings"]["Format"]
    assert "Ip" not in stage["Properties"]["AccessLogSettings"]["Format"]


# --- rights -------------------------------------------------------------------------------------


def statements(deployment):
    """(where, statement) for everything that a role is allowed."""
    for kind in ("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy", "AWS::IAM::Role"):
        for key, resource in deployment.resources(kind).items():
            asked = resource["Properties"]
            documents = [asked["PolicyDocument"]] if "PolicyDocument" in asked else []
            documents += [inline["PolicyDocument"] for inline in asked.get("Policies", [])]
            for document in documents:
                for statement in document["Statement"]:
                    if statement["Effect"] == "Allow":
                        yield key, statement


def listed(value):
    return value if isinstance(value, list) else [value]


def test_no_role_may_do_everything_of_anything(deployment):
    found = list(statements(deployment))
    assert len(found) > 10
    for where, statement in found:
        assert "NotAction" not in statement, where
        assert "NotResource" not in statement, where
        for action in listed(statement["Action"]):
            assert re.fullmatch(r"[a-z0-9-]+:[A-Za-z]+", action), (where, action)


def test_a_role_names_every_part_but_where_aws_lets_none_be_named(deployment):
    wide = {
        action
        for _, statement in statements(deployment)
        if "*" in listed(statement["Resource"])
        for action in listed(statement["Action"])
    }
    unnamed = {"batch:ListJobs", "ecr:GetAuthorizationToken"}
    assert {action for action in wide if not action.startswith(("ec2:", "xray:Put"))} <= unnamed
    assert {action for action in wide if action.startswith("ec2:")} <= {
        "ec2:AssignPrivateIpAddresses",
        "ec2:CreateNetworkInterface",
        "ec2:DeleteNetworkInterface",
        "ec2:DescribeNetworkInterfaces",
        "ec2:DescribeSubnets",
        "ec2:UnassignPrivateIpAddresses",
    }


def test_who_reads_uploads_reads_what_other_uploads_name(deployment):
    """`uploads.precedence` keeps it among the chunks, which two uploads at once read."""
    reading = {"catalog/": set(), "chunks/": set()}
    for where, statement in statements(deployment):
        if "s3:GetObject" in listed(statement["Action"]):
            for prefix, roles in reading.items():
                if any(prefix in flat(one) for one in listed(statement["Resource"])):
                    roles.add(where)
    assert reading["catalog/"]
    assert reading["catalog/"] < reading["chunks/"]


def test_each_function_has_a_role_of_its_own(deployment):
    functions = deployment.resources("AWS::Lambda::Function").items()
    roles = {
        (stack, reference(function["Properties"]["Role"])) for (stack, _), function in functions
    }
    assert len(roles) == 4


def test_managed_policies_are_those_of_the_containers_agent_only(deployment):
    for (stack, _), role in deployment.resources("AWS::IAM::Role").items():
        for policy in role["Properties"].get("ManagedPolicyArns", []):
            assert stack == "Embedding"
            assert "AmazonEC2ContainerServiceforEC2Role" in flat(policy)


# --- settings -----------------------------------------------------------------------------------


def environments(deployment):
    """{function or job: its variables}"""
    for name, function in deployment.functions().items():
        yield name, function["Environment"]["Variables"]
    for job in deployment.resources("AWS::Batch::JobDefinition").values():
        asked = job["Properties"]
        yield (
            asked["JobDefinitionName"],
            {one["Name"]: one["Value"] for one in asked["ContainerProperties"]["Environment"]},
        )


def test_variables_are_fields_of_the_settings(deployment):
    from windowshop.settings import AwsSettings, Settings

    fields = AwsSettings.model_fields.keys() | Settings.model_fields.keys()
    known = {f"WINDOWSHOP_{name.upper()}" for name in fields} | FOREIGN
    for name, variables in environments(deployment):
        unknown = {key for key in variables if not key.startswith("OTEL_")} - known
        assert unknown == set(), name


def test_the_settings_take_the_variables(deployment, monkeypatch):
    from windowshop.settings import AwsSettings, Settings

    for _, variables in environments(deployment):
        with monkeypatch.context() as patch:
            for key, value in variables.items():
                patch.setenv(key, flat(value))
            assert Settings().model == "all-MiniLM-L6-v2"
            assert AwsSettings().parameters == f"/windowshop/{deployment.config.name}"


def test_every_part_is_told_to_somebody(everything):
    from windowshop.settings import AwsSettings

    told = {key for _, variables in environments(everything) for key in variables}
    own = {
        "catalogue_queue",  # the function is handed its messages
        "models",  # in the package, where the code looks first
        "qdrant_url",  # in SSM, where they can be changed without a deployment
        "qdrant_api_key",
    }
    wanted = {f"WINDOWSHOP_{name.upper()}" for name in AwsSettings.model_fields.keys() - own}
    assert wanted <= told


def test_the_command_line_finds_every_part(everything):
    from windowshop.settings import AwsSettings

    (parameter,) = [
        parameter["Properties"]
        for parameter in everything.resources("AWS::SSM::Parameter").values()
    ]
    assert parameter["Name"] == "/windowshop/everything/config"
    names = set(re.findall(r"WINDOWSHOP_[A-Z_]+", flat(parameter["Value"])))
    parts = {name for name in AwsSettings.model_fields if name.endswith(("_queue", "_letters"))}
    parts -= {"batch_queue", "batch_cpu_queue"}
    assert {f"WINDOWSHOP_{name.upper()}" for name in parts | {"table", "bucket", "bus"}} <= names


def test_no_secret_is_in_a_template(deployment):
    for file in deployment.files.values():
        text = file.read_text("utf-8")
        assert not re.search(r"AKIA[0-9A-Z]{16}|-----BEGIN|ws_secret_|ws_public_", text)
        assert "QDRANT_API_KEY" not in text
        assert not re.search(r'"(Password|SecretString|Secret)"', text)


# --- what is not everybody's --------------------------------------------------------------------


def test_a_small_shop_has_no_network_and_no_machine(shop):
    kinds = {
        resource["Type"]
        for template in shop.templates.values()
        for resource in template["Resources"].values()
    }
    assert not any(kind.startswith(("AWS::EC2::", "AWS::Batch::")) for kind in kinds)
    assert shop.templates.keys() == {"State", "Ingest", "Events", "Recommend", "Operations"}


def test_there_is_no_nat_gateway_and_nobody_gets_in(everything):
    assert everything.resources("AWS::EC2::NatGateway") == {}
    for group in everything.resources("AWS::EC2::SecurityGroup").values():
        assert "SecurityGroupIngress" not in group["Properties"]
    for rule in everything.resources("AWS::EC2::SecurityGroupIngress").values():
        assert "SourceSecurityGroupId" in rule["Properties"]  # and so no range of addresses
    outwards = [
        route["Properties"]
        for route in everything.resources("AWS::EC2::Route").values()
        if "EgressOnlyInternetGatewayId" in route["Properties"]
    ]
    assert [route["DestinationIpv6CidrBlock"] for route in outwards] == ["::/0", "::/0"]


def test_functions_are_where_a_qdrant_of_ones_own_is(everything):
    for function in everything.functions().values():
        assert function["VpcConfig"]["Ipv6AllowedForDualStack"] is True
        assert function["Environment"]["Variables"]["AWS_USE_DUALSTACK_ENDPOINT"] == "true"


def test_qdrants_machine_stays_private(everything):
    ((_, instance),) = everything.resources("AWS::EC2::Instance").items()
    asked = instance["Properties"]
    assert asked["PrivateIpAddress"] == "10.37.32.10"
    assert asked["MetadataOptions"]["HttpTokens"] == "required"
    started = flat(asked["UserData"])
    assert "bash setup.sh" in started
    assert "API_KEY" not in started


def test_the_bulk_lane_starts_from_nothing_and_has_the_processor_behind_it(everything):
    machines = everything.resources("AWS::Batch::ComputeEnvironment")
    resources = {
        name: machine["Properties"]["ComputeResources"] for (_, name), machine in machines.items()
    }
    assert {one["MinvCpus"] for one in resources.values()} == {0}
    assert {one["Type"] for one in resources.values()} == {"SPOT", "EC2"}
    queues = {
        queue["Properties"]["JobQueueName"]: queue["Properties"]["ComputeEnvironmentOrder"]
        for queue in everything.resources("AWS::Batch::JobQueue").values()
    }
    assert queues.keys() == {f"windowshop-everything-{name}" for name in BATCH_QUEUES}
    order = {
        name: [resources[reference(one["ComputeEnvironment"])]["Type"] for one in ordered]
        for name, ordered in queues.items()
    }
    assert order == {
        "windowshop-everything-bulk": ["SPOT", "EC2"],
        "windowshop-everything-bulk-cpu": ["EC2"],
    }
    for template in everything.resources("AWS::EC2::LaunchTemplate").values():
        data = flat(template["Properties"]["LaunchTemplateData"])
        assert "ECS_ENABLE_SPOT_INSTANCE_DRAINING=true" in data


def test_the_jobs_of_the_bulk_lane(everything):
    jobs = {
        job["Properties"]["JobDefinitionName"]: job["Properties"]
        for job in everything.resources("AWS::Batch::JobDefinition").values()
    }
    assert jobs.keys() == {f"windowshop-everything-{name}" for name in BATCH_JOBS}
    for job in jobs.values():
        needs = {
            one["Type"]: one["Value"] for one in job["ContainerProperties"]["ResourceRequirements"]
        }
        assert needs == {"VCPU": str(VCPUS), "MEMORY": str(MEMORY_MIB)}
        assert job["RetryStrategy"]["EvaluateOnExit"] == [
            {"Action": "RETRY", "OnStatusReason": "Host EC2*"},
            {"Action": "RETRY", "OnExitCode": "1"},
            {"Action": "EXIT", "OnReason": "*"},
        ]


def test_traces_are_of_one_call_in_a_hundred(everything):
    for function in everything.functions().values():
        variables = function["Environment"]["Variables"]
        assert variables["OTEL_TRACES_SAMPLER"] == "traceidratio"
        assert variables["OTEL_TRACES_SAMPLER_ARG"] == "0.01"
        assert len(function["Layers"]) == 1


def test_the_edge_is_where_aws_wants_its_firewall(everything):
    ((_, firewall),) = everything.resources("AWS::WAFv2::WebACL", "Edge").items()
    assert firewall["Properties"]["Scope"] == "CLOUDFRONT"
    ((_, distribution),) = everything.resources("AWS::CloudFront::Distribution").items()
    settings = distribution["Properties"]["DistributionConfig"]
    assert settings["ViewerCertificate"]["MinimumProtocolVersion"] == "TLSv1.2_2021"
    assert settings["WebACLId"]


# --- operations ---------------------------------------------------------------------------------


def test_the_alarms_tell_somebody_and_their_price_is_known(shop, everything):
    for deployment, lanes, price in (
        (shop, ["events", "catalogue", "embed"], 9),
        (everything, ["events", "catalogue", "embed", "embed-bulk"], 11),
    ):
        alarms = {
            alarm["Properties"]["AlarmName"].removeprefix(
                f"windowshop-{deployment.config.name}-"
            ): alarm["Properties"]
            for alarm in deployment.resources("AWS::CloudWatch::Alarm").values()
        }
        assert alarms.keys() == {"recommend-errors", "events-errors", "slow"} | {
            f"{lane}-{what}" for lane in lanes for what in ("waiting", "letters")
        }
        for alarm in alarms.values():
            assert alarm["AlarmActions"]
            assert alarm["TreatMissingData"] == "notBreaching"
            assert "Metrics" not in alarm  # one metric each: $0.10 a month, as docs/aws.md says
        assert len(alarms) == price


def test_what_is_watched_is_there(everything):
    """Operations names queues and functions itself: the names must be theirs."""
    names = {
        queue["Properties"]["QueueName"]
        for queue in everything.resources("AWS::SQS::Queue").values()
    }
    names |= {function["FunctionName"] for function in everything.functions().values()}
    for alarm in everything.resources("AWS::CloudWatch::Alarm").values():
        (dimension,) = alarm["Properties"]["Dimensions"]
        assert dimension["Value"] in names
    text = everything.files["Operations"].read_text("utf-8")
    assert "Fn::ImportValue" not in text


def test_a_failed_job_of_the_bulk_lane_tells_somebody(everything):
    patterns = [
        rule["Properties"]["EventPattern"]
        for rule in everything.resources("AWS::Events::Rule", "Operations").values()
    ]
    assert [pattern["detail"]["status"] for pattern in patterns] == [["FAILED"]]


def test_everything_is_tagged(deployment):
    kinds = ("AWS::S3::Bucket", "AWS::DynamoDB::Table", "AWS::SQS::Queue", "AWS::Lambda::Function")
    for kind in kinds:
        for resource in deployment.resources(kind).values():
            tags = {tag["Key"]: tag["Value"] for tag in resource["Properties"]["Tags"]}
            assert tags["windowshop"] == deployment.config.name


def test_every_switch_has_two_sides(otherwise):
    functions = otherwise.functions()
    assert {function["Architectures"][0] for function in functions.values()} == {"x86_64"}
    assert "SnapStart" not in functions["recommend"]
    assert functions["recommend"]["ReservedConcurrentExecutions"] == 50
    variables = functions["events"]["Environment"]["Variables"]
    assert variables["WINDOWSHOP_RETENTION_DAYS"] == "400"
    assert json.loads(variables["WINDOWSHOP_WEIGHTS"]) == {"view": 0.5}
    assert json.loads(variables["WINDOWSHOP_BLEND"]) == otherwise.config.blend
    assert "AWS_USE_DUALSTACK_ENDPOINT" not in variables
    assert otherwise.protected == set()
    for bucket in otherwise.resources("AWS::S3::Bucket", "State").values():
        assert bucket["DeletionPolicy"] == "Delete"
    # The disk stays while its machine is away, and the processor is there without a GPU.
    assert otherwise.resources("AWS::EC2::Instance") == {}
    assert len(otherwise.resources("AWS::EC2::Volume")) == 1
    assert len(otherwise.resources("AWS::Batch::ComputeEnvironment")) == 1
    endpoints = otherwise.resources("AWS::EC2::VPCEndpoint").values()
    kinds = [endpoint["Properties"]["VpcEndpointType"] for endpoint in endpoints]
    assert sorted(kinds) == ["Gateway"] * 2 + ["Interface"] * 4
    assert len(otherwise.resources("AWS::EC2::Subnet")) == 6
    assert otherwise.resources("AWS::CloudWatch::Alarm") == {}


def test_cfn_lint_finds_nothing(shop, everything, otherwise):
    deployments = (shop, everything, otherwise)
    assert lint([file for one in deployments for file in one.files.values()]) == ""
