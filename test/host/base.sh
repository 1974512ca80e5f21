# shellcheck shell=bash
# The base: one read-only Debian tree per suite and recipe, which all machines
# share. Sourced by host.

BASE_PACKAGES=systemd,systemd-sysv,dbus,dbus-user-session,libpam-systemd,podman,crun,passt,slirp4netns,fuse-overlayfs,uidmap,netavark,aardvark-dns,iproute2,iptables,nftables,ca-certificates,curl,procps,login,passwd,sudo,catatonit,kmod,udev,jq,openssh-client,skopeo,docker-registry

# The packages that the machine that runs the tests needs, and those of further
# commands. Only missing ones are installed.
need_host_packages() { # [COMMAND:PACKAGE...]
	local pair
	local -a missing=()
	for pair in mmdebstrap:mmdebstrap ip:iproute2 nsenter:util-linux flock:util-linux \
		setpriv:util-linux tar:tar setsid:util-linux "$@"; do
		command -v "${pair%%:*}" >/dev/null || missing+=("${pair#*:}")
	done
	[ -e /usr/share/keyrings/debian-archive-keyring.gpg ] || missing+=(debian-archive-keyring)
	[ ${#missing[@]} -gt 0 ] || return 0
	say "installing ${missing[*]}"
	apt-get -qq update >&2
	DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends \
		-o DPkg::Lock::Timeout=300 install "${missing[@]}" >&2
}

# One build runs at a time: other callers wait and then find the result. Never nested.
# fd 9 must not leak into a machine, which would keep the lock.
locked() { # CMD...
	mkdir -p "$DIR"
	(
		flock 9
		"$@"
	) 9>"$DIR/lock"
}

# Removes what was not used for two weeks: recipes change, and disks are small.
cache_used() { # PATH...
	local path
	for path; do [ ! -d "$path" ] || touch "$path"; done
}
cache_prune() {
	local path
	find "$DIR"/{base,images,seed} -mindepth 1 -maxdepth 1 -mtime +14 2>/dev/null | while read -r path; do
		grep -qsxF "$path/rootfs" "$DIR"/run/*/lower || rm -rf --one-file-system "$path"
	done
}

base_dir() { # SUITE INCLUDE
	local key
	key=$(printf '%s\n' "$1" "$BASE_PACKAGES" "$2" | cat - "$HERE/customise.sh" | sha256sum | cut -c1-12)
	printf '%s/base/%s-%s' "$DIR" "$1" "$key"
}

base_build() { # SUITE INCLUDE FORCE -> its folder on stdout
	local base
	base=$(base_dir "$1" "$2")
	if [ "$3" = 1 ] || [ ! -e "$base/complete" ]; then
		locked base_make "$base" "$@" >&2
	fi
	printf '%s\n' "$base"
}

base_make() { # BASE SUITE INCLUDE FORCE
	local base=$1 suite=$2 include=$3 force=$4 start=$SECONDS
	if [ "$force" = 1 ]; then
		# a machine's overlay lies on it
		! grep -qsxF "$base/rootfs" "$DIR"/run/*/lower || die "build --force: machines still use $base (host down)"
		rm -rf "$base" "$base.tar"
	fi
	[ ! -e "$base/complete" ] || return 0
	mkdir -p "$DIR/base"
	[ -e "$base.tar" ] || base_tar "$base.tar" "$suite" "$include"
	rm -rf "$base"
	mkdir -p "$base/rootfs"
	tar -C "$base/rootfs" --xattrs --xattrs-include='*' --numeric-owner -xf "$base.tar"
	: >"$base/complete"
	say "$suite base made in $((SECONDS - start)) s"
}

base_tar() { # TAR SUITE INCLUDE
	say "making the $2 base"
	debstrap "$2" minbase "$BASE_PACKAGES${3:+,$3}" "$1.part.tar" \
		--dpkgopt='path-exclude=/usr/share/man/*' \
		--dpkgopt='path-exclude=/usr/share/doc/*' \
		--dpkgopt='path-exclude=/usr/share/locale/*' \
		--skip=essential/unlink \
		--customize-hook="sh '$HERE/customise.sh' \"\$1\"" \
		--customize-hook="cp -n \"\$1\"/var/cache/apt/archives/*.deb '$DIR/debs/$2/'"
	mv "$1.part.tar" "$1"
}

# mmdebstrap with a directory of downloaded packages that outlives the run. The
# index of a suite may have expired by this machine's clock.
debstrap() { # SUITE VARIANT PACKAGES TARGET OPTION...
	local suite=$1 variant=$2 packages=$3 target=$4 debs=$DIR/debs/$1
	shift 4
	mkdir -p "$debs"
	mmdebstrap --quiet --mode=root --variant="$variant" --include="$packages" \
		--aptopt='Apt::Install-Recommends "false"' \
		--aptopt='Acquire::Check-Valid-Until "false"' \
		--skip=download/empty \
		--setup-hook="mkdir -p \"\$1/var/cache/apt/archives\"; cp '$debs'/*.deb \"\$1/var/cache/apt/archives/\" 2>/dev/null || true" \
		"$@" "$suite" "$target" </dev/null 9>&-
}
