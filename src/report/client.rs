//! The client of `reload-gate status`. IO: through `http` and `socket` alone, and waits.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use crate::exit::Exit;
use crate::report::log::visible;
use crate::report::socket;
use crate::report::status::Status;
use crate::sys::http;
use crate::sys::suggest::suggestion;

/// The time limit of one answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// The interval between requests.
const PAUSE: Duration = Duration::from_millis(200);

/// The place at which a running gate answers.
#[derive(Clone, Copy, Debug)]
pub enum GateAddress {
    /// The status sockets of this container or machine.
    Container,
    /// The address of its listener.
    Listener(SocketAddr),
}

/// A question to a running gate.
#[derive(Clone, Debug)]
pub struct StatusQuery {
    /// The place at which it answers.
    pub address: GateAddress,
    /// The name of the gate, or the id of its process; `None` for all gates of the one process.
    pub gate: Option<String>,
    /// True if any accepted revision is enough, the newest or not.
    pub ready: bool,
    /// The time for which to repeat the question until the answer is good.
    pub wait: Duration,
}

/// The reason why there is no status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NoStatus {
    /// No gate answers.
    NoAnswer(String),
    /// The gates that answer have other names.
    OtherGates(String),
    /// Several gate processes answer, and the question fits more than one of them.
    Several(String),
}

/// The status and its JSON.
pub type StatusAnswer = Result<(Status, String), NoStatus>;

/// Asks until the answer is good or the time is over; returns the last answer and its exit code.
pub fn ask(question: &StatusQuery) -> (StatusAnswer, Exit) {
    let deadline = Instant::now() + question.wait;
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let answer = once(question, if question.wait.is_zero() { PATIENCE } else { left.clamp(PAUSE, PATIENCE) });
        let exit = exit(&answer, question.ready);
        if matches!(exit, Exit::Accepted | Exit::Usage) || left.is_zero() {
            return (answer, exit);
        }
        std::thread::sleep(PAUSE.min(left));
    }
}

fn once(question: &StatusQuery, patience: Duration) -> StatusAnswer {
    let processes = match question.address {
        GateAddress::Listener(address) => {
            let read = http::read(&format!("http://{}/status", reachable(address)), patience);
            vec![(None, status(&read.map_err(NoStatus::NoAnswer)?)?)]
        }
        GateAddress::Container => of_sockets(patience)?,
    };
    choose(processes, question.gate.as_deref())
}

/// One gate process that answers: its id, its status and the JSON of that.
type Answering = (Option<u32>, (Status, String));

fn of_sockets(patience: Duration) -> Result<Vec<Answering>, NoStatus> {
    let answers = socket::read(patience).map_err(|error| NoStatus::NoAnswer(error.to_string()))?;
    let (mut processes, mut errors) = (Vec::new(), Vec::new());
    for answer in answers {
        match answer.text {
            Ok(text) => processes.push((Some(answer.pid), status(&text)?)),
            Err(error) => errors.push(format!("pid {}: {error}", answer.pid)),
        }
    }
    match (processes.is_empty(), errors.is_empty()) {
        (true, true) => Err(NoStatus::NoAnswer("none is running as root or as this user".to_owned())),
        (true, false) => Err(NoStatus::NoAnswer(errors.join("; "))),
        _ => Ok(processes),
    }
}

fn status(text: &str) -> StatusAnswer {
    let status = serde_json::from_str(text);
    let status = status.map_err(|error: serde_json::Error| {
        // The error quotes what it does not know.
        NoStatus::NoAnswer(format!("the answer is no status: {}", visible(&error.to_string())))
    })?;
    Ok((status, text.to_owned()))
}

/// Chooses the process that `gate` means, and of its status the part about that gate.
fn choose(mut processes: Vec<Answering>, gate: Option<&str>) -> StatusAnswer {
    let all = describe(&processes);
    let Some(wanted) = gate else {
        return match processes.pop() {
            Some((_, answer)) if processes.is_empty() => Ok(answer),
            _ => Err(NoStatus::Several(all)),
        };
    };
    let is_pid = |pid: &Option<u32>| pid.is_some_and(|pid| wanted.parse() == Ok(pid));
    let has_name = |status: &Status| status.gates.iter().any(|gate| gate.gate == wanted);
    let mut named: Vec<_> = processes.iter().filter(|(_, (status, _))| has_name(status)).collect();
    match (named.pop(), processes.iter().find(|(pid, _)| is_pid(pid))) {
        (Some((_, (status, _))), _) if named.is_empty() => {
            let part = Status::of(status.gates.iter().filter(|gate| gate.gate == wanted).cloned().collect());
            // All keys are strings, so this does not fail.
            let text = serde_json::to_string(&part).unwrap_or_default() + "\n";
            Ok((part, text))
        }
        (Some(_), _) => Err(NoStatus::Several(all)),
        (None, Some((_, answer))) => Ok(answer.clone()),
        (None, None) => {
            let names = processes.iter().flat_map(|(_, (status, _))| &status.gates).map(|gate| gate.gate.as_str());
            Err(NoStatus::OtherGates(format!("there is no gate `{wanted}`, but {all}{}", suggestion(wanted, names))))
        }
    }
}

