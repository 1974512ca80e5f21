package configfile

import (
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/crypto/blowfish" //nolint:staticcheck // bcrypt is made of it
)

// bcryptCost is what golang.org/x/crypto/bcrypt, htpasswd and others default to.
const bcryptCost = 10

// bcryptAlphabet is that of crypt(3).
var bcryptAlphabet = base64.NewEncoding("./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789").WithPadding(base64.NoPadding)

// hashes remembers the hashes of passwords: one costs as much as a hundred
// templates, and files are rendered again and again to see whether they changed.
// The key is a digest, so that no password stays in memory for it.
var hashes sync.Map

// hashed is the bcrypt hash of a password. golang.org/x/crypto/bcrypt takes only
// random salts, of which each rendering would give another file; here the salt
// follows from the password.
func hashed(password string, cost int) (string, error) {
	if len(password) > 72 {
		return "", errors.New("bcrypt takes no more than 72 bytes")
	}
	digest := sha256.Sum256(fmt.Appendf(nil, "%d %s", cost, password))
	if text, ok := hashes.Load(digest); ok {
		return text.(string), nil
	}
	salt := sha256.Sum256([]byte("bcrypt salt of " + mac(password, "bcrypt salt")))
	text, err := bcryptOf(password, salt[:16], cost)
	if err == nil {
		hashes.Store(digest, text)
	}
	return text, err
}

// bcryptOf is bcrypt, version 2a.
func bcryptOf(password string, salt []byte, cost int) (string, error) {
	key := append([]byte(password), 0)
	c, err := blowfish.NewSaltedCipher(key, salt)
	if err != nil {
		return "", fmt.Errorf("hashing a password: %w", err)
	}
	for range 1 << cost {
		blowfish.ExpandKey(key, c)
		blowfish.ExpandKey(salt, c)
	}
	sum := []byte("OrpheanBeholderScryDoubt")
	for i := 0; i < len(sum); i += blowfish.BlockSize {
		for range 64 {
			c.Encrypt(sum[i:i+blowfish.BlockSize], sum[i:i+blowfish.BlockSize])
		}
	}
	return fmt.Sprintf("$2a$%02d$%s%s", cost, bcryptAlphabet.EncodeToString(salt), bcryptAlphabet.EncodeToString(sum[:23])), nil
}
