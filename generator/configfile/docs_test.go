package configfile

import (
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestDocs: what docs/files.md shows is what is rendered, and its table of functions
// is the one of the program.
func TestDocs(t *testing.T) {
	text, err := os.ReadFile("../../docs/files.md")
	if err != nil {
		t.Fatal(err)
	}
	d := Data{
		App: map[string]string{"id": "bitcoin-ui", "version": "1", "part": "main"}, Settings: map[string]string{"chain": "regtest"},
		ContainerPorts: map[string]string{"web": "8080"}, Secrets: map[string]string{"token": "ui.token"},
		Capabilities: map[string]map[string]string{
			"bitcoin-rpc": {"host": "bitcoin-rpc", "port": "8332", "user": "archipelago", "password_secret": "node.password"}, "tor": {},
		},
	}
	secrets := map[string]string{"ui.token": "3f9c", "node.password": "swordfish"}
	machine := Machine{Memory: 8192, Cores: 4, Address: "192.168.1.2"}
	examples := regexp.MustCompile("(?s)```template\n(.*?)```\n\n```text\n(.*?)```").FindAllStringSubmatch(string(text), -1)
	if len(examples) == 0 {
		t.Error("there are no examples")
	}
	for _, e := range examples {
		got, err := Render(e[1], d, machine, func(name string) (string, error) { return secrets[name], nil })
		if err != nil || string(got) != e[2] {
			t.Errorf("%s\ngives\n%s%v", e[1], got, err)
		}
	}
	for _, f := range Functions {
		if row := fmt.Sprintf("| `%s %s` | %s |\n", f.Name, f.Arguments, f.Meaning); !strings.Contains(string(text), row) {
			t.Errorf("the table of functions lacks\n%s", row)
		}
	}
}
