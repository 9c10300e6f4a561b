#!/bin/bash
# Every command of the box comes by here, under its own name. Its argument list is noted down, so that a test can look
# for secrets in it; then the stand-in runs if there is one, else the machine's own command.
name=${0##*/}
printf '%s\037' "$#" "$name" "$@" >> /run/rehearsal/calls

case $name in
aws)
  # Credentials and endpoint come from the instance on AWS, never from the environment of a script.
  # shellcheck source=/dev/null # written by box.py
  . /run/rehearsal/environment
  HOME=/root
  export HOME
  exec "$REHEARSAL_PYTHON" -I -m awscli "$@"
  ;;
cloud-init | cloudhsm-cli | configure | configure-cli | curl | date | dnf | jq | rpm | sha256sum | sleep | systemctl | uname | yum)
  # shellcheck source=/dev/null # written by box.py
  . /run/rehearsal/environment
  exec "$REHEARSAL_PYTHON" -ESs /run/rehearsal/stand_ins/stand_in.py "$name" "$@"
  ;;
python3)
  [ -e /run/rehearsal/commands/machine/python3 ] || {
    # shellcheck source=/dev/null # written by box.py
  . /run/rehearsal/environment
    exec "$REHEARSAL_PYTHON" -ESs "$@"
  }
  ;;
esac

exec -a "$name" "/run/rehearsal/commands/machine/$name" "$@"
