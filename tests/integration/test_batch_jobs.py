"""AWS Batch is asked as its own description says (botocore checks it); no emulator has it."""

import boto3
import pytest
from botocore.stub import ANY, Stubber

from windowshop.aws.batch import BatchJobs, reconcile
from windowshop.errors import Misconfigured, Unavailable
from windowshop.local import wall_ms
from windowshop.queues import LocalQueue, Outgoing
from windowshop.uploads import Upload

UPLOAD = Upload("goods", "catalog/default/full/Früh jahr.csv", "v1")


@pytest.fixture
def stub():
    client = boto3.client(
        "batch", region_name="eu-central-1", aws_access_key_id="x", aws_secret_access_key="x"
    )
    with Stubber(client) as stubber:
        yield stubber
        stubber.assert_no_pending_responses()


@pytest.fixture
def jobs(stub):
    return BatchJobs(lambda: stub.client, "gpu", "embed:1", "cpu", "ingest:1")


def listed(stub, *pages, queue="gpu", name="embed"):
    """What Batch answers when it is asked for jobs of that name: pages of statuses."""
    for number, statuses in enumerate(pages):
        asked = {"jobQueue": queue, "filters": [{"name": "JOB_NAME", "values": [name]}]}
        if number:
            asked["nextToken"] = str(number)
        answer = {"jobSummaryList": [{"jobId": "j", "jobName": "n", "status": s} for s in statuses]}
        if number + 1 < len(pages):
            answer["nextToken"] = str(number + 1)
        stub.add_response("list_jobs", answer, asked)


def submitted(stub, **asked):
    stub.add_response("submit_job", {"jobId": "j1", "jobName": "n"}, asked)


EMBED = {"jobName": "embed", "jobQueue": "gpu", "jobDefinition": "embed:1"}


@pytest.mark.parametrize("status", ["SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING"])
def test_one_worker_is_enough(stub, jobs, status):
    listed(stub, ["FAILED"] * 3, ["SUCCEEDED", status])
    assert jobs.start_embedding() is False


def test_workers_that_have_ended_are_followed_by_another(stub, jobs):
    listed(stub, ["FAILED", "SUCCEEDED"], [])
    submitted(stub, **EMBED)
    assert jobs.start_embedding() is True


def test_a_huge_upload_gets_a_machine_of_its_own(stub, jobs):
    listed(stub, [], queue="cpu", name=ANY)
    command = ["ingest", "goods", UPLOAD.key, "v1"]
    submitted(
        stub,
        jobName=ANY,
        jobQueue="cpu",
        jobDefinition="ingest:1",
        containerOverrides={"command": command},
    )
    assert jobs.start_ingest(UPLOAD) is True
    listed(stub, ["RUNNABLE"], queue="cpu", name=ANY)
    assert jobs.start_ingest(UPLOAD) is False


def test_what_batch_answers_is_one_of_our_errors(stub, jobs):
    stub.add_client_error("list_jobs", "ServerException", http_status_code=500)
    with pytest.raises(Unavailable):
        jobs.start_embedding()
    stub.add_client_error("list_jobs", "AccessDeniedException", http_status_code=403)
    with pytest.raises(Misconfigured):
        jobs.start_embedding()


def test_jobs_that_wait_alone_get_a_worker(stub, jobs):
    queue = LocalQueue(wall_ms)
    assert reconcile(queue, jobs) is False
    queue.send([Outgoing({"a": 1})])
    listed(stub, ["RUNNING"])
    assert reconcile(queue, jobs) is False
    queue.receive()  # by a worker that died since
    listed(stub, ["FAILED"])
    submitted(stub, **EMBED)
    assert reconcile(queue, jobs) is True
