"""The world of the journeys: made once, and chosen by --world."""

import contextlib
import json
from pathlib import Path

import boto3
import pytest

from localstack import emulated, emulator
from localstack.stacks import Cloud, Place
from tests.e2e.worlds import Embedded, Emulated, OnAws
from tests.infra.test_rights import UNSEEN
from tests.notes import NOTES

ROOT = Path(__file__).resolve().parents[2]
CALLS = ROOT / "tests" / "infra" / "calls.json"
WORLD = pytest.StashKey[object]()


def pytest_configure(config):
    for mark in (
        "worlds(*names, because): the journey makes sense in these worlds only",
        "stores(*names): more stores that a journey asks for",
    ):
        config.addinivalue_line("markers", mark)


def pytest_collection_modifyitems(config, items):
    """What makes no sense in this world is left out, and it is said why."""
    world, kept, left = config.getoption("--world"), [], []
    for item in items:
        mark = item.get_closest_marker("worlds")
        if mark is None or world in mark.args:
            kept.append(item)
        else:
            left.append(item)
            because = mark.kwargs["because"]
            config.stash[NOTES].append(f"not in the {world} world: {item.name}: {because}")
    if left:
        config.hook.pytest_deselected(items=left)
        items[:] = kept


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item, call):
    """A journey that failed shows what the functions complained of meanwhile."""
    report = yield
    world = item.config.stash.get(WORLD, None)
    if report.failed and world and call.when == "call":
        said = world.complaints(call.start)
        report.sections.append(("functions", "\n".join(said[-60:]) or "no complaint"))
    return report


@pytest.fixture(scope="module")
def world(request, tmp_path_factory, names):
    """The world, with a store for every journey."""
    folder = tmp_path_factory.mktemp("journeys")
    with contextlib.ExitStack() as ends:
        made = {"embedded": _embedded, "emulated": _emulated, "deployed": _deployed}[
            request.config.getoption("--world")
        ](request.config, folder, ends)
        ends.callback(_note, request.config, made)
        ends.callback(made.close)
        request.config.stash[WORLD] = made
        made.open(*names)
        yield made


@pytest.fixture(scope="session")
def names(request):
    """The stores that are wanted: one for every test that was collected, and those it asks for."""
    found = {}
    for item in request.session.items:
        if "world" in item.fixturenames:
            mark = item.get_closest_marker("stores")
            found.update(dict.fromkeys(mark.args if mark else ()))
            found[_store_of(item)] = None
    return list(found)


@pytest.fixture
def store(request, world):
    """The store of this journey."""
    return world.store(_store_of(request.node))


def _store_of(item):
    return f"journey-{item.originalname.split('_')[1]}"


def _embedded(config, folder, ends):
    return Embedded(folder)


def _emulated(config, folder, ends):
    calls = folder / "calls"
    calls.mkdir()
    strict = emulator.can_be_strict()
    running = ends.enter_context(
        emulated.running(
            folder / "aws",
            print,
            strict=strict,
            more={
                "PYTHONPATH": str(ROOT / "tests" / "e2e" / "recording"),
                "WINDOWSHOP_JOURNEY_CALLS": str(calls),
            },
        )
    )
    ends.callback(_keep_calls, config, calls)
    made = Emulated(running, emulated.DEPLOYMENT)
    if not strict:
        made.figures.append("no openssl here: the emulator neither spoke TLS nor enforced IAM")
    return made


def _deployed(config, folder, ends):
    place, deployment = Place(boto3.Session()), config.getoption("--deployment")
    outputs = Cloud(place, print).outputs(f"Windowshop-{deployment}-Recommend")
    return OnAws(place, deployment, config.getoption("--base-url") or outputs["ApiUrl"])


def _note(config, world):
    config.stash[NOTES] += [f"journeys: {line}" for line in world.figures]


def _keep_calls(config, folder):
    """Which actions the functions' code used, by function: none that tests/infra does not know."""
    found = {}
    for path in sorted(folder.iterdir()):
        function = path.name.split(".")[0].rsplit("-", 1)[-1]
        lines = path.read_text("utf-8").splitlines()
        found.setdefault(function, set()).update(json.loads(line) for line in lines)
    if config.getoption("--record-calls"):
        text = json.dumps({name: sorted(calls) for name, calls in sorted(found.items())}, indent=2)
        CALLS.write_text(text + "\n", "utf-8")
    known = json.loads(CALLS.read_text("utf-8"))
    # What only a long run comes to, such as tidying old counts, is listed beside the roles.
    new = {
        name: calls - set(known.get(name, ())) - set(UNSEEN.get(name, ()))
        for name, calls in found.items()
    }
    assert not any(new.values()), f"run the journeys with --record-calls: {new}"
