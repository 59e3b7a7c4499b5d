"""What no function needs of the pinned wheels, and why: a package may be 250 MB, all unpacked."""

import re
from collections.abc import Mapping

WHOLE: Mapping[str, str] = {
    "the encoder lies in the package, nothing is fetched from a hub": """
        huggingface-hub hf-xet fsspec filelock tqdm pyyaml truststore
        httpx2 httpcore2 httpx2-jsfetch
        """,
    "the encoder's graph is written when it is built": "onnx ml-dtypes safetensors",
    "only ONNX Runtime's tools read with it": "flatbuffers packaging",
    "the command line is not there; structlog and httpx would load it": """
        typer click shellingham rich markdown-it-py mdurl pygments colorama
        """,
    "the gateway's events are the server": "uvicorn httptools uvloop",
    "vectors are in a Qdrant server": "qdrant-edge-py",
}
"""Packages by the reason to do without them."""

ONLY: Mapping[str, frozenset[str]] = {
    package: frozenset(functions.split())
    for functions, packages in {
        "ingest": "arro3-core arro3-io tzdata",
        "recommend": "fastapi starlette mangum annotated-doc opentelemetry-api",
        "recommend events worker": "onnxruntime tokenizers",
    }.items()
    for package in packages.split()
}
"""Packages that some functions alone have: one reads files, one answers requests, and only the one
that reads files never embeds a text (what people search for is part of their profiles).
"""

SERVICES = ("batch", "dynamodb", "events", "s3", "sqs", "ssm", "sts")
"""What is spoken to of AWS: botocore describes four hundred more."""

PARTS: Mapping[str, str] = {
    r"(.*/)?__pycache__/.*": "compiled anew, so that it never depends on a file's time",
    r"(.*/)?tests/.*": "tests",
    r".*\.(pyi|pyx|pxd|pxi|h|hpp|c|cpp|a)": "for compilers and type checkers",
    r"bin/.*|\.\./.*": "commands",
    r"[^/]*\.dist-info/(RECORD|INSTALLER|REQUESTED|direct_url\.json|top_level\.txt)": "for pip",
    r"numpy/(f2py|distutils)/.*": "builds Fortran",
    r"onnxruntime/(tools|transformers|quantization|datasets|backend)/.*": "makes models",
    r"onnxruntime/capi/libonnxruntime\.so.*": "the same library again, for programs in C",
    rf"botocore/data/(?!({'|'.join(SERVICES)})/)[^/]*/.*": "descriptions of other services",
    r"boto3/(examples|data)/.*": "the older of its two interfaces, which is not used",
}
"""Files of packages by a pattern that all of the path matches."""

_PARTS = re.compile("|".join(f"(?:{pattern})" for pattern in PARTS), re.DOTALL)
_WHOLE = {package for packages in WHOLE.values() for package in packages.split()}


def needed(package: str, function: str | None = None) -> bool:
    """Whether the package is part of that function, or of any."""
    if package in _WHOLE:
        return False
    return function is None or function in ONLY.get(package, {function})


def kept(path: str) -> bool:
    """Whether a file of a needed package is part of it; `path` as the package records it."""
    return _PARTS.fullmatch(path) is None
