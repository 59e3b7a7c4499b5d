#!/bin/sh
# Installs what requirements/torch.txt pins into .venv, where pip finds a build of torch for the
# processor alone: 200 MB, where those for CUDA take 5 GB. Where it finds none, says so and succeeds:
# the tests that want torch then skip. Returns at once when that has been done.
set -eu

cd -- "$(dirname -- "$0")/.."

pip() {
    .venv/bin/python -m pip --disable-pip-version-check --retries 1 "$@"
}

say() {
    printf '==> %s\n' "$*" >&2
}

# A build's own mark (2.13.0+cpu) is no part of the pin. Imports nothing: torch alone takes seconds.
current() {
    .venv/bin/python - <<'END'
import importlib.metadata as installed, pathlib, sys

for line in pathlib.Path("requirements/torch.txt").read_text("utf-8").splitlines():
    if line and not line.startswith("#"):
        name, _, version = line.partition("==")
        found = [one.version for one in installed.distributions(name=name)]
        if not any(one.partition("+")[0] == version for one in found):
            sys.exit(1)
END
}

# The build that pip would take is small: it asks for no CUDA packages. Nothing is downloaded.
small() {
    pip install --dry-run --no-deps --ignore-installed --only-binary :all: -qq --report - \
        "$(grep '^torch==' requirements/torch.txt)" 2>/dev/null |
        .venv/bin/python -c '
import json, sys
from packaging.requirements import Requirement

(torch,) = json.load(sys.stdin)["install"]
needs = map(Requirement, torch["metadata"].get("requires_dist", []))
wanted = {need.name for need in needs if need.marker is None or need.marker.evaluate({"extra": ""})}
sys.exit(any(name.startswith(("cuda", "nvidia", "triton")) for name in wanted))' 2>/dev/null
}

# Moves nothing that is installed: what it brings is held to the versions that are there.
install() {
    pins=$(mktemp)
    trap 'rm -f "$pins"' EXIT
    pip freeze -qq --exclude-editable --exclude torch --exclude transformers >"$pins" &&
        pip install -qq --only-binary :all: --constraint "$pins" -r requirements/torch.txt
}

current && exit
if small && say "Installing torch, for the processor, into .venv" && install; then
    exit
fi
say "No torch: pip finds no build of it for the processor alone (PIP_EXTRA_INDEX_URL can name a place" \
    "that has one). The tests that want it are skipped."
