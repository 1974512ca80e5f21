// Package filter owns the decision which requests to Podman's API an app with `engine: read`
// may make: those that read what containers are and do, and no secrets. It also owns which
// members of an answer the app gets.
//
// It is pure: it opens no connection and reads no request by itself. What it does not list is
// refused.
package filter

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

// The methods of requests that read.
const (
	get  = "GET"
	head = "HEAD"
)

// Request is what the filter needs to know of a request.
type Request struct {
	Method string
	// Target is the text between the method and the version in the request line.
	Target string
	// HasBody reports whether a body follows, of whatever length.
	HasBody bool
	// DoesUpgrade reports whether the request asks for another protocol on its connection.
	DoesUpgrade bool
}

// Allowed is a request that may be made.
type Allowed struct {
	// Target is the path and query to send to the engine. It is composed of the table's own
	// words, the name of a container and the values of known parameters, never copied.
	Target string
	// Reduce is what the app gets of each JSON value of the answer; nil passes the answer on as
	// it is.
	Reduce func(any) any
}

// route is a path of the API that may be read.
type route struct {
	// path is without the version; NAME stands for the name or id of a container.
	path string
	// parameters is those that are passed on. The others are left out, as the engine leaves out
	// those that it does not know.
	parameters []string
	reduce     func(any) any
	// mayHead permits HEAD as well as GET.
	mayHead bool
}

var (
	logParameters   = words("follow stdout stderr since until timestamps tail")
	eventParameters = words("since until filters stream")
)

// routes is the requests that pass. The second half is those of Podman's own API.
var routes = []route{
	{path: "_ping", mayHead: true},
	{path: "version"},
	{path: "info", reduce: keep(info)},
	{path: "events", parameters: eventParameters, reduce: keep(event)},
	{path: "containers/json", parameters: words("all limit size filters"), reduce: keepEach(listed)},
	{path: "containers/NAME/json", parameters: words("size"), reduce: keep(inspected)},
	{path: "containers/NAME/stats", parameters: words("stream one-shot")},
	{path: "containers/NAME/top", reduce: processes},
	{path: "containers/NAME/logs", parameters: logParameters},

	{path: "libpod/_ping", mayHead: true},
	{path: "libpod/version"},
	{path: "libpod/info", reduce: keep(libpodInfo)},
	{path: "libpod/events", parameters: eventParameters, reduce: keep(event)},
	{path: "libpod/containers/json", parameters: words("all limit size filters namespace pod"), reduce: keepEach(listed)},
	{path: "libpod/containers/stats", parameters: words("containers stream interval")},
	{path: "libpod/containers/NAME/json", parameters: words("size"), reduce: keep(inspected)},
	{path: "libpod/containers/NAME/stats", parameters: words("stream")},
	{path: "libpod/containers/NAME/top", reduce: processes},
	{path: "libpod/containers/NAME/logs", parameters: logParameters},
	{path: "libpod/containers/NAME/exists"},
}

func words(list string) []string { return strings.Fields(list) }

// These patterns are what a path may consist of. Each leaves out the percent sign, so that a path
// has one spelling.
var (
	isVersion = regexp.MustCompile(`^v[0-9]{1,2}(\.[0-9]{1,3}){1,2}$`).MatchString
	isName    = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,254}$`).MatchString
)

// Judge decides about a request. The error says why it is refused.
func Judge(r Request) (Allowed, error) {
	switch {
	case r.Method != get && r.Method != head:
		return Allowed{}, fmt.Errorf("%s changes something, or may", r.Method)
	case r.HasBody:
		return Allowed{}, errors.New("a request that reads has no body")
	case r.DoesUpgrade:
		return Allowed{}, errors.New("no other protocol is spoken on the connection")
	}
	path, query, _ := strings.Cut(r.Target, "?")
	rest, isAbsolute := strings.CutPrefix(path, "/")
	if !isAbsolute {
		return Allowed{}, errors.New("the target of a request is a path")
	}
	version := ""
	if first, after, ok := strings.Cut(rest, "/"); ok && isVersion(first) {
		version, rest = "/"+first, after
	}
	for _, route := range routes {
		if !route.matches(rest) {
			continue
		}
		if r.Method == head && !route.mayHead {
			break
		}
		parameters, err := route.pick(query)
		if err != nil {
			return Allowed{}, err
		}
		return Allowed{Target: version + "/" + rest + parameters, Reduce: route.reduce}, nil
	}
	return Allowed{}, errors.New("it is not among the requests that read what containers are and do")
}

// matches compares a path, without the version, with that of the route.
func (r route) matches(path string) bool {
	want, have := strings.Split(r.path, "/"), strings.Split(path, "/")
	if len(want) != len(have) {
		return false
	}
	for i := range want {
		if want[i] != have[i] && (want[i] != "NAME" || !isName(have[i])) {
			return false
		}
	}
	return true
}

// pick is the known parameters of a query, with a question mark in front if there are any.
func (r route) pick(query string) (string, error) {
	given, err := url.ParseQuery(query)
	if err != nil {
		return "", errors.New("the query can't be read")
	}
	picked := url.Values{}
	for _, name := range r.parameters {
		if values := given[name]; len(values) > 0 {
			picked[name] = values
		}
	}
	if len(picked) == 0 {
		return "", nil
	}
	return "?" + picked.Encode(), nil
}
