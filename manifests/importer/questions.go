package importer

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/manifests/diag"
	"github.com/archipelago-os/archipelago/manifests/syntax"
)

// keyOfKind is how the table of losses names the key of a question that differs by its subject.
var keyOfKind = regexp.MustCompile(`\b(?:secret|mount|expose|variable|specifier|engine)\.[A-Z]+`)

// Question is something that the source does not say.
type Question struct {
	Code Code `json:"code"`
	// Key is what --set and an answers file name it by.
	Key  string `json:"key"`
	Text string `json:"text"`
	// Default is the answer without one; if HasDefault is false the question has to be answered.
	Default    string `json:"default,omitempty"`
	HasDefault bool   `json:"has_default"`
	// Choices is the answers that are accepted; any if empty.
	Choices    []string `json:"choices,omitempty"`
	IsAnswered bool     `json:"answered"`

	at  syntax.Position
	key string
}

// From places the question at a key of the source.
func (q Question) From(p syntax.Position, key string) Question {
	q.at, q.key = p, key
	return q
}

// Ask returns the answer of a question, or its default. Each question is reported once,
// however often it is asked.
func (d *Draft) Ask(q Question) string {
	answer, isAnswered := d.answers[q.Key]
	if isAnswered && len(q.Choices) > 0 && !slices.Contains(q.Choices, answer) {
		d.Report(BadSourceValue, q.at, q.key, "the answer %s to %s is none of %s", diag.Quote(diag.Shorten(answer)), q.Key, strings.Join(q.Choices, ", "))
		isAnswered = false
	}
	if !isAnswered {
		answer = q.Default
	}
	if slices.ContainsFunc(d.questions, func(other Question) bool { return other.Key == q.Key }) {
		return answer
	}
	q.IsAnswered = isAnswered
	d.questions = append(d.questions, q)
	switch {
	case isAnswered:
		d.findings = append(d.findings, at(Finding{Severity: Kept, Code: q.Code, Key: q.key, Message: q.Key + " is answered"}, q.at))
	case q.HasDefault:
		d.Report(q.Code, q.at, q.key, "%s", q.Text)
		last := &d.findings[len(d.findings)-1]
		last.Hint = keyOfKind.ReplaceAllLiteralString(last.Hint, q.Key)
		if name, isSecret := strings.CutPrefix(q.Key, "secret."); isSecret {
			last.Hint = strings.ReplaceAll(last.Hint, "ID.NAME", d.App.ID+"."+name)
		}
	default:
		d.findings = append(d.findings, at(Finding{
			Severity: Refused, Code: q.Code, Key: q.key, Message: q.Text, Hint: fmt.Sprintf("--set %s=VALUE", q.Key),
		}, q.at))
	}
	return answer
}

// Answer is the answer of a question that may not be asked.
func (d *Draft) Answer(key string) (answer string, isGiven bool) {
	answer, isGiven = d.answers[key]
	return answer, isGiven
}

// Accepts reports whether a text can be the answer.
func (q Question) Accepts(answer string) bool {
	return (answer != "" || q.HasDefault) && (len(q.Choices) == 0 || slices.Contains(q.Choices, answer))
}

// Prompt is the question for a person at a terminal. An empty answer is the default.
func (q Question) Prompt() string {
	text := q.Text + "\n" + q.Key
	if len(q.Choices) > 0 {
		text += " (" + strings.Join(q.Choices, ", ") + ")"
	}
	if q.HasDefault {
		text += " [" + q.Default + "]"
	}
	return text + ": "
}

// ParseAnswers reads a file of answers, TOML or YAML: a key for each question. Maps within
// maps stand for keys with dots.
func ParseAnswers(name string, data []byte) (map[string]string, diag.List) {
	r := &syntax.Reader{File: name}
	tree := r.Read(data)
	answers := map[string]string{}
	if tree != nil {
		flatten(answers, r, "", tree)
	}
	return answers, r.Diags
}

func flatten(answers map[string]string, r *syntax.Reader, path string, n *syntax.Node) {
	for _, e := range n.Entries {
		here := syntax.JoinPath(path, e.Key)
		switch e.Value.Kind {
		case syntax.MapNode:
			flatten(answers, r, here, e.Value)
		case syntax.ScalarNode, syntax.NullNode:
			answers[here] = e.Value.Text
		case syntax.ListNode, syntax.BrokenNode:
			r.Diags = append(r.Diags, diag.Diagnostic{
				Code: diag.WrongType, File: e.At.File, Line: e.At.Line, Column: e.At.Column,
				Message: fmt.Sprintf("the answer %s must be one value", here),
			})
		}
	}
}
