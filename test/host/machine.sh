# shellcheck shell=bash
# Machines: create, boot, run commands in, copy to and from, kill. A machine has
# the directory $DIR/run/NAME and a cgroup, and nothing else. Sourced by host.

valid_name() { [[ $1 =~ ^[a-z0-9][a-z0-9-]{0,30}$ ]] || die "bad machine name '$1' ([a-z0-9-], 31 at most)"; }
machine_dir() { valid_name "$1"; printf '%s/run/%s' "$DIR" "$1"; }
machine_exists() { [ -d "$(machine_dir "$1")" ] || die "no machine '$1' (host list)"; }

# Two cache folders may both have an h1, but there is one cgroup tree.
machine_cgroup() { # NAME
	local mount
	mount=$(awk '$3=="cgroup2"{print $2; exit}' /proc/mounts)
	[ -n "$mount" ] || die "no cgroup2 mounted here"
	printf '%s/archipelago-host-%s-%s' "$mount" "$(cksum <<<"$DIR" | cut -d' ' -f1)" "$1"
}

starttime() { # PID -> ticks since boot, or nothing
	local stat
	{ stat=$(<"/proc/$1/stat"); } 2>/dev/null || return 1
	stat=${stat##*) }
	awk '{print $20}' <<<"$stat"
}

# The pid of the machine's systemd, only while it really is that process.
machine_pid() { # NAME
	local dir pid start
	dir=$(machine_dir "$1")
	[ -r "$dir/pid" ] || return 1
	read -r pid start <"$dir/pid"
	[ "$(starttime "$pid")" = "$start" ] || return 1
	printf '%s' "$pid"
}

machine_create() { # NAME|'' SUITE ROOTFS: sets CREATED
	local n=1 dir
	CREATED=$1
	mkdir -p "$DIR/run"
	if [ -z "$CREATED" ]; then
		until mkdir "$DIR/run/h$n" 2>/dev/null; do n=$((n + 1)); done
		CREATED=h$n
	else
		mkdir "$DIR/run/$CREATED" 2>/dev/null || die "machine '$CREATED' exists (host down $CREATED)"
	fi
	dir=$DIR/run/$CREATED
	printf '%s\n' "$3" >"$dir/lower"
	printf '%s\n' "$2" >"$dir/suite"
	mkdir -p "$dir/mnt" "$dir/upper" "$dir/work" "$dir/home" "$dir/containers"
	cp -a "$3/home/." "$dir/home/"
}

# A real copy, though links would be quicker, because tests may empty or damage it.
machine_store() { # NAME SEED
	[ -z "$2" ] || cp -a --reflink=auto "$2/local" "$(machine_dir "$1")/home/$USERNAME/.local"
}

# For this kernel, archy is the same user on all machines. Its limits by default, 128 inotify
# instances and 200 keys (each container uses one), are enough for one machine, but not for
# several at a time.
share_limits() {
	local key value
	while IFS='= ' read -r key value; do
		case $key in '' | '#'*) ;; *) raise_limit "${key//.//}" "$value" ;; esac
	done <"$HERE/../../packaging/sysctl.d/10-archipelago.conf"
}

raise_limit() { # SYSCTL LEAST
	local limit=/proc/sys/$1
	if [ ! -e "$limit" ] || (($(<"$limit") >= $2)); then return; fi
	{ echo "$2" >"$limit"; } 2>/dev/null ||
		say "warning: can't raise ${1//\//.} to $2: with several machines up, apps may fail to start"
}

