"""Every command, its JSON object and its exit codes: on an idle home, and beside a running `serve`."""

import csv
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from typer.testing import CliRunner

from windowshop import serving
from windowshop.cli import app
from windowshop.local import open_shop
from windowshop.records import Item

ITEMS = """item_id,title,category,brand,price,colour
milk,Organic Milk,Dairy > Milk,Acme,1.99,white
yogurt,Greek Yogurt,Dairy > Yogurt,Acme,2.49,white
bread,Sourdough Bread,Bakery > Bread,Best,3.50,brown
bagels,Bagels,Bakery > Bread,Best,2.00,brown
dogfood,Dry Dog Food,Pets > Dogs,Best,9.99,red
"""
EVENTS = """kind,user_id,item_id,timestamp,event_id
purchase,ann,milk,2026-01-01T10:00:00Z,e1
purchase,ann,bread,2026-01-02T10:00:00Z,e2
purchase,bob,milk,2026-01-02T11:00:00Z,e3
view,bob,dogfood,2026-01-03T11:00:00Z,e4
purchase,bob,caviar,2026-01-03T12:00:00Z,e5
"""


@dataclass
class Ran:
    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """stdout is one JSON object and nothing else."""
        value = json.loads(self.out)
        assert isinstance(value, dict)
        return value


def run(*args: object, home: Path | None = None) -> Ran:
    words = [str(arg) for arg in args]
    if home is not None:
        words += ["--home", str(home)]
    result = CliRunner().invoke(app, words)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Ran(result.exit_code, result.stdout, result.stderr)


def lines_of(report: Path) -> list[dict[str, str]]:
    """The lines of an upload's report."""
    with report.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def items(tmp_path: Path) -> Path:
    path = tmp_path / "items.csv"
    path.write_text(ITEMS, "utf-8")
    return path


@pytest.fixture
def events(tmp_path: Path) -> Path:
    path = tmp_path / "events.csv"
    path.write_text(EVENTS, "utf-8")
    return path


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with five items and five events, made once."""
    folder = tmp_path_factory.mktemp("template")
    for name, text in (("items.csv", ITEMS), ("events.csv", EVENTS)):
        (folder / name).write_text(text, "utf-8")
    assert run("ingest", folder / "items.csv", home=folder / "home").code == 0
    assert run("record", folder / "events.csv", home=folder / "home").code == 0
    return folder / "home"


def copy_or_link(source: str, target: str) -> None:
    """Models never change and are large."""
    if "models" in Path(source).parts:
        os.link(source, target)
    else:
        shutil.copy2(source, target)


@pytest.fixture
def bare(template: Path, home: Path) -> Path:
    """A home with nothing in it but the model, built."""
    shutil.copytree(template / "models", home / "models", copy_function=copy_or_link)
    return home


@pytest.fixture
def shop(template: Path, home: Path) -> Path:
    """A home of one's own with five items and five events."""
    shutil.copytree(template, home, copy_function=copy_or_link)
    return home


