//! Labels and annotations: the choice of the validator, and remarks about them.

use serde_json::{Value, json};

use super::{BAD, GOOD, answer, config_map, warnings};

/// The answer about an object with a label, annotations and files.
fn answer_to(label: &str, annotations: Value, data: Value) -> Value {
    let mut review = config_map("");
    let object = &mut review["request"]["object"];
    object["metadata"]["labels"] = json!({"reload-gate.dev/validate": label});
    object["metadata"]["annotations"] = annotations;
    object["data"] = data;
    answer(&review)
}

#[track_caller]
fn denied(label: &str, annotations: Value, data: Value) -> String {
    let answer = answer_to(label, annotations, data);
    answer["status"]["message"].as_str().unwrap_or_else(|| panic!("it is allowed: {answer}")).to_owned()
}

#[test]
fn a_main_file_that_is_missing_is_an_error_whatever_chooses_the_validator() {
    for label in ["auto", "nginx", "haproxy", "yaml"] {
        for main in ["nope.conf", "main.conf", "a.conf", "nope.txt", "nope.yaml"] {
            for data in [json!({"nginx.conf": BAD}), json!({"sites": "server {}\n"}), json!({"app.yaml": "a: 1\n"})] {
                let message = denied(label, json!({"reload-gate.dev/main": main}), data);
                let expected = format!("`{main}` is not in the configuration");
                assert!(message.contains(&expected) && message.contains("missing-main-file"), "{label}: {message}");
                assert!(!message.contains("amtool"), "{message}");
            }
        }
    }
}

#[test]
fn a_main_file_chooses_no_program_by_alphabet() {
    let main = |name: &str| json!({"reload-gate.dev/main": name});
    let message = denied("auto", main("site.conf"), json!({"site.conf": BAD}));
    assert!(message.contains("(builtin nginx)") && message.contains("site.conf:4:5: "), "{message}");
    let message = denied("auto", main("web.conf"), json!({"nginx.conf": GOOD, "web.conf": BAD}));
    assert!(message.contains("(builtin nginx)") && message.contains("web.conf:4:5: "), "{message}");
    let message = denied("auto", main("app.yaml"), json!({"app.yaml": "a: [\n", "b": "c"}));
    assert!(message.contains("(builtin yaml)") && message.contains("app.yaml:"), "{message}");
    let open = answer_to("auto", main("haproxy.cfg"), json!({"haproxy.cfg": "defaults\n"}));
    assert!(warnings(&open).iter().any(|warning| warning.contains("only the program `haproxy")), "{open}");
    assert_eq!(answer_to("auto", main("nginx.conf"), json!({"nginx.conf": GOOD}))["allowed"], true);
}

#[test]
fn an_ignored_error_is_a_warning_with_its_reason() {
    let ignore = json!({"reload-gate.dev/ignore": "unknown-directive our module"});
    let allowed = answer_to("nginx", ignore, json!({"nginx.conf": BAD}));
    assert_eq!(allowed["allowed"], true);
    let expected = "ignored: nginx.conf:4:5: unknown directive \"lisen\" (unknown-directive): our module";
    assert_eq!(warnings(&allowed), [expected]);
    let comment = BAD.replace("8080;", "8080; # reload-gate: ignore unknown-directive our module");
    assert_eq!(warnings(&answer_to("nginx", Value::Null, json!({"nginx.conf": comment}))), [expected]);
}

#[test]
fn an_annotation_that_ignores_nothing_has_a_help_of_its_own() {
    let ignore = json!({"reload-gate.dev/ignore": "unkown-directive our module"});
    let answer = answer_to("nginx", ignore, json!({"nginx.conf": BAD}));
    let warning = warnings(&answer).into_iter().find(|warning| warning.contains("unused-ignore"));
    let warning = warning.unwrap_or_else(|| panic!("there is none: {answer}"));
    assert!(warning.contains("did you mean `unknown-directive`?"), "{warning}");
    assert!(warning.ends_with("; remove it, or name the code of a finding in this object"), "{warning}");
}

#[test]
fn words_of_a_switch_are_explained() {
    for label in ["off", "no", "False", "disabled"] {
        let message = denied(label, Value::Null, json!({"nginx.conf": GOOD}));
        assert!(message.contains("help: write `none` to turn the validation off"), "{message}");
    }
    for label in ["yes", "on", "enabled", "True"] {
        let message = denied(label, Value::Null, json!({"nginx.conf": GOOD}));
        assert!(message.contains("help: name a validator, or write `auto`"), "{message}");
    }
    let annotation = |value: &str| json!({"reload-gate.dev/validator": value});
    let message = denied("auto", annotation("off"), json!({"nginx.conf": GOOD}));
    assert!(message.contains("help: write `none` to turn the validation off"), "{message}");
    let message = denied("auto", annotation("auto"), json!({"nginx.conf": GOOD}));
    assert!(message.contains("help: name a validator, or remove the annotation"), "{message}");
}

#[test]
fn a_wrong_setting_denies_whatever_chooses_the_validator() {
    for label in ["auto", "nginx"] {
        for (annotation, value) in [("nginx-version", "newest"), ("context", "htp")] {
            let annotations = json!({format!("reload-gate.dev/{annotation}"): value});
            let message = denied(label, annotations, json!({"nginx.conf": GOOD}));
            assert!(message.contains(&format!("annotation `reload-gate.dev/{annotation}`")), "{label}: {message}");
        }
    }
}
