// Command standin behaves at its boundary like the program of an image. The contract of
// that image in /contract.json describes the behaviour: manifests/catalog/contracts has the
// same in YAML. Like the program, it runs under any name and with any arguments.
//
// First it does what can fail, in the order in which programs do it: it refuses a network
// that the program does not know, resolves names, writes files, logs in to other programs,
// and connects to the hosts of the internet that the program needs. Then it opens the
// program's ports. On a signal it takes as long as the program to stop, and ends with the
// program's exit code.
package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // the protocol of MariaDB
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const description = "/contract.json"

type contract struct {
	Program string
	Start   struct {
		WorkingDir string `json:"working_dir"`
	}
	Writes []struct {
		Path    string
		MovedBy setting `json:"moved_by"`
		File    bool
		Keep    bool
		Refused *refusal
	}
	Listens []listen
	Signals []struct{ Signal, Does, Loses string }
	Stop    struct{ Takes string }
	Exits   []struct {
		Code  int
		Clean bool
	}
	Networks *struct {
		Known   map[string]string
		SetBy   setting `json:"set_by"`
		Refused *refusal
	}
	Internet []internet
	Limits   []struct {
		Default int
		Lifted  string
		SetBy   setting `json:"set_by"`
	}
	Needs []need
}

type refusal struct {
	Says string
	Code int
}

func (r *refusal) Error() string { return r.Says }

type setting struct{ Env, Argument, File []string }

type listen struct {
	Port     int
	Protocol string
	MovedBy  setting `json:"moved_by"`
	Speaks   string
	Answers  []answer
}

type answer struct {
	Path   string
	Status int
	Body   string
	Proxy  *address
}

type internet struct {
	When, Host string
	Ends       *refusal
	AvoidedBy  setting `json:"avoided_by"`
	Through    *address
	Resolves   bool
}

// address is the settings that name a host and a port.
type address struct{ Host, Port setting }

type need struct {
	Kind                            string
	URL, Host, Port, User, Password setting
	Refused                         *refusal
	Unreachable                     string
}

// program is the program that the stand-in replaces, as configured.
type program struct {
	contract
	args []string
	// texts is the contents of its configuration files.
	texts []string
	dirs  []string
	rpc   *login
	db    *login
}

// login is the address of another program, and the credentials for it.
type login struct{ address, user, password, database string }

func main() {
	switch {
	case filepath.Base(os.Args[0]) == "getent" && len(os.Args) == 3:
		os.Exit(getent(os.Args[2]))
	case slices.Equal(os.Args[1:], []string{"--version"}):
		_, _ = fmt.Fprintln(os.Stdout, "standin 1")
		return
	}
	os.Exit(run(os.Args[1:]))
}

// getent replaces `getent hosts NAME` in start scripts, which busybox lacks.
func getent(name string) int {
	addresses, err := net.DefaultResolver.LookupHost(context.Background(), name)
	if err != nil {
		return 2
	}
	_, _ = fmt.Fprintln(os.Stdout, addresses[0], name)
	return 0
}

// run runs the program and returns its exit code.
func run(args []string) int {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGHUP)
	p := &program{args: args}
	text, err := os.ReadFile(description)
	if err == nil {
		err = json.Unmarshal(text, &p.contract)
	}
	if err != nil {
		return fail(err)
	}
	p.readFiles()
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	failed := make(chan error, 1)
	go func() {
		if err := p.begin(ctx); err != nil {
			failed <- err
		}
	}()
	select {
	case err := <-failed:
		return fail(err)
	case s := <-signals:
		return p.end(s)
	}
}

func fail(err error) int {
	fmt.Fprintln(os.Stderr, err)
	if r := (*refusal)(nil); errors.As(err, &r) && r.Code != 0 {
		return r.Code
	}
	return 1
}

// begin does the work before the ports open, and opens them.
func (p *program) begin(ctx context.Context) error {
	for _, step := range []func(context.Context) error{p.network, p.names, p.write, p.logIn, p.reach} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	for _, l := range p.Listens {
		for _, port := range p.ports(l) {
			if err := p.open(ctx, l, port); err != nil {
				return err
			}
		}
	}
	_, _ = fmt.Fprintf(os.Stdout, "stand-in of %s: serving\n", p.Program)
	return nil
}

