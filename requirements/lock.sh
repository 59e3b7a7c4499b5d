#!/bin/sh
# Pins every package in demo.txt, dev.txt, aws.txt and emulator.txt, with hashes, for every platform and
# Python at once.
# Pins that still fit are kept; --upgrade takes the newest of everything.
set -eu

cd -- "$(dirname -- "$0")/.."
if ! uv=$(command -v uv); then
    uv=.venv/uv/bin/uv
    [ -x $uv ] || { .venv/bin/python -m venv .venv/uv && .venv/uv/bin/pip install -q uv==0.13.9; }
fi

compile() {
    "$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes \
        --custom-compile-command "make lock" "$@"
}

ours="pyproject.toml requirements/demo.in"
# shellcheck disable=SC2086 # two files
compile $ours --output-file requirements/demo.txt "$@"
# Constrained by the first, so that the one environment contains the other.
# shellcheck disable=SC2086
compile $ours --output-file requirements/dev.txt --extra dev \
    --constraints requirements/demo.txt "$@"
# What the functions on AWS run: packed by `make build`, and never another version than the tests'.
compile pyproject.toml --output-file requirements/aws.txt --extra aws \
    --constraints requirements/demo.txt --constraints requirements/dev.txt "$@"
compile requirements/emulator.in --output-file requirements/emulator.txt "$@"
compile requirements/node.in --output-file requirements/node.txt "$@"
