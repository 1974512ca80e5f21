//go:build e2e

// Package package_test checks the packages that make dist builds: the deb and the rpm hold
// the same files, and every build of a version is the same. test/e2e tests what the
// packages do on a machine.
package package_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// run runs a command and returns what it writes to stdout.
func run(t *testing.T, dir string, command ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), command[0], command[1:]...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "DPKG_DEB_COMPRESSOR_TYPE=gzip", "DPKG_DEB_COMPRESSOR_LEVEL=1")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", strings.Join(command, " "), err, out, stderr.Bytes())
	}
	return string(out)
}

// dist returns the directory with what make dist builds from this tree.
func dist(t *testing.T) string {
	t.Helper()
	once.Do(func() { run(t, "../..", "make", "-s", "dist", "DIST="+built) })
	if t.Failed() {
		t.FailNow()
	}
	return built
}

// only returns the one file of the directory that matches a pattern.
func only(t *testing.T, dir, pattern string) string {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(found) != 1 {
		t.Fatalf("%s in %s: found %v, %v", pattern, dir, found, err)
	}
	return found[0]
}

var (
	once  sync.Once
	built = filepath.Join(os.TempDir(), fmt.Sprintf("archipelago-dist-%d", os.Getpid()))
)

func TestMain(m *testing.M) {
	code := m.Run()
	_ = os.RemoveAll(built)
	os.Exit(code)
}

const rpmFile = "*.rpm"

