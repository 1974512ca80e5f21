package probe

import (
	"fmt"
	"strings"
	"testing"
)

const ok200 = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"

// page is a response with a body.
func page(status, body string) string {
	return fmt.Sprintf("HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s", status, len(body), body)
}

func TestHTTPAnswers(t *testing.T) {
	t.Parallel()
	big := strings.Repeat("x", 70<<10)
	for name, c := range map[string]struct {
		change func(*Target)
		answer string
		state  State
		reason Reason
		detail string
	}{
		"below 400":                 {nil, ok200, Serving, OK, "/ answered 200"},
		"redirect":                  {nil, "HTTP/1.1 302 Found\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n", Serving, OK, "302"},
		"no content":                {nil, "HTTP/1.1 204 No Content\r\n\r\n", Serving, OK, "204"},
		"not modified has no body":  {nil, "HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n", Serving, OK, "304"},
		"no reason phrase":          {nil, "HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", Serving, OK, ""},
		"bare line feeds":           {nil, "HTTP/1.1 200 OK\nContent-Length: 2\n\nhi", Serving, OK, ""},
		"HTTP/1.0 until the end":    {contains("hello"), "HTTP/1.0 200 OK\r\n\r\nhello", Serving, OK, ""},
		"interim answer":            {nil, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + ok200, Serving, OK, "200"},
		"switching, unasked":        {nil, "HTTP/1.1 101 Switching Protocols\r\n\r\n", Wrong, BadStatus, "101"},
		"not found":                 {nil, page("404 Not Found", "<html>no</html>"), Wrong, BadStatus, "/ answered 404"},
		"bad gateway says why":      {nil, page("502 Bad Gateway", "upstream\tgone\x1b[31m\n"), Wrong, BadStatus, "/ answered 502: upstream gone[31m"},
		"status from the list":      {status(401, 404), page("404 Not Found", ""), Serving, OK, "404"},
		"status not in the list":    {status(204), ok200, Wrong, BadStatus, "200"},
		"503 with Retry-After":      {nil, "HTTP/1.1 503 Busy\r\nRetry-After: 5\r\nContent-Length: 0\r\n\r\n", Loading, RetryLater, "not yet"},
		"503 for no stated time":    {nil, page("503 Busy", ""), Wrong, BadStatus, "503"},
		"503 that is accepted":      {status(503), "HTTP/1.1 503 Busy\r\nRetry-After: 5\r\nContent-Length: 0\r\n\r\n", Serving, OK, "503"},
		"text in the body":          {contains("ell"), ok200, Serving, OK, ""},
		"text not in the body":      {contains("bye"), ok200, Wrong, BadBody, `without "bye"`},
		"text in a header only":     {contains("bye"), "HTTP/1.1 200 OK\r\nX: bye\r\nContent-Length: 0\r\n\r\n", Wrong, BadBody, ""},
		"text past the length":      {contains("bye"), "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhibye", Wrong, BadBody, ""},
		"text of an error":          {contains("bye"), page("500 Oops", "bye"), Wrong, BadStatus, "500: bye"},
		"chunks":                    {contains("hello"), "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nhe\r\n003\r\nllo\r\n0\r\nTrailer: 1\r\n\r\n", Serving, OK, ""},
		"chunks before a length":    {contains("hello"), "HTTP/1.1 200 OK\r\nContent-Length: 1\r\ntransfer-encoding: Chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", Serving, OK, ""},
		"folded field":              {nil, "HTTP/1.1 200 OK\r\nX: a\r\n b: c\r\nContent-Length: 0\r\n\r\n", Serving, OK, ""},
		"very long field":           {nil, "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("a", 20<<10) + "\r\nContent-Length: 0\r\n\r\n", Serving, OK, ""},
		"body beyond 64 KiB":        {nil, page("200 OK", big), Serving, OK, ""},
		"text in the first 64 KiB":  {contains("start"), page("200 OK", "start"+big), Serving, OK, ""},
		"text beyond 64 KiB":        {contains("end"), page("200 OK", big+"end"), Wrong, BadBody, "not in its first 64 KiB"},
		"head beyond 64 KiB":        {nil, "HTTP/1.1 200 OK\r\n" + strings.Repeat("X: y\r\n", 20<<10) + "\r\n", Wrong, TooLarge, "64 KiB"},
		"not HTTP":                  {nil, "SSH-2.0-OpenSSH_9.2\r\n", Wrong, BadProtocol, "not in http: SSH-2.0"},
		"HTTP/2":                    {nil, "HTTP/2 200 OK\r\n\r\n", Wrong, BadProtocol, ""},
		"status of two digits":      {nil, "HTTP/1.1 20 OK\r\n\r\n", Wrong, BadProtocol, ""},
		"status with a sign":        {nil, "HTTP/1.1 +20 OK\r\n\r\n", Wrong, BadProtocol, ""},
		"field without a colon":     {nil, "HTTP/1.1 200 OK\r\nnonsense\r\n\r\n", Wrong, BadProtocol, "nonsense"},
		"length is no number":       {nil, "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", Wrong, BadProtocol, ""},
		"two lengths":               {nil, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello", Wrong, BadProtocol, ""},
		"same length twice":         {nil, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello", Serving, OK, ""},
		"unknown transfer coding":   {nil, "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", Wrong, BadProtocol, ""},
		"bad chunk size":            {nil, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", Wrong, BadProtocol, "xyz"},
		"chunk of negative size":    {nil, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n", Wrong, BadProtocol, ""},
		"chunk longer than said":    {nil, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhello\r\n0\r\n\r\n", Wrong, BadProtocol, ""},
		"body cut short":            {nil, "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", Wrong, BadProtocol, "in the middle"},
		"chunks cut short":          {nil, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n", Wrong, BadProtocol, "in the middle"},
		"head cut short":            {nil, "HTTP/1.1 200 OK\r\nContent-Le", Wrong, BadProtocol, "in the middle"},
		"closed without an answer":  {nil, "", Unreachable, Closed, "without an answer"},
		"lnd: locked":               {wallet("SERVER_ACTIVE"), page("200 OK", `{"state":"LOCKED"}`), NeedsUser, WalletLocked, "unlock"},
		"lnd: no wallet":            {wallet(""), page("200 OK", `{"state":"NON_EXISTING"}`), NeedsUser, NoWallet, "create"},
		"lnd: starting":             {wallet("_ACTIVE"), page("200 OK", `{"state":"WAITING_TO_START"}`), Loading, StartingUp, "WAITING_TO_START"},
		"lnd: unlocked":             {wallet(""), page("200 OK", `{"state":"UNLOCKED"}`), Loading, StartingUp, "UNLOCKED"},
		"lnd: RPC active":           {wallet("_ACTIVE"), page("200 OK", `{"state":"RPC_ACTIVE"}`), Serving, OK, ""},
		"lnd: RPC active is enough": {wallet(""), page("200 OK", `{"state":"RPC_ACTIVE"}`), Serving, OK, ""},
		"lnd: not yet server":       {wallet("SERVER_ACTIVE"), page("200 OK", `{"state":"RPC_ACTIVE"}`), Loading, StartingUp, "RPC_ACTIVE"},
		"lnd: server active":        {wallet("SERVER_ACTIVE"), page("200 OK", `{"state": "SERVER_ACTIVE"}`), Serving, OK, ""},
		"lnd: a later version":      {wallet("SERVER_ACTIVE"), page("200 OK", `{"state":"NEW"}`), Wrong, BadBody, ""},
		"lnd's state elsewhere":     {nil, page("200 OK", `{"state":"LOCKED"}`), Serving, OK, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target := target(HTTP, answering(t, HTTP, c.answer))
			if c.change != nil {
				c.change(&target)
			}
			check(t, ask(t, target), c.state, c.reason, c.detail)
		})
	}
}

func contains(text string) func(*Target) { return func(t *Target) { t.Contains = text } }

func status(list ...int) func(*Target) { return func(t *Target) { t.Status = list } }

func wallet(text string) func(*Target) {
	return func(t *Target) { t.Path, t.Contains = "/v1/state", text }
}

func TestJSONRPCAnswers(t *testing.T) {
	t.Parallel()
	expect := func(pairs ...string) func(*Target) {
		return func(t *Target) {
			t.Expect = map[string]string{}
			for i := 0; i < len(pairs); i += 2 {
				t.Expect[pairs[i]] = pairs[i+1]
			}
		}
	}
	const info = `{"result":{"chain":"main","blocks":840000,"initialblockdownload":false,"ratio":1.50,"fork":{"active":true,"name":"a\"b"},"none":null},"error":null,"id":1}`
	const sync = `{"result":{"blocks":10,"initialblockdownload":true,"verificationprogress":0.4375},"error":null,"id":1}`
	const genesis = `{"result":{"blocks":0,"initialblockdownload":true,"verificationprogress":1},"error":null,"id":1}`
	warm := func(message string) string {
		return page("500 Internal Server Error", `{"result":null,"error":{"code":-28,"message":"`+message+`"},"id":1}`)
	}
	for name, c := range map[string]struct {
		change   func(*Target)
		answer   string
		state    State
		reason   Reason
		detail   string
		progress float64
	}{
		"a result":                  {nil, page("200 OK", info), Serving, OK, "getblockchaininfo gave a result", -1},
		"null is a result":          {nil, page("200 OK", `{"jsonrpc":"2.0","result":null,"id":1}`), Serving, OK, "", -1},
		"text as expected":          {expect("chain", "main"), page("200 OK", info), Serving, OK, "", -1},
		"number as expected":        {expect("blocks", "840000", "ratio", "1.50"), page("200 OK", info), Serving, OK, "", -1},
		"boolean as expected":       {expect("initialblockdownload", "false"), page("200 OK", info), Serving, OK, "", -1},
		"null as expected":          {expect("none", "null"), page("200 OK", info), Serving, OK, "", -1},
		"member of a member":        {expect("fork.active", "true", "fork.name", `a"b`), page("200 OK", info), Serving, OK, "", -1},
		"other text":                {expect("chain", "test"), page("200 OK", info), Wrong, BadResult, "getblockchaininfo: chain is main, not test", -1},
		"first by name":             {expect("chain", "x", "blocks", "y"), page("200 OK", info), Wrong, BadResult, "blocks is 840000, not y", -1},
		"number by another name":    {expect("ratio", "1.5"), page("200 OK", info), Wrong, BadResult, "ratio is 1.50, not 1.5", -1},
		"an object":                 {expect("fork", "true"), page("200 OK", info), Wrong, BadResult, "fork is {", -1},
		"no such member":            {expect("fork.height", "1"), page("200 OK", info), Wrong, BadResult, "no fork.height", -1},
		"member of a text":          {expect("chain.x", "1"), page("200 OK", info), Wrong, BadResult, "no chain.x", -1},
		"result is no object":       {expect("chain", "main"), page("200 OK", `{"result":5}`), Wrong, BadResult, "", -1},
		"still syncing":             {expect("initialblockdownload", "false"), page("200 OK", sync), Loading, Syncing, "", 0.4375},
		"syncing at genesis":        {expect("initialblockdownload", "false"), page("200 OK", genesis), Loading, Syncing, "still downloading blocks", -1},
		"asked for syncing":         {expect("initialblockdownload", "true"), page("200 OK", info), Wrong, BadResult, "", -1},
		"warming up":                {nil, warm("Loading block index…"), Loading, StartingUp, "Loading block index…", -1},
		"warming up, with progress": {nil, warm("Verifying blocks… 43%"), Loading, StartingUp, "Verifying blocks… 43%", 0.43},
		"warming up, 2.0 style":     {nil, page("200 OK", `{"jsonrpc":"2.0","error":{"code":-28,"message":"Rescanning... [7 %]"},"id":1}`), Loading, StartingUp, "", 0.07},
		"another error":             {nil, page("500 Oops", `{"result":null,"error":{"code":-32601,"message":"Method not found"},"id":1}`), Wrong, ServerError, "Method not found (-32601)", -1},
		"error without a code":      {nil, page("200 OK", `{"error":"no\u001b[2J"}`), Wrong, ServerError, `"no\u001b[2J"`, -1},
		"error with escapes":        {nil, page("200 OK", `{"error":{"code":1,"message":"a\nb\u001b[2Jc"}}`), Wrong, ServerError, "a b[2Jc (1)", -1},
		"wrong password":            {nil, "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic\r\nContent-Length: 0\r\n\r\n", Wrong, BadCredentials, "user and the password", -1},
		"not from this address":     {nil, page("403 Forbidden", ""), Wrong, BadStatus, "403", -1},
		"queue full":                {nil, page("503 Service Unavailable", "Work queue depth exceeded"), Wrong, BadStatus, "503: Work queue depth exceeded", -1},
		"busy for a stated time":    {nil, "HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n", Loading, RetryLater, "", -1},
		"redirect":                  {nil, "HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n", Wrong, BadStatus, "302", -1},
		"error status, result":      {nil, page("500 Oops", info), Wrong, BadStatus, "500", -1},
		"a page":                    {nil, page("200 OK", "<html>"), Wrong, BadProtocol, "not in jsonrpc: <html>", -1},
		"neither result nor error":  {nil, page("200 OK", "{}"), Wrong, BadProtocol, "", -1},
		"a list":                    {nil, page("200 OK", "[]"), Wrong, BadProtocol, "", -1},
		"nothing":                   {nil, page("200 OK", ""), Wrong, BadProtocol, "", -1},
		"more than 64 KiB":          {nil, page("200 OK", `{"result":"`+strings.Repeat("x", 70<<10)+`"}`), Wrong, TooLarge, "getblockchaininfo", -1},
		"closed without an answer":  {nil, "", Unreachable, Closed, "", -1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			target := target(JSONRPC, answering(t, JSONRPC, c.answer))
			if c.change != nil {
				c.change(&target)
			}
			o := ask(t, target)
			check(t, o, c.state, c.reason, c.detail)
			if o.Progress != c.progress {
				t.Errorf("progress %v, want %v", o.Progress, c.progress)
			}
		})
	}
}

// greeting is the first packet of a MySQL server.
func greeting(version, plugin string) string {
	p := "\x0a" + version + "\x00" + "\x01\x00\x00\x00" + "12345678\x00" + "\xff\xf7" + "\x21" + "\x02\x00" + "\xff\x81" +
		"\x15" + strings.Repeat("\x00", 10) + "123456789012\x00" + plugin + "\x00"
	return packetOf(0, p)
}

func packetOf(sequence byte, p string) string { return string(numbered(sequence, []byte(p))) }

// pg is a message of a PostgreSQL server.
func pg(kind, text string) string { return kind + string(message(text)) }

func pgError(code, text string) string {
	return pg("E", "SFATAL\x00VFATAL\x00C"+code+"\x00M"+text+"\x00Fpostmaster.c\x00\x00")
}

func TestServerAnswers(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		kind     Kind
		answer   string
		state    State
		reason   Reason
		detail   string
		progress float64
	}{
		"electrum: a result":                {Electrum, `{"id":0,"jsonrpc":"2.0","result":["ElectrumX 1.16.0","1.4"]}` + "\n", Serving, OK, "ElectrumX 1.16.0 answers", -1},
		"electrum: another result":          {Electrum, `{"id":0,"result":"x"}` + "\r\n", Serving, OK, "gave a result", -1},
		"electrum: indexing":                {Electrum, `{"error":{"code":-32603,"message":"unavailable index"},"id":0}` + "\n", Loading, Indexing, "unavailable index", -1},
		"electrum: progress":                {Electrum, `{"error":{"code":-32603,"message":"indexing 12.5%"},"id":0}` + "\n", Loading, Indexing, "", 0.125},
		"electrum: other error":             {Electrum, `{"error":{"code":1,"message":"unsupported protocol version: 1.4"},"id":0}` + "\n", Wrong, ServerError, "unsupported protocol", -1},
		"electrum: no result":               {Electrum, `{"id":0,"result":null}` + "\n", Wrong, BadProtocol, "", -1},
		"electrum: not JSON":                {Electrum, "hello\n", Wrong, BadProtocol, "not in electrum: hello", -1},
		"electrum: cut short":               {Electrum, `{"id":0,"result":["x"]}`, Wrong, BadProtocol, "in the middle", -1},
		"electrum: endless line":            {Electrum, strings.Repeat("x", 70<<10), Wrong, TooLarge, "", -1},
		"electrum: closed":                  {Electrum, "", Unreachable, Closed, "", -1},
		"redis: PONG":                       {Redis, "+PONG\r\n", Serving, OK, "PONG", -1},
		"redis: wants a password":           {Redis, "-NOAUTH Authentication required.\r\n", Serving, OK, "password", -1},
		"redis: user without PING":          {Redis, "-NOPERM this user has no permissions to run 'ping'\r\n", Serving, OK, "", -1},
		"redis: loading":                    {Redis, "-LOADING Redis is loading the dataset in memory\r\n", Loading, StartingUp, "loading the dataset", -1},
		"redis: protected":                  {Redis, "-DENIED Redis is running in protected mode\r\n", Wrong, ServerError, "protected mode", -1},
		"redis: follower without chief":     {Redis, "-MASTERDOWN Link with MASTER is down\r\n", Wrong, ServerError, "MASTERDOWN", -1},
		"redis: other text":                 {Redis, "+PONGO\r\n", Wrong, BadProtocol, "", -1},
		"redis: cut short":                  {Redis, "+PONG", Wrong, BadProtocol, "in the middle", -1},
		"redis: closed":                     {Redis, "", Unreachable, Closed, "", -1},
		"postgres: wants a password":        {Postgres, pg("R", "\x00\x00\x00\x0aSCRAM-SHA-256\x00\x00"), Serving, OK, "accepts sessions", -1},
		"postgres: opens a session":         {Postgres, pg("R", "\x00\x00\x00\x00") + pg("S", "a\x00b\x00"), Serving, OK, "accepts sessions", -1},
		"postgres: notice first":            {Postgres, pg("N", "Mhi\x00\x00") + pg("v", "\x00\x00\x00\x00\x00\x00\x00\x00") + pg("R", "\x00\x00\x00\x00"), Serving, OK, "", -1},
		"postgres: not for this host":       {Postgres, pgError("28000", "no pg_hba.conf entry"), Serving, OK, "refused this one", -1},
		"postgres: no such database":        {Postgres, pgError("3D000", "database does not exist"), Serving, OK, "", -1},
		"postgres: starting":                {Postgres, pgError("57P03", "the database system is starting up"), Loading, StartingUp, "the database system is starting up", -1},
		"postgres: full":                    {Postgres, pgError("53300", "sorry, too many clients already"), Wrong, ServerError, "too many clients already (53300)", -1},
		"postgres: error of an old version": {Postgres, "Ecould not fork\x00", Wrong, BadProtocol, "", -1},
		"postgres: unknown message":         {Postgres, pg("Z", "I"), Wrong, BadProtocol, "", -1},
		"postgres: length below itself":     {Postgres, "R\x00\x00\x00\x00", Wrong, BadProtocol, "", -1},
		"postgres: cut short":               {Postgres, pg("R", "\x00\x00\x00\x00")[:7], Wrong, BadProtocol, "in the middle", -1},
		"postgres: closed":                  {Postgres, "", Unreachable, Closed, "", -1},
		"mysql: greets":                     {MySQL, greeting("11.4.2-MariaDB", "mysql_native_password"), Serving, OK, "11.4.2-MariaDB", -1},
		"mysql: greets and no more":         {MySQL, packetOf(0, "\x0a8.0\x00"), Serving, OK, "8.0", -1},
		"mysql: full":                       {MySQL, packetOf(0, "\xff\x10\x04Too many connections"), Wrong, ServerError, "Too many connections (1040)", -1},
		"mysql: address is blocked":         {MySQL, packetOf(0, "\xff\x69\x04Host '10.0.2.100' is blocked"), Wrong, ServerError, "is blocked (1129)", -1},
		"mysql: not for this address":       {MySQL, packetOf(0, "\xff\x6a\x04Host '10.0.2.100' is not allowed"), Serving, OK, "refuses this address", -1},
		"mysql: older protocol":             {MySQL, packetOf(0, "\x093.20\x00"), Wrong, BadProtocol, "0x9", -1},
		"mysql: version without end":        {MySQL, packetOf(0, "\x0a8.0"), Wrong, BadProtocol, "", -1},
		"mysql: empty packet":               {MySQL, "\x00\x00\x00\x00", Wrong, BadProtocol, "0 bytes", -1},
		"mysql: not MySQL":                  {MySQL, "HTTP/1.1 400 Bad Request\r\n\r\n", Wrong, BadProtocol, "not in mysql", -1},
		"mysql: cut short":                  {MySQL, greeting("8.0", "x")[:20], Wrong, BadProtocol, "in the middle", -1},
		"mysql: closed":                     {MySQL, "", Unreachable, Closed, "", -1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := ask(t, target(c.kind, answering(t, c.kind, c.answer)))
			check(t, o, c.state, c.reason, c.detail)
			if o.Progress != c.progress {
				t.Errorf("progress %v, want %v", o.Progress, c.progress)
			}
		})
	}
}
