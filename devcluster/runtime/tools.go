//go:build tools

// Package runtime pins the containerd commands that the dev cluster runs.
// It has a go.mod of its own: containerd and Kubernetes need different
// versions of the container runtime interface.
package runtime

import (
	_ "github.com/containerd/containerd/v2/cmd/containerd"
	_ "github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2"
	_ "github.com/containerd/containerd/v2/cmd/ctr"
)
