package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// fakeCollector keeps to docs/reference/collector.md, in memory, and does wrong whatever a test wants.
type fakeCollector struct {
	*httptest.Server
	t *testing.T

	mutex      sync.Mutex
	session    string // claimed by
	claims     int
	renewals   []time.Time
	stop       string // a reason
	leaseFor   float64
	chunkBytes int
	maxBytes   int64
	expires    time.Time
	files      map[string]*fakeFile // by id
	ids        map[string]string    // by name
	names      int
	complete   bool
	requests   []string
	largest    int // chunk
	// meddle may answer instead (true), or do harm before the request is served.
	meddle func(c *fakeCollector, w http.ResponseWriter, r *http.Request) bool
	// swallow lets the request be served and cuts the connection instead of answering.
	swallow func(r *http.Request) bool
	// discard only counts and hashes, for what does not fit into memory.
	discard bool
}

type fakeFile struct {
	name      string
	content   []byte
	bytes     int64
	sum       [32]byte
	committed bool
}

func newFake(t *testing.T) *fakeCollector {
	t.Helper()
	c := &fakeCollector{t: t, leaseFor: 15, chunkBytes: 1 << 20, maxBytes: 1 << 40, expires: time.Now().Add(time.Hour),
		files: map[string]*fakeFile{}, ids: map[string]string{}}
	c.Server = httptest.NewUnstartedServer(http.HandlerFunc(c.serve))
	c.Server.Config.ErrorLog = quiet
	c.Server.StartTLS()
	t.Cleanup(c.Server.Close)
	return c
}

// variables are what the controller would render. What a test wants of the collector is set before.
func (c *fakeCollector) variables(more ...string) map[string]string {
	c.mutex.Lock() // whoever serves from now on sees what was set
	defer c.mutex.Unlock()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Certificate().Raw})
	env := map[string]string{"TOE_COLLECTOR": c.URL, "TOE_CA": string(ca), "TOE_TICKET": "head.body.seal"}
	for i := 0; i+1 < len(more); i += 2 {
		env[more[i]] = more[i+1]
	}
	return env
}

func (c *fakeCollector) stopWith(reason string) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.stop = reason
}

// kept are the committed files.
func (c *fakeCollector) kept() map[string]string {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	kept := map[string]string{}
	for _, file := range c.files {
		if file.committed {
			kept[file.name] = string(file.content)
		}
	}
	return kept
}

func (c *fakeCollector) asked(prefix string) (n int) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	for _, request := range c.requests {
		if strings.HasPrefix(request, prefix) {
			n++
		}
	}
	return n
}

func tell(w http.ResponseWriter, status int, content any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(content)
}

func deny(w http.ResponseWriter, status int, reason string) {
	tell(w, status, map[string]any{"reason": reason, "message": "because of the test"})
}

func cut() { panic(http.ErrAbortHandler) }

func (c *fakeCollector) serve(w http.ResponseWriter, r *http.Request) {
	c.mutex.Lock()
	c.requests = append(c.requests, r.Method+" "+r.URL.Path)
	meddle, swallow := c.meddle, c.swallow
	c.mutex.Unlock()
	body, err := io.ReadAll(r.Body) // first: without it a server does not notice that its client has gone
	if err != nil {
		cut()
	}
	if meddle != nil && meddle(c, w, r) {
		return
	}
	recorded := httptest.NewRecorder()
	c.mutex.Lock()
	c.answer(recorded, r, body)
	c.mutex.Unlock()
	if swallow != nil && swallow(r) {
		cut()
	}
	w.WriteHeader(recorded.Code)
	_, _ = w.Write(recorded.Body.Bytes())
}

