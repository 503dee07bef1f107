{{- define "lore.name" -}}
{{- printf "%s-operator" .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "lore.labels" -}}
app.kubernetes.io/name: lore-operator
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "lore.selector" -}}
app.kubernetes.io/name: lore-operator
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "lore.consoleName" -}}
{{- printf "%s-console" .Release.Name | trunc 63 | trimSuffix "-" -}}
{{- end -}}

{{- define "lore.consoleSelector" -}}
app.kubernetes.io/name: lore-console
app.kubernetes.io/instance: {{ .Release.Name }}
{{- end -}}

{{- define "lore.consoleLabels" -}}
{{ include "lore.consoleSelector" . }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version }}
{{- end -}}

{{- define "lore.serviceAccountName" -}}
{{- default (include "lore.name" .) .Values.serviceAccount.name -}}
{{- end -}}

{{- /* Image reference of one component: (dict "root" $ "component" "operator"). */ -}}
{{- define "lore.image" -}}
{{- $image := index .root.Values.images .component -}}
{{- if $image.digest -}}
{{ $image.repository }}@{{ $image.digest }}
{{- else -}}
{{ $image.repository }}:{{ default .root.Chart.AppVersion $image.tag }}
{{- end -}}
{{- end -}}

{{- define "lore.podSecurity" -}}
runAsNonRoot: true
runAsUser: 65532
runAsGroup: 65532
seccompProfile: {type: RuntimeDefault}
{{- end -}}

{{- define "lore.containerSecurity" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities: {drop: [ALL]}
{{- end -}}

{{- define "lore.pullSecrets" -}}
{{- with .Values.imagePullSecrets }}
imagePullSecrets:
{{- range . }}
- name: {{ . }}
{{- end }}
{{- end }}
{{- end -}}

{{- /* "true" where the pods of a namespace share one ServiceAccount, guarded by the policy of reportpolicy.yaml. */ -}}
{{- define "lore.sharedAccount" -}}
{{- $known := semverCompare ">=1.30-0" .Capabilities.KubeVersion.Version -}}
{{- if eq .Values.rbac.sharedAccount "Always" -}}
true
{{- else if and (eq .Values.rbac.sharedAccount "Auto") (not .Values.namespaces) $known -}}
true
{{- else -}}
false
{{- end -}}
{{- end -}}
