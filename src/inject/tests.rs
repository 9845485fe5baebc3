//! Injections into templates as they are in the field.

use serde_json::{Value, json};

use super::text::InjectedText;
use super::*;

/// A deployment of nginx, as its users write it.
const PLAIN: &str = r"# The web server.
apiVersion: apps/v1
kind: Deployment
metadata:
  name: web
spec:
  selector:
    matchLabels: { app: web }
  template:
    metadata:
      labels: { app: web }
      annotations:
        reload-gate.dev/inject: nginx   # the sidecar
    spec:
      containers:
        - name: nginx
          image: nginx:1.28
          volumeMounts:
            - { name: config, mountPath: /etc/nginx }
      volumes:
        - name: config
          configMap: { name: web }
      # Long requests end first.
      terminationGracePeriodSeconds: 60
---
apiVersion: v1
kind: ConfigMap
metadata: {name: web}   # left alone
data:
  nginx.conf: |
    events {}
";

fn injected(text: &str) -> InjectedText {
    inject_text(text, &InjectOptions::default()).unwrap_or_else(|broken| panic!("{broken}"))
}

/// A pod with annotations and a specification.
#[expect(clippy::needless_pass_by_value, reason = "a value that is written down where it is used")]
fn pod(annotations: Value, spec: Value) -> Value {
    json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "name": "web", "annotations": annotations }, "spec": spec })
}

/// The specification of a pod with one nginx.
fn nginx() -> Value {
    json!({
        "containers": [{
            "name": "nginx",
            "image": "nginx:1.28",
            "volumeMounts": [{ "name": "config", "mountPath": "/etc/nginx" }],
        }],
        "volumes": [{ "name": "config", "configMap": { "name": "web" } }],
    })
}

/// The same, changed.
fn changed(change: impl Fn(&mut Value)) -> Value {
    let mut spec = nginx();
    change(&mut spec);
    spec
}

fn inject(object: &Value) -> Injection {
    patch(object, &InjectOptions::default())
}

/// The gate that is injected into a pod.
#[track_caller]
fn gate(annotations: Value, spec: Value) -> Value {
    let injection = inject(&pod(annotations, spec));
    assert_eq!(injection.added, 1, "{:?}", injection.warnings);
    let spec = &injection.injected["spec"];
    let mut all =
        ["initContainers", "containers"].into_iter().flat_map(|key| spec[key].as_array().into_iter().flatten());
    all.find(|container| container["name"] == "reload-gate").expect("there is one").clone()
}

fn variable<'v>(container: &'v Value, name: &str) -> Option<&'v str> {
    container["env"].as_array()?.iter().find(|variable| variable["name"] == name)?["value"].as_str()
}

#[test]
fn lines_are_added_and_all_others_stay() {
    let result = injected(PLAIN);
    assert_eq!((result.added, result.refused), (1, 0), "{:?}", result.warnings);
    insta::assert_snapshot!(result.text);
    let mut rest = result.text.lines();
    for line in PLAIN.lines() {
        assert!(rest.any(|other| other == line), "a line is lost: {line}");
    }
}

#[test]
fn a_second_injection_changes_nothing() {
    let once = injected(PLAIN);
    let twice = injected(&once.text);
    assert_eq!(twice.text, once.text);
    assert_eq!((twice.added, twice.warnings), (0, Vec::new()));
}

#[test]
fn an_older_sidecar_is_not_updated_and_reported() {
    let older = injected(PLAIN).text.replace(&format!("injected: \"{VERSION}\""), "injected: 0.0.1");
    let result = injected(&older);
    assert_eq!(result.text, older);
    assert!(result.warnings[0].message.contains("reload-gate 0.0.1 injected the sidecar"), "{:?}", result.warnings);
}

#[test]
fn publishing_gives_the_application_the_published_volume() {
    let text = PLAIN.replace("# the sidecar", "\n        reload-gate.dev/inject-mode: publish");
    let result = injected(&text);
    assert_eq!(result.added, 1, "{:?}", result.warnings);
    insta::assert_snapshot!(result.text.split("---").next().unwrap_or_default());
}

