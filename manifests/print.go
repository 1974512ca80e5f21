package manifests

// Spread is the keys of a manifest whose maps are never written on one line, for a syntax.Printer.
var Spread = []string{"app", "container", "containers", "main", "env", "volumes", "secrets", "labels"}
