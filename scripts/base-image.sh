#!/usr/bin/env bash
# Makes kernelbox/base:trixie, the image that the sandbox image starts FROM where no image registry can be reached: debootstrap, trimmed the way
# slim images are, then imported. An official name is never tagged, so that what `docker images` says about it stays true.
#
#   scripts/base-image.sh [--force]
#
# KERNELBOX_DEBIAN_MIRROR           the mirror to install from, and to leave in the image's apt sources (default: debootstrap's own)
# KERNELBOX_DEBIAN_SECURITY_MIRROR  the same for security fixes (default: debian-security beside the mirror)
set -euo pipefail

readonly IMAGE=kernelbox/base:trixie SUITE=trixie
readonly BOOTSTRAP_SECONDS=1200 UPGRADE_SECONDS=600 IMPORT_SECONDS=300
started=$SECONDS

say() { printf 'base-image: %s\n' "$*" >&2; }
fail() { # what happened, then what to do next
  printf 'base-image: failed: %s\n  next: %s\n' "$1" "$2" >&2
  exit 1
}

is_forced=no
case "${1-}" in
  '') ;;
  --force) is_forced=yes ;;
  *) fail "unknown argument: $1" "scripts/base-image.sh [--force]" ;;
esac

# --- The engine, by its client where there is one: Debian's docker.io may come without.
has_cli=no
! command -v docker >/dev/null 2>&1 || has_cli=yes
api() { # path, then more arguments of curl
  local path=$1 host=${DOCKER_HOST:-unix:///var/run/docker.sock}
  shift
  case "$host" in
    unix://*) curl -fsS --unix-socket "${host#unix://}" "$@" "http://localhost$path" ;;
    tcp://*) curl -fsS "$@" "http://${host#tcp://}$path" ;;
    *) fail "the engine at $host needs Docker's client" "install the docker command, then run this again" ;;
  esac
}
engine_arch() {
  if [ "$has_cli" = yes ]; then timeout 20 docker version --format '{{.Server.Arch}}'; return; fi
  api /version --max-time 20 | sed -n 's/.*"Arch":"\([a-z0-9_]*\)".*/\1/p'
}
has_image() {
  if [ "$has_cli" = yes ]; then timeout 20 docker image inspect "$IMAGE" >/dev/null 2>&1; return; fi
  api "/images/$IMAGE/json" --max-time 20 >/dev/null 2>&1
}
import_image() { # a tar archive on stdin
  if [ "$has_cli" = yes ]; then
    timeout "$IMPORT_SECONDS" docker import --change 'CMD ["bash"]' --change 'LABEL kernelbox.base=debootstrap' - "$IMAGE" >/dev/null
    return
  fi
  api "/images/create?fromSrc=-&repo=${IMAGE%:*}&tag=${IMAGE#*:}&changes=CMD%20%5B%22bash%22%5D&changes=LABEL%20kernelbox.base%3Ddebootstrap" \
    --max-time "$IMPORT_SECONDS" -X POST -H 'Content-Type: application/x-tar' -T - >/dev/null
}

if [ "$has_cli" = no ] && ! command -v curl >/dev/null 2>&1; then
  fail "neither docker nor curl is installed, one of which has to hand the image to the engine" "install one (apt-get install curl), then run this again"
fi
arch=$(engine_arch) || fail "no Docker engine answers" "start it (npm run setup does), then run this again"

if [ "$is_forced" = no ] && has_image; then
  say "$IMAGE is there already (--force makes it anew)"
  exit 0
fi

# --- What this needs of the machine.
other_way="or run this as root on a Debian or Ubuntu machine and move the image (docker save $IMAGE | docker load), \
or set KERNELBOX_BASE_IMAGE to a Debian 13 image that your engine can reach"
[ "$(uname -s)" = Linux ] || fail "debootstrap needs Linux, and this is $(uname -s)" "docker pull debian:trixie-slim, $other_way"
[ "$(id -u)" = 0 ] || fail "debootstrap needs root" "sudo ${BASH_SOURCE[0]}, $other_way"
case "$(uname -m)" in x86_64) host_arch=amd64 ;; aarch64) host_arch=arm64 ;; *) host_arch=$(uname -m) ;; esac
[ "$arch" = "$host_arch" ] || fail "the engine runs $arch and this machine $host_arch" "run this on a machine with the engine's architecture, $other_way"

if ! command -v debootstrap >/dev/null 2>&1; then
  command -v apt-get >/dev/null 2>&1 \
    || fail "debootstrap is missing" "install it (dnf install debootstrap; pacman -S debootstrap debian-archive-keyring), then run this again, $other_way"
  say "installing debootstrap"
  apt=(env DEBIAN_FRONTEND=noninteractive timeout 300 apt-get -qq -o DPkg::Lock::Timeout=120 -o Acquire::Retries=2)
  "${apt[@]}" update >&2 || say "apt-get update reported errors; going on with what it has"
  "${apt[@]}" install -y --no-install-recommends debootstrap debian-archive-keyring >&2 \
    || fail "apt-get could not install debootstrap" "apt-get install debootstrap debian-archive-keyring, and mend what it says"
