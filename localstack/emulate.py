"""`make emulate`: the shop as it runs on AWS, on this machine and without Docker, until Ctrl-C.

    python -m localstack.emulate [--port 4566] [--qdrant-port 6333]
    python -m localstack.emulate down

An emulator of AWS, a stand-in for Qdrant, the functions from their built packages, the stacks of
infra/. All of it lives in one folder, .emulated, and is forgotten when it ends.
"""

import argparse
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType

from localstack.emulated import Emulated, running
from localstack.emulator import REGION, ROOT
from localstack.stacks import Failed
from localstack.up import DEPLOYMENT
from windowshop.aws.keyring import SsmKeyring
from windowshop.keys import ROLES, make_key

FOLDER = ROOT / ".emulated"
RUN = "run.json"
STORE = "default"
END_S = 60.0
FREE_S = 5.0
"""For so long what a run that was killed has left behind may still hold its ports."""
LOOK_S = 1.0

SHEET = """\

The shop is open, on an emulator of AWS.

  API         {api}
  bucket      {bucket}
  keys        {secret} (secret)
              {publishable} (publishable)
  Qdrant      {qdrant} (a stand-in)
  logs        {folder}/world/aws/emulator.log

In another terminal:

  . {folder}/env
  printf 'item_id,title\\n1,Whole milk\\n2,Oat milk\\n3,Hiking boots\\n4,Tent\\n' > items.csv
  aws s3 cp items.csv "s3://$BUCKET/catalog/{store}/items.csv"
      or: curl -T items.csv "$AWS_ENDPOINT_URL/$BUCKET/catalog/{store}/items.csv"
  curl "$API/v1/recommendations" -H "Authorization: Bearer $KEY" \\
       -H 'content-type: application/json' -d '{{"anonymous_id": "guest-1", "limit": 3}}'
  curl "$API/v1/events" -H "Authorization: Bearer $KEY" -H 'content-type: application/json' \\
       -d '{{"events": [{{"kind": "view", "anonymous_id": "guest-1", "item_id": "3"}}]}}'
  .venv/bin/windowshop dead-letters list --deployment {deployment}

Ctrl-C ends it, and so does `make emulate-down`.
"""


class Taken(Exception):
    """A port, or all of it, is in use already; the text says what to do."""


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m localstack.emulate",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("verb", nargs="?", choices=("up", "down"), default="up")
    parser.add_argument("--port", type=int, default=4566, help="of the emulator")
    parser.add_argument("--qdrant-port", type=int, default=6333, help="of the stand-in for Qdrant")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    given = parser.parse_args(arguments)
    if given.verb == "down":
        return _down(given.folder)
    try:
        with _ended_by_signals():
            return _up(given.folder, given.port, given.qdrant_port)
    except (Taken, Failed, RuntimeError) as error:
        print(error, file=sys.stderr)
        return 1


def _up(folder: Path, port: int, qdrant_port: int) -> int:
    _claim(folder, {"--port": port, "--qdrant-port": qdrant_port})
    began = time.monotonic()
    try:
        with running(folder / "world", _tell, port=port, qdrant_port=qdrant_port) as emulated:
            _tell(f"ready in {time.monotonic() - began:.0f} s")
            print(_sheet(folder, emulated), flush=True)
            return _watch(emulated)
    except KeyboardInterrupt:
        _tell("ended")
        return 0
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@contextlib.contextmanager
def _ended_by_signals() -> Iterator[None]:
    """Ctrl-C, a `kill` and a terminal that closes end the block alike, once."""

    def ended(_: int, __: FrameType | None) -> None:
        for number in numbers:
            signal.signal(number, signal.SIG_IGN)
        raise KeyboardInterrupt

    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: signal.signal(number, ended) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _claim(folder: Path, ports: dict[str, int]) -> None:
    """Take the place of a run that is over. Raises Taken."""
    owner = _owner(folder)
    if owner is not None:
        raise Taken(f"it runs already, as process {owner}: `make emulate-down` ends it")
    patience = FREE_S if folder.exists() else 0.0
    for option, port in ports.items():
        end = time.monotonic() + patience
        while not _is_free(port):
            if time.monotonic() >= end:
                raise Taken(
                    f'port {port} is taken: choose another with `make emulate ARGS="{option} N"`'
                )
            time.sleep(0.1)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / RUN).write_text(json.dumps({"pid": os.getpid()}), "utf-8")