machine_boot() { # NAME
	local name=$1 dir cgroup lower outer pid='' i
	dir=$(machine_dir "$name")
	cgroup=$(machine_cgroup "$name")
	lower=$(<"$dir/lower")
	mkdir -p "$cgroup"
	: >"$dir/console.log"
	share_limits
	# no child but the new init may ever be seen below this subshell
	(
		echo "$BASHPID" >"$cgroup/cgroup.procs"
		exec setsid unshare --mount --pid --uts --ipc --net --cgroup --fork --propagation private \
			"$HERE/host" _boot "$dir" "$lower"
	) </dev/null >"$dir/boot.log" 2>&1 9>&- &
	outer=$!
	disown
	for ((i = 0; i < 500; i++)); do
		read -r pid _ 2>/dev/null <"/proc/$outer/task/$outer/children" || true
		[ -z "$pid" ] || break
		kill -0 "$outer" 2>/dev/null || break
		sleep 0.02
	done
	[ -n "$pid" ] || { cat "$dir/boot.log" >&2; die "boot of '$name' failed"; }
	printf '%s %s\n' "$pid" "$(starttime "$pid")" >"$dir/pid"
}

# Runs inside the new namespaces, as their PID 1, until it becomes systemd.
machine_init() { # DIR LOWER
	local dir=$1 root=$1/mnt
	hostname archipelago
	mount -t overlay overlay -o "lowerdir=$2,upperdir=$dir/upper,workdir=$dir/work" "$root"
	# podman's native overlay can't have its upper layers on an overlay
	mkdir -p "$root/var/lib/containers"
	mount --bind "$dir/home" "$root/home"
	mount --bind "$dir/containers" "$root/var/lib/containers"
	cd "$root" || exit
	mount -t proc proc proc
	mount -t sysfs sysfs sys
	mount -t cgroup2 cgroup2 sys/fs/cgroup
	mount -t tmpfs tmpfs run -o mode=755
	mount -t tmpfs tmpfs tmp
	init_dev "$dir/console.log"
	init_net
	mkdir -p .old
	pivot_root . .old
	umount -l /.old
	rmdir /.old
	mount --make-rshared /
	exec env -i container=other TERM=dumb LANG=C.UTF-8 SYSTEMD_LOG_TARGET=console \
		PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system --log-level=info
}

init_dev() { # CONSOLE
	local node
	mount -t tmpfs tmpfs dev -o mode=755
	mkdir -p dev/net dev/pts dev/shm
	for node in null zero full random urandom tty fuse net/tun; do
		[ -e "/dev/$node" ] || continue
		: >"dev/$node"
		mount --bind "/dev/$node" "dev/$node"
	done
	mount -t devpts devpts dev/pts -o newinstance,ptmxmode=0666,mode=620,gid=5
	mount -t tmpfs tmpfs dev/shm
	ln -s pts/ptmx dev/ptmx
	ln -s /proc/self/fd dev/fd
	ln -s fd/0 dev/stdin
	ln -s fd/1 dev/stdout
	ln -s fd/2 dev/stderr
	: >dev/console
	mount --bind "$1" dev/console
}

# An address and a default route for pasta to copy. No host answers there.
init_net() {
	ip link set lo up
	ip link add eth0 type veth peer name eth0-peer
	ip addr add 192.0.2.2/24 dev eth0
	ip link set eth0-peer up
	ip link set eth0 up
	ip route add default via 192.0.2.1 dev eth0
}

machine_alive() { # NAME
	local dir
	machine_pid "$1" >/dev/null && return
	dir=$(machine_dir "$1")
	cat "$dir/boot.log" "$dir/console.log" >&2
	die "machine '$1' died while booting"
}

machine_wait() { # NAME TIMEOUT
	local name=$1 end=$((SECONDS + $2)) system='' user='' rc=0
	until [[ $system == running || $system == degraded ]]; do
		machine_alive "$name"
		((SECONDS < end)) || die "machine '$name' not ready after $2 s (host log $name)"
		system=$(machine_run "$name" root timeout 20 systemctl is-system-running --wait 2>/dev/null) || sleep 0.05
	done
	until machine_run "$name" "$USERNAME" timeout 20 systemctl --user is-active --quiet basic.target 2>/dev/null; do
		machine_alive "$name"
		((SECONDS < end)) || die "user manager of '$name' not ready after $2 s (host log $name)"
		sleep 0.05
	done
	# apps that start at boot get the rest of the time; a timeout is no error
	user=$(machine_run "$name" "$USERNAME" timeout $((end - SECONDS + 1)) systemctl --user is-system-running --wait 2>/dev/null) || true
	if [ "$system" = degraded ]; then
		say "$name: units of the system have failed:"
		machine_run "$name" root systemctl --failed --no-legend --plain >&2 || true
		rc=3
	fi
	case $user in
	running) ;;
	degraded)
		say "$name: units of $USERNAME have failed:"
		machine_run "$name" "$USERNAME" systemctl --user --failed --no-legend --plain >&2 || true
		rc=3
		;;
	*)
		say "$name: jobs of $USERNAME still wait after $2 s:"
		machine_run "$name" "$USERNAME" systemctl --user list-jobs --no-legend --plain >&2 || true
		rc=3
		;;
	esac
	return "$rc"
}

