{{/* The name of the application in labels. */}}
{{- define "peerdb-operator.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{/* The name of what lives in the release's namespace. */}}
{{- define "peerdb-operator.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "peerdb-operator.name" . -}}
{{- if contains $name .Release.Name -}}
{{- .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* The name of what lives outside namespaces, or in one of others: two releases do not meet there, because no namespace
has a colon. The names of roles may have one. What is too long ends in a digest; the longest suffix is -admin. */}}
{{- define "peerdb-operator.clusterName" -}}
{{- $whole := printf "%s:%s" .Release.Namespace (include "peerdb-operator.fullname" .) -}}
{{- if gt (len $whole) 57 -}}
{{- printf "%s-%s" (trunc 48 $whole) (sha256sum $whole | trunc 8) -}}
{{- else -}}
{{- $whole -}}
{{- end -}}
{{- end -}}

{{- define "peerdb-operator.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "peerdb-operator.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- .Values.serviceAccount.name | default "" -}}
{{- if not .Values.serviceAccount.name -}}
{{- fail "serviceAccount.name is needed when serviceAccount.create is false: name the account that exists." -}}
{{- end -}}
{{- end -}}
{{- end -}}

{{/* What tells the pods of this release apart. A Deployment's selector can never change: nothing may be added. */}}
{{- define "peerdb-operator.selectorLabels" -}}
app.kubernetes.io/name: {{ include "peerdb-operator.name" . | quote }}
app.kubernetes.io/instance: {{ .Release.Name | quote }}
{{- end -}}

{{- define "peerdb-operator.labels" -}}
{{ include "peerdb-operator.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/component: operator
app.kubernetes.io/part-of: peerdb-operator
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{/* The labels of an object that has further ones by a value: ours stay. Takes the root and the value. */}}
{{- define "peerdb-operator.labelsWith" -}}
{{- toYaml (merge (include "peerdb-operator.labels" .root | fromYaml) (.more | default dict)) -}}
{{- end -}}

{{/* The same for pods: nothing by which a new chart alone would restart the operator. */}}
{{- define "peerdb-operator.podLabels" -}}
{{- $own := omit (include "peerdb-operator.labels" . | fromYaml) "helm.sh/chart" "app.kubernetes.io/managed-by" -}}
{{- toYaml (merge $own .Values.podLabels) -}}
{{- end -}}
