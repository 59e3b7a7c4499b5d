"""`make synth`: the templates of a deployment, checked by cdk-nag and cfn-lint. Needs no account.

python -m infra.synth [--deployment NAME] [--out DIR]
"""

import argparse
import json
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from infra import node
from infra.config import ROOT, Mistaken, load

IGNORED = {
    "W3005": "CDK itself writes the dependency of a function on its role, which is also implied",
}
"""Warnings of cfn-lint that say nothing here, with the reason."""


def synthesize(deployment: str, out: Path) -> list[Path]:
    """The templates, in the order of their deployment.

    Raises Mistaken, and RuntimeError for what cdk-nag finds (it has printed it by then).
    """
    config = load(deployment)
    node.install()
    from infra.app import build

    shutil.rmtree(out, ignore_errors=True)
    assembly = build(config, out).synth()
    return [Path(stack.template_full_path) for stack in assembly.stacks]


def lint(templates: Sequence[Path]) -> str:
    """What cfn-lint says; empty if nothing."""
    program = Path(sys.executable).with_name("cfn-lint")
    done = subprocess.run(
        [str(program), "--ignore-checks", *IGNORED, "--", *map(str, templates)],
        capture_output=True,
        text=True,
        check=False,
    )
    return (done.stdout + done.stderr).strip()


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m infra.synth", description=__doc__)
    parser.add_argument("--deployment", default="shop")
    parser.add_argument("--out", type=Path, default=ROOT / "cdk.out")
    given = parser.parse_args()
    try:
        templates = synthesize(given.deployment, given.out)
    except (Mistaken, node.NoNode) as error:
        print(error, file=sys.stderr)
        return 2
    except RuntimeError as error:
        print(str(error).splitlines()[0], file=sys.stderr)
        return 1
    for template in templates:
        text = template.read_text("utf-8")
        resources = len(json.loads(text)["Resources"])
        print(f"{len(text):>8,} bytes {resources:>3} resources  {template}")
    said = lint(templates)
    if said:
        print(said, file=sys.stderr)
        return 1
    print("cdk-nag (AwsSolutions, Serverless): no finding without a reason; cfn-lint: nothing")
    return 0


if __name__ == "__main__":
    sys.exit(main())
