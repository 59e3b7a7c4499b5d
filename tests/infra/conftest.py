"""The templates of two deployments, synthesized once: all defaults, and every part there is."""

import json
from pathlib import Path

import pytest

from infra import node
from infra.config import Config, load


class Deployment:
    """A synthesized deployment: its settings, its templates by the part of the stack's name."""

    def __init__(self, config, assembly):
        self.config = config
        self.files = {
            stack.stack_name.rpartition("-")[2]: Path(stack.template_full_path)
            for stack in assembly.stacks
        }
        self.templates = {
            part: json.loads(file.read_text("utf-8")) for part, file in self.files.items()
        }
        self.protected = {
            stack.stack_name.rpartition("-")[2]
            for stack in assembly.stacks
            if stack.termination_protection
        }

    def resources(self, kind, part=None):
        """{(stack, logical id): properties and policies of a resource}"""
        return {
            (stack, name): resource
            for stack, template in self.templates.items()
            for name, resource in template["Resources"].items()
            if resource["Type"] == kind and part in (None, stack)
        }

    def functions(self):
        """{recommend, events, ...: its properties}"""
        return {
            function["Properties"]["FunctionName"].rpartition("-")[2]: function["Properties"]
            for function in self.resources("AWS::Lambda::Function").values()
        }


def synthesized(config, folder):
    node.install()
    from infra.app import build

    return Deployment(config, build(config, folder, stage=False).synth())


@pytest.fixture(scope="session")
def shop(tmp_path_factory):
    """All defaults."""
    return synthesized(load("shop"), tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="session")
def everything(tmp_path_factory):
    """Every part there is: bulk lane, Qdrant of one's own, edge, traces."""
    return synthesized(load("everything"), tmp_path_factory.mktemp("everything"))


@pytest.fixture(scope="session")
def otherwise(tmp_path_factory):
    """Every switch the other way."""
    config = Config.model_validate(
        {
            "name": "otherwise",
            "architecture": "x86-64",
            "data": {"removal": "destroy", "retention_days": 400},
            "weights": {"view": 0.5},
            "blend": {"for_you": {"guest": {"popular": 1.0}}},
            "api": {"snapstart": False, "reserved": 50},
            "bulk": {"workers": "batch", "gpu_vcpus": 0},
            "qdrant": {"host": "own", "image": "ami-0123456789abcdef0", "running": False},
            "network": {"endpoints": ["sqs", "ssm", "events", "batch"], "zones": 3},
            "edge": {"api": "abcdefghij.execute-api.eu-central-1.amazonaws.com"},
            "operations": {"alarms": False, "log_days": 7},
        }
    )
    return synthesized(config, tmp_path_factory.mktemp("otherwise"))


@pytest.fixture(params=["shop", "everything"])
def deployment(request):
    return request.getfixturevalue(request.param)
