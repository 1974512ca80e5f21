package update

import (
	"crypto/sha256"
	"encoding/binary"
	"time"
)

// Turn returns after how much of a rollout a machine takes a release. Machines take turns, another one
// for each release. The id of a machine can't be found out from its turns. Without one it is 0.
func Turn(rollout time.Duration, machine, app string, o Origin) time.Duration {
	if machine == "" {
		return 0
	}
	h := sha256.New()
	for _, text := range []string{"archipelago-rollout", machine, app, o.Digest} {
		h.Write([]byte(text))
		h.Write([]byte{0})
	}
	position := binary.BigEndian.Uint32(h.Sum(nil))
	return time.Duration(float64(rollout) * float64(position) / (1 << 32))
}
