package main

import (
	"bytes"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Where the files go.
const (
	modeLog       = "ephemeral"
	modeCollector = "collector"
	modeClaim     = "pvc"
)

const (
	defaultOutput     = "/tmp/toe-output"
	ticketMost        = 8192
	summaryCeiling    = 1024 // TOE_SUMMARY_MAX at most: the pod's containers share 12 KiB
	summaryFloor      = 64   // v, exit and the longest reason fit
	summaryUnreadable = 256  // used when TOE_SUMMARY_MAX itself cannot be read
)

// passedOn are the TOE_ variables that a tool may see; the others are between the operator and toe-run.
var passedOn = map[string]bool{
	"TOE_RUN": true, "TOE_TOOL": true, "TOE_NAMESPACE": true, "TOE_POD": true, "TOE_CONTAINER": true,
	"TOE_DURATION": true, "TOE_OUTPUT": true,
}

var (
	// ticketForm is a JWS in compact form: nothing that could end a header.
	ticketForm = regexp.MustCompile(`^[A-Za-z0-9_.-]+$`)
	claimStep  = regexp.MustCompile(`^[A-Za-z0-9._-]{1,255}$`)
)

var containerID = regexp.MustCompile(`^[0-9a-f]{12,128}$`)

// limits are what the tool may use. Zero means: no limit given.
type limits struct {
	memoryBytes   int64
	cpuPercent    float64
	artifactBytes int64
}

// door is where the collector is, by whom its certificate is signed, and what opens it once.
type door struct {
	address string // https://HOST[:PORT]
	roots   *x509.CertPool
	ticket  string
}

// settings is the environment, read once and understood completely.
type settings struct {
	run, tool, namespace, pod, container string

	containerID string // empty: not known
	duration    time.Duration
	warmup      time.Duration
	grace       time.Duration
	notAfter    time.Time
	stopSignal  syscall.Signal
	limits      limits
	mode        string
	output      string
	summaryMax  int
	collector   *door         // nil: there is none
	compress    bool          // files leave as zstd
	rolling     time.Duration // 0: only at the end
	withheld    bool          // files are not printed
	claim       string        // where the claim of mode pvc is mounted
	claimPath   []string      // the directories below it

	toolEnvironment []string // what the tool gets
}

// readSettings reads TOE_* from environ. The error is a refusal with reason BadEnvironment that names the variable; the
// settings are then good for nothing but summaryMax.
func readSettings(environ []string) (settings, error) {
	variables := map[string]string{}
	s := settings{summaryMax: summaryUnreadable}
	for _, pair := range environ {
		name, value, found := strings.Cut(pair, "=")
		if !found {
			continue
		}
		variables[name] = value
		if !strings.HasPrefix(name, "TOE_") || (passedOn[name] && name != "TOE_OUTPUT") {
			s.toolEnvironment = append(s.toolEnvironment, pair)
		}
	}
	r := reader{variables: variables}
	// First, since it bounds what can be said about all others.
	if n := r.integer("TOE_SUMMARY_MAX", summaryFloor, summaryCeiling); n > 0 {
		s.summaryMax = int(n)
	}
	s.run = r.text("TOE_RUN")
	s.tool = r.text("TOE_TOOL")
	s.namespace = r.text("TOE_NAMESPACE")
	s.pod = r.text("TOE_POD")
	s.container = r.text("TOE_CONTAINER")
	s.containerID = r.containerID("TOE_CONTAINER_ID")
	s.duration = r.duration("TOE_DURATION", time.Nanosecond)
	s.warmup = r.duration("TOE_WARMUP", 0)
	s.grace = r.duration("TOE_GRACE", 0)
	s.notAfter = r.time("TOE_NOT_AFTER")
	s.stopSignal = r.signal("TOE_STOP_SIGNAL")
	s.limits = r.limits("TOE_LIMITS")
	s.mode = r.mode("TOE_MODE")
	s.output = r.directory("TOE_OUTPUT")
	s.collector = r.door("TOE_COLLECTOR", "TOE_CA", "TOE_TICKET")
	s.compress = r.word("TOE_COMPRESS", "zstd")
	s.withheld = r.word("TOE_FILES", "withheld")
	if variables["TOE_ROLLING"] != "" {
		s.rolling = r.duration("TOE_ROLLING", time.Second)
	}
	switch {
	case s.mode == modeCollector && s.collector == nil:
		r.fail("TOE_MODE", "is collector, and TOE_COLLECTOR is missing")
	case s.mode == modeClaim:
		s.claim, s.claimPath = r.place("TOE_CLAIM", "TOE_CLAIM_PATH")
	}
	s.toolEnvironment = append(s.toolEnvironment, "TOE_OUTPUT="+s.output)
	if r.problem != nil {
		return s, r.problem
	}
	return s, nil
}

// reader keeps the first problem, so that reading reads like a list.
type reader struct {
	variables map[string]string
	problem   *refusal
}

func (r *reader) fail(name, what string) {
	if r.problem == nil {
		r.problem = refuse(badEnvironment, name+" "+what)
	}
}

func (r *reader) text(name string) string {
	value := r.variables[name]
	if value == "" {
		r.fail(name, "is missing")
	}
	return value
}

func (r *reader) integer(name string, low, high int64) int64 {
	value := r.text(name)
	if value == "" {
		return 0
	}
	n, err := strconv.ParseInt(value, 10, 64)
	if err != nil || n < low || n > high {
		r.fail(name, fmt.Sprintf("must be a number from %d to %d", low, high))
		return 0
	}
	return n
}

func (r *reader) duration(name string, least time.Duration) time.Duration {
	value := r.text(name)
	if value == "" {
		return 0
	}
	d, err := time.ParseDuration(value)
	if err != nil || d < least || d > 366*24*time.Hour {
		r.fail(name, "must be a duration such as 90s")
		return 0
	}
	return d
}

func (r *reader) time(name string) time.Time {
	value := r.text(name)
	if value == "" {
		return time.Time{}
	}
	t, err := time.Parse(time.RFC3339, value)
	if err != nil {
		r.fail(name, "must be a time such as 2030-01-02T03:04:05Z")
	}
	return t
}

func (r *reader) signal(name string) syscall.Signal {
	switch r.text(name) {
	case "SIGINT":
		return syscall.SIGINT
	case "SIGTERM":
		return syscall.SIGTERM
	}
	r.fail(name, "must be SIGINT or SIGTERM")
	return 0
}

// containerID may be absent. A short or odd one would be found in the cgroup of a stranger, so it is refused.
func (r *reader) containerID(name string) string {
	value := r.variables[name]
	if value != "" && !containerID.MatchString(value) {
		r.fail(name, "must be a container's id: 12 to 128 hexadecimal digits")
	}
	return value
}

// limits refuses what it does not know: a limit that nobody keeps is worse than a run that does not start.
func (r *reader) limits(name string) limits {
	value := r.text(name)
	if value == "" {
		return limits{}
	}
	var given struct {
		MemoryBytes   *int64   `json:"memoryBytes"`
		CPUPercent    *float64 `json:"cpuPercent"`
		ArtifactBytes *int64   `json:"artifactBytes"`
	}
	decoder := json.NewDecoder(bytes.NewReader([]byte(value)))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&given); err != nil {
		r.fail(name, "must be a JSON object of memoryBytes, cpuPercent and artifactBytes")
		return limits{}
	}
	if _, err := decoder.Token(); err != io.EOF {
		r.fail(name, "must be one JSON object")
		return limits{}
	}
	var l limits
	if given.MemoryBytes != nil {
		l.memoryBytes = *given.MemoryBytes
		if l.memoryBytes <= 0 {
			r.fail(name, "memoryBytes must be more than 0")
		}
	}
	if given.CPUPercent != nil {
		l.cpuPercent = *given.CPUPercent
		if l.cpuPercent <= 0 {
			r.fail(name, "cpuPercent must be more than 0")
		}
	}
	if given.ArtifactBytes != nil {
		l.artifactBytes = *given.ArtifactBytes
		if l.artifactBytes <= 0 {
			r.fail(name, "artifactBytes must be more than 0")
		}
	}
	return l
}

