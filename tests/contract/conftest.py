"""Every implementation of a port, for the suite that all of them must pass."""

import pytest

from windowshop.log.sqlite import SqliteLog


@pytest.fixture(params=["sqlite"])
def log(request, tmp_path):
    opened = {"sqlite": lambda: SqliteLog(tmp_path / "home" / "log.sqlite")}[request.param]()
    yield opened
    opened.close()
