{{/* The words that the parts share. Each part is one account, one workload, one name: toe-PART. */}}

{{/* Whether a cluster was asked what it has; helm template knows of no kind at all. */}}
{{- define "toe.online" -}}
{{- if .Capabilities.APIVersions.Has "v1/Pod" }}yes{{ end -}}
{{- end -}}

{{/* Whether the API server stamps the requester by itself; before Kubernetes 1.36 the webhook does. */}}
{{- define "toe.stamps" -}}
{{- $kind := "admissionregistration.k8s.io/v1/MutatingAdmissionPolicy" -}}
{{- if ternary (.Capabilities.APIVersions.Has $kind) (semverCompare ">=1.36.0-0" .Capabilities.KubeVersion.Version) (eq (include "toe.online" .) "yes") }}yes{{ end -}}
{{- end -}}

{{- define "toe.selector" -}}
app.kubernetes.io/name: toe-{{ .part }}
app.kubernetes.io/part-of: toe
{{- end -}}

{{- define "toe.labels" -}}
{{ include "toe.selector" . }}
{{ include "toe.release" .root }}
{{- end -}}

{{/* Of what belongs to no part. */}}
{{- define "toe.common" -}}
app.kubernetes.io/part-of: toe
{{ include "toe.release" . }}
{{- end -}}

{{- define "toe.release" -}}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service | quote }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | quote }}
{{- end -}}

{{- define "toe.image" -}}
{{- with .Values.image -}}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ .tag | default $.Chart.AppVersion }}{{ end -}}
{{- end -}}
{{- end -}}

{{/* The DNS names of a Service, the one that others are told first. */}}
{{- define "toe.names" -}}
{{- $host := printf "%s.%s" .service .root.Release.Namespace -}}
{{ list (printf "%s.svc" $host) $host (printf "%s.svc.cluster.local" $host) | toJson }}
{{- end -}}

{{- define "toe.service" -}}
{{- if eq .part "webhook" }}powertool-admission-webhook{{ else }}toe-{{ .part }}{{ end -}}
{{- end -}}

{{/* Where tools reach the collector; the fence compares it with what it is told here. */}}
{{- define "toe.collector" -}}
https://toe-collector.{{ .Release.Namespace }}.svc
{{- end -}}

{{/* Rights and fence: the same for every part that judges. */}}
{{- define "toe.settings" -}}
- --system-namespace={{ .Release.Namespace }}
- --profile={{ .Values.profile }}
{{- range $flag, $value := omit .Values.settings "listedServiceAccounts" "stampAge" }}
{{- with $value }}
- --{{ $flag | kebabcase }}={{ . }}
{{- end }}
{{- end }}
{{- range .Values.settings.listedServiceAccounts }}
- --listed-service-account={{ . }}
{{- end }}
- --stamp-age={{ .Values.settings.stampAge }}
{{- end -}}

{{/* Whether the API server itself asks for the right to use a tool: where every tool needs it. */}}
{{- define "toe.asksUse" -}}
{{- if eq (.Values.settings.requireUse | default (ternary "Low" "" (eq .Values.profile "hardened"))) "Low" }}yes{{ end -}}
{{- end -}}

{{/* Flags by which a part serves with its certificate, and knows what others trust it by. */}}
{{- define "toe.serving" -}}
{{- if eq .Values.certificates.mode "own" -}}
- --ca-cert=/tls/ca.crt
- --ca-key=/tls/ca.key
{{- else -}}
- --tls-cert=/tls/tls.crt
- --tls-key=/tls/tls.key
- --ca-cert=/tls/ca.crt
{{- end -}}
{{- end -}}

{{/* The Secret that holds it. */}}
{{- define "toe.secret" -}}
toe-{{ .part }}-{{ if eq .root.Values.certificates.mode "own" }}ca{{ else }}tls{{ end }}
{{- end -}}

{{/* Whom a part serves as: what the API server or a supervisor calls. */}}
{{- define "toe.store" -}}
{{- with .Values.collector.storage -}}
- --store={{ .location | default "/artifacts/files" }}
{{- range $name, $value := .options }}
- --store-option={{ $name }}={{ $value }}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "toe.claim" -}}
{{ .Values.collector.storage.claim.existing | default "toe-artifacts" }}
{{- end -}}

