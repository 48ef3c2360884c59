// Upstream's sample of an extension server, of an old release: what was compiled against it then
// must work behind this API server. `tests/src/clients.rs` builds it; nothing of it is ours.
package main

import (
	"os"

	"k8s.io/apiserver/pkg/server"
	sample "k8s.io/sample-apiserver/pkg/cmd/server"
)

func main() {
	options := sample.NewWardleServerOptions(os.Stdout, os.Stderr)
	if sample.NewCommandStartWardleServer(options, server.SetupSignalHandler()).Execute() != nil {
		os.Exit(1)
	}
}
