{{/* RELEASE-khulasa, or RELEASE where it has the name in it already. */}}
{{- define "khulasa.name" -}}
{{- if contains "khulasa" .Release.Name -}}{{ .Release.Name | trunc 40 | trimSuffix "-" }}
{{- else -}}{{ printf "%s-khulasa" (.Release.Name | trunc 32 | trimSuffix "-") }}{{- end -}}
{{- end }}

{{/* What a part is found by: (list $ "gateway"). */}}
{{- define "khulasa.selector" -}}
app.kubernetes.io/name: khulasa
app.kubernetes.io/instance: {{ (index . 0).Release.Name }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end }}

{{- define "khulasa.labels" -}}
{{ include "khulasa.selector" . }}
app.kubernetes.io/version: {{ (index . 0).Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ (index . 0).Release.Service }}
{{- end }}

{{- define "khulasa.metadata" -}}
name: {{ include "khulasa.name" (index . 0) }}-{{ index . 1 }}
labels: {{- include "khulasa.labels" . | nindent 2 }}
{{- end }}

{{- define "khulasa.image" -}}
{{- $v := (index . 0).Values.image -}}
{{ $v.registry }}khulasa-{{ index . 1 }}:{{ $v.tag | default (index . 0).Chart.AppVersion }}
{{- end }}

{{/* Of a pod: what the Restricted standard of Kubernetes asks for, and nothing to speak to its API with. */}}
{{- define "khulasa.podSecurity" -}}
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  seccompProfile: {type: RuntimeDefault}
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
{{- range . }}
  - name: {{ . }}
{{- end }}
{{- end }}
{{- end }}