#[test]
fn styles_of_yaml_and_json_are_kept() {
    let value = pod(json!({ "reload-gate.dev/inject": "nginx" }), nginx());
    let pretty = serde_json::to_string_pretty(&value).expect("it is JSON");
    let flow = "apiVersion: v1\nkind: Pod\nmetadata: { name: web, annotations: { reload-gate.dev/inject: nginx } }\nspec: { containers: \
                [{ name: nginx, image: nginx, volumeMounts: [{ name: c, mountPath: /etc/nginx }] }], volumes: [{ name: c, secret: { secretName: s } }] }";
    let unindented = "kind: List\napiVersion: v1\nitems:\n- apiVersion: v1\n  kind: Pod\n  metadata:\n    annotations:\n      reload-gate.dev/inject: nginx\n  \
                      spec:\n    initContainers:\n    volumes:\n    - name: c\n      configMap:\n        name: c\n    containers:\n    - image: nginx\n      name: a\n      \
                      volumeMounts:\n      - name: c\n        mountPath: /etc/nginx/conf.d/";
    let mixed = "kind: Pod\nmetadata: {annotations: {reload-gate.dev/inject: nginx}}\nspec:\n  containers:\n  - {name: a, image: nginx, volumeMounts: \
                 [{name: c, mountPath: /etc/nginx}]}\n  volumes:\n  - {name: c, configMap: {name: c}}\n";
    for text in [pretty.as_str(), flow, mixed, unindented, &unindented.replace('\n', "\r\n")] {
        let result = injected(text);
        assert_eq!(result.added, 1, "{text}: {:?}", result.warnings);
        assert_eq!(injected(&result.text).text, result.text);
        let is_json = |text: &str| serde_json::from_str::<Value>(text).is_ok();
        assert_eq!(is_json(&result.text), is_json(text));
    }
}

#[test]
fn a_document_of_an_unforeseen_form_stays_as_it_is() {
    let text = PLAIN
        .replace("labels: { app: web }\n      annotations:", "labels: &same { app: web }\n      annotations: &all");
    let text = text.replace("  name: web\nspec", "  name: web\n  annotations: *all\nspec").replacen(
        "metadata:\n  name",
        "x: 1\nmetadata:\n  name",
        1,
    );
    // The anchor is behind its alias, so this is no YAML at all.
    assert!(inject_text(&text, &InjectOptions::default()).is_err());
    let shared = PLAIN.replace(
        "metadata:\n  name: web\nspec",
        "metadata:\n  name: web\n  annotations: &all { reload-gate.dev/inject: nginx }\nspec",
    );
    let shared =
        shared.replace("annotations:\n        reload-gate.dev/inject: nginx   # the sidecar", "annotations: *all");
    let result = injected(&shared);
    assert_eq!((result.text.as_str(), result.added, result.refused), (shared.as_str(), 0, 1));
    assert!(result.warnings[0].help.contains("without aliases"), "{:?}", result.warnings);
}

#[test]
fn every_kind_of_workload_is_injected() {
    let template = json!({ "metadata": { "annotations": { "reload-gate.dev/inject": "nginx" } }, "spec": nginx() });
    for kind in ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "Rollout"] {
        let injection = inject(&json!({ "kind": kind, "spec": { "template": template } }));
        assert_eq!(injection.added, 1, "{kind}: {:?}", injection.warnings);
    }
    let job = json!({ "kind": "CronJob", "spec": { "jobTemplate": { "spec": { "template": template } } } });
    let list =
        json!({ "kind": "List", "items": [job, { "kind": "PodList", "items": [template] }, { "kind": "Service" }] });
    let injection = inject(&list);
    assert_eq!(injection.added, 2, "{:?}", injection.warnings);
    assert!(injection.injected.pointer("/items/0/spec/jobTemplate/spec/template/spec/initContainers/0").is_some());
    assert!(injection.injected.pointer("/items/1/items/0/spec/initContainers/0").is_some());
}

#[test]
fn a_template_that_asks_for_nothing_is_left_alone() {
    for object in [
        pod(json!({ "reload-gate.dev/inject": "none" }), nginx()),
        pod(json!({}), nginx()),
        pod(Value::Null, nginx()),
        json!({ "kind": "Service" }),
        json!(null),
        json!([1]),
    ] {
        let injection = inject(&object);
        assert_eq!(injection, Injection { injected: object.clone(), ..Injection::default() });
    }
}

