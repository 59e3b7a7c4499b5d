"""Who imports what, and what a process that only answers never loads."""

import ast
import re
import subprocess
import sys
import tomllib
from functools import cache
from importlib.metadata import packages_distributions
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "shared" / "windowshop"

# What is foreign is known in few places; elsewhere nobody knows that it is used.
HOMES = {
    "aws_lambda_powertools": ["aws"],
    "boto3": ["aws"],
    "botocore": ["aws"],
    "fastapi": ["api"],
    "starlette": ["api"],
    "uvicorn": ["serve"],
    "rich": ["cli"],
    "typer": ["cli"],
    "huggingface_hub": ["encode"],
    "implicit": ["evaluate"],
    "lightgbm": ["train"],
    "optuna": ["train"],
    "scipy": ["evaluate"],
    "tensorboardX": ["train"],
    "onnx": ["encode", "train"],
    "onnxruntime": ["encode", "learned"],
    "safetensors": ["encode"],
    "tokenizers": ["encode"],
    "torch": ["encode", "train"],
    "transformers": ["encode"],
    "arro3": ["files", "demo.source"],
    "jwt": ["keys"],
    "sqlite3": ["log"],
    "qdrant_edge": ["store.edge"],
    "grpc": ["store.server"],
    "qdrant_client": ["store.server"],
}
# Never in a process that answers requests or folds events: slow to load, or large.
HEAVY = {
    "boto3",
    "duckdb",
    "implicit",
    "lightgbm",
    "matplotlib",
    "onnx",
    "optuna",
    "pandas",
    "polars",
    "pyarrow",
    "qdrant_client",
    "scipy",
    "sklearn",
    "sqlalchemy",
    "tensorboardX",
    "torch",
    "transformers",
}


# Never in a function on AWS either, which does use boto3 and qdrant_client. (qdrant_client itself
# loads sqlite3, and structlog loads rich where there is some: in a function's package there is none.)
NEVER_DEPLOYED = HEAVY - {"boto3", "qdrant_client"} | {
    "qdrant_edge",
    "typer",
    "uvicorn",
    "windowshop.cli",
    "windowshop.local",
    "windowshop.log.database",
    "windowshop.serve",
    "windowshop.store.edge",
}
FUNCTIONS = ROOT / "functions"
HANDLERS = ("recommend.handler", "events.handler", "ingest.handler", "ingest.worker")

# Low in the layers and yet not pure: they read a file, the environment or chance, or write a line.
IMPURE = {"blobs", "keys", "logs", "mapping", "queues", "settings"}


@cache
def modules():
    """{dotted name below windowshop: its syntax tree}."""
    return {
        ".".join(path.relative_to(PACKAGE).with_suffix("").parts): ast.parse(path.read_bytes())
        for path in sorted(PACKAGE.rglob("*.py"))
    }


@cache
def imported(tree):
    """Top-level names of what a module imports, wherever in it."""
    names = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module.partition(".")[0])
    return names


def strays(trees, library, homes):
    """Modules outside `homes` that import `library`."""
    inside = tuple(f"{home}." for home in homes)
    return [
        name
        for name, tree in trees.items()
        if library in imported(tree) and not f"{name}.".startswith(inside)
    ]


@pytest.mark.parametrize("library", HOMES)
def test_what_is_foreign_stays_at_home(library):
    assert strays(modules(), library, HOMES[library]) == []


def test_what_is_imported_is_declared():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    lines = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    declared = {canonicalize_name(Requirement(line).name) for line in lines}
    foreign = {name for tree in modules().values() for name in imported(tree)}
    foreign -= {*sys.stdlib_module_names, "windowshop"}
    known = packages_distributions()
    undeclared = {
        name: known.get(name)
        for name in foreign
        if not declared & {name, *map(canonicalize_name, known.get(name, []))}
    }
    assert undeclared == {}


def test_a_stray_import_is_found():
    tree = ast.parse("def f():\n    from fastapi.routing import APIRoute")
    assert strays({"shop": tree, "api.wire": tree}, "fastapi", ["api"]) == ["shop"]


def test_what_lies_low_is_pure_or_known_not_to_be():
    config = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
    layers, pure = config["contracts"][0]["layers"], config["contracts"][-1]["source_modules"]
    ranks = [re.findall(r"\w+", layer) for layer in layers]
    lowest_with_ports = next(n for n, names in enumerate(ranks) if "store" in names)
    low = {name for names in ranks[lowest_with_ports + 1 :] for name in names}
    assert {name.removeprefix("windowshop.") for name in pure} == low - IMPURE


def reads_environment(tree):
    set_here = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store)
    }
    return any(
        isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "os"
        and node.attr in {"environ", "environb", "getenv"}
        and id(node) not in set_here
        for node in ast.walk(tree)
    )


def test_only_settings_reads_the_environment():
    assert [name for name, tree in modules().items() if reads_environment(tree)] == ["settings"]


def loaded_by(module):
    """Names of all modules in a fresh process that imported only `module`."""
    code = f"import sys, {module}; print(*sys.modules, sep='\\n')"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return set(ran.stdout.split())


@pytest.mark.parametrize(
    # A budget of modules rather than of time: the same on every machine, and it moves for a reason.
    ("module", "budget"),
    [("windowshop.api", 800), ("windowshop.consume", 600)],
)
def test_a_process_that_answers_loads_little(module, budget):
    loaded = loaded_by(module)
    assert {name.partition(".")[0] for name in loaded} & HEAVY == set()
    assert len(loaded) <= budget


def imports_of(handler):
    """The modules that a handler imports: all of its code but the opening of the world."""
    tree = ast.parse((FUNCTIONS / f"{handler.replace('.', '/')}.py").read_bytes())
    froms = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    names = {node.module for node in froms} | {
        f"{node.module}.{alias.name}" for node in froms for alias in node.names
    }
    return sorted(name for name in names if is_module(name))


def is_module(name):
    path = ROOT / ("" if name.startswith("functions") else "shared") / name.replace(".", "/")
    return path.is_dir() or path.with_suffix(".py").is_file()


@pytest.mark.parametrize("handler", HANDLERS)
def test_a_function_loads_nothing_that_it_does_not_need(handler):
    imported = imports_of(handler)
    assert "windowshop.aws" in imported
    loaded = loaded_by(", ".join(imported))
    assert loaded & NEVER_DEPLOYED == set()
    if handler != "recommend.handler":
        assert loaded & {"fastapi", "mangum", "onnxruntime"} == set()


def test_the_handlers_are_all_there_and_the_gateway_alone_knows_mangum():
    trees = {
        ".".join(path.relative_to(FUNCTIONS).with_suffix("").parts): ast.parse(path.read_bytes())
        for path in FUNCTIONS.rglob("*.py")
    }
    assert set(HANDLERS) <= trees.keys()
    assert strays({**trees, **modules()}, "mangum", ["recommend.gateway"]) == []
