//! A certificate authority, and a server for which it vouches.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use super::{Background, command, eventually};

/// Makes `ca.pem`, and `server.pem` with `server.key` for this machine, in `directory`.
pub(crate) fn authority(directory: &Path) -> PathBuf {
    authority_for(directory, "IP:127.0.0.1")
}

/// The same for a server of another name, such as `DNS:app.internal`.
pub(crate) fn authority_for(directory: &Path, name: &str) -> PathBuf {
    let openssl = |arguments: &str| {
        let mut openssl = command("openssl");
        openssl.args(arguments.split(' ')).current_dir(directory).stderr(Stdio::null());
        assert!(openssl.status().expect("it is installed").success(), "{arguments}");
    };
    std::fs::write(directory.join("san"), format!("subjectAltName={name}\n")).expect("there is room");
    openssl("req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -subj /CN=authority -days 2");
    openssl("req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj /CN=server");
    openssl("x509 -req -in server.csr -CA ca.pem -CAkey ca.key -out server.pem -days 2 -extfile san");
    directory.join("ca.pem")
}

/// A server that speaks TLS, whose handler of requests (`class H`) is this Python program.
pub(crate) fn tls_server(directory: &Path, port: u16, handler: &str) -> Background {
    let program = format!(
        "import http.server, json, os, ssl\n{handler}\ns = http.server.ThreadingHTTPServer(('127.0.0.1', {port}), H)\n\
         c = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)\nc.load_cert_chain('server.pem', 'server.key')\n\
         s.socket = c.wrap_socket(s.socket, server_side=True)\ns.serve_forever()\n"
    );
    let script = directory.join("server.py");
    std::fs::write(&script, program).expect("there is room");
    let mut python = command("python3");
    python.arg(script).current_dir(directory).stdout(Stdio::null()).stderr(Stdio::null());
    let server = Background::start(&mut python);
    eventually("it listens", || std::net::TcpStream::connect(("127.0.0.1", port)).is_ok());
    server
}