func (c *fakeCollector) answer(w http.ResponseWriter, r *http.Request, body []byte) {
	bearer := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	var given struct {
		Session, Name, SHA256 string
		Restart               bool
		Bytes                 int64
	}
	if r.Method == http.MethodPost {
		if err := json.Unmarshal(body, &given); err != nil || len(body) > 64<<10 {
			deny(w, 400, "BadRequest")
			return
		}
	}
	if r.URL.Path == "/v1/claim" {
		if bearer != "head.body.seal" || len(given.Session) != 64 {
			deny(w, 401, "BadTicket")
			return
		}
		if c.session != "" && c.session != given.Session {
			deny(w, 409, "TicketClaimed")
			return
		}
		c.session = given.Session
		c.claims++
		tell(w, 201, map[string]any{"lease": c.leaseFor, "chunkBytes": c.chunkBytes, "maxBytes": c.maxBytes,
			"expires": c.expires.UTC().Format(time.RFC3339)})
		return
	}
	if c.session == "" || bearer != c.session {
		deny(w, 401, "BadSession")
		return
	}
	if r.URL.Path == "/v1/lease" {
		c.renewals = append(c.renewals, time.Now())
		if c.stop != "" {
			tell(w, 200, map[string]string{"state": "stop", "reason": c.stop, "message": "by somebody"})
			return
		}
		tell(w, 200, map[string]string{"state": "go"})
		return
	}
	if c.complete && r.URL.Path != "/v1/complete" {
		deny(w, 409, "AlreadyComplete")
		return
	}
	switch {
	case r.URL.Path == "/v1/complete":
		c.complete = true
		tell(w, 200, map[string]int64{"files": int64(len(c.files)), "bytes": 1})
	case r.URL.Path == "/v1/files":
		id := c.ids[given.Name]
		if file := c.files[id]; file != nil {
			if given.Restart {
				if file.committed {
					deny(w, 400, "BadRequest")
					return
				}
				*file = fakeFile{name: file.name}
			}
			tell(w, 200, map[string]any{"file": id, "offset": file.bytes})
			return
		}
		c.names++
		id = "f" + strconv.Itoa(c.names)
		c.ids[given.Name] = id
		c.files[id] = &fakeFile{name: given.Name}
		tell(w, 201, map[string]any{"file": id, "offset": 0})
	case r.Method == http.MethodPut:
		file := c.files[strings.TrimPrefix(r.URL.Path, "/v1/files/")]
		if file == nil || file.committed {
			deny(w, 404, "NoSuchFile")
			return
		}
		offset, err := strconv.ParseInt(r.URL.Query().Get("offset"), 10, 64)
		if err != nil || len(body) == 0 || r.ContentLength != int64(len(body)) {
			deny(w, 411, "LengthRequired")
			return
		}
		all := int64(len(body))
		for _, other := range c.files {
			all += other.bytes
		}
		if len(body) > c.chunkBytes || all > c.maxBytes {
			deny(w, 413, "TooLarge")
			return
		}
		if offset != file.bytes {
			tell(w, 409, map[string]any{"reason": "WrongOffset", "message": "", "offset": file.bytes})
			return
		}
		if sum := sha256.Sum256(body); hex.EncodeToString(sum[:]) != r.Header.Get("Toe-Chunk-Sha256") {
			deny(w, 422, "ChunkDamaged")
			return
		}
		c.largest = max(c.largest, len(body))
		file.bytes += int64(len(body))
		if !c.discard {
			file.content = append(file.content, body...)
		}
		tell(w, 200, map[string]any{"offset": file.bytes})
	case strings.HasSuffix(r.URL.Path, "/commit"):
		file := c.files[strings.TrimSuffix(strings.TrimPrefix(r.URL.Path, "/v1/files/"), "/commit")]
		if file == nil {
			deny(w, 404, "NoSuchFile")
			return
		}
		sum := sha256.Sum256(file.content)
		if given.Bytes != file.bytes || (!c.discard && given.SHA256 != hex.EncodeToString(sum[:])) {
			file.content, file.bytes = nil, 0
			deny(w, 422, "FileDamaged")
			return
		}
		file.committed = true
		tell(w, 201, map[string]string{"key": "shop/run-1/" + file.name})
	default:
		deny(w, 404, "NoSuchFile")
	}
}

func TestNothingOfTheCollectorReachesTheTool(t *testing.T) {
	t.Parallel()
	c := newFake(t)
	r := play(t, scene{command: shell(`env; echo --parent--; tr '\0' '\n' </proc/$PPID/environ`), env: c.variables()})
	r.must(t, 0, completed)
	said := string(unframe(t, r.out)["stdout.txt"])
	own, parents, _ := strings.Cut(said, "--parent--\n")
	// As root the tool may look into toe-run, and the certificate and the address are no secrets. The ticket is gone.
	contains(t, parents, "TOE_COLLECTOR="+c.URL)
	contains(t, parents, "TOE_TICKET=xxxxxxxxxxxxxx\n")
	for _, word := range []string{"TOE_COLLECTOR", "TOE_CA", "TOE_TICKET", "CERTIFICATE"} {
		if strings.Contains(own, word) {
			t.Errorf("%s in %s", word, own)
		}
	}
	for _, word := range []string{"head.body.seal", c.session} {
		if strings.Contains(said+r.out+r.err+r.summaryText, word) {
			t.Errorf("%s in %s%s%s", word, r.out, r.err, r.summaryText)
		}
	}
}

func TestTheClaimComesBeforeTheTool(t *testing.T) {
	t.Parallel()
	c := newFake(t)
	claimed := make(chan bool)
	c.meddle = func(c *fakeCollector, w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/v1/claim" {
			<-claimed
		}
		return false
	}
	r := play(t, scene{command: shell("true"), env: c.variables(), during: func(_ *os.Process, output string) {
		waitFor(t, "the claim", func() bool { return c.asked("POST /v1/claim") > 0 })
		time.Sleep(500 * time.Millisecond)
		close(claimed)
	}})
	r.must(t, 0, completed)
	if c.claims != 1 || r.took < 500*time.Millisecond {
		t.Fatal(c.claims, r.took)
	}
}

