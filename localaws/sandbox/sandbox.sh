#!/bin/bash
# Builds a sandbox, as the first process of namespaces of its own: a root directory
# in memory with /usr and a Python, each under an overlay, so that nothing written in the sandbox
# reaches the machine, and with an /etc of its own. The machine's root directory is unmounted, since
# the sandbox's root may leave a chroot. The sandbox and everything in it end with the standard
# input of this process, also when its parent is killed.
#
# sandbox.sh ROOT HERE PYTHON SOCKETS [DIRECTORY...]
#   ROOT       an empty directory to build in
#   HERE       the directory of this script
#   PYTHON     the Python that runs localaws
#   SOCKETS    a directory with the UNIX sockets that lead out of the sandbox
#   DIRECTORY  a Python installation to show in addition, at its own path
set -euo pipefail

root=$1 here=$2 python=$3 sockets=$4
shift 4

# The process id outside of the namespaces, which nsenter needs.
read -r pid _ < /proc/self/stat

layers=0
show() { # show FROM AT: a directory of the machine, under an overlay
  layers=$((layers + 1))
  local layer=$root/.layers/$layers
  mkdir -p "$layer/upper" "$layer/work" "$root$2"
  mount -t overlay overlay \
    -o "lowerdir=$1,upperdir=$layer/upper,workdir=$layer/work,userxattr" "$root$2"
}

mount -t tmpfs -o mode=0755 tmpfs "$root"
# If the server removes the directory now, the mount is detached: nothing must be made at its path.
cd "$root"
root=.
mkdir -p "$root"/{dev,home,mnt,opt,proc,run/localaws/commands,srv,sys,var/{lib,log,tmp}}
mkdir -m 0700 "$root/root" "$root/.empty"
mkdir -m 1777 "$root/tmp" "$root/dev/shm"
for name in bin sbin lib lib32 lib64 libx32; do
  if [ -L "/$name" ]; then ln -s "$(readlink "/$name")" "$root/$name"; fi
done

show /usr /usr
if [ -d /usr/local ]; then mount --bind "$root/.empty" "$root/usr/local"; fi
# Of /etc only what programs need to start: the rest may be secret, and root may read it.
mkdir "$root/etc"
for name in alternatives ld.so.cache ld.so.conf ld.so.conf.d localtime nsswitch.conf protocols services; do
  if [ -e "/etc/$name" ]; then cp --recursive --no-dereference "/etc/$name" "$root/etc/"; fi
done
show "$here" /run/localaws/sandbox
"$python" -ESs "$here/link_commands.py" "$root/run/localaws/commands"
for name in bin sbin; do mount --bind "$root/run/localaws/commands/$name" "$root/usr/$name"; done
# The machine's own commands, for command.sh. Two lower layers without an upper one are read-only.
mkdir "$root/run/localaws/usr"
mount -t overlay overlay -o "lowerdir=/usr:$root/.empty,userxattr" "$root/run/localaws/usr"
if [ -d /usr/local ]; then mount --bind "$root/.empty" "$root/run/localaws/usr/local"; fi
for directory; do
  mkdir -p "$root$directory"
  mount -t tmpfs -o mode=0755 tmpfs "$root$directory"
  # Not pip.conf, for example, which may have the password of an index.
  for name in bin lib lib32 lib64 pyvenv.cfg; do
    if [ -d "$directory/$name" ] && [ ! -L "$directory/$name" ]; then
      show "$directory/$name" "$directory/$name"
    elif [ -e "$directory/$name" ]; then
      cp --no-dereference "$directory/$name" "$root$directory/"
    fi
  done
done

mkdir "$root/run/localaws/sockets"
for name in aws commands; do
  if [ -S "$sockets/$name" ]; then
    : > "$root/run/localaws/sockets/$name"
    mount --bind "$sockets/$name" "$root/run/localaws/sockets/$name"
  fi
done

mount -t proc proc "$root/proc"
for name in full null random tty urandom zero; do
  : > "$root/dev/$name"
  mount --bind "/dev/$name" "$root/dev/$name"
done
ln -s /proc/self/fd "$root/dev/fd"
ln -s /proc/self/fd/0 "$root/dev/stdin"
ln -s /proc/self/fd/1 "$root/dev/stdout"
ln -s /proc/self/fd/2 "$root/dev/stderr"

cat > "$root/etc/os-release" <<'END'
NAME="Amazon Linux"
VERSION="2023"
ID="amzn"
ID_LIKE="fedora"
VERSION_ID="2023"
PRETTY_NAME="Amazon Linux 2023"
END
echo 'root:x:0:0:root:/root:/bin/bash' > "$root/etc/passwd"
echo 'root:x:0:' > "$root/etc/group"
echo '127.0.0.1 localhost' > "$root/etc/hosts"

mkdir "$root/.machine"
pivot_root . .machine
PATH=/run/localaws/usr/bin:/run/localaws/usr/sbin
umount -l /.machine
rmdir /.machine
# shellcheck disable=SC2016 # expanded by the inner shell
exec /bin/bash -c 'cd /; echo "$1"; read -r _ || true' bash "$pid"
