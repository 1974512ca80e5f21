{{- $rpc := capability "bitcoin-rpc" -}}
export DAEMON_URL='http://{{$rpc.user}}:{{secret $rpc.password_secret | urlquery}}@{{$rpc.host}}:{{$rpc.port}}/'
export CACHE_MB={{max 200 (min 1200 (div .machine.memory 8))}}
exec init
