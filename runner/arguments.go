package main

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// userArgs divides the administrator's words from the user's. A user's argument cannot equal it (the argument grammar
// refuses it), and the first one counts, so none could move the border towards the administrator's words anyway.
const userArgs = "--user-args--"

var placeholder = regexp.MustCompile(`\{[a-z.]+\}`)

const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// words is the command line: what the administrator wrote and what the user added.
type words struct {
	administrator []string
	user          []string
}

// splitWords reads `-- COMMAND... --user-args-- USER...`.
func splitWords(args []string) (words, error) {
	if len(args) == 0 || args[0] != "--" {
		return words{}, refuse(badEnvironment, "the command line must be: toe-run -- COMMAND... "+userArgs+" ARGUMENT...")
	}
	args = args[1:]
	for i, word := range args {
		if word == userArgs {
			if i == 0 {
				return words{}, refuse(badEnvironment, "the command line names no command")
			}
			return words{administrator: args[:i], user: args[i+1:]}, nil
		}
	}
	return words{}, refuse(badEnvironment, "the command line has no "+userArgs)
}

// uses tells whether the administrator's words contain a placeholder such as {duration}.
func (w words) uses(name string) bool {
	for _, word := range w.administrator {
		if strings.Contains(word, name) {
			return true
		}
	}
	return false
}

// expand puts values for placeholders into the administrator's words, once, and leaves the user's words as they are.
// A word in braces that is no placeholder stays as it is.
func (w words) expand(values map[string]string) []string {
	command := make([]string, 0, len(w.administrator)+len(w.user))
	for _, word := range w.administrator {
		command = append(command, placeholder.ReplaceAllStringFunc(word, func(name string) string {
			if value, known := values[name]; known {
				return value
			}
			return name
		}))
	}
	return append(command, w.user...)
}

// wholeSeconds rounds up: a tool that is told to take 0 seconds may run for ever.
func wholeSeconds(d time.Duration) string {
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
}

// lookUp finds the file of a command the way a shell does. Its error is a refusal: ToolNotFound (127) or
// ToolNotExecutable (126).
func lookUp(command string, environ []string) (string, error) {
	candidates := []string{command}
	if !strings.Contains(command, "/") {
		path := defaultPath
		for _, pair := range environ {
			if value, found := strings.CutPrefix(pair, "PATH="); found {
				path = value
			}
		}
		candidates = nil
		for _, directory := range filepath.SplitList(path) {
			if filepath.IsAbs(directory) { // a relative one would mean whatever the working directory holds
				candidates = append(candidates, filepath.Join(directory, command))
			}
		}
	}
	var denied error
	for _, candidate := range candidates {
		info, err := os.Stat(candidate)
		switch {
		case errors.Is(err, fs.ErrPermission):
			denied = notExecutable(command, syscall.EACCES)
		case err != nil:
		case info.IsDir() || info.Mode()&0o111 == 0:
			denied = notExecutable(command, syscall.EACCES)
		default:
			return candidate, nil
		}
	}
	if denied != nil {
		return "", denied
	}
	return "", notFound(command)
}

func notFound(command string) *refusal {
	return &refusal{exit: exitNotFound, reason: toolNotFound, message: "no command " + command + " in the image"}
}

func notExecutable(command string, err error) *refusal {
	return &refusal{
		exit: exitNotExecutable, reason: toolNotExecutable,
		message: "cannot execute " + command + ": " + err.Error(),
	}
}
