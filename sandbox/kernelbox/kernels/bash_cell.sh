# Runs one cell; sourced, with stdin from /dev/null. $? and PIPESTATUS begin as the cell before has left them, and sourcing would lose them at its end.
{
  trap '{ __kernelbox_save "${#BASH_SOURCE[@]}" "${PIPESTATUS[@]}"; } 2>/dev/null' RETURN
  case ${#__kernelbox_pipe[@]} in
    2) __kernelbox_status "${__kernelbox_pipe[0]}" | __kernelbox_status "${__kernelbox_pipe[1]}" ;;
    3) __kernelbox_status "${__kernelbox_pipe[0]}" | __kernelbox_status "${__kernelbox_pipe[1]}" | __kernelbox_status "${__kernelbox_pipe[2]}" ;;
    *) __kernelbox_status "$__kernelbox_status_before" ;;
  esac
} 2>/dev/null
. /proc/self/fd/200
