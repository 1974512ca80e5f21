package imports

import "context"

// Verb is one of archgen import.
type Verb struct {
	Use, Short, Long, Example string
	// What is the only argument. Without it there are several, and Ask is what to say if there is
	// none.
	What, Ask string
	// IsCommand: the arguments are a command with flags of its own.
	IsCommand bool
	// Run imports what the arguments name.
	Run func(context.Context, *Session, []string) (Outcome, error)
}

// ending is what all verbs do that read files, for their help.
const ending = `
What the source does not say is a question. On a terminal, archgen asks it.
Elsewhere the question has a default that is safe, or the report names the
--set that answers it. A file for --answers is TOML or YAML with the same keys.

A password, token or key becomes a secret: the manifest has its name and never
its value. Set the value with archgen secret set before the app starts.

If DIR holds directories of apps, each of them is imported, without questions,
and a table says what happens to them. One that fails stops no other.

Exit status: 0 nothing is lost; 1 the app needs something that a manifest can't
say, and nothing was written; 3 something is approximated or dropped, or left
out because of --partial.`

// pathOf imports the file or directory that is the only argument.
func pathOf(f Format) func(context.Context, *Session, []string) (Outcome, error) {
	return func(ctx context.Context, s *Session, args []string) (Outcome, error) { return s.Path(ctx, f, args[0]) }
}

// Verbs is the verbs of archgen import.
var Verbs = []Verb{
	{
		Use: "compose FILE|DIR", Short: "Import a Compose project", What: "Compose file, or directory that has one", Run: pathOf(Compose),
		Long: `import compose reads a Compose project and writes ID.yaml, with its
configuration files in ID.files. It reads files in the directory of the project
only, starts nothing and pulls nothing.
` + ending,
		Example: `  archgen import compose ./wiki
  archgen import compose --id wiki --set expose=network compose.yaml
  archgen import compose --answers wiki.toml --json ./wiki`,
	},
	{
		Use: "casaos DIR", Short: "Import an app or the store of CasaOS", What: "directory of an app, or of a store", Run: pathOf(CasaOS),
		Long: `import casaos reads an app of CasaOS, which is a Compose file with x-casaos, and
writes ID.yaml as import compose does. What is below /DATA/AppData becomes named
volumes; other directories of /DATA stay directories of the host.
` + ending,
		Example: `  archgen import casaos ./CasaOS-AppStore/Apps/Syncthing
  archgen import casaos --out apps ./CasaOS-AppStore`,
	},
	{
		Use: "umbrel DIR", Short: "Import an app or a store of Umbrel", What: "directory of an app, or of a store", Run: pathOf(Umbrel),
		Long: `import umbrel reads an app of Umbrel and writes ID.yaml as import compose does.
The port of app_proxy becomes the user interface, without the login of Umbrel.
What other apps export becomes a capability that the app requires. exports.sh is
read for constants; no script runs.
` + ending,
		Example: `  archgen import umbrel ./umbrel-apps/forgejo
  archgen import umbrel --out apps ./umbrel-apps`,
	},
	{
		Use: "runtipi DIR", Short: "Import an app or a store of runtipi", What: "directory of an app, or of a store", Run: pathOf(Runtipi),
		Long: `import runtipi reads an app of runtipi and writes ID.yaml, as import compose
does. Fields of its form become secrets and questions.
` + ending,
		Example: `  archgen import runtipi ./runtipi-appstore/apps/immich
  archgen import runtipi --out apps ./runtipi-appstore`,
	},
	{
		Use: "quadlet FILE|DIR", Short: "Import Quadlet files", What: "Quadlet file, or directory that has some",
		Long: `import quadlet reads the Quadlet files of a directory, with their drop-ins, and
writes the manifest of each app. Containers that have a volume or network in
common, or order each other, are parts of one app; --id makes one app of all. A
file is imported alone, with the volumes, networks and images that it names.

A volume that Podman has is taken over. Specifiers such as %h stand for what
they are for the user that runs archgen.`,
		Example: `  archgen import quadlet ~/.config/containers/systemd
  archgen import quadlet --id wiki ./units
  archgen import quadlet --set mount.data=volume web.container`,
		Run: func(ctx context.Context, s *Session, args []string) (Outcome, error) { return s.Quadlet(ctx, args[0]) },
	},
	{
		Use: "container NAME…", Short: "Import containers of Podman", Ask: "name the containers; podman ps --all lists them",
		Long: `import container reads containers of Podman, running or stopped, and writes
ID.yaml, as import compose does. It leaves out what the image says, and changes
no container. Several containers become the parts of one app: name all that
share a network or a pod.

archgen install then adopts a container that has the name of the part, with its
volumes. Otherwise the report says how to rename it.`,
		Example: `  archgen import container web
  archgen import container --id shop shop-web shop-db`,
		Run: func(ctx context.Context, s *Session, args []string) (Outcome, error) { return s.Containers(ctx, args) },
	},
	{
		Use: "run -- COMMAND…", Short: "Import a podman run or docker run command", Ask: "give the command: archgen import run -- podman run …", IsCommand: true,
		Long: `import run reads the arguments of podman run or docker run and writes ID.yaml,
as import compose does. It does not run the command. The shell has replaced
variables in it already; relative paths are below the working directory.`,
		Example: `  archgen import run -- podman run -d --name web -p 8080:80 nginx:1.27`,
		Run:     func(ctx context.Context, s *Session, args []string) (Outcome, error) { return s.Command(ctx, args) },
	},
}
