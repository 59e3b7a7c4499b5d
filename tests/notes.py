"""Lines that tests leave for the end of the run, whichever process of `pytest -n` they ran in."""

import pytest

NOTES = pytest.StashKey[list[str]]()
