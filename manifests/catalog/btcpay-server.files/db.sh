set -eu
root=/var/lib/postgresql/data

# restore makes the database of a dump. It counts once it is whole: until then it lies
# beside the place where it belongs.
restore() {
	echo "btcpay-server: reading $1 into a new database"
	new=$PGDATA.new
	rm -rf "$new"
	initdb --username=archipelago --pgdata="$new" --encoding=UTF8 --auth-local=trust --auth-host=scram-sha-256 >/dev/null
	printf 'host all all all scram-sha-256\n' >>"$new/pg_hba.conf"
	mkdir -p /tmp/db
	pg_ctl --pgdata="$new" --options="-c listen_addresses='' -k /tmp/db" --wait --timeout=3600 start >/dev/null
	psql --host=/tmp/db --username=archipelago --dbname=postgres --no-psqlrc --quiet --set=ON_ERROR_STOP=1 --file="$1" >/dev/null ||
		{
			pg_ctl --pgdata="$new" --mode=immediate --wait stop >/dev/null
			echo "btcpay-server: $1 can't be read into the database; what PostgreSQL says stands above" >&2
			exit 1
		}
	pg_ctl --pgdata="$new" --mode=fast --wait --timeout=3600 stop >/dev/null
	mv "$new" "$PGDATA"
}

if [ ! -s "$PGDATA/PG_VERSION" ]; then
	for dump in "$root/btcpay.sql" /dump/btcpay.sql; do
		if [ -s "$dump" ]; then
			restore "$dump"
			break
		fi
	done
fi
if [ ! -s "$PGDATA/PG_VERSION" ]; then
	[ -s "$root/PG_VERSION" ] || exit 0
	echo "btcpay-server: the database is of PostgreSQL $(cat "$root/PG_VERSION"), which version 17 can't read. With the earlier version running, write a dump: podman exec btcpay-server.db sh -c 'pg_dumpall -U btcpay >/var/lib/postgresql/data/btcpay.sql'. Then install this version again. See docs/catalog.md, The database of BTCPay" >&2
	exit 1
fi
printf "alter role btcpay password '%s'\n" "$(cat /run/secrets/db-password)" |
	postgres --single -D "$PGDATA" -c password_encryption=scram-sha-256 postgres >/dev/null
