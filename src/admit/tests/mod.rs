//! Reviews from their bytes to their answers.

mod labels;
mod updates;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::decision::{self, AdmissionDecision, DenialRules, Deny};
use super::policy;
use super::respond;
use super::review::{BadReview, Review};
use super::wording;

const GOOD: &str = "events {}\nhttp {\n  server {\n    listen 8080;\n  }\n}\n";
const BAD: &str = "events {}\nhttp {\n  server {\n    lisen 8080;\n  }\n}\n";

/// A review of a ConfigMap with this file.
fn config_map(text: &str) -> Value {
    json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "kind": {"group": "", "version": "v1", "kind": "ConfigMap"},
            "name": "nginx",
            "namespace": "web",
            "operation": "CREATE",
            "dryRun": false,
            "object": {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": "nginx", "namespace": "web", "labels": {"reload-gate.dev/validate": "nginx"}},
                "data": {"nginx.conf": text},
            },
            "oldObject": null,
        },
    })
}

/// The same as an update of a ConfigMap with another file.
fn update(old: &str, new: &str) -> Value {
    let mut review = config_map(new);
    review["request"]["operation"] = "UPDATE".into();
    review["request"]["oldObject"] = config_map(old)["request"]["object"].clone();
    review
}

/// The decision about a review, and its response.
fn decided(body: &[u8], rules: DenialRules) -> Result<(AdmissionDecision, Value), BadReview> {
    let (decision, response) = respond(body, rules)?;
    Ok((decision, serde_json::from_str(&response).expect("a response is JSON")))
}

fn answer_with(review: &Value, rules: DenialRules) -> Value {
    decided(review.to_string().as_bytes(), rules).expect("it is a review").1["response"].clone()
}

fn answer(review: &Value) -> Value {
    answer_with(review, DenialRules::default())
}

