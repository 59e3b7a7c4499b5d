"""A program: `python optimize.py FOLDER PARENT [ORDER...]` changes a shard that nobody has open.

    index     build its indexes
    forget    take the learned vectors away
    learn     put those in `learned.keys` and `learned.rows` there (in the machine's own byte order)

All of that holds Python's lock for long, so it happens in a process of its own, niced. It
must not outlive the process that asked for it: that one's id is PARENT. The worker cannot look
while it builds, so the program forks: one half builds, the other looks and ends both. Nothing but
the standard library is imported before the fork.
"""

import os
import signal
import sys
import time
from array import array
from pathlib import Path

LOOK_S = 0.1
INDEX, FORGET, LEARN = "index", "forget", "learn"
LEARNED, WIDTH = "learned", 128
"""The store's own names, which cannot be imported here."""
KEYS, ROWS = "learned.keys", "learned.rows"
A_WRITE = 256


def build(folder: str, *orders: str) -> None:
    import qdrant_edge as q

    os.nice(10)
    shard = q.EdgeShard.load(folder)
    if FORGET in orders:
        shard.update(q.UpdateOperation.delete_vector_name(LEARNED))
    if LEARN in orders:
        distance = q.Distance.Cosine
        shard.update(q.UpdateOperation.create_dense_vector(LEARNED, WIDTH, distance))
        keys, rows = Path(folder) / KEYS, Path(folder) / ROWS
        with keys.open("rb") as some, rows.open("rb") as more:
            while block := some.read(A_WRITE * 8):
                ids = array("Q", block)
                numbers = array("f", more.read(len(ids) * WIDTH * 4)).tolist()
                vectors = [
                    q.PointVectors(key, {LEARNED: numbers[n * WIDTH : (n + 1) * WIDTH]})
                    for n, key in enumerate(ids)
                ]
                shard.update(q.UpdateOperation.update_vectors(vectors))
        keys.unlink()
        rows.unlink()
    if INDEX in orders:
        shard.optimize()
    shard.flush()
    shard.close()


def main(folder: str, parent: int, *orders: str) -> int:
    worker = os.fork()
    if worker == 0:
        try:
            build(folder, *orders)
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
    sys.exit(main(sys.argv[1], int(sys.argv[2]), *sys.argv[3:]))