def served(home: Path, *args: str, port: int = 0) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [
            sys.executable,
            "-m",
            "windowshop.cli",
            "serve",
            "--port",
            str(port),
            "--home",
            str(home),
            *args,
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def address(process: "subprocess.Popen[str]") -> str:
    """The one line that `serve` prints on stdout when it accepts requests."""
    assert process.stdout is not None
    line = process.stdout.readline().strip()
    if not line:
        assert process.stderr is not None
        raise AssertionError(process.stderr.read())
    return line


def stop(process: "subprocess.Popen[str]", how: int = signal.SIGTERM) -> int:
    process.send_signal(how)
    code = process.wait(timeout=60)
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()
    return code


def http_json(url: str, path: str, body: Any = None, method: str | None = None) -> Any:
    place = urlsplit(url)
    connection = http.client.HTTPConnection(place.hostname or "", place.port, timeout=30)
    try:
        data = None if body is None else json.dumps(body)
        connection.request(
            method or ("GET" if body is None else "POST"),
            path,
            data,
            {"Content-Type": "application/json"} if data else {},
        )
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


@pytest.fixture
def running(shop: Path) -> Iterator[tuple[Path, str]]:
    process = served(shop)
    try:
        yield shop, address(process)
    finally:
        stop(process)


# --- ingest --------------------------------------------------------------------------------------


def test_ingest_counts_what_became_of_every_row(bare: Path, items: Path) -> None:
    items.write_text(
        ITEMS + ",No Id,,,,\nmilk,Oat Milk,Dairy,Acme,2,white\nx,X,,,cheap,\n", "utf-8"
    )
    ran = run("ingest", items, "--json", home=bare)
    assert ran.code == 0
    counts = ran.json
    report = Path(counts.pop("report"))
    assert counts.pop("seconds") >= 0
    assert counts == {
        "read": 8,
        "accepted": 5,
        "rejected": 2,
        "unchanged": 0,
        "embedded": 5,
        "deleted": 0,
        "removed": 0,
        "repeated": 1,
    }
    lines = lines_of(report)
    assert (lines[0]["file"], lines[0]["code"]) == ("items.csv", "read_as")
    assert "utf-8" in lines[0]["reason"].lower()
    assert {line["line"]: line["code"] for line in lines[1:] if line["line"]} == {
        "2": "repeated_id",
        "7": "missing_id",
        "9": "bad_price",
    }


def test_an_upload_repeated_whole_changes_nothing(shop: Path, items: Path) -> None:
    counts = run("ingest", items, "--json", home=shop).json
    assert (counts["accepted"], counts["unchanged"], counts["embedded"]) == (5, 5, 0)


def test_a_new_price_is_written_and_not_embedded(shop: Path, items: Path) -> None:
    items.write_text(ITEMS.replace("1.99", "2.09"), "utf-8")
    counts = run("ingest", items, "--json", home=shop).json
    assert (counts["unchanged"], counts["embedded"]) == (4, 0)
    slate = run("recommend", "--scenario", "search", "--query", "milk", "--json", home=shop).json
    assert slate["items"][0]["fields"]["price"] == 2.09


def test_full_removes_what_no_file_names(shop: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "a.csv", tmp_path / "b.csv"
    first.write_text("item_id,title\nmilk,Organic Milk\n", "utf-8")
    second.write_text("item_id,title\nrice,Basmati Rice\n", "utf-8")
    counts = run("ingest", first, second, "--full", "--json", home=shop).json
    assert (counts["accepted"], counts["deleted"]) == (2, 4)
    left = run("doctor", "--json", home=shop).json["shop"]["stores"]["default"]["items"]
    assert left == 2


def test_full_spares_an_item_whose_row_was_rejected(shop: Path, tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text("item_id,title,price\nmilk,Organic Milk,cheap\nrice,Basmati Rice,2\n", "utf-8")
    counts = run("ingest", file, "--full", "--json", home=shop).json
    assert (counts["accepted"], counts["rejected"], counts["deleted"]) == (1, 1, 4)
    left = run("doctor", "--json", home=shop).json["shop"]["stores"]["default"]["items"]
    assert left == 2


def test_a_deleted_row_removes_its_item(shop: Path, tmp_path: Path) -> None:
    file = tmp_path / "gone.csv"
    file.write_text("item_id,title,deleted\nmilk,Organic Milk,yes\nrice,Basmati Rice,\n", "utf-8")
    counts = run("ingest", file, "--json", home=shop).json
    assert (counts["read"], counts["accepted"], counts["removed"], counts["deleted"]) == (
        2,
        1,
        1,
        1,
    )


def test_strict_makes_rejected_rows_unusable_input(bare: Path, items: Path) -> None:
    items.write_text(ITEMS + ",No Id,,,,\n", "utf-8")
    assert run("ingest", items, home=bare).code == 0
    assert run("ingest", items, "--strict", home=bare).code == 2


@pytest.mark.parametrize("content", ["", "\n\n", "a,b\n1,2\n", "\x00\x01\x02"])
def test_a_file_that_cannot_be_used_changes_nothing(
    home: Path, tmp_path: Path, items: Path, content: str
) -> None:
    bad = tmp_path / "bad.csv"
    bad.write_text(content, "utf-8")
    for command in ("ingest", "record"):
        ran = (
            run(command, items, bad, home=home)
            if command == "ingest"
            else run(command, bad, home=home)
        )
        assert ran.code == 2
        assert ran.out == ""
        assert ran.err.startswith("error: ")
        assert ran.err.count("\n") == 1
        assert not home.exists()


def test_unknown_files_and_broken_mappings_are_wrong_usage(
    home: Path, tmp_path: Path, items: Path
) -> None:
    broken = tmp_path / "mapping.toml"
    broken.write_text("[colums]\n", "utf-8")
    for args in (
        ("ingest", tmp_path / "nowhere.csv"),
        ("ingest", items, "--mapping", broken),
        ("ingest", items, "--mapping", tmp_path / "nowhere.toml"),
        ("record", tmp_path / "nowhere.csv"),
    ):
        ran = run(*args, "--json", home=home)
        assert ran.code == 2
        assert ran.json["error"]["code"] == "invalid_input"
        assert not home.exists()


def test_a_mapping_declares_what_is_filterable(bare: Path, tmp_path: Path, items: Path) -> None:
    mapping = tmp_path / "mapping.toml"
    mapping.write_text('[filterable]\ncolour = "keyword"\n', "utf-8")
    assert run("ingest", items, "--mapping", mapping, home=bare).code == 0
    assert run("fields", "list", "--json", home=bare).json == {"fields": {"colour": "keyword"}}
    ran = run("recommend", "--filters", '{"attributes.colour": "red"}', "--json", home=bare)
    assert [item["item_id"] for item in ran.json["items"]] == ["dogfood"]


def test_chinese_texts_and_an_english_model_give_a_warning(bare: Path, tmp_path: Path) -> None:
    file = tmp_path / "cosmetics.csv"
    file.write_text("商品编号,商品名称\n1,玫瑰保湿面霜\n2,洗发水\n", "gb18030")
    ran = run("ingest", file, home=bare)
    assert ran.code == 0
    assert "English" in ran.err


# --- record --------------------------------------------------------------------------------------


def test_record_counts_what_became_of_every_event(bare: Path, items: Path, events: Path) -> None:
    run("ingest", items, home=bare)
    events.write_text(EVENTS + "fly,ann,milk,2026-01-01T10:00:00Z,e9\n", "utf-8")
    counts = run("record", events, "--json", home=bare).json
    assert Path(counts.pop("report")).exists()
    assert counts.pop("seconds") >= 0
    assert counts == {
        "read": 6,
        "accepted": 5,
        "rejected": 1,
        "applied": 5,
        "duplicates": 0,
        "unknown_items": 1,
        "users": 2,
    }


def test_recording_a_file_twice_changes_nothing(shop: Path, tmp_path: Path) -> None:
    file = tmp_path / "more.jsonl"
    file.write_text('{"kind": "view", "user_id": "ann", "item_id": "milk"}\n' * 3, "utf-8")
    first = run("record", file, "--json", home=shop).json
    again = run("record", file, "--json", home=shop).json
    assert (first["applied"], first["duplicates"]) == (3, 0)
    assert (again["applied"], again["duplicates"], again["users"]) == (0, 3, 0)


def test_a_time_far_ahead_is_rejected_with_its_line(shop: Path, tmp_path: Path) -> None:
    file = tmp_path / "future.csv"
    file.write_text("kind,user_id,item_id,timestamp\nview,ann,milk,2999-01-01T00:00:00Z\n", "utf-8")
    counts = run("record", file, "--json", "--strict", home=shop)
    assert counts.code == 2
    assert (counts.json["read"], counts.json["rejected"]) == (1, 1)
    assert lines_of(Path(counts.json["report"]))[-1]["line"] == "2"


def test_stores_in_one_home_and_two_homes_do_not_meet(
    shop: Path, items: Path, events: Path, tmp_path: Path
) -> None:
    assert run("ingest", items, "--store", "other", home=shop).code == 0
    assert run("export", "ann", "--store", "other", home=shop).json["events"] == []
    assert len(run("export", "ann", home=shop).json["events"]) == 2
    second = tmp_path / "second"
    run("record", events, home=second)
    run("forget", "ann", home=second)
    assert len(run("export", "ann", home=shop).json["events"]) == 2


def test_what_a_killed_ingest_left_unembedded_is_embedded_by_the_next(
    shop: Path, tmp_path: Path
) -> None:
    file = tmp_path / "more.csv"
    file.write_text("item_id,title\nrice,Basmati Rice\n", "utf-8")
    opened = open_shop(shop)
    opened.put_items("default", [Item(item_id="rice", title="Basmati Rice")])
    opened.close()
    counts = run("ingest", file, "--json", home=shop).json
    assert (counts["unchanged"], counts["embedded"]) == (1, 1)


def test_events_of_a_file_that_breaks_off_are_not_recorded(shop: Path, tmp_path: Path) -> None:
    file = tmp_path / "events.json"
    row = '{"kind": "view", "user_id": "eve", "item_id": "milk"}'
    file.write_text("[" + ",\n".join([row] * 50) + ",", "utf-8")
    ran = run("record", file, home=shop)
    assert ran.code == 2
    assert run("export", "eve", home=shop).json["events"] == []


# --- slates and users ----------------------------------------------------------------------------


def test_recommend_gives_the_slate(shop: Path) -> None:
    slate = run("recommend", "--user", "ann", "--limit", 3, "--json", home=shop).json
    assert slate["scenario"] == "for_you"
    assert len(slate["items"]) == 3
    assert set(slate["items"][0]) == {"item_id", "score", "fields", "reason"}


def test_recommend_for_people_is_a_table(shop: Path) -> None:
    ran = run("recommend", "--scenario", "similar", "--item", "milk", "--limit", 2, home=shop)
    assert ran.code == 0
    assert "Greek Yogurt" in ran.out
    assert "2 items" in ran.err


@pytest.mark.parametrize(
    "args",
    [
        ("--scenario", "everything"),
        ("--scenario", "similar"),
        ("--limit", "0"),
        ("--filters", "{"),
        ("--filters", '{"attributes.size": 1}'),
        ("--user", "a", "--anonymous", "b"),
    ],
)
def test_a_request_that_cannot_be_is_wrong_usage(shop: Path, args: tuple[str, ...]) -> None:
    ran = run("recommend", *args, home=shop)
    assert ran.code == 2
    assert ran.err.startswith("error: ")


def test_export_holds_every_event_as_it_was_sent(shop: Path) -> None:
    held = run("export", "ann", "--json", home=shop).json
    assert set(held) >= {"profile", "events", "merged", "next"}
    assert held["next"] is None
    assert [event["event_id"] for event in held["events"]] == ["e1", "e2"]


def test_forget_erases_and_looks_again(shop: Path) -> None:
    erasure = run("forget", "ann", "--json", home=shop).json
    assert erasure["verified"] is True
    assert erasure["erased"]["events"] == 2
    assert run("export", "ann", home=shop).json["events"] == []
    assert run("forget", "ann", home=shop).code == 0


def test_guests_have_a_name_space_of_their_own(shop: Path) -> None:
    assert run("export", "ann", "--anonymous", home=shop).json["events"] == []


# --- upkeep --------------------------------------------------------------------------------------


def test_fields_are_declared_once_and_for_one_kind(shop: Path) -> None:
    assert run("fields", "list", "--json", home=shop).json == {"fields": {}}
    assert run("fields", "add", "colour", "keyword", home=shop).code == 0
    assert run("fields", "list", "--json", home=shop).json == {"fields": {"colour": "keyword"}}
    assert run("fields", "add", "colour", "keyword", home=shop).code == 0
    assert run("fields", "add", "colour", "float", home=shop).code == 2
    assert run("fields", "add", "size", "colourful", home=shop).code == 2


def test_a_key_is_shown_once(bare: Path) -> None:
    made = run("keys", "create", "--role", "secret", "--note", "till", "--json", home=bare).json
    assert made["key"].startswith("ws_secret_")
    listed = run("keys", "list", "--json", home=bare)
    assert made["key"] not in listed.out
    assert [(key["id"], key["role"], key["note"]) for key in listed.json["keys"]] == [
        (made["id"], "secret", "till")
    ]
    assert listed.json["keys"][0]["revoked_at"] is None
    assert run("keys", "revoke", made["id"], home=bare).code == 0
    assert run("keys", "list", "--json", home=bare).json["keys"][0]["revoked_at"]
    assert run("keys", "revoke", "nobody", home=bare).code == 2
    assert run("keys", "create", "--role", "king", home=bare).code == 2


def test_the_signing_secret_stays_the_same(bare: Path) -> None:
    first = run("keys", "signing-secret", "--json", home=bare).json
    assert len(first["signing_secret"]) == 64
    assert run("keys", "signing-secret", "--json", home=bare).json == first


def test_dead_letters_are_listed_shown_and_retried(shop: Path) -> None:
    good = {"kind": "view", "user_id": "cat", "item_id": "milk", "timestamp": 1_700_000_000}
    opened = open_shop(shop)
    for event in (good, {**good, "kind": "fly"}):
        body = {"store": "default", "events": [event], "received_ms": 1_700_000_000_000}
        opened.world.log.add_letter("default", None, 1_700_000_000_000, "it was late", body)
    opened.close()
    listed = run("dead-letters", "list", "--json", home=shop).json["letters"]
    assert [letter["reason"] for letter in listed] == ["it was late"] * 2
    first, second = (letter["id"] for letter in listed)
    assert run("dead-letters", "show", first, home=shop).json["body"]["events"] == [good]
    ran = run("dead-letters", "retry", "--json", home=shop)
    assert ran.code == 1
    assert (ran.json["retried"], ran.json["applied"]) == (2, 1)
    assert [one["id"] for one in ran.json["letters"] if one["status"] != "ok"] == [second]
    assert len(run("export", "cat", home=shop).json["events"]) == 1
    assert run("dead-letters", "show", first, home=shop).code == 2


def test_rebuild_makes_the_profiles_again(shop: Path) -> None:
    before = run("recommend", "--user", "ann", "--json", home=shop).json["items"]
    counts = run("rebuild", "--json", home=shop).json
    assert (counts["users"], counts["events"]) == (2, 5)
    assert run("recommend", "--user", "ann", "--json", home=shop).json["items"] == before


def test_doctor_says_what_is_there(shop: Path) -> None:
    ran = run("doctor", "--json", home=shop)
    assert ran.code == 0
    found = ran.json
    assert found["ok"] is True
    assert found["serving"] is None
    assert found["versions"]["python"]
    assert found["settings"]["clock"]["source"] == "default"
    held = found["shop"]["stores"]["default"]
    assert (held["items"], held["users"], held["events"], held["unknown_item_events"]) == (
        5,
        2,
        5,
        1,
    )
    assert any("not in the catalogue" in check["detail"] for check in found["checks"])
    assert "5 items" in run("doctor", home=shop).out


def test_doctor_says_what_is_broken_and_how_to_mend_it(shop: Path) -> None:
    (shop / "windowshop.toml").write_text("clok = 1\n", "utf-8")
    ran = run("doctor", "--json", home=shop)
    assert ran.code == 1
    broken = [check for check in ran.json["checks"] if check["state"] == "broken"]
    assert "clock" in broken[0]["detail"]
    assert broken[0]["mend"]
    (shop / "windowshop.toml").unlink()
    log = shop / "log.sqlite"
    for beside in shop.glob("log.sqlite-*"):
        beside.unlink()
    log.write_bytes(b"no database at all" * 100)
    assert run("doctor", home=shop).code == 1


def test_a_home_in_use_is_not_broken(shop: Path) -> None:
    opened = open_shop(shop)
    try:
        ran = run("doctor", "--json", home=shop)
        other = run("recommend", home=shop)
    finally:
        opened.close()
    assert ran.code == 0
    assert [check["name"] for check in ran.json["checks"] if check["state"] == "warning"] == [
        "shop"
    ]
    assert other.code == 1


def test_doctor_of_a_home_that_is_not_there(home: Path) -> None:
    ran = run("doctor", "--json", home=home)
    assert ran.code == 0
    assert ran.json["shop"] is None
    assert not home.exists()


@pytest.mark.parametrize(
    "args",
    [
        ("recommend",),
        ("export", "ann"),
        ("forget", "ann"),
        ("fields", "list"),
        ("keys", "list"),
        ("dead-letters", "list"),
        ("rebuild",),
    ],
)
def test_commands_that_read_do_not_make_a_home(home: Path, args: tuple[str, ...]) -> None:
    ran = run(*args, home=home)
    assert ran.code == 2
    assert "windowshop demo" in ran.err
    assert not home.exists()


def test_a_store_has_a_plain_name(shop: Path) -> None:
    assert run("recommend", "--store", "../etc", home=shop).code == 2


def test_wrong_usage_is_2(home: Path) -> None:
    for args in (
        ("ingest",),
        ("fly",),
        ("recommend", "--limit", "many"),
        ("serve", "--port", "99999"),
    ):
        assert run(*args).code == 2


def test_the_version_is_told() -> None:
    ran = run("--version")
    assert ran.code == 0
    assert ran.out.startswith("windowshop ")


def test_a_wrong_setting_is_wrong_usage(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WINDOWSHOP_CLOCK", "moon")
    ran = run("recommend", "--json", home=shop)
    assert ran.code == 2
    assert ran.json["error"]["code"] == "misconfigured"
    assert "WINDOWSHOP_CLOCK" in ran.json["error"]["detail"]


def test_the_home_may_be_named_in_the_environment(
    shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WINDOWSHOP_HOME", str(shop))
    assert len(run("export", "ann").json["events"]) == 2


# --- serve ---------------------------------------------------------------------------------------


def test_commands_act_through_a_running_serve(running: tuple[Path, str], tmp_path: Path) -> None:
    home, url = running
    more = tmp_path / "more.csv"
    more.write_text(
        "item_id,title,price,created_at\nrice,Basmati Rice,4,2026-01-01\nsalt,Sea Salt,1,\n",
        "utf-8",
    )
    counts = run("ingest", more, "--json", home=home).json
    assert (counts["accepted"], counts["embedded"]) == (2, 2)
    rice = http_json(url, "/v1/items/rice")
    assert rice["embedded_at"]
    assert rice["created_at"].startswith("2026-01-01T00:00:00")
    file = tmp_path / "more_events.csv"
    file.write_text(
        "kind,user_id,item_id,timestamp\npurchase,dan,rice,2026-01-05T10:00:00.250Z\n", "utf-8"
    )
    assert run("record", file, "--json", home=home).json["applied"] == 1
    sent = http_json(url, "/v1/users/export", {"user_id": "dan"})["events"]
    assert sent[0]["timestamp"] == "2026-01-05T10:00:00.250Z"
    slate = run("recommend", "--user", "dan", "--json", home=home).json
    assert slate["as_of"].startswith("2026-01-05T10:00:00.250")
    assert run("recommend", "--scenario", "similar", home=home).code == 2
    assert run("fields", "add", "colour", "keyword", home=home).code == 0
    assert run("fields", "list", "--json", home=home).json == {"fields": {"colour": "keyword"}}
    assert run("rebuild", "--json", home=home).json["users"] == 3
    counts = run("ingest", more, "--full", "--json", home=home).json
    assert (counts["unchanged"], counts["deleted"]) == (2, 5)
    assert run("forget", "dan", "--json", home=home).json["verified"] is True
    assert run("dead-letters", "list", "--json", home=home).json == {"letters": []}
    doctor = run("doctor", "--json", home=home).json
    assert doctor["serving"] == url
    assert doctor["ok"] is True


def test_a_key_made_beside_a_running_serve_closes_its_open_door(running: tuple[Path, str]) -> None:
    home, url = running
    assert run("keys", "create", "--role", "secret", home=home).code == 0
    deadline = time.monotonic() + 10
    while http_json(url, "/v1/recommendations", {}).get("code") != "unauthorized":
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert run("recommend", "--json", home=home).code == 0  # the home's owner needs none


def test_an_item_put_over_http_becomes_searchable_by_itself(running: tuple[Path, str]) -> None:
    _, url = running
    http_json(url, "/v1/items", {"items": [{"item_id": "tea", "title": "Green Tea"}]}, "PUT")
    deadline = time.monotonic() + 20
    while http_json(url, "/v1/items/tea")["embedded_at"] is None:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_serving_json_is_its_owners_alone_and_goes_with_the_server(shop: Path) -> None:
    process = served(shop)
    url = address(process)
    file = shop / "serving.json"
    assert file.stat().st_mode & 0o777 == 0o600
    assert json.loads(file.read_text("utf-8"))["url"] == url
    assert http_json(url, "/livez") == {"status": "alive"}
    assert stop(process, signal.SIGINT) == 0
    assert not file.exists()


@pytest.mark.skipif(sys.platform != "linux", reason="children are looked up in /proc")
def test_a_killed_serve_leaves_nothing_in_the_way(shop: Path) -> None:
    process = served(shop)
    url = address(process)
    sent = {"kind": "view", "user_id": "eve", "item_id": "milk", "event_id": "last"}
    assert http_json(url, "/v1/events", {"events": [sent]})["accepted"] == 1
    stop(process, signal.SIGKILL)
    assert (shop / "serving.json").exists()
    assert serving.find(shop) is None
    assert [e["event_id"] for e in run("export", "eve", home=shop).json["events"]] == ["last"]
    again = served(shop)
    assert http_json(address(again), "/readyz")["items"] == 5
    assert stop(again) == 0


def test_a_reused_process_number_is_not_taken_for_the_server(shop: Path) -> None:
    place = serving.Serving(os.getpid(), "http://127.0.0.1:9", "token")
    serving.announce(shop, place)
    assert serving.find(shop) is None
    assert run("export", "ann", home=shop).code == 0


def test_a_taken_port_is_one_line_and_a_failure(shop: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ran = run("serve", "--port", taken.getsockname()[1], home=shop)
    assert ran.code == 1
    assert "--port" in ran.err
    assert ran.err.count("\n") == 1


def test_a_home_is_served_once(running: tuple[Path, str]) -> None:
    home, url = running
    ran = run("serve", "--port", 0, home=home)
    assert ran.code == 1
    assert url in ran.err


def test_an_address_that_others_reach_demands_keys(shop: Path) -> None:
    ran = run("serve", "--host", "0.0.0.0", "--port", 0, home=shop)
    assert ran.code == 2
    assert "windowshop keys create" in ran.err


def test_two_homes_are_served_side_by_side(
    running: tuple[Path, str], items: Path, tmp_path: Path
) -> None:
    second = tmp_path / "second"
    run("ingest", items, home=second)
    process = served(second, "--json")
    assert process.stdout is not None
    try:
        lines = ""
        while "}" not in lines:
            lines += process.stdout.readline()
        url = json.loads(lines)["url"]
        http_json(url, "/v1/items/delete", {"item_ids": ["milk"]})
        assert http_json(url, "/readyz")["items"] == 4
        assert http_json(running[1], "/readyz")["items"] == 5
    finally:
        stop(process)


# --- demo ----------------------------------------------------------------------------------------


def test_a_home_of_something_else_is_not_made_a_demo(shop: Path) -> None:
    before = sorted(path.name for path in shop.iterdir())
    ran = run("demo", "--port", 0, home=shop)
    assert ran.code == 2
    assert "--home" in ran.err
    assert sorted(path.name for path in shop.iterdir()) == before


def test_a_taken_port_is_said_before_the_demo_is_loaded(home: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        ran = run("demo", "--port", taken.getsockname()[1], home=home)
    assert ran.code == 1
    assert not home.exists()


def test_a_demo_that_is_served_already_is_pointed_at(running: tuple[Path, str]) -> None:
    home, url = running
    assert run("demo", home=home).code == 2  # served, and no demo
    (home / "demo.json").write_text('{"data": "of old", "loaded": true}', "utf-8")
    ran = run("demo", home=home)
    assert (ran.code, ran.out.strip()) == (0, url)


@pytest.mark.parametrize("given", [None, "3"])
def test_serving_computes_on_one_core_a_request_unless_told_otherwise(given, monkeypatch):
    if given is None:
        monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    else:
        monkeypatch.setenv("OPENBLAS_NUM_THREADS", given)
    held = []
    monkeypatch.setattr(
        "windowshop.serve.serve", lambda *_: held.append(os.environ["OPENBLAS_NUM_THREADS"])
    )
    assert CliRunner().invoke(app, ["serve", "--port", "0"]).exit_code == 0
    assert held == [given or "1"]