// end stops as the program does after a signal.
func (p *program) end(s os.Signal) int {
	name := map[os.Signal]string{syscall.SIGTERM: "SIGTERM", syscall.SIGINT: "SIGINT", syscall.SIGQUIT: "SIGQUIT", syscall.SIGHUP: "SIGHUP"}[s]
	for _, known := range p.Signals {
		if known.Signal == name && known.Loses != "" {
			_, _ = fmt.Fprintf(os.Stdout, "%s: it %s, and loses %s\n", name, known.Does, known.Loses)
			return p.exitCode()
		}
	}
	if takes, err := time.ParseDuration(p.Stop.Takes); err == nil {
		_, _ = fmt.Fprintf(os.Stdout, "%s: ends in %s\n", name, takes)
		<-time.After(takes)
	}
	for _, dir := range p.dirs {
		if err := os.WriteFile(filepath.Join(dir, "flushed"), []byte(name+"\n"), 0o600); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
	}
	return p.exitCode()
}

func (p *program) exitCode() int {
	for _, e := range p.Exits {
		if e.Clean {
			return e.Code
		}
	}
	return 0
}

// readFiles reads every file that an argument or a variable names.
func (p *program) readFiles() {
	words := slices.Clone(p.args)
	for _, v := range os.Environ() {
		_, value, _ := strings.Cut(v, "=")
		words = append(words, value)
	}
	for _, word := range words {
		if _, value, ok := strings.Cut(word, "="); ok {
			word = value
		}
		if info, err := os.Stat(word); err != nil || !info.Mode().IsRegular() || info.Size() > 1<<20 {
			continue
		}
		if text, err := os.ReadFile(word); err == nil {
			p.texts = append(p.texts, string(text))
		}
	}
}

// values returns the values of a setting.
func (p *program) values(s setting) []string {
	var list []string
	for i, arg := range p.args {
		for _, name := range s.Argument {
			if value, ok := strings.CutPrefix(arg, name+"="); ok {
				list = append(list, value)
			}
			if arg == name && i+1 < len(p.args) {
				list = append(list, p.args[i+1])
			}
		}
	}
	for _, name := range s.Env {
		if value, ok := os.LookupEnv(name); ok && len(list) == 0 {
			list = append(list, value)
		}
	}
	for _, text := range p.texts {
		for _, key := range s.File {
			list = append(list, lookup(text, key)...)
		}
	}
	return list
}

func (p *program) value(s setting) string {
	if list := p.values(s); len(list) > 0 {
		return list[len(list)-1]
	}
	return ""
}

// lookup finds a key in a configuration file of any format.
func lookup(text, key string) []string {
	var tree map[string]any
	if json.Unmarshal([]byte(text), &tree) == nil {
		return inTree(tree, strings.Split(key, "."))
	}
	var list []string
	for line := range strings.Lines(text) {
		rest, ok := strings.CutPrefix(strings.TrimSpace(line), key)
		trimmed := strings.TrimLeft(rest, " \t")
		if !ok || rest == "" || trimmed == rest && !strings.HasPrefix(rest, "=") {
			continue
		}
		value := strings.TrimSpace(strings.TrimPrefix(trimmed, "="))
		list = append(list, strings.Trim(strings.TrimSuffix(value, ";"), `"'`))
	}
	return list
}

func inTree(tree map[string]any, keys []string) []string {
	value, ok := tree[keys[0]]
	if inner, isMap := value.(map[string]any); isMap && len(keys) > 1 {
		return inTree(inner, keys[1:])
	}
	if !ok || len(keys) > 1 {
		return nil
	}
	return []string{fmt.Sprint(value)}
}

var portText = regexp.MustCompile(`(?:^|:)([0-9]{1,5})\b`)

// ports returns the ports of a kind that the program opens.
func (p *program) ports(l listen) []int {
	given := p.values(l.MovedBy)
	if len(given) == 0 && l.Port != 0 {
		return []int{l.Port}
	}
	var list []int
	for word := range strings.SplitSeq(strings.Join(given, ","), ",") {
		if l.Speaks == "electrum" && strings.Contains(word, "://") && !strings.HasPrefix(word, "tcp://") {
			continue // a service beside the one with this protocol
		}
		if m := portText.FindAllStringSubmatch(word, -1); m != nil {
			n, _ := strconv.Atoi(m[len(m)-1][1])
			list = append(list, n)
		}
	}
	return list
}

