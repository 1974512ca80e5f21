package manifests

// What a test compares with the catalog, which imports this package.
var (
	EarlierHosts  = earlierHosts
	EarlierShares = earlierShares
)
