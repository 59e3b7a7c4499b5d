"""Events as AWS sends them to functions, recorded once; tests put their own contents into them."""

import base64
import copy
import json
from pathlib import Path

FOLDER = Path(__file__).parent / "recorded"


def load(name):
    return json.loads((FOLDER / f"{name}.json").read_text("utf-8"))


def http(method, path, body=None, *, query="", encoded=False, stage="$default", **headers):
    """A request: a recorded one with another address, body and headers (`content_type=...`)."""
    event = load("http_get" if method == "GET" else "http_post")
    whole = path if stage == "$default" else f"/{stage}{path}"
    event["rawPath"], event["rawQueryString"] = whole, query
    event["requestContext"]["http"] |= {"method": method, "path": whole}
    event["requestContext"]["stage"] = stage
    event["headers"] |= {name.replace("_", "-"): value for name, value in headers.items()}
    if body is not None:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        event["headers"]["content-length"] = str(len(raw))
        event["body"] = base64.b64encode(raw).decode() if encoded else raw.decode()
        event["isBase64Encoded"] = encoded
    return event


def batch(name, *messages):
    """A batch of a queue, each of whose records is made from a message that was received."""
    event = load(name)
    (record,) = event["Records"]
    event["Records"] = [_record(copy.deepcopy(record), message) for message in messages]
    return event


def _record(record, message):
    record |= {"messageId": message.id, "receiptHandle": message.receipt}
    record["body"] = message.body if isinstance(message.body, str) else json.dumps(message.body)
    record["attributes"] |= {
        "ApproximateReceiveCount": str(message.tries),
        "SentTimestamp": str(message.sent_ms),
    }
    if message.group is not None:
        record["attributes"]["MessageGroupId"] = message.group
    return record


def json_of(answer):
    """The JSON that the caller of an answered request sees."""
    body = answer["body"]
    return json.loads(base64.b64decode(body) if answer["isBase64Encoded"] else body)
