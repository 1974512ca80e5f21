{{- $rpc := capability "bitcoin-rpc" -}}
# fedimintd calls mainnet bitcoin.
export FM_BITCOIN_NETWORK={{if eq .settings.network "mainnet"}}bitcoin{{else}}{{.settings.network}}{{end}}
export FM_BITCOIND_URL='http://{{$rpc.host}}:{{$rpc.port}}'
export FM_BITCOIND_USERNAME='{{$rpc.user}}'
export FM_BITCOIND_PASSWORD='{{secret $rpc.password_secret}}'
exec fedimintd
