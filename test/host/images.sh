# shellcheck shell=bash
# Container images without a registry: each is made from Debian packages by the
# recipe in images/NAME/recipe, kept as a tar, and imported once per suite into
# a seed of archy's image store that every new machine gets a copy of.
# Sourced by host.
#
# A recipe has one `key value` a line, and # comments:
#   ref R             the image's name
#   suite S           Debian suite its packages come from
#   package P...      extracted with what they depend on, never configured
#   go FILE           instead of packages: a static binary made of FILE, as /app
#   module M@V CMD    instead of packages: the command below CMD of Go module M,
#                     static, in /usr/local/bin
#   tags T,T          build tags of the module
#   copy FROM TO      a file or folder of the module
#   user NAME UID HOME   a line of /etc/passwd and /etc/group
#   remove GLOB...    paths below / that nobody needs
#   run CMD           run inside the tree after all of that
#   dir MODE OWNER PATH  a folder; a new volume mounted there gets its owner
#   change C          a `podman import --change` value
#   smoke ARGS        arguments of `podman run` that must succeed; @ is the ref
# images/NAME/root/, when there, is copied over the tree.

recipe_all() { # NAME KEY: every value, one a line
	sed -n "s/^$2[[:space:]]\{1,\}//p" "$HERE/images/$1/recipe"
}
recipe_get() { recipe_all "$1" "$2" | head -n 1; } # NAME KEY

