{{- $rpc := capability "bitcoin-rpc" -}}
export RPC_USER='{{$rpc.user}}' RPC_PASSWORD='{{secret $rpc.password_secret}}'
{{- with capability "tor"}}
export TOR_PROXY_IP={{.host}} TOR_PROXY_PORT={{.port}}
{{- end}}

# The wallet keeps the password that it was made with. The sum says which that was.
password='{{secret "wallet-password"}}'
sum=$(printf %s "$password" | sha256sum)
made=/data/wallet-password.sha256
wallet="/lnd/data/chain/bitcoin/$LND_NETWORK/wallet.db"
if [ ! -e "$wallet" ]; then
	echo "$sum" >"$made"
	export LND_WALLET_PASSWORD="$password"
elif [ ! -e "$made" ]; then
	echo 'lnd-ui: the wallet is older than the secret lnd-ui.wallet-password and is unlocked with the password of earlier versions' >&2
elif [ "$(cat "$made")" = "$sum" ]; then
	export LND_WALLET_PASSWORD="$password"
else
	echo 'lnd-ui: the secret lnd-ui.wallet-password is not the one that the wallet was made with; give it its earlier value with archgen secret set' >&2
	exit 1
fi

# By default it uploads the channel backup (logic/disk.js, automaticBackups). A person
# who wants that turns it on in the page.
if [ ! -e /data/state.json ]; then
	(umask 077 && echo '{"automaticBackups": false}' >/data/state.json)
fi

# Its settings have to be written before it starts: it stops lnd where they are not, or
# are those of an earlier version (apps/backend/bin/www).
(cd apps/backend && node -e '
require("module-alias").addPath(process.cwd());
const config = require("logic/config");
(async () => {
	const settings = await config.getConfig();
	if (!await config.isUmbrelLndConfUpToDate(settings)) await config.writeLndConfig(settings);
})();') || echo 'lnd-ui: its settings could not be written; it restarts lnd once' >&2
exec npm run dev:backend
