"""Stacks into an emulator by boto3 alone: created, updated, deleted, and what is said of failures."""

import json

import boto3
import pytest

from localstack.stacks import LONGEST_BODY, Cloud, Failed, Place, synthesized


def assembly(folder, **stacks):
    """What CDK would write: {name: (resources, outputs, names of the stacks it needs)}."""
    artifacts = {}
    for name, (resources, outputs, needs) in stacks.items():
        template = {"Resources": resources, "Outputs": outputs}
        (folder / f"{name}.template.json").write_text(json.dumps(template), "utf-8")
        files = {
            "template": {
                "source": {"path": f"{name}.template.json", "packaging": "file"},
                "destinations": {"here": destination(f"{name}-{len(json.dumps(template))}.json")},
            }
        }
        if (folder / name).is_dir():
            files["code"] = {
                "source": {"path": name, "packaging": "zip"},
                "destinations": {"here": destination(f"{name}.zip")},
            }
        (folder / f"{name}.assets.json").write_text(json.dumps({"files": files}), "utf-8")
        artifacts[name] = {
            "type": "aws:cloudformation:stack",
            "properties": {"templateFile": f"{name}.template.json"},
            "dependencies": list(needs),
        }
    (folder / "manifest.json").write_text(json.dumps({"artifacts": artifacts}), "utf-8")
    return synthesized(folder)


def destination(key):
    return {"bucketName": "files-${AWS::AccountId}-${AWS::Region}", "objectKey": key}


def queue(name, **properties):
    return {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": name, **properties}}


@pytest.fixture
def told():
    return []


@pytest.fixture
def cloud(aws, told):
    return Cloud(Place(boto3.Session()), told.append)


def test_stacks_are_created_in_their_order_and_put_out_what_they_have(cloud, tmp_path, told):
    (tmp_path / "Second").mkdir()
    (tmp_path / "Second" / "index.py").write_text("handler = print", "utf-8")
    stacks = assembly(
        tmp_path,
        Second=({"Q": queue("second")}, {"Url": {"Value": {"Ref": "Q"}}}, ["Third"]),
        Third=({"Q": queue("third")}, {"Name": {"Value": {"Fn::GetAtt": ["Q", "QueueName"]}}}, []),
    )
    outputs = cloud.deploy(tmp_path, stacks)
    assert list(outputs) == ["Third", "Second"]
    assert outputs["Third"] == {"Name": "third"}
    assert outputs["Second"]["Url"].endswith("/second")
    bucket = cloud.filled("files-${AWS::AccountId}-${AWS::Region}")
    found = cloud.client("s3").list_objects_v2(Bucket=bucket)["Contents"]
    assert "Second.zip" in {one["Key"] for one in found}
    assert [line.split(" in ")[0] for line in told] == ["Third: created", "Second: created"]


def test_a_stack_that_is_there_is_updated_or_left(cloud, tmp_path, told):
    def deployed(seconds):
        resources = {"Q": queue("kept", VisibilityTimeout=seconds)}
        cloud.deploy(tmp_path, assembly(tmp_path, Kept=(resources, {}, [])))
        sqs = cloud.client("sqs")
        url = sqs.get_queue_url(QueueName="kept")["QueueUrl"]
        names = ["VisibilityTimeout"]
        return sqs.get_queue_attributes(QueueUrl=url, AttributeNames=names)["Attributes"]

    assert deployed(30) == {"VisibilityTimeout": "30"}
    assert deployed(60) == {"VisibilityTimeout": "60"}
    assert deployed(60) == {"VisibilityTimeout": "60"}
    assert [line.split(" in ")[0] for line in told] == [
        "Kept: created",
        "Kept: updated",
        "Kept: as it was",
    ]


def test_a_template_that_is_too_large_for_a_request_comes_from_the_bucket(cloud, tmp_path):
    many = {f"Q{n}": queue(f"large-{n}") for n in range(20)}
    many["Q0"]["Metadata"] = {"filler": "x" * LONGEST_BODY}
    cloud.deploy(tmp_path, assembly(tmp_path, Large=(many, {}, [])))
    assert cloud.client("sqs").get_queue_url(QueueName="large-19")


def test_a_stack_that_fails_says_which_part_and_why_and_can_be_mended(cloud, tmp_path):
    wrong = {"Good": queue("mended"), "Odd": {"Type": "AWS::Batch::ComputeEnvironment"}}
    with pytest.raises(Failed, match=r"Broken.*Batch"):
        cloud.deploy(tmp_path, assembly(tmp_path, Broken=(wrong, {}, [])))
    cloud.deploy(tmp_path, assembly(tmp_path, Broken=({"Good": queue("mended")}, {}, [])))
    assert cloud.client("sqs").get_queue_url(QueueName="mended")


def test_a_stack_is_deleted_with_what_is_in_its_bucket(cloud, tmp_path):
    resources = {
        "B": {
            "Type": "AWS::S3::Bucket",
            "Properties": {
                "BucketName": "full-bucket",
                "VersioningConfiguration": {"Status": "Enabled"},
            },
        }
    }
    cloud.deploy(tmp_path, assembly(tmp_path, Full=(resources, {}, [])))
    s3 = cloud.client("s3")
    for _ in range(2):
        s3.put_object(Bucket="full-bucket", Key="a", Body=b"1")
    assert cloud.delete("Full") is True
    assert "full-bucket" not in {one["Name"] for one in s3.list_buckets()["Buckets"]}
    assert cloud.delete("Full") is False
    with pytest.raises(Failed, match="there is no stack Full"):
        cloud.outputs("Full")


def test_a_folder_without_an_assembly_is_named(tmp_path):
    with pytest.raises(Failed, match="nothing that CDK synthesized"):
        synthesized(tmp_path)
