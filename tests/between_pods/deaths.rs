//! Gates of several pods that die, with their API server and its store, at random moments of roll-outs; and the reload that its volume
//! overtakes.

use std::fs;
use std::time::{Duration, Instant, SystemTime};

use super::{Cluster, GROUP, Pod, seconds};
use crate::support::{Gate, command, eventually};

/// The time in which a permitted reload has to begin, and a margin for its command.
const PERMISSION: f64 = 10.0 + 1.0;

/// The addition of a gate to its reports until the next reload.
const READ_UNACCEPTED: &str = "the application may have read a content that was not accepted";

/// Two pods at a time, after a soak of a second. Each gate writes down what it begins.
const FLAGS: [&str; 8] = [
    "--rollout",
    GROUP,
    "--rollout-soak",
    "1s",
    "--rollout-parallel",
    "2",
    "--log-level",
    "reload_gate::run::decisions=debug",
];

/// Numbers that look random, from a seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// The time at which a pod took `content` first, and that at which its application was first proven to run it.
struct Taken {
    reloaded: f64,
    proven: Option<f64>,
    pod: String,
}

/// The pods that took a content, in order, and those whose volume overtook the reload of another revision.
#[derive(Default)]
struct Spread {
    taken: Vec<Taken>,
    /// Without `--publish` the application reads its volume itself. If the volume is swapped between the scan that confirms the revision and
    /// that, the application reads what no gate has begun.
    overtaken: Vec<Taken>,
}

impl Spread {
    fn of(pods: &[Pod], content: &str, digest: &str) -> Self {
        let mut spread = Self::default();
        for pod in pods {
            let proofs: Vec<_> = pod.proofs().into_iter().filter(|(_, of)| of == content).collect();
            let reloads = pod.reloads().into_iter().filter(|(_, of)| of == content);
            let taken = reloads.map(|(reloaded, _)| {
                let proven = proofs.iter().map(|(time, _)| *time).find(|time| *time >= reloaded);
                Taken { reloaded, proven, pod: pod.name.clone() }
            });
            let (overtaken, taken): (Vec<_>, Vec<_>) =
                taken.partition(|taken| is_overtaken(pod, content, digest, taken.reloaded));
            spread.taken.extend(taken.into_iter().next());
            spread.overtaken.extend(overtaken);
        }
        spread.taken.sort_by(|one, other| one.reloaded.total_cmp(&other.reloaded));
        spread
    }
}

/// Returns `true` if the gate of `pod` began another revision than `digest` before its application read `content` at `time`, and the volume
/// did not show `content` before the scan that confirmed that other revision. A gate that says nothing about a reload began it.
fn is_overtaken(pod: &Pod, content: &str, digest: &str, time: f64) -> bool {
    let before = |decision: &(f64, &str)| decision.0 <= time;
    let Some((begun, of)) = pod.decisions(&["reload"]).rev().find(before) else { return false };
    let mut scans = pod.decisions(&["scan", "scan the newest generation"]).rev();
    let Some((confirmed, _)) = scans.find(|(scanned, _)| *scanned <= begun) else { return false };
    let shown = pod.shown.iter().find(|(_, shown)| shown == content);
    !digest.starts_with(of) && shown.is_some_and(|(shown, _)| *shown >= confirmed)
}

/// The digest of the newest revision, which every pod has accepted.
fn newest(pods: &[Pod]) -> String {
    let digests = pods.iter().map(|pod| pod.last("accepted").expect("it accepted one")["digest"].to_string());
    let mut digests: Vec<_> = digests.map(|digest| digest.replace('"', "")).collect();
    digests.dedup();
    assert_eq!(digests.len(), 1, "the pods have accepted one revision");
    digests.remove(0)
}