def _is_free(port: int) -> bool:
    with socket.socket() as door:
        door.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            door.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _owner(folder: Path) -> int | None:
    """The process that runs now; None where there is none, or only what a killed one left."""
    try:
        pid = int(json.loads((folder / RUN).read_text("utf-8"))["pid"])
    except (OSError, ValueError, KeyError):
        return None
    return pid if _runs(pid) else None


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "localstack" in _command(pid)


def _command(pid: int) -> str:
    """The command line of a process; its number may be another's by now."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text("utf-8", "replace")
    except OSError:
        done = subprocess.run(
            ["ps", "-o", "command=", "-p", str(pid)],  # noqa: S607 - a Mac's
            capture_output=True,
            text=True,
            check=False,
        )
        return done.stdout


def _down(folder: Path) -> int:
    owner = _owner(folder)
    if owner is None:
        shutil.rmtree(folder, ignore_errors=True)
        print("nothing runs")
        return 0
    os.kill(owner, signal.SIGTERM)
    end = time.monotonic() + END_S
    while _runs(owner):
        if time.monotonic() > end:
            print(f"process {owner} does not end", file=sys.stderr)
            return 1
        time.sleep(0.1)
    print("ended")
    return 0


def _sheet(folder: Path, emulated: Emulated) -> str:
    """What to do next; the same as variables for a shell."""
    ssm = emulated.place.client("ssm")
    keyring = SsmKeyring(lambda: ssm, f"/windowshop/{DEPLOYMENT}", _wall_ms)
    keys = {}
    for role in ROLES:
        keys[role], stored = make_key(STORE, role, _wall_ms(), "make emulate")
        keyring.put_key(stored)
    bucket = emulated.outputs["Bucket"]
    variables = {
        **emulated.variables,
        "AWS_REGION": REGION,
        "API": emulated.api,
        "BUCKET": bucket,
        "KEY": keys["secret"],
        "PUBLIC_KEY": keys["publishable"],
    }
    lines = [f"export {name}='{value}'\n" for name, value in variables.items()]
    (folder / "env").write_text("".join(lines), "utf-8")
    return SHEET.format(
        api=emulated.api,
        bucket=bucket,
        qdrant=emulated.qdrant.url,
        folder=folder.relative_to(ROOT) if folder.is_relative_to(ROOT) else folder,
        store=STORE,
        deployment=DEPLOYMENT,
        **keys,
    )


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000


def _watch(emulated: Emulated) -> int:
    """Until something ends that should not. A worker of the bulk lane runs while jobs wait, as the
    reconciler has it on AWS.
    """
    worker: subprocess.Popen[bytes] | None = None
    sqs, queue = emulated.place.client("sqs"), emulated.config()["WINDOWSHOP_EMBED_BULK_QUEUE"]
    waiting = "ApproximateNumberOfMessages"
    try:
        while True:
            for name, process in (
                ("the emulator", emulated.emulator.process),
                ("the stand-in for Qdrant", emulated.qdrant.process),
            ):
                if process.poll() is not None:
                    raise RuntimeError(f"{name} ended by itself ({process.returncode})")
            if worker is None or worker.poll() is not None:
                got = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=[waiting])
                if int(got["Attributes"][waiting]):
                    _tell("jobs in the bulk lane: a worker starts")
                    worker = emulated.start_worker()
            time.sleep(LOOK_S)
    finally:
        if worker is not None and worker.poll() is None:
            worker.kill()
            worker.wait()


if __name__ == "__main__":
    sys.exit(main())
