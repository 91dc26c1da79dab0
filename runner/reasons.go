package main

// Reasons, one word each, as they stand in the termination message.
const (
	completed           = "Completed"           // ended by itself with 0, or stopped at its duration
	toolFailed          = "ToolFailed"          // ended by itself with another exit code, or died of a signal
	graceExceeded       = "GraceExceeded"       // was told to stop and had to be killed
	memoryLimitExceeded = "MemoryLimitExceeded" // its processes held more memory than limits.memory
	cpuLimitExceeded    = "CPULimitExceeded"    // its processes used more than limits.cpuPercent
	notAfterPassed      = "NotAfterPassed"      // the absolute end of the run has come
	terminated          = "Terminated"          // the kubelet (or someone) ended the container
	artifactTooLarge    = "ArtifactTooLarge"    // its files do not fit into the container's log
	toolNotFound        = "ToolNotFound"        // no such command in the image
	toolNotExecutable   = "ToolNotExecutable"   // there is one and it cannot be executed
	targetNotFound      = "TargetNotFound"      // {target.pid} was asked for and no process answers to it
	badEnvironment      = "BadEnvironment"      // toe-run was not started as agreed

	ticketClaimed        = "TicketClaimed"        // somebody else had claimed the ticket before
	collectorRefused     = "CollectorRefused"     // the collector said no to the claim
	collectorUnreachable = "CollectorUnreachable" // it did not answer the claim in time
	leaseLost            = "LeaseLost"            // it could not be asked any more whether the run is still wanted
	uploadFailed         = "UploadFailed"         // a file did not get to where it is kept
	canceled             = "Canceled"             // the run was canceled
	runDeleted           = "RunDeleted"           // the run was deleted; its files stay behind
	toolSuspended        = "ToolSuspended"        // the administrator suspended the tool
)

// Exit codes of toe-run itself; every other code is the tool's own.
const (
	exitRefused       = 125
	exitNotExecutable = 126
	exitNotFound      = 127
	exitKilled        = 137
	exitTerminated    = 143
)

// refusal is a reason of toe-run not to start the tool, or to end it, and what to tell the reader.
type refusal struct {
	exit    int
	reason  string
	message string
}

func (r *refusal) Error() string { return r.reason + ": " + r.message }

func refuse(reason, message string) *refusal {
	return &refusal{exit: exitRefused, reason: reason, message: message}
}
