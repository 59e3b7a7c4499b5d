"""Everything that `make test` checks; arguments go to pytest, whose summary comes last if all is well.

Types take one core more than a minute where none are cached yet, so they are looked at beside the
tests. What they said is printed as a whole: before the tests if it is known by then, else after.
"""

import os
import signal
import sys
import tempfile
from pathlib import Path
from subprocess import STDOUT, Popen

ROOT = Path(__file__).resolve().parents[1]
BIN = ROOT / ".venv" / "bin"
TORCH = ROOT / "requirements" / "torch.sh"  # 200 MB, for tests alone
QUICK = (("ruff", "check"), ("ruff", "format", "--check"), ("lint-imports",))
# More processes than files that take long would only start more emulators.
SPREAD = ("-n", "auto", "--maxprocesses", "4", "--max-worker-restart", "0")

INTERRUPTED = 2  # pytest's word for Ctrl-C


def start(program, *words, **options):
    return Popen([BIN / program, *words], cwd=ROOT, **options)


def ended(process):
    """How it ended. An interrupt has reached it as well: it ends in its own time."""
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            pass
        except SystemExit:
            process.send_signal(signal.SIGINT)
            raise


def shown(*command):
    print(*command, flush=True)
    return ended(start(*command))


def main(arguments):
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # and what was started ends too
    # Tests start hundreds of programs, and each would compile the whole package for itself.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    # Threads that wait leave the cores to those that work.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    with tempfile.TemporaryFile("w+") as said:
        types = start("mypy", stdout=said, stderr=STDOUT, preexec_fn=lambda: os.nice(10))

        def flaws():
            said.seek(0)
            print(f"mypy\n{said.read()}", end="", flush=True)
            return 1

        try:
            if ended(start(TORCH)) or any(shown(*command) for command in QUICK):
                return 1
            if types.poll():
                return flaws()
            code = shown("pytest", *SPREAD, *arguments)
            if code == INTERRUPTED:
                return code
            return flaws() if ended(types) else code
        finally:
            types.kill()
            types.wait()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
