"""A process that ends when the one that started it does, however that ends.

    python localstack/orphans.py MODULE [ARGUMENT]...    run a module so, from the working folder

Whoever is killed cannot clean up: so what was started for its sake looks itself whether it is gone.
Imports nothing of ours: it runs under interpreters that have none of it.
"""

import os
import runpy
import signal
import sys
import threading
import time

EVERY_S = 0.5


def end_with_parent() -> None:
    """From now on. A leader of a process group takes its group with it."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(EVERY_S)
        if os.getpgid(0) == os.getpid():
            os.killpg(0, signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="orphans", daemon=True).start()


if __name__ == "__main__":
    end_with_parent()
    sys.path[0] = os.getcwd()  # noqa: PTH109 - as `python -m` does
    sys.argv = sys.argv[1:]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
