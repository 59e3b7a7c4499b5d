"""A deployment's file is checked before anything is made of it; a mistake names its field."""

import pytest

from infra.config import DEPLOYMENTS, Mistaken, load


@pytest.fixture
def written(tmp_path):
    def write(text):
        (tmp_path / "shop.toml").write_text(text, "utf-8")
        return load("shop", tmp_path)

    return write


def test_the_deployments_here_can_be_read():
    names = {file.stem for file in DEPLOYMENTS.glob("*.toml")}
    assert names >= {"shop", "local", "everything"}
    for name in names:
        assert load(name).name == name


def test_an_empty_file_is_a_deployment(written):
    config = written("")
    assert config.name == "shop"
    assert config.parameters == "/windowshop/shop"
    assert config.called("events") == "windowshop-shop-events"
    assert config.architecture == "arm64"
    assert config.data.removal == "retain"
    assert not config.networked


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[api]\nmemory_mb = 64", "api.memory_mb: Input should be greater than or equal to 256"),
        ("[events]\nconcurrency = 1", "events.concurrency: "),
        ("[operations]\nlog_days = 31", "operations.log_days: "),
        ("[data]\nchunk_days = 14", "data.chunk_days: "),
        ('[data]\nremoval = "delete"', "data.removal: "),
        ("memory = 1", "memory: Extra inputs are not permitted"),
        ('region = "frankfurt"', "region: "),
        ('name = "Shop"', "name: "),
        ('[bulk]\nworkers = "lambda"', "bulk.workers: "),
        ('[qdrant]\nhost = "own"', "qdrant.image: name a machine image"),
        ('[network]\nendpoints = ["sqs"]', "network.endpoints: all of"),
        ('[edge]\ndomain = "shop.example"', "edge.domain and edge.certificate: give both"),
        ("[api", "cannot be read"),
    ],
)
def test_a_mistake_names_the_file_and_the_field(written, text, said):
    with pytest.raises(Mistaken, match=r"shop\.toml") as raised:
        written(text)
    assert said in str(raised.value)


def test_a_deployment_that_is_not_there_is_told_what_is(tmp_path):
    (tmp_path / "one.toml").touch()
    with pytest.raises(Mistaken, match="there are: one"):
        load("two", tmp_path)
