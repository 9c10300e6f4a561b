# shellcheck shell=bash # sourced by command.sh
# cloud-init: the first boot is complete before a command can reach the instance. An injected fault
# gives another exit code (F6.41).
#
# `cloud-init status --wait`.
if [ "$*" != "status --wait" ]; then
  echo "cloud-init: error: not supported: $*" >&2
  exit 2
fi
case ${LOCALAWS_CLOUD_INIT:-0} in
1) printf '\nstatus: error\n' ;;
*) printf '\nstatus: done\n' ;;
esac
exit "${LOCALAWS_CLOUD_INIT:-0}"
