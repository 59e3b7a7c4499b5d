"""The three worlds that a journey can go through, each with the same few verbs."""

import contextlib
import json
import os
import secrets
import shutil
import ssl
import subprocess
import sys
import time
import uuid
from pathlib import Path

import httpx

from localstack.emulated import config_of
from localstack.emulator import free_port
from tests.e2e import goods
from tests.e2e.shopping import PATIENCE_S, Store, until
from windowshop.aws.keyring import SsmKeyring
from windowshop.keys import ROLES, make_key
from windowshop.records import user_key, user_name

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = [sys.executable, "-m", "windowshop.cli"]
QUEUES = ("catalogue", "embed", "events")
_CALM = ("START", "END", "REPORT", "INIT", '{"_aws"')


def run(arguments, variables=None):
    """What `windowshop` says, as JSON, and its exit code."""
    done = subprocess.run(
        [*PROGRAM, *arguments, "--json"],
        cwd=ROOT,
        env={**os.environ, **(variables or {})},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.stdout.strip(), f"{arguments}: {done.stderr}"
    return json.loads(done.stdout), done.returncode


class World:
    """What every world has. Names of stores are new each time: a deployment may know others."""

    name = base_url = ""
    trust = True
    figures: list[str]

    def __init__(self):
        self.figures = []
        self._stores = {}

    def open(self, *names):
        """Stores of these names, with their keys; to be opened together, before the first call."""
        suffix = secrets.token_hex(3)
        for name in names:
            store = f"{name}-{suffix}"
            self._stores[name] = Store(self, store, *(self.new_key(store, role) for role in ROLES))

    def store(self, name):
        return self._stores[name]

    def close(self):
        for store in self._stores.values():
            store.close()

    def cli(self, *arguments):
        """What a command says, as JSON, and its exit code."""
        raise NotImplementedError

    def new_key(self, store, role):
        raise NotImplementedError

    def upload(self, store, name, some):
        raise NotImplementedError

    def drained(self):
        """Returns once nothing is on its way any more."""
        raise NotImplementedError

    def complaints(self, since):
        """What was logged as warnings and errors since a time, in seconds."""
        return []


def pseudonym(store, user):
    """The name under which everything about a user is kept."""
    return user_key(store, user_name(user.get("user_id"), user.get("anonymous_id")))


def contents(some):
    return some if isinstance(some, bytes) else goods.as_csv(some)


class OnAws(World):
    """A deployment, in AWS or in an emulator: `place` says where boto3 calls."""

    name = "deployed"

    def __init__(self, place, deployment, base_url, variables=None):
        super().__init__()
        self.place, self.deployment, self.base_url = place, deployment, base_url
        self.config = dict(config_of(place, deployment))
        self._variables = variables or {}
        bundle = {**os.environ, **self._variables}.get("AWS_CA_BUNDLE")
        self.trust = ssl.create_default_context(cafile=bundle) if bundle else True
        self.s3, self.sqs = place.client("s3"), place.client("sqs")
        self.bucket = self.config["WINDOWSHOP_BUCKET"]
        self._keyring = SsmKeyring(
            lambda: place.client("ssm"),
            self.config["WINDOWSHOP_PARAMETERS"],
            lambda: round(time.time() * 1000),
        )

    def cli(self, *arguments):
        return run([*arguments, "--deployment", self.deployment], self._variables)

    def new_key(self, store, role):
        key, stored = make_key(store, role, round(time.time() * 1000), "journeys")
        self._keyring.put_key(stored)
        return key

    def upload(self, store, name, some):
        """Returns the version of the object."""
        put = self.s3.put_object(
            Bucket=self.bucket, Key=f"catalog/{store}/{name}", Body=contents(some)
        )
        return put["VersionId"]

    # --- queues --------------------------------------------------------------------------------

    def url(self, queue):
        """The address of a queue: events, embed_bulk, ...; of its letters: events_letters."""
        name = queue if queue.endswith("_letters") else f"{queue}_queue"
        return self.config[f"WINDOWSHOP_{name.upper()}"]

    def depth(self, queue):
        """Messages in a queue: those that wait, and all of them with those in flight."""
        names = [f"ApproximateNumberOfMessages{which}" for which in ("", "NotVisible", "Delayed")]
        got = self.sqs.get_queue_attributes(QueueUrl=self.url(queue), AttributeNames=names)
        waiting, hidden, delayed = (int(got["Attributes"][name]) for name in names)
        return waiting, waiting + hidden + delayed

    def drained(self, *queues, patience_s=PATIENCE_S):
        wanted = queues or QUEUES

        def check():
            left = {queue: self.depth(queue)[1] for queue in wanted}
            return not any(left.values()) or None

        until(check, f"{', '.join(wanted)}: nothing is left", patience_s)

    def deliver(self, *messages):
        """Messages of the events queue, one after the other in one call: (group, body)."""
        entries = [
            {
                "Id": str(n),
                "MessageBody": body if isinstance(body, str) else json.dumps(body),
                "MessageGroupId": group,
                "MessageDeduplicationId": uuid.uuid4().hex,
            }
            for n, (group, body) in enumerate(messages)
        ]
        got = self.sqs.send_message_batch(QueueUrl=self.url("events"), Entries=entries)
        assert not got.get("Failed"), got

    def tell_of_upload(self, store, name, version):
        """EventBridge's message about an object, delivered (once more)."""
        key = f"catalog/{store}/{name}"
        head = self.s3.head_object(Bucket=self.bucket, Key=key, VersionId=version)
        told = {
            "version": "0",
            "id": str(uuid.uuid4()),
            "detail-type": "Object Created",
            "source": "aws.s3",
            "detail": {
                "version": "0",
                "bucket": {"name": self.bucket},
                "object": {"key": key, "size": head["ContentLength"], "version-id": version},
                "reason": "PutObject",
            },
        }
        self.sqs.send_message(QueueUrl=self.url("catalogue"), MessageBody=json.dumps(told))

    @contextlib.contextmanager
    def uploads_held_back(self):
        """Nobody is told of objects that are created meanwhile."""
        events = self.place.client("events")
        queue = self.sqs.get_queue_attributes(
            QueueUrl=self.url("catalogue"), AttributeNames=["QueueArn"]
        )["Attributes"]["QueueArn"]
        (rule,) = events.list_rule_names_by_target(TargetArn=queue)["RuleNames"]
        events.disable_rule(Name=rule)
        try:
            yield
        finally:
            events.enable_rule(Name=rule)

    @contextlib.contextmanager
    def listening(self):
        """Domain events of the bus, as a list that grows: `heard()` gives those so far."""
        events, name = self.place.client("events"), f"journeys-{secrets.token_hex(4)}"
        queue = self.sqs.create_queue(QueueName=name)["QueueUrl"]
        arn = self.sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["QueueArn"])
        arn = arn["Attributes"]["QueueArn"]
        bus = self.config["WINDOWSHOP_BUS"]
        rule = events.put_rule(
            Name=name, EventBusName=bus, EventPattern=json.dumps({"source": ["windowshop"]})
        )["RuleArn"]
        self.sqs.set_queue_attributes(
            QueueUrl=queue, Attributes={"Policy": json.dumps(_may_send(rule, arn))}
        )
        events.put_targets(Rule=name, EventBusName=bus, Targets=[{"Id": "queue", "Arn": arn}])
        found = []

        def heard(kind, **wanted):
            """The details of those of a kind whose fields are as wanted."""
            got = self.sqs.receive_message(QueueUrl=queue, MaxNumberOfMessages=10)
            for message in got.get("Messages", ()):
                found.append(json.loads(message["Body"]))
                self.sqs.delete_message(QueueUrl=queue, ReceiptHandle=message["ReceiptHandle"])
            return [
                one["detail"]
                for one in found
                if one["detail-type"] == kind
                and all(one["detail"].get(field) == value for field, value in wanted.items())
            ]

        try:
            yield heard
        finally:
            events.remove_targets(Rule=name, EventBusName=bus, Ids=["queue"])
            events.delete_rule(Name=name, EventBusName=bus)
            self.sqs.delete_queue(QueueUrl=queue)

    def letters(self, store, why=""):
        """The store's dead letters whose reasons speak of that, as the command line shows them."""
        found, code = self.cli("dead-letters", "list", "--store", store)
        assert code == 0, found
        return [one for one in found["letters"] if why in one["reason"]]

    def kept(self, store, user):
        """What still says anything about a user: events, a name; and points, if Qdrant can be asked.

        A tombstone does not: it has no name, and its key is the hash of one.
        """
        dynamodb, table = self.place.client("dynamodb"), self.config["WINDOWSHOP_TABLE"]
        key = pseudonym(store, user)
        found = dynamodb.query(
            TableName=table,
            KeyConditionExpression="pk = :user",
            ExpressionAttributeValues={":user": {"S": f"u/{store}/{key}"}},
            ConsistentRead=True,
        )["Items"]
        for part in range(8):
            row = {"pk": {"S": f"h/{store}/{part}"}, "sk": {"S": key}}
            head = dynamodb.get_item(TableName=table, Key=row, ConsistentRead=True).get("Item", {})
            found += [head] if "name" in head else []
        return found

    def refresh(self):
        """What the scheduler does every minute: count, and keep slates for an outage."""
        got = self.place.client("lambda").invoke(
            FunctionName=f"windowshop-{self.deployment}-events",
            Payload=json.dumps({"task": "refresh"}).encode(),
        )
        said = got["Payload"].read().decode()
        assert "FunctionError" not in got, said

    def complaints(self, since):
        """What the functions logged as warnings and errors since a time, in seconds."""
        logs, found = self.place.client("logs"), []
        prefix = f"/windowshop/{self.deployment}/"
        for group in logs.describe_log_groups(logGroupNamePrefix=prefix)["logGroups"]:
            got = logs.filter_log_events(
                logGroupName=group["logGroupName"], startTime=round(since * 1000)
            )
            for event in got["events"]:
                line = event["message"].rstrip()
                if not line.startswith(_CALM) and '"level":"info"' not in line:
                    found.append(f"{group['logGroupName'].removeprefix(prefix)}: {line[:2_000]}")
        return found


