package umbrel

import (
	"github.com/archipelago-os/archipelago/manifests/importer"
	"github.com/archipelago-os/archipelago/manifests/importer/compose"
)

// capabilityOf is the capability of the catalog that an app of Umbrel offers, by its id.
var capabilityOf = map[string]string{
	"bitcoin": "bitcoin-rpc", "bitcoin-knots": "bitcoin-rpc", "lightning": "lightning-rpc",
	"electrs": "electrum", "electrumx": "electrum", "fulcrum": "electrum", "tor": "tor",
}

// foreignRow is a variable that another app of Umbrel exports.
type foreignRow struct {
	name string
	// is the variable of the manifest that says the same.
	is string
	// app and volume is the volume that the variable is the directory of.
	app, volume string
	// loss is why nothing says the same, and what what it is.
	loss importer.Code
	what string
}

// foreign is the variables that apps read of others. An app that exports one itself has its own
// value.
var foreign = []foreignRow{
	{name: "APP_BITCOIN_NODE_IP", is: "capability.bitcoin-rpc.host"},
	{name: "APP_BITCOIN_RPC_PORT", is: "capability.bitcoin-rpc.port"},
	{name: "APP_BITCOIN_RPC_USER", is: "capability.bitcoin-rpc.user"},
	{name: "APP_BITCOIN_RPC_PASS", is: "capability.bitcoin-rpc.password_secret"},
	{name: "APP_BITCOIN_NETWORK", is: "settings.network"},
	{name: "APP_BITCOIN_NETWORK_ELECTRS", loss: importer.ForeignValue, what: "the network in the words of electrs"},
	{name: "APP_BITCOIN_P2P_PORT", is: "capability.bitcoin-p2p.port"},
	{name: "APP_BITCOIN_P2P_WHITEBIND_PORT", is: "capability.bitcoin-p2p.port"},
	{name: "APP_BITCOIN_ZMQ_RAWBLOCK_PORT", is: "capability.bitcoin-zmq.port"},
	{name: "APP_BITCOIN_ZMQ_RAWTX_PORT", is: "capability.bitcoin-zmq.tx_port"},
	{name: "APP_BITCOIN_ZMQ_HASHBLOCK_PORT", loss: importer.ForeignValue, what: "a port that bitcoin-zmq does not export"},
	{name: "APP_BITCOIN_ZMQ_SEQUENCE_PORT", loss: importer.ForeignValue, what: "a port that bitcoin-zmq does not export"},
	{name: "APP_BITCOIN_ZMQ_HASHTX_PORT", loss: importer.ForeignValue, what: "a port that bitcoin-zmq does not export"},
	{name: "APP_BITCOIN_DATA_DIR", app: "bitcoin-core", volume: "data"},
	{name: "APP_LIGHTNING_NODE_IP", is: "capability.lightning-rpc.host"},
	{name: "APP_LIGHTNING_NODE_GRPC_PORT", is: "capability.lightning-rpc.port"},
	{name: "APP_LIGHTNING_NODE_REST_PORT", is: "capability.lightning-rpc.rest_port"},
	{name: "APP_LIGHTNING_NODE_DATA_DIR", app: "lnd", volume: "data"},
	{name: "APP_ELECTRS_NODE_IP", is: "capability.electrum.host"},
	{name: "APP_ELECTRS_NODE_PORT", is: "capability.electrum.port"},
	{name: "APP_MEMPOOL_IP", loss: importer.ForeignValue, what: "the address of the app mempool"},
	{name: "APP_MEMPOOL_PORT", loss: importer.ForeignValue, what: "a port of the app mempool"},
	{name: "APP_MEMPOOL_HIDDEN_SERVICE", loss: importer.OnionAddress, what: "the address of a hidden service"},
	{name: "TOR_PROXY_IP", is: "capability.tor.host"},
	{name: "TOR_PROXY_PORT", is: "capability.tor.port"},
}

// otherData is the directories of other apps that apps mount by their paths.
var otherData = []struct{ path, app string }{
	{"${UMBREL_ROOT}/app-data/lightning/data/lnd", "lnd"},
	{"${UMBREL_ROOT}/app-data/bitcoin/data/bitcoin", "bitcoin-core"},
}

func (r foreignRow) variable() compose.Variable {
	switch {
	case r.is != "":
		return compose.Variable{Value: importer.Reference(r.is)}
	case r.volume != "":
		return compose.Variable{Loss: importer.HostDirectory, What: "the directory of a volume"}
	default:
		return compose.Variable{Loss: r.loss, What: r.what}
	}
}
