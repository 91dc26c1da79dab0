package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
)

const (
	// forwardMost is how much of what the tool prints is shown live, counted as the log on the node counts it. Together
	// with the largest frames it stays below 10 MiB, at which the kubelet rotates a log and `kubectl logs` loses its
	// beginning (output_test.go adds it up).
	forwardMost = 2 << 20
	// lineOverhead is what the log on the node adds to each line: time, stream and tag.
	lineOverhead = 48
	// longestLine keeps every line in one entry of the node's log (runtimes split at 16 KiB or 8 KiB). A line that was
	// split could have the other stream's line in the middle, and what follows would look like a line of its own.
	longestLine = 4000
	// framePrefix begins the lines by which files leave the pod.
	framePrefix = "#toe-"
)

// console forwards what the tool prints, line by line, without ever making the tool wait: a tracer that is held up
// holds up its target. What is not written yet waits in memory, at most forwardMost.
type console struct {
	stdout, stderr io.Writer

	mutex   sync.Mutex
	changed *sync.Cond
	queue   []entry
	writing bool
	left    int
	noticed bool
}

type entry struct {
	to   io.Writer
	line []byte
}

func newConsole(stdout, stderr io.Writer) *console {
	c := &console{stdout: stdout, stderr: stderr, left: forwardMost}
	c.changed = sync.NewCond(&c.mutex)
	go c.write()
	return c
}

// line takes one line, without its newline, for stdout or stderr.
func (c *console) line(to io.Writer, line []byte) {
	if bytes.HasPrefix(line, []byte(framePrefix)) {
		line = append([]byte(framePrefix+"text "), line...)
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if c.noticed {
		return
	}
	if c.left -= len(line) + 1 + lineOverhead; c.left < 0 {
		c.noticed = true
		c.push(c.stderr, []byte(fmt.Sprintf(
			"toe-run: the tool printed more than %d bytes; the rest is not shown", forwardMost)))
		return
	}
	c.push(to, line)
}

// note says something of toe-run's own, whatever the tool has used up. It is one line.
func (c *console) note(message string) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.push(c.stderr, []byte("toe-run: "+oneLine(message, longestLine)))
}

func (c *console) push(to io.Writer, line []byte) {
	c.queue = append(c.queue, entry{to, append(append(make([]byte, 0, len(line)+1), line...), '\n')})
	c.changed.Broadcast()
}

func (c *console) write() {
	c.mutex.Lock()
	for {
		for len(c.queue) == 0 {
			c.writing = false
			c.changed.Broadcast()
			c.changed.Wait()
		}
		next := c.queue[0]
		c.queue = c.queue[1:]
		c.writing = true
		c.mutex.Unlock()
		_, _ = next.to.Write(next.line)
		c.mutex.Lock()
	}
}

// flush returns when everything taken so far has been written.
func (c *console) flush() {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	for len(c.queue) > 0 || c.writing {
		c.changed.Wait()
	}
}

// capture keeps what one stream of the tool said, whole or not at all.
type capture struct {
	mutex    sync.Mutex
	content  []byte
	total    int64
	most     int64
	spool    *os.File // where it is kept instead of in memory
	broken   error    // why it could not be
	lastLine []byte
}

func (c *capture) add(piece []byte) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.total += int64(len(piece))
	if c.spool != nil {
		if c.total <= c.most && c.broken == nil {
			_, c.broken = c.spool.Write(piece)
		}
		return
	}
	if c.total > c.most {
		c.content = nil // too large to leave the pod; only its size is still of interest
		return
	}
	c.content = append(c.content, piece...)
}

func (c *capture) said(line []byte) {
	if len(bytes.TrimSpace(line)) == 0 {
		return
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.lastLine = append(c.lastLine[:0], line...)
}

func (c *capture) size() int64 {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.total
}

func (c *capture) last() string {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return string(c.lastLine)
}

// artifact is the whole stream as a file. The tool has ended.
func (c *capture) artifact(name string) artifact {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return artifact{name: name, size: c.total, content: c.content, spool: c.spool}
}

// pump reads one stream of the tool to its end. Lines longer than longestLine are shown in pieces.
func pump(from *os.File, kept *capture, shown *console, to io.Writer) {
	lines := bufio.NewReaderSize(from, longestLine)
	for inside := false; ; { // inside a line of which a piece was shown already
		piece, err := lines.ReadSlice('\n')
		if len(piece) > 0 {
			kept.add(piece)
			line := bytes.TrimSuffix(piece, []byte{'\n'})
			if len(line) > 0 || !inside {
				kept.said(line)
				shown.line(to, line)
			}
			inside = len(line) == len(piece)
		}
		if err != nil && err != bufio.ErrBufferFull {
			return
		}
	}
}

// oneLine makes a text safe to put into a line, a status or a terminal: no control character, valid UTF-8, at most so
// many bytes.
func oneLine(text string, most int) string {
	text = strings.Map(func(r rune) rune {
		if r == '\n' || r == '\r' || r == '\t' {
			return ' '
		}
		if hidden(r) {
			return -1
		}
		return r
	}, strings.ToValidUTF8(text, "?"))
	text = strings.TrimSpace(text)
	if len(text) <= most {
		return text
	}
	cut := most - len("...")
	for cut > 0 && text[cut]&0xC0 == 0x80 {
		cut--
	}
	return text[:cut] + "..."
}

// hidden tells characters that change how others are read: controls, and those that turn the direction of writing.
func hidden(r rune) bool {
	return r < 0x20 || (r >= 0x7f && r < 0xa0) || r == 0x61c || r == 0x200e || r == 0x200f ||
		(r >= 0x2028 && r <= 0x202e) || (r >= 0x2066 && r <= 0x2069) || r == 0xfeff
}
