//! The gates of the simulated cluster, and the properties at the beginning of each reload.

use std::time::{Duration, Instant};

use super::world::{Content, Happening, SimulatedCluster, Stage};
use crate::cluster::rollout::{Advice, LEASE, PERMISSION, PodFailure};
use crate::flow::tree::Digest;

impl SimulatedCluster {
    pub(super) fn gate_deadline(&self, pod: usize) -> Option<Instant> {
        let this = &self.pods[pod];
        let stage = match this.stage {
            Stage::Validating(_, until) | Stage::Acting(_, until) => Some(until),
            _ => None,
        };
        stage.into_iter().chain(this.retry).chain(this.end_at).min()
    }

    pub(super) fn run_gate(&mut self, pod: usize) {
        if !self.pods[pod].alive {
            return;
        }
        self.end_application(pod);
        let (now, latency) = (self.now, self.millis(400));
        let this = &mut self.pods[pod];
        let tries_again = this.retry.take_if(|at| *at <= now).is_some();
        match this.stage {
            Stage::Validating(content, until) if until <= now && content == this.volume => self.validated(pod, content),
            Stage::Validating(_, until) if until <= now => {
                this.stage = Stage::Validating(this.volume, now + latency);
                this.move_on();
            }
            Stage::Acting(content, until) if until <= now => self.acted(pod, content),
            Stage::Idle | Stage::Asking(_) | Stage::Stuck(_) if this.desired != Some(this.volume) => {
                (this.stage, this.retry) = (Stage::Validating(this.volume, now + latency), None);
                this.move_on();
            }
            Stage::Idle if tries_again => {
                this.stage = Stage::Validating(this.volume, now + latency);
            }
            Stage::Asking(content) => self.begin(pod, content),
            _ => {}
        }
    }

    fn end_application(&mut self, pod: usize) {
        let this = &mut self.pods[pod];
        if this.end_at.take_if(|at| *at <= self.now).is_some()
            && let Some(content) = this.running.take()
        {
            this.ends += 1;
            if this.stage == Stage::Idle {
                this.stage = Stage::Asking(content);
            }
        }
    }

    fn validated(&mut self, pod: usize, content: Content) {
        let this = &mut self.pods[pod];
        this.desired = Some(content);
        this.rejected = matches!(content, Content::Bad(_));
        let is_live = this.running == Some(content);
        this.stage = if this.rejected || is_live { Stage::Idle } else { Stage::Asking(content) };
        let is_refused =
            |advice: &mut Advice| matches!(advice, Advice::Refuse(digest, _) if *digest == content.digest());
        this.advice.take_if(|advice| !is_refused(advice));
        self.run_gate(pod);
    }

    /// Begins a reload if it is permitted.
    fn begin(&mut self, pod: usize, content: Content) {
        let digest = content.digest();
        let this = &mut self.pods[pod];
        let is_known = this.good == Some(content);
        if !is_known && !this.permit.is_some_and(|(permitted, until)| permitted == digest && self.now < until) {
            return;
        }
        if !this.target && !this.is_new {
            (this.stage, this.permit) = (Stage::Stuck(content), None);
            return;
        }
        (this.running, this.good) = (None, this.good.filter(|_| is_known));
        let lasts = self.millis(3_000) + Duration::from_millis(10);
        self.pods[pod].stage = Stage::Acting(content, self.now + lasts);
        self.meet(pod, content);
        self.tell_story(format!("web-{pod} reloads {content:?} {digest:?}"));
        if !is_known {
            self.expect_permitted(pod, digest);
        }
    }

