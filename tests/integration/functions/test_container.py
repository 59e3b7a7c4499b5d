"""The worker's container: what Batch starts, and what it does when its machine is taken away."""

import os
import signal
from types import SimpleNamespace

import pytest

from functions.ingest import container
from tests.contract.held_runs import HeldRuns
from tests.integration.functions.conftest import STORE
from tests.integration.functions.test_ingest import CSV, KEY, found
from windowshop.blobs import DirBlobs
from windowshop.errors import Misconfigured
from windowshop.jobs import EmbedJob, send
from windowshop.queues import LocalQueue
from windowshop.records import Item
from windowshop.settings import AwsSettings, Settings

# The client's own memory has no payload indexes and searches exactly, and says so.
pytestmark = pytest.mark.filterwarnings("ignore:Payload indexes", "ignore:Local mode")


class Deployment(SimpleNamespace):
    def queue(self, name):
        return self.queues[name]

    def open_shop(self, **_):
        return self.shop


@pytest.fixture
def deployment(shop, clock, tmp_path, monkeypatch):
    names = ("embed_queue", "embed_bulk_queue", "embed_bulk_letters")
    made = Deployment(
        shop=shop,
        shop_settings=Settings(),
        settings=AwsSettings(embed_bulk_queue="bulk", batch_queue="b", batch_embed="e"),
        queues={name: LocalQueue(clock) for name in names},
        blobs=DirBlobs(tmp_path / "bucket", versions=True),
        runs=HeldRuns(clock),
        clients=lambda service: None,
        signals=SimpleNamespace(flush=lambda: made.flushed.append(True)),
        flushed=[],
    )
    monkeypatch.setattr(container, "open_aws", lambda: made)
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    yield made
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture
def jobs(deployment, shop):
    """Two jobs on the bulk lane's queue."""
    rows = [{"item_id": f"i{n}", "title": f"A novel, part {n}"} for n in range(2)]
    keys = shop.put_items(STORE, [Item(**row) for row in rows]).waiting
    queue = deployment.queue("embed_bulk_queue")
    send(queue, [EmbedJob(store=STORE, sent_ms=1, keys=[str(key)]) for key in keys])
    return queue


def stop_at(queue, monkeypatch, name):
    """Have the machine taken away at the next call of a queue's method."""
    call = getattr(queue, name)

    def taken_away(*args, **kwargs):
        answer = call(*args, **kwargs)
        os.kill(os.getpid(), signal.SIGTERM)
        return answer

    monkeypatch.setattr(queue, name, taken_away)


def test_it_drains_its_queue_until_it_is_told_to_stop(deployment, jobs, shop, monkeypatch):
    stop_at(jobs, monkeypatch, "delete")
    assert container.main([]) == 0
    assert jobs.depth() == 0
    assert len(found(shop, "novel")) == 1
    assert deployment.flushed


def test_what_it_holds_when_it_has_to_stop_is_handed_back(deployment, jobs, shop, monkeypatch):
    stop_at(jobs, monkeypatch, "receive")
    assert container.main([]) == 0
    assert len(jobs.receive()) == 2
    assert found(shop, "novel") == []


def test_it_takes_in_one_upload_whatever_its_size(deployment, shop, clock, monkeypatch):
    deployment.blobs.write(KEY, CSV)
    version = deployment.blobs.head(KEY).version
    deployment.settings.small_items = 0
    started = []
    monkeypatch.setattr(
        "windowshop.aws.batch.BatchJobs.start_embedding", lambda self: started.append(True)
    )
    assert container.main(["ingest", "shop-data", KEY, version]) == 0
    assert shop.world.store.count(STORE) == 3
    assert deployment.queue("embed_bulk_queue").depth() == 1
    assert started == [True]


def test_an_upload_that_it_has_to_put_down_fails_to_be_tried_again(deployment, shop, monkeypatch):
    deployment.blobs.write(KEY, CSV)
    version = deployment.blobs.head(KEY).version
    stop_at(deployment.runs, monkeypatch, "begin")
    assert container.main(["ingest", "shop-data", KEY, version]) == 1
    assert shop.world.store.count(STORE) == 0

    monkeypatch.undo()
    monkeypatch.setattr(container, "open_aws", lambda: deployment)
    assert container.main(["ingest", "shop-data", KEY, "-"]) == 0
    assert shop.world.store.count(STORE) == 3


def test_a_wrong_setting_fails_it(deployment, monkeypatch, capfd):
    def wrong():
        raise Misconfigured("WINDOWSHOP_EMBED_BULK_QUEUE is not set")

    monkeypatch.setattr(deployment, "queue", lambda name: wrong())
    assert container.main([]) == 1
    assert "WINDOWSHOP_EMBED_BULK_QUEUE" in capfd.readouterr().err


@pytest.mark.parametrize("args", [["drain"], ["ingest", "bucket", "key"], ["ingest"]], ids=str)
def test_wrong_arguments_are_told_what_there_is(args, capfd):
    assert container.main(args) == 2
    assert "ingest BUCKET KEY VERSION" in capfd.readouterr().err