/// A conflict leaves the pod as it is, and the warning has this in it.
#[track_caller]
fn conflicts(annotations: Value, spec: Value, message: &str) {
    let object = pod(annotations, spec);
    let injection = inject(&object);
    assert_eq!((injection.added, injection.refused, &injection.patch), (0, 1, &Vec::new()), "{message}");
    assert_eq!(injection.injected, object);
    let [warning] = injection.warnings.as_slice() else { panic!("{:?}", injection.warnings) };
    let shown = warning.to_string();
    assert!(shown.contains(message) && !warning.help.is_empty(), "{shown}");
    // The API server may cut longer ones (`Warning` in Kubernetes' documentation of admission webhooks).
    assert!(shown.len() <= 256, "{}: {shown}", shown.len());
}

#[test]
fn conflicts_are_warnings() {
    let asks = || json!({ "reload-gate.dev/inject": "nginx" });
    let with = |key: &str, value: Value| changed(|spec| spec[key] = value.clone());
    let of_container = |key: &str, value: Value| changed(|spec| spec["containers"][0][key] = value.clone());
    conflicts(asks(), with("shareProcessNamespace", false.into()), "hides the application");
    conflicts(asks(), with("hostPID", true.into()), "`hostPID` excludes");
    conflicts(asks(), with("os", json!({ "name": "windows" })), "runs on Windows");
    conflicts(asks(), with("nodeSelector", json!({ "kubernetes.io/os": "windows" })), "runs on Windows");
    conflicts(
        asks(),
        with("initContainers", json!([{ "name": "reload-gate" }])),
        "container `reload-gate` is a gate already",
    );
    conflicts(asks(), of_container("image", json!("a.example/reload-gate:1")), "is a gate already");
    conflicts(asks(), of_container("ports", json!([{ "containerPort": 9464 }])), "port 9464 is taken");
    conflicts(asks(), of_container("image", Value::Null), "has no image");
    conflicts(asks(), of_container("volumeMounts", json!([])), "mounts no ConfigMap");
    for command in [json!(["sh", "-c", "sleep 5; kill -QUIT 1"]), json!(["/bin/kill", "1"])] {
        let hook = json!({ "preStop": { "exec": { "command": command } } });
        conflicts(asks(), of_container("lifecycle", hook), "signals process 1");
    }
    let sub_path = json!([{ "name": "config", "mountPath": "/etc/nginx/nginx.conf", "subPath": "nginx.conf" }]);
    conflicts(asks(), of_container("volumeMounts", sub_path), "with `subPath`, which is never updated");
    let two = json!([{ "name": "config", "mountPath": "/a" }, { "name": "config", "mountPath": "/b" }]);
    conflicts(asks(), of_container("volumeMounts", two), "several mounts may be the configuration: /a, /b");
    for args in ["--kubernetes-events", "--rollout web --nudge --cluster-source configmap/nginx"] {
        let annotations = json!({ "reload-gate.dev/inject": "nginx", "reload-gate.dev/inject-args": args });
        let without = with("automountServiceAccountToken", false.into());
        conflicts(annotations, without, "needs the token that `automountServiceAccountToken: false` keeps away");
    }
    let secret = changed(|spec| {
        spec["containers"][0]["volumeMounts"][0]["mountPath"] = "/etc/passwords".into();
        spec["volumes"][0] = json!({ "name": "config", "secret": { "secretName": "a" } });
    });
    conflicts(asks(), secret, "mounts no ConfigMap, and Secrets at /etc/passwords; name the mount paths");
    let taken = json!([{ "name": "reload-gate-tmp", "emptyDir": {} }, { "name": "config", "configMap": {} }]);
    conflicts(asks(), with("volumes", taken), "`reload-gate-tmp` is taken");
    let several = json!([{ "name": "a", "image": "a" }, { "name": "b", "image": "b" }]);
    conflicts(asks(), with("containers", several), "several containers: a, b");
}

