//go:build tools

// Package promtool names the program that judges alert rules, so that its module and its checksums are pinned here.
package promtool

import _ "github.com/prometheus/prometheus/cmd/promtool"