def _may_send(rule, queue):
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"Service": "events.amazonaws.com"},
                "Action": "sqs:SendMessage",
                "Resource": queue,
                "Condition": {"ArnEquals": {"aws:SourceArn": rule}},
            }
        ],
    }


class Emulated(OnAws):
    """The deployment in an emulator of this run, whose Qdrant can be taken away."""

    name = "emulated"

    def __init__(self, emulated, deployment):
        super().__init__(emulated.place, deployment, emulated.api, emulated.variables)
        self.emulated = emulated

    def kept(self, store, user):
        found = super().kept(store, user)
        with httpx.Client(base_url=self.emulated.qdrant.url) as qdrant:
            for one in qdrant.get("/collections").json()["result"]["collections"]:
                points = f"/collections/{one['name']}/points"
                got = qdrant.post(points, json={"ids": [pseudonym(store, user)]})
                found += got.json()["result"]
        return found

    def away(self, seconds):
        """Qdrant answers nobody for so long; 0 ends that."""
        self.emulated.qdrant.away(seconds)

    def start_worker(self, **settings):
        return self.emulated.start_worker(**settings)


class Embedded(World):
    """`windowshop serve` on a home of this run."""

    name = "embedded"

    def __init__(self, folder):
        super().__init__()
        self.home = folder / "home"
        port = free_port()
        self.base_url = f"http://127.0.0.1:{port}"
        self._said = (folder / "serve.log").open("wb")
        self._folder = folder
        self.process = subprocess.Popen(
            [*PROGRAM, "serve", "--home", str(self.home), "--port", str(port)],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=self._said,
            stderr=subprocess.STDOUT,
        )
        until((self.home / "serving.json").exists, "windowshop serves")

    def close(self):
        super().close()
        self.process.terminate()
        self.process.wait(20)
        self._said.close()
        shutil.rmtree(self.home, ignore_errors=True)

    def cli(self, *arguments):
        return run([*arguments, "--home", str(self.home)])

    def new_key(self, store, role):
        return self.cli("keys", "create", "--store", store, "--role", role)[0]["key"]

    def upload(self, store, name, some):
        path = self._folder / name
        path.write_bytes(contents(some))
        said, code = self.cli("ingest", str(path), "--store", store)
        assert code == 0, said

    def drained(self):
        """Events are applied in their order: a last one by somebody else comes after all."""
        for store in self._stores.values():
            last = {"anonymous_id": f"last-{secrets.token_hex(4)}"}
            store.send({"kind": "search", **last, "query": "the end"})
            until(lambda: store.export(last)["events"], "the last event counts")  # noqa: B023
            store.forget(last)
