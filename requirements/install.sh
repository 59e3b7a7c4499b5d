#!/bin/sh
# Makes .venv and installs into it what requirements/$1.txt pins, then this checkout, editable.
# Returns at once when that has been done. Usage: [PYTHON=python3.13] requirements/install.sh demo|dev
set -eu

wanted=$1
cd -- "$(dirname -- "$0")/.."

# The environment holds absolute paths, so a checkout that moved needs a new one.
state() {
    pwd
    cat "requirements/$1.txt" pyproject.toml shared/windowshop/__init__.py | cksum
}

# The environment is of the Python asked for, if one was.
as_asked() {
    [ -z "${PYTHON:-}" ] || [ "$("$PYTHON" -V 2>&1)" = "$(.venv/bin/python -V 2>&1)" ]
}

current() {
    [ -x .venv/bin/python ] && as_asked &&
        [ "$(cat ".venv/installed-$1" 2>/dev/null)" = "$(state "$1")" ]
}

say() {
    printf '==> %s\n' "$*" >&2
}

advise() {
    if command -v apt-get >/dev/null; then
        say "Debian 12, Ubuntu 24.04 or newer: sudo apt-get install python3 python3-venv"
    elif command -v dnf >/dev/null; then
        say "Fedora, RHEL: sudo dnf install python3.12"
    elif command -v brew >/dev/null; then
        say "macOS: brew install python@3.13"
    elif [ "$(uname -s)" = Darwin ]; then
        say "macOS: install Python 3.13 from python.org, or with Homebrew"
    fi
    say "Then run make again; PYTHON=/path/to/python3 names one that is not on the PATH."
}

# Prints the first Python that fits.
find_python() {
    if [ -n "${PYTHON:-}" ]; then
        set -- "$PYTHON"
    else
        set -- python3 python3.14 python3.13 python3.12 python3.11
    fi
    tried=
    for candidate in "$@"; do
        # A name on the PATH may still not run: version managers put stand-ins there.
        if ! "$candidate" -c '' 2>/dev/null; then
            [ -z "${PYTHON:-}" ] || say "$candidate does not run."
            continue
        fi
        code=0
        flaw=$("$candidate" requirements/fit.py) || code=$?
        case $code in
        0) echo "$candidate" && return ;;
        2) say "windowshop cannot be installed here: $flaw" && return 1 ;;
        *) tried="$tried
    $candidate $flaw" ;;
        esac
    done
    say "windowshop needs Python 3.11 to 3.14, and none was found that fits.${tried:+ Tried:$tried}"
    advise
    return 1
}

usable() {
    [ -x .venv/bin/python ] && as_asked &&
        [ "$(head -n 1 .venv/installed-demo 2>/dev/null || pwd)" = "$(pwd)" ] &&
        .venv/bin/python requirements/fit.py >/dev/null 2>&1 &&
        .venv/bin/python -m pip --version >/dev/null 2>&1
}

install() {
    .venv/bin/python -m pip install --disable-pip-version-check --no-deps --no-compile "$@" || {
        say "The installation stopped (see above). Running make again continues it."
        exit 1
    }
}

current "$wanted" && exit

export PIP_USER=0 # an environment of its own knows no user site
if ! usable; then
    python=$(find_python) || exit 1
    say "$("$python" -V): making .venv"
    rm -rf .venv
    "$python" -m venv .venv
fi
say "Installing requirements/$wanted.txt into .venv"
install --require-hashes --only-binary :all: -r "requirements/$wanted.txt"
install --quiet --no-build-isolation --editable .
# On all cores; pip does it on one, for longer than it installs. What is no Python stays as it is.
.venv/bin/python -m compileall -qq -j 0 .venv/lib/python*/site-packages || true

state demo >.venv/installed-demo # every environment holds what demo.txt pins
state "$wanted" >".venv/installed-$wanted"