{{/* A part's account. */}}
{{- define "toe.account" -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: toe-{{ .part }}
  namespace: {{ .root.Release.Namespace }}
  labels: {{- include "toe.labels" . | nindent 4 }}
  {{- with .values.serviceAccountAnnotations }}
  annotations: {{- toYaml . | nindent 4 }}
  {{- end }}
{{- end -}}

{{/* Keeps one of its pods while nodes are drained. */}}
{{- define "toe.budget" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: toe-{{ .part }}
  namespace: {{ .root.Release.Namespace }}
  labels: {{- include "toe.labels" . | nindent 4 }}
spec:
  minAvailable: 1
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels: {{- include "toe.selector" . | nindent 6 }}
{{- end -}}

{{/* The pods of a part: they pass Pod Security restricted and need no disk of their own.
     part, root, values; args, ports, probes, mounts, volumes as YAML text; env, more, grace are optional. */}}
{{- define "toe.template" -}}
{{- $root := .root -}}
metadata:
  labels:
    {{- include "toe.labels" . | nindent 4 }}
    {{- with $root.Values.pods.labels }}{{ toYaml . | nindent 4 }}{{ end }}
  annotations:
    kubectl.kubernetes.io/default-container: {{ .part }}
    {{- if eq .part "controller" }}
    toe.run/certificates: {{ $root.Values.certificates.generation | quote }}  # read at its start, for tools
    {{- end }}
    {{- with $root.Values.pods.annotations }}{{ toYaml . | nindent 4 }}{{ end }}
spec:
  serviceAccountName: toe-{{ .part }}
  {{- with $root.Values.imagePullSecrets }}
  imagePullSecrets: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $root.Values.pods.priorityClassName }}
  priorityClassName: {{ . }}
  {{- end }}
  {{- with $root.Values.pods.nodeSelector }}
  nodeSelector: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- with $root.Values.pods.tolerations }}
  tolerations: {{- toYaml . | nindent 4 }}
  {{- end }}
  {{- $affinity := mergeOverwrite (dict) (.affinity | default dict) ($root.Values.pods.affinity | deepCopy) }}
  {{- with $affinity }}
  affinity: {{- toYaml . | nindent 4 }}
  {{- end }}
  topologySpreadConstraints:
    - maxSkew: 1
      topologyKey: kubernetes.io/hostname
      whenUnsatisfiable: ScheduleAnyway
      labelSelector:
        matchLabels: {{- include "toe.selector" . | nindent 10 }}
  {{- if .values.hostNetwork }}
  hostNetwork: true
  dnsPolicy: ClusterFirstWithHostNet
  {{- end }}
  enableServiceLinks: false
  terminationGracePeriodSeconds: {{ .grace | default 30 }}
  securityContext:
    runAsNonRoot: true
    runAsUser: 65532
    runAsGroup: 65532
    fsGroup: 65532
    fsGroupChangePolicy: OnRootMismatch
    seccompProfile: {type: RuntimeDefault}
  containers:
    - name: {{ .part }}
      image: {{ include "toe.image" $root | quote }}
      imagePullPolicy: {{ $root.Values.image.pullPolicy }}
      args:
        - {{ .part }}
        - --log-level={{ $root.Values.logLevel }}
        {{- .args | trim | nindent 8 }}
      env:
        - name: POD_NAME
          valueFrom: {fieldRef: {fieldPath: metadata.name}}
      {{- with .envFrom }}
      envFrom:
        - secretRef: {name: {{ . }}}
      {{- end }}
      ports:
        {{- range $name, $port := .ports }}
        - {name: {{ $name }}, containerPort: {{ $port }}}
        {{- end }}
      livenessProbe:
        httpGet: {path: /healthz, port: {{ .probe }}, scheme: {{ .scheme | default "HTTPS" }}}
        periodSeconds: 10
        timeoutSeconds: 5
      readinessProbe:
        httpGet: {path: /readyz, port: {{ .probe }}, scheme: {{ .scheme | default "HTTPS" }}}
        periodSeconds: 2
        timeoutSeconds: 2
      resources: {{- toYaml .values.resources | nindent 8 }}
      securityContext:
        allowPrivilegeEscalation: false
        readOnlyRootFilesystem: true
        capabilities: {drop: [ALL]}
      volumeMounts:
        - {name: tls, mountPath: /tls, readOnly: true}
        {{- with .mounts }}{{ . | trim | nindent 8 }}{{ end }}
  volumes:
    - name: tls
      secret: {secretName: {{ include "toe.secret" . }}, defaultMode: 0440}
    {{- with .volumes }}{{ . | trim | nindent 4 }}{{ end }}
{{- end -}}

{{/* A part as a Deployment that never has fewer pods than it should. */}}
{{- define "toe.deployment" -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: toe-{{ .part }}
  namespace: {{ .root.Release.Namespace }}
  labels: {{- include "toe.labels" . | nindent 4 }}
spec:
  replicas: {{ .values.replicas }}
  revisionHistoryLimit: 3
  strategy:
    type: RollingUpdate
    rollingUpdate: {maxUnavailable: {{ if .values.hostNetwork }}1{{ else }}0{{ end }}, maxSurge: {{ if .values.hostNetwork }}0{{ else }}1{{ end }}}
  selector:
    matchLabels: {{- include "toe.selector" . | nindent 6 }}
  template: {{- include "toe.template" . | nindent 4 }}
{{- end -}}
