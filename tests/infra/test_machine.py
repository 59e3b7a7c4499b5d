"""Snapshots of an own Qdrant go to S3 and come back, and its machine's script is sound.

There is no Qdrant server here: the stand-in answers, and `aws` is a program that copies files.
"""

import ast
import os
import shutil
import ssl
import subprocess
import sys
from pathlib import Path

import pytest

from localstack import qdrant_standin
from tests.contract.tiny_models import save_bert
from windowshop.encode import ModelSpec, open_encoder
from windowshop.local import wall_ms
from windowshop.log.sqlite import SqliteLog
from windowshop.records import Event, Item, Request, read
from windowshop.settings import Settings
from windowshop.shop import Shop
from windowshop.store.server import ServerStore
from windowshop.store.server.line import Place
from windowshop.world import World

# On the machine it is TLS; here nothing leaves it.
pytestmark = pytest.mark.filterwarnings("ignore:Api key is used with an insecure connection")
MACHINE = Path(__file__).parents[2] / "infra" / "machine"
KEY = "k" * 64
NOW = 1_790_000_000_000
ITEMS = ["milk", "bread", "rake", "hose", "leash", "seeds"]
AWS = r"""#!/bin/sh
# aws s3 cp FROM TO | aws s3 ls --recursive PREFIX
place() { case "$1" in s3://*) echo "$BUCKET/${1#s3://}";; *) echo "$1";; esac; }
case "$2" in
cp) from=$(place "$3"); to=$(place "$4")
    [ "$to" = - ] && exec cat "$from"
    mkdir -p "$(dirname "$to")" && cp "$from" "$to";;
ls) cd "$BUCKET" && find . -type f | sed 's/^/2026-11-24 03:17:00 1 /';;
esac
"""


@pytest.fixture
def qdrant(tmp_path):
    """A stand-in for the machine's server, with its folder."""
    standin = qdrant_standin.start(folder=tmp_path / "qdrant", key=KEY)
    yield standin
    standin.stop()


@pytest.fixture
def run(tmp_path):
    """Call the machine's program for snapshots, for a server."""
    programs = tmp_path / "programs"
    programs.mkdir()
    (programs / "aws").write_text(AWS, "utf-8")
    (programs / "aws").chmod(0o755)

    def run(server, *arguments, key=KEY):
        return subprocess.run(
            [sys.executable, MACHINE / "snapshots.py", *arguments],
            env={
                "PATH": f"{programs}:{os.environ['PATH']}",
                "BUCKET": str(tmp_path / "bucket"),
                "BACKUP": "s3://shop/backup/qdrant",
                "SNAPSHOTS": str(server.folder / "snapshots"),
                "QDRANT_URL": server.url,
                "QDRANT__SERVICE__API_KEY": key,
            },
            capture_output=True,
            text=True,
            check=False,
        )

    return run


@pytest.fixture
def open_shop(tmp_path):
    """A shop whose vectors are on a server, as on AWS, and whose log is here."""
    save_bert(tmp_path / "tiny")

    def open_shop(server):
        settings = Settings(clock="events", model=str(tmp_path / "tiny"))
        encoder = open_encoder(ModelSpec(settings.model), tmp_path / "models")
        store = ServerStore(Place(server.url, KEY), encoder.name, encoder.dim)
        log = SqliteLog(tmp_path / "log.sqlite")
        return Shop(World(store, log, encoder, settings, wall_ms, keyring=log, letters=log))

    return open_shop


def did(user, kind, item, hours_ago):
    at = (NOW - hours_ago * 3_600_000) / 1000
    return read(Event, {"kind": kind, "user_id": user, "item_id": item, "timestamp": at})


def slate(shop, user):
    return shop.recommend("default", read(Request, {"user_id": user, "limit": 8})).items


