package manifests

import (
	"reflect"
	"strings"
)

// elsewhere maps keys of Compose, Kubernetes and Podman's own units to the keys of a manifest:
// the first one that fits in that place is suggested.
var elsewhere = map[string][]string{
	"args":              {"command"},
	"cap_add":           {"capabilities.add"},
	"cmd":               {"command", "container.command"},
	"command":           {"container.command"},
	"containerPort":     {"container"},
	"cpu_shares":        {"limits.cpu_weight"},
	"cpus":              {"limits.cpus"},
	"depends_on":        {"after", "requires"},
	"destination":       {"target"},
	"dockerfile":        {"containerfile"},
	"env":               {"container.env"},
	"env_file":          {"env_files", "container.env_files"},
	"environment":       {"env", "container.env"},
	"expose":            {"ports"},
	"extra_hosts":       {"hosts"},
	"healthcheck":       {"health", "container.health"},
	"health":            {"container.health"},
	"gpus":              {"devices"},
	"hostPort":          {"host"},
	"host_ip":           {"bind"},
	"image":             {"container.image"},
	"livenessProbe":     {"health.alive"},
	"mem_limit":         {"limits.memory"},
	"mem_reservation":   {"limits.memory_reservation"},
	"memory":            {"limits.memory"},
	"mountPath":         {"target"},
	"network_mode":      {"network"},
	"pids_limit":        {"limits.pids"},
	"ports":             {"container.ports"},
	"published":         {"host"},
	"readinessProbe":    {"health.serving"},
	"resources":         {"limits"},
	"restart":           {"container.restart"},
	"security_opt":      {"security"},
	"services":          {"containers"},
	"shm_size":          {"limits.shm"},
	"stdin_open":        {"stdin"},
	"stop_grace_period": {"stop.timeout"},
	"stop_signal":       {"stop.signal"},
	"tz":                {"timezone"},
	"ulimits":           {"limits.ulimits"},
	"userns_mode":       {"userns"},
}

// explained is what to do with keys of Compose for which there is no single key here.
var explained = map[string]string{
	"cap_drop":       "leave it out: all capabilities are dropped except those in capabilities.add",
	"container_name": "leave it out: the container is called ID, or ID.PART",
	"deploy":         "its resources are limits here, its restart_policy is restart",
	"logging":        "leave it out: what the container prints is in the journal",
}

// calledHere is a hint for a key that others have, where something unknown is in a
// structure of the schema; or nothing.
func calledHere(key string, in reflect.Type) string {
	for _, here := range elsewhere[key] {
		if has(in, here) {
			return "here that is " + here
		}
	}
	return explained[key]
}

// has reports whether a structure has what a path of keys leads to.
func has(in reflect.Type, path string) bool {
	top, rest, more := strings.Cut(path, ".")
	i, known := planOf(in).byKey[top]
	if !known || !more {
		return known
	}
	next := in.Field(i).Type
	if next.Kind() == reflect.Pointer {
		next = next.Elem()
	}
	return next.Kind() == reflect.Struct && has(next, rest)
}
