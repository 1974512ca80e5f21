package filter

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What passes, and what the engine is then asked for.
func TestPasses(t *testing.T) {
	t.Parallel()
	for target, want := range map[string]string{
		"/_ping":                                "/_ping",
		"/version":                              "/version",
		"/v1.43/info":                           "/v1.43/info",
		"/events?since=1&filters=%7B%7D":        "/events?filters=%7B%7D&since=1",
		"/containers/json":                      "/containers/json",
		"/containers/json?all=1&sync=true":      "/containers/json?all=1",
		"/v1.43/containers/json?":               "/v1.43/containers/json",
		"/containers/web/json":                  "/containers/web/json",
		"/containers/json/json":                 "/containers/json/json",
		"/containers/shop.db/stats?stream=0":    "/containers/shop.db/stats?stream=0",
		"/containers/web/top?ps_args=e":         "/containers/web/top",
		"/containers/web/logs?stdout=1&tail=5":  "/containers/web/logs?stdout=1&tail=5",
		"/v5.4.2/libpod/_ping":                  "/v5.4.2/libpod/_ping",
		"/v5.4.2/libpod/info":                   "/v5.4.2/libpod/info",
		"/v5.4.2/libpod/containers/stats":       "/v5.4.2/libpod/containers/stats",
		"/v5.4.2/libpod/containers/web/exists":  "/v5.4.2/libpod/containers/web/exists",
		"/v5.4.2/libpod/containers/json?pod=1":  "/v5.4.2/libpod/containers/json?pod=1",
		"/v5.4.2/libpod/containers/web/json":    "/v5.4.2/libpod/containers/web/json",
		"/containers/web/logs?since=1%26stop=1": "/containers/web/logs?since=1%26stop%3D1",
	} {
		allowed, err := Judge(Request{Method: "GET", Target: target})
		if err != nil || allowed.Target != want {
			t.Errorf("GET %s: %q, %v; want %q", target, allowed.Target, err, want)
		}
	}
	if allowed, err := Judge(Request{Method: "HEAD", Target: "/_ping"}); err != nil || allowed.Target != "/_ping" {
		t.Errorf("HEAD /_ping: %q, %v", allowed.Target, err)
	}
}

// What reveals secrets, changes something, or is a path in disguise.
func TestIsRefused(t *testing.T) {
	t.Parallel()
	for what, targets := range map[string]string{
		"it reads files or secrets": `/containers/web/archive?path=/etc/shadow /containers/web/export /containers/web/changes /secrets /secrets/key/json
			/v5.4.2/libpod/secrets/key/json?showsecret=true /v5.4.2/libpod/secrets/json /images/x/get /images/get?names=x /configs /volumes/x
			/v5.4.2/libpod/volumes/x/export /v5.4.2/libpod/containers/web/mount /v5.4.2/libpod/containers/showmounted
			/v5.4.2/libpod/generate/kube?names=web /v5.4.2/libpod/generate/web/systemd /v5.4.2/libpod/containers/web/checkpoint`,
		"it reads the environment or arguments": `/images/x/json /images/x/history /exec/1/json /v5.4.2/libpod/exec/1/json /system/df`,
		"it is a stream both ways":              `/containers/web/attach /containers/web/attach/ws /session /grpc /v5.4.2/libpod/containers/web/attach`,
		"its path has another spelling": `//containers/json /containers//json /containers/./json /containers/../secrets /containers/web/../../secrets /containers/%2e%2e/secrets
			/containers/web%2f..%2f..%2fsecrets/json /containers/web/json/ /%5fping /containers/web;x/json /CONTAINERS/json /v1.43/v1.43/info /v1.43//info /v1/info
			/v1.43.1.1/info /vx/info /v1.43/../info /containers/..;/json /containers/web\/json /containers/.../json /containers/-x/json /containers/ /containers //`,
		"its target is no path":   `http://podman/info unix:///info * podman:80 info ?x`,
		"its query can't be read": `/events?a;b /events?%zz`,
	} {
		for target := range strings.FieldsSeq(targets) {
			if allowed, err := Judge(Request{Method: "GET", Target: target}); err == nil {
				t.Errorf("%s, but GET %s passes as %s", what, target, allowed.Target)
			}
		}
	}
	for _, r := range []Request{
		{Method: "POST", Target: "/containers/create"},
		{Method: "POST", Target: "/containers/json"},
		{Method: "DELETE", Target: "/containers/web"},
		{Method: "PUT", Target: "/containers/web/archive"},
		{Method: "CONNECT", Target: "/_ping"},
		{Method: "get", Target: "/_ping"},
		{Method: "", Target: "/_ping"},
		{Method: "HEAD", Target: "/containers/web/archive?path=/"},
		{Method: "HEAD", Target: "/containers/json"},
		{Method: "GET", Target: "/_ping", HasBody: true},
		{Method: "GET", Target: "/_ping", DoesUpgrade: true},
		{Method: "GET", Target: ""},
	} {
		if allowed, err := Judge(r); err == nil {
			t.Errorf("%+v passes as %s", r, allowed.Target)
		}
	}
}

