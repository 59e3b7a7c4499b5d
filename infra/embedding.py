"""The bulk lane on AWS Batch: GPU machines from zero, the processor where none is to be had; and
the reading of uploads that are too large for a function.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aws_cdk import Duration, Size, Stack
from aws_cdk import aws_batch as batch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecr_assets as images
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from constructs import Construct

from infra import permits
from infra.config import ROOT, Config
from infra.environment import common, named
from infra.function import built, log_group
from infra.ingest import Ingest
from infra.nag import acknowledge
from infra.network import Network
from infra.queue import Queue
from infra.rights import Rights
from infra.state import State

IMAGE = Path("dist", "worker-image")
VCPUS, MEMORY_MIB = 4, 14_000
"""What a job asks for: all of the smallest GPU machine (16 GiB, less what its agent needs)."""
DISK_GB = 60
"""For the image, which brings torch and CUDA, and for an upload that is spooled."""
TRIES = 5
LONGEST = Duration.hours(12)
# Without a GPU in the job's own demands it may run on either kind of machine; on the one that has
# a GPU the container gets it because its runtime is the default one there.
_GPU_FOR_ALL = r"""sed -i 's/^OPTIONS="/OPTIONS="--default-runtime nvidia /' /etc/sysconfig/docker
systemctl try-restart docker"""


class Embedding(Stack):
    """Job queues and job definitions, named as `permits` says."""

    def __init__(
        self,
        scope: Construct,
        config: Config,
        state: State,
        ingest: Ingest,
        network: Network,
        **stack: Any,
    ) -> None:
        super().__init__(scope, f"Windowshop-{config.name}-Embedding", **stack)
        self.add_stack_dependency(state)
        if ingest.bulk is None:
            raise ValueError("bulk.workers: none, so there is nothing for AWS Batch to do")
        self._machine_role()
        cpu = self._machines(config, network, "cpu")
        gpu = [self._machines(config, network, "gpu")] if config.bulk.gpu_vcpus else []
        self._queue(config, permits.BATCH_GPU, *gpu, cpu)
        self._queue(config, permits.BATCH_CPU, cpu)
        self._image = ecs.ContainerImage.from_docker_image_asset(
            images.DockerImageAsset(
                self,
                "image",
                directory=built(self, ROOT / IMAGE),
                platform=images.Platform.LINUX_AMD64,
            )
        )
        self._log = log_group(self, config, "bulk")
        self._embed(config, state, ingest.bulk)
        self._ingest(config, state, ingest.embed, ingest.bulk)

    def _machine_role(self) -> None:
        self._machine = Rights(self, "ec2", name="machine")
        self._machine.role.add_managed_policy(
            iam.ManagedPolicy.from_aws_managed_policy_name(
                "service-role/AmazonEC2ContainerServiceforEC2Role"
            )
        )
        acknowledge(
            self._machine,
            "AWS's own policy for the agent of ECS, whose needs change with the agent",
            "AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/service-role/"
            "AmazonEC2ContainerServiceforEC2Role]",
        )

    def _machines(
        self, config: Config, network: Network, kind: str
    ) -> batch.ManagedEc2EcsComputeEnvironment:
        bulk = config.bulk
        gpu = kind == "gpu"
        start = ec2.MultipartUserData()
        commands = ec2.UserData.for_linux()
        # An instance that is taken away tells its containers to stop instead of vanishing.
        commands.add_commands("echo ECS_ENABLE_SPOT_INSTANCE_DRAINING=true >> /etc/ecs/ecs.config")
        if gpu:
            commands.add_commands(_GPU_FOR_ALL)
        start.add_user_data_part(commands, ec2.MultipartBody.SHELL_SCRIPT, True)
        template = ec2.LaunchTemplate(
            self,
            f"{kind}-template",
            launch_template_name=config.called(f"bulk-{kind}"),
            user_data=start,
            require_imdsv2=True,
            http_put_response_hop_limit=2,
            block_devices=[
                ec2.BlockDevice(
                    device_name="/dev/xvda",
                    volume=ec2.BlockDeviceVolume.ebs(
                        DISK_GB, volume_type=ec2.EbsDeviceVolumeType.GP3, encrypted=True
                    ),
                )
            ],
        )
        return batch.ManagedEc2EcsComputeEnvironment(
            self,
            f"{kind}-machines",
            compute_environment_name=config.called(f"bulk-{kind}"),
            vpc=network.vpc,
            vpc_subnets=network.public,
            security_groups=[network.workers],
            instance_role=self._machine.role,
            launch_template=template,
            # What everything falls back to must be there when it is needed.
            spot=gpu,
            allocation_strategy=batch.AllocationStrategy.SPOT_PRICE_CAPACITY_OPTIMIZED
            if gpu
            else batch.AllocationStrategy.BEST_FIT_PROGRESSIVE,
            use_optimal_instance_classes=False,
            instance_types=[
                ec2.InstanceType(name) for name in (bulk.gpu_types if gpu else bulk.cpu_types)
            ],
            images=[
                batch.EcsMachineImage(
                    image_type=batch.EcsMachineImageType.ECS_AL2023_NVIDIA
                    if gpu
                    else batch.EcsMachineImageType.ECS_AL2023
                )
            ],
            minv_cpus=0,
            maxv_cpus=bulk.gpu_vcpus if gpu else bulk.cpu_vcpus,
            update_to_latest_image_version=True,
        )

    def _queue(
        self, config: Config, name: str, *machines: batch.ManagedEc2EcsComputeEnvironment
    ) -> None:
        batch.JobQueue(
            self,
            f"{name}-queue",
            job_queue_name=config.called(name),
            compute_environments=[
                batch.OrderedComputeEnvironment(compute_environment=one, order=n)
                for n, one in enumerate(machines, 1)
            ],
            # No machine of either kind for an hour: the job fails, which raises the alarm, and the
            # reconciler asks again for as long as messages wait.
            job_state_time_limit_actions=[
                batch.JobStateTimeLimitAction(
                    action=batch.JobStateTimeLimitActionsAction.CANCEL,
                    max_time=Duration.hours(1),
                    reason=batch.JobStateTimeLimitActionsReason.INSUFFICIENT_INSTANCE_CAPACITY,
                    state=batch.JobStateTimeLimitActionsState.RUNNABLE,
                )
            ],
        )

    def _embed(self, config: Config, state: State, bulk: Queue) -> None:
        rights = Rights(self, "ecs-tasks", name="embed")
        permits.chunks(rights, state)
        permits.learned(rights, state)
        permits.items(rights, config, state, uploads=False)
        permits.drain(rights, bulk)
        self._job(
            config,
            permits.BATCH_EMBED,
            rights,
            named(
                table=state.table.table_name,
                bucket=state.bucket.bucket_name,
                bus=state.bus.event_bus_name,
                embed_bulk_queue=bulk.queue.queue_url,
                embed_bulk_letters=bulk.letters.queue_url,
                hold_s=str(config.bulk.hold_s),
            ),
        )

    def _ingest(self, config: Config, state: State, small: Queue, bulk: Queue) -> None:
        rights = Rights(self, "ecs-tasks", name="ingest")
        permits.files(rights, state)
        permits.items(rights, config, state, uploads=True)
        permits.jobs(rights, config)
        rights.may(
            "sqs:SendMessage",
            "sqs:GetQueueAttributes",
            on=[small.queue.queue_arn, bulk.queue.queue_arn],
        )
        self._job(
            config,
            permits.BATCH_INGEST,
            rights,
            named(
                table=state.table.table_name,
                bucket=state.bucket.bucket_name,
                bus=state.bus.event_bus_name,
                embed_queue=small.queue.queue_url,
                embed_bulk_queue=bulk.queue.queue_url,
                batch_queue=config.called(permits.BATCH_GPU),
                batch_embed=config.called(permits.BATCH_EMBED),
                small_items=str(config.small_items),
            ),
        )

    def _job(
        self, config: Config, name: str, rights: Rights, environment: Mapping[str, str]
    ) -> None:
        execution = Rights(self, "ecs-tasks", name=f"{name}-start")
        acknowledge(
            execution,
            "AWS lets no registry be named for the token with which the image is fetched",
            "AwsSolutions-IAM5[Resource::*]",
        )
        batch.EcsJobDefinition(
            self,
            f"{name}-job",
            job_definition_name=config.called(name),
            container=batch.EcsEc2ContainerDefinition(
                self,
                f"{name}-container",
                image=self._image,
                cpu=VCPUS,
                memory=Size.mebibytes(MEMORY_MIB),
                environment={**common(config), **environment},
                job_role=rights.role,
                execution_role=execution.role,
                logging=ecs.LogDriver.aws_logs(
                    log_group=self._log, stream_prefix=name, mode=ecs.AwsLogDriverMode.NON_BLOCKING
                ),
            ),
            retry_attempts=TRIES,
            retry_strategies=[
                batch.RetryStrategy.of(batch.Action.RETRY, batch.Reason.SPOT_INSTANCE_RECLAIMED),
                # What the worker itself says when it could not go on, or had to stop.
                batch.RetryStrategy.of(batch.Action.RETRY, batch.Reason.custom(on_exit_code="1")),
                batch.RetryStrategy.of(batch.Action.EXIT, batch.Reason.custom(on_reason="*")),
            ],
            timeout=LONGEST,
            propagate_tags=True,
        )