/// The volume of a pod changes between the last scan of its gate and the reading of its application, and another pod is the first with that
/// content. No gate began it in both.
#[test]
fn a_reload_that_its_volume_overtakes_is_no_reload_of_its_content() {
    let Some(mut cluster) = Cluster::start(&FLAGS) else { return };
    (0..2).for_each(|_| cluster.add("valid 1"));
    cluster.wait_for_all("valid 1");
    let held = cluster.pods[0].directory.join("held");
    assert!(command("mkfifo").arg(&held).status().expect("it is installed").success());
    let begun = |pods: &[Pod]| pods[0].decisions(&["reload"]).count();
    let before = begun(&cluster.pods);
    cluster.pods[0].write("valid 2");
    cluster.wait("the first pod reloads", |pods| begun(pods) > before);
    cluster.write("valid 3");
    cluster.wait("the second pod is the first with the next one", |pods| pods[1].live() == "valid 3");
    let release = fs::OpenOptions::new().write(true).open(&held).expect("the application waits");
    fs::remove_file(&held).expect("it is there");
    drop(release);
    cluster.wait_for_all("valid 3");
    let spread = Spread::of(&cluster.pods, "valid 3", &newest(&cluster.pods));
    let pods = |taken: &[Taken]| taken.iter().map(|taken| taken.pod.clone()).collect::<Vec<_>>();
    assert_eq!(pods(&spread.overtaken), ["web-00"], "{}", cluster.story());
    assert_eq!(pods(&spread.taken), ["web-01", "web-00"], "{}", cluster.story());
    let [first, second] = &spread.taken[..] else { unreachable!("they are two") };
    let waited = second.reloaded - first.proven.expect("it was verified");
    assert!(waited >= 1.0, "the second pod went {waited} s after the first; {}", cluster.story());
}

/// A group whose gates, API server and store are killed at random moments of its roll-outs.
struct Torture {
    cluster: Cluster,
    dice: Dice,
    /// Begin and end of each time without an API server.
    outages: Vec<(f64, f64)>,
    /// The number of gates that were killed.
    killed: u32,
    /// The number of reloads whose volume overtook them.
    overtaken: usize,
}

impl Torture {
    /// Lets something die that comes back.
    fn kill(&mut self) {
        self.cluster.listen(Duration::from_millis(self.dice.roll(1_500)));
        let what = self.dice.roll(5);
        if what > 1 {
            self.killed += 1;
            let pod = usize::try_from(self.dice.roll(4)).unwrap_or_default();
            return if self.cluster.pods[pod].gate.is_some() {
                self.cluster.restart(pod);
            };
        }
        // Some outages last longer than a permission.
        let lasts = if self.dice.roll(8) == 0 { 14_000 } else { self.dice.roll(2_000) };
        let began = seconds(SystemTime::now());
        if what == 0 {
            self.cluster.server.halt();
        } else {
            self.cluster.server.halt_store();
        }
        self.cluster.listen(Duration::from_millis(lasts));
        self.outages.push((began, seconds(SystemTime::now())));
        if what == 0 { self.cluster.server.resume() } else { self.cluster.server.resume_store() }
    }

    /// One roll-out; every third is of a revision that no application takes.
    fn round(&mut self, round: u64) {
        let is_good = round % 3 != 2;
        let content = if is_good { format!("valid {round}") } else { format!("valid untaken {round}") };
        if self.dice.roll(5) == 0 {
            // A newer revision comes before this one is everywhere.
            self.cluster.write(&format!("valid {round} before"));
            self.cluster.listen(Duration::from_millis(self.dice.roll(1_500)));
        }
        self.cluster.write(&content);
        // A pod that dies for longer than its lease. With it the group cannot know that a revision was not taken.
        let dead = (is_good && self.dice.roll(10) == 0).then(|| usize::try_from(self.dice.roll(4)).unwrap_or_default());
        if let Some(pod) = dead {
            self.cluster.listen(Duration::from_millis(self.dice.roll(1_500)));
            self.cluster.kill(pod);
        }
        for _ in 0..self.dice.roll(3) {
            self.kill();
        }
        if is_good {
            self.cluster.wait_for_all(&content);
        } else {
            self.cluster.wait_for_refusal();
        }
        if let Some(pod) = dead {
            self.cluster.run(pod);
            self.cluster.wait_for_all(&content);
        }
        self.examine(round, &content, is_good, dead);
    }

