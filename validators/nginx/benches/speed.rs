//! How long it takes to judge large configurations, and how much memory: this crate, `nginx -t -q`, and crossplane.
//!
//!     CROSSPLANE=/path/to/venv/bin/python cargo bench -p reload-gate-nginx
//!
//! Each is a whole process, started anew for each run: reading the file counts. Without `CROSSPLANE` (a Python which
//! can import it) or without nginx, that row is left out, and the table shows that.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the table is what this program is for")]

use std::ffi::{OsStr, OsString};
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use nix::sys::resource::{UsageWho, getrusage};
use reload_gate_contract::{MemoryFiles, Verdict};
use reload_gate_nginx::{Options, check};

const SIZES: [usize; 3] = [100_000, 1_000_000, 10_000_000];
const RUNS: usize = 5;

/// crossplane with all that it can check.
const CROSSPLANE: &str = "import crossplane, sys
p = crossplane.parse(sys.argv[1], check_ctx=True, check_args=True, strict=True)
sys.exit(p['status'] != 'ok')";

fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    match arguments.iter().filter_map(|argument| argument.to_str()).collect::<Vec<_>>()[..] {
        ["check", file] => judge(Path::new(file)),
        ["measure", _, ..] => measure(&arguments[1], &arguments[2..]),
        _ if arguments.iter().any(|argument| argument == "--bench") => table(),
        _ => ExitCode::SUCCESS, // compiled and started by `cargo test --benches`: there is nothing to prove
    }
}

/// Judges one file, as a program would that does nothing else.
fn judge(file: &Path) -> ExitCode {
    let text = std::fs::read(file).expect("the file can be read");
    let path = file.to_str().expect("the path is UTF-8");
    let files: MemoryFiles = [(path, text)].into_iter().collect();
    let findings = check(path, &files, &Options::default());
    findings.iter().take(5).for_each(|finding| eprintln!("{finding:?}"));
    ExitCode::from(u8::from(Verdict::of(&findings) != Verdict::Accepted))
}

/// Runs one command as the only child of this process and prints its time and peak memory.
fn measure(program: &OsStr, arguments: &[OsString]) -> ExitCode {
    let start = Instant::now();
    let status = command(program).args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).status();
    let took = start.elapsed();
    let peak = getrusage(UsageWho::RUSAGE_CHILDREN).expect("it is always known").max_rss();
    println!("{} {peak}", took.as_micros());
    ExitCode::from(u8::from(!status.is_ok_and(|status| status.success())))
}

/// What one run took.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Usage {
    time: Duration,
    peak_kib: u64,
}

/// The median of some runs, or nothing if the program fails.
fn median(program: &[&OsStr]) -> Option<Usage> {
    let mut runs = Vec::new();
    for _ in 0..RUNS {
        let this = std::env::current_exe().expect("this program is a file");
        let output = command(&this).arg("measure").args(program).stderr(Stdio::inherit()).output().ok()?;
        let output_text = String::from_utf8(output.stdout).ok().filter(|_| output.status.success())?;
        let (micros, kib) = output_text.trim().split_once(' ')?;
        runs.push(Usage { time: Duration::from_micros(micros.parse().ok()?), peak_kib: kib.parse().ok()? });
    }
    runs.sort();
    Some(runs[RUNS / 2])
}

fn table() -> ExitCode {
    let directory = tempfile::tempdir().expect("there is a place for temporary files");
    let this = std::env::current_exe().expect("this program is a file");
    let python = std::env::var_os("CROSSPLANE");
    let mut good = true;
    println!("| size | judge | time | peak memory | times ours |\n|---:|---|---:|---:|---:|");
    for size in SIZES {
        let file = directory.path().join("nginx.conf");
        std::fs::write(&file, configuration(size)).expect("the directory can be written to");
        let (file, prefix) = (file.as_os_str(), directory.path().as_os_str());
        let [check, nginx] = ["check", "nginx"].map(OsStr::new);
        let test = [nginx, "-t".as_ref(), "-q".as_ref(), "-e".as_ref(), "stderr".as_ref()];
        let mut rows = vec![
            ("reload-gate-nginx", median(&[this.as_os_str(), check, file])),
            ("nginx -t -q", median(&[&test[..], &["-p".as_ref(), prefix, "-c".as_ref(), file]].concat())),
        ];
        if let Some(python) = &python {
            rows.push(("crossplane", median(&[python, "-c".as_ref(), CROSSPLANE.as_ref(), file])));
        }
        let ours = rows[0].1.map(|usage| usage.time.as_secs_f64());
        good &= ours.is_some();
        for (judge, usage) in rows {
            let size = f64::from(u32::try_from(size).expect("a size is small")) / 1e6;
            let Some(Usage { time, peak_kib }) = usage else {
                println!("| {size} MB | {judge} | could not be run | | |");
                continue;
            };
            let times = ours.map_or(f64::NAN, |ours| time.as_secs_f64() / ours);
            let (millis, mib) = (time.as_secs_f64() * 1e3, peak_kib / 1024);
            println!("| {size} MB | {judge} | {millis:.1} ms | {mib} MiB | {times:.1} |");
        }
    }
    ExitCode::from(u8::from(!good))
}

#[expect(clippy::disallowed_methods, reason = "this program compares whole processes")]
fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.env("PATH", std::env::var("PATH").unwrap_or_default() + ":/usr/sbin:/sbin");
    command
}

/// A valid configuration of about that many bytes: many sites such as people write them, each with a name, an
/// upstream and locations of its own. (No `map`: crossplane takes its entries for unknown directives.)
fn configuration(size: usize) -> String {
    let mut text = String::from(
        "worker_processes auto;\npid nginx.pid;\nerror_log stderr;\nevents { worker_connections 1024; }\nhttp {\n    \
         access_log off;\n    server_names_hash_max_size 1048576;\n    server_names_hash_bucket_size 128;\n    \
         log_format timed '$remote_addr \"$request\" $status $request_time';\n",
    );
    for site in 0.. {
        if text.len() > size {
            break;
        }
        let (a, b) = (site / 250 % 250, site % 250);
        write!(
            text,
            r#"
    # site {site}
    upstream backend_{site} {{
        least_conn;
        server 10.1.{a}.{b}:8080 weight=2 max_fails=3 fail_timeout=30s;
        server 10.2.{a}.{b}:8080 backup;
        keepalive 16;
    }}
    server {{
        listen 127.0.0.1:8080;
        server_name site-{site}.example.com www.site-{site}.example.com;
        root /srv/www/site-{site};
        index index.html index.htm;
        client_max_body_size 20m;
        add_header X-Frame-Options "SAMEORIGIN" always;
        location / {{
            try_files $uri $uri/ /index.php?$query_string;
        }}
        location ~* \.(?:css|js|png|jpe?g|gif|ico|woff2?)$ {{
            expires 30d;
            add_header Cache-Control "public, max-age=2592000, site={site}";
        }}
        location /api/ {{
            proxy_pass http://backend_{site}/v1/;
            proxy_http_version 1.1;
            proxy_set_header Host $host;
            proxy_set_header X-Real-IP $remote_addr;
            proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $http_connection;
            proxy_read_timeout 60s;
            proxy_buffers 8 16k;
            if ($request_method = OPTIONS) {{
                return 204;
            }}
        }}
        location = /old-{site} {{
            rewrite ^/old-(\d+)$ /new/$1?from=old permanent;
        }}
        error_page 500 502 503 504 /50x.html;
    }}
"#
        )
        .expect("a string can be written to");
    }
    text + "}\n"
}
