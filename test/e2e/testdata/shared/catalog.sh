# catalog.sh VERB: the steps of scripts with apps of the catalog, other than archgen's.
set -e
apps=.config/archipelago/apps

# overlay ID: adds standard input as an overlay of the manifest of ID.
overlay() {
	mkdir -p "$apps/$1.d"
	cat >"$apps/$1.d/test-machine.yaml"
}

# image ID IMAGE: gives an app of one part another image.
image() { echo "app: {container: {image: \"localhost/$2\"}}" | overlay "$1"; }

# stand_in ID CONTRACT: replaces an app of one part with a stand-in.
stand_in() { image "$1" "standin/$2:1"; }

# images [CONTRACT]...: replaces the images of the registries with those of this machine,
# and builds the stand-ins of these contracts, or of all.
images() {
	for name in base ${*:-$(ls standins | grep -vx base)}; do podman build -q --layers=false -t "localhost/standin/$name:1" "standins/$name" >/dev/null; done
	# No seeds and no relays: the machine has no route, and lookups would delay the stop.
	core_image
	for id in bitcoin-knots bitcoin-core; do
		overlay $id <<-END
			app: {container: {image: "localhost/$id:29", command+: [-dnsseed=0, -fixedseeds=0]}}
		END
	done
	image bitcoin-ui nginx:1.26
	image lnd lnd:0.21
	image sftpgo sftpgo:2.7
	overlay btcpay-server <<-'END'
		app:
		  containers:
		    main: {image: "localhost/standin/btcpay-server:1"}
		    nbxplorer: {image: "localhost/standin/nbxplorer:1"}
		    db: {image: "localhost/postgres:17", read_only: true}
	END
	overlay mempool <<-'END'
		app:
		  onion: [{port: web, virtual: 80}]
		  containers:
		    main: {image: "localhost/standin/mempool-web:1"}
		    api: {image: "localhost/standin/mempool-api:1"}
		    db: {image: "localhost/mariadb:11"}
	END
	echo 'app: {container: {image: "localhost/i2pd:2", command+: ["--reseed.urls=https://127.0.0.1:9/"]}}' | overlay i2pd
	overlay tor <<-'END'
		app:
		  containers:
		    main:
		      image: localhost/tor:0.4
		      command+: [--UseDefaultFallbackDirs, "0", --DirAuthority, "nowhere orport=9 127.0.0.1:9 0000000000000000000000000000000000000001"]
		    relay: {image: "localhost/nginx:1.26"}
	END
	stand_in electrs electrs
	stand_in fulcrum fulcrum
	stand_in electrumx electrumx
	stand_in fedimint fedimintd
	stand_in fedimint-gateway gatewayd
	for id in electrs-ui electrumx-ui fulcrum-ui lnd-ui; do stand_in $id $id; done
	echo 'real: bitcoin-knots, bitcoin-core (bitcoind 29), lnd (0.21), tor (0.4), i2pd (2), bitcoin-ui, tor.relay (nginx 1.26),'
	echo 'real: btcpay-server.db (PostgreSQL 17), mempool.db (MariaDB 11), sftpgo (2.7)'
	echo 'stand-in of its contract: the rest'
}

# core_image builds an image as the contract of bitcoin-core describes it, with the image of
# bitcoin-knots.
core_image() {
	mkdir -p core
	cat >core/Containerfile <<-'END'
		FROM localhost/bitcoin-knots:29 AS knots
		FROM scratch
		COPY --from=knots / /
		ENV HOME=/data
		VOLUME /data/.bitcoin
		ENTRYPOINT ["bitcoind", "-reindex"]
	END
	podman build -q -t localhost/bitcoin-core:29 core >/dev/null
}

# pools is that mempool's API has read the list of mining pools once: its database has it.
pools() { rows 'create table if not exists stand_in (n int)'; }

# node prints the id of the running node.
node() { podman ps --format '{{.Names}}' | grep -x -e bitcoin-knots -e bitcoin-core; }

# rpc METHOD [PARAM]...: calls the node with its password.
rpc() {
	id=$(node)
	method=$1
	shift
	curl -sf --user "archipelago:$(archgen secret show --force "$id.rpc-password")" \
		--data-binary "{\"id\":\"x\",\"method\":\"$method\",\"params\":[$(IFS=,; echo "$*")]}" http://127.0.0.1:8332/
}

result() { sed 's/.*"result":"\{0,1\}//; s/"\{0,1\},"error".*//'; }

# sql TEXT: asks BTCPay's database as BTCPay does, over the network with its password.
sql() {
	podman exec --env PGPASSWORD="$(archgen secret show --force btcpay-server.db-password)" btcpay-server.db \
		psql -h db -U btcpay -qAt -d postgres -c "$1"
}

