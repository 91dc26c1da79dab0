package main

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"
)

const (
	renewEvery  = 2 * time.Second
	renewSooner = 500 * time.Millisecond // after a renewal that failed
)

// lease is the dead man's switch: the tool runs as long as the collector says that it is still wanted. A nil lease
// never ends.
type lease struct {
	ended  chan struct{} // closed when there is a verdict
	forgot chan struct{} // closed when the run was deleted: nothing of it shall leave any more

	mutex   sync.Mutex
	verdict *refusal
	cancel  context.CancelFunc
}

// hold keeps the lease alive until it is let go.
func (c *collector) hold() *lease {
	within, cancel := context.WithCancel(context.Background())
	l := &lease{ended: make(chan struct{}), forgot: make(chan struct{}), cancel: cancel}
	go l.renew(within, c)
	return l
}

func (l *lease) letGo() {
	if l != nil {
		l.cancel()
	}
}

// over is closed when the tool must end.
func (l *lease) over() <-chan struct{} {
	if l == nil {
		return nil
	}
	return l.ended
}

// forgotten is closed when nothing may leave any more.
func (l *lease) forgotten() <-chan struct{} {
	if l == nil {
		return nil
	}
	return l.forgot
}

// why is the reason, once over is closed.
func (l *lease) why() *refusal {
	if l == nil {
		return nil
	}
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.verdict
}

func (l *lease) end(reason, message string) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	if l.verdict == nil {
		l.verdict = refuse(reason, message)
		close(l.ended)
	}
	// Whatever ended the tool: a run that is deleted meanwhile keeps nothing.
	if reason == runDeleted {
		l.verdict = refuse(reason, message)
		select {
		case <-l.forgot:
		default:
			close(l.forgot)
		}
	}
}

// renew asks every two seconds, also when the tool has been told to end: its files may still be on their way.
func (l *lease) renew(within context.Context, c *collector) {
	good, because := c.claimedAt, "no answer"
	for pause := min(renewEvery, c.lease/2); ; {
		select {
		case <-within.Done():
			return
		case <-time.After(min(pause, max(time.Until(good.Add(c.lease)), 0))):
		}
		left := time.Until(good.Add(c.lease))
		if left <= 0 && l.why() == nil {
			l.end(leaseLost, fmt.Sprintf("the collector did not renew the lease for %s: %s", c.lease, because))
		}
		patience := requestPatience
		if left > 0 { // an answer that comes later than the lease lasts is of no use
			patience = min(patience, left)
		}
		sent := time.Now()
		said, err := c.ask(within, patience, http.MethodPost, "/v1/lease", c.session, struct{}{})
		var state struct{ State, Reason, Message string }
		switch {
		case err != nil:
			because = err.Error()
		case said.status == http.StatusForbidden:
			l.end(leaseLost, "the collector ended the lease: "+said.denial().String())
		case !said.good():
			because = said.denial().String()
		case said.read(&state) != nil || (state.State != "go" && state.State != "stop"):
			because = "its answer makes no sense"
		default:
			good = sent
			if state.State == "stop" {
				l.end(stopReason(state.Reason, state.Message))
			}
		}
		pause = min(renewEvery, c.lease/2)
		if good != sent {
			pause = min(pause, renewSooner)
			if l.why() != nil {
				pause = renewEvery
			}
		}
		if left <= 0 { // lost: ask on, but not in a hurry
			good = time.Now()
		}
	}
}

// stopReason is the collector's word where it is one of the three, else it is said in words.
func stopReason(reason, message string) (string, string) {
	switch reason {
	case canceled, runDeleted, toolSuspended:
		if message == "" {
			message = "the collector said so"
		}
		return reason, oneLine(message, messageMost)
	}
	return canceled, oneLine("the collector said stop: "+reason+" "+message, messageMost)
}