    /// Properties 1, 2, 3, 5 and 6 of `docs/rollout.md`, as the applications saw them; 4 is that the newest is everywhere at all.
    fn examine(&mut self, round: u64, content: &str, is_good: bool, dead: Option<usize>) {
        let Spread { taken, overtaken } = Spread::of(&self.cluster.pods, content, &newest(&self.cluster.pods));
        self.overtaken += overtaken.len();
        let times = |taken: &[Taken]| {
            let times: Vec<_> =
                taken.iter().map(|taken| format!("{} {} {:?}", taken.pod, taken.reloaded, taken.proven)).collect();
            format!("{times:?}")
        };
        let story = || {
            let times = format!("{}, overtaken {}", times(&taken), times(&overtaken));
            format!("round {round}: {times}\n{}\n{}", self.cluster.lease(), self.cluster.story())
        };
        if !overtaken.is_empty() {
            eprintln!("the volume overtook a reload in round {round}: {}; taken {}", times(&overtaken), times(&taken));
        }
        assert_eq!(taken.len(), if is_good { 4 } else { 1 }, "{}", story());
        if let [first, second, ..] = &taken[..] {
            let waited = second.reloaded - first.reloaded;
            assert!(waited >= 1.0, "the second pod went {waited} s after the first; {}", story());
        }
        for this in &taken {
            let is_unproven = |other: &&Taken| {
                other.reloaded <= this.reloaded && other.proven.is_none_or(|proven| proven > this.reloaded)
            };
            let counts = |other: &&Taken| dead.is_none_or(|dead| self.cluster.pods[dead].name != other.pod);
            let unproven = taken.iter().filter(counts).filter(is_unproven).count();
            assert!(unproven <= 2, "{unproven} pods were unproven when {} reloaded; {}", this.pod, story());
        }
        if !is_good {
            // A pod whose volume changed during its reload of an older revision adds that to the reason.
            let own = format!("; {READ_UNACCEPTED}");
            let reasons = self.cluster.pods.iter().filter_map(|pod| pod.last("rollout_refused"));
            let reasons = reasons.map(|event| event["message"].as_str().unwrap_or_default().replace(&own, ""));
            let mut reasons: Vec<_> = reasons.collect();
            reasons.dedup();
            assert_eq!(reasons.len(), 1, "{reasons:?}; {}", story());
        }
        let all = self.cluster.pods.iter().flat_map(Pod::reloads);
        let cut_off = |(time, _): &(f64, String)| {
            self.outages.iter().any(|(began, ended)| began + PERMISSION < *time && *time < *ended)
        };
        let began: Vec<_> = all.filter(cut_off).collect();
        assert!(began.is_empty(), "reloads without an API server: {began:?}; {}", story());
    }
}

/// Kills gates, the API server and its store at random moments of roll-outs; `ROLLOUTS=200` plays more, `ROLLOUT_SEED=7` others.
#[test]
fn whatever_dies_in_a_roll_out_its_properties_hold() {
    let Some(cluster) = Cluster::start(&FLAGS) else { return };
    let number = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let dice = Dice(number("ROLLOUT_SEED").unwrap_or(1));
    let mut torture = Torture { cluster, dice, outages: Vec::new(), killed: 0, overtaken: 0 };
    (0..4).for_each(|_| torture.cluster.add("valid 0"));
    torture.cluster.wait_for_all("valid 0");
    let started = Instant::now();
    for round in 1..=number("ROLLOUTS").unwrap_or(3) {
        torture.round(round);
        let Torture { killed, overtaken, outages, .. } = &torture;
        let (outages, took) = (outages.len(), started.elapsed());
        eprintln!("{round} roll-outs, {killed} gates killed, {outages} outages, {overtaken} overtaken, {took:.0?}");
    }
    eventually("the roll-out is complete", || torture.cluster.rollout(&["status", GROUP]).1 != Some(3));
}

#[test]
fn a_gate_that_ends_gives_its_place_back() {
    let flags = ["--rollout", GROUP, "--rollout-soak", "0s"];
    let Some(mut cluster) = Cluster::start(&flags) else { return };
    (0..2).for_each(|_| cluster.add("valid 1"));
    cluster.wait_for_all("valid 1");
    cluster.more = ["--rollout", GROUP, "--rollout-soak", "1h"].map(str::to_owned).to_vec();
    (0..2).for_each(|pod| cluster.restart(pod));
    cluster.write("valid 2");
    cluster.wait("one soaks", |pods| pods.iter().any(|pod| pod.live() == "valid 2" && pod.is_proven()));
    let first = cluster.pods.iter().position(|pod| pod.live() == "valid 2").expect("one has it");
    let stopped = seconds(SystemTime::now());
    assert_eq!(cluster.pods[first].gate.take().map(Gate::stop), Some(0));
    cluster.wait("the other one takes it", |pods| pods[1 - first].live() == "valid 2");
    let reloads = cluster.pods[1 - first].reloads();
    let waited = reloads.last().expect("it was reloaded").0 - stopped;
    // The lease of a lost pod lasts for 20 s.
    assert!(waited < 15.0, "{waited} s\n{}", cluster.story());
}
