"""A Qdrant of one's own: a machine in a private subnet, its disk apart from it, snapshots to S3."""

import ipaddress
from pathlib import Path
from typing import Any

from aws_cdk import CfnOutput, CfnTag, Fn, RemovalPolicy, Stack
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_s3_assets as assets
from constructs import Construct

from infra.config import ROOT, Config
from infra.function import built
from infra.nag import acknowledge
from infra.network import Network
from infra.rights import Rights
from infra.state import BACKUPS, State

MACHINE = Path(__file__).parent / "machine"
PLACE = 10
"""The machine's number in its subnet: its address lasts longer than the machine."""
SSH = 22


class Qdrant(Stack):
    """`volume`, and while qdrant.running: `instance`."""

    def __init__(
        self, scope: Construct, config: Config, state: State, network: Network, **stack: Any
    ) -> None:
        super().__init__(scope, f"Windowshop-{config.name}-Qdrant", **stack)
        self.add_stack_dependency(state)
        subnet = network.vpc.isolated_subnets[0]
        self.address = str(ipaddress.ip_network(subnet.ipv4_cidr_block)[PLACE])
        self.volume = ec2.CfnVolume(
            self,
            "volume",
            availability_zone=subnet.availability_zone,
            size=config.qdrant.disk_gb,
            volume_type="gp3",
            encrypted=True,
            tags=[CfnTag(key="Name", value=config.called("qdrant"))],
        )
        self.volume.apply_removal_policy(
            RemovalPolicy.RETAIN if config.data.removal == "retain" else RemovalPolicy.DESTROY
        )
        self._door(network, subnet)
        self.instance = self._instance(config, state, network, subnet)
        CfnOutput(self, "Volume", value=self.volume.ref)
        CfnOutput(self, "Url", value=f"https://{self.address}:6333")

    def _door(self, network: Network, subnet: ec2.ISubnet) -> None:
        """How an operator gets in: through AWS, by their rights there, without a public address."""
        door = ec2.CfnSecurityGroup(
            self,
            "door",
            vpc_id=network.vpc.vpc_id,
            group_description="windowshop: the way in to the machine of Qdrant",
            security_group_egress=[
                ec2.CfnSecurityGroup.EgressProperty(
                    ip_protocol="tcp",
                    from_port=SSH,
                    to_port=SSH,
                    destination_security_group_id=network.qdrant.security_group_id,
                )
            ],
        )
        ec2.CfnSecurityGroupIngress(
            self,
            "through-the-door",
            group_id=network.qdrant.security_group_id,
            ip_protocol="tcp",
            from_port=SSH,
            to_port=SSH,
            source_security_group_id=door.attr_group_id,
        )
        ec2.CfnInstanceConnectEndpoint(
            self,
            "connect",
            subnet_id=subnet.subnet_id,
            security_group_ids=[door.attr_group_id],
        )

    def _instance(
        self, config: Config, state: State, network: Network, subnet: ec2.ISubnet
    ) -> ec2.CfnInstance | None:
        parts = {
            "machine.zip": assets.Asset(self, "machine", path=str(MACHINE)),
            "qdrant.tar.gz": assets.Asset(
                self, "release", path=built(self, ROOT / "dist" / config.qdrant.package)
            ),
        }
        rights = self._rights(config, state, parts)
        if not config.qdrant.running:
            return None
        profile = iam.CfnInstanceProfile(self, "profile", roles=[rights.role.role_name])
        instance = ec2.CfnInstance(
            self,
            "instance",
            image_id=config.qdrant.image,
            instance_type=config.qdrant.type,
            iam_instance_profile=profile.ref,
            subnet_id=subnet.subnet_id,
            private_ip_address=self.address,
            security_group_ids=[network.qdrant.security_group_id],
            ebs_optimized=True,
            metadata_options=ec2.CfnInstance.MetadataOptionsProperty(
                http_tokens="required", http_put_response_hop_limit=1
            ),
            block_device_mappings=[
                ec2.CfnInstance.BlockDeviceMappingProperty(
                    device_name="/dev/xvda",
                    ebs=ec2.CfnInstance.EbsProperty(
                        volume_size=8, volume_type="gp3", encrypted=True
                    ),
                )
            ],
            user_data=Fn.base64(self._start(config, state, network, parts)),
            tags=[CfnTag(key="Name", value=config.called("qdrant"))],
        )
        instance.node.add_dependency(rights.policy)
        ec2.CfnVolumeAttachment(
            self,
            "attachment",
            device="/dev/sdf",
            instance_id=instance.ref,
            volume_id=self.volume.ref,
        )
        acknowledge(
            instance,
            "five-minute figures are free and enough for one machine whose state is also seen by "
            "every request",
            "AwsSolutions-EC28",
        )
        acknowledge(
            instance,
            "named in the deployment's file, so that no deployment changes machine by itself",
            "CloudFormation-Validate::W9010",
        )
        acknowledge(
            instance,
            "the machine holds nothing: its disk is apart from it, stays, and fits the next one",
            "AwsSolutions-EC29",
        )
        return instance

    def _rights(self, config: Config, state: State, parts: dict[str, assets.Asset]) -> Rights:
        rights = Rights(self, "ec2")
        rights.may(
            "s3:GetObject",
            on=[
                f"arn:{self.partition}:s3:::{part.s3_bucket_name}/{part.s3_object_key}"
                for part in parts.values()
            ],
        )
        rights.may(
            "s3:GetObject",
            "s3:PutObject",
            on=[state.objects(BACKUPS)],
            because="its snapshots, which carry the time in their names",
        )
        rights.may("s3:ListBucket", on=[state.bucket_arn])
        rights.may(
            "ssm:GetParameter",
            "ssm:PutParameter",
            on=[
                self.format_arn(
                    service="ssm", resource=f"parameter{config.parameters}/qdrant/{name}"
                )
                for name in ("key", "url", "ca")
            ],
        )
        return rights

    def _start(
        self, config: Config, state: State, network: Network, parts: dict[str, assets.Asset]
    ) -> str:
        """What the machine does when it starts for the first time."""
        machine, qdrant = parts.values()
        settings = {
            "AWS_DEFAULT_REGION": self.region,
            **network.variables,
            "VOLUME": self.volume.ref,
            "ADDRESS": self.address,
            "PARAMETERS": config.parameters,
            "BACKUP": f"s3://{state.bucket.bucket_name}/{BACKUPS}qdrant",
        }
        return "\n".join(
            [
                "#!/bin/bash",
                "set -euo pipefail",
                *(f"export {name}='{value}'" for name, value in settings.items()),
                "mkdir -p /opt/windowshop && cd /opt/windowshop",
                f"aws s3 cp '{machine.s3_object_url}' machine.zip",
                f"aws s3 cp '{qdrant.s3_object_url}' qdrant.tar.gz",
                "python3 -m zipfile -e machine.zip .",
                "bash setup.sh",
                "",
            ]
        )