func TestAClaimWhoseAnswerIsLostIsRepeated(t *testing.T) {
	t.Parallel()
	c := newFake(t)
	times := 0
	c.swallow = func(r *http.Request) bool { times++; return times <= 2 }
	r := play(t, scene{command: shell("true"), env: c.variables()})
	r.must(t, 0, completed)
	if c.claims != 3 {
		t.Fatal(c.claims)
	}
}

func TestARefusedClaimStartsNothing(t *testing.T) {
	t.Parallel()
	for status, want := range map[int]string{
		409: ticketClaimed, 401: collectorRefused, 403: collectorRefused, 404: collectorRefused, 400: collectorRefused,
	} {
		c := newFake(t)
		c.meddle = func(_ *fakeCollector, w http.ResponseWriter, r *http.Request) bool {
			deny(w, status, "Word")
			return true
		}
		r := play(t, scene{command: shell("echo started"), env: c.variables()})
		r.must(t, 125, want)
		contains(t, r.summary.Message, "Word: because of the test")
		if r.out != "" || c.asked("POST") != 1 {
			t.Fatal(r.out, c.requests)
		}
	}
	for _, word := range []string{canceled, toolSuspended} {
		c := newFake(t)
		c.meddle = func(_ *fakeCollector, w http.ResponseWriter, r *http.Request) bool {
			deny(w, 403, word)
			return true
		}
		play(t, scene{command: shell("echo started"), env: c.variables()}).must(t, 125, word)
	}
	c := newFake(t)
	c.meddle = func(_ *fakeCollector, w http.ResponseWriter, r *http.Request) bool {
		fmt.Fprint(w, `{"lease":0}`)
		return true
	}
	play(t, scene{command: shell("echo started"), env: c.variables()}).must(t, 125, collectorRefused)
}

func TestWhoCannotShowTheRightCertificateIsNotSpokenTo(t *testing.T) {
	t.Parallel()
	c, other := newFake(t), newFake(t)
	for name, want := range map[string]struct{ change, value, says string }{
		"another CA":   {"TOE_CA", newAuthority(t), "certificate signed by unknown authority"},
		"another host": {"TOE_COLLECTOR", strings.Replace(c.URL, "127.0.0.1", "localhost", 1), "not localhost"},
		"nobody":       {"TOE_COLLECTOR", "https://127.0.0.1:1", "connection refused"},
		"no name":      {"TOE_COLLECTOR", "https://no.such.host.invalid:8443", "no.such.host.invalid"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			env := c.variables("TOE_GRACE", "1s")
			env[want.change] = want.value
			r := play(t, scene{command: shell("echo started"), env: env})
			r.must(t, 125, collectorUnreachable)
			contains(t, r.summary.Message, want.says)
			if r.took < 6*time.Second || r.took > 18*time.Second || r.out != "" {
				t.Fatal(r.took, r.out)
			}
		})
	}
	t.Cleanup(func() {
		if len(c.requests)+len(other.requests) > 0 {
			t.Error("something was said")
		}
	})
}

func TestACanceledRunEndsItsToolAndItsFilesLeave(t *testing.T) {
	t.Parallel()
	for _, reason := range []string{canceled, toolSuspended, runDeleted} {
		t.Run(reason, func(t *testing.T) {
			t.Parallel()
			c := newFake(t)
			var stopped time.Time
			r := play(t, scene{command: self(t, "obedient", "0"), env: c.variables(), during: func(_ *os.Process, output string) {
				waitFor(t, "the tool", func() bool { _, err := os.Stat(output + "/ready"); return err == nil })
				stopped = time.Now()
				c.stopWith(reason)
			}})
			if took := time.Since(stopped); took > 4*time.Second {
				t.Error(took)
			}
			r.must(t, 125, reason)
			contains(t, r.summary.Message, "by somebody")
			if printed := strings.Contains(r.out, "#toe-file"); printed == (reason == runDeleted) {
				t.Fatal(r.out)
			}
		})
	}
}

func TestAStubbornToolIsKilledWhenItsRunIsCanceled(t *testing.T) {
	t.Parallel()
	c := newFake(t)
	c.stopWith(canceled)
	r := play(t, scene{command: self(t, "stubborn"), env: c.variables("TOE_GRACE", "1s")})
	r.must(t, 125, canceled)
	if r.took > 6*time.Second {
		t.Fatal(r.took)
	}
}

func TestAToolIsNotStartedWhenItsRunIsCanceledBefore(t *testing.T) {
	t.Parallel()
	c := newFake(t)
	c.stopWith(canceled)
	r := play(t, scene{command: shell("echo started"), env: c.variables("TOE_WARMUP", "20s")})
	r.must(t, 125, canceled)
	contains(t, r.summary.Message, "the tool was not started")
	if r.out != "" || r.took > 5*time.Second {
		t.Fatal(r.out, r.took)
	}
}

