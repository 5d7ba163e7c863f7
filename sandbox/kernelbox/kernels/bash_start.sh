# What the shell of a Bash context runs first; sourced once, by bash_shell.py, which has put these descriptors there:
#   200 the cell's code    201 bash_cell.sh    203 requests    204 reports    205 environment of one execution    206 the real stderr
# Until the last line stderr is /dev/null: bash complains at its start that it has no terminal.

PS1= PS2=
PS3='#? (no input can be given here: set the variable instead) '
unset -v PS0 HISTFILE MAILCHECK
export -n PS1 PROMPT_COMMAND
set +o history +o histexpand +o monitor
shopt -u checkwinsize
declare -A __kernelbox_was=()
__kernelbox_env=()
__kernelbox_pipe=()
__kernelbox_saved=0

# PROMPT_COMMAND never returns, or bash would read its stdin, where an interactive shell has its commands and this one has nothing. What throws bash
# back to its prompt, as an interrupt does, starts it anew. It reports the status of the cell that has ended, then waits for the next one. An interrupt
# that comes while it waits makes for a report that nobody asked for; whoever reads skips what comes before `b`.
__kernelbox_prompt() {
  builtin local - "__kernelbox_status=$?" __kernelbox_request
  builtin set +e +u +x +v
  __kernelbox_restore
  if ((!__kernelbox_saved)); then
    __kernelbox_pipe=()
  fi
  __kernelbox_saved=0
  PS1= PS2=
  # Not printf: an interrupt in the midst of it would leave the beginning in a buffer, for stdout.
  builtin echo "e $__kernelbox_status" >&204
  while :; do
    IFS= builtin read -r -d '' -u 203 __kernelbox_request
    case $? in
      0) [[ $__kernelbox_request ]] && break ;;
      # An interrupt may end in this too, not only the end of the kernel.
      1) builtin kill -0 "$PPID" || builtin exit 0 ;;
    esac
  done
  if [[ $__kernelbox_request == environment ]]; then
    __kernelbox_set
  fi
  __kernelbox_status_before=$__kernelbox_status
  return 0
}

# The variables of one execution: name, value, name, value, each ended by NUL.
__kernelbox_set() {
  builtin local __kernelbox_name __kernelbox_value
  while IFS= builtin read -r -d '' __kernelbox_name && IFS= builtin read -r -d '' __kernelbox_value; do
    [[ $__kernelbox_name =~ ^[A-Za-z_][A-Za-z0-9_]*$ && $__kernelbox_name != __kernelbox_* ]] || continue
    if [[ -v $__kernelbox_name ]]; then
      __kernelbox_was[$__kernelbox_name]=${!__kernelbox_name}
      [[ ${!__kernelbox_name@a} == *x* ]] && __kernelbox_was[$__kernelbox_name@]=exported
    fi
    __kernelbox_env+=("$__kernelbox_name")
    builtin export "$__kernelbox_name=$__kernelbox_value"
  done </proc/self/fd/205
}

__kernelbox_restore() {
  builtin local __kernelbox_name
  for __kernelbox_name in "${__kernelbox_env[@]}"; do
    if [[ -v __kernelbox_was[$__kernelbox_name] ]]; then
      builtin printf -v "$__kernelbox_name" %s "${__kernelbox_was[$__kernelbox_name]}"
      [[ -v __kernelbox_was[$__kernelbox_name@] ]] || builtin export -n "$__kernelbox_name"
    else
      builtin unset -v "$__kernelbox_name"
    fi
  done
  __kernelbox_env=()
  __kernelbox_was=()
}

# Runs at the end of every sourced script. At the end of a cell, which only bash_cell.sh is above of, PIPESTATUS is still that of its last command.
__kernelbox_save() {
  [[ $1 == 1 ]] || return 0
  shift
  __kernelbox_pipe=("$@")
  __kernelbox_saved=1
}

__kernelbox_status() {
  return "$1"
}

# Input is /dev/null: say so, where that is what made it fail. No name of its own may stand between the caller and its variables.
read() {
  builtin read "$@" && return
  set -- "$?" "$@"
  if [[ $1 == 1 && " ${*:2}" != *' -'*([!- ])u* && /dev/fd/0 -ef /dev/null ]]; then
    builtin printf '%s\n' 'bash: read: no input can be given here: set the variable instead' >&2
  fi
  return "$1"
}

declare -rf __kernelbox_prompt __kernelbox_set __kernelbox_restore __kernelbox_save __kernelbox_status
readonly __kernelbox_loop='while { __kernelbox_prompt; } 2>/dev/null; do . /proc/self/fd/201; done'
PROMPT_COMMAND=$__kernelbox_loop
exec 202<&- 2>&206 206>&-
