#!/bin/sh
# Put the packages of one lock file into /opt/khulasa/venv and their list beside it: `install-packages.sh gateway`, in the build of
# an image, with the wheels at /wheels and the lock files at /locks.
set -eu
venv=/opt/khulasa/venv
python3 -m venv --without-pip "$venv"
/tools/bin/pip --python "$venv/bin/python" install --quiet --no-cache-dir --no-compile --no-index --find-links /wheels \
    --require-hashes -r "/locks/$1.lock"
# Compiled here, since the root is read-only later; by hash, so that two builds give the same bytes.
"$venv/bin/python" -m compileall -q --invalidation-mode unchecked-hash "$venv/lib"
/tools/bin/cyclonedx-py environment --output-reproducible --output-format JSON \
    --output-file /opt/khulasa/sbom.cdx.json "$venv/bin/python"