func TestALeaseThatIsNotRenewedEndsTheTool(t *testing.T) {
	t.Parallel()
	for name, meddle := range map[string]func(*fakeCollector, http.ResponseWriter, *http.Request) bool{
		"cut": func(*fakeCollector, http.ResponseWriter, *http.Request) bool { cut(); return true },
		"503": func(_ *fakeCollector, w http.ResponseWriter, _ *http.Request) bool {
			deny(w, 503, "NotReady")
			return true
		},
		"hang": func(_ *fakeCollector, _ http.ResponseWriter, r *http.Request) bool { <-r.Context().Done(); return true },
		"401": func(_ *fakeCollector, w http.ResponseWriter, _ *http.Request) bool {
			deny(w, 401, "BadSession")
			return true
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newFake(t)
			c.leaseFor = 4
			c.meddle = func(c *fakeCollector, w http.ResponseWriter, r *http.Request) bool {
				return r.URL.Path == "/v1/lease" && meddle(c, w, r)
			}
			r := play(t, scene{command: self(t, "obedient", "0"), env: c.variables()})
			r.must(t, 125, leaseLost)
			if r.took < 3900*time.Millisecond || r.took > 6*time.Second {
				t.Error(r.took)
			}
			contains(t, r.out, "#toe-file") // the files still leave
		})
	}
}

func TestALeaseSurvivesAShortOutage(t *testing.T) {
	t.Parallel()
	c := newFake(t)
	c.leaseFor = 6
	n := 0
	c.meddle = func(c *fakeCollector, w http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/v1/lease" {
			if n++; n > 1 && n < 5 {
				cut()
			}
		}
		return false
	}
	r := play(t, scene{command: shell("sleep 8"), env: c.variables()})
	r.must(t, 0, completed)
	if len(c.renewals) < 3 {
		t.Fatal(c.renewals)
	}
}

func TestTheAbsoluteEndHoldsWithoutTheCollector(t *testing.T) {
	t.Parallel()
	c := newFake(t)
	c.leaseFor = 3000
	c.meddle = func(_ *fakeCollector, _ http.ResponseWriter, r *http.Request) bool {
		if r.URL.Path == "/v1/lease" {
			<-r.Context().Done()
			return true
		}
		return false
	}
	end := time.Now().Add(4 * time.Second).Truncate(time.Second)
	r := play(t, scene{command: self(t, "stubborn"), env: c.variables("TOE_NOT_AFTER", end.UTC().Format(time.RFC3339))})
	r.must(t, 125, notAfterPassed)
	if late := time.Since(end); late > 2*time.Second {
		t.Fatal(late)
	}
}

func TestTheCollectorsVariablesComeTogether(t *testing.T) {
	c := newFake(t)
	good := c.variables()
	for name, values := range map[string][]string{
		"TOE_COLLECTOR": {"", "http://host", "https://", "https://host/path", "https://host/", "https://a@host", "https://host?x", "host"},
		"TOE_CA":        {"", "no certificate"},
		"TOE_TICKET":    {"", "a b", "a\nb"},
	} {
		for _, value := range values {
			env := map[string]string{}
			for n, v := range good {
				env[n] = v
			}
			env[name] = value
			_, err := readSettings(environ(env))
			if err == nil || !strings.HasPrefix(err.Error(), "BadEnvironment: "+name+" ") {
				t.Errorf("%s=%q: %v", name, value, err)
			}
		}
	}
	if s, err := readSettings(environ(good)); err != nil || s.collector.address != c.URL {
		t.Fatal(err)
	}
	good["TOE_MODE"] = "collector"
	if s, err := readSettings(environ(good)); err != nil || s.mode != modeCollector {
		t.Fatal(err)
	}
}

func TestThePlaceOnAClaimCannotLeaveIt(t *testing.T) {
	for path, fits := range map[string]bool{
		"toe/run-1/shop-1": true, "a": true, "": false, "/a": false, "a//b": false, "a/../b": false, ".": false, "a/": false,
		"a\nb": false, strings.Repeat("x", 256): false,
	} {
		s, err := readSettings(environ(map[string]string{"TOE_MODE": "pvc", "TOE_CLAIM": "/data", "TOE_CLAIM_PATH": path}))
		if (err == nil) != fits {
			t.Errorf("%q: %v %v", path, s.claimPath, err)
		}
	}
	for _, mount := range []string{"", "/", "data"} {
		if _, err := readSettings(environ(map[string]string{"TOE_MODE": "pvc", "TOE_CLAIM": mount, "TOE_CLAIM_PATH": "a"})); err == nil {
			t.Error(mount)
		}
	}
}