image_names() { # LIST -> names, one a line, sorted
	local name
	case $1 in
	none | '') return ;;
	all) for name in "$HERE"/images/*/recipe; do basename "$(dirname "$name")"; done ;;
	*) tr , '\n' <<<"$1" | sort -u ;;
	esac | while read -r name; do
		[ -e "$HERE/images/$name/recipe" ] || die "no image '$name' in $HERE/images"
		printf '%s\n' "$name"
	done
}

image_key() { # NAME
	(cd "$HERE" && find "images/$1" images.sh -type f -print0 | sort -z | xargs -0 sha256sum | sha256sum | cut -c1-12)
}
image_tar() { printf '%s/images/%s-%s.tar' "$DIR" "$1" "$(image_key "$1")"; } # NAME

image_build() { # NAME
	local tar
	tar=$(image_tar "$1")
	[ -e "$tar" ] || locked image_make "$1" "$tar" >&2
}

image_make() { # NAME TAR
	local name=$1 tar=$2 tree start=$SECONDS
	[ ! -e "$tar" ] || return 0
	say "making image $name"
	mkdir -p "$DIR/images"
	tree=$(mktemp -d "$DIR/images/tree.XXXXXX")
	# shellcheck disable=SC2064
	trap "rm -rf --one-file-system '$tree'" EXIT
	chmod 755 "$tree"
	image_fill "$name" "$tree"
	image_trim "$name" "$tree"
	image_finish "$name" "$tree"
	tar -C "$tree" --numeric-owner --mtime=@0 --sort=name --exclude='./dev/*' -cf "$tar.part" .
	mv "$tar.part" "$tar"
	say "image $name made in $((SECONDS - start)) s ($(du -h "$tar" | cut -f1))"
}

image_fill() { # NAME TREE
	local src packages suite
	src=$(recipe_get "$1" go)
	if [ -n "$src" ]; then
		go_build "$HERE/images/$1/$src" "$2/app"
		return
	fi
	src=$(recipe_get "$1" module)
	if [ -n "$src" ]; then
		module_fill "$1" "$2" "${src% *}" "${src#* }"
		return
	fi
	suite=$(recipe_get "$1" suite)
	packages=$(recipe_all "$1" package | tr -s ' \n' ',')
	debstrap "$suite" extract "${packages%,}" "$2" --skip=cleanup/apt/cache
	cp -n "$2"/var/cache/apt/archives/*.deb "$DIR/debs/$suite/"
}

need_go() {
	command -v go >/dev/null || {
		apt-get -qq update >&2
		DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends \
			-o DPkg::Lock::Timeout=300 install golang-go >&2
	}
}

# Built in the module itself, whose go.mod says what to replace and whose go.sum what
# everything has to be.
module_fill() { # NAME TREE MODULE CMD
	local dir from to
	need_go
	dir=$(cd / && go mod download -json "$3" 9>&- | sed -n 's/^[[:space:]]*"Dir": "\(.*\)",$/\1/p')
	(cd "$dir" && CGO_ENABLED=0 GOFLAGS='' GOWORK=off \
		go build -trimpath -buildvcs=false -tags "$(recipe_get "$1" tags)" -gcflags=all=-dwarf=false -ldflags='-s -w' \
		-o "$2/usr/local/bin/" "./$4" 9>&-)
	while read -r from to; do
		mkdir -p "$2$(dirname "$to")"
		cp -r "$dir/$from" "$2$to"
		chmod -R u+w "$2$to"
	done < <(recipe_all "$1" copy)
}

# Outside of any module, so that it needs neither go.mod nor the network.
go_build() { # FILE OUT
	need_go
	(cd / && CGO_ENABLED=0 GO111MODULE=off GOTOOLCHAIN=local GOFLAGS='' \
		go build -ldflags='-s -w' -o "$2" "$1" 9>&-)
}

# No image asks what is installed, and the names of this machine are not its own.
image_trim() { # NAME TREE
	local glob
	{
		printf '%s\n' etc/{hostname,hosts,resolv.conf,apt,init.d} var/lib/{apt,dpkg} 'var/cache/*' 'var/log/*' \
			usr/share/{doc,man,locale,info,lintian,bug,i18n,bash-completion} \
			'usr/lib/*/gconv' usr/lib/systemd 'usr/lib/*/systemd'
		recipe_all "$1" remove | tr -s ' ' '\n'
	} | while read -r glob; do
		# unquoted: the pattern is about the tree, and about nothing outside of it
		# shellcheck disable=SC2086
		(cd "$2" && rm -rf -- ./${glob#/})
	done
}

image_finish() { # NAME TREE
	local name=$1 tree=$2 user uid home mode owner path
	local -a words
	mkdir -p "$tree/etc" "$tree/tmp" "$tree/run" "$tree/proc" "$tree/sys" "$tree/dev" "$tree/var"
	chmod 1777 "$tree/tmp"
	printf 'root:x:0:0:root:/:/bin/sh\n' >"$tree/etc/passwd"
	printf 'root:x:0:\n' >"$tree/etc/group"
	while read -r user uid home; do
		printf '%s:x:%s:%s::%s:/bin/sh\n' "$user" "$uid" "$uid" "$home" >>"$tree/etc/passwd"
		printf '%s:x:%s:\n' "$user" "$uid" >>"$tree/etc/group"
	done < <(recipe_all "$name" user)
	[ ! -d "$HERE/images/$name/root" ] || cp -r "$HERE/images/$name/root/." "$tree/"
	while read -r -a words; do
		chroot "$tree" "${words[@]}" </dev/null
	done < <(recipe_all "$name" run)
	while read -r mode owner path; do
		mkdir -p "$tree$path"
		chown -R "$owner" "$tree$path"
		chmod "$mode" "$tree$path"
	done < <(recipe_all "$name" dir)
}

# --- the seed: archy's image store with the images in it ----------------------

seed_build() { # BASE SUITE LIST -> its folder on stdout, nothing for none
	local base=$1 suite=$2 names seed name
	names=$(image_names "$3")
	[ -n "$names" ] || return 0
	seed=$DIR/seed/$(basename "$base")-$(for name in $names; do image_key "$name"; done | sha256sum | cut -c1-12)
	if [ ! -e "$seed/complete" ]; then
		for name in $names; do image_build "$name"; done
		# shellcheck disable=SC2086
		locked seed_make "$seed" "$base" "$suite" $names >&2
	fi
	printf '%s\n' "$seed"
}

# A real machine imports and tries the images, then is switched off and its
# store is taken: nothing here knows what podman's store looks like.
seed_make() { # SEED BASE SUITE NAME...
	local seed=$1 base=$2 suite=$3 name start=$SECONDS
	shift 3
	[ ! -e "$seed/complete" ] || return 0
	rm -rf "$seed"
	mkdir -p "$seed"
	cache_prune
	machine_create "seed-$$" "$suite" "$base/rootfs"
	trap 'machine_remove "$CREATED"' EXIT
	machine_boot "$CREATED"
	machine_wait "$CREATED" 60
	for name; do seed_image "$CREATED" "$name"; done
	machine_poweroff "$CREATED"
	# Else a machine that somebody took down meanwhile leaves a store without images.
	[ -s "$DIR/run/$CREATED/home/$USERNAME/.local/share/containers/storage/overlay-images/images.json" ] || die "the machine that imports images was taken down"
	mv "$DIR/run/$CREATED/home/$USERNAME/.local" "$seed/local"
	: >"$seed/complete"
	say "image store for $suite made in $((SECONDS - start)) s"
}

seed_image() { # MACHINE NAME
	local machine=$1 name=$2 ref line
	local -a changes=() words
	ref=$(recipe_get "$name" ref)
	while read -r line; do changes+=(--change "$line"); done < <(recipe_all "$name" change)
	machine_run "$machine" "$USERNAME" podman import -q "${changes[@]}" - "$ref" <"$(image_tar "$name")" >/dev/null
	while read -r line; do
		read -r -a words <<<"${line//@/$ref}"
		line=$(machine_run "$machine" "$USERNAME" podman run --rm "${words[@]}" </dev/null 2>&1) ||
			die "image $name does not work: podman run ${words[*]}: $line"
	done < <(recipe_all "$name" smoke)
}
