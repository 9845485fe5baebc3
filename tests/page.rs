//! The page, as a browser shows it.

use std::path::Path;
use std::process::Stdio;

use crate::support::{Listening, ask, command, eventually, needs};

/// What a browser makes of a page, and what it has to say about it.
fn browse(url: &str, more: &[&str]) -> (String, String) {
    let profile = tempfile::tempdir().expect("there is room");
    let mut chromium = command("chromium");
    chromium.args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"]);
    chromium.args([
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
        "--enable-logging=stderr",
    ]);
    chromium.arg(format!("--user-data-dir={}", profile.path().display()));
    let output = chromium.args(more).args(["--dump-dom", url]).stdin(Stdio::null()).output().expect("it starts");
    let [dom, said] = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
    assert!(output.status.success() && dom.contains("</html>"), "{dom}\n{said}");
    (dom, said)
}

/// How much wider than a screen of this width the page is. A window cannot be that narrow, but a frame can.
fn overflow(page: &str, directory: &Path, width: u32) -> i32 {
    let escaped = page.replace('&', "&amp;").replace('"', "&quot;");
    let measure = "const seen = document.querySelector('iframe').contentDocument.documentElement;\
                   document.title = [seen.scrollWidth - seen.clientWidth, seen.clientWidth].join(' ')";
    let frame = format!("<iframe width={width} height=900 style='border: 0' srcdoc=\"{escaped}\"></iframe>");
    let file = directory.join("frame.html");
    let text = format!("<!doctype html><title>-</title><body onload=\"{measure}\">{frame}");
    std::fs::write(&file, text).expect("there is room");
    let (dom, _) = browse(&format!("file://{}", file.display()), &["--window-size=1300,1000", "--hide-scrollbars"]);
    let title = dom.split_once("<title>").and_then(|(_, rest)| Some(rest.split_once("</title>")?.0));
    let (more, seen) = title.and_then(|title| title.split_once(' ')).unwrap_or_else(|| panic!("not measured: {dom}"));
    assert_eq!(seen.parse(), Ok(width), "{title:?}");
    more.parse().expect("it is a number")
}

#[test]
fn it_needs_nothing_and_can_do_nothing() {
    let mut listening = Listening::start(Some("bad <script>alert(1)</script>"), &["--signal", "none"]);
    listening.gate.wait_for("rejected");
    let answer = listening.get("/");
    let head = answer.head.to_lowercase();
    for header in
        ["content-type: text/html; charset=utf-8", "referrer-policy: no-referrer", "x-content-type-options: nosniff"]
    {
        assert!(head.contains(header), "{header}: {head}");
    }
    let policy = head.lines().find(|line| line.starts_with("content-security-policy: ")).expect("there is one");
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    for part in ["http-equiv=\"refresh\"", "Rejected", "<time datetime="] {
        assert!(answer.body.contains(part), "{part}: {}", answer.body);
    }
    for part in ["<script", " src=", "http://", "https://", "url("] {
        assert!(!answer.body.contains(part), "{part}: {}", answer.body);
    }
}

#[test]
fn a_browser_shows_what_is_live_rejected_and_recovered() {
    needs!("chromium");
    let evil = "<script>document.title='evil'</script><img src=x onerror=\"document.title='evil'\">";
    let told = ["--name", evil, "--diff", "--reload-command", "true", "--builtin", "nginx"];
    let good = "events {}\n# good\n";
    let mut listening = Listening::start(Some(good), &told);
    let url = format!("http://127.0.0.1:{}/", listening.port);
    let directory = tempfile::tempdir().expect("there is room");
    let check = |words: &[&str]| {
        let (dom, said) = browse(&url, &[]);
        for word in words {
            assert!(dom.contains(word), "{word}:\n{dom}");
        }
        assert!(!dom.contains("<script") && !dom.contains("<img") && !dom.contains("<title>evil"), "{dom}");
        assert!(!said.contains("Content Security Policy") && !said.contains("Refused to"), "{said}");
        let page = ask(listening.port, "GET", "/").expect("it listens").body;
        for width in [390, 1100] {
            assert_eq!(overflow(&page, directory.path(), width), 0, "it must be scrolled sideways at {width}");
        }
    };
    listening.gate.wait_for("reloaded");
    eventually("it is live", || listening.status()["live"] == true);
    check(&["<title>✓ live", "Live</span>", "<b>reloaded</b>"]);
    let wide = "x".repeat(150);
    std::fs::write(directory.path().join("new"), format!("{good}{evil} {wide};\n")).expect("there is room");
    std::fs::rename(directory.path().join("new"), listening.watch.join("app.conf")).expect("it can be renamed");
    listening.gate.wait_for("rejected");
    check(&[
        "<title>✕ rejected",
        "Rejected</span>",
        "class=\"line meant\"",
        "&lt;script&gt;",
        "class=\"line added\"",
        &wide[..100],
    ]);
    listening.write(good);
    listening.gate.wait_for("recovered");
    check(&["<title>✓ live", "<b>recovered</b>", "<b>rejected</b>"]);
}
