package diag

// Code is the stable name of a kind of finding. Scripts may rely on it; a code
// is never given a second meaning.
type Code string

// The codes. Every one has an entry in Codes and a case in testdata.
const (
	Unreadable        Code = "unreadable"
	TooLarge          Code = "too-large"
	NotUTF8           Code = "not-utf8"
	Syntax            Code = "syntax"
	SecondDocument    Code = "second-document"
	Alias             Code = "alias"
	TooDeep           Code = "too-deep"
	UnknownKey        Code = "unknown-key"
	DuplicateKey      Code = "duplicate-key"
	MissingKey        Code = "missing-key"
	WrongType         Code = "wrong-type"
	BadValue          Code = "bad-value"
	OutOfRange        Code = "out-of-range"
	ImplicitNumber    Code = "implicit-number"
	SchemaVersion     Code = "schema-version"
	FileName          Code = "file-name"
	Exclusive         Code = "exclusive"
	UnknownName       Code = "unknown-name"
	UnknownVariable   Code = "unknown-variable"
	NotReplaced       Code = "not-replaced"
	ExposedSecret     Code = "exposed-secret"
	IDClash           Code = "id-clash"
	NameClash         Code = "name-clash"
	NotShared         Code = "not-shared"
	NotGranted        Code = "not-granted"
	EngineSocket      Code = "engine-socket"
	DataFormat        Code = "data-format"
	NotCompanion      Code = "not-companion"
	PortClash         Code = "port-clash"
	Conflict          Code = "conflict"
	Unsatisfied       Code = "unsatisfied"
	Unreachable       Code = "unreachable"
	UnknownNetwork    Code = "unknown-network"
	Cycle             Code = "cycle"
	Unrepresentable   Code = "unrepresentable"
	PodmanVersion     Code = "podman-version"
	Template          Code = "template"
	Structure         Code = "structure"
	UnknownDirective  Code = "unknown-directive"
	PodmanRejects     Code = "podman-rejects"
	PodmanWarns       Code = "podman-warns"
	FloatingImage     Code = "floating-image"
	RawArguments      Code = "raw-arguments"
	Privilege         Code = "privilege"
	SecretInEnv       Code = "secret-in-env"
	PublishedDatabase Code = "published-database"
	NoProbe           Code = "no-probe"
	ImageArchitecture Code = "image-architecture"
	ImagePort         Code = "image-port"
	ImageVolume       Code = "image-volume"
	ImageProgram      Code = "image-program"
	ImageUser         Code = "image-user"
	ImageOwner        Code = "image-owner"
)

// Entry documents a code.
type Entry struct {
	Code    Code
	Meaning string
	Mend    string
}

