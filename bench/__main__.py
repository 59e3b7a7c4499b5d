"""Run benches by name (all without one), print their figures and add them to latest.json."""

import importlib
import json
import os
import platform
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

NAMES = (
    "import",
    "encode",
    "store",
    "ingest",
    "record",
    "recommend",
    "functions",
    "wire",
    "handlers",
    "words",
)
LATEST = Path(__file__).with_name("latest.json")


def main(names: list[str]) -> int:
    console = Console()
    unknown = [name for name in names if name not in NAMES]
    if unknown:
        console.print(f"no such bench: {', '.join(unknown)}; there are {', '.join(NAMES)}")
        return 2
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    figures: dict[str, float] = json.loads(LATEST.read_text()) if LATEST.exists() else {}
    failed = False
    for name in names or NAMES:
        console.rule(name)
        try:
            found = importlib.import_module(f"bench.bench_{name}").run()
        except Exception as error:  # noqa: BLE001 - one that cannot run must not cost the others'
            failed = True
            console.print(f"[red]{name}: {error!r}")
            continue
        figures.update(found)
        table = Table("figure", "value")
        for key, value in found.items():
            table.add_row(key, f"{value:,.4g}" if isinstance(value, float) else str(value))
        console.print(table)
    figures["machine"] = f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores"
    LATEST.write_text(json.dumps(figures, indent=2, sort_keys=True) + "\n")
    console.print(f"written to {LATEST}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
