{{- define "harbour.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name }}
app.kubernetes.io/instance: {{ .Release.Name }}
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end }}

{{- /* A Pod that runs at one turn of the release and is there afterwards, for who looks. */}}
{{- define "harbour.hook" -}}
apiVersion: v1
kind: Pod
metadata:
  name: {{ .root.Release.Name }}-{{ .turn }}
  labels: {turn: {{ .turn }}}
  annotations:
    helm.sh/hook: {{ .turn }}
    helm.sh/hook-weight: "1"
    helm.sh/hook-delete-policy: before-hook-creation
spec:
  restartPolicy: Never
  terminationGracePeriodSeconds: 0
  containers:
  - name: main
    image: {{ .root.Values.image }}
    command: [echo, "{{ .turn }} of revision {{ .root.Release.Revision }}"]
{{- end }}
