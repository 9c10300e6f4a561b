# shellcheck shell=bash # sourced by command.sh
# sudo: runs a command with an environment of its own, as Amazon Linux's env_reset does. The user of
# a sandbox is root already.
#
# `sudo COMMAND [ARGUMENT...]`.
case ${1--} in
-* | *=*)
  echo "sudo: not supported by the sandbox: $*" >&2
  exit 2
  ;;
esac
for variable in $(compgen -e); do
  case $variable in
  LOCALAWS_* | LANG | PATH | TERM) ;;
  *) unset "$variable" ;;
  esac
done
exec "$@"
