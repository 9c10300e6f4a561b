#!/bin/bash
# Every command of the sandbox comes by here, under its own name. Its argument list is noted down, so
# that a test can look for secrets in it; then the fake command runs if there is one, else the
# machine's own command.
name=${0##*/}
printf '%s\037' "$#" "$name" "$@" >> /run/localaws/calls

start() { # start ARGUMENT...: Python, with what the environment of the instance is to fake commands
  # On AWS, Region and credentials come from the instance and not from a script's environment.
  # shellcheck source=/dev/null # written by sandbox.py
  . /run/localaws/environment
  exec "$REHEARSAL_PYTHON" -ESs "$@"
}

case $name in
aws | cloudhsm-cli | configure | configure-cli | curl | dnf | jq | rpm | sha256sum | systemctl | yum)
  # To start Python takes longer than most of them run: see command_runtime.py.
  if [ -p /run/localaws/requests ]; then
    # Copies, because the shell itself has others in their place while it asks.
    exec 5<&0 6>&1 7>&2 8<> <(:)
    echo "$$" > /run/localaws/requests
    read -r code <&8
    exit "$code"
  fi
  start /run/localaws/sandbox/fake_bin/fake.py "$name" "$@"
  ;;
date | sleep)
  # One becomes the machine's own command, the other has to end with its script.
  start /run/localaws/sandbox/fake_bin/fake.py "$name" "$@"
  ;;
cloud-init | uname)
  # Scripts ask them all the time, and to start Python takes longer than to answer.
  # shellcheck source=/dev/null # written by sandbox.py
  . /run/localaws/environment
  # shellcheck source=/dev/null # one of two, each checked by itself
  . "/run/localaws/sandbox/fake_bin/$name.sh"
  ;;
python3)
  if [ ! -e /run/localaws/usr/bin/python3 ]; then
    start "$@"
  fi
  ;;
esac

for own in /run/localaws/commands/machine/"$name" /run/localaws/usr/{bin,sbin}/"$name"; do
  if [ -x "$own" ]; then exec -a "$name" "$own" "$@"; fi
done
echo "$name: not found on this machine" >&2
exit 127
