// toe-run starts one power tool inside a running pod, watches over it and reports what happened.
//
// The whole life of a container is in life.go; each other file answers one question of it. README.md is the
// reference for what goes in (words and environment) and what comes out (log, termination message, exit code).
package main

import (
	"os"
	"runtime"
)

// terminationLog is where the kubelet reads the container's last words. Tests point it elsewhere.
var terminationLog = "/dev/termination-log"

func init() {
	// The tool is to die with toe-run (Pdeathsig). Linux binds that to the thread which forked, so the main goroutine,
	// which forks, stays on the main thread, which lives as long as the process.
	runtime.LockOSThread()
}

func main() {
	os.Exit(live(os.Args[1:], os.Environ()))
}
