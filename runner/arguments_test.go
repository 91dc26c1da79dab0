package main

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

func TestTheFirstMarkerDividesTheWords(t *testing.T) {
	w, err := splitWords([]string{"--", "tcpdump", "-i", "any", userArgs, "-c", "5", userArgs, "x"})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(w.administrator, []string{"tcpdump", "-i", "any"}) ||
		!slices.Equal(w.user, []string{"-c", "5", userArgs, "x"}) {
		t.Fatalf("%q", w)
	}
}

func TestOtherCommandLinesAreRefused(t *testing.T) {
	for _, line := range [][]string{
		nil, {"--"}, {"tcpdump", userArgs}, {"--", "tcpdump"}, {"--", userArgs}, {"--", userArgs, "sh"},
	} {
		if _, err := splitWords(line); err == nil {
			t.Errorf("%q was accepted", line)
		}
	}
}

func TestPlaceholdersAreExpandedInTheAdministratorsWordsOnly(t *testing.T) {
	w := words{
		administrator: []string{"t", "{output}/a-{duration}", "{output}{output}", "{unknown}", "{Output}", "{}", "{a.b"},
		user:          []string{"{output}", "{duration}"},
	}
	got := w.expand(map[string]string{"{output}": "/o{duration}", "{duration}": "7"})
	want := []string{"t", "/o{duration}/a-7", "/o{duration}/o{duration}", "{unknown}", "{Output}", "{}", "{a.b",
		"{output}", "{duration}"}
	if !slices.Equal(got, want) {
		t.Fatalf("%q", got)
	}
	if !w.uses("{duration}") || w.uses("{target.pid}") || (words{user: []string{"{target.pid}"}}).uses("{target.pid}") {
		t.Fatal("a user's word counts as a placeholder")
	}
}

func TestDurationsAreRoundedUpToSeconds(t *testing.T) {
	for d, want := range map[time.Duration]string{
		time.Nanosecond: "1", time.Second: "1", 1500 * time.Millisecond: "2", 90 * time.Second: "90",
	} {
		if got := wholeSeconds(d); got != want {
			t.Errorf("%s: %s", d, got)
		}
	}
}

func TestCommandsAreLookedUpInThePathOfTheTool(t *testing.T) {
	directory := t.TempDir()
	good, plain := filepath.Join(directory, "good"), filepath.Join(directory, "plain")
	for path, mode := range map[string]os.FileMode{good: 0o755, plain: 0o644} {
		if err := os.WriteFile(path, nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	path := []string{"PATH=:.:/nonexistent:" + directory}
	if found, err := lookUp("good", path); err != nil || found != good {
		t.Error(found, err)
	}
	if found, err := lookUp(good, nil); err != nil || found != good {
		t.Error(found, err)
	}
	for command, code := range map[string]int{"plain": 126, plain: 126, directory: 126, "absent": 127, "/absent": 127} {
		_, err := lookUp(command, path)
		var no *refusal
		if !errors.As(err, &no) || no.exit != code {
			t.Errorf("%s: %v", command, err)
		}
	}
}

func TestUserArgumentsArriveByteForByte(t *testing.T) {
	user := []string{"$(HOME)", "a b", "", "{output}", "{target.pid}", "'\"`;\n", userArgs, "--", "*"}
	r := play(t, scene{command: self(t, "words", "{output}"), user: user})
	r.must(t, 0, completed)
	want := "\"" + r.output + "\"\n" + `"$(HOME)"` + "\n\"a b\"\n\"\"\n\"{output}\"\n\"{target.pid}\"\n" +
		`"'\"` + "`" + `;\n"` + "\n\"--user-args--\"\n\"--\"\n\"*\"\n"
	contains(t, r.out, want)
}
