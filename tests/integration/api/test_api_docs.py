"""What docs/api.md shows works as it stands there."""

import json
import re
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from tests.integration.api.test_bodies import problem
from windowshop.api.problems import TITLES
from windowshop.keys import read_user_token

PAGE = (Path(__file__).parents[3] / "docs" / "api.md").read_text("utf-8")
SECRET = "5e" * 32


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def now_ms():
    return time.time_ns() // 1_000_000


def test_the_python_example_signs_tokens():
    names = {}
    exec(blocks("python")[0], names)

    assert read_user_token(names["user_token"]("anna", SECRET), SECRET, now_ms()) == "anna"


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node")
def test_the_node_example_signs_tokens(tmp_path):
    script = tmp_path / "sign.mjs"
    script.write_text(blocks("js")[0] + f'\nconsole.log(userToken("ännä", "{SECRET}"));', "utf-8")
    run = subprocess.run(["node", script], capture_output=True, text=True, check=True, timeout=60)

    assert read_user_token(run.stdout.strip(), SECRET, now_ms()) == "ännä"


def calls():
    """The curl calls of the session: (method, path, body)."""
    text = blocks("sh")[0].replace("\\\n", " ")
    for line in re.findall(r"^curl (?:[^'\n]|'[^']*')*", text, re.MULTILINE):
        body = re.search(r"-d '(.*?)'", line, re.DOTALL)
        path = re.search(r'\$API([^\s"]*)', line).group(1)
        verb = re.search(r"-X (\w+)", line)
        method = verb.group(1) if verb else "POST" if body else "GET"
        yield method, path, json.loads(body.group(1)) if body else None


def test_the_session_works(api, site):
    seen = list(calls())
    assert len(seen) == 11
    erasure = None
    for method, path, body in seen:
        if path.startswith("/v1/erasures/"):
            path = f"/v1/erasures/{erasure}"  # noqa: PLW2901 - the page cannot know it
        answer = api.request(method, path, json=body)
        assert answer.status_code in (200, 202), (path, answer.text)
        assert answer.json().get("rejected", []) == []
        erasure = answer.json().get("erasure_id", erasure)


def test_the_errors_are_all_named_with_their_status(api):
    rows = dict(re.findall(r"^\| `(\w+)` \| (\d+) \|", PAGE, re.MULTILINE))
    assert set(rows) == set(TITLES)

    shown = json.loads(blocks("json")[1])
    made = problem(api.post("/v1/recommendations", json={"limt": 1}), 422, "invalid_input")
    assert {**made, "request_id": ""} == {**shown, "request_id": ""}


def test_the_receipt_is_as_shown(api):
    good = {"kind": "view", "user_id": "u", "item_id": "i"}
    sent = [good, {**good, "itemid": "i"}]

    receipt = api.post("/v1/events", json={"events": sent}).json()
    receipt.pop("unknown_items", None)  # there where the real shop does not know the item
    assert receipt == json.loads(blocks("json")[0])
