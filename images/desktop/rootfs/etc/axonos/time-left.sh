# axonos_left: how long the balance lasts, as the host last said it: "1h 52m", "grace 1h 10m", or nothing.
# The file's three words: state, when the balance is used up, when the session ends (seconds since the epoch).
axonos_left() {
  local state empty ends left prefix=
  { read -r state empty ends </run/desktop/time-left; } 2>/dev/null || return 0
  case $state in
    running) left=$((empty - EPOCHSECONDS)) ;;
    grace) left=$((ends - EPOCHSECONDS)) prefix='grace ' ;;
    *) return 0 ;;
  esac
  if ((left < 0)); then left=0; fi
  if ((left >= 3600)); then printf '%s%dh %02dm' "$prefix" $((left / 3600)) $((left / 60 % 60))
  else printf '%s%dm' "$prefix" $((left / 60)); fi
}
