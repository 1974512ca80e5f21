//go:build e2e

package package_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/archipelago-os/archipelago/test/host"
)

const imageManifest = `
app:
  id: web
  name: Web
  version: 1.0.0
  container:
    image: localhost/noshell@DIGEST
    read_only: true
    ports: [{name: web, host: 18080, container: 8080}]
    volumes: [{name: data, target: /data}]
    health: {serving: {http: {port: web}}}
`

// An image with an app in it, built as packaging/image describes, serves from its first
// boot on. It needs no manual step and works with a read-only /usr. After a factory reset
// it serves again.
func TestAppsInAnImageServeFromItsFirstBootOn(t *testing.T) {
	t.Parallel()
	tree := filepath.Join(t.TempDir(), "tree")
	run(t, ".", "cp", "-a", "--reflink=auto", host.Base(t), tree)
	within := func(command ...string) string {
		t.Helper()
		return run(t, "../..", append([]string{"packaging/image/within", tree}, command...)...)
	}
	run(t, ".", "mkdir", tree+"/build")
	run(t, "../../packaging/image", "cp", "finish", "images", only(t, dist(t), "*.deb"), imageTar(t), tree+"/build/")

	within("sh", "-c", "dpkg -i /build/*.deb")
	// its digest once loaded: an archive stores the image, not its manifest
	digest := strings.TrimSpace(within("sh", "-ec", `cd /build; chmod 755 .; mkdir made loaded
		pod() { store=$1; shift; podman --root /build/$store --runroot /run/$store --storage-driver overlay "$@"; }
		pod made import --quiet --change USER=1000:1000 --change 'ENTRYPOINT ["/app"]' --change 'CMD ["serve"]' *.tar localhost/noshell:1 >&2
		pod made save --quiet --format oci-archive --output noshell.oci localhost/noshell:1 >&2
		pod loaded load --quiet --input noshell.oci >&2
		pod loaded image inspect -f '{{.Digest}}' localhost/noshell:1`))
	write(t, tree+"/usr/share/archipelago/apps/web.yaml", strings.Replace(imageManifest, "DIGEST", digest, 1))
	within("/build/finish", "archy")
	within("/build/images", "archy", "/build/noshell.oci")
	run(t, ".", "rm", "-rf", tree+"/var/lib/systemd/linger")
	// a machine of this image has it read-only
	write(t, tree+"/etc/systemd/system/usr-read-only.service",
		"[Unit]\nDefaultDependencies=no\nBefore=sysinit.target\n[Service]\nType=oneshot\nExecStart=mount --bind -o ro /usr /usr\n[Install]\nWantedBy=sysinit.target\n")
	within("systemctl", "enable", "usr-read-only.service")

	m := host.Up(t, host.Rootfs(tree), host.Images())
	serves(t, m)
	if _, err := m.Root("touch", "/usr/written"); err == nil {
		t.Error("/usr can be written")
	}
	for _, command := range [][]string{
		{"systemctl", "--user", "is-active", "app@web", "archipelago-healthd.service"},
		// the image has the files that this machine would have rendered
		{"archgen", "render", "--out", "rendered", "/usr/share/archipelago/apps"},
		{"diff", "-r", "-x", ".archgen.lock", "rendered", "/etc/containers/systemd/users/archipelago"},
	} {
		if out, err := m.User(command...); err != nil {
			t.Errorf("%v\n%s", err, out)
		}
	}

	if _, err := m.Root("sh", "-c", "rm -rf /home/archy/.* /home/archy/* /var/lib/systemd/linger; sync"); err != nil {
		t.Fatal(err)
	}
	if err := m.Reboot(); err != nil {
		t.Fatal(err)
	}
	serves(t, m)
	m.Down()

	// The same for the system scope: its units are enabled and no user's are. bootc finds
	// the images that it has to include.
	within("rm", "-r", "/etc/containers/systemd/users")
	within("/build/finish", "--system")
	within("systemctl", "is-enabled", "archipelago-healthd.service", "archipelago-reconcile.path", "archipelago-reconcile.timer")
	if list := run(t, tree, "find", "etc/systemd/user", "-name", "archipelago-*"); list != "" {
		t.Errorf("still enabled for users: %s", list)
	}
	if bound := within("grep", "-h", "^Image=", "/usr/lib/bootc/bound-images.d/app@web.container"); bound != "Image=localhost/noshell@"+digest+"\n" {
		t.Errorf("bound to the image: %q", bound)
	}
	if left := run(t, tree, "find", "etc", "usr", "-name", ".archgen.lock"); left != "" {
		t.Errorf("the build leaves %s", left)
	}

	// bootc's work, done by hand
	within("/build/images", "root", "/build/noshell.oci")
	write(t, tree+"/etc/containers/storage.conf", `[storage]
driver = "overlay"
runroot = "/run/containers/storage"
graphroot = "/var/lib/containers/storage"
[storage.options]
additionalimagestores = ["/usr/lib/containers/root"]
`)
	m = host.Up(t, host.Rootfs(tree), host.Images())
	serves(t, m)
	if _, err := m.Root("systemctl", "is-active", "app@web", "archipelago-healthd.service"); err != nil {
		t.Error(err)
	}
}

// imageTar returns the path of a small image, as `host images` makes it.
func imageTar(t *testing.T) string {
	t.Helper()
	_, file, _ := strings.Cut(strings.TrimSpace(run(t, "../host", "./host", "images", "noshell")), "\t")
	return file
}

func write(t *testing.T, file, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
		t.Fatal(err)
	}
}

func serves(t *testing.T, m *host.Machine) {
	t.Helper()
	deadline := time.After(time.Minute)
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		_, err := m.User("curl", "-sf", "http://127.0.0.1:18080/")
		if err == nil {
			return
		}
		select {
		case <-deadline:
			journal, _ := m.Root("journalctl", "--no-pager", "-n", "60", "_UID=1000")
			t.Fatalf("the app does not serve: %v\n%s", err, journal)
		case <-tick.C:
		}
	}
}
