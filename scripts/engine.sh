# shellcheck shell=bash
# For scripts/setup.sh: finds a Docker engine that answers, and where there is none and this is root on Debian or Ubuntu, installs and starts one.
# Expects say, fail and within (setup.sh). Environment, for machines where the usual places will not do (and for testing this):
#   KERNELBOX_STATE_DIR    folder for the pid and the log of the dockerd that is started here (default /run/kernelbox and /var/log/kernelbox)
#   KERNELBOX_ENGINE_DIR   starts an engine of its own, with its data, socket and pid files in this folder. Beside another engine only in a network
#                          namespace of its own (unshare --net), or the two share a bridge and firewall rules
#   KERNELBOX_DOCKERD_FLAGS  more flags of dockerd, separated by spaces

# Becomes yes when an engine was started here; what the one before left behind is looked after then.
engine_was_started=no
engine_pid_file=${KERNELBOX_STATE_DIR:-/run/kernelbox}/dockerd.pid
engine_log=${KERNELBOX_STATE_DIR:-/var/log/kernelbox}/dockerd.log
if [ -n "${KERNELBOX_ENGINE_DIR-}" ]; then
  engine_own_pid_file=$KERNELBOX_ENGINE_DIR/docker.pid
  engine_exec_root=$KERNELBOX_ENGINE_DIR/exec
  engine_socket=$KERNELBOX_ENGINE_DIR/docker.sock
  engine_flags=(--data-root "$KERNELBOX_ENGINE_DIR/data" --exec-root "$engine_exec_root" --pidfile "$engine_own_pid_file" --host "unix://$engine_socket")
  # It is the one to look for, whatever else answers.
  export DOCKER_HOST=unix://$engine_socket
else
  engine_own_pid_file=/var/run/docker.pid
  engine_exec_root=/var/run/docker
  engine_socket=/var/run/docker.sock
  engine_flags=()
fi

# Asks each place where the server would look (its own list, so that the two never disagree) for an answer, not for a socket, which a killed engine
# leaves behind. Prints "answers|silent|denied|none", then "named|found", then the place, or "unusable", what is wrong and the next step. Exits with 0
# when one answers.
engine_probe() {
  within 30 node --input-type=module --eval '
    import http from "node:http";
    import https from "node:https";
    import { pathToFileURL } from "node:url";
    const { candidateEndpoints, hostSurroundings } = await import(pathToFileURL("dist/engines/docker/endpoint.js").href);
    const ping = ({ address: { protocol, ...where } }) => new Promise((done) => {
      const client = protocol === "https" ? https : http;
      const request = client.get({ ...where, path: "/_ping", timeout: 4000, signal: AbortSignal.timeout(5000) }, (reply) => {
        reply.resume();
        done(reply.statusCode === 200 ? "answers" : "silent");
      });
      request.on("timeout", () => request.destroy());
      request.on("error", (error) => done(error.code === "EACCES" ? "denied" : "silent"));
    });
    const isOwn = ({ address }) => address.socketPath === process.argv[1] || address.socketPath === "/var/run/docker.sock";
    const say = (...words) => console.log(words.join("\t"));
    let places;
    try { places = candidateEndpoints(undefined, hostSurroundings()); } catch (error) {
      if (error.hint === undefined) throw error;
      say("unusable", error.message, error.hint);
      process.exit(1);
    }
    const isNamed = places.length === 1 && places[0].label !== places[0].address.socketPath && !isOwn(places[0]);
    const results = [];
    for (const place of places) {
      const result = await ping(place);
      if (result === "answers") { say(result, isNamed ? "named" : "found", place.label); process.exit(0); }
      results.push([result, place]);
    }
    const [result, place] = results.find(([each]) => each === "denied") ?? results[0] ?? ["none"];
    say(result, isNamed ? "named" : "found", place?.label ?? "");
    process.exit(1);
  ' "$engine_socket"
}

engine_ensure() {
  local found state how place
  if found=$(engine_probe); then
    place=${found##*$'\t'}
    case "$place" in
      *"$engine_socket"*) say "engine answers at $engine_socket" ;;
      *) say "engine answers at $place (not the default place; kernelbox looks there too)" ;;
    esac
    return
  fi
  [ -n "$found" ] || fail "looking for a Docker engine ended with an error (above)" "npm run build, then run this again"
  IFS=$'\t' read -r state how place <<<"$found"
  if [ "$state" = unusable ]; then fail "$how" "$place"; fi
  if [ "$state" = denied ]; then
    fail "the engine at $place does not let $(id -un) in" "sudo usermod -aG docker $(id -un), log in again (or: newgrp docker), then run this again"
  fi
  if [ "$how" = named ]; then
    fail "the engine that is named does not answer: $place" "start it, or name another one (unset DOCKER_HOST; docker context use default), then run this again"
  fi
  [ "$(uname -s)" = Linux ] || engine_give_up
  if [ "$(id -u)" != 0 ]; then engine_give_up; fi
  command -v dockerd >/dev/null 2>&1 || engine_install
  engine_start
  engine_was_started=yes
}