#[test]
fn wrong_annotations_are_warnings() {
    let asks = || json!({ "reload-gate.dev/inject": "nginx" });
    conflicts(json!({ "reload-gate.dev/inject": "ngnix" }), nginx(), "no preset `ngnix`; did you mean `nginx`?");
    conflicts(json!({ "reload-gate.dev/inject": true }), nginx(), "no preset ``");
    for switch in ["true", "enabled", "yes"] {
        let expected = format!("no preset `{switch}`; the value is the name of the program, as `nginx`");
        conflicts(json!({ "reload-gate.dev/inject": switch }), nginx(), &expected);
    }
    for (key, value, message) in [
        ("inject-mode", "direkt", "no mode `direkt`"),
        ("inject-container", "web", "no container `web` among nginx; name the application's with"),
        ("inject-container", "ngnix", "no container `ngnix`; did you mean `nginx`?"),
        ("inject-watch", "/etc/nginx /srv", "mounted as a whole at `/srv`; name one of: /etc/nginx"),
        ("inject-watch", "/etc/ngnix", "mounted as a whole at `/etc/ngnix`; name one of: /etc/nginx"),
        ("inject-watch", "/etc/nginx/nginx.conf", "`/etc/nginx/nginx.conf` is a path in the mount `/etc/nginx`; name"),
        ("inject-watch", "/etc/nginx,/srv", "`/etc/nginx,/srv` has a comma; separate the mount paths with spaces"),
        ("inject-args", "--alert-label 'a", "`reload-gate.dev/inject-args`: "),
        (
            "inject-args",
            "--setle 1s",
            "`reload-gate.dev/inject-args`: unexpected argument '--setle' found; did you mean `--settle`?",
        ),
        ("inject-args", "--settle banana", "`reload-gate.dev/inject-args`: `--settle`: "),
        ("inject-args", "--signal HPU", "`--signal`: "),
        ("inject-args", "--settle", "a value is required for '--settle <DURATION>'"),
        ("inject-args", "--alert-after 1m", "`--alert-after`: `alert-after` has no effect without a sink; add a sink"),
        ("inject-args", "--once", "`--once`: the gate ends after one validation"),
        ("inject-args", "--app haproxy", "`--app` would replace what the injection sets; use `reload-gate.dev/inject`"),
        ("inject-args", "--app=haproxy", "`--app` would replace"),
        (
            "inject-args",
            "--watch /x",
            "`--watch` would replace what the injection sets; use `reload-gate.dev/inject-watch`",
        ),
        (
            "inject-args",
            "--publish /x",
            "`--publish` would replace what the injection sets; use `reload-gate.dev/inject-mode`",
        ),
        ("inject-args", "--mount=/x", "`--mount` would replace"),
        ("inject-args", "--stage /x", "`--stage` would replace"),
        ("inject-args", "--help", "`--help` prints a help and ends"),
        ("injekt-mode", "publish", "did you mean `reload-gate.dev/inject-mode`?"),
        ("inject-modes", "publish", "did you mean `reload-gate.dev/inject-mode`?"),
    ] {
        let mut annotations = asks();
        annotations[format!("reload-gate.dev/{key}")] = value.into();
        conflicts(annotations, nginx(), message);
    }
    conflicts(json!({ "reload-gate.dev/inject": "gunicorn" }), nginx(), "needs the application's own arguments");
    let object = json!({ "kind": "Deployment", "metadata": { "annotations": asks() }, "spec": { "template": { "spec": nginx() } } });
    let misplaced = inject(&object);
    assert_eq!(misplaced.refused, 1);
    assert!(misplaced.warnings[0].message.contains("and not of its pods"), "{:?}", misplaced.warnings);
}

#[test]
fn a_misspelt_annotation_alone_is_reported() {
    conflicts(
        json!({ "reload-gate.dev/injekt": "nginx" }),
        nginx(),
        "unknown annotation `reload-gate.dev/injekt`; did you mean `reload-gate.dev/inject`?",
    );
    conflicts(
        json!({ "reload-gate.dev/inject-args": "--settle 1s" }),
        nginx(),
        "`reload-gate.dev/inject-args` has no effect without `reload-gate.dev/inject`",
    );
    let other = inject(&pod(json!({ "reload-gate.dev/colour": "red" }), nginx()));
    assert_eq!((other.refused, other.warnings.len()), (0, 1));
    assert_eq!(other.warnings[0].message, "unknown annotation `reload-gate.dev/colour`");
    let known = json!({ "reload-gate.dev/nudge": "1", "reload-gate.dev/ignore": "x", "example.com/injekt": "nginx" });
    assert_eq!(inject(&pod(known, nginx())).warnings, Vec::new());
}

