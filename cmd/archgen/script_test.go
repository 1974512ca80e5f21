package main

import (
	"cmp"
	"crypto/ed25519"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/hiddeco/sshsig"
	"github.com/rogpeppe/go-internal/testscript"
	"golang.org/x/crypto/ssh"

	"github.com/archipelago-os/archipelago/generator/compile"
)

var rewrite = flag.Bool("update", false, "rewrite the expected output of scripts, of README.md and the manual page")

// TestMain runs archgen if the test binary is called by that name, as in scripts.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){
		"archgen": func() {
			compile.Release = cmp.Or(os.Getenv("ARCHGEN_RELEASE"), "0.0.0-test")
			stabilizationTime = time.Millisecond
			main()
		},
		"ssh-keygen": sshKeygen,
		"conmon":     func() { _, _ = io.Copy(io.Discard, os.Stdin) }, // of a fakeHost
	})
}

// sshKeygen is as much of ssh-keygen as scripts need: ssh-keygen FILE makes a key, and -Y sign -n
// NAMESPACE -f FILE signs. The key is made of the name of its file. What the real one makes is a
// fixture of manifests/catalog/index.
func sshKeygen() {
	file := os.Args[len(os.Args)-1]
	seed := sha256.Sum256([]byte(filepath.Base(file)))
	key, err := ssh.NewSignerFromKey(ed25519.NewKeyFromSeed(seed[:]))
	if err != nil {
		panic(err)
	}
	if os.Args[1] != "-Y" {
		public := ssh.MarshalAuthorizedKey(key.PublicKey())
		if err := errors.Join(os.WriteFile(file, nil, 0o600), os.WriteFile(file+".pub", public, 0o600)); err != nil {
			panic(err)
		}
		return
	}
	signature, err := sshsig.Sign(os.Stdin, key, sshsig.HashSHA512, os.Args[4])
	if err != nil {
		panic(err)
	}
	_, _ = os.Stdout.Write(sshsig.Armor(signature))
}

// TestScripts runs testdata/script, a script for each verb and one for each
// promise of render. Beside testscript's commands a script has:
//
//	exits CODE CMD…   run CMD, which must end with that exit code
//	remember DIR…     note the state of everything in the directories
//	untouched DIR…    nothing in them has been written since, not even the same content
//	odd KIND FILE     make a fifo or a socket
//	listen            act as the service manager that later commands notify
//	heard TEXT        wait until one of them has sent a message that contains TEXT
//
// There is no Podman unless a script puts one into bin/.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		UpdateScripts:       *rewrite,
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(e *testscript.Env) error {
			bin := filepath.Join(e.WorkDir, "bin")
			e.Setenv("HOME", filepath.Join(e.WorkDir, "home"))
			e.Setenv("PATH", bin+":"+e.Getenv("PATH"))
			e.Setenv("TERM", "xterm")
			e.Setenv("UID", strconv.Itoa(os.Getuid()))
			e.Setenv("GORACE", noExitDelay)
			e.Values["remembered"] = map[string]map[string]string{}
			e.Values["messages"] = make(chan string, 100)
			if err := os.Mkdir(bin, 0o755); err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(bin, "podman"), []byte("#!/bin/sh\nexit 127\n"), 0o755)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "remember": remember, "untouched": untouched, "odd": odd,
			"listen": listen, "heard": heard,
		},
	})
}

// noExitDelay: otherwise each archgen under the race detector waits a second before it
// exits.
const noExitDelay = "atexit_sleep_ms=0"

func exits(ts *testscript.TestScript, _ bool, args []string) {
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	var exit *exec.ExitError
	switch {
	case err == nil && want == 0:
	case err == nil:
		ts.Fatalf("it succeeded; want exit code %d", want)
	case !errors.As(err, &exit):
		ts.Fatalf("it did not run: %v", err)
	case exit.ExitCode() != want:
		ts.Fatalf("exit code %d, want %d", exit.ExitCode(), want)
	}
}

func remember(ts *testscript.TestScript, _ bool, args []string) {
	for _, dir := range args {
		ts.Value("remembered").(map[string]map[string]string)[dir] = state(ts, dir)
	}
}

func untouched(ts *testscript.TestScript, _ bool, args []string) {
	for _, dir := range args {
		was := ts.Value("remembered").(map[string]map[string]string)[dir]
		if d := gocmp.Diff(was, state(ts, dir)); d != "" {
			ts.Fatalf("%s was touched (-before +after):\n%s", dir, d)
		}
	}
}

// state changes when a file is written, renamed, created or removed: it is the inode and
// the change time of the directory and of everything in it.
func state(ts *testscript.TestScript, dir string) map[string]string {
	list := map[string]string{}
	dir = ts.MkAbs(dir)
	ts.Check(filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		st := info.Sys().(*syscall.Stat_t)
		list[path] = fmt.Sprintf("%v inode %d changed %d.%09d", info.Mode(), st.Ino, st.Ctim.Sec, st.Ctim.Nsec)
		return nil
	}))
	return list
}

func odd(ts *testscript.TestScript, _ bool, args []string) {
	kinds := map[string]uint32{"fifo": syscall.S_IFIFO, "socket": syscall.S_IFSOCK}
	if len(args) != 2 || !slices.Contains([]string{"fifo", "socket"}, args[0]) {
		ts.Fatalf("usage: odd fifo|socket FILE")
	}
	ts.Check(syscall.Mknod(ts.MkAbs(args[1]), kinds[args[0]]|0o644, 0))
}

func listen(ts *testscript.TestScript, _ bool, _ []string) {
	path := ts.MkAbs("notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	ts.Check(err)
	ts.Defer(func() { _ = conn.Close() })
	ts.Setenv("NOTIFY_SOCKET", path)
	messages := ts.Value("messages").(chan string)
	go func() {
		buffer := make([]byte, 4<<10)
		for {
			n, err := conn.Read(buffer) // the kernel closes the descriptor of a barrier
			if err != nil {
				return
			}
			select {
			case messages <- string(buffer[:n]):
			default: // no command waits for so many
			}
		}
	}()
}

func heard(ts *testscript.TestScript, _ bool, args []string) {
	for message := range ts.Value("messages").(chan string) {
		if strings.Contains(message, args[0]) {
			return
		}
	}
}
