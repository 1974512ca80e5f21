package manifests

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Duration is a length of time: `90s`, `20m`, `1h30m`, `7d`. Units: ms, s, m, h, d, w.
type Duration time.Duration

// Size is a number of bytes: `64m`, `4g`, `512k`; powers of 1024.
type Size int64

// Mode is a set of file permissions in octal: "0400". Zero means not given.
type Mode uint32

// Decimal is a positive number kept as written: `1.50` stays `1.50`.
type Decimal string

// Words is a command: a list of words, or one string that is split like a
// shell would, without a shell.
type Words []string

// Env is a set of environment variables, sorted by name.
type Env []Variable

// Variable is one environment variable.
type Variable struct{ Name, Value string }

// unit is a unit of time or size, with its factor.
type unit struct {
	name   string
	factor int64
}

// durationUnits is sorted from the longest.
var durationUnits = []unit{
	{"w", int64(7 * 24 * time.Hour)},
	{"d", int64(24 * time.Hour)},
	{"h", int64(time.Hour)},
	{"m", int64(time.Minute)},
	{"s", int64(time.Second)},
	{"ms", int64(time.Millisecond)},
}

var (
	durationText = regexp.MustCompile(`^([0-9]{1,9}(w|d|h|ms|m|s))+$`)
	durationPart = regexp.MustCompile(`([0-9]+)(w|d|h|ms|m|s)`)
)

// parseDuration reads a duration.
func parseDuration(s string) (Duration, error) {
	if _, err := strconv.ParseFloat(s, 64); err == nil {
		return 0, fmt.Errorf("it has no unit: write %ss for seconds", s)
	}
	if !durationText.MatchString(s) {
		return 0, fmt.Errorf("write a number and a unit (ms, s, m, h, d, w), such as 90s or 1h30m")
	}
	var total int64
	for _, part := range durationPart.FindAllStringSubmatch(s, -1) {
		n, _ := strconv.ParseInt(part[1], 10, 64)
		for _, u := range durationUnits {
			if u.name == part[2] {
				// Nine digits of weeks overflow; everything above a century is refused by ranges.
				n = min(n, int64(100*365*24*time.Hour)/u.factor)
				total += n * u.factor
			}
		}
	}
	return Duration(min(total, int64(100*365*24*time.Hour))), nil
}

// String writes the duration in the units that fit, largest first; systemd
// reads the same.
func (d Duration) String() string {
	if d == 0 {
		return "0s"
	}
	var b strings.Builder
	rest := int64(d)
	for _, u := range durationUnits {
		if n := rest / u.factor; n > 0 {
			b.WriteString(strconv.FormatInt(n, 10) + u.name)
			rest -= n * u.factor
		}
	}
	return b.String()
}

// sizeUnits is sorted from the largest.
var sizeUnits = []unit{{"t", 1 << 40}, {"g", 1 << 30}, {"m", 1 << 20}, {"k", 1 << 10}}

var sizeText = regexp.MustCompile(`^([0-9]{1,15})([tgmk]?)(i?b)?$`)

// parseSize reads a size.
func parseSize(s string) (Size, error) {
	m := sizeText.FindStringSubmatch(strings.ToLower(s))
	if m == nil {
		return 0, fmt.Errorf("write a number and a unit (k, m, g, t), such as 512m or 4g")
	}
	n, _ := strconv.ParseInt(m[1], 10, 64)
	for _, u := range sizeUnits {
		if u.name == m[2] {
			if n > (1<<62)/u.factor {
				return 0, fmt.Errorf("it is too large")
			}
			n *= u.factor
		}
	}
	return Size(n), nil
}

// String writes the size in the largest unit that divides it, as Podman reads it.
func (s Size) String() string {
	// Podman's memory sizes know no t.
	for _, u := range sizeUnits[1:] {
		if s != 0 && int64(s)%u.factor == 0 {
			return strconv.FormatInt(int64(s)/u.factor, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10) + "b"
}

var modeText = regexp.MustCompile(`^0?[0-7]{3,4}$`)

// parseMode reads permissions. They must begin with 0 or have four digits: 400
// is too easily meant as decimal.
func parseMode(s string) (Mode, error) {
	if !modeText.MatchString(s) || len(s) < 4 {
		return 0, fmt.Errorf(`write permissions in octal with four digits, such as "0400"`)
	}
	n, err := strconv.ParseUint(s, 8, 16)
	if err != nil || n > 0o7777 {
		return 0, fmt.Errorf(`write permissions in octal with four digits, such as "0400"`)
	}
	if n == 0 {
		return 0, fmt.Errorf("no user could read it")
	}
	return Mode(n), nil
}

// String writes the permissions in octal with four digits.
func (m Mode) String() string { return fmt.Sprintf("%04o", uint32(m)) }

var decimalText = regexp.MustCompile(`^[0-9]{1,6}(\.[0-9]{1,6})?$`)

// parseDecimal reads a positive number.
func parseDecimal(s string) (Decimal, error) {
	if !decimalText.MatchString(s) || strings.Trim(s, "0.") == "" {
		return "", fmt.Errorf("write a positive number, such as 2 or 0.5")
	}
	return Decimal(s), nil
}
