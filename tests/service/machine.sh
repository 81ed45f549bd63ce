#!/bin/sh
# machine.sh ROOT: becomes systemd as process 1 of the namespaces that it was started in, whose whole world is ROOT, a directory with
# an operating system. What is written there goes with the namespaces. Run by machine.py, as root.
set -e
# Nothing of the host's is to be reached: what its units clean and set is this machine's own.
mount --make-rprivate /
mount -t tmpfs tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/root
mount -t overlay -o "lowerdir=$1,upperdir=/mnt/upper,workdir=/mnt/work" overlay /mnt/root
cd /mnt/root
mount -t proc proc proc
mount --bind proc/sys proc/sys
mount -o remount,bind,ro proc/sys
mount -t sysfs -o ro sysfs sys
mount -t cgroup2 cgroup2 sys/fs/cgroup
for directory in run tmp var/tmp dev/shm; do
	mkdir -p "$directory"
done
mount -t tmpfs -o mode=755 tmpfs dev
mkdir dev/shm dev/pts
for node in "null 3" "zero 5" "full 7" "random 8" "urandom 9"; do
	mknod -m 666 "dev/${node% *}" c 1 "${node#* }"
done
mount -t tmpfs -o mode=755 tmpfs run
mount -t tmpfs -o mode=1777 tmpfs tmp
mount -t tmpfs -o mode=1777 tmpfs var/tmp
mount -t tmpfs -o mode=1777 tmpfs dev/shm
ip link set lo up
pivot_root . mnt
exec chroot . /bin/sh -c 'umount -l /mnt && exec env -i container=other PATH=/usr/sbin:/usr/bin:/sbin:/bin \
	/lib/systemd/systemd --system --unit=multi-user.target --show-status=0' </dev/null
