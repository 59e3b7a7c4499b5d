"""What every place for blobs must do: a folder, and a bucket."""

import io
import time

import boto3
import pytest

from windowshop.aws.blobs import S3Blobs
from windowshop.aws.clients import Clients
from windowshop.blobs import DirBlobs
from windowshop.errors import InvalidInput, NotFound, Unavailable
from windowshop.records import new_id


def bucket(*, versions=True):
    name = f"blobs-{new_id(1)[:18].lower()}"
    s3 = boto3.client("s3")
    s3.create_bucket(
        Bucket=name, CreateBucketConfiguration={"LocationConstraint": s3.meta.region_name}
    )
    if versions:
        s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return name


def s3_blobs(name=None):
    clients = Clients()
    return S3Blobs(lambda: clients("s3"), name or bucket())


def read(blobs, key, version):
    with blobs.open(key, version) as stream:
        return stream.read()


@pytest.fixture(params=["dir", "s3"])
def blobs(request, tmp_path):
    if request.param == "dir":
        return DirBlobs(tmp_path / "blobs", versions=True)
    request.getfixturevalue("aws")
    return s3_blobs()


def test_what_was_written_is_read(blobs):
    before = int(time.time())
    blobs.write("catalog/acme/items.csv", b"one,two\n", "text/csv")
    assert blobs.read("catalog/acme/items.csv") == b"one,two\n"
    found = blobs.head("catalog/acme/items.csv")
    assert (found.key, found.size, dict(found.metadata)) == ("catalog/acme/items.csv", 8, {})
    assert before - 1 <= found.modified_ms / 1000 <= time.time() + 2
    blobs.write("empty", b"")
    assert (blobs.read("empty"), blobs.head("empty").size) == (b"", 0)


def test_a_stream_is_written_and_read_in_parts(blobs):
    body = bytes(range(256)) * 40_000  # 10 MB: more than one part
    blobs.write("big", io.BytesIO(body))
    with blobs.open("big") as stream:
        assert stream.readable()
        parts = [stream.read(1000), stream.read(3_000_000), stream.read()]
        assert stream.read() == b""
    assert b"".join(parts) == body
    assert len(parts[0]) == 1000
    blobs.write("small", io.BytesIO(b"few"))
    assert blobs.read("small") == b"few"


def test_a_stream_gives_lines(blobs):
    blobs.write("chunk.jsonl", b'{"a": 1}\n{"a": 2}\n')
    with blobs.open("chunk.jsonl") as stream:
        assert list(stream) == [b'{"a": 1}\n', b'{"a": 2}\n']


def test_an_overwritten_body_is_still_to_be_had_by_its_version(blobs):
    blobs.write("upload", b"first")
    first = blobs.head("upload").version
    blobs.write("upload", b"the second")
    second = blobs.head("upload").version
    assert first != second
    assert blobs.read("upload") == b"the second"
    assert read(blobs, "upload", first) == b"first"
    assert read(blobs, "upload", second) == b"the second"
    assert (blobs.head("upload", first).size, blobs.head("upload", second).size) == (5, 10)
    assert blobs.head("upload", first).version == first


@pytest.mark.parametrize("version", [None, "17", "no version", "../17"])
def test_what_is_not_there_is_not_found(blobs, version):
    for look in (blobs.head, blobs.open):
        with pytest.raises(NotFound, match="nowhere"):
            look("nowhere/at/all", version)
    with pytest.raises(NotFound):
        blobs.read("nowhere")
    blobs.write("here/it/is", b"x")
    with pytest.raises(NotFound):
        blobs.head("here/it")
    with pytest.raises(NotFound):
        blobs.open("here/it/is", "17")