// A build from the unpacked source tarball results in the same bytes.
func TestTwoBuildsAreTheSame(t *testing.T) {
	t.Parallel()
	first, elsewhere := dist(t), t.TempDir()
	run(t, elsewhere, "tar", "-xf", only(t, first, "*.tar.gz"), "--strip-components=1")
	run(t, elsewhere, "make", "-s", "dist")
	second := filepath.Join(elsewhere, "dist")
	if d := cmp.Diff(read(t, filepath.Join(first, "SHA256SUMS")), read(t, filepath.Join(second, "SHA256SUMS"))); d != "" {
		t.Errorf("the second build differs (-first +second):\n%s", d)
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// Both packages have exactly what make install installs, owned by root, with the same modes
// and content. The exceptions are pages and documents, which distributions compress, and
// the licences and the completions of zsh, which they put into other directories.
func TestBothPackagesHoldWhatMakeInstallInstalls(t *testing.T) {
	t.Parallel()
	tree := t.TempDir()
	run(t, tree, "tar", "-xf", only(t, dist(t), "*.tar.gz"), "--strip-components=1")
	run(t, tree, "make", "-s", "compile", "GOFLAGS=-mod=vendor")
	run(t, tree, "make", "-s", "install", "DESTDIR="+filepath.Join(tree, "root"))
	want := files(t, run(t, tree, "tar", "-C", "root", "--owner=0", "--group=0", "-cf", "-", "."))
	deb := files(t, run(t, tree, "dpkg-deb", "--fsys-tarfile", only(t, dist(t), "*.deb")))
	rpm := files(t, run(t, tree, "tar", "-C", rpmRoot(t), "--exclude=./var", "--exclude=./root", "-cf", "-", "."))

	if d := cmp.Diff(want, rpm); d != "" {
		t.Errorf("make install and the rpm (-install +rpm):\n%s", d)
	}
	debian := map[string]string{}
	for name, file := range want {
		switch {
		case strings.HasPrefix(name, "/usr/share/licenses/"): // see copyright
		case name == "/usr/share/zsh/site-functions/_archgen":
			debian["/usr/share/zsh/vendor-completions/_archgen"] = file
		case name == "/usr/share/doc/archipelago/CHANGELOG.md":
			debian["/usr/share/doc/archipelago/changelog"] = file
		default:
			debian[name] = file
		}
	}
	for _, own := range []string{"doc/archipelago/copyright", "doc/archipelago/changelog.Debian", "lintian/overrides/archipelago"} {
		if deb["/usr/share/"+own] == "" {
			t.Errorf("the deb lacks %s", own)
		}
		delete(deb, "/usr/share/"+own)
	}
	if d := cmp.Diff(debian, deb); d != "" {
		t.Errorf("make install and the deb (-install +deb):\n%s", d)
	}
}

// files returns the mode, owner and digest of each file in a tar, by its installed and
// uncompressed name.
func files(t *testing.T, archive string) map[string]string {
	t.Helper()
	list := map[string]string{}
	for r := tar.NewReader(strings.NewReader(archive)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return list
		}
		if err != nil {
			t.Fatal(err)
		}
		if h.Typeflag == tar.TypeDir {
			continue
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		name, packed := strings.CutSuffix(strings.TrimPrefix(h.Name, "."), ".gz")
		if packed {
			content = gunzip(t, content)
		}
		list[name] = fmt.Sprintf("%v %s:%s %x", fs.FileMode(h.Mode), owner(h.Uid, h.Uname), owner(h.Gid, h.Gname), sha256.Sum256(content))
	}
}

func owner(id int, name string) string {
	if id == 0 {
		return "root"
	}
	return name
}

func gunzip(t *testing.T, packed []byte) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "gzip", "-dc")
	cmd.Stdin = bytes.NewReader(packed)
	content, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// rpmRoot returns a root directory with only the rpm installed in it.
func rpmRoot(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	run(t, root, "rpm", "--root", root, "--initdb")
	// its scripts need a machine: test/e2e has one
	run(t, root, "rpm", "--root", root, "--install", "--nodeps", "--noscripts", only(t, dist(t), rpmFile))
	return root
}

func TestRPMInARoot(t *testing.T) {
	t.Parallel()
	root := rpmRoot(t)
	if out := run(t, root, "rpm", "--root", root, "--verify", "--nodeps", "archipelago"); out != "" {
		t.Errorf("verify finds differences:\n%s", out)
	}
	for line := range strings.Lines(run(t, root, "rpm", "--root", root, "-q", "--queryformat", `[%{FILEMODES:perms} %{FILEUSERNAME}:%{FILEGROUPNAME} %{FILENAMES}\n]`, "archipelago")) {
		mode, rest, _ := strings.Cut(line, " ")
		if !strings.HasPrefix(rest, "root:root /usr/") || !slices.Contains([]string{"drwxr-xr-x", "-rwxr-xr-x", "-rw-r--r--"}, mode) {
			t.Errorf("neither of root, below /usr, nor readable by all: %s", line)
		}
	}
	run(t, root, "rpm", "--root", root, "--erase", "--nodeps", "--noscripts", "archipelago")
	if left := run(t, root, "find", root, "-name", "*archipelago*", "-o", "-name", "*archgen*"); left != "" {
		t.Errorf("erasing leaves %s", left)
	}
}

// The dependencies and the metadata of the packages.
func TestWhatThePackagesSay(t *testing.T) {
	t.Parallel()
	version := regexp.MustCompile(`(?m)^## \[(\d[^]]*)\]`).FindStringSubmatch(read(t, "../../CHANGELOG.md"))[1]
	rpm, deb := only(t, dist(t), rpmFile), only(t, dist(t), "*.deb")
	if got := run(t, ".", "rpm", "-qp", "--queryformat", "%{VERSION}", rpm); got != version {
		t.Errorf("the rpm is of version %s, CHANGELOG.md has %s", got, version)
	}
	if got := run(t, ".", "dpkg-deb", "-f", deb, "Version"); got != version+"-1\n" {
		t.Errorf("the deb is of version %s, CHANGELOG.md has %s", got, version)
	}
	if got := regexp.MustCompile(`(?m)^Version: *(.*)$`).FindStringSubmatch(read(t, "../../archipelago.spec"))[1]; got != version {
		t.Errorf("archipelago.spec has version %s, CHANGELOG.md has %s", got, version)
	}
	for name, needs := range map[string]string{rpm: run(t, ".", "rpm", "-qp", "--requires", rpm), deb: run(t, ".", "dpkg-deb", "-f", deb, "Depends")} {
		if !strings.Contains(needs, "podman") || !strings.Contains(needs, ">= 4.7") {
			t.Errorf("%s must need podman from 4.7 on, and needs %s", filepath.Base(name), needs)
		}
	}
}

// The SBOM names all linked libraries with checksums and licences, and the rpm declares the
// same as bundled.
func TestEverythingThatIsLinkedIsNamed(t *testing.T) {
	t.Parallel()
	var sbom struct {
		Version  string `json:"spdxVersion"`
		Packages []struct {
			Name     string `json:"name"`
			Version  string `json:"versionInfo"`
			Source   string `json:"sourceInfo"`
			Licenses string `json:"licenseConcluded"`
		} `json:"packages"`
	}
	if err := json.Unmarshal([]byte(read(t, only(t, dist(t), "*.spdx.json"))), &sbom); err != nil {
		t.Fatal(err)
	}
	if sbom.Version != "SPDX-2.3" {
		t.Errorf("spdxVersion = %q", sbom.Version)
	}
	rpm := only(t, dist(t), rpmFile)
	licenses := strings.Split(run(t, ".", "rpm", "-qp", "--queryformat", "%{LICENSE}", rpm), " AND ")
	var want, have []string
	for _, p := range sbom.Packages {
		for license := range strings.SplitSeq(p.Licenses, " AND ") {
			if !slices.Contains(licenses, license) {
				t.Errorf("%s is under %s, and archipelago.spec says %v", p.Name, license, licenses)
			}
		}
		if p.Name == "std" || strings.HasSuffix(p.Name, "/archipelago") {
			continue
		}
		if !strings.HasPrefix(p.Source, "go.sum has h1:") {
			t.Errorf("%s has no checksum", p.Name)
		}
		want = append(want, fmt.Sprintf("bundled(golang(%s)) = %s", p.Name, strings.TrimPrefix(p.Version, "v")))
	}
	for line := range strings.Lines(run(t, ".", "rpm", "-qp", "--provides", rpm)) {
		if strings.HasPrefix(line, "bundled(") {
			have = append(have, strings.TrimSpace(line))
		}
	}
	slices.Sort(want)
	slices.Sort(have)
	if d := cmp.Diff(want, have); d != "" {
		t.Errorf("Provides: bundled(…) in archipelago.spec and what is linked (-linked +spec):\n%s", d)
	}
}

// lintian and rpmlint find nothing but what packaging/ explains.
func TestLint(t *testing.T) {
	t.Parallel()
	run(t, "../..", "packaging/build", "-", dist(t), "lint")
}
