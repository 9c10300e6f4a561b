# shellcheck shell=bash # sourced by command.sh
# uname: the architecture of the instance.
#
# `uname -m`.
if [ "$*" != "-m" ]; then
  echo "uname: not supported: $*" >&2
  exit 2
fi
echo "${LOCALAWS_ARCHITECTURE:-x86_64}"
exit 0
