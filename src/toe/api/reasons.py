"""Every reason that toe gives, one word and one sentence each. Reasons are complaints, or states worth an event.

Reasons appear in conditions, targets, events and verdicts; the reference page is generated from here.
"""

from enum import StrEnum


class Reason(StrEnum):
    """Is a cause in one word; its docstring-like sentence is ``REASONS[reason]``."""

    # What happens to a run
    ACCEPTED = "Accepted"
    INJECTED = "Injected"
    TOOL_INJECTED = "ToolInjected"
    RUNNING = "Running"
    COMPLETED = "Completed"
    FAILED = "Failed"
    CANCELED = "Canceled"
    CONFLICT_DETECTED = "ConflictDetected"
    CONFLICT_RESOLVED = "ConflictResolved"
    # Why a run is not started yet
    TOOL_NOT_FOUND = "ToolNotFound"
    AMBIGUOUS_TOOL = "AmbiguousTool"
    TOOL_NOT_READY = "ToolNotReady"
    TOOL_SUSPENDED = "ToolSuspended"
    NO_MATCHING_PODS = "NoMatchingPods"
    START_DEADLINE_EXCEEDED = "StartDeadlineExceeded"
    ACCESS_UNKNOWN = "AccessUnknown"
    FENCE_NOT_IN_FORCE = "FenceNotInForce"
    NAMESPACE_BUSY = "NamespaceBusy"
    # Why a run is refused
    UNATTRIBUTED = "Unattributed"
    STAMP_EXPIRED = "StampExpired"
    USE_NOT_GRANTED = "UseNotGranted"
    TARGET_ACCESS_DENIED = "TargetAccessDenied"
    SERVICE_ACCOUNT_NOT_LISTED = "ServiceAccountNotListed"
    APPROVAL_MISSING = "ApprovalMissing"
    REVIEW_OVERDUE = "ReviewOverdue"
    NAMESPACE_NOT_ALLOWED = "NamespaceNotAllowed"
    NAMESPACE_PROTECTED = "NamespaceProtected"
    PRIVILEGED_NOT_ALLOWED = "PrivilegedNotAllowed"
    FIELD_FORBIDDEN = "FieldForbidden"
    SELECTOR_TOO_WIDE = "SelectorTooWide"
    ARGUMENT_NOT_ALLOWED = "ArgumentNotAllowed"
    DURATION_NOT_ALLOWED = "DurationNotAllowed"
    OUTPUT_NOT_ALLOWED = "OutputNotAllowed"
    LIMIT_NOT_ALLOWED = "LimitNotAllowed"
    TOO_MANY_TARGETS = "TooManyTargets"
    # Why a target is refused
    CONTAINER_NOT_FOUND = "ContainerNotFound"
    CONTAINER_NOT_ALLOWED = "ContainerNotAllowed"
    POD_NOT_ALLOWED = "PodNotAllowed"
    TARGET_NOT_RUNNING = "TargetNotRunning"
    TARGET_IDENTITY_UNKNOWN = "TargetIdentityUnknown"
    TARGET_RUNS_AS_ROOT = "TargetRunsAsRoot"
    HOST_PID_NOT_ALLOWED = "HostPIDNotAllowed"
    POD_CAP_REACHED = "PodCapReached"
    VOLUME_NOT_MOUNTED = "VolumeNotMounted"
    # How a target ends
    TOOL_FAILED = "ToolFailed"
    TOOL_NOT_STARTED = "ToolNotStarted"
    IMAGE_PULL_FAILED = "ImagePullFailed"
    TARGET_RESTARTED = "TargetRestarted"
    TARGET_DELETED = "TargetDeleted"
    OUT_OF_MEMORY = "OutOfMemory"
    KILLED = "Killed"
    OVERRUN = "Overrun"
    CONTAINER_NAME_TAKEN = "ContainerNameTaken"
    POD_SECURITY_FORBIDS = "PodSecurityForbids"
    CLUSTER_FORBIDS = "ClusterForbids"
    CONTAINER_INVALID = "ContainerInvalid"
    GRACE_EXCEEDED = "GraceExceeded"
    MEMORY_LIMIT_EXCEEDED = "MemoryLimitExceeded"
    CPU_LIMIT_EXCEEDED = "CPULimitExceeded"
    NOT_AFTER_PASSED = "NotAfterPassed"
    TERMINATED = "Terminated"
    ARTIFACT_TOO_LARGE = "ArtifactTooLarge"
    TOOL_BINARY_NOT_FOUND = "ToolBinaryNotFound"
    TOOL_NOT_EXECUTABLE = "ToolNotExecutable"
    TARGET_PROCESS_NOT_FOUND = "TargetProcessNotFound"
    BAD_ENVIRONMENT = "BadEnvironment"
    TICKET_CLAIMED = "TicketClaimed"
    COLLECTOR_REFUSED = "CollectorRefused"
    COLLECTOR_UNREACHABLE = "CollectorUnreachable"
    LEASE_LOST = "LeaseLost"
    UPLOAD_FAILED = "UploadFailed"
    RUN_DELETED = "RunDeleted"
    # Why the collector refuses an upload
    RUN_OVER = "RunOver"
    ADDRESS_FOREIGN = "AddressForeign"
    TOO_LARGE = "TooLarge"
    QUOTA_EXCEEDED = "QuotaExceeded"
    STORE_FULL = "StoreFull"
    # What is wrong with a config, and what is worth knowing about it
    VALID = "Valid"
    WRONG_NAMESPACE = "WrongNamespace"
    UNKNOWN_CAPABILITY = "UnknownCapability"
    CAPABILITY_CONFLICT = "CapabilityConflict"
    CONFIG_INVALID = "ConfigInvalid"
    ANNOTATION_INVALID = "AnnotationInvalid"
    EXTREME_NEEDS_NAMESPACES = "ExtremeNeedsNamespaces"
    CAPABILITY_INEFFECTIVE = "CapabilityIneffective"
    IMAGE_NOT_PINNED = "ImageNotPinned"
    DROP_ALL_MISSING = "DropAllMissing"
    NOT_SUPERVISED = "NotSupervised"
    ARBITRARY_ARGUMENTS = "ArbitraryArguments"
    SECURITY_CHANGED = "SecurityChanged"