#[test]
fn a_label_in_the_place_of_the_annotation_is_reported() {
    let labelled = |labels: Value| {
        let mut object = pod(json!({}), nginx());
        object["metadata"]["labels"] = labels;
        inject(&object)
    };
    let injection = labelled(json!({ "reload-gate.dev/inject": "nginx" }));
    assert_eq!((injection.added, injection.refused), (0, 1));
    assert_eq!(injection.warnings[0].message, "`reload-gate.dev/inject` is a label, and no annotation");
    // A namespace has the label, and a pod may have it for a selector.
    assert_eq!(labelled(json!({ "reload-gate.dev/inject": "none", "app": "a" })).refused, 0);
    let template = json!({ "metadata": { "annotations": {} }, "spec": nginx() });
    let labels = json!({ "reload-gate.dev/inject": "nginx" });
    let object = json!({ "kind": "Deployment", "metadata": { "labels": labels }, "spec": { "template": template } });
    assert_eq!(inject(&object).refused, 1);
}

#[test]
fn a_gate_with_the_network_of_its_node_knows_its_pod() {
    let pod_name = |spec: Value| {
        let gate = gate(json!({ "reload-gate.dev/inject": "nginx" }), spec);
        gate["env"].as_array().expect("it has some").iter().find(|one| one["name"] == "POD_NAME").cloned()
    };
    assert_eq!(pod_name(nginx()), None);
    let expected = json!({ "name": "POD_NAME", "valueFrom": { "fieldRef": { "fieldPath": "metadata.name" } } });
    assert_eq!(pod_name(changed(|spec| spec["hostNetwork"] = true.into())), Some(expected));
}

#[test]
fn the_need_of_a_native_sidecar_has_its_reason() {
    let options = InjectOptions { kubernetes: Some("1.28".parse().expect("it is one")), ..InjectOptions::default() };
    let publish = json!({ "reload-gate.dev/inject": "nginx", "reload-gate.dev/inject-mode": "publish" });
    let refused = patch(&pod(publish, nginx()), &options).warnings[0].to_string();
    let expected = "the gate of the mode `publish` is a native sidecar, which needs Kubernetes 1.29; \
                    use `reload-gate.dev/inject-mode: direct`, or write the sidecar by hand";
    assert!(refused.ends_with(expected), "{refused}");
    let job = changed(|spec| spec["restartPolicy"] = "Never".into());
    let refused = patch(&pod(json!({ "reload-gate.dev/inject": "nginx" }), job), &options).warnings[0].to_string();
    let expected = "the gate of a pod that ends is a native sidecar, which needs Kubernetes 1.29; \
                    write the sidecar by hand, or remove `reload-gate.dev/inject`";
    assert!(refused.ends_with(expected), "{refused}");
}

#[test]
fn a_text_in_which_nothing_asks_is_known() {
    assert!(injected("kind: ConfigMap\n").asks_for_nothing());
    assert!(!injected("").asks_for_nothing());
    let once = injected(PLAIN);
    assert!(!once.asks_for_nothing());
    assert!(!injected(&once.text).asks_for_nothing());
    assert!(!injected(&PLAIN.replace("inject: nginx", "inject: ngnix")).asks_for_nothing());
}

#[test]
fn a_text_without_an_object_is_empty() {
    for text in ["", "\n", "# nothing\n---\n"] {
        assert!(injected(text).is_empty, "{text:?}");
    }
    assert!(!injected(PLAIN).is_empty);
}

#[test]
fn every_mistake_in_the_arguments_is_reported() {
    let object = pod(
        json!({ "reload-gate.dev/inject": "nginx", "reload-gate.dev/inject-args": "--settle banana --signal FOO" }),
        nginx(),
    );
    let injection = inject(&object);
    assert_eq!((injection.added, injection.refused), (0, 1));
    let messages: Vec<_> = injection.warnings.iter().map(|warning| warning.message.as_str()).collect();
    assert_eq!(messages.len(), 2, "{messages:?}");
    assert!(messages.iter().any(|message| message.contains("`--settle`: ")), "{messages:?}");
    assert!(messages.iter().any(|message| message.contains("`--signal`: ")), "{messages:?}");
}

