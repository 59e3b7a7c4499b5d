"""What an event of the bucket says, and what a key makes of an upload."""

import pytest

from windowshop.errors import InvalidInput
from windowshop.intake import Named
from windowshop.uploads.notices import Target, Upload, target_of, upload_of

# As S3 sends it through EventBridge: the key is not encoded.
EVENT = {
    "version": "0",
    "id": "17793124-05d4-b198-2fde-7ededc63b103",
    "detail-type": "Object Created",
    "source": "aws.s3",
    "account": "111122223333",
    "time": "2026-11-24T08:00:00Z",
    "region": "eu-central-1",
    "resources": ["arn:aws:s3:::goods"],
    "detail": {
        "version": "0",
        "bucket": {"name": "goods"},
        "object": {
            "key": "catalog/default/Früh jahr+100%.csv",
            "size": 5,
            "etag": "b1946ac92492d2347c6235b4d2611184",
            "version-id": "IYV3p45BT0ac8hjHg1houSdS1a.Mro8e",
            "sequencer": "617f08299329d189",
        },
        "request-id": "N4N7GDK58NMKJ12R",
        "requester": "123456789012",
        "source-ip-address": "1.2.3.4",
        "reason": "PutObject",
    },
}


def without_version():
    thing = {name: v for name, v in EVENT["detail"]["object"].items() if name != "version-id"}
    return {**EVENT, "detail": {**EVENT["detail"], "object": thing}}


def test_an_event_names_one_version_of_one_file():
    key = "catalog/default/Früh jahr+100%.csv"
    version = "IYV3p45BT0ac8hjHg1houSdS1a.Mro8e"
    assert upload_of(EVENT) == Upload("goods", key, version)
    assert upload_of(without_version()) == Upload("goods", key, None)


@pytest.mark.parametrize(
    "event",
    [
        None,
        "text",
        [],
        {},
        {"detail": None},
        {"detail": {"bucket": {"name": "goods"}}},
        {"detail": {"bucket": {"name": "goods"}, "object": {"key": ""}}},
        {"detail": {"bucket": {"name": "goods"}, "object": {"key": 7}}},
        {"detail": {"bucket": {}, "object": {"key": "catalog/default/x"}}},
        {"Service": "Amazon S3", "Event": "s3:TestEvent"},
    ],
)
def test_what_is_no_event_of_a_bucket_is_refused(event):
    with pytest.raises(InvalidInput, match="no event of a bucket"):
        upload_of(event)


@pytest.mark.parametrize(
    ("key", "target"),
    [
        ("catalog/default/items.csv", Target("default", "items.csv")),
        ("catalog/my-shop-2/2026/11/items.csv", Target("my-shop-2", "2026/11/items.csv")),
        ("catalog/default/full/items.csv", Target("default", "items.csv", full=True)),
        ("catalog/default/full", Target("default", "full")),
        ("catalog/default/mapping.toml", Target("default", "mapping.toml")),
        ("catalog/default/full/mapping.toml", Target("default", "mapping.toml", full=True)),
        ("catalog/default/", None),
        ("catalog/default/full/", None),
        ("catalog/", None),
        ("catalogue/default/items.csv", None),
        ("chunks/default/r/000001.jsonl", None),
        ("", None),
    ],
)
def test_a_key_says_what_an_upload_is(key, target):
    found = target_of(key)
    assert found == target
    if found is not None:
        assert found.is_mapping == (key == "catalog/default/mapping.toml")


@pytest.mark.parametrize("store", ["Default", "a b", "a" * 65, "ä", "a_b"])
def test_a_store_has_a_name_that_can_be(store):
    with pytest.raises(InvalidInput, match="1-64 of a-z, 0-9 and -"):
        target_of(f"catalog/{store}/items.csv")
    with pytest.raises(InvalidInput, match=r"such as catalog/default/items\.csv"):
        target_of("catalog/items.csv")


def test_what_an_upload_names_is_known_again():
    named = Named("default")
    assert named.has(["a", "b"]) == [False, False]
    for item_id in ("b", "a", "b", "ü"):
        named.add(item_id)
    assert named.has(["a", "c", "ü", "b", "a"]) == [True, False, True, True, True]
    named.add("c")
    assert named.has(["c"]) == [True]
    assert len(named.body()) == 4 * 8
    again = Named("default", named.body())
    assert again.has(["a", "d", "c"]) == [True, False, True]
    assert Named("other", named.body()).has(["a"]) == [False]
    assert named.has([]) == []
