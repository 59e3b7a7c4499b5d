"""What a role may do: nothing, but for what is said action by action, on parts that are named."""

from typing import Any

from aws_cdk import Stack
from aws_cdk import aws_iam as iam
from constructs import Construct, IConstruct

from infra.nag import acknowledge


class Rights(Construct):
    """A `role` that one of AWS's services takes on to work for us."""

    def __init__(
        self,
        scope: Construct,
        service: str,
        *,
        name: str = "rights",
        conditions: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(scope, name)
        self.role = iam.Role(
            self,
            "role",
            assumed_by=iam.ServicePrincipal(f"{service}.amazonaws.com", conditions=conditions),
        )

    def may(self, *actions: str, on: list[str], because: str | None = None) -> None:
        """It may do these, on these and on nothing else. Raises ValueError for a * without a
        reason.
        """
        for resource in on:
            words = _flat(Stack.of(self).resolve(resource))
            if "*" not in words:
                continue
            if not because:
                raise ValueError(f"{self.node.path}: {words}: say why it must be so wide")
            acknowledge(self, because, f"AwsSolutions-IAM5[Resource::{words}]")
        self.role.add_to_policy(iam.PolicyStatement(actions=list(actions), resources=on))

    @property
    def policy(self) -> IConstruct:
        """What makes the role able: whoever uses it at once must wait for this as well."""
        return self.role.node.find_child("DefaultPolicy")


def _flat(value: Any) -> str:
    """A resolved value as cdk-nag words it in the names of its findings."""
    if isinstance(value, str):
        return value.replace("${", "<").replace("}", ">")
    match value:
        case {"Fn::Join": [str(between), list(parts)]}:
            return between.join(map(_flat, parts))
        case {"Fn::GetAtt": [resource, attribute]}:
            return f"<{_flat(resource)}.{_flat(attribute)}>"
        case {"Fn::ImportValue": name} | {"Fn::Sub": name}:
            return _flat(name)
        case {"Ref": name}:
            return f"<{_flat(name)}>"
    raise ValueError(f"cannot be worded: {value!r}")
