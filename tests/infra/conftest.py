"""The templates of two deployments, synthesized once: all defaults, and every part there is."""

import json
from pathlib import Path

import pytest

from infra import node
from infra.config import load


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


def synthesized(name, folder):
    node.install()
    from infra.app import build

    return Deployment(load(name), build(load(name), folder, stage=False).synth())


@pytest.fixture(scope="session")
def shop(tmp_path_factory):
    """All defaults."""
    return synthesized("shop", tmp_path_factory.mktemp("shop"))


@pytest.fixture(scope="session")
def everything(tmp_path_factory):
    """Every part there is: bulk lane, Qdrant of one's own, edge, traces."""
    return synthesized("everything", tmp_path_factory.mktemp("everything"))


@pytest.fixture(params=["shop", "everything"])
def deployment(request):
    return request.getfixturevalue(request.param)
