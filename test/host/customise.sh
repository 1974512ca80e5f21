#!/bin/sh
# Turns a fresh Debian tree into the base of a test machine; run by mmdebstrap,
# and part of the key the base is cached under.
set -e
R=$1

chroot "$R" useradd -m -s /bin/bash -u 1000 archy
grep -q '^archy:' "$R/etc/subuid" || echo archy:100000:65536 >>"$R/etc/subuid"
grep -q '^archy:' "$R/etc/subgid" || echo archy:100000:65536 >>"$R/etc/subgid"
chroot "$R" install -d -o archy -g archy \
	/home/archy/.config /home/archy/.config/containers /home/archy/.config/containers/systemd
mkdir -p "$R/var/lib/systemd/linger" "$R/etc/containers" "$R/etc/systemd/system"
: >"$R/var/lib/systemd/linger/archy"

# there may be no pids controller, and then podman's default limit is an error
printf '[containers]\npids_limit = 0\n' >"$R/etc/containers/containers.conf"

# the console is a file; no hardware; nothing periodic that would disturb a test; a test starts the
# registry that it needs
for unit in console-getty.service getty@.service \
	systemd-udevd.service systemd-udevd-kernel.socket systemd-udevd-control.socket \
	systemd-udev-trigger.service systemd-udev-settle.service systemd-modules-load.service \
	modprobe@.service sys-kernel-debug.mount sys-kernel-tracing.mount dev-hugepages.mount \
	systemd-networkd-wait-online.service apt-daily.timer apt-daily-upgrade.timer \
	dpkg-db-backup.timer e2scrub_all.timer fstrim.timer docker-registry.service; do
	ln -sf /dev/null "$R/etc/systemd/system/$unit"
done

# with a volatile journal a user can't read `journalctl --user` at all
mkdir -p "$R/etc/systemd/journald.conf.d"
printf '[Journal]\nStorage=persistent\nRateLimitIntervalSec=0\n' >"$R/etc/systemd/journald.conf.d/host.conf"

# Every rootless Quadlet unit waits up to 90 s for the system's
# network-online.target, which a desktop or server install has pulled in by its
# network manager. Here the address is set before systemd starts.
mkdir -p "$R/etc/systemd/system/multi-user.target.wants"
ln -sf /usr/lib/systemd/system/network-online.target \
	"$R/etc/systemd/system/multi-user.target.wants/network-online.target"

# an empty file, not a missing one: a missing one means first boot
: >"$R/etc/machine-id"
echo archipelago >"$R/etc/hostname"
printf '127.0.0.1 localhost archipelago\n::1 localhost\n' >"$R/etc/hosts"
rm -f "$R/etc/resolv.conf"
echo 'nameserver 127.0.0.1' >"$R/etc/resolv.conf"

# Every machine is a first boot of this tree: say that its caches are current.
# Last, since systemd compares their age with that of /usr.
touch "$R/etc/.updated" "$R/var/.updated"
