"""Blobs in an S3 bucket that keeps versions."""

import contextlib
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, BinaryIO, cast

from boto3.s3.transfer import TransferConfig
from botocore.exceptions import BotoCoreError, ClientError

from windowshop.aws.clients import translate, translated
from windowshop.blobs import BINARY, MAX_KEY, Blob
from windowshop.errors import InvalidInput, NotFound, Unavailable
from windowshop.logs import log

PART = 8 << 20
BUFFER = 1 << 20
DELETED_AT_ONCE = 1_000
BREAKS = 3
"""A body whose connection breaks so often without a byte between is not to be had."""

_NOT_THERE = frozenset({"404", "NoSuchKey", "NoSuchVersion", "NotFound"})
_NO_VERSION = frozenset({"400", "405", "InvalidArgument", "MethodNotAllowed"})
_STREAMED = TransferConfig(multipart_threshold=PART, multipart_chunksize=PART, use_threads=False)


class S3Blobs:
    """`client` gives the S3 client of the moment: it is made anew after a snapshot."""

    def __init__(self, client: Callable[[], Any], bucket: str) -> None:
        self._client, self._bucket = client, bucket

    def head(self, key: str, version: str | None = None) -> Blob:
        with translated(), _missing(key, version):
            found = self._client().head_object(**self._named(key, version))
        return _blob(key, found)

    def open(self, key: str, version: str | None = None) -> BinaryIO:
        """The connection may break: it is taken up again where it was."""
        body = _Body(self._client, self._named(key, version), key)
        # It is one for reading, in all but its type.
        return cast(BinaryIO, io.BufferedReader(body, BUFFER))

    def read(self, key: str) -> bytes:
        with self.open(key) as stream:
            return stream.read()

    def write(self, key: str, body: bytes | BinaryIO, content_type: str = BINARY) -> None:
        named = self._named(key)
        with translated():
            if isinstance(body, bytes):
                self._client().put_object(**named, Body=body, ContentType=content_type)
            else:
                self._client().upload_fileobj(
                    body, **named, ExtraArgs={"ContentType": content_type}, Config=_STREAMED
                )

    def list(self, prefix: str) -> Iterator[Blob]:
        with translated():
            pages = self._client().get_paginator("list_objects_v2")
            for page in pages.paginate(Bucket=self._bucket, Prefix=prefix):
                for found in page.get("Contents", ()):
                    yield Blob(found["Key"], None, found["Size"], _ms(found["LastModified"]))

    def delete(self, keys: Sequence[str]) -> None:
        for start in range(0, len(keys), DELETED_AT_ONCE):
            some = [{"Key": key} for key in keys[start : start + DELETED_AT_ONCE]]
            with translated():
                answer = self._client().delete_objects(
                    Bucket=self._bucket, Delete={"Objects": some, "Quiet": True}
                )
            if errors := answer.get("Errors"):
                raise translate(ClientError({"Error": errors[0]}, "DeleteObjects"))

    def _named(self, key: str, version: str | None = None) -> dict[str, str]:
        if not 0 < len(key.encode("utf-8", "replace")) <= MAX_KEY:
            raise InvalidInput(f"{key[:100]!r} cannot be the key of a blob")
        named = {"Bucket": self._bucket, "Key": key}
        return named if version is None else {**named, "VersionId": version}


class _Body(io.RawIOBase):
    """The bytes of one version of one object, in order, over as many connections as it takes."""

    def __init__(self, client: Callable[[], Any], named: Mapping[str, str], key: str) -> None:
        self._client, self._named, self._key = client, dict(named), key
        self._at, self._size = 0, 0
        self._stream: Any = None
        with translated(), _missing(key, named.get("VersionId")):
            self._begin(client().get_object(**self._named))

    def _begin(self, found: Mapping[str, Any]) -> None:
        self._stream = found["Body"]
        self._size = self._at + int(found["ContentLength"])
        self._named["IfMatch"] = found["ETag"]  # or the rest may be another body's

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        some = self._some(len(buffer))
        buffer[: len(some)] = some
        return len(some)

    def readall(self) -> bytes:
        whole = bytearray()
        while some := self._some(BUFFER):
            whole += some
        return bytes(whole)

    def _some(self, most: int) -> bytes:
        """The next bytes; none at the end. Raises Unavailable."""
        for _ in range(BREAKS):
            if self._at >= self._size:
                break
            try:
                if self._stream is None:
                    self._resume()
                if some := cast(bytes, self._stream.read(most)):
                    self._at += len(some)
                    return some
            except (BotoCoreError, OSError) as error:
                log("blobs").warning("read_interrupted", key=self._key, at=self._at, error=error)
            self._let_go()
        else:
            raise Unavailable(f"{self._key!r} cannot be read to its end")
        return b""

    def _resume(self) -> None:
        try:
            found = self._client().get_object(**self._named, Range=f"bytes={self._at}-")
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") in {"PreconditionFailed", "412"}:
                raise Unavailable(f"{self._key!r} was replaced while it was read") from None
            raise translate(error) from error
        self._begin(found)

    def _let_go(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def close(self) -> None:
        self._let_go()
        super().close()


@contextlib.contextmanager
def _missing(key: str, version: str | None) -> Iterator[None]:
    """S3's ways of saying that there is no such object come out as NotFound."""
    try:
        yield
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code in _NOT_THERE or (version is not None and code in _NO_VERSION):
            raise NotFound(f"there is no blob {key!r}") from None
        raise


def _blob(key: str, found: Mapping[str, Any]) -> Blob:
    version = found.get("VersionId")
    return Blob(
        key,
        None if version in {None, "null"} else version,
        int(found["ContentLength"]),
        _ms(found["LastModified"]),
        dict(found.get("Metadata") or {}),
    )


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