// Codes lists every code in the order of the reference (docs/diagnostics.md is
// generated from it).
var Codes = []Entry{
	{Unreadable, "A manifest, overlay or settings file can't be read.", "Check that the path exists and that you may read it."},
	{TooLarge, "The file is larger than 1 MiB or has more than 5,000 values, or the templates or seeds of an app are larger than they may be together; a manifest has a few kilobytes.", "Move data out of the manifest."},
	{NotUTF8, "The file is not valid UTF-8 or holds a NUL byte.", "Save it as UTF-8."},
	{Syntax, "The YAML or TOML can't be parsed.", "Correct the syntax at the position shown."},
	{SecondDocument, "A YAML file holds more than one document; only one manifest fits in a file.", "Split the file at the `---` line."},
	{Alias, "YAML anchors, aliases and merge keys are not accepted: each value must be readable in its place.", "Write the value out."},
	{TooDeep, "The file is nested deeper than any manifest needs.", "Check for a missing line break or dash."},
	{UnknownKey, "The schema has no such key here.", "Correct the spelling, see docs/manifest.md."},
	{DuplicateKey, "A map has the same key twice; one of the values would be lost.", "Remove one of them."},
	{MissingKey, "A required key is absent.", "Add it."},
	{WrongType, "The value has the wrong type: the key takes another one of map, list, text, number and true/false.", "See docs/manifest.md for the key."},
	{BadValue, "The value has the right type, but the key does not accept it.", "The message says what the key accepts."},
	{OutOfRange, "A number, duration or size is out of range.", "The message gives the range."},
	{ImplicitNumber, "An unquoted value such as 10025:25 is a number to some YAML parsers and text to others.", "Quote it."},
	{SchemaVersion, "The manifest asks for a newer schema than this archgen knows.", "Update archgen, or lower `schema:` if the manifest needs nothing newer."},
	{FileName, "The file name and the app's id differ.", "Name the file ID.yaml or ID.toml."},
	{Exclusive, "The manifest has two keys that exclude each other, or none of a group of which one is required.", "Keep one."},
	{UnknownName, "The value refers to a part, port, volume, secret or app that is not declared.", "Declare it or correct the name."},
	{UnknownVariable, "A ${…} variable does not exist.", "See the list of variables in docs/manifest.md; write $${ for a literal ${."},
	{ExposedSecret, "A command, an entrypoint, a probe or a host name contains a secret. Every user of the machine can read the arguments of a process.", "Give the program a file or a variable that it reads; docs/secrets.md shows how."},
	{NotReplaced, "A key that replaces no variables contains a ${…}, which stays unchanged.", "Write the value; write $${ for a literal ${."},
	{IDClash, "Two manifests have the same app id.", "Remove or rename one."},
	{NameClash, "Two things would get the same name on the machine.", "Rename one."},
	{NotShared, "The app mounts a volume that its owner does not share, or does not share for writing.", "Add the app to the `shares` of the owner, or in an overlay of the owner."},
	{NotCompanion, "An app lists a companion that does not list the app in `companion_of`. The companion is not started, stopped or removed with the app.", "Add the app to `companion_of` of the companion, or remove the entry."},
	{NotGranted, "The app asks for a right beyond the safe set that the operator has not granted, see docs/rights.md.", "`archgen grant ID RIGHT`, once you know why the app needs it."},
	{EngineSocket, "A path mounts the socket of Podman or Docker, with which an app can do whatever the user can who runs Podman.", "Write `engine: read`, which shows containers and no secrets, or `engine: full`."},
	{DataFormat, "The app's data on this machine has a format that this version can't read: a newer version has written it, or versions in between were left out.", "Install a version that reads the format, or restore a backup."},
	{PortClash, "Two containers publish the same host port.", "Change one in the manifest or in an overlay."},
	{Conflict, "Two apps of the set exclude each other, or provide the same capability without sharing it.", "Leave one of them out."},
	{Unsatisfied, "No app in the set provides a capability that this one requires.", "Add an app that provides it, or mark the requirement optional."},
	{Unreachable, "A part provides or uses a capability and is not on its network, where apps reach each other.", "Leave `network` out of the part, or name the part that is on the network."},
	{UnknownNetwork, "The app does not support the Bitcoin network of the settings.", "Set `network` in archipelago.toml to one that the message lists, or leave the app out."},
	{Cycle, "Apps or parts wait for each other in a circle; none could start first.", "Remove one of the dependencies."},
	{Unrepresentable, "No unit file can pass this value unchanged.", "The message names the byte or word that prevents it."},
	{PodmanVersion, "The Podman version of the target has neither this key nor an exact replacement.", "Render for a newer Podman or leave the key out."},
	{Template, "The template of a configuration file has an error, or names something that does not exist.", "docs/files.md describes the syntax of templates."},
	{Structure, "An escape hatch (`unit`, `podman_args`) changes something that the generator relies on.", "Use the typed key, or leave it out."},
	{UnknownDirective, "systemd has no such directive in that section; it would ignore the line silently.", "Correct the spelling."},
	{PodmanRejects, "Podman's own converter refuses the rendered unit.", "The message is Podman's."},
	{PodmanWarns, "Podman's own converter warns about the rendered unit.", "The message is Podman's."},
	{FloatingImage, "The image is not pinned by digest, so a pull can replace it.", "Append @sha256:… to the image."},
	{RawArguments, "`podman_args` or `unit` is used; archgen does not check what it does.", "Use a typed key where one exists."},
	{Privilege, "The app asks for a right that is high or critical: it can harm the host or other apps.", "Remove it unless the app needs it. docs/rights.md explains the rights."},
	{SecretInEnv, "A secret is in the environment, which child processes inherit and some programs log.", "Mount it as a file, or give `waiver:` with the reason."},
	{PublishedDatabase, "A database is published beyond loopback.", "Remove the port or bind it to 127.0.0.1."},
	{NoProbe, "A long-running container has no health probe, so \"started\" says nothing about whether it serves.", "Add `health: {serving: …}`."},
	{ImageArchitecture, "The image is built for another processor than this machine has.", "Use an image that is built for this machine, or one of several architectures."},
	{ImagePort, "The manifest declares a port that the image does not expose and that no argument, variable or file of the part mentions.", "Correct the number; the hint lists the ports that the image exposes."},
	{ImageVolume, "The manifest does not map a volume of the image; Podman deletes its content at each stop.", "Map it to a named volume, or mark it `disposable`."},
	{ImageProgram, "A program that the manifest or the image names is not in the image, or not executable.", "Name a program that the image has, by its path."},
	{ImageUser, "The user or group of the container is not one of the image.", "Give numbers, or a name of the image's /etc/passwd and /etc/group."},
	{ImageOwner, "The user of the container can't write to a directory that the program writes to.", "Mount a volume or a tmpfs there, or choose the user that owns it."},
}