# mariadb FILE TEXT: asks mempool's database as mempool does, with the password in FILE.
mariadb() { podman exec --env MYSQL_PWD="$(cat "$1")" mempool.db mysql --host=db --user=mempool --skip-ssl --skip-column-names -e "$2" mempool; }

# rows TEXT: the same, with the password of today.
rows() {
	archgen secret show --force mempool.db-password >now
	mariadb now "$1"
}

# lnd PATH [DATA]: calls lnd, with the macaroon of its wallet once there is one.
lnd() {
	path=$1
	shift
	curl -skf --max-time 120 ${1:+--data-binary "$1"} --header "Grpc-Metadata-macaroon: $(cat macaroon 2>/dev/null)" "https://127.0.0.1:8080/v1/$path"
}

# wallet creates a wallet in lnd.
wallet() {
	seed=$(lnd genseed | jq -c .cipher_seed_mnemonic)
	lnd initwallet "{\"wallet_password\":\"$(cat password)\",\"cipher_seed_mnemonic\":$seed}" >made
	jq -r .admin_macaroon made | base64 -d | od -An -v -tx1 | tr -d ' \n' >macaroon
}

# unlocked unlocks lnd's wallet as a user does after each start, and fails unless lnd
# answers then.
unlocked() {
	case $(lnd state) in
	*LOCKED*) lnd unlockwallet "{\"wallet_password\":\"$(cat password)\"}" ;;
	esac
	lnd state | grep SERVER_ACTIVE
}

