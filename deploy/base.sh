#!/bin/sh
# Make a base image of Debian's Python 3.11 where no registry can be reached: `deploy/base.sh localhost/khulasa-base`.
# Needs root, debootstrap, buildah and a Debian mirror (MIRROR, else debootstrap's own).
set -eu
name=${1:?usage: deploy/base.sh IMAGE}
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
debootstrap --variant=minbase --include=python3,python3-venv bookworm "$folder/root" ${MIRROR:+"$MIRROR"}
# What no process of ours reads.
rm -rf "$folder/root/var/cache/apt" "$folder/root/var/lib/apt/lists" "$folder/root/usr/share/doc" \
    "$folder/root/usr/share/man" "$folder/root/usr/share/locale" "$folder/root/var/log"
mkdir -p "$folder/root/var/cache/apt/archives/partial" "$folder/root/var/lib/apt/lists/partial" "$folder/root/var/log"
image=$(buildah from scratch)
buildah add --quiet "$image" "$folder/root" /
buildah config --cmd python3 "$image"
buildah commit --quiet --rm "$image" "$name"