def test_a_listing_is_by_key_and_by_prefix(blobs):
    keys = ["a/1", "a/2", "a/2-b", "a/é", "ab/1", "b"]
    for key in reversed(keys):
        blobs.write(key, key.encode())
    assert [blob.key for blob in blobs.list("")] == sorted(keys, key=str.encode)
    [listed] = blobs.list("a/1")
    assert [(blob.key, blob.size) for blob in blobs.list("a/2")] == [("a/2", 3), ("a/2-b", 5)]
    assert [blob.key for blob in blobs.list("a")] == ["a/1", "a/2", "a/2-b", "a/é", "ab/1"]
    assert list(blobs.list("c")) == list(blobs.list("c/")) == []
    assert blobs.head("a/1").modified_ms // 1000 == listed.modified_ms // 1000


def test_what_is_deleted_is_gone(blobs):
    for key in ("x/1", "x/2", "x/3"):
        blobs.write(key, b"_")
    blobs.delete(["x/1", "x/3", "x/never"])
    blobs.delete([])
    assert [blob.key for blob in blobs.list("")] == ["x/2"]
    with pytest.raises(NotFound):
        blobs.head("x/1")
    blobs.write("x/1", b"again")
    assert blobs.read("x/1") == b"again"


def test_a_key_that_cannot_be_is_refused(blobs):
    for key in ("", "k" * 1025, "ß" * 513):
        with pytest.raises(InvalidInput):
            blobs.write(key, b"")


# --- the folder ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key", ["/etc/passwd", "..", "a/../../b", "a//b", "./a", "a/.", ".versions/a/1", "a\0b", "a\nb"]
)
def test_no_key_leads_out_of_the_folder(tmp_path, key):
    blobs = DirBlobs(tmp_path / "blobs", versions=True)
    for use in (blobs.head, blobs.open, blobs.read, lambda key: blobs.write(key, b"")):
        with pytest.raises(InvalidInput):
            use(key)
    with pytest.raises(InvalidInput):
        blobs.delete([key])


def test_a_write_that_breaks_off_leaves_what_was_there(tmp_path):
    class Torn(io.BytesIO):
        def read(self, size=-1):
            if some := super().read(3):
                return some
            raise OSError("torn")

    blobs = DirBlobs(tmp_path / "blobs")
    blobs.write("kept", b"whole")
    with pytest.raises(Unavailable, match="kept"):
        blobs.write("kept", Torn(b"another"))
    assert blobs.read("kept") == b"whole"
    assert [path.name for path in (tmp_path / "blobs").rglob("*") if path.is_file()] == ["kept"]


def test_a_folder_keeps_versions_only_where_it_is_told_to(tmp_path):
    blobs = DirBlobs(tmp_path)
    blobs.write("a", b"1")
    blobs.write("a", b"2")
    assert blobs.head("a").version is None
    assert [blob.key for blob in blobs.list("")] == ["a"]


def test_many_writes_within_a_tick_of_the_clock_are_as_many_versions(tmp_path):
    blobs = DirBlobs(tmp_path, versions=True)
    versions = []
    for n in range(50):
        blobs.write("a", b"%d" % n)
        versions.append(blobs.head("a").version)
    assert versions == sorted(set(versions), key=int)
    assert [read(blobs, "a", version) for version in versions[:3]] == [b"0", b"1", b"2"]


def test_a_blob_is_no_folder(tmp_path):
    blobs = DirBlobs(tmp_path)
    blobs.write("a", b"")
    blobs.write("b/c", b"")
    for key in ("a/b", "b"):
        with pytest.raises(InvalidInput):
            blobs.write(key, b"")


# --- the bucket ----------------------------------------------------------------------------------


def test_a_bucket_without_versions_has_none(aws):
    blobs = s3_blobs(bucket(versions=False))
    blobs.write("a", b"1")
    assert blobs.head("a").version is None


def test_metadata_of_an_upload_is_seen(aws):
    name = bucket()
    boto3.client("s3").put_object(Bucket=name, Key="a", Body=b"", Metadata={"by": "the shop"})
    assert s3_blobs(name).head("a").metadata == {"by": "the shop"}
