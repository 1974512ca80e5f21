#!/bin/bash
# matrix.sh asks, from the network namespace of each container, for every TCP port that a
# container of another app has open, at each of its addresses. It prints what answers
# although the two have no network in common, how much was asked for, and, since the tool
# itself has to be right, how many ports answer on a network that two have in common. What
# answers to a name is one of these addresses.
set -eu
enter() { if [ "$(id -u)" = 0 ]; then nsenter "$@"; else podman unshare nsenter "$@"; fi; }
dir=$(mktemp -d)
podman ps --format '{{.Names}} {{.Pid}}' >"$dir/containers"
while read -r name pid; do
	podman inspect --format '{{range $n, $v := .NetworkSettings.Networks}}{{$n}} {{println $v.IPAddress}}{{end}}' "$name" | sed '/^$/d' | sort >"$dir/addresses.$name"
	enter -t "$pid" -n cat /proc/net/tcp /proc/net/tcp6 </dev/null | while read -r _ local _ state _; do
		if [ "$state" = 0A ]; then printf '%d\n' "0x${local##*:}"; fi
	done | sort -u >"$dir/ports.$name"
done <"$dir/containers"

# targets FROM strangers|neighbours: what it should not reach, or what it should.
targets() {
	local name network address
	while read -r name _; do
		[ "${name%%.*}" != "${1%%.*}" ] || continue
		common=$(join "$dir/addresses.$1" "$dir/addresses.$name" | cut -d ' ' -f 1)
		while read -r network address; do
			case $2 in
			strangers) [ -z "$common" ] || continue ;;
			neighbours) grep -qxF -- "$network" <<<"$common" || continue ;;
			esac
			sed "s/^/$name $address /" "$dir/ports.$name"
		done <"$dir/addresses.$name"
	done <"$dir/containers"
}

# reached FROM PID WHOM: the NAME, ADDRESS and PORT of what answers.
connect='if timeout 2 bash -c "exec 3<>/dev/tcp/$1/$2" 2>/dev/null; then echo "$0 at $1:$2"; fi'
reached() { targets "$1" "$3" | tee "$dir/$3.$1" | enter -t "$2" -n xargs -r -P 15 -n 3 bash -c "$connect"; }

# All at once: a connection without an answer takes its two seconds.
while read -r name pid; do
	{
		reached "$name" "$pid" strangers | sed "s/^/$name reaches /"
		reached "$name" "$pid" neighbours >"$dir/answers.$name"
	} &
done <"$dir/containers"
wait
cat "$dir"/answers.* | wc -l | sed 's/$/ ports answer on a common network/'
cat "$dir"/strangers.* | wc -l | sed 's/$/ connections were tried that should fail/'
rm -r "$dir"
