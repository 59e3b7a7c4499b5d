"""Reading from S3 over connections that break."""

import io
from datetime import UTC, datetime

import boto3
import pytest
from botocore.exceptions import ClientError, ReadTimeoutError, ResponseStreamingError
from botocore.stub import Stubber

from windowshop.aws.blobs import BREAKS, BUFFER, S3Blobs
from windowshop.errors import Misconfigured, NotFound, Unavailable

BODY = bytes(range(256)) * 20_000


class Breaking:
    """A body that breaks off after so many bytes."""

    def __init__(self, body, after, error=None):
        self._body, self._left, self._error = io.BytesIO(body), after, error
        self.closed = False

    def read(self, size):
        some = self._body.read(min(size, self._left))
        self._left -= len(some)
        if not some and self._left == 0 and self._error:
            raise self._error
        return some

    def close(self):
        self.closed = True


class Bucket:
    """Answers GetObject with a body that breaks off, resumed where the caller says."""

    def __init__(self, after, error=None):
        self.after, self.error, self.asked, self.bodies = after, error, [], []

    def get_object(self, **asked):
        self.asked.append(asked)
        start = int(asked.get("Range", "bytes=0-")[6:-1])
        self.bodies.append(Breaking(BODY[start:], self.after, self.error))
        return {"Body": self.bodies[-1], "ContentLength": len(BODY) - start, "ETag": '"1"'}


BROKEN = [
    None,
    ReadTimeoutError(endpoint_url="http://s3"),
    ResponseStreamingError(error="closed"),
    ConnectionResetError(),
]


@pytest.mark.parametrize("error", BROKEN)
def test_a_broken_connection_is_taken_up_where_it_broke(error):
    bucket = Bucket(700_000, error)
    with S3Blobs(lambda: bucket, "b").open("k", "v7") as stream:
        whole = b"".join([stream.read(1_000), *iter(lambda: stream.read(300_000), b"")])
    assert whole == BODY
    assert bucket.asked[0] == {"Bucket": "b", "Key": "k", "VersionId": "v7"}
    resumed = {**bucket.asked[0], "IfMatch": '"1"', "Range": "bytes=700000-"}
    assert bucket.asked[1] == resumed
    assert len(bucket.asked) == -(-len(BODY) // 700_000)
    assert all(body.closed for body in bucket.bodies)


def test_a_whole_body_is_read_over_several_connections():
    assert S3Blobs(lambda: Bucket(3 * BUFFER), "b").read("k") == BODY


def test_what_never_gives_a_byte_is_given_up():
    bucket = Bucket(0, ConnectionResetError())
    with S3Blobs(lambda: bucket, "b").open("k") as stream, pytest.raises(Unavailable, match="end"):
        stream.read(1)
    assert len(bucket.asked) == BREAKS


def refused(code):
    return ClientError({"Error": {"Code": code, "Message": "no"}}, "GetObject")


def test_a_body_that_was_replaced_is_not_gone_on_with():
    bucket = Bucket(1_000_000)
    stream = S3Blobs(lambda: bucket, "b").open("k")
    stream.read(10)

    def replaced(**asked):
        raise refused("PreconditionFailed")

    bucket.get_object = replaced
    with stream, pytest.raises(Unavailable, match="replaced"):
        stream.read()


@pytest.mark.parametrize(
    ("code", "version", "error"),
    [
        ("NoSuchKey", None, NotFound),
        ("404", None, NotFound),
        ("NoSuchVersion", "v", NotFound),
        ("400", "v", NotFound),
        ("MethodNotAllowed", "v", NotFound),
        ("400", None, Unavailable),
        ("AccessDenied", "v", Misconfigured),
        ("NoSuchBucket", None, Misconfigured),
        ("SlowDown", None, Unavailable),
    ],
)
def test_what_s3_says_is_told_apart(code, version, error):
    class Refusing:
        def get_object(self, **asked):
            raise refused(code)

    with pytest.raises(error):
        S3Blobs(Refusing, "b").open("k", version)


def test_a_delete_that_fails_in_part_is_told():
    class Locked:
        def delete_objects(self, **asked):
            return {"Errors": [{"Key": "a", "Code": "AccessDenied", "Message": "locked"}]}

    with pytest.raises(Misconfigured, match="locked"):
        S3Blobs(Locked, "b").delete(["a", "b"])


@pytest.fixture
def client():
    made = boto3.client(
        "s3", region_name="eu-central-1", aws_access_key_id="k", aws_secret_access_key="s"
    )
    yield made
    made.close()


def test_a_listing_goes_on_after_its_first_page(client):
    at = datetime(2026, 11, 24, 12, tzinfo=UTC)
    pages = [[f"k/{n}" for n in range(1_000)], ["k/last"]]
    with Stubber(client) as stub:
        for number, keys in enumerate(pages):
            asked = {"Bucket": "b", "Prefix": "k/"}
            stub.add_response(
                "list_objects_v2",
                {
                    "Contents": [{"Key": key, "Size": 3, "LastModified": at} for key in keys],
                    "IsTruncated": number == 0,
                    "NextContinuationToken": "more",
                },
                asked | ({"ContinuationToken": "more"} if number else {}),
            )
        found = list(S3Blobs(lambda: client, "b").list("k/"))
    assert [one.key for one in found] == [key for keys in pages for key in keys]
    assert found[0][1:] == (None, 3, round(at.timestamp() * 1000), {})


def test_many_are_deleted_a_thousand_at_a_time(client):
    keys = [f"k/{n}" for n in range(2_001)]
    with Stubber(client) as stub:
        for start in (0, 1_000, 2_000):
            some = [{"Key": key} for key in keys[start : start + 1_000]]
            asked = {"Bucket": "b", "Delete": {"Objects": some, "Quiet": True}}
            stub.add_response("delete_objects", {}, asked)
        S3Blobs(lambda: client, "b").delete(keys)
        stub.assert_no_pending_responses()
