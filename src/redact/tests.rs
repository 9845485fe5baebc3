use proptest::prelude::*;
use reload_gate_contract::{Code, Place};

use super::*;

fn redacted(content: &str, message: &str) -> String {
    Redactor::new([content.as_bytes()]).text(message)
}

#[test]
fn a_quotation_goes_and_the_checkers_own_words_stay() {
    for (content, message, expected) in [
        // nginx
        ("http {\n  hunter2 on;\n}", "unknown directive \"hunter2\"", "unknown directive \"[redacted]\""),
        (
            "auth_basic_user_file hunter2;",
            "open() \"/etc/nginx/hunter2\" failed",
            "open() \"/etc/nginx/[redacted]\" failed",
        ),
        (
            "server {\n root /srv;\n}",
            "\"server\" directive is not allowed here",
            "\"server\" directive is not allowed here",
        ),
        ("set $key s3cr3t!x#y;", "invalid parameter \"s3cr3t!x#y\"", "invalid parameter \"[redacted]\""),
        (
            "set $k verylongtoken0123456789;",
            "too long parameter \"verylongto...\" started",
            "too long parameter \"[redacted]...\" started",
        ),
        // A word of the vocabulary is no name where it is a value.
        ("set $password server;", "invalid value \"server\"", "invalid value \"[redacted]\""),
        ("set $password server;", "the server is not there", "the server is not there"),
        // HAProxy
        (
            "userlist a\n user b insecure-password hunter2",
            "unknown keyword 'hunter2' in 'userlist' section",
            "unknown keyword '[redacted]' in 'userlist' section",
        ),
        // Python: the whole line is echoed
        (
            "token = 'hunter2' hunter3\n",
            "token = 'hunter2' hunter3; SyntaxError: invalid syntax",
            "[redacted]; SyntaxError: invalid syntax",
        ),
        // Values of several words, of words of the vocabulary alone, of one letter each, of signs
        (
            "password \"correct horse battery staple\";",
            "invalid \"correct horse battery staple\"",
            "invalid \"[redacted]\"",
        ),
        ("password \"unknown server error\";", "near unknown server error", "near [redacted]"),
        ("password \"a b c d\";", "invalid value a b c d", "invalid value [redacted]"),
        ("password \"$%&/!\";", "invalid value \"$%&/!\"", "invalid value \"[redacted]\""),
        ("pin: 0815", "invalid number 0815", "invalid number [redacted]"),
        // Other ways to write it
        ("password Hunter2;", "unknown host HUNTER2", "unknown host [redacted]"),
        ("password pa\\\"ss\\\"word9;", "unexpected pa\"ss\"word9", "unexpected [redacted]"),
        ("password \"hunter two\";", "unexpected hunter%20two", "unexpected [redacted]"),
        ("password zwölf;", "unexpected b'zw\\xc3\\xb6lf'", "unexpected b'[redacted]'"),
        ("password hunter2;", "header: Basic YWRtaW46aHVudGVyMg==", "header: Basic [redacted]"),
        (
            "auth YWRtaW46aHVudGVyMg==",
            "user admin has no password hunter2",
            "user [redacted] has no password [redacted]",
        ),
        ("password hunter2;", "prefixhunter2suffix is not known", "prefix[redacted]suffix is not known"),
        // Nothing of it is in the Secret.
        ("password hunter2;", "host not found in upstream \"app\"", "host not found in upstream \"app\""),
        ("", "unknown directive \"x\"", "unknown directive \"x\""),
        ("own ate fig", "unknown certificate in configuration", "unknown certificate in configuration"),
    ] {
        assert_eq!(redacted(content, message), expected, "{content:?}: {message}");
    }
}

#[test]
fn a_finding_keeps_its_place() {
    let place = Place::line("/etc/hunter2.conf", 3);
    let finding = Finding::error(Code::new("a-code"), "bad hunter2").at(place.clone()).help("not hunter2");
    let redacted = Redactor::new([&b"hunter2"[..]]).redact(finding);
    assert_eq!((redacted.message.as_str(), redacted.help.as_deref()), ("bad [redacted]", Some("not [redacted]")));
    assert_eq!(redacted.place, Some(place));
}

#[test]
fn several_contents_are_known_and_do_not_run_into_each_other() {
    let redactor = Redactor::new([&b"one-zebra"[..], b"giraffe"]);
    assert_eq!(redactor.text("giraffe zebra zebragiraffe"), "[redacted] [redacted] [redacted]");
    assert_eq!(redactor.text("elephant"), "elephant");
}

#[test]
fn characters_stay_whole() {
    assert_eq!(redacted("pass ähnlich", "wört ähnlich wört"), "wört [redacted] wört");
    assert_eq!(redacted("ß\u{c3}x", "äöü ß\u{c3}x ñ"), "äöü [redacted] ñ");
}

/// A possible secret.
fn secret() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9!#$&/:=@^_~.+*-]{1,10}[0-9]{2}[a-zA-Z0-9!$_-]{0,10}"
}

