# Its own address on the network that it shares with its page alone; Podman's name
# server may need a moment after the start to know it.
admin=127.0.0.1
for try in 1 2 3 4 5; do
	set -- $(getent hosts fulcrum-admin)
	if [ -n "$1" ]; then
		admin=$1
		break
	fi
	sleep 1
done
# The log goes to the journal, and to a file that starts over with each start.
rm -f /tmp/log
mkfifo /tmp/log
tee /logs/fulcrum.log </tmp/log &
exec Fulcrum --admin "$admin:8000" /etc/fulcrum.conf >/tmp/log 2>&1
