"""Whether an account can carry a deployment is said before it is tried, with what to do."""

from types import SimpleNamespace

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.validate import validate_parameters

from infra.config import Config
from infra.preflight import BOOTSTRAP, GPU_SPOT, LAMBDA_CONCURRENCY, STANDARD, findings

READY = {
    BOOTSTRAP: "30",
    "/windowshop/shop/qdrant/url": "https://xyz.cloud.qdrant.io:6333",
    "/windowshop/shop/qdrant/key": "secret",
}
LARGE = {LAMBDA_CONCURRENCY: 1_000, GPU_SPOT: 64, STANDARD: 64}


class Account:
    """An account of AWS's as far as it is asked; what it is asked is checked by boto3's models."""

    def __init__(self, quotas, parameters):
        self.quotas, self.parameters = quotas, parameters

    def __call__(self, service):
        return SimpleNamespace(
            meta=SimpleNamespace(region_name="eu-central-1"),
            **{
                call: checked(service, call, getattr(self, call))
                for call in (
                    "get_caller_identity",
                    "get_parameter",
                    "get_service_quota",
                    "get_aws_default_service_quota",
                )
                if call in operations(service)
            },
        )

    def get_caller_identity(self):
        return {"Account": "123456789012"}

    def get_parameter(self, **asked):
        if asked["Name"] not in self.parameters:
            raise ClientError({"Error": {"Code": "ParameterNotFound"}}, "GetParameter")
        return {"Parameter": {"Value": self.parameters[asked["Name"]]}}

    def get_service_quota(self, **asked):
        quota = (asked["ServiceCode"], asked["QuotaCode"])
        # A new account has no quota of its own for GPU machines: AWS's default counts.
        if quota == GPU_SPOT and self.quotas[GPU_SPOT] == 0:
            raise ClientError({"Error": {"Code": "NoSuchResourceException"}}, "GetServiceQuota")
        return {"Quota": {"Value": float(self.quotas[quota])}}

    def get_aws_default_service_quota(self, **asked):
        return {"Quota": {"Value": 0.0}}


def client(service):
    return boto3.client(
        service, region_name="eu-central-1", aws_access_key_id="x", aws_secret_access_key="x"
    )


def operations(service):
    return client(service).meta.method_to_api_mapping


def checked(service, call, answer):
    model = client(service).meta.service_model.operation_model(operations(service)[call])

    def ask(**asked):
        if model.input_shape:
            validate_parameters(asked, model.input_shape)
        return answer(**asked)

    return ask


def said(config, quotas=LARGE, parameters=READY):
    return {one.about: one for one in findings(config, Account(quotas, parameters))}


def test_an_account_that_is_ready():
    found = said(Config(name="shop"))
    assert {one.verdict for one in found.values()} == {"ok"}
    assert str(found["account"]) == "  ok  account: 123456789012 in eu-central-1"
    assert found["Lambda concurrency"].says == "1000, at least 973 for requests"


def test_a_fresh_account_is_told_each_step():
    found = said(Config(name="shop"), {LAMBDA_CONCURRENCY: 10}, {})
    assert found["cdk bootstrap"].verdict == "stop"
    assert found["qdrant url"].verdict == "stop"
    assert "--name /windowshop/shop/qdrant/url --type String" in found["qdrant url"].says
    assert found["qdrant key"].verdict == "note"  # a Qdrant of one's own network may have none
    assert found["Lambda concurrency"].verdict == "note"
    assert "request-service-quota-increase" in found["Lambda concurrency"].says


def test_a_reservation_that_the_account_cannot_keep_stops():
    config = Config.model_validate({"name": "shop", "api": {"reserved": 50}})
    assert said(config, LARGE | {LAMBDA_CONCURRENCY: 100})["Lambda concurrency"].verdict == "stop"
    assert said(config)["Lambda concurrency"].verdict == "ok"


@pytest.mark.parametrize(("quota", "verdict"), [(0, "note"), (4, "note"), (8, "ok")])
def test_gpus(quota, verdict):
    config = Config.model_validate({"name": "shop", "bulk": {"workers": "batch"}})
    found = said(config, LARGE | {GPU_SPOT: quota})
    assert found["GPU Spot vCPUs"].verdict == verdict
    if quota == 0:
        assert "bulk.gpu_vcpus = 0" in found["GPU Spot vCPUs"].says


def test_quotas_that_nobody_may_ask_for_stop_nothing():
    class Closed(Account):
        def get_service_quota(self, **asked):
            raise ClientError({"Error": {"Code": "AccessDeniedException"}}, "GetServiceQuota")

        get_aws_default_service_quota = get_service_quota

    config = Config.model_validate({"name": "shop", "bulk": {"workers": "batch"}})
    found = {one.about: one.verdict for one in findings(config, Closed({}, READY))}
    assert found["Lambda concurrency"] == found["vCPUs of Batch"] == "note"


def test_an_own_qdrant_is_told_the_newest_image():
    config = Config.model_validate(
        {"name": "shop", "qdrant": {"host": "own", "image": "ami-11111111"}}
    )
    newest = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-arm64"
    found = said(config, parameters=READY | {newest: "ami-22222222"})
    assert found["qdrant.image"].verdict == "note"
    assert "ami-22222222" in found["qdrant.image"].says
