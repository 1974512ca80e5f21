package imports

import (
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/archipelago-os/archipelago/generator/compile"
	"github.com/archipelago-os/archipelago/manifests/importer"
	"github.com/archipelago-os/archipelago/units/podman/podmancli"
	"github.com/archipelago-os/archipelago/units/podman/podmantest"
)

// podmanOf answers by a table, also to questions that another one is asked first.
func podmanOf(answers map[string]string) *podmantest.Podman {
	return &podmantest.Podman{Answers: answers}
}

// world is a session in a directory of its own, and what it printed.
type world struct {
	*Session
	stdout, stderr bytes.Buffer
}

func newWorld(t *testing.T, podman podmancli.Runner) *world {
	t.Helper()
	w := &world{}
	getenv := func(string) string { return "" }
	w.Session = &Session{
		Out: t.TempDir(), Stdin: strings.NewReader(""), Stdout: &w.stdout, Stderr: &w.stderr, Getenv: getenv, Podman: podman,
		Load: func(path string) (*compile.Compiled, error) {
			return compile.Source{Podman: "5.4", Generator: "test", Getenv: getenv, Ungranted: true}.Named([]string{path}, nil)
		},
	}
	return w
}

// project is a directory with a Compose file.
func project(t *testing.T, services string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "web")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "compose.yaml"), []byte("services:\n  web: {image: 'docker.io/x/web:1'"+services+"}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir
}

const listed = `[{"Names": ["docker.io/x/web:1"]}]`

// How an import ends depends on what is lost, and on how the manifest fits its image.
func TestOutcomes(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		services string
		podman   map[string]string
		want     Outcome
		says     string
	}{
		"nothing is lost":    {"", map[string]string{"image ls": "[]"}, Whole, "web: "},
		"something is lost":  {", domainname: example.org", map[string]string{"image ls": "[]"}, Lossy, "[no-equivalent]"},
		"it can't be said":   {", volumes: ['/var/run/docker.sock:/x']", nil, Failed, "[engine-socket]"},
		"the image is here":  {"", map[string]string{"image ls": listed, "image exists": "", "image inspect": `[{"Config": {}}]`}, Whole, "web: "},
		"it does not fit":    {"", map[string]string{"image ls": listed, "image exists": "", "image inspect": `[{"Config": {"Volumes": {"/cache": {}}}}]`}, Lossy, "[image-volume]"},
		"it is unreadable":   {"", map[string]string{"image ls": listed, "image exists": ""}, Whole, "note: the manifest was not compared with its image: podman image inspect"},
		"Podman has no list": {"", nil, Whole, "note: the manifests were not compared with images, since Podman does not answer: podman image ls"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, podmanOf(tt.podman).Run)
			got, err := w.Path(context.Background(), Compose, project(t, tt.services))
			if got != tt.want || (err != nil) != (tt.want == Failed) {
				t.Errorf("got %v and %v, want %v", got, err, tt.want)
			}
			if !strings.Contains(w.stderr.String(), tt.says) {
				t.Errorf("%q is not in:\n%s", tt.says, w.stderr.String())
			}
		})
	}
}

// Without Podman a manifest is written all the same, and one line says what was not done.
func TestNoPodman(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(_ context.Context, call podmancli.Call) error {
		return &podmancli.Error{Args: call.Args, Err: &exec.Error{Name: "podman", Err: exec.ErrNotFound}}
	})
	got, err := w.Path(context.Background(), Compose, project(t, ""))
	if got != Whole || err != nil || strings.Count(w.stderr.String(), "note: ") != 1 {
		t.Errorf("got %v and %v, and it says:\n%s", got, err, w.stderr.String())
	}
	if _, err := w.Containers(context.Background(), []string{"web"}); !errors.Is(err, exec.ErrNotFound) {
		t.Errorf("the error of a container is %v", err)
	}
}

// A store is compared, too, with one question about all images.
func TestStoreIsCompared(t *testing.T) {
	t.Parallel()
	podman := podmanOf(map[string]string{"image ls": listed, "image exists": "", "image inspect": `[{"Config": {"Volumes": {"/cache": {}}}}]`})
	w := newWorld(t, podman.Run)
	got, err := w.Path(context.Background(), Compose, filepath.Dir(project(t, "")))
	if got != Lossy || err != nil || !strings.Contains(w.stderr.String(), "[image-volume]") {
		t.Errorf("got %v and %v, and it says:\n%s", got, err, w.stderr.String())
	}
	if len(podman.Asked) != 3 {
		t.Errorf("it asked %v", podman.Asked)
	}
}

// An answer that fits nothing is a mistake of the command line.
func TestAnswersThatFitNothing(t *testing.T) {
	t.Parallel()
	for _, run := range []func(*Session) (Outcome, error){
		func(s *Session) (Outcome, error) { return s.Path(context.Background(), Compose, project(t, "")) },
		func(s *Session) (Outcome, error) {
			return s.Path(context.Background(), Compose, filepath.Dir(project(t, "")))
		},
	} {
		w := newWorld(t, podmanOf(nil).Run)
		var err error
		if w.Answers, err = ReadAnswers("", []string{"variable.TYPO=x"}); err != nil {
			t.Fatal(err)
		}
		if _, err := run(w.Session); !isUsage(err) {
			t.Errorf("the error is %v", err)
		}
	}
	if _, err := ReadAnswers("", []string{"nonsense"}); !isUsage(err) {
		t.Errorf("the error is %v", err)
	}
}

func isUsage(err error) bool {
	_, ok := errors.AsType[UsageError](err)
	return ok
}

// What is asked of Podman depends on what the containers share.
func TestContainersAsk(t *testing.T) {
	t.Parallel()
	podman := podmanOf(map[string]string{
		"container inspect -- ant bull": `[{"Id":"1","Name":"ant","Image":"i","ImageName":"docker.io/x/a:1","HostConfig":{"NetworkMode":"container:3"},"NetworkSettings":{"Networks":{"shop":{}}}},
			{"Id":"2","Name":"bull","Image":"i","ImageName":"docker.io/x/a:1"}]`,
		"container inspect -- 3":  `[{"Id":"3","Name":"cow"}]`,
		"image inspect -- i":      `[{"Id":"i","RepoTags":["docker.io/x/a:1"]}]`,
		"network inspect -- shop": `[{"name":"shop"}]`,
		"ps --all":                `[]`,
	})
	r, err := Containers(context.Background(), podman.Run, []string{"ant", "bull"}, "", Answers{All: map[string]string{}}, func(importer.Question) (string, bool) { return "", false })
	if err != nil {
		t.Fatal(err)
	}
	if len(podman.Asked) != 5 || r.ID != "ant" {
		t.Errorf("%s, and it asked %v", r.ID, podman.Asked)
	}
	if _, err := Containers(context.Background(), podmanOf(nil).Run, []string{"gone"}, "", Answers{}, nil); err == nil || !strings.Contains(err.Error(), "asking Podman for the containers") {
		t.Errorf("the error is %v", err)
	}
}
