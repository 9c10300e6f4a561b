# shellcheck shell=bash # sourced by command.sh
# sleep: virtual seconds. sandbox.py answers on the descriptor when they have passed. A shell has no
# such descriptor, and passes real seconds.
#
# `sleep SECONDS`.
if [[ ! "$*" =~ ^[0-9]+(\.[0-9]+)?$ ]]; then
  echo "sleep: not supported: $*" >&2
  exit 2
fi
if [ -z "${LOCALAWS_SLEEP-}" ]; then exec /run/localaws/usr/bin/sleep "$1"; fi
echo "$1" >&"$LOCALAWS_SLEEP"
read -r _ <&"$LOCALAWS_SLEEP"
exit 0
