package podmancli

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"time"
)

const (
	// serviceTime is after how many idle seconds Podman's service ends by itself, if this program
	// was killed.
	serviceTime = 30
	// connectTime is how long the service may take to listen, and connectPause the time between two
	// attempts: it has nothing to wait for.
	connectTime, connectPause = 10 * time.Second, 2 * time.Millisecond
	// answerLimit is the maximum that is read of an answer.
	answerLimit = 64 << 10
)

// Service is Podman's own service, which executes requests in one process.
type Service struct{ socket string }

// Serve executes Podman's service at a socket, calls do, and ends the service. Another user must not
// be able to reach the socket: it gives every right over the user's containers.
func (run Runner) Serve(ctx context.Context, socket string, do func(Service) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		ended <- run.Run(ctx, "system", "service", "--time="+strconv.Itoa(serviceTime), "unix://"+socket)
	}()
	err := listens(ctx, socket, ended)
	if err == nil {
		err = do(Service{socket})
	}
	cancel()
	_ = os.Remove(socket) // Podman leaves it
	return err
}

// listens waits until a service listens at a socket, or has ended.
func listens(ctx context.Context, socket string, ended <-chan error) error {
	ctx, cancel := context.WithTimeout(ctx, connectTime)
	defer cancel()
	for {
		conn, err := dial(ctx, socket)
		if err == nil {
			return conn.Close()
		}
		select {
		case err := <-ended:
			return cmp.Or(err, errors.New("podman system service has ended"))
		case <-ctx.Done():
			return fmt.Errorf("podman system service does not listen: %w", ctx.Err())
		case <-time.After(connectPause):
		}
	}
}

func dial(ctx context.Context, socket string) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "unix", socket)
}

// Network is a network to create. Podman selects the subnet.
type Network struct {
	Name     string            `json:"name"`
	Driver   string            `json:"driver"`
	DNS      bool              `json:"dns_enabled"`
	Internal bool              `json:"internal"`
	Options  map[string]string `json:"options,omitempty"`
	Labels   map[string]string `json:"labels,omitempty"`
}

// CreateNetwork is podman network create. It does nothing if there is such a network.
func (s Service) CreateNetwork(ctx context.Context, n Network) error {
	n.Driver, n.DNS = "bridge", true // the defaults of the command
	return s.post(ctx, "networks/create?ignoreIfExists=true", n)
}

// Volume is a volume to create.
type Volume struct {
	Name           string
	Labels         map[string]string `json:",omitempty"`
	IgnoreIfExists bool
}

// CreateVolume is podman volume create. It does nothing if there is such a volume.
func (s Service) CreateVolume(ctx context.Context, v Volume) error {
	v.IgnoreIfExists = true
	return s.post(ctx, "volumes/create", v)
}

// post sends a request. It is HTTP/1.0, which ends an answer with the connection.
func (s Service) post(ctx context.Context, path string, body any) error {
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	conn, err := dial(ctx, s.socket)
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })()
	// The oldest version that a Podman of this major version has to know.
	if _, err := fmt.Fprintf(conn, "POST /v4.0.0/libpod/%s HTTP/1.0\r\nHost: podman\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", path, len(text), text); err != nil {
		return err
	}
	return readAnswer(bufio.NewReader(io.LimitReader(conn, answerLimit)))
}

// readAnswer returns the error that an answer has.
func readAnswer(from *bufio.Reader) error {
	status, err := from.ReadString('\n')
	if err != nil {
		return fmt.Errorf("podman system service does not answer: %w", err)
	}
	_, code, _ := strings.Cut(strings.TrimSpace(status), " ")
	if strings.HasPrefix(code, "2") {
		return nil
	}
	rest, err := io.ReadAll(from)
	if err != nil {
		return err
	}
	var said struct{ Message string }
	_, body, _ := strings.Cut(string(rest), "\r\n\r\n")
	_ = json.Unmarshal([]byte(body), &said) // else the code has to do
	return errors.New("podman: " + cmp.Or(said.Message, code))
}
