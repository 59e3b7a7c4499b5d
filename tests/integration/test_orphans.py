"""Whoever starts a process with orphans.py need not live to end it."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.shopping import until

PROGRAM = Path(__file__).resolve().parents[2] / "localstack" / "orphans.py"
PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, {program!r}, "sleeps", "a word"], start_new_session={leads})
time.sleep(600)
"""
CHILD = """
import os, subprocess, sys, time
grandchild = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
with open("pids.part", "w") as out:
    out.write(f"{os.getpid()} {grandchild.pid} {sys.argv[1:]} {__name__}")
os.rename("pids.part", "pids")
time.sleep(600)
"""


def runs(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")  # one that is dead and not yet fetched runs no more
    return not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] != "Z"


@pytest.mark.parametrize("leads", [True, False])
def test_it_ends_with_the_one_that_started_it(tmp_path, leads):
    (tmp_path / "sleeps.py").write_text(CHILD, "utf-8")
    source = PARENT.format(program=str(PROGRAM), leads=leads)
    parent = subprocess.Popen([sys.executable, "-c", source], cwd=tmp_path)
    pids = []
    try:
        told = until(lambda: (tmp_path / "pids").exists() and (tmp_path / "pids").read_text(), "up")
        child, grandchild, rest = told.split(maxsplit=2)
        pids = [int(child), int(grandchild)]
        assert rest == "['a word'] __main__"
        assert all(map(runs, pids))
        parent.kill()
        parent.wait()
        until(lambda: not runs(pids[0]), "the child ends")
        if leads:
            until(lambda: not runs(pids[1]), "its group ends with it")
    finally:
        parent.kill()
        parent.wait()
        for pid in filter(runs, pids):
            os.kill(pid, signal.SIGKILL)