// network refuses a network that the program does not know.
func (p *program) network(context.Context) error {
	n := p.Networks
	if n == nil {
		return nil
	}
	for _, given := range p.values(n.SetBy) {
		known := false
		for _, word := range n.Known {
			known = known || word == given
		}
		if known {
			continue
		}
		if n.Refused == nil {
			return fmt.Errorf("unknown network %s", given)
		}
		return &refusal{n.Refused.Says + ": " + given, n.Refused.Code}
	}
	return nil
}

// names resolves the names that the program resolves when it starts.
func (p *program) names(ctx context.Context) error {
	for _, i := range p.Internet {
		if !i.Resolves || i.Ends == nil || len(p.values(i.AvoidedBy)) > 0 {
			continue
		}
		if _, err := net.DefaultResolver.LookupHost(ctx, i.Host); err != nil {
			return i.Ends
		}
	}
	for _, n := range p.Needs {
		host := p.value(n.Host)
		if n.Kind != "name" || host == "" {
			continue
		}
		if _, err := net.DefaultResolver.LookupHost(ctx, host); err != nil {
			return &refusal{fmt.Sprintf("%s %q", n.Refused.Says, host), n.Refused.Code}
		}
	}
	return nil
}

// write creates the directories that the program writes to, and a file in each.
func (p *program) write(context.Context) error {
	for _, w := range p.Writes {
		dirs := p.values(w.MovedBy)
		if len(dirs) == 0 && w.Path != "" {
			dirs = []string{w.Path}
		}
		for _, dir := range dirs {
			if !filepath.IsAbs(dir) {
				dir = filepath.Join(p.Start.WorkingDir, dir)
			}
			if w.File {
				dir = filepath.Dir(dir)
			}
			if err := writable(dir); err != nil {
				fmt.Fprintln(os.Stderr, err)
				if w.Refused != nil {
					return w.Refused
				}
				return err
			}
			if w.Keep {
				p.dirs = append(p.dirs, dir)
			}
		}
	}
	return nil
}

func writable(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "stand-in"), []byte(time.Now().Format(time.RFC3339)+"\n"), 0o600)
}

// logIn logs in to what the program needs. It retries if the program does.
func (p *program) logIn(ctx context.Context) error {
	for _, n := range p.Needs {
		ask, known := logins[n.Kind]
		if !known {
			continue
		}
		l := p.login(n)
		switch n.Kind {
		case "bitcoin-rpc":
			p.rpc = l
		case "mariadb":
			p.db = l
		}
		if err := until(ctx, n, func() error { return ask(ctx, l) }); err != nil {
			return err
		}
	}
	return nil
}

// errRefused says that the other program does not accept the login.
var errRefused = errors.New("refused")

