{{/* The chart's name. */}}
{{- define "reload-gate.name" -}}
{{- default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* The name of all objects. A Service's name has at most 63 characters (RFC 1035). */}}
{{- define "reload-gate.fullname" -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 63 | trimSuffix "-" -}}
{{- else -}}
{{- $name := include "reload-gate.name" . -}}
{{- ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) | trunc 63 | trimSuffix "-" -}}
{{- end -}}
{{- end }}

{{/* The labels by which the Deployment and the Service find their pods. They never change. */}}
{{- define "reload-gate.selectorLabels" -}}
app.kubernetes.io/name: {{ include "reload-gate.name" . }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end }}

{{- define "reload-gate.labels" -}}
{{ include "reload-gate.selectorLabels" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/part-of: reload-gate
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- with .Values.commonLabels }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "reload-gate.image" -}}
{{- with .Values.image -}}
{{- if .digest }}{{ .repository }}@{{ .digest }}{{ else }}{{ .repository }}:{{ default $.Chart.AppVersion .tag }}{{ end -}}
{{- end -}}
{{- end }}

{{- define "reload-gate.serviceAccountName" -}}
{{- if .Values.serviceAccount.create -}}
{{- default (include "reload-gate.fullname" .) .Values.serviceAccount.name -}}
{{- else -}}
{{- default "default" .Values.serviceAccount.name -}}
{{- end -}}
{{- end }}

{{/* The Secret with the webhook's certificate. */}}
{{- define "reload-gate.tlsSecretName" -}}
{{- if eq .Values.certificates.source "secret" -}}
{{- required "certificates.secretName is required with certificates.source=secret" .Values.certificates.secretName -}}
{{- else -}}
{{- default (printf "%s-tls" (include "reload-gate.fullname" .)) .Values.certificates.secretName -}}
{{- end -}}
{{- end }}

{{/* How the API server reaches a path of the webhook. Arguments: context, path, ca (base64). */}}
{{- define "reload-gate.clientConfig" -}}
clientConfig:
  {{- with .ca }}
  caBundle: {{ . }}
  {{- end }}
  service:
    name: {{ include "reload-gate.fullname" .context }}
    namespace: {{ .context.Release.Namespace }}
    path: {{ .path }}
    port: 443
{{- end }}
