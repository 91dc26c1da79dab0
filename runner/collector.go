package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"
)

// docs/reference/collector.md is what both sides keep to.
const (
	requestPatience = 5 * time.Second  // for an answer to a small request
	claimLeast      = 10 * time.Second // the claim is tried for the grace, and at least so long
	answerMost      = 64 << 10         // bytes of an answer
	chunkMost       = 4 << 20          // bytes of a chunk, whatever the collector would take: they are held in memory
	leaseMost       = time.Hour
	firstPause      = 100 * time.Millisecond // between two tries, doubled each time
	longestPause    = 3 * time.Second
)

// collector is the other side: who it is, and the session that toe-run has there.
type collector struct {
	address string
	client  *http.Client
	session string // a secret that nobody but the two sides ever sees

	lease      time.Duration // from one renewal to the tool's end
	claimedAt  time.Time     // when the claim that succeeded was sent
	chunkBytes int
	maxBytes   int64
	expires    time.Time
}

func newCollector(d door) (*collector, error) {
	secret := make([]byte, 32)
	if _, err := rand.Read(secret); err != nil {
		return nil, err
	}
	dialer := &net.Dialer{Timeout: requestPatience, KeepAlive: 15 * time.Second}
	return &collector{
		address: d.address,
		session: hex.EncodeToString(secret),
		client: &http.Client{
			Transport: &http.Transport{
				// No proxy from the environment: that is the image's, and the certificate is the only thing trusted.
				DialContext:         dialer.DialContext,
				TLSClientConfig:     &tls.Config{RootCAs: d.roots, MinVersion: tls.VersionTLS12},
				TLSHandshakeTimeout: requestPatience,
				TLSNextProto:        map[string]func(string, *tls.Conn) http.RoundTripper{}, // HTTP/1.1 and nothing else
				DisableCompression:  true,
				MaxIdleConnsPerHost: 2, // the lease never waits for an upload
				IdleConnTimeout:     30 * time.Second,
				// A chunk is sent once it is welcome: a refusal that crossed it could get lost with the connection.
				ExpectContinueTimeout: time.Second,
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
	}, nil
}

// answer is what the collector said.
type answer struct {
	status int
	body   []byte
}

// denial is how it says no.
type denial struct {
	Reason  string `json:"reason"`
	Message string `json:"message"`
	Offset  *int64 `json:"offset"`
}

func (a answer) denial() denial {
	var d denial
	_ = json.Unmarshal(a.body, &d)
	if d.Reason == "" {
		d.Reason = fmt.Sprintf("status %d", a.status)
	}
	return d
}

func (d denial) String() string { return oneLine(d.Reason+": "+d.Message, messageMost) }

// passing tells an answer that may be another one in a moment.
func (a answer) passing() bool {
	switch {
	case a.status == http.StatusRequestTimeout, a.status == http.StatusTooManyRequests:
		return true
	case a.status == http.StatusInsufficientStorage:
		return false
	}
	// Also what no collector says: something that stands between has answered.
	return a.status < 200 || a.status >= 500 || (a.status >= 300 && a.status < 400)
}

func (a answer) good() bool { return a.status == http.StatusOK || a.status == http.StatusCreated }

// read takes a good answer apart; one that cannot be is no answer.
func (a answer) read(into any) error {
	if err := json.Unmarshal(a.body, into); err != nil {
		return errors.New("its answer makes no sense")
	}
	return nil
}

// ask sends one request and waits so long for its answer. The body is JSON, or bytes with their digest.
func (c *collector) ask(within context.Context, patience time.Duration, method, path, bearer string, body any) (answer, error) {
	within, cancel := context.WithTimeout(within, patience)
	defer cancel()
	raw, isChunk := body.(chunk)
	content := raw.content
	if !isChunk {
		content = compact(body)
	}
	request, err := http.NewRequestWithContext(within, method, c.address+path, bytes.NewReader(content))
	if err != nil {
		return answer{}, err
	}
	request.Header.Set("Authorization", "Bearer "+bearer)
	request.Header.Set("User-Agent", "toe-run")
	if isChunk {
		request.Header.Set("Content-Type", "application/octet-stream")
		request.Header.Set("Toe-Chunk-Sha256", raw.sha256)
		request.Header.Set("Expect", "100-continue")
	} else {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := c.client.Do(request)
	if err != nil {
		return answer{}, withoutAddress(err)
	}
	defer response.Body.Close()
	said, err := io.ReadAll(io.LimitReader(response.Body, answerMost))
	if err != nil {
		return answer{}, withoutAddress(err)
	}
	return answer{response.StatusCode, said}, nil
}

// chunk is a part of a file on its way.
type chunk struct {
	content []byte
	sha256  string
}

// withoutAddress leaves the part of an error that says what happened.
func withoutAddress(err error) error {
	if errors.Is(err, context.DeadlineExceeded) {
		return errTooSlow
	}
	var outer *url.Error
	if errors.As(err, &outer) {
		return outer.Err
	}
	return err
}

var errTooSlow = errors.New("no answer in time")

// pauses are the waits between tries: longer each time, and never the same for all pods of a run.
type pauses struct{ last time.Duration }

func (p *pauses) next() time.Duration {
	p.last = min(max(2*p.last, firstPause), longestPause)
	return p.last/2 + mathrand.N(p.last/2+1)
}

// claim makes the session. Until it is made the tool is not started. An error is a refusal.
func (c *collector) claim(ticket string, s settings, signals <-chan os.Signal) error {
	within, cancel := context.WithCancel(context.Background())
	defer cancel()
	patience := max(s.grace, claimLeast)
	until := time.Now().Add(patience)
	why := "no answer"
	for wait := (pauses{}); ; {
		type outcome struct {
			answer answer
			err    error
		}
		asked := make(chan outcome, 1)
		sent := time.Now()
		go func() {
			a, err := c.ask(within, min(requestPatience, max(time.Until(until), firstPause)),
				http.MethodPost, "/v1/claim", ticket, map[string]string{"session": c.session})
			asked <- outcome{a, err}
		}()
		var got outcome
		for waiting := true; waiting; {
			select {
			case got = <-asked:
				waiting = false
			case received := <-signals:
				return toldToEnd(received)
			case <-time.After(sampleEvery):
				if s.over() {
					return tooLate()
				}
			}
		}
		switch {
		case got.err != nil:
			why = got.err.Error()
		case got.answer.good():
			return c.claimed(got.answer, sent)
		case got.answer.passing():
			why = got.answer.denial().String()
		case got.answer.status == http.StatusConflict:
			return refuse(ticketClaimed, "somebody else had claimed this tool's ticket: "+got.answer.denial().String())
		default:
			return refuse(whyRefused(got.answer.denial().Reason), got.answer.denial().String())
		}
		pause := wait.next()
		if time.Now().Add(pause).After(until) {
			return refuse(collectorUnreachable, fmt.Sprintf("no answer from %s within %s: %s", c.address, patience, why))
		}
		select {
		case received := <-signals:
			return toldToEnd(received)
		case <-time.After(pause):
		}
	}
}

// whyRefused is the word for a claim that was refused: the run's own, where it was over before its tool began.
func whyRefused(word string) string {
	if word == canceled || word == toolSuspended {
		return word
	}
	return collectorRefused
}

func (c *collector) claimed(said answer, sent time.Time) error {
	var terms struct {
		Lease      float64   `json:"lease"`
		ChunkBytes int64     `json:"chunkBytes"`
		MaxBytes   int64     `json:"maxBytes"`
		Expires    time.Time `json:"expires"`
	}
	if err := said.read(&terms); err != nil || !(terms.Lease >= 1) || terms.ChunkBytes < 1 || terms.MaxBytes < 0 ||
		terms.Expires.IsZero() {
		return refuse(collectorRefused, "its answer to the claim makes no sense")
	}
	c.lease = time.Duration(min(terms.Lease, leaseMost.Seconds()) * float64(time.Second))
	c.chunkBytes = int(min(terms.ChunkBytes, chunkMost))
	c.maxBytes, c.expires, c.claimedAt = terms.MaxBytes, terms.Expires, sent
	return nil
}