# The next step for this machine is the server's own, so that the two never disagree.
engine_give_up() {
  local next
  next=$(within 30 node --input-type=module --eval '
    import { pathToFileURL } from "node:url";
    const { startHint } = await import(pathToFileURL("dist/engines/docker/start-hint.js").href);
    console.log(startHint());
  ') || next="start Docker, then run this again"
  fail "no Docker engine answers" "$next"
}

engine_install() {
  command -v apt-get >/dev/null 2>&1 || engine_give_up
  say "no engine is installed: installing docker.io (a minute)"
  local apt=(env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120 -o Acquire::Retries=2 -o Acquire::http::Timeout=30)
  local packages=(docker.io iptables)
  # Not the setup's lock: the package may start a daemon, which would hold it for as long as it runs.
  within 300 "${apt[@]}" update 9>&- || say "apt-get update reported errors; going on with what it has"
  # Newer releases have the client in a package of its own. People want it, and scripts/base-image.sh uses it.
  if [ -n "$(apt-cache search --names-only '^docker-cli$')" ]; then packages+=(docker-cli); fi
  within 900 "${apt[@]}" install -y --no-install-recommends "${packages[@]}" </dev/null >&2 9>&- \
    || fail "apt-get could not install docker.io" "apt-get install docker.io, mend what it says, then run this again"
}

# A dead process whose parent does not care, as in a container without an init, still has its pid and takes signals.
is_alive() { # pid
  [ -r "/proc/$1/stat" ] && ! grep -qs '^State:[[:space:]]*[ZX]' "/proc/$1/status"
}

# True when the pid that a file holds runs a program of that name: pids are given out anew, and dockerd refuses to start over a stranger's.
runs_as() { # pid file, name
  local pid
  pid=$(cat "$1" 2>/dev/null) || return 1
  [ -n "$pid" ] && is_alive "$pid" && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = "$2" ]
}

engine_clear_remains() {
  local containerd_pid_file=$engine_exec_root/containerd/containerd.pid
  if [ -e "$engine_own_pid_file" ]; then
    say "clearing what a killed engine left: $engine_own_pid_file"
    rm -f "$engine_own_pid_file"
  fi
  # A containerd that outlived its dockerd is taken over by the next one; only a file that lies is in the way.
  if [ -e "$containerd_pid_file" ] && ! runs_as "$containerd_pid_file" containerd; then
    say "clearing what a killed engine left: $containerd_pid_file"
    rm -f "$containerd_pid_file" "${containerd_pid_file%.pid}.sock" "${containerd_pid_file%.pid}.sock.ttrpc"
  fi
  # A container that mounts the socket while there is none makes an empty folder in its place.
  if [ -d "$engine_socket" ]; then
    rmdir "$engine_socket" || fail "$engine_socket is a folder" "look at what is in it, move it away, then run this again"
  fi
}

engine_start() {
  local extra=() pid
  if runs_as "$engine_own_pid_file" dockerd; then
    pid=$(cat "$engine_own_pid_file")
    say "dockerd (pid $pid) runs already and does not answer yet"
    if engine_wait "$pid"; then return; fi
    say "it has ended"
  elif [ -d /run/systemd/system ] && [ -z "${KERNELBOX_ENGINE_DIR-}" ]; then
    say "starting the engine with systemctl"
    if within 90 systemctl start docker 9>&- && engine_wait ""; then return; fi
    fail "systemctl start docker did not bring an engine that answers" "journalctl -u docker --no-pager | tail -n 30, and mend what it says"
  fi
  engine_clear_remains
  mkdir -p "$(dirname "$engine_pid_file")" "$(dirname "$engine_log")" "$engine_exec_root" \
    || fail "the folders of dockerd's pid and log cannot be made" "name a folder that you may write to: KERNELBOX_STATE_DIR=<folder> bash scripts/setup.sh"
  say "starting dockerd (log: $engine_log, pid: $engine_pid_file)"
  read -r -a extra <<<"${KERNELBOX_DOCKERD_FLAGS-}"
  # A dockerd told to do without a bridge deletes docker0, whoever uses it.
  if grep -qs docker0: /proc/self/net/dev && [[ " ${extra[*]} " =~ \ --bridge[=\ ]\"?none ]]; then
    fail "--bridge=none would take docker0 away from the engine that has it" "run this in a network namespace of its own: unshare --net"
  fi
  # In a session of its own and with no descriptor of ours, so that it outlives this script and whoever waits for its output. The log is begun
  # anew at each start, and what dockerd writes about itself is little; containers' logs are bounded by the flags.
  (
    ulimit -n 1048576 2>/dev/null || ulimit -n "$(ulimit -Hn)"
    exec setsid nohup dockerd --log-level warn --log-driver json-file --log-opt max-size=10m --log-opt max-file=2 \
      "${engine_flags[@]}" "${extra[@]}" </dev/null >"$engine_log" 2>&1 9>&-
  ) &
  pid=$!
  echo "$pid" >"$engine_pid_file"
  if engine_wait "$pid"; then return; fi
  tail -n 15 "$engine_log" >&2
  fail "dockerd did not start (its last lines are above; all of them: $engine_log)" \
    "mend what they say. In a container of its own it needs --privileged; without nftables in the kernel: update-alternatives --set iptables /usr/sbin/iptables-legacy"
}

# Returns 1 when the process ends before it answers.
engine_wait() { # pid, or nothing where systemd looks after it
  local pid=$1 started=$SECONDS found
  while [ $((SECONDS - started)) -lt 60 ]; do
    if found=$(engine_probe); then
      say "engine answers at ${found##*$'\t'} after $((SECONDS - started)) s"
      return
    fi
    if [ -n "$pid" ] && ! is_alive "$pid"; then return 1; fi
    sleep 0.3
  done
  [ -n "$pid" ] || return 1
  if [ -r "$engine_log" ]; then tail -n 15 "$engine_log" >&2; fi
  fail "dockerd (pid $pid) does not answer within 60 s" "look at its log ($engine_log, where this script started it), stop it (kill $pid), then run this again"
}
