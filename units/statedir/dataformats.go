package statedir

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/archipelago-os/archipelago/units/durable"
)

// formatsDir has a file for each app that declares the format of its data: the newest format with
// which it was started.
const formatsDir = "formats"

// DataFormats is the directory in which the formats of data are recorded.
func (s Store) DataFormats() string { return filepath.Join(s.State, formatsDir) }

// DataFormat returns the format of an app's data, 0 if it is unknown.
func (s Store) DataFormat(app string) (int, error) {
	text, err := durable.ReadFile(s.DataFormats(), app)
	if err != nil || text == nil {
		return 0, err
	}
	format, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil || format < 1 {
		return 0, fmt.Errorf("%s is damaged; write the format of the data of %s into it, a number", filepath.Join(s.DataFormats(), app), app)
	}
	return format, nil
}

// SaveDataFormat records the format of an app's data, 0 if it is unknown. It writes nothing if the
// record says so.
func (s Store) SaveDataFormat(app string, format int) error {
	if format == 0 {
		return durable.Remove(s.DataFormats(), app)
	}
	if known, err := s.DataFormat(app); err == nil && known == format {
		return nil
	}
	return durable.Replace(s.DataFormats(), app, []byte(strconv.Itoa(format)+"\n"))
}

// ForgetDataFormats removes the formats of apps whose data is deleted.
func (s Store) ForgetDataFormats(apps []string) error {
	errs := make([]error, 0, len(apps))
	for _, app := range apps {
		errs = append(errs, durable.Remove(s.DataFormats(), app))
	}
	return errors.Join(errs...)
}
