// probe: a power tool that does what a test asks for. A static program.
//
//	probe exit N        says so on both streams and ends with N
//	probe sleep         waits to be stopped; a signal kills it
//	probe stubborn      ignores INT and TERM
//	probe write TEXT    writes the file said.txt and ends
package main

import (
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
	case "stubborn":
		signal.Ignore(syscall.SIGINT, syscall.SIGTERM)
		wait()
	case "write":
		file := filepath.Join(os.Getenv("TOE_OUTPUT"), "said.txt")
		if err := os.WriteFile(file, []byte(words[1]), 0o600); err != nil {
			panic(err)
		}
	default:
		wait()
	}
}

func wait() {
	fmt.Println("waiting")
	// Not select {}: the runtime calls that a deadlock.
	var buffer [1]byte
	read, write, _ := os.Pipe()
	read.Read(buffer[:])
	write.Close()
}
