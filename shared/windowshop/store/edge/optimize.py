"""A program: `python optimize.py FOLDER PARENT` builds the indexes of a shard that nobody has open.

Building holds Python's lock from beginning to end, so it happens in a process of its own, niced. It
must not outlive the process that asked for it: that one's id is PARENT. The worker cannot look
while it builds, so the program forks: one half builds, the other looks and ends both. Nothing but
the standard library is imported before the fork.
"""

import os
import signal
import sys
import time

LOOK_S = 0.1


def build(folder: str) -> None:
    import qdrant_edge as q

    os.nice(10)
    shard = q.EdgeShard.load(folder)
    shard.optimize()
    shard.flush()
    shard.close()


def main(folder: str, parent: int) -> int:
    worker = os.fork()
    if worker == 0:
        try:
            build(folder)
            sys.stderr.flush()
            os._exit(0)
        except BaseException as error:  # noqa: BLE001 (it is said, and the parent tells more)
            sys.stderr.write(f"{error}\n")
            sys.stderr.flush()
            os._exit(1)
    while os.getppid() == parent:
        done, status = os.waitpid(worker, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(LOOK_S)
    os.kill(worker, signal.SIGKILL)
    return 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
