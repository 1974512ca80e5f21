package secret

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"strings"

	"golang.org/x/crypto/bcrypt"

	"github.com/archipelago-os/archipelago/units"
)

// alphabets is the characters of generated values. None has a special meaning in URLs,
// shells or configuration files, except base64's + and /.
var alphabets = map[string]string{
	"alnum":  "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
	"hex":    "0123456789abcdef",
	"url":    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_",
	"base64": "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz+/",
}

// generate makes a random value. All characters are equally likely: bytes that would favour
// the first ones of the alphabet are skipped.
func generate(length int, alphabet string) (string, error) {
	characters, ok := alphabets[alphabet]
	if !ok {
		return "", fmt.Errorf("unknown alphabet %q", alphabet)
	}
	fair := 256 - 256%len(characters)
	value := make([]byte, 0, length)
	for random := make([]byte, 2*length); len(value) < length; {
		if _, err := rand.Read(random); err != nil {
			return "", fmt.Errorf("reading random bytes: %w", err)
		}
		for _, b := range random {
			if int(b) < fair && len(value) < length {
				value = append(value, characters[int(b)%len(characters)])
			}
		}
	}
	if value[0] == '-' { // programs would parse it as an option
		return generate(length, alphabet)
	}
	return string(value), nil
}

// derive makes the value of a secret from the value of another.
func derive(d units.Secret, from string) (string, error) {
	switch d.Method {
	case "hmac":
		return mac(from, d.Name), nil
	case "base64":
		return base64.StdEncoding.EncodeToString([]byte(from)), nil
	case "rpcauth":
		salt := make([]byte, 16)
		if _, err := rand.Read(salt); err != nil {
			return "", fmt.Errorf("reading random bytes: %w", err)
		}
		return salted(hex.EncodeToString(salt), from), nil
	case "bcrypt":
		hash, err := bcrypt.GenerateFromPassword([]byte(from), bcrypt.DefaultCost)
		if err != nil {
			return "", fmt.Errorf("hashing %s: %w", d.From, err)
		}
		return string(hash), nil
	}
	return "", fmt.Errorf("unknown method %q to derive a secret", d.Method)
}

// isDerived reports whether a value was made from the value of another secret. A value with
// a salt stays valid until the other value changes, so that no app restarts for a new salt.
func isDerived(d units.Secret, value, from string) bool {
	switch d.Method {
	case "hmac", "base64":
		made, err := derive(d, from)
		return err == nil && made == value
	case "rpcauth":
		salt, _, ok := strings.Cut(value, "$")
		return ok && value == salted(salt, from)
	case "bcrypt":
		return bcrypt.CompareHashAndPassword([]byte(value), []byte(from)) == nil
	}
	return false
}

// salted returns the text after `rpcauth=USER:` in bitcoin.conf.
func salted(salt, password string) string { return salt + "$" + mac(salt, password) }

func mac(key, text string) string {
	h := hmac.New(sha256.New, []byte(key))
	h.Write([]byte(text))
	return hex.EncodeToString(h.Sum(nil))
}
