//go:build tools

// Package helm pins Helm, by which toe is installed in tests and in the demo.
package helm

import _ "helm.sh/helm/v3/cmd/helm"
