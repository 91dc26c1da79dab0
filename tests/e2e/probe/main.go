// probe: a power tool, and a target, that does what a test asks for. A static program.
//
//	probe exit N        says so on both streams and ends with N
//	probe sleep         waits to be stopped; a signal kills it
//	probe stubborn      ignores INT and TERM
//	probe write TEXT    writes the file said.txt and ends
//	probe target        waits; `probe end`, run in the same pod, ends it
package main

import (
	"bytes"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
)

func main() {
	words := append(os.Args[1:], "", "")
	switch words[0] {
	case "exit":
		code, _ := strconv.Atoi(words[1])
		fmt.Println("on stdout")
		fmt.Fprintln(os.Stderr, "ending with", code)
		os.Exit(code)
	case "sleep":
		fmt.Println("waiting")
		wait()
	case "stubborn":
		signal.Ignore(syscall.SIGINT, syscall.SIGTERM)
		wait()
	case "write":
		file := filepath.Join(os.Getenv("TOE_OUTPUT"), "said.txt")
		if err := os.WriteFile(file, []byte(words[1]), 0o600); err != nil {
			panic(err)
		}
	case "target":
		wait(syscall.SIGUSR1, syscall.SIGTERM)
	case "end":
		end()
	default:
		os.Exit(64)
	}
}

// wait ends on one of the signals; with none, never. PID 1 of a container has no default action for any.
func wait(signals ...os.Signal) {
	heard := make(chan os.Signal, 1)
	// WINCH never comes; a channel without a signal would hear all of them.
	signal.Notify(heard, append(signals, syscall.SIGWINCH)...)
	<-heard
}

// end asks each target that it sees to end.
func end() {
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range files {
		line, _ := os.ReadFile(file)
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil && bytes.HasPrefix(line, []byte("/probe\x00target")) {
			syscall.Kill(pid, syscall.SIGUSR1)
		}
	}
}
