#!/bin/sh
# boot.sh: SCENARIO UNITS LOG ROOT PYTHON: becomes systemd as process 1 of the namespaces that it was started in, after
# leaving a child behind that plays the scenario and powers off. Run by test_systemd.py, as root.
set -e
mount --make-rshared /
mount -t tmpfs tmpfs /run
umount -R /sys/fs/cgroup 2>/dev/null || true
mount -t cgroup2 cgroup2 /sys/fs/cgroup
mount -t tmpfs tmpfs /opt
make -s -C "$4" install PREFIX=/opt/modeld >/dev/null
ip link set lo up 2>/dev/null || true
export SYSTEMD_UNIT_PATH="$2" container=other
(
	"$5" "$(dirname "$0")/scenarios.py" "$1" "$2" >"$3" 2>&1 && echo passed >>"$3"
	systemctl --force --force poweroff
) &
exec /lib/systemd/systemd --system --unit=test.target --show-status=0
