#!/bin/bash
# Every command in the sandbox is a link to this script. It records the document that the script
# comes from and the argument list, so that tests can look for secrets in it, and runs the fake
# command of that name or else the machine's own one.
name=${0##*/}
printf '%s\037' "${LOCALAWS_DOCUMENT-}" "$#" "$name" "$@" >> /run/localaws/calls

case $name in
aws | cloudhsm-cli | configure | configure-cli | configure-jce | configure-openssl-provider | configure-pkcs11 | curl | dnf | jq | rpm | sha256sum | systemctl)
  # On AWS, Region and credentials come from the instance and not from a script's environment.
  # shellcheck source=/dev/null # written by sandbox.py
  . /run/localaws/environment
  exec "$LOCALAWS_PYTHON" -ESs /run/localaws/sandbox/fake_bin/__main__.py "$name" "$@"
  ;;
cloud-init | sleep | sudo | uname)
  # shellcheck source=/dev/null # written by sandbox.py
  . /run/localaws/environment
  # shellcheck source=/dev/null # each is checked by itself
  . "/run/localaws/sandbox/fake_bin/$name.sh"
  ;;
esac

for path in /run/localaws/commands/machine/"$name" /run/localaws/usr/{bin,sbin}/"$name"; do
  if [ -x "$path" ]; then exec -a "$name" "$path" "$@"; fi
done
echo "$name: not found on this machine" >&2
exit 127
