
{{- define "reload-gate-sidecar.image" -}}
{{- $gate := index .Values "reload-gate-sidecar" -}}
{{- $tag := ternary "0.1.0-root" "0.1.0" (eq $gate.mode "drop-in") -}}
{{- if $gate.image.digest -}}
{{ $gate.image.repository }}@{{ $gate.image.digest }}
{{- else -}}
{{ $gate.image.repository }}:{{ default $tag $gate.image.tag }}
{{- end -}}
{{- end }}

{{/* Fields of the pod. */}}
{{- define "reload-gate-sidecar.pod" -}}
{{- $gate := index .Values "reload-gate-sidecar" -}}
# The gate must see the process that it signals.
shareProcessNamespace: true
{{- if eq $gate.mode "rollout" }}
serviceAccountName: {{ $gate.rollout.serviceAccount }}
# No container gets the token by itself: the application has no use for it. The gate mounts it.
automountServiceAccountToken: false
{{- else if ne $gate.mode "drop-in" }}
# The gate sends no request to the API server, and a checker must not be able to.
automountServiceAccountToken: false
{{- end }}
{{- end }}

{{/* The mount of the configuration for the application's container: an item of `volumeMounts`. */}}
{{- define "reload-gate-sidecar.configMount" -}}
{{- $gate := index .Values "reload-gate-sidecar" -}}
{{- $volume := ternary "published" $gate.configVolume (has $gate.mode (list "publish" "rollout")) -}}
- name: {{ $volume }}
  mountPath: {{ $gate.mountPath }}
{{- if ne $gate.mode "drop-in" }}
  readOnly: true
{{- end }}
{{- end }}

