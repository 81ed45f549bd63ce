#!/bin/sh
# boot.sh: SCENARIO UNITS LOG ROOT PYTHON: becomes systemd as process 1 of the namespaces that it was started in, after
# leaving a child behind that plays the scenario and powers off. Run by test_systemd.py, as root.
set -e
mount --make-rshared /
mount -t tmpfs tmpfs /run
mount -t tmpfs -o mode=1777 tmpfs /var/tmp
umount -R /sys/fs/cgroup 2>/dev/null || true
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tmpfs tmpfs /opt
make -s -C "$4" install PREFIX=/opt/modeld >/dev/null
ip link set lo up 2>/dev/null || true
# Services have directories of their own in /tmp; what pytest has there is not to be reached by anything that runs here.
cp -R "$2" /run/units
exec 3>"$3"
case $4 in
/tmp/*) ;;
*) mount -t tmpfs -o mode=1777 tmpfs /tmp ;;
esac
export SYSTEMD_UNIT_PATH=/run/units container=other
(
	"$5" "$(dirname "$0")/scenarios.py" "$1" /run/units >&3 2>&1 && echo passed >&3
	systemctl --force --force poweroff
) &
exec 3>&-
exec /lib/systemd/systemd --system --unit=test.target --show-status=0
