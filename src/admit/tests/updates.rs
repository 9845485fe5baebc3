//! Updates: comparison with the object that is stored, by its own label and annotations.

use serde_json::{Value, json};

use reload_gate_contract::Verdict;

use super::{BAD, GOOD, answer, decided, update, warnings};
use crate::admit::decision::DenialRules;
use crate::admit::review::Review;
use crate::admit::wording;

/// An update of an object with a label, annotations and a file.
fn update_of(old: (&str, Value, &str), new: (&str, Value, &str)) -> Value {
    let mut review = update(old.2, new.2);
    for (object, (label, annotations, _)) in [("oldObject", old), ("object", new)] {
        let metadata = &mut review["request"][object]["metadata"];
        metadata["labels"] = if label.is_empty() { json!({}) } else { json!({"reload-gate.dev/validate": label}) };
        metadata["annotations"] = annotations;
    }
    review
}

#[track_caller]
fn denied(review: &Value) -> String {
    let answer = answer(review);
    assert_eq!(answer["allowed"], false, "{answer}");
    let known: Vec<&str> = warnings(&answer).into_iter().filter(|warning| warning.starts_with("as stored")).collect();
    assert_eq!(known, Vec::<&str>::new());
    answer["status"]["message"].as_str().expect("it has one").to_owned()
}

#[track_caller]
fn allowed(review: &Value) -> Vec<String> {
    let answer = answer(review);
    assert_eq!(answer["allowed"], true, "{answer}");
    warnings(&answer).into_iter().map(str::to_owned).collect()
}

/// Labels and annotations with a mistake, and a part of its message.
fn mistakes() -> [(&'static str, Value, &'static str); 5] {
    let annotation = |name: &str, value: &str| json!({format!("reload-gate.dev/{name}"): value});
    [
        ("ngnix", Value::Null, "unknown validator `ngnix`"),
        ("auto", annotation("validator", "ngnix"), "unknown validator `ngnix`"),
        ("nginx", annotation("nginx-version", "latest"), "annotation `reload-gate.dev/nginx-version`"),
        ("nginx", annotation("context", "htp"), "annotation `reload-gate.dev/context`: `htp` is no block"),
        ("nginx", annotation("main", "nope.conf"), "`nope.conf` is not in the configuration"),
    ]
}

#[test]
fn a_mistake_in_a_label_or_annotation_of_an_update_denies() {
    for (label, annotations, expected) in mistakes() {
        for text in [GOOD, BAD] {
            let review = update_of(("nginx", Value::Null, GOOD), (label, annotations.clone(), text));
            let message = denied(&review);
            assert!(message.contains(expected), "{expected}: {message}");
            // The same, where nothing selected the object before.
            let message = denied(&update_of(("", Value::Null, GOOD), (label, annotations.clone(), text)));
            assert!(message.contains(expected), "{expected}: {message}");
        }
    }
}

#[test]
fn a_mistake_that_is_stored_already_is_known() {
    for (label, annotations, expected) in mistakes() {
        let old = (label, annotations.clone(), GOOD);
        let warnings = allowed(&update_of(old, (label, annotations, "events {}\n")));
        assert!(warnings[0].starts_with("as stored: ") && warnings[0].contains(expected), "{expected}: {warnings:?}");
    }
}

#[test]
fn what_a_mistake_hid_is_known_when_it_is_mended() {
    let two = BAD.replace("  }\n", "    roott /srv;\n  }\n");
    for (label, annotations, _) in mistakes() {
        let warnings = allowed(&update_of((label, annotations.clone(), BAD), ("nginx", Value::Null, BAD)));
        assert!(warnings[0].starts_with("as stored: nginx.conf:4:5: "), "{label} {annotations}: {warnings:?}");
        let message = denied_with_known(&update_of((label, annotations, BAD), ("nginx", Value::Null, &two)));
        assert!(message.contains("roott") && !message.contains("lisen"), "{message}");
    }
}

#[track_caller]
fn denied_with_known(review: &Value) -> String {
    let answer = answer(review);
    assert!(warnings(&answer).iter().any(|warning| warning.starts_with("as stored: ")), "{answer}");
    answer["status"]["message"].as_str().expect("it is denied").to_owned()
}

#[test]
fn settings_that_make_a_valid_object_wrong_deny() {
    let text = "events {}\nhttp {\n  server {\n    http2 on;\n  }\n}\n";
    let version = |version: &str| json!({"reload-gate.dev/nginx-version": version});
    let message = denied(&update_of(("nginx", version("1.26"), text), ("nginx", version("1.24"), text)));
    assert!(message.contains("nginx.conf:4:5: "), "{message}");
    // Mended settings have no errors left.
    assert_eq!(
        allowed(&update_of(("nginx", version("1.24"), text), ("nginx", version("1.26"), text))),
        Vec::<String>::new()
    );
}

#[test]
fn an_update_that_removes_the_main_file_is_a_warning() {
    let with = |old: Value, new: Value, label: &str| {
        let mut review = update_of((label, Value::Null, ""), (label, Value::Null, ""));
        review["request"]["oldObject"]["data"] = old;
        review["request"]["object"]["data"] = new;
        allowed(&review)
    };
    let site = "server { listen 80; }\n";
    let gone = "this update removes `nginx.conf`, with which the configuration of nginx begins";
    for label in ["nginx", "auto"] {
        let main = json!({"nginx.conf": GOOD});
        for new in [json!({}), json!({"ngnix.conf": site})] {
            let warnings = with(main.clone(), new.clone(), label);
            assert!(warnings.iter().any(|warning| warning.starts_with(gone)), "{label} {new}: {warnings:?}");
        }
    }
    let kept = |old: Value, new: Value| {
        let warnings = with(old, new, "nginx");
        assert!(!warnings.iter().any(|warning| warning.contains("removes")), "{warnings:?}");
    };
    // Another whole configuration takes its place, or there was none.
    kept(json!({"nginx.conf": GOOD}), json!({"main.conf": GOOD}));
    kept(json!({"a.conf": site, "b.conf": site}), json!({"a.conf": site}));
    kept(json!({"nginx.conf": site}), json!({"a.conf": site}));
}

#[test]
fn an_object_of_a_named_validator_without_a_file_is_a_warning() {
    let mut review = super::config_map("");
    review["request"]["object"]["data"] = Value::Null;
    let expected = "the object has no files, so nothing was validated";
    assert_eq!(allowed(&review), [expected]);
    review["request"]["object"]["metadata"]["labels"] = json!({"reload-gate.dev/validate": "auto"});
    assert_eq!(allowed(&review), [expected]);
}

#[test]
fn an_object_without_its_neighbour_is_not_known_to_be_valid() {
    let body = super::config_map(GOOD).to_string();
    let review = Review::parse(body.as_bytes()).expect("it is one");
    let object = review.object.as_ref().expect("it has one");
    let (decision, _) = decided(body.as_bytes(), DenialRules::default()).expect("it is one");
    let missing = decision.clone().without(vec!["there is no ConfigMap `a`".to_owned()], Vec::new());
    assert_eq!((missing.verdict, missing.obstacle()), (Some(Verdict::Accepted), None));
    let why = "it was validated without the ConfigMap `a`: no right";
    let unread = decision.without(Vec::new(), vec![why.to_owned()]);
    assert_eq!((unread.verdict, unread.obstacle()), (Some(Verdict::Inconclusive), Some(why)));
    assert_eq!(wording::answer(&unread, object).warnings, [why]);
}