#[test]
fn arguments_whose_values_are_known_in_the_pod_alone_are_no_mistakes() {
    for args in [
        "--alert-webhook http://$(ALERTS)/ --settle $(SETTLE)",
        "--config /etc/nginx/gates.yaml",
        "--preset /etc/nginx/own.yaml",
        "--builtin json-schema --schema /etc/nginx/schema.json",
        "--alert-webhook http://alerts/ --alert-after 1m --kubernetes-events",
        "--nudge --cluster-source configmap/web",
    ] {
        gate(json!({ "reload-gate.dev/inject": "nginx", "reload-gate.dev/inject-args": args }), nginx());
    }
}

#[test]
fn the_gate_has_no_right_that_the_application_lacks() {
    let asks = || json!({ "reload-gate.dev/inject": "nginx" });
    let context = |own: Value, pod: Value| {
        let spec = changed(|spec| {
            spec["containers"][0]["securityContext"] = own.clone();
            spec["securityContext"] = pod.clone();
        });
        gate(asks(), spec)["securityContext"].clone()
    };
    let kept = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "NET_BIND_SERVICE", "SETGID", "SETUID"];
    assert_eq!(
        context(json!({ "privileged": true }), Value::Null),
        json!({
            "allowPrivilegeEscalation": false,
            "seccompProfile": { "type": "RuntimeDefault" },
            "capabilities": { "drop": ["ALL"], "add": kept },
        })
    );
    let restricted = json!({ "runAsNonRoot": true, "seccompProfile": { "type": "RuntimeDefault" } });
    let own =
        json!({ "runAsUser": 101, "readOnlyRootFilesystem": true, "capabilities": { "add": ["NET_BIND_SERVICE"] } });
    assert_eq!(
        context(own, restricted),
        json!({
            "allowPrivilegeEscalation": false,
            "runAsUser": 101,
            "readOnlyRootFilesystem": true,
            "capabilities": { "drop": ["ALL"] },
        })
    );
    let few = context(json!({ "capabilities": { "drop": ["ALL"], "add": ["CAP_CHOWN", "SYS_ADMIN"] } }), Value::Null);
    assert_eq!(few["capabilities"], json!({ "drop": ["ALL"], "add": ["CHOWN"] }));
}

