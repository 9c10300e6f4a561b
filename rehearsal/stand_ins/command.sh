#!/bin/bash
# Every command of the box comes by here, under its own name. Its argument list is noted down, so
# that a test can look for secrets in it; then the stand-in runs if there is one, else the
# machine's own command.
name=${0##*/}
printf '%s\037' "$#" "$name" "$@" >> /run/rehearsal/calls

start() { # start ARGUMENT...: Python, with what the environment of the instance is to stand-ins
  # On AWS, Region and credentials come from the instance and not from a script's environment.
  # shellcheck source=/dev/null # written by box.py
  . /run/rehearsal/environment
  exec "$REHEARSAL_PYTHON" -ESs "$@"
}

case $name in
aws | cloudhsm-cli | configure | configure-cli | curl | dnf | jq | rpm | sha256sum | systemctl | yum)
  # To start Python takes longer than most of them run: see instance_site/command_server.py.
  if [ -p /run/rehearsal/requests ]; then
    # Copies, because the shell itself has others in their place while it asks.
    exec 5<&0 6>&1 7>&2 8<> <(:)
    echo "$$" > /run/rehearsal/requests
    read -r code <&8
    exit "$code"
  fi
  start /run/rehearsal/stand_ins/stand_in.py "$name" "$@"
  ;;
date | sleep)
  # One becomes the machine's own command, the other has to end with its script.
  start /run/rehearsal/stand_ins/stand_in.py "$name" "$@"
  ;;
cloud-init | uname)
  # Scripts ask them all the time, and to start Python takes longer than to answer.
  # shellcheck source=/dev/null # written by box.py
  . /run/rehearsal/environment
  # shellcheck source=/dev/null # one of two, each checked by itself
  . "/run/rehearsal/stand_ins/$name.sh"
  ;;
python3)
  if [ ! -e /run/rehearsal/usr/bin/python3 ]; then
    start "$@"
  fi
  ;;
esac

for own in /run/rehearsal/commands/machine/"$name" /run/rehearsal/usr/{bin,sbin}/"$name"; do
  if [ -x "$own" ]; then exec -a "$name" "$own" "$@"; fi
done
echo "$name: not found on this machine" >&2
exit 127