    fn acted(&mut self, pod: usize, content: Content) {
        let digest = content.digest();
        let (now, time, this) = (self.now, self.time(), &mut self.pods[pod]);
        (this.stage, this.permit, this.since) = (Stage::Idle, None, Some(time));
        let ends_after = Duration::from_secs(3);
        if matches!(content, Content::Untaken(_)) {
            let count = this.failed.as_ref().map_or(0, |failed| failed.count) + 1;
            this.failed = Some(PodFailure { digest, reason: "it failed".into(), count });
            this.retry = Some(now + Duration::from_secs(30));
        } else if this.target {
            (this.running, this.good) = (Some(content), Some(content));
            this.end_at = matches!(content, Content::Ending(_)).then(|| now + ends_after);
            if let Some(epoch) = self.epochs.get(&digest) {
                self.verified.entry(*epoch).or_insert(now);
            }
        } else if std::mem::take(&mut this.is_new) {
            this.stage = Stage::Stuck(content);
            let after = self.millis(8_000);
            self.later(after, Happening::Start(pod));
        } else {
            // It gives way to another pod.
            (this.stage, this.permit) = (Stage::Stuck(content), None);
            self.begun.values_mut().for_each(|begun| begun.retain(|other| *other != pod));
        }
        let line = format!("web-{pod} is done with {content:?}: runs {:?}", self.pods[pod].running);
        self.tell_story(line);
        self.run_gate(pod);
    }

    /// The application of a new pod starts, and reads what was published.
    pub(super) fn start(&mut self, pod: usize) {
        let (now, time) = (self.now, self.time());
        let this = &mut self.pods[pod];
        (this.target, this.since) = (true, Some(time));
        if let Stage::Stuck(content) = this.stage {
            (this.stage, this.running, this.good) = (Stage::Idle, Some(content), Some(content));
            if let Some(epoch) = self.epochs.get(&content.digest()) {
                self.verified.entry(*epoch).or_insert(now);
            }
        }
        self.look(pod);
    }

    /// The pod does not count any more: it is dead, or was cut off for longer than its lease.
    fn is_lost(&self, pod: usize) -> bool {
        !self.pods[pod].alive || self.now - self.pods[pod].contact >= LEASE
    }

    /// Notes that the pod takes `content`, in place of pods that are lost by now: their group had to go on without them.
    fn meet(&mut self, pod: usize, content: Content) {
        let mut met = self.reloads.remove(&content).unwrap_or_default();
        met.retain(|other| *other == pod || !self.is_lost(*other));
        // One that was cut off goes on with what it took before.
        let began_before = met.iter().any(|other| *other != pod) && self.pods[pod].good == Some(content);
        if !began_before {
            met.insert(pod);
        }
        self.reloads.insert(content, met);
    }

    /// Properties 1, 2, 3 and 6, at the beginning of a reload.
    fn expect_permitted(&mut self, pod: usize, digest: Digest) {
        let (soak, parallel, proceed_alone) = self.settings;
        if proceed_alone {
            return;
        }
        let epoch = self.epochs.get(&digest).copied().unwrap_or_default();
        let others: Vec<usize> =
            self.begun.get(&epoch).into_iter().flatten().copied().filter(|other| *other != pod).collect();
        let is_soaked = self.verified.get(&epoch).is_some_and(|at| *at + soak <= self.now);
        let alone = others.iter().all(|other| self.is_lost(*other));
        self.expect(
            self.proven.contains(&digest) || is_soaked || alone,
            "1: no revision reaches a second pod before it was verified and soaked",
        );
        let is_acting = |other: &usize| {
            let this = &self.pods[*other];
            matches!(this.stage, Stage::Acting(content, _) if this.good != Some(content)) && !self.is_lost(*other)
        };
        let unproven = (0..self.pods.len()).filter(is_acting).count();
        self.expect(unproven <= parallel.of(self.pods.len()), "2: no more pods than allowed are unproven");
        let refused = self.refused.get(&epoch).is_some_and(|at| *at + PERMISSION < self.now);
        self.expect(!refused || self.proven.contains(&digest), "3: no pod begins what the group has refused");
        let cut_off = self.now - self.pods[pod].contact;
        self.expect(cut_off <= PERMISSION + Duration::from_secs(1), "6: a pod that is cut off keeps what it serves");
        self.begun.entry(epoch).or_default().insert(pod);
    }
}
