//! The listener of the webhook. IO: listens; the clock.
//!
//! No client delays another one or uses unbounded memory: connections, bytes of bodies, and the number and bytes of validations at once
//! have a limit, and so have the times of a handshake, a body and a validation. The event loop reads and writes; threads do the work.

mod connection;
mod request;
#[cfg(test)]
mod tests;
mod turn;

use core::net::SocketAddr;
use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::LocalSet;
use tokio_rustls::TlsAcceptor;
use tracing_subscriber::filter::EnvFilter;

use super::authority::{self, OwnAuthority};
use super::certificate::{self, CertificateFiles, CertificateWatch, KeyPair};
use super::decision::{self, AdmissionDecision, BesideObject, DenialRules};
use super::metrics::AdmissionMetrics;
use super::policy::SelectedValidation;
use super::review::Review;
use super::together::SiblingReader;
use crate::config::AdmissionRules;
use crate::exit::Exit;
use crate::inject::InjectOptions;
use crate::report::log::{self, Dropped, Log, LogFormat};
use crate::report::serve::bind;
use crate::report::{Event, Kind};
use crate::sys::kubernetes::ApiAccess;
use crate::sys::worker;

use connection::Connections;
use turn::Turns;

/// Name of the webhook in the log, in the place of a gate.
const NAME: &str = "admission";

/// Time for which requests are still answered after SIGTERM: the other parts of a cluster need some seconds until they send none.
const LAST_REQUESTS: Duration = Duration::from_secs(5);

/// Pause after a connection that could not be accepted, as when no descriptor is left.
const PAUSE: Duration = Duration::from_millis(100);

/// Time between two looks at the own authority in the configuration of the API server.
const REGISTRATION: Duration = Duration::from_secs(60);

/// Limits of the webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WebhookLimits {
    /// Largest body in bytes.
    pub body: usize,
    /// Largest number of bytes of all bodies at once.
    pub buffered: usize,
    /// Largest number of bytes of the bodies that are validated at once: a validation takes a multiple of its body.
    pub validated: usize,
    /// Longest time of a validation, with the wait for its turn.
    pub time: Duration,
    /// Longest time for the body of a request.
    pub reading: Duration,
    /// Largest number of validations at once.
    pub validations: usize,
    /// Largest number of connections.
    pub connections: usize,
}

impl Default for WebhookLimits {
    /// An object has 1.5 MiB at most, a review has it twice, and JSON may need six bytes for one.
    fn default() -> Self {
        let processors = std::thread::available_parallelism().map_or(2, usize::from);
        Self {
            body: 20 << 20,
            buffered: 64 << 20,
            validated: 4 << 20,
            time: Duration::from_secs(4),
            reading: Duration::from_secs(4),
            validations: (2 * processors).clamp(4, 32),
            connections: 1024,
        }
    }
}

/// Source of the certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateSource {
    /// Files, which others renew.
    Files(CertificateFiles),
    /// An authority of its own, which it puts into the webhook configuration of this name.
    OwnAuthority(String),
}

/// Settings of the command `admit`.
#[derive(Debug)]
pub struct AdmitSettings {
    /// Address of the webhook.
    pub listen: SocketAddr,
    /// Address of metrics and health without TLS, if they are served so as well.
    pub plain: Option<SocketAddr>,
    /// Certificate.
    pub certificate: CertificateSource,
    /// Address and account for requests to the API server.
    pub access: ApiAccess,
    /// Rules of the configuration file, and settings of validators.
    pub rules: AdmissionRules,
    /// Rules for denials.
    pub denials: DenialRules,
    /// Settings of injections.
    pub injection: InjectOptions,
    /// Limits of connections, sizes and times.
    pub limits: WebhookLimits,
    /// Format of events.
    pub log_format: LogFormat,
    /// Spans and decisions that the log has.
    pub log_filter: EnvFilter,
}

/// Decision about the object of a review.
type Decide = fn(&Review, &SelectedValidation, &[BesideObject], DenialRules) -> AdmissionDecision;

/// State of the running webhook.
struct Webhook {
    decide: Decide,
    rules: Arc<AdmissionRules>,
    siblings: SiblingReader,
    denials: DenialRules,
    injection: InjectOptions,
    limits: WebhookLimits,
    metrics: AdmissionMetrics,
    turns: Turns,
    /// Bytes of bodies in memory.
    buffered: Cell<usize>,
    acceptor: RefCell<TlsAcceptor>,
    /// False once it will end.
    is_ready: Cell<bool>,
}

