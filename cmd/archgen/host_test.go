package main

import "testing"

// TestSteady: what Podman says of a pull that fails is the same at each try.
func TestSteady(t *testing.T) {
	for text, want := range map[string]string{
		`Get "https://127.0.0.1:5000/v2/": read tcp 127.0.0.1:38296->127.0.0.1:5000: read: connection reset by peer`:   `Get "https://127.0.0.1:5000/v2/": read tcp 127.0.0.1:5000: read: connection reset by peer`,
		`Get "https://[::1]:5000/v2/": read tcp [::1]:38296->[::1]:5000: read: connection reset by peer`:               `Get "https://[::1]:5000/v2/": read tcp [::1]:5000: read: connection reset by peer`,
		"certificate has expired or is not yet valid: current time 2026-11-26T02:30:11Z is after 2026-11-26T01:29:40Z": "certificate has expired or is not yet valid: after 2026-11-26T01:29:40Z",
		`pinging container registry 127.0.0.1:5000: StatusCode: 429, "not today\n"`:                                    `pinging container registry 127.0.0.1:5000: StatusCode: 429, "not today\n"`,
	} {
		if got := steady(text); got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
	}
}
