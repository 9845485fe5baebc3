//! Properties of injections into any value.

use proptest::prelude::*;
use serde_json::{Map, Value, json};

use super::*;

/// Any JSON.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        "[a-z/~\n\"0-9: -]{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 32, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("[a-zA-Z/~-]{1,10}", inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// Annotations that ask for a gate, mostly with sense.
fn annotations() -> impl Strategy<Value = Value> {
    let name = prop_oneof![8 => Just("nginx"), 2 => Just("haproxy"), 1 => Just("ngnix")];
    let mode = prop_oneof![3 => Just(None), 2 => Just(Some("publish")), 1 => Just(Some("x"))];
    let args = prop_oneof![Just(None), Just(Some("--listen :1")), Just(Some("--kubernetes-events"))];
    (name, mode, args).prop_map(|(name, mode, args)| {
        let mut annotations = json!({ "reload-gate.dev/inject": name });
        for (key, value) in [("mode", mode), ("args", args)] {
            if let Some(value) = value {
                annotations[format!("reload-gate.dev/inject-{key}")] = value.into();
            }
        }
        annotations
    })
}

/// Pods with a plausible skeleton, and with anything in some of their fields.
fn pods() -> impl Strategy<Value = Value> {
    const FIELDS: [&str; 6] =
        ["securityContext", "hostNetwork", "initContainers", "restartPolicy", "shareProcessNamespace", "volumes"];
    const OF_CONTAINER: [&str; 8] =
        ["securityContext", "env", "envFrom", "resources", "ports", "command", "volumeMounts", "workingDir"];
    let mounts = prop_oneof![Just("/etc/nginx"), Just("/etc/nginx/conf.d/"), Just("/x"), Just("/var/run/secrets/x")];
    let strange = (
        prop::option::weighted(0.3, (prop::sample::select(&FIELDS[..]), any_json())),
        prop::option::weighted(0.3, (prop::sample::select(&OF_CONTAINER[..]), any_json())),
    );
    (annotations(), prop::collection::vec(mounts, 1..4), strange).prop_map(
        |(annotations, mounts, (field, of_container))| {
            let mounts: Vec<Value> = mounts
                .iter()
                .enumerate()
                .map(|(index, path)| json!({ "name": format!("v{}", index % 2), "mountPath": path }))
                .collect();
            let mut spec = json!({
                "containers": [{ "name": "a", "image": "nginx", "volumeMounts": mounts }],
                "volumes": [{ "name": "v0", "configMap": { "name": "c" } }, { "name": "v1", "emptyDir": {} }],
            });
            if let Some((key, value)) = of_container {
                spec["containers"][0][key] = value;
            }
            if let Some((key, value)) = field {
                spec[key] = value;
            }
            json!({ "kind": "Pod", "metadata": { "annotations": annotations }, "spec": spec })
        },
    )
}

/// The places that docs/injection.md lists.
fn is_documented(operation: &PatchOperation) -> bool {
    let path = operation.path.as_str();
    let of_mount = path.strip_prefix("/spec/containers/0/volumeMounts/").and_then(|rest| rest.split_once('/'));
    match operation.op {
        "add" => {
            let added = [
                "/metadata/annotations/reload-gate.dev~1injected",
                "/spec/shareProcessNamespace",
                "/spec/initContainers",
                "/spec/initContainers/-",
                "/spec/containers/-",
                "/spec/volumes",
                "/spec/volumes/-",
            ];
            added.contains(&path) || of_mount.is_some_and(|(_, key)| key == "readOnly")
        }
        "replace" => of_mount.is_some_and(|(_, key)| key == "name"),
        _ => false,
    }
}

/// Returns true if `after` has all that `before` has; lists may be longer at their ends.
fn has_all(after: &Value, before: &Value) -> bool {
    match (after, before) {
        (Value::Object(after), Value::Object(before)) => {
            before.iter().all(|(key, value)| after.get(key).is_some_and(|after| has_all(after, value)))
        }
        (Value::Array(after), Value::Array(before)) => {
            before.len() <= after.len() && before.iter().zip(after).all(|(before, after)| has_all(after, before))
        }
        _ => after == before || before.is_null(),
    }
}

proptest! {
    #[test]
    fn any_value_is_taken(value in any_json()) {
        let injection = patch(&value, &InjectOptions::default());
        prop_assert_eq!(injection.injected, value);
    }

    #[test]
    fn only_documented_places_change_and_only_once(pod in pods()) {
        let first = patch(&pod, &InjectOptions::default());
        for operation in &first.patch {
            prop_assert!(is_documented(operation), "{:?}", operation);
        }
        prop_assert_eq!(first.patch.is_empty(), first.added == 0);
        let replaces = first.patch.iter().any(|operation| operation.op == "replace");
        prop_assert!(replaces || has_all(&first.injected, &pod), "{}", first.injected);
        let second = patch(&first.injected, &InjectOptions::default());
        prop_assert_eq!(&second.injected, &first.injected);
        prop_assert_eq!(second.added, 0);
        prop_assert!(first.added == 0 || second.patch.is_empty());
    }

    #[test]
    fn a_patch_makes_the_injected_object(pod in pods()) {
        let injection = patch(&pod, &InjectOptions::default());
        let operations = serde_json::to_value(&injection.patch).expect("it is JSON");
        let operations: json_patch::Patch = serde_json::from_value(operations).expect("it is a JSON Patch");
        let mut patched = pod.clone();
        json_patch::patch(&mut patched, &operations).expect("it applies");
        prop_assert_eq!(patched, injection.injected);
    }

    #[test]
    fn no_text_is_lost(at in 0usize..900, length in 0usize..40, with in "[a-z0-9 :\\[\\]{}&*!|>\\-\\n\"'#,é]{0,12}") {
        let mut text = include_str!("../../fixtures/inject/nginx.yaml").to_owned();
        let at = at.min(text.len());
        text.replace_range(at..(at + length).min(text.len()), &with);
        if let Ok(result) = inject_text(&text, &InjectOptions::default()) {
            prop_assert!(result.added > 0 || result.text == text);
            prop_assert!(result.added == 0 || inject_text(&result.text, &InjectOptions::default()).is_ok_and(|again| again.text == result.text));
        }
    }

    #[test]
    fn a_text_becomes_what_the_patch_says(pod in pods()) {
        let text = serde_json::to_string_pretty(&pod).expect("it is JSON");
        let result = inject_text(&text, &InjectOptions::default()).expect("it is JSON");
        let injection = patch(&pod, &InjectOptions::default());
        prop_assert_eq!((result.added, result.refused), (injection.added, injection.refused));
        if result.added == 0 {
            prop_assert_eq!(result.text, text);
        }
    }
}