R = Reason
REASONS: dict[Reason, str] = {
    R.ACCEPTED: "The run was judged and its targets were frozen.",
    R.INJECTED: "The tool's container was added to the pod and has not started yet.",
    R.TOOL_INJECTED: "A tool's container was added to this pod.",
    R.RUNNING: "At least one tool of the run is running.",
    R.COMPLETED: "Every target's tool ended with exit code 0.",
    R.FAILED: "At least one target did not succeed.",
    R.CANCELED: "The run was canceled before every target had succeeded.",
    R.CONFLICT_DETECTED: "A pod of the run is taken by another run; this one starts by itself when all are free.",
    R.CONFLICT_RESOLVED: "The pods of the run are free again.",
    R.TOOL_NOT_FOUND: "No PowerToolConfig in the system namespace has this tool name.",
    R.AMBIGUOUS_TOOL: "Several PowerToolConfigs have this tool name; none of them is used.",
    R.TOOL_NOT_READY: "The PowerToolConfig is not valid.",
    R.TOOL_SUSPENDED: "The administrator suspended the tool.",
    R.NO_MATCHING_PODS: "No running pod matches the selector.",
    R.FENCE_NOT_IN_FORCE: "The API server's fence around the operator is not in force.",
    R.NAMESPACE_BUSY: "As many runs of the namespace hold pods as may at the same time.",
    R.ACCESS_UNKNOWN: "The API server did not say whether the requester has the right.",
    R.UNATTRIBUTED: "Nobody is named as the requester: the run came past admission.",
    R.STAMP_EXPIRED: "The requester was stamped too long ago for the run to start now.",
    R.USE_NOT_GRANTED: "The requester lacks the verb use on the tool.",
    R.TARGET_ACCESS_DENIED: "The requester could not enter the target himself.",
    R.SERVICE_ACCOUNT_NOT_LISTED: "The service account is not listed as one that may ask for tools above Medium.",
    R.APPROVAL_MISSING: "A tool of tier Extreme lacks the annotations that approve it.",
    R.REVIEW_OVERDUE: "The review of the tool is past.",
    R.START_DEADLINE_EXCEEDED: "What the run waited for did not come within its start deadline.",
    R.NAMESPACE_NOT_ALLOWED: "The tool's allowedNamespaces does not list the run's namespace.",
    R.NAMESPACE_PROTECTED: "No tool ever runs in this namespace.",
    R.PRIVILEGED_NOT_ALLOWED: "The namespace is not labelled for privileged tools.",
    R.FIELD_FORBIDDEN: "The field may not be set by a user.",
    R.SELECTOR_TOO_WIDE: "The selector requires nothing.",
    R.ARGUMENT_NOT_ALLOWED: "The argument does not fit the tool's grammar.",
    R.DURATION_NOT_ALLOWED: "The duration or warmup is outside the tool's limits.",
    R.OUTPUT_NOT_ALLOWED: "The tool's config does not list this output mode.",
    R.LIMIT_NOT_ALLOWED: "A user may only make a limit stricter.",
    R.TOO_MANY_TARGETS: "More pods match than the tool's maxTargets; a part of them is never taken.",
    R.CONTAINER_NOT_FOUND: "The pod has no such regular container or sidecar.",
    R.CONTAINER_NOT_ALLOWED: "The tool's allowedTargets does not let it join this container.",
    R.POD_NOT_ALLOWED: "The tool's allowedTargets does not let it join this pod.",
    R.TARGET_NOT_RUNNING: "The target container is not running.",
    R.TARGET_IDENTITY_UNKNOWN: "Neither the kubelet nor the pod says which uid and gid the target has.",
    R.TARGET_RUNS_AS_ROOT: "The tool must not be root, but it takes the target's identity and the target is root.",
    R.HOST_PID_NOT_ALLOWED: "The pod shares the node's process namespace and the tool's config does not allow that.",
    R.POD_CAP_REACHED: "The pod has as many tool containers as a pod may get in its life.",
    R.VOLUME_NOT_MOUNTED: "The pod has no volume of the claim that the files should go to.",
    R.TOOL_FAILED: "The tool ended with an exit code other than 0.",
    R.TOOL_NOT_STARTED: "The kubelet did not start the tool in time.",
    R.IMAGE_PULL_FAILED: "The tool's image could not be pulled in time.",
    R.TARGET_RESTARTED: "The target container ended while the tool was in it, and took the tool with it.",
    R.TARGET_DELETED: "The pod was deleted while the run was on.",
    R.OUT_OF_MEMORY: "The kernel killed the tool for lack of memory in the pod.",
    R.KILLED: "The tool was killed from outside.",
    R.OVERRUN: "The tool was still running after its not-after time.",
    R.CONTAINER_NAME_TAKEN: "The pod has a container of the tool's name that toe did not make.",
    R.POD_SECURITY_FORBIDS: "The namespace's Pod Security level does not permit the tool.",
    R.CLUSTER_FORBIDS: "The API server forbade the injection: RBAC or an admission policy.",
    R.CONTAINER_INVALID: "The API server found the tool's container invalid.",
    R.GRACE_EXCEEDED: "The tool did not end within its grace period and was killed.",
    R.MEMORY_LIMIT_EXCEEDED: "The tool passed limits.memory and was ended.",
    R.CPU_LIMIT_EXCEEDED: "The tool passed limits.cpuPercent and was ended.",
    R.NOT_AFTER_PASSED: "The tool's not-after time was past when it started, or came while it ran.",
    R.TERMINATED: "The kubelet ended the tool, usually because the pod is going.",
    R.ARTIFACT_TOO_LARGE: "The tool's files are larger than what may leave the pod; none was cut.",
    R.TOOL_BINARY_NOT_FOUND: "The tool's image lacks the command.",
    R.TOOL_NOT_EXECUTABLE: "The tool's command cannot be executed.",
    R.TARGET_PROCESS_NOT_FOUND: "The supervisor did not find the target's main process.",
    R.BAD_ENVIRONMENT: "The supervisor could not read its settings.",
    R.TICKET_CLAIMED: "Somebody else had claimed the tool's ticket; the tool was not started.",
    R.COLLECTOR_REFUSED: "The collector refused the tool's ticket; the tool was not started.",
    R.COLLECTOR_UNREACHABLE: "The collector did not answer in time; the tool was not started.",
    R.LEASE_LOST: "The tool was ended because the collector did not answer for the lease time.",
    R.UPLOAD_FAILED: "A file of the tool did not get to where it is kept.",
    R.RUN_DELETED: "The run was deleted while its tool was running; the tool was ended.",
    R.RUN_OVER: "The run of an upload was deleted, has finished, or its ticket has expired.",
    R.ADDRESS_FOREIGN: "An upload came from another address than its pod's.",
    R.TOO_LARGE: "An upload is larger than its ticket permits.",
    R.QUOTA_EXCEEDED: "An upload would pass the quota of its namespace, or of the collector.",
    R.STORE_FULL: "An upload would take the room that stays free.",
    R.VALID: "The PowerToolConfig is valid and ready for use.",
    R.WRONG_NAMESPACE: "PowerToolConfigs count only in the system namespace.",
    R.UNKNOWN_CAPABILITY: "The capability is none of the kernel's 41, in canonical spelling.",
    R.CAPABILITY_CONFLICT: "The same capability is both added and dropped.",
    R.CONFIG_INVALID: "A field of the PowerToolConfig cannot mean anything.",
    R.ANNOTATION_INVALID: "An annotation of the PowerToolConfig has a value that means nothing.",
    R.EXTREME_NEEDS_NAMESPACES: "A tool of tier Extreme must list its namespaces.",
    R.CAPABILITY_INEFFECTIVE: "A capability has no effect for a process that is not root.",
    R.IMAGE_NOT_PINNED: "The image is named by a tag, which can be moved to other content.",
    R.DROP_ALL_MISSING: "Without drop: [ALL] the runtime's default capabilities stay.",
    R.NOT_SUPERVISED: "Without the supervisor the duration cannot be enforced.",
    R.ARBITRARY_ARGUMENTS: "Users may pass arbitrary arguments: arbitrary code in the tool's container.",
    R.SECURITY_CHANGED: "The security of the PowerToolConfig was changed.",
}
