"""SSM parameters of a deployment: where Qdrant is, and the secrets that no template may hold."""

from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from windowshop.aws.clients import translated


def read_parameter(client: Callable[[], Any], name: str) -> str | None:
    """The value of a parameter, decrypted; None where there is none. Raises Unavailable,
    Misconfigured.
    """
    with translated():
        try:
            found = client().get_parameter(Name=name, WithDecryption=True)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") == "ParameterNotFound":
                return None
            raise
    return str(found["Parameter"]["Value"])
