package probe

import (
	"bufio"
	"encoding/json"
)

// internalError is the code of electrs' answers while it indexes.
const internalError = -32603

var serverVersion = []byte(`{"jsonrpc":"2.0","id":0,"method":"server.version","params":["archipelago","1.4"]}` + "\n")

func askElectrum(x *exchange) (Outcome, error) {
	if err := x.send(serverVersion); err != nil {
		return Outcome{}, err
	}
	return readElectrum(x.in)
}

func readElectrum(r *bufio.Reader) (Outcome, error) {
	text, err := line(r)
	if err != nil {
		return Outcome{}, err
	}
	var answer response
	if json.Unmarshal(text, &answer) != nil {
		return Outcome{}, protocolError(text)
	}
	code, message, failed := answer.failure()
	switch {
	case failed && code == internalError:
		o := outcome(Loading, Indexing, "indexing: %s", message)
		o.Progress = progress(message)
		return o, nil
	case failed:
		return outcome(Wrong, ServerError, "server.version failed: %s (%d)", message, code), nil
	case answer.Result == nil || string(answer.Result) == "null":
		return Outcome{}, protocolError(text)
	}
	var names []string
	if json.Unmarshal(answer.Result, &names) == nil && len(names) > 0 {
		return outcome(Serving, OK, "%s answers", quote(names[0])), nil
	}
	return outcome(Serving, OK, "server.version gave a result"), nil
}
