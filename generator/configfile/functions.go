package configfile

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// FunctionDoc documents a function of templates.
type FunctionDoc struct{ Name, Arguments, Meaning string }

// Functions is what templates can call beside what they can in Go's text/template, too:
// and, or, not, eq, ne, lt, le, gt, ge, index, len, slice, print, println, printf, urlquery.
var Functions = []FunctionDoc{
	{"secret", "NAME", "value of a secret of the app, or of one that a capability exports: `secret (capability \"bitcoin-rpc\").password_secret`"},
	{"capability", "NAME", "what the provider of a required capability offers: host, port and its exports; empty if it is optional and has no provider"},
	{"default", "FALLBACK VALUE", "the value, or the fallback where it is empty"},
	{"rpcauth", "USER PASSWORD", "what follows `rpcauth=` in bitcoin.conf: USER:SALT$HMAC; the same for the same user and password"},
	{"bcrypt", "PASSWORD", "bcrypt hash of a password; the same for the same password"},
	{"hmac", "KEY TEXT", "HMAC-SHA256 in hexadecimal"},
	{"base64", "TEXT", "standard base64"},
	{"add", "A B", "A + B; so do `sub`, `mul`, `div` (rounded towards zero), `min` and `max` with whole numbers"},
}

// source is where secrets come from, and what a bcrypt hash costs.
type source struct {
	secret func(string) (string, error)
	cost   int
}

// function is what a template can call by a name.
type function struct {
	// least is the fewest arguments that it takes, and if isFixed also the most.
	least   int
	isFixed bool
	call    func(args []any) (any, error)
	// endsWith reports whether an argument is the result, so that those after it are not evaluated.
	endsWith func(value any) bool
}

// arguments is how many arguments it takes, for a message.
func (f function) arguments() string {
	switch {
	case !f.isFixed:
		return fmt.Sprintf("%d arguments or more", f.least)
	case f.least == 1:
		return "1 argument"
	}
	return fmt.Sprintf("%d arguments", f.least)
}

// one, two and many make functions of one value, of two, and of as many as are given after the first least.
func one(f func(any) (any, error)) function {
	return function{least: 1, isFixed: true, call: func(args []any) (any, error) { return f(args[0]) }}
}

func two(f func(x, y any) (any, error)) function {
	return function{least: 2, isFixed: true, call: func(args []any) (any, error) { return f(args[0], args[1]) }}
}

func many(least int, f func(args []any) (any, error)) function {
	return function{least: least, call: f}
}

// oneText and twoTexts make functions of texts.
func oneText(f func(string) (any, error)) function {
	return one(func(v any) (any, error) {
		text, err := textOf(v)
		if err != nil {
			return nil, err
		}
		return f(text)
	})
}

func twoTexts(f func(x, y string) (any, error)) function {
	return two(func(v, w any) (any, error) {
		x, err := textOf(v)
		if err != nil {
			return nil, err
		}
		y, err := textOf(w)
		if err != nil {
			return nil, err
		}
		return f(x, y)
	})
}

func textOf(v any) (string, error) {
	text, ok := v.(string)
	if !ok {
		return "", fmt.Errorf("it takes a text, and not %s", kindOf(v))
	}
	return text, nil
}

// functions is everything that a template can call.
func functions(data Data, from source, b *Budget) map[string]function {
	made := func(f func(string) string) function {
		return one(func(v any) (any, error) { return b.make(f(printed(v))) })
	}
	digest := func(f func(x, y string) string) function {
		return twoTexts(func(x, y string) (any, error) {
			if err := b.spend(len(x) + len(y)); err != nil {
				return nil, err
			}
			return b.make(f(x, y))
		})
	}
	exported := data.exported()
	lastOf := func(args []any) (any, error) { return args[len(args)-1], nil }
	return map[string]function{
		"secret":     oneText(func(name string) (any, error) { return data.secret(name, exported, from, b) }),
		"capability": oneText(func(name string) (any, error) { return data.capability(name) }),
		"default": two(func(fallback, value any) (any, error) {
			if isTrue(value) {
				return value, nil
			}
			return fallback, nil
		}),
		"rpcauth": digest(RPCAuth),
		"bcrypt": oneText(func(password string) (any, error) {
			if err := b.spend(maxMade / mostHashes); err != nil {
				return nil, err
			}
			return hashed(password, from.cost)
		}),
		"hmac":     digest(mac),
		"base64":   made(func(s string) string { return base64.StdEncoding.EncodeToString([]byte(s)) }),
		"urlquery": made(url.QueryEscape),
		"and":      {least: 1, call: lastOf, endsWith: func(v any) bool { return !isTrue(v) }},
		"or":       {least: 1, call: lastOf, endsWith: isTrue},
		"not":      one(func(v any) (any, error) { return !isTrue(v), nil }),
		"eq":       many(1, func(args []any) (any, error) { return b.eq(args[0], args[1:]...) }),
		"ne":       two(func(x, y any) (any, error) { is, err := b.eq(x, y); return !is, err }),
		"lt":       b.ordered(func(c int) bool { return c < 0 }),
		"le":       b.ordered(func(c int) bool { return c <= 0 }),
		"gt":       b.ordered(func(c int) bool { return c > 0 }),
		"ge":       b.ordered(func(c int) bool { return c >= 0 }),
		"len":      one(func(v any) (any, error) { return length(v) }),
		"index":    many(1, func(args []any) (any, error) { return b.index(args[0], args[1:]...) }),
		"slice":    many(1, func(args []any) (any, error) { return slice(args[0], args[1:]) }),
		"add":      whole(func(x, y int) int { return x + y }),
		"sub":      whole(func(x, y int) int { return x - y }),
		"mul":      whole(func(x, y int) int { return x * y }),
		"min":      whole(func(x, y int) int { return min(x, y) }),
		"max":      whole(func(x, y int) int { return max(x, y) }),
		"div":      wholeOrError(divide),
		"print":    many(0, func(args []any) (any, error) { return b.print(fmt.Sprint, args) }),
		"println":  many(0, func(args []any) (any, error) { return b.print(fmt.Sprintln, args) }),
		"printf": many(1, func(args []any) (any, error) {
			format, err := textOf(args[0])
			if err != nil {
				return nil, err
			}
			return b.printf(format, args[1:]...)
		}),
	}
}