fi

# --- One temporary folder, not below /tmp, which is often mounted noexec or nodev. Removed on every way out; debootstrap mounts /proc in it,
# and a removal must never reach through a mount.
work=$(mktemp -d "${TMPDIR:-/var/tmp}/kernelbox-base.XXXXXX")
root=$work/root
clean() {
  local mounted
  awk -v below="$root/" 'index($2, below) == 1 { print $2 }' /proc/mounts | sort -r | while read -r mounted; do umount -l "$mounted" || true; done
  rm -rf --one-file-system "$work"
}
trap clean EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP

say "installing $SUITE for $arch below $work (about half a minute)"
# debootstrap knows a suite by a script; an older one does not know this suite yet, and Debian's suites are all made as sid is.
script=/usr/share/debootstrap/scripts/$SUITE
[ -e "$script" ] || script=/usr/share/debootstrap/scripts/sid
include=()
case "${KERNELBOX_DEBIAN_MIRROR-}" in https://*) include=(--include=ca-certificates) ;; esac
timeout -k 10 "$BOOTSTRAP_SECONDS" debootstrap --variant=minbase "${include[@]}" "$SUITE" "$root" "${KERNELBOX_DEBIAN_MIRROR-}" "$script" >"$work/log" 2>&1 || {
  tail -n 15 "$work/log" >&2
  fail "debootstrap ended with an error (its last lines are above)" \
    "check that a Debian mirror is reached, or name one: KERNELBOX_DEBIAN_MIRROR=<address of a Debian mirror> ${BASH_SOURCE[0]}"
}

# --- Sources as an official image has them, with security fixes; the rules keep documentation out of what is installed later too.
mirror=$(awk '$1 == "deb" { print $2; exit }' "$root/etc/apt/sources.list")
mirror=${mirror%/}
security=${KERNELBOX_DEBIAN_SECURITY_MIRROR:-${mirror%/*}/debian-security}
printf 'path-exclude /usr/share/%s/*\n' man info locale groff lintian doc >"$root/etc/dpkg/dpkg.cfg.d/kernelbox"
echo 'path-include /usr/share/doc/*/copyright' >>"$root/etc/dpkg/dpkg.cfg.d/kernelbox"
printf '%s\n' 'APT::Install-Recommends "false";' 'Acquire::Languages "none";' 'Acquire::Retries "3";' >"$root/etc/apt/apt.conf.d/80kernelbox"

in_root() { env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive ${http_proxy:+http_proxy="$http_proxy"} \
  timeout -k 10 "$UPGRADE_SECONDS" chroot "$root" "$@" >>"$work/log" 2>&1; }
printf 'deb %s %s main\n' "$mirror" "$SUITE" "$mirror" "$SUITE-updates" "$security" "$SUITE-security" >"$root/etc/apt/sources.list"
if ! in_root apt-get -qq update --error-on=any; then
  say "no security fixes are found at $security; the image goes without (KERNELBOX_DEBIAN_SECURITY_MIRROR names another place)"
  printf 'deb %s %s main\n' "$mirror" "$SUITE" >"$root/etc/apt/sources.list"
  in_root apt-get -qq update || say "apt-get update reported errors inside; going on"
fi
# Nothing may start a service while packages are upgraded: the chroot shares this machine's processes.
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod +x "$root/usr/sbin/policy-rc.d"
in_root apt-get -qq -y upgrade || { tail -n 15 "$work/log" >&2; fail "apt-get upgrade ended with an error (its last lines are above)" "run this again"; }
in_root apt-get clean
rm "$root/usr/sbin/policy-rc.d"

# --- Trim. Licences stay.
find "$root/usr/share/doc" -mindepth 1 ! -type d ! -name copyright -delete
find "$root/usr/share/doc" -mindepth 1 -depth -type d -empty -delete
find "$root"/usr/share/{man,info,locale,groff,lintian} "$root"/var/{lib/apt/lists,cache,log} -mindepth 1 -delete 2>/dev/null || true
mkdir -p "$root/var/cache/apt/archives/partial" "$root/var/lib/apt/lists/partial"
rm -f "$root/etc/resolv.conf" "$root/etc/hostname"
: >"$root/etc/machine-id"

say "handing it to the engine"
tar -C "$root" --numeric-owner --one-file-system -c . | import_image \
  || fail "the engine did not take the image" "look at what it says above, and at the space left where it keeps its data (df -h)"
say "made $IMAGE: $(du -sm --one-file-system "$root" | cut -f1) MB, $((SECONDS - started)) s"