# Joins the namespaces and a cgroup of the machine, so that podman and systemd
# see a caller that is inside, and `down` kills everything. The cgroup is a
# leaf of its own, since inner nodes may hold no processes.
machine_run() { # NAME root|USER CMD...
	local name=$1 who=$2 pid leaf
	local -a enter
	shift 2
	pid=$(machine_pid "$name") || die "no running machine '$name' (host list)"
	leaf=$(machine_cgroup "$name")/host.exec
	enter=(nsenter -t "$pid" -m -p -u -i -n -C --root)
	(
		mkdir -p "$leaf"
		echo "$BASHPID" >"$leaf/cgroup.procs"
		if [ "$who" = root ]; then
			exec "${enter[@]}" --wdns=/root env -i HOME=/root USER=root TERM="${TERM:-dumb}" LANG=C.UTF-8 \
				PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
		fi
		exec "${enter[@]}" --wdns="/home/$USERNAME" setpriv --reuid "$USERID" --regid "$USERID" --init-groups \
			env -i HOME="/home/$USERNAME" USER="$USERNAME" LOGNAME="$USERNAME" TERM="${TERM:-dumb}" LANG=C.UTF-8 \
			XDG_RUNTIME_DIR="/run/user/$USERID" DBUS_SESSION_BUS_ADDRESS="unix:path=/run/user/$USERID/bus" \
			PATH=/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin "$@"
	) 9>&-
}

machine_push() { # NAME SRC DEST
	local name=$1 src=$2 dest=$3 mode
	[ -e "$src" ] || die "push: no such file: $src"
	case $dest in */) dest=$dest$(basename "$src") ;; esac
	case $dest in /*) ;; *) dest=/home/$USERNAME/$dest ;; esac
	if [ -d "$src" ]; then
		# shellcheck disable=SC2016
		tar -C "$src" --owner=0 --group=0 -cf - . |
			machine_run "$name" root sh -c 'mkdir -p "$1" && tar -C "$1" --no-same-owner -xf -' sh "$dest"
	else
		mode=$(stat -c %a "$src")
		# written beside and renamed: a watcher sees one complete file
		# shellcheck disable=SC2016
		machine_run "$name" root sh -c 'mkdir -p "$(dirname "$1")" && cat >"$1.push$$" && chmod "$2" "$1.push$$" &&
			case $1 in /home/"$3"/*) chown "$3:$3" "$1.push$$" ;; esac && mv -T "$1.push$$" "$1"' \
			sh "$dest" "$mode" "$USERNAME" <"$src"
	fi
	case $dest in "/home/$USERNAME/"*) push_own "$name" "$dest" ;; esac
}

# Gives a pushed path to archy, with the parents that mkdir made as root.
push_own() { # NAME DEST
	# shellcheck disable=SC2016
	machine_run "$1" root sh -c 'chown -R "$2:$2" "$1"; p=$(dirname "$1")
		while [ "$p" != "/home/$2" ] && [ "$p" != / ]; do chown "$2:$2" "$p"; p=$(dirname "$p"); done' \
		sh "$2" "$USERNAME"
}

machine_pull() { # NAME SRC DEST
	local name=$1 src=$2 dest=$3
	case $src in /*) ;; *) src=/home/$USERNAME/$src ;; esac
	case $dest in */) dest=$dest$(basename "$src") ;; esac
	mkdir -p "$(dirname "$dest")"
	if machine_run "$name" root test -d "$src"; then
		mkdir -p "$dest"
		machine_run "$name" root tar -C "$src" -cf - . </dev/null | tar -C "$dest" --no-same-owner -xf -
	else
		machine_run "$name" root test -e "$src" || die "pull: no such file in '$name': $src"
		machine_run "$name" root cat "$src" >"$dest.pull$$"
		chmod "$(machine_run "$name" root stat -L -c %a "$src")" "$dest.pull$$"
		mv -T "$dest.pull$$" "$dest"
	fi
}

