"""The stacks of one deployment. `cdk` runs this; `make synth` runs it without cdk.

python -m infra.app [--deployment NAME] [--out DIR]
"""

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from infra import node

node.prepare()

# ruff: noqa: E402 -- importing aws_cdk starts Node, so it must be known which one by then
from aws_cdk import App, DefaultStackSynthesizer, Environment, Tags, Validations
from cdk_nag import AwsSolutionsChecks, ServerlessChecks

from infra.config import Config, Mistaken, load
from infra.edge import REGION as EDGE_REGION
from infra.edge import Edge
from infra.embedding import Embedding
from infra.events import Events
from infra.ingest import Ingest
from infra.network import Network
from infra.operations import Operations
from infra.qdrant import Qdrant
from infra.recommend import Recommend
from infra.state import State

KEEPS_DATA = ("State", "Ingest", "Events", "Qdrant")
"""Stacks that cannot be deleted by accident: data, and queues with messages on their way."""


def build(config: Config, out: Path | None = None, *, nag: bool = True, stage: bool = True) -> App:
    """The app of a deployment; `synth()` writes its templates to `out`, or where cdk says.

    `nag`: check by the rules of cdk-nag. `stage`: copy the packages to `out` as well.
    """
    app = App(
        outdir=str(out) if out else None,
        analytics_reporting=False,
        context=None if stage else {"aws:cdk:disable-asset-staging": True},
    )
    env = Environment(account=config.account or None, region=config.region or None)

    def stack(part: str) -> dict[str, Any]:
        return {
            "env": env,
            "synthesizer": DefaultStackSynthesizer(generate_bootstrap_version_rule=False),
            "termination_protection": part in KEEPS_DATA and config.data.removal == "retain",
        }

    network = Network(app, config, **stack("Network")) if config.networked else None
    inside = network if config.qdrant.host == "own" else None
    state = State(app, config, **stack("State"))
    ingest = Ingest(app, config, state, inside, **stack("Ingest"))
    events = Events(app, config, state, inside, **stack("Events"))
    Recommend(app, config, state, ingest, events, inside, **stack("Recommend"))
    if network and config.bulk.workers == "batch":
        Embedding(app, config, state, ingest, network, **stack("Embedding"))
    if network and config.qdrant.host == "own":
        Qdrant(app, config, state, network, **stack("Qdrant"))
    if config.operations.alarms or config.operations.dashboard:
        Operations(app, config, **stack("Operations"))
    if config.edge.api:
        # A firewall for CloudFront lives nowhere else, wherever the rest is.
        there = Environment(account=config.account or None, region=EDGE_REGION)
        Edge(app, config, **{**stack("Edge"), "env": there})
    for key, value in {"windowshop": config.name, **config.tags}.items():
        Tags.of(app).add(key, value)
    if nag:
        Validations.of(app).add_plugins(AwsSolutionsChecks(app), ServerlessChecks(app))
    return app


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m infra.app", description=__doc__)
    parser.add_argument("--deployment", help="a file of infra/deployments, without .toml")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    # `cdk --context deployment=NAME` arrives here.
    context = json.loads(os.environ.get("CDK_CONTEXT_JSON") or "{}")
    try:
        config = load(given.deployment or context.get("deployment") or "shop")
    except Mistaken as error:
        print(error, file=sys.stderr)
        return 2
    build(config, given.out).synth()
    return 0


if __name__ == "__main__":
    sys.exit(main())
