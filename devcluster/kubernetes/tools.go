//go:build tools

// Package kubernetes pins the Kubernetes commands that the dev cluster runs.
// go.mod replaces each staging module by its own release, so that
// k8s.io/kubernetes is an ordinary module.
package kubernetes

import (
	_ "k8s.io/kubernetes/cmd/kube-apiserver"
	_ "k8s.io/kubernetes/cmd/kube-controller-manager"
	_ "k8s.io/kubernetes/cmd/kube-proxy"
	_ "k8s.io/kubernetes/cmd/kube-scheduler"
	_ "k8s.io/kubernetes/cmd/kubelet"
)
