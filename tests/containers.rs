//! The image as it ships, in real containers beside real programs.

use std::fs;

use crate::support::{
    Container, DEFAULT_CAPABILITIES, Kubelet, NOBODY_IMAGE, Privileges, ROOT_IMAGE, Volume, eventually, free_port,
    gate_container, mount, needs, needs_containers, podman_says, served, show, unique,
};

/// Limits of the image and of the gate at rest, in bytes, so that growth is noticed.
const LARGEST_IMAGE: u64 = 25 << 20;
const MOST_MEMORY: u64 = 15 << 20;

/// A pod with an infrastructure container, as a kubelet makes it: PID 1 of the shared processes is neither the application nor the gate.
struct Pod(String);

impl Pod {
    fn new() -> Self {
        let name = unique("reload-gate-test-");
        podman_says(&["pod", "create", "--share=pid,net", "--network=host", "--name", &name]);
        Self(name)
    }
}

impl Drop for Pod {
    fn drop(&mut self) {
        podman_says(&["pod", "rm", "--force", "--time=0", &self.0]);
    }
}

fn nginx_config(port: u16, body: &str, more: &str) -> String {
    format!(
        "user nobody nogroup;\nerror_log stderr notice;\nevents {{}}\nhttp {{\n    access_log off;\n    {more}\n    server {{\n        \
         listen 127.0.0.1:{port};\n        return 200 '{body}';\n    }}\n}}\n"
    )
}

#[test]
fn the_image_stands_between_a_volume_and_an_nginx_in_another_container_of_the_pod() {
    needs_containers!();
    needs!("nginx");
    let (directory, port, pod) = (tempfile::tempdir().expect("there is room"), free_port(), Pod::new());
    let config = |body, more| nginx_config(port, body, more);
    let mut volume = Volume::new(directory.path().join("config"), Kubelet::New, &[("nginx.conf", &config("one", ""))]);
    let in_pod = format!("--pod={}", pod.0);
    let here = mount(volume.path(), "/etc/nginx", true);
    let arguments = [in_pod.clone(), here.clone(), "--tmpfs=/run".into()];
    let nginx = Container::application(&arguments, &["nginx", "-g", "daemon off;"]);
    eventually("nginx serves", || served(port, "one"));
    let name = unique("reload-gate-test-gate-");
    let named = format!("--name={name}");
    let root = Privileges { user: "0:0", capabilities: DEFAULT_CAPABILITIES, confined: true }.arguments();
    let arguments = [&root[..], &[named, in_pod, here]].concat();
    let mut gate = gate_container(ROOT_IMAGE, &arguments, &["run", "--app", "nginx", "--watch", "/etc/nginx"]);
    let accepted = gate.wait_for("accepted");
    assert!(accepted.to_string().contains("validated by `nginx -t`, in the root of pid"), "{accepted}");
    gate.wait_for("verified");
    let signals = || nginx.log().matches("signal 1 (SIGHUP) received").count();
    // nginx started before the gate saw its configuration, so the gate reloads it once.
    assert_eq!(signals(), 1);

    volume.write(&[("nginx.conf", &config("two", ""))]);
    gate.wait_for("verified");
    eventually("the good change is served", || served(port, "two"));
    volume.write(&[("nginx.conf", &config("two", ""))]);
    gate.wait_for("unchanged");
    assert_eq!(signals(), 2);
    volume.write(&[("nginx.conf", &config("three", "lisen 80;"))]);
    let finding = gate.wait_for("rejected")["findings"][0].clone();
    assert_eq!((&finding["file"], &finding["line"]), (&"/etc/nginx/nginx.conf".into(), &6.into()), "{finding}");
    volume.write(&[("nginx.conf", &config("two", ""))]);
    gate.wait_for("recovered");
    assert_eq!(signals(), 2, "{}", nginx.log());
    assert!(served(port, "two"));

    let pid = podman_says(&["inspect", "--format={{.State.Pid}}", &name]);
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let resident =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    let resident = resident.expect("it is there") * 1024;
    show(&format!("the gate in its container: {resident} bytes resident"));
    assert!(resident < MOST_MEMORY, "{status}");
    assert_eq!(gate.stop(), 0);
}

#[test]
fn the_image_is_small_nobody_by_default_and_says_what_it_is() {
    needs_containers!();
    for (image, user) in [(NOBODY_IMAGE, "65532:65532"), (ROOT_IMAGE, "")] {
        let inspected = podman_says(&["image", "inspect", image]);
        let inspected: serde_json::Value = serde_json::from_str(&inspected).expect("it is JSON");
        let size = inspected[0]["Size"].as_u64().expect("it has one");
        show(&format!("{image}: {size} bytes"));
        assert!(size < LARGEST_IMAGE, "{size}");
        assert_eq!(inspected[0]["Config"]["User"].as_str().unwrap_or_default(), user);
        for label in ["title", "description", "source", "licenses", "revision"] {
            let label = format!("org.opencontainers.image.{label}");
            assert!(inspected[0]["Labels"][&label].as_str().is_some_and(|text| !text.is_empty()), "{label}");
        }
        let version = podman_says(&["run", "--rm", "--network=none", image, "--version"]);
        assert_eq!(version, concat!("reload-gate ", env!("CARGO_PKG_VERSION")));
    }
}