func (r *reader) mode(name string) string {
	value := r.text(name)
	switch value {
	case modeLog, modeCollector, modeClaim:
	default:
		r.fail(name, "must be ephemeral, pvc or collector")
	}
	return value
}

// word is true where the variable is this word, false where it is absent.
func (r *reader) word(name, only string) bool {
	value := r.variables[name]
	if value != "" && value != only {
		r.fail(name, "must be "+only+" or absent")
	}
	return value == only
}

// door reads the three variables that only make sense together.
func (r *reader) door(address, ca, ticket string) *door {
	missing, given := "", 0
	for _, name := range []string{address, ca, ticket} {
		if r.variables[name] != "" {
			given++
		} else if missing == "" {
			missing = name
		}
	}
	if given == 0 {
		return nil
	}
	if missing != "" {
		r.fail(missing, "is missing: "+address+", "+ca+" and "+ticket+" come together")
		return nil
	}
	d := door{address: r.variables[address], roots: x509.NewCertPool(), ticket: r.variables[ticket]}
	if u, err := url.Parse(d.address); err != nil || u.Hostname() == "" || d.address != "https://"+u.Host {
		r.fail(address, "must be https://HOST or https://HOST:PORT")
	}
	if !d.roots.AppendCertsFromPEM([]byte(r.variables[ca])) {
		r.fail(ca, "has no certificate in PEM")
	}
	if len(d.ticket) > ticketMost || !ticketForm.MatchString(d.ticket) {
		r.fail(ticket, "is no ticket") // without its content: this is printed
	}
	return &d
}

// place is the directory of mode pvc: what is mounted, and the steps below it, none of which can lead up.
func (r *reader) place(mount, path string) (string, []string) {
	root := r.text(mount)
	if root != "" && (!strings.HasPrefix(root, "/") || root == "/") {
		r.fail(mount, "must be the absolute path of a directory")
	}
	steps := strings.Split(r.text(path), "/")
	for _, step := range steps {
		if !claimStep.MatchString(step) || step == "." || step == ".." {
			r.fail(path, "must be directories divided by single slashes, none of them . or ..")
		}
	}
	return root, steps
}

func (r *reader) directory(name string) string {
	value := r.variables[name]
	if value == "" {
		return defaultOutput
	}
	if !strings.HasPrefix(value, "/") || value == "/" {
		r.fail(name, "must be the absolute path of a directory")
	}
	return value
}
