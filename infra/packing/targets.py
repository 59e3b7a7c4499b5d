"""What packages are built for: Lambda's machines and its Python, or the interpreter that builds."""

import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache

DEPLOYED = (3, 13)
"""The Python of the functions' runtime: infra/function.py asks for the same."""
# Amazon Linux 2023 has glibc 2.34. pip takes the first tag that a wheel has.
_GLIBC = (*range(34, 16, -1), 12, 5)
_OLD = ("manylinux2014", "manylinux2010", "manylinux1")


@dataclass(frozen=True, slots=True)
class Target:
    """A kind of machine. `machine` is what its kernel calls it; host: the one that builds."""

    name: str
    machine: str
    python: tuple[int, int]

    @property
    def is_host(self) -> bool:
        return self.name == "host"

    @property
    def version(self) -> str:
        return ".".join(map(str, self.python))

    @property
    def platforms(self) -> tuple[str, ...]:
        """The tags of wheels that run there, the newest first."""
        new = [f"manylinux_2_{minor}_{self.machine}" for minor in _GLIBC]
        old = [f"{tag}_{self.machine}" for tag in _OLD]
        return (*new, *old)

    def environment(self) -> dict[str, str]:
        """What the markers of requirements are decided by."""
        return {
            "implementation_name": "cpython",
            "implementation_version": f"{self.version}.0",
            "os_name": "posix",
            "platform_machine": self.machine,
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": platform.system() if self.is_host else "Linux",
            "platform_version": "",
            "python_full_version": f"{self.version}.0",
            "python_version": self.version,
            "sys_platform": sys.platform if self.is_host else "linux",
        }

    def interpreter(self) -> str | None:
        """A Python of this version on the machine that builds; None where there is none."""
        if self.python == sys.version_info[:2]:
            return sys.executable
        return _interpreter(self.version)

    def runs_here(self) -> bool:
        """Whether what is built can be imported on this machine."""
        return self.is_host or (
            sys.platform == "linux"
            and platform.machine() == self.machine
            and self.interpreter() is not None
        )


@cache
def _interpreter(version: str) -> str | None:
    found = shutil.which(f"python{version}")
    if found is None:
        return None
    # A name on the PATH may still not run: version managers put stand-ins there.
    asked = [found, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
    ran = subprocess.run(asked, capture_output=True, text=True, check=False)
    return found if ran.stdout.strip() == version else None


HOST = Target("host", platform.machine(), sys.version_info[:2])
DEPLOYED_TO = (Target("arm64", "aarch64", DEPLOYED), Target("x86-64", "x86_64", DEPLOYED))