fn warnings(answer: &Value) -> Vec<&str> {
    answer["warnings"].as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

#[test]
fn a_denial_has_the_key_the_line_the_message_and_the_help() {
    let answer = answer(&config_map(BAD));
    assert_eq!(answer["uid"], "705ab4f5-6393-11e8-b7cc-42010a800002");
    assert_eq!(answer["allowed"], false);
    assert_eq!(answer["status"]["code"], 403);
    assert_eq!(answer["auditAnnotations"]["verdict"], "rejected");
    insta::assert_snapshot!(answer["status"]["message"].as_str().expect("it has one"), @r#"
    1 error in ConfigMap web/nginx (builtin nginx)
      nginx.conf:4:5: unknown directive "lisen" (unknown-directive)
        help: did you mean `listen`?
    "#);
}

#[test]
fn a_review_with_a_key_twice_is_none() {
    let good = config_map(GOOD).to_string();
    let twice = good.replacen("\"data\":{", "\"data\":{\"nginx.conf\":\"x\",", 1);
    for body in [twice, good.replacen("\"data\":{", "\"data\":{},\"data\":{", 1)] {
        assert_ne!(body, good);
        assert!(matches!(Review::parse(body.as_bytes()), Err(BadReview::Malformed { .. })), "{body}");
    }
}

/// Adds so many empty keys to an object.
fn with_keys(object: &mut Value, count: usize) {
    let data = object["data"].as_object_mut().expect("it has data");
    data.extend((0..count).map(|number| (format!("{number:06}"), Value::from(""))));
}

#[test]
fn an_object_with_too_many_keys_is_denied_without_a_look_at_them() {
    let mut review = config_map(GOOD);
    with_keys(&mut review["request"]["object"], 100_000);
    let parsed = Review::parse(review.to_string().as_bytes()).expect("it is one");
    let object = parsed.object.expect("it has one");
    assert_eq!(object.contents.len(), 10_001, "those beyond are not read");
    let denied = answer(&review);
    insta::assert_snapshot!(denied["status"]["message"].as_str().expect("it is denied"), @r"
    1 error in ConfigMap web/nginx
      the object has more than 10000 keys, so none of them was validated (too-many-keys)
        help: split it, or give it no label and no rule for validation
    ");
    let allowed = answer_with(&review, DenialRules { deny: Deny::Never, ..DenialRules::default() });
    assert_eq!((&allowed["allowed"], warnings(&allowed).len()), (&Value::from(true), 1));

    // The stored object has as many, so its author can still change it.
    let mut stored = update(GOOD, BAD);
    with_keys(&mut stored["request"]["object"], 100_000);
    with_keys(&mut stored["request"]["oldObject"], 100_000);
    let answered = answer(&stored);
    assert_eq!(answered["allowed"], true);
    assert!(warnings(&answered)[0].starts_with("as stored: the object has more than 10000 keys"), "{answered}");
    let mut smaller = update(GOOD, BAD);
    with_keys(&mut smaller["request"]["oldObject"], 100_000);
    assert_eq!(answer(&smaller)["allowed"], false);
}

#[test]
fn a_good_object_is_allowed() {
    let answer = answer(&config_map(GOOD));
    assert_eq!(answer["allowed"], true);
    assert!(answer["status"].is_null());
}

#[test]
fn only_labelled_objects_that_are_created_or_changed_are_looked_at() {
    let without = |pointer: &str, value: Value| {
        let mut review = config_map(BAD);
        *review.pointer_mut(pointer).expect("it is there") = value;
        answer(&review)["allowed"].clone()
    };
    assert_eq!(without("/request/object/metadata/labels", json!(null)), true);
    assert_eq!(without("/request/object/metadata/labels", json!({"app": "x"})), true);
    assert_eq!(without("/request/operation", json!("DELETE")), true);
    assert_eq!(without("/request/operation", json!("CONNECT")), true);
    assert_eq!(without("/request/kind/kind", json!("Pod")), true);
    assert_eq!(without("/request/dryRun", json!(true)), false);
}

#[test]
fn the_label_leaves_the_choice_to_the_annotation_and_to_names() {
    let mut review = config_map(BAD);
    review["request"]["object"]["metadata"]["labels"] = json!({"reload-gate.dev/validate": "auto"});
    assert_eq!(answer(&review)["allowed"], false);
    review["request"]["object"]["metadata"]["annotations"] = json!({"reload-gate.dev/validator": "none"});
    assert_eq!(answer(&review)["allowed"], true);
    review["request"]["object"]["metadata"]["annotations"] = json!({
        "reload-gate.dev/validator": "nginx",
        "reload-gate.dev/ignore": "unknown-directive our build has it",
    });
    assert_eq!(answer(&review)["allowed"], true);
}

#[test]
fn a_wrong_label_or_annotation_is_named() {
    let with = |label: &str, annotations: Value| {
        let mut review = config_map(GOOD);
        review["request"]["object"]["metadata"]["labels"] = json!({"reload-gate.dev/validate": label});
        review["request"]["object"]["metadata"]["annotations"] = annotations;
        answer(&review)
    };
    let denied = |label: &str, annotations: Value| {
        let answer = with(label, annotations);
        answer["status"]["message"].as_str().expect("it is denied").to_owned()
    };
    let label = "label `reload-gate.dev/validate`: unknown validator `ngnix`; did you mean `nginx`?";
    let message = denied("ngnix", Value::Null);
    assert!(message.contains(label), "{message}");
    let message = denied("auto", json!({"reload-gate.dev/validator": "ngnix"}));
    assert!(message.contains("annotation `reload-gate.dev/validator`: unknown validator"), "{message}");
    let message = denied("nginx", json!({"reload-gate.dev/context": "htp"}));
    assert!(message.contains("\n  annotation `reload-gate.dev/context`: `htp` is no block"), "{message}");
    let message = denied("nginx", json!({"reload-gate.dev/nginx-version": "latest"}));
    assert!(message.contains("\n  annotation `reload-gate.dev/nginx-version`: "), "{message}");
    let message = denied("nginx", json!({"reload-gate.dev/main": "other.conf"}));
    assert!(message.starts_with("1 error in ConfigMap web/nginx\n"), "{message}");
    assert!(message.contains("correct annotation `reload-gate.dev/main`"), "{message}");
    let ignored = with("nginx", json!({"reload-gate.dev/ignore": "unknown-directive"}));
    assert!(warnings(&ignored)[0].starts_with("annotation `reload-gate.dev/ignore`: this ignores"), "{ignored}");
    let misspelt =
        with("nginx", json!({"reload-gate.dev/contxt": "http", "reload-gate.dev/digest": "1", "other": "1"}));
    let expected = "unknown annotation `reload-gate.dev/contxt`; did you mean `reload-gate.dev/context`?";
    assert_eq!(warnings(&misspelt), [expected]);
}

#[test]
fn an_object_whose_validation_is_off_is_not_looked_at() {
    for label in ["none", "false"] {
        let mut review = config_map(BAD);
        review["request"]["object"]["metadata"]["labels"] = json!({"reload-gate.dev/validate": label});
        let answer = answer(&review);
        assert_eq!((&answer["allowed"], &answer["auditAnnotations"]), (&json!(true), &Value::Null), "{label}");
    }
}

#[test]
fn a_long_word_of_an_object_is_cut() {
    let text = format!("events {{}}\nhttp {{ {} 1; }}\n", "x".repeat(300_000));
    let answer = answer(&config_map(&text));
    let message = answer["status"]["message"].as_str().expect("it is denied");
    assert!(message.len() < 2_000 && message.contains("nginx.conf:2:8: "), "{} {message}", message.len());
}

#[test]
fn annotations_are_settings_of_the_validator() {
    let annotated = |annotations: Value, text: &str| {
        let mut review = config_map(text);
        review["request"]["object"]["metadata"]["annotations"] = annotations;
        answer(&review)
    };
    let snippet = "location / {\n  proxy_pas http://a;\n}\n";
    let within = annotated(json!({"reload-gate.dev/context": "http,server"}), snippet);
    let message = within["status"]["message"].as_str().expect("it is denied");
    assert!(message.contains("nginx.conf:2:3: unknown directive \"proxy_pas\""), "{message}");
    let old = "events {}\nhttp {\n  server {\n    http2 on;\n  }\n}\n";
    assert_eq!(annotated(json!({"reload-gate.dev/nginx-version": "1.24"}), old)["allowed"], false);
    assert_eq!(annotated(json!({"reload-gate.dev/nginx-version": "1.26"}), old)["allowed"], true);
    let wrong = annotated(json!({"reload-gate.dev/nginx-version": "latest"}), GOOD);
    assert_eq!(wrong["allowed"], false, "{wrong}");
}

#[test]
fn an_unknown_validator_is_denied_and_one_without_a_bundled_validator_is_open() {
    let named = |name: &str| {
        let mut review = config_map(GOOD);
        review["request"]["object"]["metadata"]["labels"] = json!({"reload-gate.dev/validate": name});
        answer(&review)
    };
    let unknown = named("ngnix");
    assert_eq!(unknown["allowed"], false);
    let message = unknown["status"]["message"].as_str().expect("it has one");
    assert!(message.contains("ngnix") && message.contains("unknown-validator"), "{message}");
    let open = named("haproxy");
    assert_eq!(open["allowed"], true);
    assert_eq!(open["auditAnnotations"]["verdict"], "inconclusive");
    assert!(warnings(&open).iter().any(|warning| warning.starts_with("not validated:")), "{open}");
}

#[test]
fn never_denies_nothing_and_warns() {
    let answer = answer_with(&config_map(BAD), DenialRules { deny: Deny::Never, deny_unchanged: false });
    assert_eq!(answer["allowed"], true);
    let warning = "not denied: nginx.conf:4:5: unknown directive \"lisen\" (unknown-directive); did you mean `listen`?";
    assert_eq!(warnings(&answer), [warning]);
}

#[test]
fn an_object_that_was_wrong_can_be_mended_in_part() {
    let two = BAD.replace("  }\n", "    roott /srv;\n  }\n");
    let mended = answer(&update(&two, &two.replace("lisen", "listen")));
    assert_eq!(mended["allowed"], true);
    assert!(warnings(&mended)[0].starts_with("as stored: nginx.conf:5:5: unknown directive \"roott\""), "{mended}");
    // The same lines at another place are no new errors.
    assert_eq!(answer(&update(BAD, &format!("# a comment\n{BAD}")))["allowed"], true);
    // A further error is one, whatever else is mended.
    let other = two.replace("lisen 8080;", "listen 8080;\n    indexx a;");
    let worse = answer(&update(&two, &other));
    assert_eq!(worse["allowed"], false);
    let message = worse["status"]["message"].as_str().expect("it has one");
    assert!(message.contains("indexx") && !message.contains("roott"), "{message}");
    // A second one of the same kind is one as well.
    let twice = BAD.replace("lisen 8080;", "lisen 8080;\n    lisen 8080;");
    assert_eq!(answer(&update(BAD, &twice))["allowed"], false);
    let strict = DenialRules { deny: Deny::Rejected, deny_unchanged: true };
    assert_eq!(answer_with(&update(&two, &two.replace("lisen", "listen")), strict)["allowed"], false);
}

#[test]
fn what_an_error_hid_is_not_new() {
    let broken = "a: [1\nb: {\nc: \"d\n";
    let yaml = |old: &str, new: &str| {
        let mut review = update("", "");
        for (object, text) in [("object", new), ("oldObject", old)] {
            review["request"][object]["data"] = json!({"app.yaml": text});
            review["request"][object]["metadata"]["labels"] = json!({"reload-gate.dev/validate": "yaml"});
        }
        answer(&review)
    };
    let mended = yaml(broken, "a: [1]\nb: {\nc: \"d\n");
    assert_eq!(mended["allowed"], true, "{mended}");
    assert!(warnings(&mended)[0].starts_with("perhaps hidden before: app.yaml:"), "{mended}");
    let worse = yaml("a: 1\n", "a: 1\nb: {\n");
    assert_eq!(worse["allowed"], false, "{worse}");
}

#[test]
fn an_update_that_changes_nothing_that_counts_is_not_looked_at() {
    let mut review = update(BAD, BAD);
    review["request"]["object"]["metadata"]["annotations"] = json!({"owner": "someone"});
    let (decision, response) = decided(review.to_string().as_bytes(), DenialRules::default()).expect("it is one");
    assert_eq!(decision.verdict, None);
    assert_eq!(response["response"]["allowed"], true);
    // A label that is new makes the errors known, and denies nothing.
    review["request"]["oldObject"]["metadata"]["labels"] = json!({});
    let labelled = answer(&review);
    assert_eq!(labelled["allowed"], true);
    assert!(warnings(&labelled)[0].starts_with("as stored: "), "{labelled}");
}

#[test]
fn objects_of_a_rule_are_validated_together() {
    use crate::admit::review::ReviewedObject;
    use crate::config::{AdmissionRules, UserInput, admission};
    let text = "admission:\n- {app: nginx, together: [{name: nginx, path: /etc/nginx}, {name: sites, path: /etc/nginx/conf.d}]}\n";
    let read = |_: &std::path::Path| Ok(text.to_owned());
    let flags = crate::config::SETTINGS.iter().filter(|setting| setting.name == "config");
    let input = UserInput {
        flags: flags.map(|setting| (setting, "rules.yaml".to_owned())).collect(),
        variables: Vec::new(),
        read: &read,
        is_directory: &|_| true,
        directory: "/".into(),
        terminal: false,
    };
    let rules: AdmissionRules = admission(&input).expect("they are valid").rules;
    let main = "events {}\nhttp {\n  log_format own '$status';\n  include conf.d/*.conf;\n}\n";
    let review = |text: &str| Review::parse(config_map(text).to_string().as_bytes()).expect("it is one");
    let site = |format: &str| {
        let text = format!("server {{\n  access_log /dev/stdout {format};\n}}\n");
        let contents = [("web.conf".to_owned(), text.into_bytes())].into();
        Some(ReviewedObject {
            namespace: "web".to_owned(),
            name: "sites".to_owned(),
            contents,
            ..ReviewedObject::default()
        })
    };
    let decided = |format: &str| {
        let review = review(main);
        let object = review.object.as_ref().expect("it has one");
        let selection = policy::select(&rules, &review).expect("a rule covers it");
        let siblings: Vec<_> = selection.siblings.iter().map(|sibling| (sibling.clone(), site(format))).collect();
        assert_eq!(siblings.len(), 1);
        let decision = decision::decide(&review, &selection, &siblings, DenialRules::default());
        wording::answer(&decision, object).denial
    };
    assert_eq!(decided("own"), None);
    let denial = decided("other").expect("it is denied");
    assert!(denial.contains("ConfigMap web/sites web.conf:2:26: unknown log format"), "{denial}");
}

/// A review of a Secret with these values in base64.
fn secret(data: &Value) -> Value {
    let mut review = config_map("");
    review["request"]["kind"]["kind"] = "Secret".into();
    review["request"]["object"]["data"] = data.clone();
    review
}

#[test]
fn no_value_of_a_secret_is_in_an_answer() {
    use base64::Engine as _;
    let text = "events {}\nhttp {\n  hunter2topsecret on;\n  server { auth_basic \"a\" \"hunter2topsecret\"; }\n}\n";
    let encoded = base64::engine::general_purpose::STANDARD.encode(text);
    let (decision, response) =
        decided(secret(&json!({"nginx.conf": encoded})).to_string().as_bytes(), DenialRules::default())
            .expect("it is one");
    assert_eq!(response["response"]["allowed"], false);
    let message = response["response"]["status"]["message"].as_str().expect("it has one");
    assert!(message.contains("nginx.conf:3:3"), "{message}");
    assert!(!response.to_string().contains("hunter2"), "{response}");
    assert!(!format!("{decision:?}").contains("hunter2"), "{decision:?}");
}

#[test]
fn binary_data_is_decoded() {
    let mut review = config_map("");
    review["request"]["object"]["data"] = json!(null);
    review["request"]["object"]["binaryData"] = json!({"nginx.conf": "ZXZlbnRzIHt9Cg=="});
    assert_eq!(answer(&review)["allowed"], true);
    review["request"]["object"]["binaryData"] = json!({"nginx.conf": "not base64"});
    let refused = decided(review.to_string().as_bytes(), DenialRules::default());
    assert_eq!(refused.expect_err("it is none"), BadReview::NotBase64);
}

#[test]
fn what_is_no_review_is_refused_without_a_word_of_it() {
    let refused = |body: &[u8]| decided(body, DenialRules::default()).expect_err("it is none").to_string();
    assert_eq!(refused(b""), "the body is no AdmissionReview: error at line 1, column 0");
    assert_eq!(refused(b"{}"), "the body is no AdmissionReview of admission.k8s.io/v1");
    let mut review = config_map(GOOD);
    review["apiVersion"] = "admission.k8s.io/v1beta1".into();
    assert!(refused(review.to_string().as_bytes()).contains("no AdmissionReview of"));
    review["apiVersion"] = "admission.k8s.io/v1".into();
    review["request"] = json!(null);
    assert_eq!(refused(review.to_string().as_bytes()), "the AdmissionReview has no request");
    let mut review = config_map(GOOD);
    review["request"]["object"]["data"] = json!({"a": ["hunter2"]});
    assert!(!refused(review.to_string().as_bytes()).contains("hunter2"));
    let deep = "[".repeat(200_000);
    assert!(refused(deep.as_bytes()).starts_with("the body is no AdmissionReview"));
    let deep = config_map(GOOD).to_string().replacen("\"data\"", &format!("\"deep\":{deep},\"data\""), 1);
    assert!(refused(deep.as_bytes()).starts_with("the body is no AdmissionReview"));
}

#[test]
fn many_findings_fit_into_the_limits_of_an_api_server() {
    let many: String = (0..500).map(|index| format!("    unknown{index}{} 1;\n", "x".repeat(400))).collect();
    let review = config_map(&BAD.replace("    lisen 8080;\n", &many));
    let denied = answer(&review);
    let message = denied["status"]["message"].as_str().expect("it has one");
    assert!(message.lines().count() <= 22 && message.contains(" more"), "{message}");
    let allowed = answer_with(&review, DenialRules { deny: Deny::Never, deny_unchanged: false });
    let warnings = warnings(&allowed);
    assert!(warnings.iter().all(|warning| warning.chars().count() <= 252), "{warnings:?}");
    assert!(warnings.iter().map(|warning| warning.chars().count()).sum::<usize>() <= 4096);
}

#[test]
fn no_control_character_of_an_object_reaches_an_answer() {
    let mut review = config_map("events {}\nhttp { \u{1b}[31mred\u{7} on; }\n");
    review["request"]["name"] = "a\u{1b}b".into();
    review["request"]["object"]["metadata"]["name"] = "a\u{1b}b".into();
    let answer = answer(&review);
    let message = answer["status"]["message"].as_str().expect("it is denied");
    assert!(message.chars().all(|c| c == '\n' || !c.is_control()), "{message:?}");
}

/// Aliases in YAML that each mean many values.
fn bomb() -> String {
    let levels =
        (1..12).map(|level| format!("a{level}: &a{level} [{}]\n", vec![format!("*a{}", level - 1); 9].join(", ")));
    format!("a0: &a0 [x, x, x, x, x, x, x, x, x]\n{}", levels.collect::<String>())
}

#[test]
fn the_bombs_of_formats_end_soon() {
    let started = std::time::Instant::now();
    let review = |kind: &str, key: &str, text: String| {
        let mut review = config_map("");
        review["request"]["object"]["data"] = json!({key: text});
        review["request"]["object"]["metadata"]["labels"] = json!({"reload-gate.dev/validate": kind});
        answer(&review)
    };
    review("yaml", "a.yaml", bomb());
    review("json", "a.json", "[".repeat(1 << 20));
    review("yaml", "a.yaml", "[".repeat(1 << 20));
    review("toml", "a.toml", "a = ".to_owned() + &"[".repeat(1 << 20));
    review("xml", "a.xml", "<a>".repeat(300_000));
    review("nginx", "nginx.conf", "http {".repeat(170_000));
    review("nginx", "nginx.conf", "include nginx.conf;\n".repeat(50_000));
    review("auto", "a", "a".repeat(1 << 20));
    assert!(started.elapsed() < std::time::Duration::from_secs(60), "{:?}", started.elapsed());
}

fn mutated() -> impl Strategy<Value = Vec<u8>> {
    let texts = prop_oneof![Just(GOOD.to_owned()), Just(BAD.to_owned()), Just(bomb()), "\\PC{0,200}"];
    let kinds =
        prop_oneof![Just("nginx"), Just("yaml"), Just("auto"), Just("tls"), Just("by-name"), Just("none"), Just("x")];
    let edits = proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    (texts.clone(), texts, kinds, any::<bool>(), edits).prop_map(|(old, new, kind, is_secret, edits)| {
        let mut review = update(&old, &new);
        if is_secret {
            review["request"]["kind"]["kind"] = "Secret".into();
        }
        review["request"]["object"]["metadata"]["labels"] = json!({"reload-gate.dev/validate": kind});
        let mut bytes = review.to_string().into_bytes();
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_refused_or_answered(body in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = decided(&body, DenialRules::default());
    }

    #[test]
    fn any_review_is_refused_or_answered_and_a_denial_has_a_reason(body in mutated()) {
        if let Ok((decision, response)) = decided(&body, DenialRules::default()) {
            let allowed = response["response"]["allowed"].as_bool().expect("it says that");
            prop_assert_eq!(allowed, !decision.is_denied);
            prop_assert_eq!(allowed, response["response"]["status"]["message"].is_null());
            prop_assert!(decision.errors.is_empty() || decision.is_denied);
            let warnings = warnings(&response["response"]);
            prop_assert!(warnings.iter().map(|warning| warning.chars().count()).sum::<usize>() <= 4096);
            prop_assert!(warnings.iter().all(|warning| warning.chars().all(|c| !c.is_control())));
        }
    }
}