def test_a_lost_server_is_restored_and_the_log_makes_it_true(qdrant, run, open_shop, tmp_path):
    shop = open_shop(qdrant)
    shop.put_items("default", [Item(item_id=one, title=f"A {one}") for one in ITEMS])
    shop.embed_waiting("default")
    shop.record("default", [did("ann", "like", "rake", 9), did("bob", "like", "milk", 9)], NOW)
    taken = run(qdrant, "take")
    assert taken.returncode == 0, taken.stderr
    assert list((qdrant.folder / "snapshots").rglob("*.snapshot")) == []  # nothing is left behind

    # What the snapshot knows nothing of: a view, a newcomer, and one who is forgotten.
    shop.record("default", [did("ann", "view", "bread", 2), did("eve", "like", "hose", 1)], NOW)
    assert shop.forget("default", "u:bob")["verified"]
    shop.rebuild("default")
    wanted = {user: slate(shop, user) for user in ("ann", "eve")}
    shop.close()
    qdrant.stop()

    fresh = qdrant_standin.start(folder=tmp_path / "fresh", key=KEY)
    try:
        restored = run(fresh, "restore", run(fresh, "list").stdout.strip())
        assert restored.returncode == 0, restored.stderr
        assert "windowshop rebuild" in restored.stdout
        assert list((fresh.folder / "snapshots").rglob("*.snapshot")) == []
        shop = open_shop(fresh)
        # The aliases came along, or the store would be empty; and bob is back, until the log speaks.
        assert shop.ready("default")["items"] == len(ITEMS)
        assert shop.rebuild("default") == {"users": 2, "events": 3, "removed": 1}
        assert {user: slate(shop, user) for user in ("ann", "eve")} == wanted
        assert shop.record("default", [did("bob", "view", "rake", 3)], NOW - 1).users == set()
        shop.close()
    finally:
        fresh.stop()


def test_a_snapshot_that_was_not_finished_is_none(qdrant, run, open_shop, tmp_path):
    shop = open_shop(qdrant)
    shop.put_items("default", [Item(item_id="rake", title="A rake")])
    shop.close()
    assert run(qdrant, "take").returncode == 0
    (whole,) = (tmp_path / "bucket" / "shop" / "backup" / "qdrant").iterdir()
    shutil.copytree(whole, whole.with_name("2000-01-01T00-00-00Z"))
    (whole.with_name("2000-01-01T00-00-00Z") / "contents.json").unlink()
    assert run(qdrant, "list").stdout.split() == [whole.name]


def test_failures_are_told(qdrant, run):
    assert run(qdrant, "restore", "2000-01-01T00-00-00Z").returncode == 1
    assert "HTTP Error 401" in run(qdrant, "take", key="wrong").stderr
    assert run(qdrant, "give").returncode == 2


def test_the_script_of_the_machine_is_sound():
    checked = subprocess.run(
        ["bash", "-n", MACHINE / "setup.sh"], capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stderr) == (0, "")


@pytest.fixture
def certificates(tmp_path):
    """The folder of certificates, as the machine's script makes them for an address."""

    def make(address):
        (tmp_path / "tls").mkdir(exist_ok=True)
        made = subprocess.run(
            ["bash", "-c", f"source {MACHINE / 'setup.sh'}; chown() {{ :; }}; make_certificates"],
            env={"PATH": os.environ["PATH"], "DATA": str(tmp_path), "ADDRESS": address},
            capture_output=True,
            text=True,
            check=False,
        )
        assert made.returncode == 0, made.stderr
        return tmp_path / "tls"

    return make


def shakes_hands(folder, name):
    """Whether a client that trusts the CA alone takes the certificate for `name`."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    client = ssl.create_default_context(cadata=(folder / "ca.pem").read_text("utf-8"))
    back, forth = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = [
        client.wrap_bio(back, forth, server_hostname=name),
        server.wrap_bio(forth, back, server_side=True),
    ]
    for _ in range(4):
        for end in ends:
            try:
                end.do_handshake()
            except ssl.SSLWantReadError:
                continue
            except ssl.SSLCertVerificationError:
                return False
    return True


def test_the_machine_has_a_certificate_of_a_ca_of_its_own(certificates):
    folder = certificates("10.37.32.10")
    assert shakes_hands(folder, "10.37.32.10")
    assert shakes_hands(folder, "127.0.0.1")  # the near end of an operator's tunnel
    assert not shakes_hands(folder, "10.37.32.11")
    assert oct((folder / "ca.key").stat().st_mode)[-3:] == "600"
    assert oct((folder / "key.pem").stat().st_mode)[-3:] == "600"


def test_a_certificate_that_still_holds_is_kept_and_one_for_another_address_is_not(certificates):
    folder = certificates("10.37.32.10")
    before = (folder / "cert.pem").read_bytes(), (folder / "ca.pem").read_bytes()
    certificates("10.37.32.10")
    assert ((folder / "cert.pem").read_bytes(), (folder / "ca.pem").read_bytes()) == before
    certificates("10.37.32.20")
    assert (folder / "ca.pem").read_bytes() == before[1]
    assert shakes_hands(folder, "10.37.32.20")


def test_what_runs_on_the_machine_runs_on_the_python_it_has():
    # Amazon Linux 2023 brings Python 3.9: nothing newer may be in what it runs.
    ast.parse((MACHINE / "snapshots.py").read_text("utf-8"), feature_version=(3, 9))