func until(ctx context.Context, n need, ask func() error) error {
	for {
		err := ask()
		if err == nil {
			return nil
		}
		fmt.Fprintf(os.Stderr, "%s: %v\n", n.Kind, err)
		refused := errors.Is(err, errRefused)
		if refused && n.Refused != nil {
			return n.Refused
		}
		if !refused && n.Unreachable == "exit" {
			return fmt.Errorf("%s can't be reached: %w", n.Kind, err)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

// login returns the address and credentials from a URL, a connection string, an address or
// its parts.
func (p *program) login(n need) *login {
	l := &login{user: p.value(n.User), password: p.value(n.Password)}
	text := p.value(n.URL)
	fields := map[string]string{}
	for field := range strings.SplitSeq(text, ";") {
		if key, value, ok := strings.Cut(field, "="); ok {
			fields[key] = value
		}
	}
	u, err := url.Parse(text)
	switch {
	case text == "":
		l.address = net.JoinHostPort(p.value(n.Host), p.value(n.Port))
	case fields["Host"] != "":
		l.address, l.user, l.password, l.database = net.JoinHostPort(fields["Host"], fields["Port"]), fields["User ID"], fields["Password"], fields["Database"]
	case err == nil && u.Host != "":
		l.address = u.Host
		if u.User != nil {
			l.user = u.User.Username()
			l.password, _ = u.User.Password()
		}
	default:
		l.address = text
	}
	if user, password, both := strings.Cut(l.user, ":"); both && l.password == "" {
		l.user, l.password = user, password
	}
	return l
}

var logins = map[string]func(context.Context, *login) error{
	"bitcoin-rpc": func(ctx context.Context, l *login) error {
		_, err := l.call(ctx, "getblockchaininfo")
		return err
	},
	"electrum": func(ctx context.Context, l *login) error {
		_, err := l.ask(ctx, `{"jsonrpc":"2.0","id":0,"method":"server.version","params":["stand-in","1.4"]}`)
		return err
	},
	"mariadb":  func(ctx context.Context, l *login) error { return l.mariadb(ctx, "") },
	"postgres": func(ctx context.Context, l *login) error { return l.postgres(ctx) },
	"file": func(_ context.Context, l *login) error {
		if _, err := os.Stat(strings.TrimSuffix(l.address, ":")); err != nil {
			return fmt.Errorf("%w: %w", errRefused, err)
		}
		return nil
	},
}

// call calls a method of bitcoind's RPC.
func (l *login) call(ctx context.Context, method string, params ...any) (json.RawMessage, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	body, err := json.Marshal(map[string]any{"id": "s", "method": method, "params": append([]any{}, params...)})
	if err != nil {
		return nil, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+l.address+"/", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	request.SetBasicAuth(l.user, l.password)
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode == http.StatusUnauthorized || response.StatusCode == http.StatusForbidden {
		return nil, fmt.Errorf("%w: %s", errRefused, response.Status)
	}
	var reply struct {
		Result json.RawMessage
		Error  *struct{ Message string }
	}
	if err := json.NewDecoder(response.Body).Decode(&reply); err != nil {
		return nil, err
	}
	if reply.Error != nil {
		return nil, errors.New(reply.Error.Message)
	}
	return reply.Result, nil
}

func dial(ctx context.Context, address string) (net.Conn, error) {
	connection, err := (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	return connection, connection.SetDeadline(time.Now().Add(10 * time.Second))
}

// ask sends a line and returns the line that answers it.
func (l *login) ask(ctx context.Context, line string) (string, error) {
	connection, err := dial(ctx, l.address)
	if err != nil {
		return "", err
	}
	defer func() { _ = connection.Close() }()
	if _, err := io.WriteString(connection, line+"\n"); err != nil {
		return "", err
	}
	return bufio.NewReader(connection).ReadString('\n')
}

// mariadb logs in with mysql_native_password and may run a statement.
func (l *login) mariadb(ctx context.Context, statement string) error {
	connection, err := dial(ctx, l.address)
	if err != nil {
		return err
	}
	defer func() { _ = connection.Close() }()
	packet, err := readPacket(connection)
	if err != nil {
		return err
	}
	_, rest, found := bytes.Cut(packet, []byte{0}) // protocol and version
	if !found || len(rest) < 44 {
		return errors.New("no greeting of MariaDB")
	}
	salt := slices.Concat(rest[4:12], rest[31:43])
	const flags = 0x1 | 0x200 | 0x8000 | 0x80000 // long password, protocol 4.1, secure connection, plugin
	reply := binary.LittleEndian.AppendUint32(nil, flags)
	reply = binary.LittleEndian.AppendUint32(reply, 1<<24)
	reply = append(reply, 33)
	reply = append(reply, make([]byte, 23)...)
	reply = append(reply, l.user+"\x00"...)
	scrambled := scramble(l.password, salt)
	reply = append(append(reply, byte(len(scrambled))), scrambled...)
	reply = append(reply, "mysql_native_password\x00"...)
	if err := sendPacket(connection, 1, reply); err != nil {
		return err
	}
	if err := accepted(connection); err != nil {
		return fmt.Errorf("%w: %w", errRefused, err)
	}
	if statement == "" {
		return nil
	}
	if err := sendPacket(connection, 0, append([]byte{3}, statement...)); err != nil {
		return err
	}
	return accepted(connection)
}

func scramble(password string, salt []byte) []byte {
	once := sha1.Sum([]byte(password))                        //nolint:gosec // the protocol of MariaDB
	twice := sha1.Sum(once[:])                                //nolint:gosec // the protocol of MariaDB
	mask := sha1.Sum(append(slices.Clone(salt), twice[:]...)) //nolint:gosec // the protocol of MariaDB
	for i := range mask {
		mask[i] ^= once[i]
	}
	return mask[:]
}

func readPacket(r io.Reader) ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	body := make([]byte, int(head[0])|int(head[1])<<8|int(head[2])<<16)
	_, err := io.ReadFull(r, body)
	return body, err
}

func sendPacket(w io.Writer, number byte, body []byte) error {
	head := []byte{byte(len(body)), byte(len(body) >> 8), byte(len(body) >> 16), number}
	_, err := w.Write(append(head, body...))
	return err
}

// accepted reads MariaDB's answer: everything but an error is a success.
func accepted(r io.Reader) error {
	packet, err := readPacket(r)
	if err != nil {
		return err
	}
	if len(packet) > 9 && packet[0] == 0xff {
		return errors.New(string(packet[9:]))
	}
	if len(packet) > 0 && packet[0] == 0xfe {
		return errors.New("another way to log in is asked for")
	}
	return nil
}

// postgres logs in with SCRAM-SHA-256, or without a password if none is requested.
func (l *login) postgres(ctx context.Context) error {
	connection, err := dial(ctx, l.address)
	if err != nil {
		return err
	}
	defer func() { _ = connection.Close() }()
	start := binary.BigEndian.AppendUint32(nil, 196608)
	start = append(start, "user\x00"+l.user+"\x00database\x00postgres\x00\x00"...)
	if _, err := connection.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(start)+4)), start...)); err != nil {
		return err
	}
	var s scram
	for {
		kind, body, err := readMessage(connection)
		if err != nil {
			return err
		}
		if kind == 'E' {
			return fmt.Errorf("%w: %s", errRefused, strings.Join(strings.FieldsFunc(string(body), func(r rune) bool { return r == 0 }), " "))
		}
		if kind != 'R' || len(body) < 4 {
			return nil // it continues with the session
		}
		answer, err := s.next(binary.BigEndian.Uint32(body), body[4:], l.password)
		if err != nil {
			return err
		}
		if answer == nil {
			continue
		}
		head := binary.BigEndian.AppendUint32([]byte{'p'}, uint32(len(answer)+4))
		if _, err := connection.Write(append(head, answer...)); err != nil {
			return err
		}
	}
}