// mostHashes is how many bcrypt hashes a template may ask for: each takes as long
// as all the rest.
const mostHashes = 4

// secret gives the value of a secret that the app may read: one of its own by
// name, or one that a capability exports by full name.
func (d Data) secret(name string, exported map[string]bool, from source, b *Budget) (string, error) {
	if err := b.spend(len(name)); err != nil {
		return "", err
	}
	full, ok := d.secretName(name, exported)
	if !ok {
		return "", fmt.Errorf("%s", d.noSecret(name))
	}
	value, err := from.secret(full)
	if err != nil {
		return "", err
	}
	return b.make(value)
}

func (d Data) secretName(name string, exported map[string]bool) (string, bool) {
	if full, own := d.Secrets[name]; own {
		return full, true
	}
	return name, exported[name]
}

// exported is the full names of the secrets that required capabilities export.
func (d Data) exported() map[string]bool {
	names := map[string]bool{}
	for _, c := range d.Capabilities {
		for name, value := range c {
			if strings.HasSuffix(name, "_secret") {
				names[value] = true
			}
		}
	}
	return names
}

func (d Data) noSecret(name string) string {
	return fmt.Sprintf("there is no secret %s here%s", name, listed("the app has", d.Secrets))
}

func (d Data) noCapability(name string) string {
	return fmt.Sprintf("the app does not require the capability %s%s", name, listed("it requires", d.Capabilities))
}

// listed names what there is instead, for a message.
func listed[V any](what string, m map[string]V) string {
	if len(m) == 0 {
		return ""
	}
	return "; " + what + " " + strings.Join(slices.Sorted(maps.Keys(m)), ", ")
}

func (d Data) capability(name string) (map[string]string, error) {
	c, required := d.Capabilities[name]
	if !required {
		return nil, errors.New(d.noCapability(name))
	}
	return c, nil
}

// whole makes a function of two numbers, which may be written as text.
func whole(f func(x, y int) int) function {
	return wholeOrError(func(x, y int) (int, error) { return f(x, y), nil })
}

func wholeOrError(f func(x, y int) (int, error)) function {
	return two(func(x, y any) (any, error) {
		a, err := integer(x)
		if err != nil {
			return nil, err
		}
		b, err := integer(y)
		if err != nil {
			return nil, err
		}
		return f(a, b)
	})
}

func divide(x, y int) (int, error) {
	if y == 0 {
		return 0, errors.New("division by zero")
	}
	return x / y, nil
}

func integer(v any) (int, error) {
	switch n := v.(type) {
	case int:
		return n, nil
	case string:
		if i, err := strconv.Atoi(n); err == nil {
			return i, nil
		}
	}
	return 0, errors.New("it is not a whole number")
}

func (b *Budget) print(how func(...any) string, args []any) (string, error) {
	if err := b.spend(sizeOf(args)); err != nil {
		return "", err
	}
	return how(args...), nil
}

// printf takes plain verbs only: `*`, `[n]` and wide columns make more of little.
func (b *Budget) printf(format string, args ...any) (string, error) {
	verbs := strings.Split(format, "%")[1:]
	for _, v := range verbs {
		width := v[:len(v)-len(strings.TrimLeft(v, "+-# 0123456789."))]
		if len(width) > 4 || strings.HasPrefix(v[len(width):], "*") || strings.HasPrefix(v[len(width):], "[") {
			return "", errors.New("printf takes verbs such as %s, %d, %08d and %-20s")
		}
	}
	// A column may be 9999 wide, and %q writes up to ten bytes for one.
	if err := b.spend(len(format) + 10*sizeOf(args)); err != nil {
		return "", err
	}
	for _, v := range verbs {
		if strings.ContainsAny(v[:min(len(v), 1)], "123456789-+ 0.#") {
			if err := b.spend(10_000); err != nil {
				return "", err
			}
		}
	}
	return fmt.Sprintf(format, args...), nil
}

func sizeOf(args []any) int {
	n := 0
	for _, a := range args {
		switch v := a.(type) {
		case string:
			n += len(v)
		case map[string]string:
			for k, s := range v {
				n += len(k) + len(s) + 2
			}
		default:
			n += 1 << 10 // numbers, and the few facts of the machine
		}
	}
	return n
}

func mac(key, text string) string {
	h := hmac.New(sha256.New, []byte(key))
	h.Write([]byte(text))
	return hex.EncodeToString(h.Sum(nil))
}

// RPCAuth is a user and a password as bitcoind's rpcauth= takes them. The salt
// follows from the password, so that the same one always gives the same text.
func RPCAuth(user, password string) string {
	salt := mac(password, "rpcauth salt of "+user)[:32]
	return user + ":" + salt + "$" + mac(salt, password)
}
