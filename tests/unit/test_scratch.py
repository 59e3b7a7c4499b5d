"""Folders that are thrown away, also those of commands that were killed."""

import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from windowshop import scratch
from windowshop.scratch import PREFIX, check_scratch, scratch_folder

HOLD = """
import time
from windowshop.scratch import scratch_folder
with scratch_folder() as folder:
    (folder / "gigabytes").write_text("many")
    print(folder, flush=True)
    time.sleep(60)
"""


@pytest.fixture(autouse=True)
def parent(tmp_path, monkeypatch):
    """Where temporary folders go, for this process and its children."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_it_is_fresh_and_goes_with_its_command(parent):
    with scratch_folder() as folder:
        check_scratch(folder.resolve())
        (folder / "some").write_text("thing")
    assert not any(parent.iterdir())


def test_what_a_killed_command_left_goes_with_the_next(parent, monkeypatch):
    process = subprocess.Popen([sys.executable, "-c", HOLD], stdout=subprocess.PIPE, text=True)
    left = process.stdout.readline().strip()
    monkeypatch.setattr(scratch, "FRESH_S", -1.0)
    with scratch_folder():
        assert Path(left).exists(), "somebody works in it"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    with scratch_folder() as folder:
        assert [one.name for one in parent.iterdir()] == [folder.name]


def test_nothing_else_is_removed(parent, monkeypatch):
    (parent / "windowshop-other").mkdir()
    (parent / f"{PREFIX}file").write_text("no folder")
    (parent / "far").mkdir()
    (parent / f"{PREFIX}link").symlink_to(parent / "far")
    (parent / f"{PREFIX}young").mkdir()
    before = sorted(one.name for one in parent.iterdir())
    with scratch_folder():
        pass
    assert sorted(one.name for one in parent.iterdir()) == before
    monkeypatch.setattr(scratch, "FRESH_S", -1.0)
    with scratch_folder():
        pass
    before.remove(f"{PREFIX}young")
    assert sorted(one.name for one in parent.iterdir()) == before