/// A possible message of a checker about it.
fn said(secret: &str, way: u8) -> String {
    let standard = base64::engine::general_purpose::STANDARD;
    match way {
        0 => format!("unknown directive \"{secret}\""),
        1 => format!("unknown keyword '{secret}' in 'global' section"),
        2 => format!(
            "Traceback (most recent call last); File \"<string>\", line 1; password = {secret}; NameError: name"
        ),
        3 => format!("unexpected {secret}"),
        4 => format!("host not found in upstream {secret}:80"),
        5 => format!("header {}", standard.encode(secret)),
        6 => format!("header {}", standard.encode(format!("someone:{secret}"))),
        7 => format!("value b'{}'", secret.bytes().map(|byte| format!("\\x{byte:02x}")).collect::<String>()),
        8 => format!("value {}", secret.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>()),
        _ => format!("in /etc/nginx/{secret}/x: failed"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn no_secret_survives(secret in secret(), way in 0..10_u8, before in "[a-z ;{}=]{0,20}", after in "[a-z ;{}=]{0,20}") {
        let content = format!("{before}\npassword {secret};\n{after}");
        let message = said(&secret, way);
        let shown = redacted(&content, &message);
        // Words of the message that are the same for every secret reveal nothing of this one.
        let frame = said("", way).to_lowercase();
        for word in words(secret.to_lowercase().as_bytes()).filter(|word| word.len() >= SHORTEST) {
            let word = std::str::from_utf8(word).expect("it is ASCII");
            let survives = shown.replace(REDACTED, "").to_lowercase().contains(word);
            prop_assert!(!survives || frame.contains(word) || is_vocabulary(word.as_bytes()), "{word}: {shown}");
        }
        prop_assert!(shown.contains(REDACTED), "{message}: {shown}");
        prop_assert!(!shown.contains(&secret), "{shown}");
    }

    #[test]
    fn a_text_that_is_not_in_the_secret_stays(secret in "[0-9]{8,20}", way in 0..10_u8) {
        let message = said("zebra", way);
        prop_assert_eq!(redacted(&format!("pin {secret};"), &message), message);
    }

    #[test]
    fn nothing_breaks_it(content in any::<Vec<u8>>(), message in any::<String>()) {
        let shown = Redactor::new([&*content]).text(&message);
        prop_assert!(shown.len() <= message.len() * REDACTED.len() + REDACTED.len());
    }
}

/// One megabyte of a kind, and messages that quote it, as a checker does that understands nothing of it.
#[test]
fn a_large_secret_takes_time_that_grows_with_its_length_alone() {
    let long = |byte: &dyn Fn(usize) -> u8| {
        let word =
            |word: usize| (0..4000).map(move |at| word * 4000 + at).map(byte).chain(*b" 1;\n").collect::<Vec<_>>();
        (0..250).flat_map(word).collect::<Vec<u8>>()
    };
    let random = |at: usize| b"0123456789abcdef"[(at.wrapping_mul(0x9E37_79B9) >> 16) % 16];
    let contents = [
        b"q 1;\n".repeat(200_000),
        long(&|at| b"bB"[at / 4000 % 2]),
        long(&random),
        long(&|_| b'a'),
        b"aaaa bbbb".repeat(100_000),
        b"ab\"`".repeat(250_000),
        b"!\\x41%41".repeat(120_000),
        b" ".repeat(1 << 20),
    ];
    for content in contents {
        let start = std::time::Instant::now();
        let redactor = Redactor::new([&*content]);
        let quote = |index: usize| {
            let from = index * 4004 % (content.len() - 4004);
            Finding::error(Code::new("a-code"), String::from_utf8_lossy(&content[from..from + 4004]).into_owned())
        };
        let shown = redactor.redact_all((0..250).map(quote).collect());
        assert_eq!(shown.len(), 250);
        assert!(shown.iter().all(|finding| finding.message.len() <= LONGEST_TEXT + REDACTED.len()));
        // The former way took minutes for some of these, even when optimised.
        assert!(start.elapsed() < std::time::Duration::from_secs(20), "{:?}: {:?}", start.elapsed(), &content[..8]);
    }
}

#[test]
fn texts_beyond_the_limits_are_not_shown() {
    let redactor = Redactor::new([&b"hunter2"[..]]);
    let long = "x ".repeat(LONGEST_TEXT / 2 - 2) + "hunter2";
    assert_eq!(redactor.text(&long).len(), LONGEST_TEXT - 5, "it is cut between two words");
    assert_eq!(redactor.text(&"x".repeat(LONGEST_TEXT + 1)), "");
    let many = (0..100).map(|_| Finding::error(Code::new("a-code"), "zebra ".repeat(1000)).help("giraffe")).collect();
    let shown = redactor.redact_all(many);
    assert_eq!((shown[0].message.len(), shown[0].help.as_deref()), (6000, Some("giraffe")));
    assert_eq!((shown[99].message.as_str(), shown[99].help.as_deref()), (REDACTED, Some(REDACTED)));
}