func readMessage(r io.Reader) (kind byte, body []byte, err error) {
	var head [5]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return 0, nil, err
	}
	body = make([]byte, max(0, int(binary.BigEndian.Uint32(head[1:]))-4))
	_, err = io.ReadFull(r, body)
	return head[0], body, err
}

// scram is RFC 5802 as PostgreSQL implements it.
type scram struct{ first string }

func (s *scram) next(state uint32, body []byte, password string) ([]byte, error) {
	switch state {
	case 0, 12: // accepted, and the server's proof
		return nil, nil
	case 10:
		s.first = "n=,r=" + rand.Text()
		message := "n,," + s.first
		out := append([]byte("SCRAM-SHA-256\x00"), binary.BigEndian.AppendUint32(nil, uint32(len(message)))...)
		return append(out, message...), nil
	case 11:
		return s.proof(string(body), password)
	}
	return nil, fmt.Errorf("%w: PostgreSQL asks for login method %d", errRefused, state)
}

func (s *scram) proof(server, password string) ([]byte, error) {
	fields := map[string]string{}
	for field := range strings.SplitSeq(server, ",") {
		key, value, _ := strings.Cut(field, "=")
		fields[key] = value
	}
	salt, err := base64.StdEncoding.DecodeString(fields["s"])
	if err != nil {
		return nil, err
	}
	rounds, err := strconv.Atoi(fields["i"])
	if err != nil {
		return nil, err
	}
	salted, err := pbkdf2.Key(sha256.New, password, salt, rounds, sha256.Size)
	if err != nil {
		return nil, err
	}
	clientKey := keyed(salted, "Client Key")
	stored := sha256.Sum256(clientKey)
	last := "c=biws,r=" + fields["r"]
	proof := keyed(stored[:], s.first+","+server+","+last)
	for i := range proof {
		proof[i] ^= clientKey[i]
	}
	return []byte(last + ",p=" + base64.StdEncoding.EncodeToString(proof)), nil
}

