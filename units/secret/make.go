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

// alphabets is what generated values are made of. None has a character that a
// URL, a shell or a configuration file gives a meaning, but for base64's + and /.
var alphabets = map[string]string{
	"alnum":  "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz",
	"hex":    "0123456789abcdef",
	"url":    "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-_",
	"base64": "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz+/",
}

// generate makes a random value. Every character is as likely as any other: bytes
// that would give the first ones of the alphabet another chance are passed over.
func generate(length int, alphabet string) (string, error) {
	characters, ok := alphabets[alphabet]
	if !ok {
		return "", fmt.Errorf("there is no alphabet %q", alphabet)
	}
	fair := 256 - 256%len(characters)
	value := make([]byte, 0, length)
	for random := make([]byte, 2*length); len(value) < length; {
		if _, err := rand.Read(random); err != nil {
			return "", fmt.Errorf("getting random bytes: %w", err)
		}
		for _, b := range random {
			if int(b) < fair && len(value) < length {
				value = append(value, characters[int(b)%len(characters)])
			}
		}
	}
	if value[0] == '-' { // which a program would take for an option
		return generate(length, alphabet)
	}
	return string(value), nil
}

// derive makes the value of a secret from that of another.
func derive(d units.Secret, from string) (string, error) {
	switch d.Method {
	case "hmac":
		return mac(from, d.Name), nil
	case "base64":
		return base64.StdEncoding.EncodeToString([]byte(from)), nil
	case "rpcauth":
		salt := make([]byte, 16)
		if _, err := rand.Read(salt); err != nil {
			return "", fmt.Errorf("getting random bytes: %w", err)
		}
		return salted(hex.EncodeToString(salt), from), nil
	case "bcrypt":
		hash, err := bcrypt.GenerateFromPassword([]byte(from), bcrypt.DefaultCost)
		if err != nil {
			return "", fmt.Errorf("hashing %s: %w", d.From, err)
		}
		return string(hash), nil
	}
	return "", fmt.Errorf("there is no way %q to derive a secret", d.Method)
}

// isDerived reports whether a value was made from that of another. Those with a
// salt keep it for as long as they fit, so that nobody restarts for a new one.
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

// salted is what follows `rpcauth=USER:` in bitcoin.conf.
func salted(salt, password string) string { return salt + "$" + mac(salt, password) }

func mac(key, text string) string {
	h := hmac.New(sha256.New, []byte(key))
	h.Write([]byte(text))
	return hex.EncodeToString(h.Sum(nil))
}
