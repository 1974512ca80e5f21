package units

import (
	"bytes"
	"fmt"
)

// DataFormat is the formats of data that a version of an app can read: from Reads to Written, in
// which it writes. The zero value reads any.
type DataFormat struct {
	Written int `json:"written"`
	Reads   int `json:"reads"`
}

// Check returns an error if the version can't read data of a format. The format 0 is unknown.
func (f DataFormat) Check(app string, format int) error {
	switch {
	case f.Written == 0 || format == 0:
		return nil
	case format > f.Written:
		return fmt.Errorf("the data of %s has format %d, and this version reads at most %d: install a version that reads it", app, format, f.Written)
	case format < f.Reads:
		return fmt.Errorf("the data of %s has format %d, and this version converts it only from %d on: first install a version that reads %d", app, format, f.Reads, format)
	}
	return nil
}

// CheckRecorded is Check with the format that recorded returns. Nothing is read for an app that declares
// none.
func (f DataFormat) CheckRecorded(app string, recorded func(app string) (int, error)) error {
	if f.Written == 0 {
		return nil
	}
	format, err := recorded(app)
	if err != nil {
		return err
	}
	return f.Check(app, format)
}

// DataFormat is the formats that the files of an app declare.
func (s Set) DataFormat(app string) DataFormat {
	for _, f := range s.Of(app) {
		if !IsPrestart(f.Name) || !bytes.Contains(f.Content, []byte("\nDataFormat=")) {
			continue
		}
		if r, err := ReadPrestart(f.Content); err == nil { // a damaged one is rewritten, and refused at a start
			return r.Format
		}
	}
	return DataFormat{}
}
