package manifests

import (
	"slices"
	"strings"

	"github.com/archipelago-os/archipelago/manifests/diag"
)

// ownFlags are arguments of podman run that the generator or Quadlet sets.
var ownFlags = []string{
	"--name", "--replace", "--rm", "--detach", "--sdnotify", "--cgroups", "--cidfile", "--pidfile", "--conmon-pidfile",
	"--restart", "--pod", "--pod-id-file", "--rootfs", "--label-file", "--network", "--net", "--userns", "--stop-timeout",
	"--sig-proxy", "--attach", "--preserve-fds", "--entrypoint", "--health-on-failure",
}

// switches are the arguments of podman run that stand without a value. Any
// other would swallow the next word, at last the image.
var switches = strings.Fields(`
	--env-host --http-proxy --init --interactive --no-healthcheck --no-hostname --no-hosts --oom-kill-disable --privileged
	--publish-all --quiet --read-only --read-only-tmpfs --tls-verify --tty --unsetenv-all`)

// valued are the arguments of podman run with a value that change only the container. They do
// not include arguments that make Podman run programs of the host (--runtime, --conmon,
// --hooks-dir, --module), that affect other containers (--requires, --volumes-from,
// --cgroup-parent, --init-path) or images (--rmi), that set names on which other apps rely
// (--hostname, --network-alias), and those for volumes and secrets, which have keys in the
// manifest that record their owner (--volume, --mount, --secret).
var valued = strings.Fields(`
	--add-host --annotation --arch --blkio-weight --blkio-weight-device --cap-add --cap-drop --cgroup-conf --cgroupns
	--chrootdirs --cpu-period --cpu-quota --cpu-rt-period --cpu-rt-runtime --cpu-shares --cpus --cpuset-cpus --cpuset-mems
	--device --device-cgroup-rule --device-read-bps --device-read-iops --device-write-bps --device-write-iops --dns
	--dns-option --dns-search --env --env-file --env-merge --expose --gidmap --gpus --group-add --group-entry --health-cmd
	--health-interval --health-log-destination --health-max-log-count --health-max-log-size --health-retries
	--health-start-period --health-startup-cmd --health-startup-interval --health-startup-retries --health-startup-success
	--health-startup-timeout --health-timeout --hostuser --image-volume --ip --ip6 --ipc --label --log-opt --mac-address
	--memory --memory-reservation --memory-swap --memory-swappiness --oom-score-adj --os --passwd --passwd-entry
	--personality --pid --pids-limit --platform --publish --pull --rdt-class --retry --retry-delay --security-opt
	--shm-size --shm-size-systemd --stop-signal --subgidname --subuidname --sysctl --systemd --timeout --tmpfs --tz --uidmap --ulimit --umask
	--unsetenv --user --uts --variant --workdir`)

// podmanArg refuses an argument that would break the podman command or reach beyond the
// container.
func (v *validator) podmanArg(path, arg string) {
	flag, value, hasValue := strings.Cut(arg, "=")
	label, _, _ := strings.Cut(value, "=")
	isSwitch := slices.Contains(switches, flag)
	switch {
	case !strings.HasPrefix(arg, "--") || len(flag) < 3:
		v.fail(diag.Structure, path, "write --flag=value in one word", "%q is not a long option: Podman would take it for the image", arg)
	case slices.Contains(ownFlags, flag):
		v.fail(diag.Structure, path, "", "%s is set by archgen or Quadlet", flag)
	case !isSwitch && !slices.Contains(valued, flag):
		v.fail(diag.Structure, path, didYouMean(flag, slices.Concat(switches, valued)), "%s is not among the arguments of podman run that change nothing but the container", flag)
	case flag == "--label" && isOwnLabel(label):
		v.fail(diag.Structure, path, "", "labels io.archipelago.* are archgen's own, and io.containers.autoupdate follows from update.policy")
	case !hasValue && !isSwitch:
		v.fail(diag.Structure, path, "write "+flag+"=value", "%s takes a value in the same word", flag)
	}
}
