"""What all suites share: Hypothesis runs the same examples everywhere and is not timed; the AWS
emulator is started once, when the first test asks for it.
"""

import os

import pytest
from hypothesis import HealthCheck, settings

from localstack import emulator as emulators
from localstack import qdrant_standin
from tests.notes import NOTES

settings.register_profile(
    "windowshop", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("windowshop")


def pytest_addoption(parser):
    """Here, since only the outermost conftest is read before the command line."""
    group = parser.getgroup("journeys", "tests/e2e/test_journeys.py")
    group.addoption(
        "--world",
        choices=("embedded", "emulated", "deployed"),
        default="emulated",
        help="what the journeys go through",
    )
    group.addoption(
        "--deployment", default="local", help="the deployment in AWS, for --world deployed"
    )
    group.addoption("--base-url", help="the API's address, if it is not the stack's own")
    group.addoption(
        "--record-calls",
        action="store_true",
        help="write the calls of AWS that functions made into tests/infra/calls.json",
    )


def pytest_configure(config):
    config.stash[NOTES] = []


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config, items):
    if hasattr(config, "workerinput"):  # one process of many
        from tests.spread import long_first

        long_first(items)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    from tests.spread import Spread

    return Spread(config, log)


def pytest_sessionfinish(session):
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["notes"] = session.config.stash[NOTES]


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node, error):
    node.config.stash[NOTES] += getattr(node, "workeroutput", {}).get("notes", [])


def pytest_terminal_summary(terminalreporter, config):
    for line in dict.fromkeys(config.stash[NOTES]):  # each process may have left the same
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def emulator():
    """A running AWS emulator: `.url`, `.variables`. Tests name their own tables, queues, buckets."""
    with emulators.running() as started:
        yield started


@pytest.fixture(scope="session")
def qdrant():
    """A stand-in for a Qdrant server: `.url`. Tests name their own prefixes."""
    with qdrant_standin.running() as started:
        yield started


@pytest.fixture
def aws(emulator, monkeypatch):
    """The emulator, with boto3 pointed at it by the environment."""
    for name in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_REGION"):
        monkeypatch.delenv(name, raising=False)
    for name, value in emulator.variables.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
    return emulator
