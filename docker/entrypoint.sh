#!/bin/sh
# Says what the container has, on stderr, and becomes the command that it was given.
python "$(dirname "$0")/health.py" >&2 || true
exec "$@"
