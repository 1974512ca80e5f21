{{- $rpc := capability "bitcoin-rpc" -}}
export DAEMON_URL='http://{{$rpc.user}}:{{secret $rpc.password_secret | urlquery}}@{{$rpc.host}}:{{$rpc.port}}/'
export CACHE_MB={{max 200 (min 1200 (div .machine.memory 8))}}
# Its own address on the network that it shares with its page alone; Podman's name
# server may need a moment after the start to know it.
admin=127.0.0.1
for try in 1 2 3 4 5; do
	set -- $(getent hosts electrumx-admin)
	if [ -n "$1" ]; then
		admin=$1
		break
	fi
	sleep 1
done
export SERVICES="tcp://:50001,rpc://$admin:8000"
# By its path: the shell of busybox has a program init of its own.
exec /usr/local/bin/init
