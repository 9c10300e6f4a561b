#!/bin/bash
# Makes the sandbox: the first process of new user, mount and process namespaces, it builds a root
# directory of its own in memory. Of the machine it shows /usr, /etc and the directories in its
# arguments, each under an overlay, so that nothing written in the sandbox reaches the machine. It stays
# until its input ends, and with it goes the sandbox and everything in it: also when the process that
# made it is killed.
#
# sandbox.sh ROOT HERE PYTHON [DIRECTORY...]
#   ROOT       an empty directory to build in
#   HERE       the directory of this script
#   PYTHON     the Python that runs them
#   DIRECTORY  what else must be seen, each at its own path
set -euo pipefail

root=$1 here=$2 python=$3
shift 3

# The process id as the machine counts, which it must know to enter.
read -r pid _ < /proc/self/stat

layers=0
show() { # show FROM AT: a directory of the machine, and what is written there stays in the sandbox
  layers=$((layers + 1))
  local layer=$root/.layers/$layers
  mkdir -p "$layer/upper" "$layer/work" "$root$2"
  mount -t overlay overlay \
    -o "lowerdir=$1,upperdir=$layer/upper,workdir=$layer/work,userxattr" "$root$2"
}

mount -t tmpfs -o mode=0755 tmpfs "$root"
mkdir -p "$root"/{dev,home,mnt,opt,proc,run/localaws/commands,srv,sys,var/{lib,log,tmp}}
mkdir -m 0700 "$root/root" "$root/.empty"
mkdir -m 1777 "$root/tmp" "$root/dev/shm"
for name in bin sbin lib lib32 lib64 libx32; do
  if [ -L "/$name" ]; then ln -s "$(readlink "/$name")" "$root/$name"; fi
done

show /usr /usr
if [ -d /usr/local ]; then mount --bind "$root/.empty" "$root/usr/local"; fi
show /etc /etc
show "$here" /run/localaws/sandbox
"$python" -ESs "$here/lay_out.py" "$root/run/localaws/commands"
for name in bin sbin; do mount --bind "$root/run/localaws/commands/$name" "$root/usr/$name"; done
# The machine's own commands, for those that need no fake command. With two lower layers and no upper
# one, nobody can write there.
mkdir "$root/run/localaws/usr"
mount -t overlay overlay -o "lowerdir=/usr:$root/.empty,userxattr" "$root/run/localaws/usr"
for directory; do show "$directory" "$directory"; done

mount -t proc proc "$root/proc"
for name in full null random tty urandom zero; do
  : > "$root/dev/$name"
  mount --bind "/dev/$name" "$root/dev/$name"
done
ln -s /proc/self/fd "$root/dev/fd"
ln -s /proc/self/fd/0 "$root/dev/stdin"
ln -s /proc/self/fd/1 "$root/dev/stdout"
ln -s /proc/self/fd/2 "$root/dev/stderr"

rm -f "$root/etc/os-release"
cat > "$root/etc/os-release" <<'END'
NAME="Amazon Linux"
VERSION="2023"
ID="amzn"
ID_LIKE="fedora"
VERSION_ID="2023"
PRETTY_NAME="Amazon Linux 2023"
END

# shellcheck disable=SC2016 # expanded by the inner shell
exec chroot "$root" /bin/bash -c 'cd /; echo "$1"; read -r _ || true' bash "$pid"
