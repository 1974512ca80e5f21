#!/bin/bash
# matrix.sh asks, from the network namespace of each container, for every TCP port that a
# container of another app has open, at each of its addresses. It prints what answers
# although the two have no network in common, and how much was asked for. What answers to a
# name is one of these addresses.
set -eu
enter() { if [ "$(id -u)" = 0 ]; then nsenter "$@"; else podman unshare nsenter "$@"; fi; }
dir=$(mktemp -d)
podman ps --format '{{.Names}} {{.Pid}}' >"$dir/containers"
while read -r name pid; do
	podman inspect --format '{{range $n, $_ := .NetworkSettings.Networks}}{{println $n}}{{end}}' "$name" | sed '/^$/d' | sort >"$dir/networks.$name"
	podman inspect --format '{{range .NetworkSettings.Networks}}{{println .IPAddress}}{{end}}' "$name" | sed '/^$/d' >"$dir/addresses.$name"
	enter -t "$pid" -n cat /proc/net/tcp /proc/net/tcp6 </dev/null | while read -r _ local _ state _; do
		if [ "$state" = 0A ]; then printf '%d\n' "0x${local##*:}"; fi
	done | sort -u >"$dir/ports.$name"
done <"$dir/containers"

# targets FROM: what it should not reach.
targets() {
	local name address
	while read -r name _; do
		[ "${name%%.*}" != "${1%%.*}" ] && [ -z "$(comm -12 "$dir/networks.$1" "$dir/networks.$name")" ] || continue
		while read -r address; do sed "s/^/$name $address /" "$dir/ports.$name"; done <"$dir/addresses.$name"
	done <"$dir/containers"
}

# connect NAME ADDRESS PORT
export connect='if timeout 2 bash -c "exec 3<>/dev/tcp/$1/$2" 2>/dev/null; then echo "reaches $0 at $1:$2"; fi'
while read -r name pid; do
	targets "$name" >"$dir/targets.$name"
	enter -t "$pid" -n xargs -r -P 40 -n 3 bash -c "$connect" <"$dir/targets.$name" | sed "s/^/$name /"
done <"$dir/containers"
# The tool itself has to be right: what is meant to be reached is.
while read -r name pid; do
	for other in $(cut -d ' ' -f 1 "$dir/containers"); do
		[ "$other" != "$name" ] && [ -n "$(comm -12 "$dir/networks.$name" "$dir/networks.$other")" ] || continue
		enter -t "$pid" -n xargs -r -P 40 -n 3 bash -c "$connect" < <(while read -r address; do sed "s/^/$other $address /" "$dir/ports.$other"; done <"$dir/addresses.$other")
	done
done <"$dir/containers" | sort -u | wc -l | sed 's/$/ ports answer on a common network/'
cat "$dir"/targets.* | wc -l | sed 's/$/ connections were tried that should fail/'
rm -r "$dir"