{{/* Items of `initContainers`; nothing in the mode `drop-in`. */}}
{{- define "reload-gate-sidecar.initContainers" -}}
{{- $gate := index .Values "reload-gate-sidecar" -}}
{{- if eq $gate.mode "restricted" }}
- name: install
  # Copies the gate's binary, which needs no library, into a volume. From there it starts in any image.
  image: {{ include "reload-gate-sidecar.image" . }}
  args: [install, /gate]
  securityContext:
    allowPrivilegeEscalation: false
    readOnlyRootFilesystem: true
    capabilities: { drop: [ALL] }
  volumeMounts:
    - { name: gate, mountPath: /gate }
{{- else if and (ne $gate.mode "drop-in") $gate.nativeSidecar }}
{{ include "reload-gate-sidecar.gate" . }}
{{- else if eq $gate.mode "publish" }}
- name: {{ $gate.name }}-first
  # Publishes what is there before the application starts. It fails, and is started again, until that is accepted.
  image: {{ include "reload-gate-sidecar.image" . }}
  args:
    - run
    - --once
    {{- with $gate.args }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  env:
    {{- include "reload-gate-sidecar.env" . | nindent 4 }}
  resources:
    {{- toYaml $gate.resources | nindent 4 }}
  securityContext:
    {{- include "reload-gate-sidecar.securityContext" . | nindent 4 }}
  volumeMounts:
    {{- include "reload-gate-sidecar.volumeMounts" . | nindent 4 }}
{{- end }}
{{- end }}

{{/* Items of `containers`; nothing if the gate is a native sidecar, which is an init container. */}}
{{- define "reload-gate-sidecar.containers" -}}
{{- $gate := index .Values "reload-gate-sidecar" -}}
{{- if or (has $gate.mode (list "drop-in" "restricted")) (not $gate.nativeSidecar) }}
{{ include "reload-gate-sidecar.gate" . }}
{{- end }}
{{- end }}

{{/* Items of `volumes`. The volume with the ConfigMap is the chart's own. */}}
{{- define "reload-gate-sidecar.volumes" -}}
{{- $gate := index .Values "reload-gate-sidecar" -}}
{{- if eq $gate.mode "restricted" }}
- { name: gate, emptyDir: {} }
{{- range $index, $path := $gate.restricted.writable }}
- { name: gate-tmp{{ if $index }}-{{ add1 $index }}{{ end }}, emptyDir: {} }
{{- end }}
{{- else if ne $gate.mode "drop-in" }}
- { name: published, emptyDir: {} }
{{- if eq $gate.mode "rollout" }}
# The token of the service account, as the kubelet mounts it by itself otherwise.
- name: account
  projected:
    sources:
      - serviceAccountToken: { path: token, expirationSeconds: 3607 }
      - configMap: { name: kube-root-ca.crt, items: [{ key: ca.crt, path: ca.crt }] }
      - downwardAPI: { items: [{ path: namespace, fieldRef: { fieldPath: metadata.namespace } }] }
{{- end }}
{{- end }}
{{- end }}

{{/* The gate's container. */}}
{{- define "reload-gate-sidecar.gate" -}}
{{- $gate := index .Values "reload-gate-sidecar" -}}
{{- $image := include "reload-gate-sidecar.image" . -}}
- name: {{ $gate.name }}
  {{- if eq $gate.mode "drop-in" }}
  image: {{ $image }}
  {{- with $gate.args }}
  args:
    - run
    {{- toYaml . | nindent 4 }}
  {{- end }}
  env:
    - { name: FILE, value: {{ $gate.dropIn.file | quote }} }
    - { name: PROCESS, value: {{ $gate.dropIn.process | quote }} }
    - { name: SIGNAL, value: {{ $gate.dropIn.signal | quote }} }
    {{- with $gate.env }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  volumeMounts:
    - { name: {{ $gate.configVolume }}, mountPath: {{ $gate.mountPath }} }
  {{- else }}
  {{- if eq $gate.mode "restricted" }}
  # The application's image: the checker is the program that will run.
  image: {{ required "reload-gate-sidecar.restricted.applicationImage is required with mode=restricted" $gate.restricted.applicationImage }}
  command: [/gate/reload-gate]
  {{- else }}
  image: {{ $image }}
  {{- if $gate.nativeSidecar }}
  restartPolicy: Always
  {{- end }}
  {{- end }}
  args:
    - run
    {{- with $gate.args }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  env:
    {{- include "reload-gate-sidecar.env" . | nindent 4 }}
  ports:
    - { name: gate-metrics, containerPort: {{ $gate.port }} }
  {{- if and (ne $gate.mode "restricted") $gate.nativeSidecar }}
  # Succeeds when an accepted revision is live. Until then the application does not start.
  startupProbe:
    httpGet: { path: /readyz, port: {{ $gate.port }} }
    periodSeconds: 1
    failureThreshold: 300
  {{- end }}
  # Succeeds while the gate's loop is running, whatever it has to report.
  livenessProbe:
    httpGet: { path: /livez, port: {{ $gate.port }} }
  resources:
    {{- toYaml $gate.resources | nindent 4 }}
  securityContext:
    {{- include "reload-gate-sidecar.securityContext" . | nindent 4 }}
  volumeMounts:
    {{- include "reload-gate-sidecar.volumeMounts" . | nindent 4 }}
  {{- end }}
{{- end }}

{{- define "reload-gate-sidecar.env" -}}
{{- $gate := index .Values "reload-gate-sidecar" -}}
- { name: RELOAD_GATE_APP, value: {{ $gate.app | quote }} }
{{- if eq $gate.mode "restricted" }}
- { name: RELOAD_GATE_WATCH, value: {{ $gate.mountPath | quote }} }
# The gate has the application's files, so it need not enter another root.
- { name: RELOAD_GATE_ROOT, value: local }
{{- with $gate.restricted.passEnv }}
- { name: RELOAD_GATE_PASS_ENV, value: {{ join "\n" . | quote }} }
{{- end }}
{{- else }}
- { name: RELOAD_GATE_WATCH, value: /config }
- { name: RELOAD_GATE_PUBLISH, value: /published }
- { name: RELOAD_GATE_MOUNT, value: {{ $gate.mountPath | quote }} }
{{- end }}
- { name: RELOAD_GATE_LISTEN, value: ":{{ $gate.port }}" }
{{- if eq $gate.mode "rollout" }}
{{- with $gate.rollout }}
- { name: RELOAD_GATE_CLUSTER_SOURCE, value: {{ required "reload-gate-sidecar.rollout.source is required with mode=rollout" .source | quote }} }
{{- if .nudge }}
- { name: RELOAD_GATE_NUDGE, value: "true" }
{{- end }}
- { name: RELOAD_GATE_ROLLOUT, value: {{ required "reload-gate-sidecar.rollout.group is required with mode=rollout" .group | quote }} }
{{- with .knownGood }}
- { name: RELOAD_GATE_KNOWN_GOOD, value: {{ . | quote }} }
{{- end }}
{{- with .soak }}
- { name: RELOAD_GATE_ROLLOUT_SOAK, value: {{ . | quote }} }
{{- end }}
{{- with .parallel }}
- { name: RELOAD_GATE_ROLLOUT_PARALLEL, value: {{ . | toString | quote }} }
{{- end }}
{{- end }}
- name: POD_NAME
  valueFrom: { fieldRef: { fieldPath: metadata.name } }
{{- end }}
{{- with $gate.env }}
{{ toYaml . }}
{{- end }}
{{- end }}

{{- define "reload-gate-sidecar.securityContext" -}}
{{- $gate := index .Values "reload-gate-sidecar" -}}
{{- if eq $gate.mode "restricted" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: { drop: [ALL] }
{{- else -}}
# The user of the application: a process of the same user may signal it without KILL.
runAsUser: {{ $gate.publish.user }}
runAsGroup: {{ $gate.publish.group }}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
seccompProfile: { type: RuntimeDefault }
capabilities:
  drop: [ALL]
  {{- if eq (int $gate.publish.user) 0 }}
  # Those of the application, and SYS_CHROOT to run its checker in its root. Without it the bundled validator validates.
  add: {{ append $gate.publish.capabilities "SYS_CHROOT" | toJson }}
  {{- end }}
{{- end }}
{{- end }}

{{- define "reload-gate-sidecar.volumeMounts" -}}
{{- $gate := index .Values "reload-gate-sidecar" -}}
{{- if eq $gate.mode "restricted" -}}
- { name: {{ $gate.configVolume }}, mountPath: {{ $gate.mountPath }}, readOnly: true }
- { name: gate, mountPath: /gate, readOnly: true }
{{- range $index, $path := $gate.restricted.writable }}
# The checker writes here what the application writes there.
- { name: gate-tmp{{ if $index }}-{{ add1 $index }}{{ end }}, mountPath: {{ $path }} }
{{- end }}
{{- else -}}
- { name: {{ $gate.configVolume }}, mountPath: /config, readOnly: true }
- { name: published, mountPath: /published }
{{- if eq $gate.mode "rollout" }}
- { name: account, mountPath: /var/run/secrets/kubernetes.io/serviceaccount, readOnly: true }
{{- end }}
{{- end }}
{{- end }}

{{/* Objects for the mode `rollout`: the service account and its rights; nothing in other modes. */}}
{{- define "reload-gate-sidecar.rbac" -}}
{{- $gate := index .Values "reload-gate-sidecar" -}}
{{- if eq $gate.mode "rollout" -}}
{{- $account := $gate.rollout.serviceAccount -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  name: {{ $account }}
  namespace: {{ .Release.Namespace }}
automountServiceAccountToken: false
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata:
  name: {{ $account }}
  namespace: {{ .Release.Namespace }}
rules:
  {{- if $gate.rollout.nudge }}
  # The nudge: the gate watches the metadata of the object, and changes an annotation of its pod.
  {{- include "reload-gate-sidecar.objectRule" (dict "object" $gate.rollout.source "verbs" (list "list" "watch")) | nindent 2 }}
  - { apiGroups: [""], resources: [pods], verbs: [patch] }
  {{- end }}
  # The state of the roll-out. `create` cannot be narrowed to a name (Kubernetes' documentation, "Using RBAC Authorization").
  - apiGroups: [coordination.k8s.io]
    resources: [leases]
    resourceNames: [{{ $gate.rollout.group }}]
    verbs: [get, list, watch, update]
  - { apiGroups: [coordination.k8s.io], resources: [leases], verbs: [create] }
  {{- with $gate.rollout.knownGood }}
  # The last-known-good revision.
  {{- include "reload-gate-sidecar.objectRule" (dict "object" . "verbs" (list "get" "update")) | nindent 2 }}
  - { apiGroups: [""], resources: [{{ include "reload-gate-sidecar.resource" . }}], verbs: [create] }
  {{- end }}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata:
  name: {{ $account }}
  namespace: {{ .Release.Namespace }}
roleRef:
  apiGroup: rbac.authorization.k8s.io
  kind: Role
  name: {{ $account }}
subjects:
  - kind: ServiceAccount
    name: {{ $account }}
    namespace: {{ .Release.Namespace }}
{{- end -}}
{{- end }}

{{/* The resource of an object such as `configmap/NAME`. */}}
{{- define "reload-gate-sidecar.resource" -}}
{{- ternary "secrets" "configmaps" (hasPrefix "secret/" .) -}}
{{- end }}

{{- define "reload-gate-sidecar.objectRule" -}}
- apiGroups: [""]
  resources: [{{ include "reload-gate-sidecar.resource" .object }}]
  resourceNames: [{{ splitList "/" .object | last }}]
  verbs: {{ .verbs | toJson }}
{{- end }}
