# shellcheck shell=bash # sourced by command.sh
# cloud-init: the first boot is complete before a command can reach the instance.
#
# `cloud-init status --wait`.
if [ "$*" != "status --wait" ]; then
  echo "cloud-init: error: not supported: $*" >&2
  exit 2
fi
printf '\nstatus: done\n'
exit 0
