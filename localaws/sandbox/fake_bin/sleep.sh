# shellcheck shell=bash # sourced by command.sh
# sleep: virtual seconds. sandbox.py answers on the descriptor when they have passed.
#
# `sleep SECONDS`.
if [[ ! "$*" =~ ^[0-9]+(\.[0-9]+)?$ ]]; then
  echo "sleep: not supported: $*" >&2
  exit 2
fi
echo "$1" >&"$LOCALAWS_SLEEP"
read -r _ <&"$LOCALAWS_SLEEP"
exit 0
