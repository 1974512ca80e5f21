{{- $rpc := capability "bitcoin-rpc" -}}
export FM_GATEWAY_NETWORK={{if eq .settings.network "mainnet"}}bitcoin{{else}}{{.settings.network}}{{end}}
export FM_GATEWAY_BCRYPT_PASSWORD_HASH='{{bcrypt (secret "password")}}'
export FM_BITCOIND_URL='http://{{$rpc.host}}:{{$rpc.port}}'
export FM_BITCOIND_USERNAME='{{$rpc.user}}'
export FM_BITCOIND_PASSWORD='{{secret $rpc.password_secret}}'
exec gatewayd lnd