#[test]
fn the_checker_sees_the_files_and_the_variables_of_the_application() {
    let spec = json!({
        "initContainers": [{ "name": "render", "volumeMounts": [{ "name": "rendered", "mountPath": "/out" }] }],
        "containers": [{
            "name": "lb",
            "image": "haproxy:3.2",
            "imagePullPolicy": "Never",
            "env": [{ "name": "BACKEND", "value": "a" }, { "name": "RELOAD_GATE_APP", "value": "x" }],
            "envFrom": [{ "prefix": "LB_", "configMapRef": { "name": "e" } }, { "secretRef": { "name": "s" } }],
            "resources": { "limits": { "memory": "1Gi" } },
            "volumeMounts": [
                { "name": "config", "mountPath": "/usr/local/etc/haproxy/" },
                { "name": "rendered", "mountPath": "/rendered" },
                { "name": "run", "mountPath": "/run/haproxy" },
                { "name": "data", "mountPath": "/data", "subPath": "a" },
                { "name": "node", "mountPath": "/node" },
                { "name": "token", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount" },
            ],
        }],
        "volumes": [
            { "name": "config", "projected": { "sources": [{ "configMap": { "name": "c" } }, { "secret": { "name": "s" } }] } },
            { "name": "rendered", "emptyDir": {} },
            { "name": "run", "emptyDir": { "medium": "Memory" } },
            { "name": "node", "hostPath": { "path": "/" } },
            { "name": "token", "projected": { "sources": [{ "serviceAccountToken": {} }, { "configMap": { "name": "kube-root-ca.crt" } }] } },
        ],
    });
    let spec = {
        let mut spec = spec;
        // A variable of a gate makes a container a gate.
        spec["containers"][0]["env"].as_array_mut().expect("it is a list").truncate(1);
        spec
    };
    let gate = gate(json!({ "reload-gate.dev/inject": "haproxy" }), spec);
    assert_eq!(variable(&gate, "RELOAD_GATE_WATCH"), Some("/usr/local/etc/haproxy"));
    assert_eq!(variable(&gate, "RELOAD_GATE_PASS_ENV"), Some("BACKEND\nLB_*"));
    assert_eq!(variable(&gate, "BACKEND"), Some("a"));
    assert_eq!(gate["envFrom"], json!([{ "prefix": "LB_", "configMapRef": { "name": "e" } }]));
    assert_eq!((&gate["imagePullPolicy"], &gate["image"]), (&json!("Never"), &json!("haproxy:3.2")));
    assert_eq!(gate["resources"]["limits"]["memory"], "1Gi");
    assert_eq!(
        gate["volumeMounts"],
        json!([
            { "name": "reload-gate", "mountPath": "/gate", "readOnly": true },
            { "name": "config", "mountPath": "/usr/local/etc/haproxy", "readOnly": true },
            { "name": "rendered", "mountPath": "/rendered", "readOnly": true },
            { "name": "reload-gate-tmp-1", "mountPath": "/run/haproxy" },
            { "name": "data", "mountPath": "/data", "readOnly": true, "subPath": "a" },
            { "name": "reload-gate-no-token", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": true },
        ])
    );
}

#[test]
fn the_container_is_found_among_several() {
    let with = |image: &str, path: &str| {
        changed(|spec| {
            let other =
                json!({ "name": "other", "image": image, "volumeMounts": [{ "name": "config", "mountPath": path }] });
            spec["containers"].as_array_mut().expect("it is a list").insert(0, other);
        })
    };
    // By its image; by the mount, if two have such an image; by its name.
    assert_eq!(
        gate(json!({ "reload-gate.dev/inject": "nginx" }), with("busybox", "/etc/nginx"))["image"],
        "nginx:1.28"
    );
    assert_eq!(gate(json!({ "reload-gate.dev/inject": "nginx" }), with("nginx-exporter", "/x"))["image"], "nginx:1.28");
    let named = json!({ "reload-gate.dev/inject": "nginx", "reload-gate.dev/inject-container": "other" });
    assert_eq!(gate(named, with("nginx-exporter", "/etc/nginx"))["image"], "nginx-exporter");
}

#[test]
fn a_listener_and_the_api_are_as_the_arguments_say() {
    let with = |args: &str| json!({ "reload-gate.dev/inject": "nginx", "reload-gate.dev/inject-args": args });
    let own = gate(with("--listen :9500 --settle=1s"), nginx());
    assert_eq!(own["args"], json!(["run", "--listen", ":9500", "--settle=1s"]));
    assert_eq!((own["ports"][0]["containerPort"].as_u64(), variable(&own, "RELOAD_GATE_LISTEN")), (Some(9500), None));
    let host = gate(with(""), changed(|spec| spec["hostNetwork"] = true.into()));
    assert_eq!((&host["ports"], &host["livenessProbe"]), (&Value::Null, &Value::Null));
    let events = gate(with("--kubernetes-events"), nginx());
    assert!(!events["volumeMounts"].to_string().contains("serviceaccount"), "{events}");
}

#[test]
fn a_job_gets_a_sidecar_that_ends_with_it() {
    let spec = changed(|spec| spec["restartPolicy"] = "Never".into());
    let injection = inject(&pod(json!({ "reload-gate.dev/inject": "nginx" }), spec));
    assert_eq!(injection.injected["spec"]["initContainers"][1]["restartPolicy"], "Always");
    assert!(injection.warnings[0].message.contains("needs Kubernetes 1.29"), "{:?}", injection.warnings);
}

#[test]
fn an_old_cluster_gets_no_native_sidecar() {
    let object = pod(
        json!({ "reload-gate.dev/inject": "nginx", "reload-gate.dev/inject-mode": "publish" }),
        changed(|spec| {
            spec["containers"][0]["lifecycle"] =
                json!({ "preStop": { "exec": { "command": ["nginx", "-s", "quit"] } } });
        }),
    );
    for (version, added) in [("1.28", 0), ("v1.20.2", 0), ("1.29", 1), ("v1.31.2+k3s1", 1), ("2.0", 1)] {
        let kubernetes = Some(version.parse().expect("it is a version"));
        let injection = patch(&object, &InjectOptions { kubernetes, ..InjectOptions::default() });
        assert_eq!((injection.added, injection.warnings.len()), (added, 1 - added), "{version}");
    }
    for wrong in ["", "1", "one.two", "1.x"] {
        assert!(wrong.parse::<KubernetesVersion>().is_err(), "{wrong}");
    }
}
