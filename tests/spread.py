"""How `pytest -n` spreads the tests over its processes.

By file: what a file's fixtures start, such as an emulator or a browser, is started once. Files that
share more than that go together. Those that take long come first: what begins last is waited for.
"""

from xdist.scheduler import LoadFileScheduling

TOGETHER = ("tests/infra/",)  # the templates are synthesized once a process
LONG = (
    "tests/e2e/test_journeys.py",
    "tests/e2e/test_page.py",
    "tests/infra/",
    "tests/e2e/test_emulate.py",
    "tests/contract/test_encoder.py",
    "tests/contract/test_log_dynamo_company.py",
    "tests/integration/test_build.py",
)


def long_first(items):
    """Sorts the tests, in place."""
    ranks = {name: rank for rank, name in enumerate(LONG)}
    items.sort(key=lambda item: ranks.get(unit(item.nodeid), len(LONG)))


def unit(nodeid):
    """What runs in one process: the name of a file, or of a folder."""
    file = nodeid.partition("::")[0]
    return next((folder for folder in TOGETHER if file.startswith(folder)), file)


class Spread(LoadFileScheduling):
    def __init__(self, config, log):
        config.option.loadscopereorder = False  # which would put first what has the most tests
        super().__init__(config, log)

    def _split_scope(self, nodeid):
        return unit(nodeid)