{{- define "khulasa.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end }}

{{/* Replicas apart from each other: on other nodes if possible, in other zones if there are some. */}}
{{- define "khulasa.spread" -}}
topologySpreadConstraints:
{{- range $key := list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - maxSkew: 1
    topologyKey: {{ $key }}
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels: {{- include "khulasa.selector" $ | nindent 8 }}
{{- end }}
{{- end }}

{{/* Whole processors of a CPU limit, at least 1: "2500m" is 2. */}}
{{- define "khulasa.threads" -}}
{{- $cpu := toString . -}}
{{- $milli := ternary (trimSuffix "m" $cpu | float64) (mulf (float64 $cpu) 1000.0) (hasSuffix "m" $cpu) -}}
{{- max 1 (div (int $milli) 1000) -}}
{{- end }}

{{/* The settings that all three processes have. */}}
{{- define "khulasa.commonEnv" -}}
{{- $ := index . 0 -}}
{{- $name := index . 1 -}}
{{- $port := index . 2 -}}
- {name: KHULASA_ADDRESS, value: "0.0.0.0:{{ $port }}"}
- {name: KHULASA_HEALTH_ADDRESS, value: "0.0.0.0:8081"}
- {name: KHULASA_METRICS_ADDRESS, value: "0.0.0.0:9090"}
- {name: KHULASA_LOG_LEVEL, value: {{ $.Values.logLevel }}}
- {name: KHULASA_MAX_CONNECTION_AGE_S, value: {{ $.Values.maxConnectionAgeSeconds | quote }}}
- {name: KHULASA_DRAIN_NOTICE_S, value: {{ $.Values.drainNoticeSeconds | quote }}}
- {name: KHULASA_DRAIN_S, value: {{ $.Values.drainSeconds | quote }}}
- {name: KHULASA_SERVICE_TOKEN_FILE, value: /etc/khulasa/service-token/token}
{{- if $.Values.tracing.endpoint }}
- {name: KHULASA_TRACES_ENDPOINT, value: {{ $.Values.tracing.endpoint | quote }}}
{{- end }}
{{- if $.Values.tls.enabled }}
- {name: KHULASA_TLS_CERT, value: /etc/khulasa/tls/tls.crt}
- {name: KHULASA_TLS_KEY, value: /etc/khulasa/tls/tls.key}
{{- end }}
{{- range $key, $value := index $.Values $name "extraEnv" }}
- {name: {{ $key }}, value: {{ $value | quote }}}
{{- end }}
{{- end }}

{{- define "khulasa.commonMounts" -}}
{{- $ := index . 0 -}}
- {name: tmp, mountPath: /tmp}
- {name: service-token, mountPath: /etc/khulasa/service-token, readOnly: true}
{{- if $.Values.tls.enabled }}
- {name: tls, mountPath: /etc/khulasa/tls, readOnly: true}
{{- end }}
{{- end }}

{{/* Secrets are mounted as folders, never as subPath: only so does a changed Secret reach the process. */}}
{{- define "khulasa.commonVolumes" -}}
{{- $ := index . 0 -}}
- name: tmp
  emptyDir: {sizeLimit: 256Mi}
- name: service-token
  secret:
    secretName: {{ $.Values.serviceToken.existingSecret | default (printf "%s-service-token" (include "khulasa.name" $)) }}
{{- if $.Values.tls.enabled }}
- name: tls
  secret:
    secretName: {{ required (printf "tls.%sSecret is needed with tls.enabled" (index . 1)) (index $.Values.tls (printf "%sSecret" (index . 1))) }}
{{- end }}
{{- end }}

{{/*
Three questions to the health port, which has neither TLS nor tokens: does the process answer at all ("live", whatever
the state of Redis and of the other services), can it do its work (the service's name), and at the start the one that
is named, with more patience.
*/}}
{{- define "khulasa.probes" -}}
startupProbe:
  grpc: {port: 8081, service: {{ .startup }}}
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: {{ div .startupSeconds 2 }}
readinessProbe:
  grpc: {port: 8081, service: {{ .service }}}
  periodSeconds: 3
  timeoutSeconds: 2
  failureThreshold: 2
livenessProbe:
  grpc: {port: 8081, service: live}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 6
{{- end }}

{{/* What restarts pods when a value that they read only at their start was changed. */}}
{{- define "khulasa.podMetadata" -}}
labels: {{- include "khulasa.labels" . | nindent 2 }}
{{- if not (index . 0).Values.monitoring.podMonitor }}
annotations:
  prometheus.io/scrape: "true"
  prometheus.io/port: "9090"
{{- end }}
{{- end }}

{{/* Where a Redis is: "$.Values.redis.NAME" of the chart's own, or the Secret of an external one. */}}
{{- define "khulasa.redisEnv" -}}
{{- $ := index . 0 -}}
{{- $name := index . 1 -}}
{{- $redis := index $.Values.redis $name -}}
{{- $variable := ternary "KHULASA_REDIS_URL" "KHULASA_JOBS_REDIS_URL" (eq $name "cache") -}}
{{- if $redis.external.urlSecret }}
- name: {{ $variable }}
  valueFrom:
    secretKeyRef: {name: {{ $redis.external.urlSecret }}, key: url}
{{- else if $redis.enabled }}
- name: REDIS_{{ upper $name }}_PASSWORD
  valueFrom:
    secretKeyRef: {name: {{ include "khulasa.redisSecret" (list $ $name) }}, key: password}
- {name: {{ $variable }}, value: "redis://:$(REDIS_{{ upper $name }}_PASSWORD)@{{ include "khulasa.name" $ }}-redis-{{ $name }}:6379/0"}
{{- if eq $name "jobs" }}
# Articles in jobs, and as much again for what Redis needs beside them.
- {name: KHULASA_JOBS_MB, value: {{ div $redis.memoryMB 2 | quote }}}
{{- end }}
{{- end }}
{{- end }}

{{- define "khulasa.redisSecret" -}}
{{- (index (index . 0).Values.redis (index . 1) "passwordSecret") | default (printf "%s-redis-%s" (include "khulasa.name" (index . 0)) (index . 1)) }}
{{- end }}

{{/* Ports of an egress rule for names. Nobody named is nobody: to Kubernetes, an empty list would be everybody. */}}
{{- define "khulasa.dnsEgress" -}}
{{- if .Values.networkPolicy.dns -}}
- to: {{- toYaml .Values.networkPolicy.dns | nindent 4 }}
  ports: [{protocol: UDP, port: 53}, {protocol: TCP, port: 53}]
{{- end }}
{{- end }}

{{- define "khulasa.tracingEgress" -}}
{{- if .Values.tracing.egress }}
- to: {{- toYaml .Values.tracing.egress | nindent 4 }}
{{- end }}
{{- end }}

{{- define "khulasa.metricsIngress" -}}
{{- if .Values.networkPolicy.monitoring -}}
- from: {{- toYaml .Values.networkPolicy.monitoring | nindent 4 }}
  ports: [{protocol: TCP, port: 9090}]
{{- end }}
{{- end }}

{{/* What a client of the gateway inside this chart needs to call it. */}}
{{- define "khulasa.clientEnv" -}}
- {name: KHULASA_GATEWAY, value: "{{ include "khulasa.name" . }}-gateway:50050"}
- name: KHULASA_TOKEN
  valueFrom:
    secretKeyRef: {name: {{ .Values.tokens.existingSecret | default (printf "%s-tokens" (include "khulasa.name" .)) }}, key: token}
{{- if .Values.tls.enabled }}
- {name: KHULASA_GATEWAY_TLS_CA, value: /etc/khulasa/tls/ca.crt}
{{- if .Values.tls.clientCertificates }}
- {name: KHULASA_GATEWAY_TLS_CERT, value: /etc/khulasa/tls/tls.crt}
- {name: KHULASA_GATEWAY_TLS_KEY, value: /etc/khulasa/tls/tls.key}
{{- end }}
{{- end }}
{{- end }}

{{- define "khulasa.nightlyPod" -}}
metadata:
  labels: {{- include "khulasa.labels" (list . "nightly") | nindent 4 }}
spec:
  restartPolicy: OnFailure
  serviceAccountName: {{ include "khulasa.name" . }}-gateway
  {{- include "khulasa.podSecurity" . | nindent 2 }}
  containers:
    - name: articles
      image: {{ include "khulasa.image" (list . "gateway") }}
      imagePullPolicy: {{ .Values.image.pullPolicy }}
      command: ["python3", "-m", "khulasa", "job", "run", "/data/{{ .Values.nightly.input }}", "/data/{{ .Values.nightly.output }}"]
      securityContext: {{- include "khulasa.containerSecurity" . | nindent 8 }}
      env:
        {{- include "khulasa.clientEnv" . | nindent 8 }}
      resources: {{- toYaml .Values.nightly.resources | nindent 8 }}
      volumeMounts:
        - {name: data, mountPath: /data}
        - {name: tmp, mountPath: /tmp}
{{- if .Values.tls.enabled }}
        - {name: tls, mountPath: /etc/khulasa/tls, readOnly: true}
{{- end }}
  volumes:
    - name: data
      persistentVolumeClaim: {claimName: {{ required "nightly.claim is needed with nightly.enabled" .Values.nightly.claim }}}
    - name: tmp
      emptyDir: {sizeLimit: 256Mi}
{{- if .Values.tls.enabled }}
    - name: tls
      secret: {secretName: {{ .Values.tls.gatewaySecret }}}
{{- end }}
{{- end }}
