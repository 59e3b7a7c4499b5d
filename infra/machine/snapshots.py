#!/usr/bin/env python3
"""Snapshots of Qdrant to S3 and back, on the machine that Qdrant runs on.

    windowshop-qdrant take            a snapshot of every collection, and the aliases, to S3
    windowshop-qdrant list            what is there
    windowshop-qdrant restore NAME    replace collections and aliases by those of a snapshot

For the Python that Amazon Linux 2023 brings (3.9), with its standard library and the aws program.
A restored snapshot is older than the event log: afterwards run `windowshop rebuild`, which folds
every user again and lets erasures take effect again.
"""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

LONGEST_S = 3600
ENVIRONMENT = Path("/etc/windowshop-qdrant.env")
"""Where setup.sh writes it, for root alone: it holds the key."""


class Qdrant:
    """The part of Qdrant's REST interface that snapshots need."""

    def __init__(self, url: str, key: str, certificate: str | None) -> None:
        self._url, self._key = url, key
        self._trust = ssl.create_default_context(cafile=certificate) if certificate else None

    def __call__(self, method: str, path: str, body: Any = None) -> Any:
        """The `result` of an answer. Raises OSError."""
        request = urllib.request.Request(  # noqa: S310 -- the address is our own
            self._url + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"api-key": self._key, "content-type": "application/json"},
        )
        with urllib.request.urlopen(  # noqa: S310 -- as above
            request, timeout=LONGEST_S, context=self._trust
        ) as answer:
            return json.load(answer)["result"]


def take(qdrant: Qdrant, backup: str, folder: Path, name: str) -> list[str]:
    """Copy every collection to `backup/name/`; the names of the collections."""
    collections = sorted(one["name"] for one in qdrant("GET", "/collections")["collections"])
    for collection in collections:
        path = _snapshots(collection)
        made = qdrant("POST", f"{path}?wait=true")["name"]
        try:
            _aws(
                "s3",
                "cp",
                str(folder / collection / made),
                f"{backup}/{name}/{collection}.snapshot",
            )
        finally:
            qdrant("DELETE", f"{path}/{urllib.parse.quote(made, safe='')}?wait=true")
    # Written last: a snapshot without it was not finished. A collection's does not hold aliases.
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        json.dump(
            {"collections": collections, "aliases": qdrant("GET", "/aliases")["aliases"]}, file
        )
        file.flush()
        _aws("s3", "cp", file.name, f"{backup}/{name}/contents.json")
    return collections


def restore(qdrant: Qdrant, backup: str, folder: Path, name: str) -> list[str]:
    """Put back what `take` copied; the names of the collections."""
    contents = json.loads(_aws("s3", "cp", f"{backup}/{name}/contents.json", "-"))
    for collection in contents["collections"]:
        # Below the folder that Qdrant may read.
        file = folder / f"restore-{collection}.snapshot"
        try:
            _aws("s3", "cp", f"{backup}/{name}/{collection}.snapshot", str(file))
            file.chmod(0o644)
            qdrant(
                "PUT",
                f"{_snapshots(collection)}/recover?wait=true",
                {"location": file.as_uri(), "priority": "snapshot"},
            )
        finally:
            file.unlink(missing_ok=True)
    current = {one["alias_name"] for one in qdrant("GET", "/aliases")["aliases"]}
    actions: list[Any] = []
    for alias in contents["aliases"]:
        if alias["alias_name"] in current:
            actions.append({"delete_alias": {"alias_name": alias["alias_name"]}})
        actions.append({"create_alias": alias})
    if actions:
        qdrant("POST", "/collections/aliases", {"actions": actions})
    return list(contents["collections"])


def finished(backup: str) -> list[str]:
    """The names of the snapshots that are whole, the oldest first."""
    said = _aws("s3", "ls", "--recursive", f"{backup}/")
    return sorted(
        line.split("/")[-2] for line in said.splitlines() if line.endswith("/contents.json")
    )


def _snapshots(collection: str) -> str:
    return f"/collections/{urllib.parse.quote(collection, safe='')}/snapshots"


def _aws(*arguments: str) -> str:
    done = subprocess.run(
        ["aws", *arguments],  # noqa: S607 -- wherever the machine has it
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"aws {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout


def main() -> int:
    command, *rest = sys.argv[1:] or ["help"]
    if ENVIRONMENT.exists():
        for line in ENVIRONMENT.read_text("utf-8").splitlines():
            name, _, value = line.partition("=")
            os.environ.setdefault(name, value)
    backup, folder = os.environ["BACKUP"], Path(os.environ["SNAPSHOTS"])
    qdrant = Qdrant(
        os.environ["QDRANT_URL"],
        os.environ["QDRANT__SERVICE__API_KEY"],
        os.environ.get("QDRANT_CA"),
    )
    if command == "take" and not rest:
        name = time.strftime("%Y-%m-%dT%H-%M-%SZ", time.gmtime())
        print(f"{name}: {', '.join(take(qdrant, backup, folder, name)) or 'no collections'}")
    elif command == "list" and not rest:
        print("\n".join(finished(backup)) or "no snapshot yet")
    elif command == "restore" and len(rest) == 1:
        print(f"restored: {', '.join(restore(qdrant, backup, folder, rest[0]))}")
        print("now run `windowshop rebuild` for every store: the log is newer than the snapshot")
    else:
        print(__doc__, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
