# The page shows the networks that it is told of, and this is the one of the node
# (docker/frontend/entrypoint.sh).
export MAINNET_ENABLED={{eq .settings.network "mainnet"}}
export TESTNET4_ENABLED={{eq .settings.network "testnet4"}}
export SIGNET_ENABLED={{eq .settings.network "signet"}}
export REGTEST_ENABLED={{eq .settings.network "regtest"}}
export ROOT_NETWORK={{if ne .settings.network "mainnet"}}{{.settings.network}}{{end}}
exec /patch/entrypoint.sh nginx -g 'daemon off;'
