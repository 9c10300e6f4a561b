#!/bin/bash
# Every command of the box comes by here, under its own name. Its argument list is noted down, so
# that a test can look for secrets in it; then the stand-in runs if there is one, else the
# machine's own command.
name=${0##*/}
printf '%s\037' "$#" "$name" "$@" >> /run/rehearsal/calls

case $name in
aws | cloudhsm-cli | configure | configure-cli | curl | date | dnf | jq | rpm | sha256sum | \
  sleep | systemctl | yum)
  # On AWS, Region and credentials come from the instance and not from a script's environment.
  # shellcheck source=/dev/null # written by box.py
  . /run/rehearsal/environment
  exec "$REHEARSAL_PYTHON" -ESs /run/rehearsal/stand_ins/stand_in.py "$name" "$@"
  ;;
cloud-init | uname)
  # Scripts ask them all the time, and to start Python takes longer than to answer.
  # shellcheck source=/dev/null # written by box.py
  . /run/rehearsal/environment
  # shellcheck source=/dev/null # one of two, each checked by itself
  . "/run/rehearsal/stand_ins/$name.sh"
  ;;
python3)
  if [ ! -e /run/rehearsal/commands/machine/python3 ]; then
    # shellcheck source=/dev/null # written by box.py
    . /run/rehearsal/environment
    exec "$REHEARSAL_PYTHON" -ESs "$@"
  fi
  ;;
esac

exec -a "$name" "/run/rehearsal/commands/machine/$name" "$@"