// No member that holds a secret, or can, is left in what the app gets.
func TestAnswersHoldNoSecrets(t *testing.T) {
	t.Parallel()
	for target, of := range map[string]struct{ answer, want string }{
		"/containers/web/json": {
			`{"Id":"1","Name":"/web","Path":"/app","Args":["--password=SECRET"],"ResolvConfPath":"/x","State":{"Status":"running","Error":"SECRET","Health":{"Status":"healthy","Log":[{"Output":"SECRET"}]}},
			"Config":{"Env":["KEY=SECRET"],"Cmd":["SECRET"],"Entrypoint":"SECRET","Labels":{"a":"b"},"CreateCommand":["SECRET"],"Secrets":[{"Name":"SECRET"}],"Healthcheck":{"Test":["SECRET"]}},
			"HostConfig":{"Binds":["/a:/b"],"NetworkMode":"bridge"},"Unknown":"SECRET"}`,
			`{"Config":{"Labels":{"a":"b"}},"HostConfig":{"NetworkMode":"bridge"},"Id":"1","Name":"/web","State":{"Health":{"Status":"healthy"},"Status":"running"}}`,
		},
		"/containers/json": {
			`[{"Id":"1","Names":["/web"],"Command":"/app --password=SECRET","Labels":null},"SECRET"]`,
			`[{"Id":"1","Labels":null,"Names":["/web"]},null]`,
		},
		"/v5.4.2/libpod/containers/json": {`[{"Id":"1","Command":["/app","SECRET"],"CIDFile":"/x"}]`, `[{"Id":"1"}]`},
		"/info":                          {`{"NCPU":2,"HttpProxy":"http://user:SECRET@proxy","RegistryConfig":{"x":"SECRET"}}`, `{"NCPU":2}`},
		"/v5.4.2/libpod/info":            {`{"host":{"cpus":2,"remoteSocket":{}},"registries":{"x":"SECRET"},"version":{"Version":"5.4.2"}}`, `{"host":{"cpus":2},"version":{"Version":"5.4.2"}}`},
		"/events":                        {`{"Action":"health_status","Actor":{"ID":"1","Attributes":{"name":"web"},"Log":"SECRET"},"HealthLog":"SECRET"}`, `{"Action":"health_status","Actor":{"Attributes":{"name":"web"},"ID":"1"}}`},
		"/containers/web/top": {
			`{"Titles":["PID","CMD","ENVIRON"],"Processes":[["1","/app --password SECRET","SECRET"],["2","sh","-c","SECRET"],["3"],null]}`,
			`{"Processes":[["1","/app"],["2","sh"],["3"],[]],"Titles":["PID","CMD"]}`,
		},
		"/v5.4.2/libpod/containers/web/top": {`"SECRET"`, `{"Processes":[],"Titles":[]}`},
	} {
		allowed, err := Judge(Request{Method: "GET", Target: target})
		if err != nil {
			t.Fatalf("GET %s: %v", target, err)
		}
		var v any
		if err := json.Unmarshal([]byte(of.answer), &v); err != nil {
			t.Fatal(err)
		}
		got, err := json.Marshal(allowed.Reduce(v))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(of.want, string(got)); d != "" {
			t.Errorf("GET %s (-want +got):\n%s", target, d)
		}
	}
}

// canonical is all that an engine may ever be asked for.
var canonical = regexp.MustCompile(`^(/v\d+(\.\d+){1,2})?(/libpod)?/(_ping|version|info|events|containers/json|containers/stats|containers/[a-zA-Z0-9][a-zA-Z0-9_.-]*/(json|stats|top|logs|exists))(\?[a-zA-Z0-9_.%+*=&-]*)?$`)

// Whatever is asked for, the engine gets a path of the table in its one spelling, and parameters
// in theirs.
func FuzzJudge(f *testing.F) {
	for _, seed := range []string{
		"/_ping", "/v1.43/containers/json?all=1", "/containers/web/logs?follow=1", "//containers/../secrets", "/containers/%2e%2e/json", "http://x/_ping", "/v5.4.2/libpod/containers/a/top?ps_args=e",
	} {
		f.Add("GET", seed)
	}
	f.Add("HEAD", "/_ping")
	f.Add("POST", "/containers/create")
	f.Fuzz(func(t *testing.T, method, target string) {
		allowed, err := Judge(Request{Method: method, Target: target})
		switch {
		case err != nil:
		case method != "GET" && method != "HEAD":
			t.Errorf("%s passes", method)
		case !canonical.MatchString(allowed.Target):
			t.Errorf("%q passes as %q", target, allowed.Target)
		case strings.Contains(allowed.Target, "ps_args"):
			t.Errorf("%q passes a parameter that chooses what ps shows", target)
		}
		if again, err2 := Judge(Request{Method: method, Target: allowed.Target}); err == nil && (err2 != nil || again.Target != allowed.Target) {
			t.Errorf("%q passes as %q, which passes as %q: %v", target, allowed.Target, again.Target, err2)
		}
	})
}

// FuzzReduce: an answer of any shape is reduced without a failure, and to what is listed: to reduce
// it again leaves it as it is.
func FuzzReduce(f *testing.F) {
	f.Add([]byte(`{"Titles":["PID",1],"Processes":[["1"],2,null]}`))
	f.Add([]byte(`[{"Id":[]},1,null,[[]]]`))
	f.Add([]byte(`{"State":1,"Config":null,"HostConfig":[],"Env":["SECRET"]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, r := range routes {
			if r.reduce == nil {
				continue
			}
			once, ok := reduced(t, r.reduce, data)
			if !ok {
				return
			}
			if twice, _ := reduced(t, r.reduce, once); string(twice) != string(once) {
				t.Errorf("%s: %s becomes %s, then %s", r.path, data, once, twice)
			}
		}
	})
}

func reduced(t *testing.T, f func(any) any, data []byte) (text []byte, ok bool) {
	t.Helper()
	var v any
	if json.Unmarshal(data, &v) != nil {
		return nil, false
	}
	text, err := json.Marshal(f(v))
	if err != nil {
		t.Fatal(err)
	}
	return text, true
}
