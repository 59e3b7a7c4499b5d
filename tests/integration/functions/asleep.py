"""A program: the function `recommend` as SnapStart runs it. It is opened and warmed once; each line
on standard input has a process forked from it, which wakes up and answers one request.

A line is {"hooks": whether the runtime calls what is registered, "event": a request}. A snapshot
keeps all threads, a fork only one: before it, nothing may be asked that starts some.
"""

import contextlib
import faulthandler
import importlib
import json
import os
import random
import sys
from pathlib import Path

import snapshot_restore_py as runtime  # the one beside the tests, not Lambda's

PATIENCE_S = 30


def sockets():
    """The connections that this process has."""
    found = set()
    for handle in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # it was that of the folder itself
            found.add(str(handle.readlink()))
    found = {one.removeprefix("socket:[").removesuffix("]") for one in found if "socket:" in one}
    lines = Path("/proc/self/net/tcp").read_text().splitlines()[1:]
    return sorted(line.split()[9] for line in lines if line.split()[9] in found)


def awake(handler, told, state):
    """What a process that woke up does first. A fork draws anew by itself, a snapshot does not."""
    random.setstate(state)
    if told["hooks"]:
        for hook, args, kwargs in runtime.get_after_restore():
            hook(*args, **kwargs)
    answer = handler(told["event"], None)
    return {
        "status": answer["statusCode"],
        "body": json.loads(answer["body"]),
        "drawn": random.random(),
        "sockets": sockets(),
    }


def say(value):
    sys.stdout.write(json.dumps(value) + "\n")
    sys.stdout.flush()


def main():
    handler = importlib.import_module("functions.recommend.handler").handler
    for event in json.loads(sys.argv[1]):  # as if it had answered before it slept
        handler(event, None)
    before = runtime.get_before_snapshot()
    while before:
        hook, args, kwargs = before.pop()
        hook(*args, **kwargs)
    say({"sockets": sockets()})
    for line in sys.stdin:
        state = random.getstate()
        child = os.fork()
        if child == 0:
            faulthandler.dump_traceback_later(PATIENCE_S, exit=True)
            say(awake(handler, json.loads(line), state))
            os._exit(0)
        if os.waitpid(child, 0)[1]:
            sys.exit("a process that woke up did not answer")


main()
