package main

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func environ(changes map[string]string) []string {
	variables := environment("/tmp/out")
	for name, value := range changes {
		variables[name] = value
	}
	var pairs []string
	for name, value := range variables {
		pairs = append(pairs, name+"="+value)
	}
	return pairs
}

func TestACompleteEnvironmentIsUnderstood(t *testing.T) {
	s, err := readSettings(environ(map[string]string{
		"TOE_DURATION": "90s", "TOE_WARMUP": "1.5s", "TOE_GRACE": "10s", "TOE_NOT_AFTER": "2030-01-02T03:04:05Z",
		"TOE_STOP_SIGNAL": "SIGTERM", "TOE_CONTAINER_ID": strings.Repeat("ab", 32),
		"TOE_LIMITS": `{"memoryBytes":1048576,"cpuPercent":50,"artifactBytes":1000}`, "TOE_SUMMARY_MAX": "150",
	}))
	if err != nil {
		t.Fatal(err)
	}
	if s.duration != 90*time.Second || s.warmup != 1500*time.Millisecond || s.grace != 10*time.Second ||
		s.notAfter.Unix() != 1893553445 || s.stopSignal.String() != "terminated" || s.summaryMax != 150 ||
		s.limits != (limits{memoryBytes: 1 << 20, cpuPercent: 50, artifactBytes: 1000}) || len(s.containerID) != 64 {
		t.Fatalf("%+v", s)
	}
}

func TestAMissingOrUnreadableVariableIsNamed(t *testing.T) {
	cases := map[string][]string{
		"TOE_RUN": {""}, "TOE_TOOL": {""}, "TOE_NAMESPACE": {""}, "TOE_POD": {""}, "TOE_CONTAINER": {""},
		"TOE_CONTAINER_ID": {"1", "containerd://" + strings.Repeat("ab", 32), strings.Repeat("A", 64)},
		"TOE_DURATION":     {"", "10", "0s", "-1s", "10 s", "ten", "9000h"},
		"TOE_WARMUP":       {"", "-1s", "x"},
		"TOE_GRACE":        {"", "-1s", "x"},
		"TOE_NOT_AFTER":    {"", "tomorrow", "1893553445", "2030-01-02 03:04:05"},
		"TOE_STOP_SIGNAL":  {"", "SIGSTOP", "SIGKILL", "INT", "2", "sigint"},
		"TOE_LIMITS": {"", "{", "[]", "null x", `{"memory":1}`, `{"memoryBytes":0}`, `{"memoryBytes":-1}`,
			`{"memoryBytes":"1"}`, `{"cpuPercent":0}`, `{"artifactBytes":0}`, `{} {}`},
		"TOE_MODE":        {"", "collector", "hostpath"},
		"TOE_COMPRESS":    {"gzip", "ZSTD"},
		"TOE_FILES":       {"shown", "true"},
		"TOE_ROLLING":     {"0s", "10", "-5s", "10ms"},
		"TOE_OUTPUT":      {"out", "../x", "/"},
		"TOE_SUMMARY_MAX": {"", "0", "63", "1025", "1k", "-5"},
	}
	for name, values := range cases {
		for _, value := range values {
			_, err := readSettings(environ(map[string]string{name: value}))
			if err == nil || !strings.HasPrefix(err.Error(), "BadEnvironment: "+name+" ") {
				t.Errorf("%s=%q: %v", name, value, err)
			}
		}
	}
}

func TestTheToolSeesOnlyWhatIsMeantForIt(t *testing.T) {
	s, err := readSettings(environ(map[string]string{
		"TOE_COLLECTOR": "https://host", "TOE_TICKET": "secret", "TOE_CA": newAuthority(t), "TOE_OUTPUT": "",
		"TOE_FILES": "withheld", "TOE_COMPRESS": "zstd", "TOE_ROLLING": "10s", "HOME": "/root", "TOEFL": "1",
	}))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(s.toolEnvironment)
	var names []string
	for _, pair := range s.toolEnvironment {
		name, _, _ := strings.Cut(pair, "=")
		names = append(names, name)
	}
	want := []string{"HOME", "TOEFL", "TOE_CONTAINER", "TOE_DURATION", "TOE_NAMESPACE", "TOE_OUTPUT", "TOE_POD",
		"TOE_RUN", "TOE_TOOL"}
	if !slices.Equal(names, want) || !slices.Contains(s.toolEnvironment, "TOE_OUTPUT=/tmp/toe-output") {
		t.Fatalf("%q", s.toolEnvironment)
	}
}

func TestAbsentLimitsAreNoLimits(t *testing.T) {
	s, err := readSettings(environ(map[string]string{"TOE_LIMITS": "{}"}))
	if err != nil || s.limits != (limits{}) {
		t.Fatal(s.limits, err)
	}
}
