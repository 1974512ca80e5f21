{{- $rpc := capability "bitcoin-rpc" -}}
export RPC_USER='{{$rpc.user}}' RPC_PASSWORD='{{secret $rpc.password_secret}}'
exec npm run dev:backend