# old prints the node's answer to its old password.
old() { curl -s -o /dev/null -w '%{http_code}\n' --user "archipelago:$(cat old)" --data-binary '{"method":"uptime"}' http://127.0.0.1:8332/; }

# limits prints the node's answers to some of its users: to calls that all may make, and to
# calls that only a user with all rights may make.
limits() {
	for user in archipelago electrs guest lnd mempool; do
		name=$user
		test "$user" != archipelago || name=password
		archgen secret show --force "bitcoin-knots.rpc-$name" >limited
		for method in getblockcount listwallets; do
			curl -s -o /dev/null -w ' %{http_code}' --user "$user:$(cat limited)" --data-binary "{\"method\":\"$method\"}" http://127.0.0.1:8332/
		done | sed "s/^/$user/"
		echo
	done
}

# mine N: that many blocks, for the node's wallet.
mine() { rpc generatetoaddress "$1" "\"$(rpc getnewaddress | result)\"" >/dev/null; }

# fill creates the data that must not be lost: blocks, wallets, rows.
fill() {
	rpc createwallet '"w"' false false '""' false true true >/dev/null
	mine 101
	sql 'create table shop as select n, md5(n::text) from generate_series(1, 10000) n'
	rows 'create table fees as select seq, md5(seq) hash from seq_1_to_20000'
	head -c 24 /dev/urandom | base64 >password
	wallet
}

# fund gives lnd some money.
fund() {
	rpc sendtoaddress "\"$(lnd newaddress | jq -r .address)\"" 1 '""' '""' false true null '"unset"' false 10 >/dev/null
	mine 1
}

# kept prints the data that must not be lost.
kept() {
	rpc getbestblockhash | result
	rpc getbalances | result
	sql "select count(*), md5(string_agg(shop::text, ',' order by n)) from shop"
	rows 'select count(*), md5(group_concat(hash order by seq)) from fees'
	podman exec tor cat /data/onion-mempool-80/hostname
	podman exec i2pd sha256sum /home/i2pd/data/router.keys
	echo "lnd $(lnd getinfo | jq -r .identity_pubkey) $(lnd balance/blockchain | jq -r .confirmed_balance)"
}

units() { systemctl --user list-units --all --plain --no-legend 'app@*.service' | cut -d ' ' -f 1; }

# onion requests mempool's page as its hidden service does.
onion() {
	address=$(podman exec tor cat /etc/tor/torrc | sed -n '/onion-mempool-80$/{n;s/.* //p}')
	podman exec tor.relay curl -sf "http://$address/"
}

# wallets N PORT: opens N connections at once, and prints how many are answered.
wallets() {
	bash -c '
		for i in $(seq "$1"); do
			exec {fd}<>"/dev/tcp/127.0.0.1/$2" || exit 1
			echo "{\"id\":0,\"method\":\"server.version\",\"params\":[\"x\",\"1.4\"]}" >&"$fd" || true
			all="$all $fd"
		done
		n=0
		for fd in $all; do if read -r -t 20 line <&"$fd" && [[ $line == *stand-in* ]]; then n=$((n + 1)); fi; done
		echo "$n answered"' wallets "$1" "$2"
}

# serve fails unless every app serves, and shows those that do not.
serve() {
	archgen status | sed 1d | grep -v '^ ' >status
	if grep -v -E ' running +(serving|synced)' status; then return 1; fi
	echo "$(wc -l <status) apps serve"
}

# serves ID fails unless an app serves.
serves() { archgen status "$1" | grep -E "^$1 +running +(serving|synced)"; }

# same fails unless the data of kept is unchanged. There is no healthd here that restarts lnd
# after a pass has restarted the node.
same() {
	archgen apply >applied 2>&1 || true
	unlocked >/dev/null
	kept | cmp - kept
}

# start starts the stopped apps.
start() { systemctl --user start $(units); }

# verify WITHOUT...: checks the catalog without some apps with systemd-analyze.
verify() {
	rm -rf "$apps" && mkdir -p "$apps"
	cp -r catalog/*.yaml catalog/*.files "$apps/"
	for id; do rm -r "$apps/$id.yaml" "$apps/$id.files"; done
	archgen render >/dev/null
	systemctl --user daemon-reload
	files=$(cd .config/containers/systemd/archipelago && ls | sed -n 's/^\(app@.*\)\.container$/\1.service/p')
	systemctl --user show -P LoadState $files | grep -v -x -e loaded -e '' || true
	(cd "$XDG_RUNTIME_DIR/systemd/generator" && for file in $files; do echo "$PWD/$file"; done) | xargs systemd-analyze --user verify 2>&1 || true
	echo "$files" | wc -l | sed 's/$/ services/'
	rm -rf "$apps" .config/containers/systemd/archipelago
	systemctl --user daemon-reload
}

# refused fails if a visitor of the node's page can request more than it shows.
refused() {
	test "$(curl -s -o /dev/null -w '%{http_code}' --data-binary '{"method":"stop"}' http://127.0.0.1:2100/)" != 200
	curl -sf --data-binary '{"method":"stop"}' http://127.0.0.1:2100/api/blockchain | grep -q '"chain":"regtest"'
}

# leaks fails if a password is in a place where it must not be.
leaks() {
	for name in bitcoin-knots.rpc-password btcpay-server.db-password mempool.db-password fedimint-gateway.password; do
		archgen secret show --force $name
		echo
	done | sed '/^$/d' >secrets
	test "$(wc -l <secrets)" = 4
	{ podman inspect $(podman ps -q); systemctl --user show 'app@*'; journalctl --user -o cat; cat .config/containers/systemd/archipelago/*; ps -eo args; } >told
	if grep -F -f secrets told; then return 1; fi
	echo 'no leak'
}

# crash kills each container.
crash() {
	podman ps --no-trunc --format '{{.Names}} {{.ID}}' | sort >killed
	# One may have ended by itself, with the one before. restarted tells whether all were replaced.
	while read -r name id; do podman kill -s KILL "$name" >/dev/null || true; done <killed
}

# restarted fails unless each killed container has been replaced by another one, and its
# unit is active, which means that it serves.
restarted() {
	for unit in $(units); do systemctl --user is-active --quiet "$unit"; done
	podman ps --no-trunc --format '{{.Names}} {{.ID}}' | sort >running
	cut -d ' ' -f 1 killed >names
	cut -d ' ' -f 1 running | diff names -
	if comm -12 killed running | grep .; then return 1; fi
}

# ended prints the result of each unit that failed.
ended() { for unit in $(units); do echo "$unit $(systemctl --user show -P Result "$unit")"; done | grep -v ' success$' || true; }

# flushed VOLUME prints the signal on which a stand-in wrote its data.
flushed() { podman run --rm --volume "$1:/volume:ro" localhost/busybox:1 cat /volume/flushed; }

# order prints the apps that were started before their requirements served.
order() {
	while read -r first second; do
		a=$(systemctl --user show -P ActiveEnterTimestampMonotonic "app@$first") b=$(systemctl --user show -P ExecMainStartTimestampMonotonic "app@$second")
		if [ "$a" -gt "$b" ]; then echo "$first serves after $second is started"; fi
	done <<-'END'
		tor bitcoin-knots
		i2pd bitcoin-knots
		tor lnd
		bitcoin-knots electrs
		bitcoin-knots lnd
		bitcoin-knots btcpay-server.nbxplorer
		btcpay-server.db btcpay-server.nbxplorer
		btcpay-server.nbxplorer btcpay-server
		electrs mempool.api
		mempool.db mempool.api
		mempool.api mempool
		lnd fedimint-gateway
		bitcoin-knots fedimint
	END
}

"$@"