/// What is shipped is built otherwise than what is tested besides: optimized, and without what a debug build looks after.
#[test]
fn every_command_works_as_it_is_shipped() {
    needs_containers!();
    let directory = tempfile::tempdir().expect("there is room");
    fs::write(directory.path().join("nginx.conf"), "events {}\n").expect("there is room");
    let here = mount(directory.path(), "/etc/nginx", true);
    let says =
        |arguments: &[&str]| podman_says(&[&["run", "--rm", "--network=none", &here, ROOT_IMAGE], arguments].concat());
    assert!(says(&["check", "/etc/nginx"]).contains("1 checked: 1 accepted"));
    assert!(says(&["validators"]).contains("haproxy"));
    assert!(says(&["completions", "bash"]).contains("reload-gate"));
    assert!(says(&["man"]).starts_with(".ie"));
    let observe = ["--builtin", "nginx", "--watch", "/etc/nginx", "--observe"];
    assert!(says(&[&["doctor"], &observe[..]].concat()).contains("builtin"));
    says(&[&["run", "--once"], &observe[..]].concat());
}

/// Answers every question for an IPv4 address with 127.0.0.1 on the port of DNS (RFC 1035), and every request by HTTPS with 200.
const SERVERS: &str = r#"
import http.server, socket, ssl, threading
def names():
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 53))
    while True:
        question, client = server.recvfrom(512)
        end = question.index(b"\0", 12) + 5
        known = question[end - 4:end - 2] == b"\0\1"
        answer = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x7f\0\0\1" if known else b""
        server.sendto(question[:2] + b"\x81\x80\0\1\0" + bytes([known]) + b"\0\0\0\0" + question[12:end] + answer, client)
threading.Thread(target=names, daemon=True).start()
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/pki/server.pem", "/pki/server.key")
server = http.server.HTTPServer(("127.0.0.1", 8443), Handler)
server.socket = context.wrap_socket(server.socket, server_side=True)
print("ready", flush=True)
server.serve_forever()
"#;

/// An authority, and a certificate of it for two names.
const CERTIFICATES: &str = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=test\n\
                            openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout server.key -out server.csr -subj /CN=app\n\
                            printf 'subjectAltName=DNS:by-dns.example.test,DNS:by-hosts\\n' > names\n\
                            openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.pem\n\
                            chmod 644 *";

#[test]
fn in_the_empty_image_names_resolve_and_certificates_are_checked() {
    needs_containers!();
    needs!("python3", "openssl");
    let directory = tempfile::tempdir().expect("there is room");
    let inside = |name: &str| directory.path().join(name);
    fs::create_dir(inside("pki")).expect("there is room");
    let made = crate::support::command("sh").args(["-euc", CERTIFICATES]).current_dir(inside("pki")).output();
    assert!(made.is_ok_and(|made| made.status.success()));
    fs::write(inside("servers.py"), SERVERS).expect("there is room");
    fs::write(inside("hosts"), "127.0.0.1 by-hosts\n").expect("there is room");
    fs::write(inside("resolv.conf"), "nameserver 127.0.0.1\n").expect("there is room");
    let volume = Volume::new(inside("config"), Kubelet::New, &[("app.conf", "one")]);
    let pki = mount(inside("pki"), "/pki", true);
    let script = mount(inside("servers.py"), "/servers.py", true);
    let servers = Container::application(&["--network=none".into(), pki.clone(), script], &["python3", "/servers.py"]);
    eventually("the servers are ready", || servers.log().contains("ready"));
    let world = [
        servers.pod(false),
        vec![
            mount(volume.path(), "/config", true),
            mount(inside("hosts"), "/etc/hosts", true),
            mount(inside("resolv.conf"), "/etc/resolv.conf", true),
        ],
    ]
    .concat();
    for name in ["by-hosts", "by-dns.example.test"] {
        let url = format!("https://{name}:8443/-/reload");
        let flags = ["run", "--watch", "/config", "--reload-url", &url];
        let trusting = [&world[..], &[pki.clone(), "--env=SSL_CERT_FILE=/pki/ca.pem".into()]].concat();
        let mut gate = gate_container(NOBODY_IMAGE, &trusting, &flags);
        let told = gate.wait_for("reloaded");
        assert!(told.to_string().contains("answered 200"), "{told}");
        // Those whom the image trusts do not vouch for this server.
        let mut gate = gate_container(NOBODY_IMAGE, &world, &flags);
        let refused = gate.wait_for_any(&["unverified", "reloaded"]);
        assert!(
            refused.to_string().contains("no authority that is known here has signed its certificate"),
            "{refused}"
        );
    }
}
