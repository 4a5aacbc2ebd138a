{{- define "peerdb-operator.image" -}}
{{- with .Values.image -}}
{{- if .digest -}}
{{- printf "%s@%s" .repository .digest | quote -}}
{{- else -}}
{{- printf "%s:%s" .repository (default $.Chart.AppVersion .tag) | quote -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{- define "peerdb-operator.passwordFolder" -}}
/etc/peerdb-operator/password
{{- end -}}

{{- define "peerdb-operator.caFolder" -}}
/etc/peerdb-operator/ca
{{- end -}}

{{/* Everything the operator is configured with. A secret is a file: who may read the process may read its environment. */}}
{{- define "peerdb-operator.env" -}}
- name: PEERDB_URL
{{- if .Values.peerdb.urlSecretRef.name }}
  valueFrom:
    secretKeyRef:
      name: {{ .Values.peerdb.urlSecretRef.name | quote }}
      key: {{ .Values.peerdb.urlSecretRef.key | quote }}
{{- else }}
  value: {{ .Values.peerdb.url | quote }}
{{- end }}
{{- with .Values.peerdb.proxy }}
- name: PEERDB_PROXY
  value: {{ . | quote }}
{{- end }}
{{- if .Values.peerdb.passwordSecretRef.name }}
- name: PEERDB_PASSWORD_FILE
  value: {{ include "peerdb-operator.passwordFolder" . }}/password
{{- end }}
{{- if or .Values.peerdb.caSecretRef.name .Values.peerdb.caConfigMapRef.name }}
- name: PEERDB_CA_FILE
  value: {{ include "peerdb-operator.caFolder" . }}/ca.crt
{{- end }}
{{- with .Values.watchNamespaces }}
- name: PEERDB_OPERATOR_NAMESPACES
  value: {{ join "," . | quote }}
{{- end }}
{{- with .Values.clusterId }}
- name: PEERDB_OPERATOR_CLUSTER_ID
  value: {{ . | quote }}
{{- end }}
{{- range $name, $field := dict "POD_NAME" "name" "POD_NAMESPACE" "namespace" "POD_UID" "uid" }}
- name: {{ $name }}
  valueFrom:
    fieldRef:
      fieldPath: metadata.{{ $field }}
{{- end }}
- name: PEERDB_OPERATOR_HEALTH_PORT
  value: "8080"
- name: PEERDB_OPERATOR_METRICS_PORT
  value: {{ ternary .Values.metrics.port 0 .Values.metrics.enabled | quote }}
{{- if .Values.tracing.enabled }}
- name: PEERDB_OPERATOR_TRACING
  value: "true"
- name: OTEL_EXPORTER_OTLP_ENDPOINT
  value: {{ .Values.tracing.endpoint | quote }}
{{- end }}
{{- range $name, $value := .Values.settings }}
{{- if not (kindIs "invalid" $value) }}
- name: PEERDB_OPERATOR_{{ $name | snakecase | upper }}
  value: {{ $value | quote }}
{{- end }}
{{- end }}
{{- with .Values.extraEnv }}
{{ toYaml . }}
{{- end }}
{{- end -}}

{{/* What a schema cannot say: values that need or exclude each other. */}}
{{- define "peerdb-operator.validate" -}}
{{- $peerdb := .Values.peerdb -}}
{{- if not (or $peerdb.url $peerdb.urlSecretRef.name) -}}
{{- fail "peerdb.url is not set: name the base address under which PeerDB's /v1/... lives, such as http://flow-api:8113, or a Secret with it in peerdb.urlSecretRef." -}}
{{- end -}}
{{- if and $peerdb.url $peerdb.urlSecretRef.name -}}
{{- fail "peerdb.url and peerdb.urlSecretRef exclude each other: set one of them." -}}
{{- end -}}
{{- if and $peerdb.caSecretRef.name $peerdb.caConfigMapRef.name -}}
{{- fail "peerdb.caSecretRef and peerdb.caConfigMapRef exclude each other: set one of them." -}}
{{- end -}}
{{- $metrics := .Values.metrics -}}
{{- if and $metrics.serviceMonitor.enabled $metrics.podMonitor.enabled -}}
{{- fail "metrics.serviceMonitor and metrics.podMonitor exclude each other, because every series would be there twice: enable one of them." -}}
{{- end -}}
{{- if and (or $metrics.serviceMonitor.enabled $metrics.podMonitor.enabled) (not $metrics.enabled) -}}
{{- fail "metrics.enabled is false, so there is nothing to scrape: set it, or disable metrics.serviceMonitor and metrics.podMonitor." -}}
{{- end -}}
{{- if and .Values.prometheusRule.enabled (not $metrics.enabled) -}}
{{- fail "metrics.enabled is false, so an alert would say for ever that the operator is down: set it, or disable prometheusRule." -}}
{{- end -}}
{{- if eq (int64 $metrics.port) 8080 -}}
{{- fail "metrics.port is 8080, the port of the probes: choose another one." -}}
{{- end -}}
{{- if and .Values.tracing.enabled (not .Values.tracing.endpoint) -}}
{{- fail "tracing.endpoint is not set: name an OTLP collector, such as http://otel-collector:4318, or set tracing.enabled to false." -}}
{{- end -}}
{{- if lt (int64 .Values.terminationGracePeriodSeconds) (add 10 (.Values.settings.drainSeconds | default 5 | int64)) -}}
{{- fail "terminationGracePeriodSeconds must exceed settings.drainSeconds by 10: the operator would be killed while it drains." -}}
{{- end -}}
{{- if not (.Capabilities.APIVersions.Has "monitoring.coreos.com/v1") -}}
{{- $monitors := dict "metrics.serviceMonitor" $metrics.serviceMonitor "metrics.podMonitor" $metrics.podMonitor "prometheusRule" .Values.prometheusRule -}}
{{- range $name, $monitor := $monitors -}}
{{- if $monitor.enabled -}}
{{- fail (printf "%s.enabled needs monitoring.coreos.com/v1, which this cluster does not serve: install the Prometheus operator first (for helm template: --api-versions monitoring.coreos.com/v1), or set it to false." $name) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- if and .Values.networkPolicy.enabled $peerdb.urlSecretRef.name (not .Values.networkPolicy.peerdbPorts) -}}
{{- fail "networkPolicy.peerdbPorts is not set: with peerdb.urlSecretRef the chart does not know PeerDB's port." -}}
{{- end -}}
{{- end -}}