impl Webhook {
    fn report(event: &Event) {
        log::write(NAME, event);
    }
}

/// Runs the webhook until SIGTERM or SIGINT.
///
/// # Errors
/// When it cannot start: no certificate, no address, or no thread.
pub fn run(settings: AdmitSettings) -> io::Result<Exit> {
    let log = Log::start(settings.log_format, settings.log_filter.clone(), NAME)?;
    worker::start()?;
    // One thread: the work of the loop is waiting, and that of validations is done on others.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let done = LocalSet::new().block_on(&runtime, until_stopped(settings, log.dropped()));
    runtime.shutdown_background();
    drop(log);
    done
}

async fn until_stopped(settings: AdmitSettings, dropped: Dropped) -> io::Result<Exit> {
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let first = first_certificate(&settings).await.map_err(io::Error::other)?;
    let server = first.pair().server().map_err(|error| {
        let name = match &settings.certificate {
            CertificateSource::Files(files) => format!("`{}` ", files.certificate.display()),
            CertificateSource::OwnAuthority(_) => String::new(),
        };
        io::Error::other(format!("the certificate {name}is unfit: {error}"))
    })?;
    let listener = listen(settings.listen).await?;
    let plain = match settings.plain {
        Some(address) => Some(listen(address).await?),
        None => None,
    };
    let started = started(&settings, first.pair());
    let webhook = Rc::new(Webhook {
        decide: decision::decide,
        rules: Arc::new(settings.rules),
        siblings: SiblingReader::new(settings.access.clone()),
        denials: settings.denials,
        injection: settings.injection,
        limits: settings.limits,
        metrics: AdmissionMetrics::new(dropped),
        turns: Turns::new(&settings.limits),
        buffered: Cell::new(0),
        acceptor: RefCell::new(TlsAcceptor::from(server)),
        is_ready: Cell::new(true),
    });
    if let (CertificateSource::OwnAuthority(name), FirstCertificate::Own(own)) = (&settings.certificate, &first) {
        let registered = authority::register(&settings.access, name, &own.certificate).await;
        registered.map_err(|error| io::Error::other(error.to_string()))?;
    }
    webhook.metrics.serves(first.pair());
    Webhook::report(&started);
    let connections = Rc::new(Connections::new(settings.limits.connections));
    tokio::task::spawn_local(accept(listener, webhook.clone(), connections.clone(), true));
    if let Some(plain) = plain {
        tokio::task::spawn_local(accept(plain, webhook.clone(), connections.clone(), false));
    }
    match (settings.certificate, first) {
        (CertificateSource::Files(files), FirstCertificate::Read(pair)) => {
            tokio::task::spawn_local(follow(files, pair, webhook.clone()));
        }
        (CertificateSource::OwnAuthority(name), FirstCertificate::Own(own)) => {
            tokio::task::spawn_local(stay_registered(settings.access, name, *own, webhook.clone()));
        }
        _ => {}
    }
    tokio::select! {
        _ = terminate.recv() => {
            webhook.is_ready.set(false);
            tokio::select! {
                () = tokio::time::sleep(LAST_REQUESTS) => {}
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        }
        _ = interrupt.recv() => {}
    }
    Webhook::report(&Event::new(Kind::Stopped));
    Ok(Exit::Accepted)
}

/// Certificate with which the webhook begins.
enum FirstCertificate {
    Read(KeyPair),
    Own(Box<OwnAuthority>),
}

impl FirstCertificate {
    fn pair(&self) -> &KeyPair {
        match self {
            Self::Read(pair) => pair,
            Self::Own(own) => &own.server,
        }
    }
}

async fn first_certificate(settings: &AdmitSettings) -> Result<FirstCertificate, String> {
    match &settings.certificate {
        CertificateSource::Files(files) => files.read().await.map(FirstCertificate::Read),
        CertificateSource::OwnAuthority(name) => {
            let names = authority::names(&settings.access, name).await.map_err(|error| error.to_string())?;
            OwnAuthority::new(names).map(|own| FirstCertificate::Own(Box::new(own)))
        }
    }
}

async fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    bind(address).await.map_err(|error| io::Error::new(error.kind(), format!("cannot listen on `{address}`: {error}")))
}

