# shellcheck shell=bash # sourced by command.sh
# uname: the architecture is the instance's; all the rest is the machine's own to tell.
case $* in
-m | -i | -p | --machine)
  echo "${REHEARSAL_ARCHITECTURE:-x86_64}"
  exit 0
  ;;
esac