/// The names of the gates of each process.
fn describe(processes: &[Answering]) -> String {
    let process = |(pid, (status, _)): &Answering| {
        let names: Vec<_> = status.gates.iter().map(|gate| format!("`{}`", gate.gate)).collect();
        let pid = pid.map_or_else(String::new, |pid| format!(" (pid {pid})"));
        format!("{}{pid}", names.join(", "))
    };
    processes.iter().map(process).collect::<Vec<_>>().join(", ")
}

fn exit(answer: &StatusAnswer, ready: bool) -> Exit {
    match answer {
        Ok((status, _)) if status.live || (ready && status.ready) => Exit::Accepted,
        Ok((status, _)) if status.is_rejected() => Exit::Rejected,
        Err(NoStatus::Several(_)) => Exit::Usage,
        _ => Exit::Inconclusive,
    }
}

/// Returns the address at which a server that listens on `address` can be reached from this machine.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        // Such a listener takes IPv4 as well, and has only that where the kernel has no IPv6.
        IpAddr::V6(Ipv6Addr::UNSPECIFIED) => Ipv4Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::status::GateStatus;

    fn gate(ready: bool, live: bool, event: Option<&str>) -> GateStatus {
        GateStatus {
            gate: "web".into(),
            ready,
            live,
            desired: None,
            validated: None,
            running: None,
            diverged_seconds: 1.0,
            watch_mode: "inotify".into(),
            rollout: None,
            standing: event.map(|event| serde_json::json!({ "event": event })),
            alerts: Vec::new(),
            recent: Vec::new(),
        }
    }

    #[test]
    fn the_exit_code_is_that_of_the_worst_gate() {
        let well = || gate(true, true, None);
        for (other, newest, ready) in [
            (well(), Exit::Accepted, Exit::Accepted),
            (gate(true, false, Some("rejected")), Exit::Rejected, Exit::Accepted),
            (gate(false, false, Some("rejected")), Exit::Rejected, Exit::Rejected),
            (gate(true, false, Some("inconclusive")), Exit::Inconclusive, Exit::Accepted),
            (gate(false, false, None), Exit::Inconclusive, Exit::Inconclusive),
        ] {
            let answer = Ok((Status::of(vec![well(), other.clone()]), String::new()));
            assert_eq!((exit(&answer, false), exit(&answer, true)), (newest, ready), "{other:?}");
        }
        assert_eq!(exit(&Err(NoStatus::NoAnswer("no answer".into())), true), Exit::Inconclusive);
    }

    #[test]
    fn one_of_several_gates_is_chosen_by_its_name_or_its_process() {
        let named = |name: &str, live| GateStatus { gate: name.into(), ..gate(true, live, None) };
        let process = |pid, gates: Vec<GateStatus>| (Some(pid), (Status::of(gates), "as sent".to_owned()));
        let web = || process(7, vec![named("web", true), named("mail", false)]);
        let (db, other_web) = (|| process(9, vec![named("db", true)]), || process(11, vec![named("web", false)]));
        let chosen = |processes, gate| {
            choose(processes, gate).map(|(status, _)| {
                let names: Vec<_> = status.gates.iter().map(|gate| gate.gate.clone()).collect();
                (names.join(" "), status.live)
            })
        };
        let is = |names: &str, live| Ok((names.to_owned(), live));
        assert_eq!(chosen(vec![web()], None), is("web mail", false));
        assert_eq!(choose(vec![web()], None).expect("there is one").1, "as sent");
        assert_eq!(chosen(vec![web()], Some("web")), is("web", true));
        assert_eq!(chosen(vec![web(), db()], Some("mail")), is("mail", false));
        assert_eq!(chosen(vec![web(), other_web()], Some("11")), is("web", false));
        let several = NoStatus::Several("`web`, `mail` (pid 7), `db` (pid 9)".to_owned());
        assert_eq!(chosen(vec![web(), db()], None), Err(several));
        let several = NoStatus::Several("`web`, `mail` (pid 7), `web` (pid 11)".to_owned());
        assert_eq!(chosen(vec![web(), other_web()], Some("web")), Err(several));
        let others = "there is no gate `wep`, but `db` (pid 9), `web` (pid 11); did you mean `web`?".to_owned();
        assert_eq!(chosen(vec![db(), other_web()], Some("wep")), Err(NoStatus::OtherGates(others)));
    }

    #[test]
    fn an_answer_that_is_no_status_writes_no_control_character() {
        let answer = status("{\"\u{1b}[2J\": 1}").expect_err("it is none");
        assert!(matches!(&answer, NoStatus::NoAnswer(error) if !error.contains('\u{1b}')), "{answer:?}");
    }

    #[test]
    fn all_addresses_are_reached_at_the_nearest() {
        for (listens, reached) in
            [("0.0.0.0:9464", "127.0.0.1:9464"), ("[::]:9464", "127.0.0.1:9464"), ("10.1.2.3:80", "10.1.2.3:80")]
        {
            let parse = |address: &str| address.parse::<SocketAddr>().expect("it is one");
            assert_eq!(reachable(parse(listens)), parse(reached));
        }
    }
}
