"""A network without a NAT gateway: made only where Qdrant or the bulk lane is ours to run.

Private subnets hold Qdrant and the functions that talk to it. They reach AWS over IPv6, through a
gateway that lets nothing in and costs nothing. Public subnets hold the bulk lane's machines, which
have an address of their own while they live and let nothing in either.
"""

from collections.abc import Mapping
from typing import Any

from aws_cdk import Fn, Stack
from aws_cdk import aws_ec2 as ec2
from constructs import Construct

from infra.config import Config
from infra.nag import acknowledge
from infra.rights import Rights

REST, GRPC, TLS = 6333, 6334, 443


class Network(Stack):
    """`vpc`, its `private` and `public` subnets; the groups `functions`, `workers`, `qdrant`."""

    def __init__(self, scope: Construct, config: Config, **stack: Any) -> None:
        super().__init__(scope, f"Windowshop-{config.name}-Network", **stack)
        self._config = config
        self.vpc = ec2.Vpc(
            self,
            "vpc",
            ip_addresses=ec2.IpAddresses.cidr(config.network.addresses),
            ip_protocol=ec2.IpProtocol.DUAL_STACK,
            # By number, so that nobody need ask an account for their names.
            availability_zones=[Fn.select(n, Fn.get_azs()) for n in range(config.network.zones)],
            nat_gateways=0,
            restrict_default_security_group=False,
            subnet_configuration=[
                ec2.SubnetConfiguration(
                    name="public",
                    subnet_type=ec2.SubnetType.PUBLIC,
                    cidr_mask=20,
                    map_public_ip_on_launch=True,
                ),
                ec2.SubnetConfiguration(
                    name="private", subnet_type=ec2.SubnetType.PRIVATE_ISOLATED, cidr_mask=20
                ),
            ],
            gateway_endpoints={
                "s3": ec2.GatewayVpcEndpointOptions(service=ec2.GatewayVpcEndpointAwsService.S3),
                "dynamodb": ec2.GatewayVpcEndpointOptions(
                    service=ec2.GatewayVpcEndpointAwsService.DYNAMODB
                ),
            },
        )
        self.public = ec2.SubnetSelection(subnet_type=ec2.SubnetType.PUBLIC)
        self.private = ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_ISOLATED)
        self._only_out()
        self.functions = self._group("functions", "the functions")
        self.workers = self._group("workers", "the machines of the bulk lane")
        self.qdrant = self._group("qdrant", "Qdrant")
        for group in (self.functions, self.workers):
            for port in (REST, GRPC):
                group.add_egress_rule(self.qdrant, ec2.Port.tcp(port))
                self.qdrant.add_ingress_rule(group, ec2.Port.tcp(port))
        self._endpoints()
        acknowledge(
            self.vpc,
            "flow logs cost by the gigabyte and are a choice of the account's, not of one "
            "application: nothing listens here but Qdrant, to two groups",
            "AwsSolutions-VPC7",
        )

    def place(self, rights: Rights) -> Mapping[str, Any]:
        """What puts a function into the private subnets, and lets its role do so."""
        rights.may(
            "ec2:AssignPrivateIpAddresses",
            "ec2:CreateNetworkInterface",
            "ec2:DeleteNetworkInterface",
            "ec2:DescribeNetworkInterfaces",
            "ec2:DescribeSubnets",
            "ec2:UnassignPrivateIpAddresses",
            on=["*"],
            because="Lambda itself makes the interfaces, and these calls name none beforehand",
        )
        return {
            "vpc": self.vpc,
            "vpc_subnets": self.private,
            "security_groups": [self.functions],
            "ipv6_allowed_for_dual_stack": True,
        }

    @property
    def variables(self) -> Mapping[str, str]:
        """What makes boto3 ask for addresses that can be reached from here."""
        return {} if self._config.network.endpoints else {"AWS_USE_DUALSTACK_ENDPOINT": "true"}

    def _only_out(self) -> None:
        """From the private subnets outwards over IPv6, and nothing inwards."""
        gateway = ec2.CfnEgressOnlyInternetGateway(self, "outwards", vpc_id=self.vpc.vpc_id)
        for n, subnet in enumerate(self.vpc.isolated_subnets):
            ec2.CfnRoute(
                self,
                f"outwards{n}",
                route_table_id=subnet.route_table.route_table_id,
                destination_ipv6_cidr_block="::/0",
                egress_only_internet_gateway_id=gateway.attr_id,
            )

    def _group(self, name: str, whose: str) -> ec2.SecurityGroup:
        group = ec2.SecurityGroup(
            self,
            name,
            vpc=self.vpc,
            description=f"windowshop {self._config.name}: {whose}",
            allow_all_outbound=False,
            allow_all_ipv6_outbound=False,
        )
        for anywhere in (ec2.Peer.any_ipv4(), ec2.Peer.any_ipv6()):
            group.add_egress_rule(anywhere, ec2.Port.tcp(TLS), "AWS, over TLS")
        return group

    def _endpoints(self) -> None:
        """Interface endpoints for those who want none of the internet, in one zone each."""
        names = self._config.network.endpoints
        if not names:
            return
        door = self._group("endpoints", "the endpoints of AWS in the network")
        for group in (self.functions, self.workers, self.qdrant):
            door.add_ingress_rule(group, ec2.Port.tcp(TLS))
        for name in names:
            ec2.InterfaceVpcEndpoint(
                self,
                f"endpoint-{name}",
                vpc=self.vpc,
                service=ec2.InterfaceVpcEndpointAwsService(name),
                subnets=ec2.SubnetSelection(subnets=[self.vpc.isolated_subnets[0]]),
                private_dns_enabled=True,
                security_groups=[door],
                open=False,
            )