/// Returns the event of the start.
fn started(settings: &AdmitSettings, pair: &KeyPair) -> Event {
    let denies = match settings.denials.deny {
        decision::Deny::Rejected => "denies what is rejected",
        decision::Deny::Never => "denies nothing",
    };
    let count = settings.rules.rules.len();
    let rules = if count == 1 { "1 rule".to_owned() } else { format!("{count} rules") };
    let names = pair.served().map(|served| served.names).unwrap_or_default();
    let namespace = match &settings.certificate {
        CertificateSource::Files(_) => settings.access.namespace_of_pod(),
        // Its names are those of the configuration of the API server.
        CertificateSource::OwnAuthority(_) => None,
    };
    let mismatch = certificate::mismatch(&names, namespace.as_deref());
    let (certificate, help) = match mismatch {
        Some((why, help)) => (why, Some(help)),
        None => (format!("the certificate is for `{}`", names.join("`, `")), None),
    };
    let message = format!(
        "admission webhook on `{}`: bundled validators, {rules} of the configuration file; {denies}; {certificate}",
        settings.listen
    );
    Event::new(Kind::Started).message(message).help(help)
}

/// Accepts connections, without end.
async fn accept(listener: TcpListener, webhook: Rc<Webhook>, connections: Rc<Connections>, is_secure: bool) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // An answer is one write.
                let _ = stream.set_nodelay(true);
                connections.start(stream, &webhook, is_secure);
                webhook.metrics.connected(connections.count());
            }
            // The client has gone (accept(2)).
            Err(error) if matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset) => {
            }
            Err(_) => {
                webhook.metrics.refused("busy");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

/// Keeps the certificate of the own authority in the configuration of the API server, and makes another one in time, without end.
async fn stay_registered(access: ApiAccess, name: String, mut own: OwnAuthority, webhook: Rc<Webhook>) {
    let (mut made, mut failure) = (Instant::now(), None);
    loop {
        tokio::time::sleep(REGISTRATION).await;
        if made.elapsed() > authority::RENEWAL
            && let Ok(names) = authority::names(&access, &name).await
            && let Ok(next) = OwnAuthority::new(names)
            && let Ok(server) = next.server.server()
            && authority::register(&access, &name, &next.certificate).await.is_ok()
        {
            webhook.acceptor.replace(TlsAcceptor::from(server));
            webhook.metrics.serves(&next.server);
            (own, made) = (next, Instant::now());
        }
        let error = authority::register(&access, &name, &own.certificate).await.err().map(|error| error.to_string());
        webhook.metrics.registered(error.is_none());
        match (&error, &failure) {
            (Some(error), None) => {
                let message = format!("the webhook configuration `{name}` cannot be kept up to date: {error}");
                let help = "the API server may stop asking; it is tried again every minute";
                Webhook::report(&Event::new(Kind::AlertFailed).message(message).help(Some(help.to_owned())));
            }
            (None, Some(_)) => {
                let message = format!("the webhook configuration `{name}` is up to date; `alert_failed` is over");
                Webhook::report(&Event::new(Kind::Recovered).message(message));
            }
            _ => {}
        }
        failure = error;
    }
}

/// Serves the newest certificate of the files, without end. An unfit one is reported once, and the last fit one stays.
async fn follow(files: CertificateFiles, pair: KeyPair, webhook: Rc<Webhook>) {
    let (mut known, mut watch) = (Ok(pair), CertificateWatch::new(files));
    loop {
        match watch.changed(&known).await {
            Ok((pair, server)) => {
                webhook.acceptor.replace(TlsAcceptor::from(server));
                webhook.metrics.certificate_read(true);
                webhook.metrics.serves(&pair);
                if known.is_err() {
                    let message = "the certificate is fit again; `alert_failed` is over";
                    Webhook::report(&Event::new(Kind::Recovered).message(message));
                }
                known = Ok(pair);
            }
            Err(error) => {
                webhook.metrics.certificate_read(false);
                let message = format!("the certificate is unfit, and the last fit one is served: {error}");
                let help = "mend the files of `--tls-cert` and `--tls-key`; they are read again when they change";
                Webhook::report(&Event::new(Kind::AlertFailed).message(message).help(Some(help.to_owned())));
                known = Err(error);
            }
        }
    }
}
