#!/bin/sh
# Debian's Python by its whole name: another one may come first on PATH and has no grpc.
exec /usr/bin/python3 "$@"
