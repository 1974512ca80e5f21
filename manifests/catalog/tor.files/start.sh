while read -r key value; do
	if [ "$key" = nameserver ]; then servers="$servers $value"; fi
done </etc/resolv.conf
echo "resolver $servers valid=5s ipv6=off;" >/tmp/resolver.conf
exec nginx -c /etc/nginx/relay.conf
