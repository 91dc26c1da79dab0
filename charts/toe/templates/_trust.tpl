{{/* Authorities and keys: made at the first installation, read from the cluster at each upgrade, made anew beside the
     old ones when their generation changes. No account of toe can write them.

     What is made once must be the same in every template, so it is kept among the values: .Values.made. */}}

{{- define "toe.first" -}}
{{ regexFind "(?s)-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----" . }}
{{- end -}}

{{- define "toe.made" -}}
{{- if not (hasKey .Values "made") -}}
{{- $made := dict -}}
{{- range $part := list "controller" "webhook" "collector" "apiserver" -}}
{{- $_ := set $made $part (include "toe.authority" (dict "root" $ "part" $part) | fromYaml) -}}
{{- end -}}
{{- $_ := set $made "ticket" (include "toe.ticket" . | fromYaml) -}}
{{- $_ := set .Values "made" $made -}}
{{- end -}}
{{- end -}}

{{/* ca.crt is the bundle that others trust: the authority that signs, and the one before it. */}}
{{- define "toe.authority" -}}
{{- $generation := .root.Values.certificates.generation -}}
{{- $old := lookup "v1" "Secret" .root.Release.Namespace (printf "toe-%s-ca" .part) -}}
{{- $before := dig "data" "ca.crt" "" $old | b64dec -}}
{{- if and $old (eq (dig "metadata" "annotations" "toe.run/generation" "" $old) $generation) -}}
ca.crt: {{ $before | toJson }}
ca.key: {{ dig "data" "ca.key" "" $old | b64dec | toJson }}
previous.key: {{ dig "data" "previous.key" "" $old | b64dec | toJson }}
{{- else -}}
{{- $ca := genCAWithKey (printf "toe-%s-ca %s" .part (randAlphaNum 8)) 3650 (genPrivateKey "ecdsa") -}}
ca.crt: {{ printf "%s\n%s\n" (trim $ca.Cert) (include "toe.first" $before) | trim | printf "%s\n" | toJson }}
ca.key: {{ $ca.Key | toJson }}
previous.key: {{ dig "data" "ca.key" "" $old | b64dec | toJson }}
{{- end -}}
{{- end -}}

{{/* Helm cannot write a public key, but a certificate holds one: nothing else in it counts. */}}
{{- define "toe.ticket" -}}
{{- $generation := .Values.tickets.generation -}}
{{- $old := lookup "v1" "Secret" .Release.Namespace "toe-ticket-key" -}}
{{- if and $old (eq (dig "metadata" "annotations" "toe.run/generation" "" $old) $generation) -}}
ticket.key: {{ dig "data" "ticket.key" "" $old | b64dec | toJson }}
ticket.crt: {{ dig "data" "ticket.crt" "" $old | b64dec | toJson }}
previous.key: {{ dig "data" "previous.key" "" $old | b64dec | toJson }}
previous.crt: {{ dig "data" "previous.crt" "" $old | b64dec | toJson }}
{{- else -}}
{{- $key := genPrivateKey "ed25519" -}}
ticket.key: {{ $key | toJson }}
ticket.crt: {{ (genCAWithKey "toe tickets" 3650 $key).Cert | toJson }}
previous.key: {{ dig "data" "ticket.key" "" $old | b64dec | toJson }}
previous.crt: {{ dig "data" "ticket.crt" "" $old | b64dec | toJson }}
{{- end -}}
{{- end -}}

{{/* What a part is trusted by, for a caBundle: base64, of PEM. */}}
{{- define "toe.bundle" -}}
{{- include "toe.made" .root -}}
{{ get (get .root.Values.made .part) "ca.crt" | b64enc }}
{{- end -}}