func keyed(key []byte, text string) []byte {
	h := hmac.New(sha256.New, key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

// reach connects once to the hosts of the internet that the program needs. The program
// keeps what it fetched in its database, or else in its directory.
func (p *program) reach(ctx context.Context) error {
	for _, i := range p.Internet {
		if i.Resolves || i.Ends == nil || i.When == "running" || len(p.values(i.AvoidedBy)) > 0 {
			continue
		}
		if i.When == "first-start" && p.reached(ctx) {
			continue
		}
		if err := p.connect(ctx, i); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return i.Ends
		}
		if err := p.keepReached(ctx); err != nil {
			return err
		}
	}
	return nil
}

// connect connects to a host, through the SOCKS proxy in the program's settings.
func (p *program) connect(ctx context.Context, i internet) error {
	proxy := ""
	if i.Through != nil {
		proxy = p.value(i.Through.Host)
	}
	if proxy == "" {
		connection, err := dial(ctx, net.JoinHostPort(i.Host, "443"))
		if err != nil {
			return err
		}
		return connection.Close()
	}
	connection, err := dial(ctx, net.JoinHostPort(proxy, p.value(i.Through.Port)))
	if err != nil {
		return err
	}
	defer func() { _ = connection.Close() }()
	hello := append([]byte{5, 1, 0, 5, 1, 0, 3, byte(len(i.Host))}, i.Host...)
	if _, err := connection.Write(binary.BigEndian.AppendUint16(hello, 443)); err != nil {
		return err
	}
	var reply [4]byte
	if _, err := io.ReadFull(connection, reply[:]); err != nil {
		return err
	}
	if reply[1] != 0 || reply[3] != 0 {
		return fmt.Errorf("the proxy can't reach %s: SOCKS error %d", i.Host, reply[3])
	}
	return nil
}

func (p *program) reached(ctx context.Context) bool {
	if p.db != nil {
		return p.db.mariadb(ctx, "select 1 from "+p.table()) == nil
	}
	_, err := os.Stat(filepath.Join(append(p.dirs, "/")[0], "reached"))
	return err == nil
}

func (p *program) keepReached(ctx context.Context) error {
	if p.db != nil {
		return p.db.mariadb(ctx, "create table if not exists "+p.table()+" (n int)")
	}
	return os.WriteFile(filepath.Join(append(p.dirs, "/")[0], "reached"), nil, 0o600)
}

// table returns the name of the table in the program's database.
func (p *program) table() string {
	return p.value(setting{File: []string{"DATABASE.DATABASE"}}) + ".stand_in"
}

// open serves a port.
func (p *program) open(ctx context.Context, l listen, port int) error {
	address := ":" + strconv.Itoa(port)
	if l.Protocol == "udp" {
		_, err := (&net.ListenConfig{}).ListenPacket(ctx, "udp", address)
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	if l.Speaks == "http" {
		server := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: p.pages(l.Answers)}
		go func() { _ = server.Serve(listener) }()
		return nil
	}
	go p.accept(ctx, listener, l)
	return nil
}

// pages returns the answers of the contract, and 404 for all other paths.
func (p *program) pages(answers []answer) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		for _, a := range answers {
			prefix, isPrefix := strings.CutSuffix(a.Path, "*")
			if r.URL.Path != a.Path && (!isPrefix || !strings.HasPrefix(r.URL.Path, prefix)) {
				continue
			}
			if a.Proxy != nil {
				target := &url.URL{Scheme: "http", Host: net.JoinHostPort(p.value(a.Proxy.Host), p.value(a.Proxy.Port))}
				httputil.NewSingleHostReverseProxy(target).ServeHTTP(w, r)
				return
			}
			if a.Status >= 300 && a.Status < 400 {
				w.Header().Set("Location", "/login")
			}
			w.WriteHeader(a.Status)
			_, _ = io.WriteString(w, a.Body)
			return
		}
		http.NotFound(w, r)
	})
}

// accept serves connections, up to the program's limit for each address.
func (p *program) accept(ctx context.Context, listener net.Listener, l listen) {
	var lock sync.Mutex
	clients := map[string]int{}
	for {
		connection, err := listener.Accept()
		if err != nil {
			return
		}
		host, _, _ := net.SplitHostPort(connection.RemoteAddr().String())
		lock.Lock()
		clients[host]++
		limit, over := p.over(clients[host])
		if l.Speaks == "electrum" && over {
			clients[host]--
			lock.Unlock()
			fmt.Fprintf(os.Stderr, "Connection limit (%d) exceeded for %s, connection refused\n", limit, host)
			_ = connection.Close()
			continue
		}
		lock.Unlock()
		go func() {
			p.converse(ctx, connection, l.Speaks)
			lock.Lock()
			clients[host]--
			lock.Unlock()
		}()
	}
}

