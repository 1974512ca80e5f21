package manifests

// ContainerName is what Podman calls the container of a part: ID or ID.PART. Ids and names
// of parts hold no dots.
func ContainerName(app, part string) string {
	if part == "main" {
		return app
	}
	return app + "." + part
}
