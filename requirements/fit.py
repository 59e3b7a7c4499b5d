"""Can the Python that runs this file run windowshop here? Silent if so, else one line why not.

Exit 1: this Python will not do, another may. Exit 2: no Python on this machine will.
Written so that any Python, however old, can read it: it is what turns the old ones away.
"""

import os
import platform
import sys
import sysconfig


def machine_flaw(facts):
    """Why no wheels fit this machine (those of ONNX Runtime are the narrowest), or None."""
    system, machine = facts["system"], facts["machine"]
    if system == "Darwin":
        if machine != "arm64":
            return "ONNX Runtime has no wheels for Intel Macs, nor for an Intel build of Python"
        if facts["macos"] < (14,):
            return "macOS 14 or newer is needed: ONNX Runtime has no wheels for older ones"
    elif system == "Linux":
        if machine not in ("x86_64", "aarch64"):
            return "x86-64 or 64-bit Arm is needed, this is %s" % machine
        if facts["glibc"] is None:
            return "ONNX Runtime has no wheels for musl (Alpine): use a Debian-based image"
        if facts["glibc"] < (2, 28):
            have = "%d.%d" % facts["glibc"][:2]
            return (
                "glibc 2.28 or newer is needed (Debian 10, Ubuntu 20.04, RHEL 8), this is " + have
            )
    else:
        return "Linux or macOS is needed (on Windows: WSL), this is %s" % system
    return None


def python_flaw(facts):
    """Why this Python will not do, or None."""
    if not (3, 11) <= facts["version"] < (3, 15):
        return "is %d.%d" % facts["version"]
    if facts["implementation"] != "CPython":
        return "is %s, not CPython" % facts["implementation"]
    if not facts["64bit"]:
        return "is a 32-bit build"
    if facts["free_threaded"]:
        return "is a free-threaded build, for which some wheels are missing"
    if facts["missing"]:
        return "was built without %s" % ", ".join(facts["missing"])
    if not facts["ensurepip"]:
        return (
            "cannot make environments (Debian, Ubuntu: apt-get install python%d.%d-venv)"
            % facts["version"]
        )
    return None


def _numbers(text):
    return tuple(int(part) for part in text.split(".") if part.isdigit())


def _glibc():
    try:
        name, _, version = os.confstr("CS_GNU_LIBC_VERSION").partition(" ")
    except (AttributeError, OSError, ValueError):
        return None
    return _numbers(version) if name == "glibc" else None


def _has(module):
    try:
        __import__(module)
    except ImportError:
        return False
    return True


def facts():
    """What the two questions need to know of this machine and this Python."""
    return {
        "system": platform.system(),
        "machine": platform.machine(),
        "macos": _numbers(platform.mac_ver()[0]),
        "glibc": _glibc(),
        "version": tuple(sys.version_info[:2]),
        "implementation": platform.python_implementation(),
        "64bit": sys.maxsize > 2**32,
        "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
        "missing": [name for name in ("sqlite3", "ssl", "zlib", "bz2") if not _has(name)],
        "ensurepip": _has("ensurepip"),
    }


if __name__ == "__main__":
    known = facts()
    for code, flaw in ((1, python_flaw(known)), (2, machine_flaw(known))):
        if flaw:
            print(flaw)
            sys.exit(code)