disk_package() { # FS
	case $1 in
	ext4) echo e2fsprogs ;;
	xfs) echo xfsprogs ;;
	btrfs) echo btrfs-progs ;;
	*) die "no file system '$1' (ext4, xfs, btrfs)" ;;
	esac
}

# A file of this computer by way of a loop device, whose node the machine needs for a moment. The
# device goes with the mount.
machine_disk() { # NAME FS DIR
	local name=$1 fs=$2 mountpoint=$3 file device
	machine_exists "$name"
	file=$(mktemp "$DIR/run/$name/disk.XXXXXX")
	truncate -s 8G "$file"
	"mkfs.$fs" -q "$file" >&2
	device=$(losetup --find --show "$file")
	# shellcheck disable=SC2016
	machine_run "$name" root sh -c 'set -e; mkdir -p "$3"; mknod "$1" b $2; mount -t "$4" "$1" "$3"; rm "$1"; chown "$5:$5" "$3"' \
		sh /dev/disk-to-mount "$((0x$(stat -c %t "$device"))) $((0x$(stat -c %T "$device")))" "$mountpoint" "$fs" "$USERNAME" ||
		{ losetup --detach "$device"; die "can't mount a disk with $fs"; }
	losetup --detach "$device"
}

machine_poweroff() { # NAME
	local name=$1 pid i
	pid=$(machine_pid "$name") || die "no running machine '$name' (host list)"
	kill -s RTMIN+4 "$pid" # makes systemd power off
	# the user manager alone may take its two minutes
	for ((i = 0; i < 3000; i++)); do
		machine_pid "$name" >/dev/null || break
		sleep 0.05
	done
	! machine_pid "$name" >/dev/null || die "poweroff: '$name' still runs after 150 s"
	machine_kill "$name"
}

machine_kill() { # NAME: its pid namespace, then its cgroup
	local name=$1 pid cgroup i
	cgroup=$(machine_cgroup "$name")
	if pid=$(machine_pid "$name"); then
		kill -KILL "$pid" 2>/dev/null || true
	fi
	[ ! -e "$cgroup/cgroup.kill" ] || echo 1 >"$cgroup/cgroup.kill"
	for ((i = 0; i < 250; i++)); do
		[ -d "$cgroup" ] || break
		find "$cgroup" -depth -type d -exec rmdir {} + 2>/dev/null || true
		[ ! -d "$cgroup" ] || sleep 0.02
	done
	rm -f "$(machine_dir "$name")/pid"
	[ ! -d "$cgroup" ] || say "warning: cgroup $cgroup is still busy"
}

machine_remove() { # NAME
	machine_exists "$1"
	machine_kill "$1"
	rm -rf --one-file-system "$DIR/run/$1"
}

machine_list() {
	local dir name pid
	for dir in "$DIR"/run/*/; do
		[ -d "$dir" ] || continue
		name=$(basename "$dir")
		if pid=$(machine_pid "$name"); then
			printf '%s\t%s\t%s\t%s\n' "$name" "$pid" "$(cat "$dir/suite")" \
				"$(machine_run "$name" root systemctl is-system-running 2>/dev/null || true)"
		else
			printf '%s\t-\t%s\tdown\n' "$name" "$(cat "$dir/suite")"
		fi
	done
}