// over reports whether an address has more connections than the program allows.
func (p *program) over(n int) (limit int, over bool) {
	for _, l := range p.Limits {
		limit = l.Default
		given := p.value(l.SetBy)
		if given == l.Lifted && given != "" {
			continue
		}
		if set, err := strconv.Atoi(given); err == nil {
			limit = set
		}
		if n > limit {
			return limit, true
		}
	}
	return 0, false
}

// converse answers JSON requests, one per line. It knows no other protocol.
func (p *program) converse(ctx context.Context, connection net.Conn, speaks string) {
	defer func() { _ = connection.Close() }()
	if speaks != "electrum" && speaks != "jsonrpc" {
		_, _ = io.Copy(io.Discard, connection)
		return
	}
	lines := bufio.NewScanner(connection)
	for lines.Scan() {
		var request struct {
			ID     json.RawMessage
			Method string
			Params []any
		}
		if err := json.Unmarshal(lines.Bytes(), &request); err != nil {
			return
		}
		reply := map[string]any{"jsonrpc": "2.0", "id": request.ID}
		if result, err := p.answer(ctx, request.Method, request.Params); err != nil {
			reply["error"] = map[string]any{"code": -32603, "message": err.Error()}
		} else {
			reply["result"] = result
		}
		if json.NewEncoder(connection).Encode(reply) != nil {
			return
		}
	}
}

// answer returns the result of a method. It queries the node for data of the chain.
func (p *program) answer(ctx context.Context, method string, params []any) (any, error) {
	switch method {
	case "server.version":
		return []string{p.Program + " (stand-in)", "1.4"}, nil
	case "server.banner":
		return "stand-in", nil
	case "server.ping":
		return nil, nil
	case "blockchain.headers.subscribe":
		if p.rpc == nil {
			return nil, errors.New("no node")
		}
		height, err := p.rpc.call(ctx, "getblockcount")
		return map[string]any{"height": height}, err
	case "blockchain.scripthash.get_balance":
		if p.rpc == nil || len(params) != 1 {
			return nil, errors.New("no node, or no script hash")
		}
		sum, err := p.rpc.balance(ctx, fmt.Sprint(params[0]))
		return map[string]any{"confirmed": sum, "unconfirmed": 0}, err
	case "getinfo":
		return map[string]any{"version": p.Program}, nil
	}
	return nil, errors.New("unknown method " + method)
}

// block is the data of a block for a balance.
type block struct {
	Tx []struct {
		Txid string
		Vin  []struct {
			Txid string
			Vout int
		}
		Vout []struct {
			N            int
			Value        float64
			ScriptPubKey struct{ Hex string }
		}
	}
}

// balance sums up, in satoshi, the unspent outputs for the script of a hash. It reads all
// blocks each time, because test chains are short.
func (l *login) balance(ctx context.Context, hash string) (int64, error) {
	var height int
	if text, err := l.call(ctx, "getblockcount"); err != nil || json.Unmarshal(text, &height) != nil {
		return 0, errors.Join(err, errors.New("the node does not say how many blocks there are"))
	}
	unspent := map[string]int64{}
	for n := range height + 1 {
		id, err := l.call(ctx, "getblockhash", n)
		if err != nil {
			return 0, err
		}
		text, err := l.call(ctx, "getblock", id, 2)
		if err != nil {
			return 0, err
		}
		var b block
		if err := json.Unmarshal(text, &b); err != nil {
			return 0, err
		}
		for _, tx := range b.Tx {
			for _, in := range tx.Vin {
				delete(unspent, fmt.Sprint(in.Txid, in.Vout))
			}
			for _, out := range tx.Vout {
				if scriptHash(out.ScriptPubKey.Hex) == hash {
					unspent[fmt.Sprint(tx.Txid, out.N)] = int64(math.Round(out.Value * 1e8))
				}
			}
		}
	}
	var sum int64
	for _, value := range unspent {
		sum += value
	}
	return sum, nil
}

// scriptHash is the name of a script in the Electrum protocol: its SHA-256, reversed.
func scriptHash(script string) string {
	raw, err := hex.DecodeString(script)
	if err != nil {
		return ""
	}
	sum := sha256.Sum256(raw)
	slices.Reverse(sum[:])
	return hex.EncodeToString(sum[:])
}
