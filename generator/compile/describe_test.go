package compile_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/manifests/rights"
	"github.com/archipelago-os/archipelago/units/status"
)

// A manifest says how the app is called, what it may do and where its page is.
func TestDescribe(t *testing.T) {
	t.Parallel()
	h := newHome(t)
	h.write("lnd", `app: {id: lnd, name: L, version: 1.0.0, ui: {port: web, path: /x}, container: {image: x,
  ports: [{name: web, host: 8443, container: 443, bind: '::1'}], health: {serving: {https: {port: web}}}}}`)
	h.write("unifi", `app: {id: unifi, name: U, version: 1.0.0, ui: {port: web, scheme: https, probe: false}, container: {image: x, ports: [{name: web, host: 9443, container: 443}]}}`)
	h.write("broken", "app: {id: broken, name: B, version: 1.0.0, container: {imag: x}}")
	k, _, err := h.source().Installed()
	if err != nil {
		t.Fatal(err)
	}
	d := k.Describe("lnd", "192.168.1.5")
	if d.Name != "L" || d.Version != "1.0.0" || d.Rights == nil {
		t.Errorf("%+v", d)
	}
	if d := cmp.Diff(&status.UI{Scheme: "https", Port: 8443, Path: "/x", URL: "https://[::1]:8443/x"}, d.UI); d != "" {
		t.Errorf("UI (-want +got):\n%s", d)
	}
	if d := cmp.Diff(&status.UI{Scheme: "https", Port: 9443, Path: "/", URL: "https://127.0.0.1:9443/"}, k.Describe("unifi", "").UI); d != "" {
		t.Errorf("a UI that is not probed (-want +got):\n%s", d)
	}
	if d := cmp.Diff(compile.Description{Rights: []rights.Granted{}}, k.Describe("none", "")); d != "" {
		t.Errorf("an app without a manifest (-want +got):\n%s", d)
	}
	want := map[string]string{"broken": h.dir + "/archipelago/apps/broken.yaml:1:44: error: one of build, image is needed"}
	if d := cmp.Diff(want, k.FirstErrors()); d != "" {
		t.Errorf("errors (-want +got):\n%s", d)
	}
}
